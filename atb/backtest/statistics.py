"""Drawdowns of an equity curve, for figures that draw them; figures of merit come from the kernel's sums, in `metrics`."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating[Any]]


def drawdowns(equity: Floats, cash: float) -> Floats:
    """Return the fraction lost since the highest equity so far, starting cash included; values in [0, 1]."""
    peak = np.maximum(np.maximum.accumulate(equity), cash)
    return np.asarray(1.0 - equity / peak, dtype=np.float64)
