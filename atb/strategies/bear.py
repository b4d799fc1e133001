"""Bear: short in a downtrend, by averages, MACD and RSI; flat at the first sign of its end."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from atb.domain.signals import Signals
from atb.errors import InputError
from atb.features.indicators import macd_histogram, rsi, sma
from atb.strategies.components import settled

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, slots=True)
class Bear:
    """Sells short below a slow average that the middle one has crossed downwards. Needs a policy with `allow_short`.

    Parameters
    ----------
    middle, slow
        Windows of the two averages, in bars.
    weak
        RSI (14) below which to enter.
    recovered
        RSI from which to leave.
    """

    name: ClassVar[str] = "bear"
    predicts: ClassVar[bool] = False
    shorts: ClassVar[bool] = True
    question: ClassVar[str] = "Can a downtrend be sold while it lasts?"
    middle: int = 50
    slow: int = 200
    weak: float = 50.0
    recovered: float = 55.0

    def __post_init__(self) -> None:
        """Refuse averages out of order and thresholds that leave no room."""
        if not 0 < self.middle < self.slow:
            raise InputError("bear needs 0 < middle < slow", found=f"middle={self.middle} slow={self.slow}")
        if not 0 < self.weak < self.recovered < 100:
            raise InputError(
                "bear needs 0 < weak < recovered < 100", found=f"weak={self.weak} recovered={self.recovered}"
            )

    @property
    def warmup(self) -> int:
        """Bars before the slow average is known and MACD and RSI are settled."""
        return max(self.slow - 1, settled("macd_histogram", "rsi"))

    def features(self, bars: "pd.DataFrame") -> "pd.DataFrame":
        """Return the averages (price units), MACD's histogram (price units) and RSI (0 to 100)."""
        import pandas as pd

        close = bars["close"].to_numpy()
        columns = {"middle": sma(close, self.middle), "slow": sma(close, self.slow)}
        frame = pd.DataFrame(columns | {"histogram": macd_histogram(close), "rsi": rsi(close)}, index=bars.index)
        frame.iloc[: self.warmup] = np.nan
        return frame

    def signals(self, frame: "pd.DataFrame") -> Signals:
        """Return -1 in a downtrend, 0 once RSI or the averages have turned, NaN (hold) elsewhere."""
        close, middle, slow, histogram, strength = (
            frame[name].to_numpy() for name in ("close", "middle", "slow", "histogram", "rsi")
        )
        enter = (middle < slow) & (close < slow) & (histogram < 0) & (strength < self.weak)
        return Signals(np.select([enter, (strength > self.recovered) | (middle > slow)], [-1.0, 0.0], np.nan))
