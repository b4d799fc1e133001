"""Breakout: long above the highest high of a window, flat below the lowest low of a shorter one (Donchian)."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from atb.domain.signals import Signals
from atb.errors import InputError
from atb.features.indicators import highest, lowest
from atb.features.indicators.columns import lag

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, slots=True)
class Breakout:
    """Donchian's channel as the turtles traded it: a close beyond the channel of the bars before it.

    Parameters
    ----------
    enter
        Bars whose highest high a close must pass.
    leave
        Bars below whose lowest low a close ends the position.
    """

    name: ClassVar[str] = "breakout"
    predicts: ClassVar[bool] = False
    question: ClassVar[str] = "Does a price beyond all recent ones go further?"
    enter: int = 120
    leave: int = 60

    def __post_init__(self) -> None:
        """Refuse empty channels."""
        if self.enter < 1 or self.leave < 1:
            raise InputError("breakout needs channels of 1 bar or more", found=f"enter={self.enter} leave={self.leave}")

    @property
    def warmup(self) -> int:
        """Bars before the longer channel is known: its own bars, all before the newest one."""
        return max(self.enter, self.leave)

    def features(self, bars: "pd.DataFrame") -> "pd.DataFrame":
        """Return `upper` and `lower` of the bars before each, in price units: a channel with the bar itself would never be left."""
        import pandas as pd

        upper, lower = highest(bars["high"].to_numpy(), self.enter), lowest(bars["low"].to_numpy(), self.leave)
        return pd.DataFrame({"upper": lag(upper, 1), "lower": lag(lower, 1)}, index=bars.index, copy=False)

    def signals(self, frame: "pd.DataFrame") -> Signals:
        """Return 1 above the channel, 0 below it, NaN (hold) inside and until both ends are known."""
        close, upper, lower = (frame[name].to_numpy() for name in ("close", "upper", "lower"))
        known = ~np.isnan(upper) & ~np.isnan(lower)
        return Signals(np.select([known & (close > upper), known & (close < lower)], [1.0, 0.0], np.nan))
