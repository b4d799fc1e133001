"""Hold: always long; the baseline that every strategy must beat."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from atb.domain.signals import Signals

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, slots=True)
class Hold:
    """Buys at the first open and keeps it, under the same rules and costs as any strategy; give it no stop."""

    name: ClassVar[str] = "hold"
    predicts: ClassVar[bool] = False
    question: ClassVar[str] = "What would doing nothing have earned?"

    @property
    def warmup(self) -> int:
        """0: it looks at nothing."""
        return 0

    def features(self, bars: "pd.DataFrame") -> "pd.DataFrame":
        """Return no columns."""
        return bars[[]]

    def signals(self, frame: "pd.DataFrame") -> Signals:
        """Return 1 at every bar."""
        return Signals(np.ones(len(frame)))
