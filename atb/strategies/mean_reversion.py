"""Mean reversion: long when the price is far below its mean, flat when it is back."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from atb.domain.signals import Signals
from atb.errors import InputError
from atb.features.indicators import sma, zscore

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, slots=True)
class MeanReversion:
    """Buys falls in standard deviations of the last closes, where the long mean does not fall.

    Parameters
    ----------
    window
        Bars of mean and standard deviation.
    enter, leave
        Standard deviations below the mean from which to be long, and down to which (0 is the mean itself) to be flat again.
    trend
        Bars of the mean above which the price must be to enter: falls in a falling market go on.
    """

    name: ClassVar[str] = "mean_reversion"
    predicts: ClassVar[bool] = False
    question: ClassVar[str] = "Does a fall far below the mean come back?"
    window: int = 24
    enter: float = 2.0
    leave: float = 0.0
    trend: int = 200

    def __post_init__(self) -> None:
        """Refuse windows and thresholds that mean nothing."""
        if self.window < 2 or self.trend < 1 or not self.leave < self.enter:
            raise InputError("mean_reversion needs a window of 2 bars or more, a trend of 1 or more and leave below enter",
                             found=f"window={self.window} trend={self.trend} leave={self.leave} enter={self.enter}")  # fmt: skip

    @property
    def warmup(self) -> int:
        """Bars before both means are known."""
        return max(self.window, self.trend) - 1

    def features(self, bars: "pd.DataFrame") -> "pd.DataFrame":
        """Return `below`, standard deviations below the mean, and `trend`, the long mean in price units."""
        import pandas as pd

        close = bars["close"].to_numpy()
        return pd.DataFrame({"below": -zscore(close, self.window), "trend": sma(close, self.trend)}, index=bars.index)

    def signals(self, frame: "pd.DataFrame") -> Signals:
        """Return 1 from `enter` on while the close is above the long mean, 0 from `leave` on, NaN (hold) elsewhere."""
        below, close, trend = (frame[name].to_numpy() for name in ("below", "close", "trend"))
        known = ~np.isnan(below) & ~np.isnan(trend)
        choices = [known & (below >= self.enter) & (close > trend), known & (below <= self.leave)]
        return Signals(np.select(choices, [1.0, 0.0], np.nan))
