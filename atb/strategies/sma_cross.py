"""Moving-average cross: long while the fast average is above the slow one, flat otherwise."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from atb.domain.signals import Signals
from atb.features.indicators import sma

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, slots=True)
class SmaCross:
    """Trend following with two simple moving averages of the close.

    Parameters
    ----------
    fast, slow
        Windows of the two averages, in bars; fast below slow.
    """

    name: ClassVar[str] = "sma_cross"
    predicts: ClassVar[bool] = False
    question: ClassVar[str] = "Does a trend go on once two averages agree on it?"
    fast: int = 20
    slow: int = 50

    def __post_init__(self) -> None:
        """Refuse windows that cannot cross."""
        if not 0 < self.fast < self.slow:
            raise ValueError(f"need 0 < fast < slow, was fast={self.fast} slow={self.slow}")

    @property
    def warmup(self) -> int:
        """Bars before the slow average has its first value."""
        return self.slow - 1

    def features(self, bars: "pd.DataFrame") -> "pd.DataFrame":
        """Return the two averages as `sma_fast` and `sma_slow`, in price units."""
        import pandas as pd

        close = bars["close"].to_numpy()
        averages = {"sma_fast": sma(close, self.fast), "sma_slow": sma(close, self.slow)}
        return pd.DataFrame(averages, index=bars.index, copy=False)

    def signals(self, frame: "pd.DataFrame") -> Signals:
        """Return 1 where the fast average is above the slow one, 0 elsewhere, NaN until the slow one is there."""
        fast, slow = frame["sma_fast"].to_numpy(), frame["sma_slow"].to_numpy()
        side = np.empty(len(slow))
        np.greater(fast, slow, out=side)
        side[np.isnan(slow)] = np.nan
        return Signals(side)
