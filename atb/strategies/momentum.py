"""Momentum: long after a rise over a window, flat once it is gone."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from atb.domain.signals import Signals
from atb.errors import InputError
from atb.features.indicators import roc

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, slots=True)
class Momentum:
    """Time-series momentum of the close (Moskowitz, Ooi and Pedersen 2012), with room between entering and leaving.

    Parameters
    ----------
    window
        Bars over which the rise is measured.
    enter, leave
        Rise, as a fraction, from which to be long, and down to which to be flat; between the two what is held is held.
    """

    name: ClassVar[str] = "momentum"
    predicts: ClassVar[bool] = False
    question: ClassVar[str] = "Does what has risen go on rising?"
    window: int = 168
    enter: float = 0.04
    leave: float = 0.0

    def __post_init__(self) -> None:
        """Refuse thresholds that leave no room."""
        if self.window < 1 or not -1 < self.leave < self.enter:
            raise InputError("momentum needs a window of 1 bar or more and leave below enter",
                             found=f"window={self.window} leave={self.leave} enter={self.enter}")  # fmt: skip

    @property
    def warmup(self) -> int:
        """Bars before the first rise is known."""
        return self.window

    def features(self, bars: "pd.DataFrame") -> "pd.DataFrame":
        """Return the rise over the window as `rise`, a fraction."""
        import pandas as pd

        rise = roc(bars["close"].to_numpy(), self.window) / 100
        return pd.DataFrame({"rise": rise}, index=bars.index, copy=False)

    def signals(self, frame: "pd.DataFrame") -> Signals:
        """Return 1 from `enter` up, 0 from `leave` down, NaN (hold) between and while the rise is not known."""
        rise = frame["rise"].to_numpy()
        return Signals(np.select([rise >= self.enter, rise <= self.leave], [1.0, 0.0], np.nan))
