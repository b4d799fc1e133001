"""Bull: long in an orderly uptrend, by averages, MACD and RSI."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from atb.domain.signals import Signals
from atb.errors import InputError
from atb.features.indicators import macd_histogram, natr, rsi, sma
from atb.strategies.components import settled

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, slots=True)
class Bull:
    """Enters when fast, middle and slow average stand in order below a rising price; leaves when the fast one is lost.

    Parameters
    ----------
    fast, middle, slow
        Windows of the three averages, in bars.
    overbought
        RSI (14) from which nothing is bought.
    least_range
        Average true range, as a fraction of the price, below which the market sleeps and nothing is bought.
    """

    name: ClassVar[str] = "bull"
    predicts: ClassVar[bool] = False
    question: ClassVar[str] = "Can an uptrend be ridden while it is in order?"
    fast: int = 20
    middle: int = 50
    slow: int = 200
    overbought: float = 75.0
    least_range: float = 0.005

    def __post_init__(self) -> None:
        """Refuse averages out of order and thresholds out of range."""
        if not 0 < self.fast < self.middle < self.slow:
            found = f"fast={self.fast} middle={self.middle} slow={self.slow}"
            raise InputError("bull needs 0 < fast < middle < slow", found=found)
        if not (0 < self.overbought <= 100 and 0 <= self.least_range < 1):
            found = f"overbought={self.overbought} least_range={self.least_range}"
            raise InputError("overbought lies in (0, 100], least_range in [0, 1)", found=found)

    @property
    def warmup(self) -> int:
        """Bars before the slow average is known and MACD, RSI and range are settled."""
        return max(self.slow - 1, settled("macd_histogram", "rsi", "natr"))

    def features(self, bars: "pd.DataFrame") -> "pd.DataFrame":
        """Return the averages (price units), MACD's histogram (price units), RSI (0 to 100) and range (a fraction)."""
        import pandas as pd

        high, low, close = (bars[name].to_numpy() for name in ("high", "low", "close"))
        columns = {f"sma_{n}": sma(close, n) for n in (self.fast, self.middle, self.slow)}
        columns |= {"histogram": macd_histogram(close), "rsi": rsi(close), "range": natr(high, low, close) / 100}
        frame = pd.DataFrame(columns, index=bars.index)
        frame.iloc[: self.warmup] = np.nan
        return frame

    def signals(self, frame: "pd.DataFrame") -> Signals:
        """Return 1 in an orderly uptrend, 0 where the fast average and MACD's sign are lost, NaN (hold) elsewhere."""
        close, histogram = frame["close"].to_numpy(), frame["histogram"].to_numpy()
        fast, middle, slow = (frame[f"sma_{n}"].to_numpy() for n in (self.fast, self.middle, self.slow))
        enter = (middle > slow) & (close > middle) & (fast > middle) & (histogram > 0)
        enter &= (frame["rsi"].to_numpy() < self.overbought) & (frame["range"].to_numpy() >= self.least_range)
        return Signals(np.select([enter, (close < fast) & (histogram < 0)], [1.0, 0.0], np.nan))
