"""Measures that several strategies share: signals by a model's odds, the regime they switch by, warm-up of usual indicators."""

from typing import TYPE_CHECKING

import numpy as np

from atb.domain.signals import Signals
from atb.errors import InputError, did_you_mean
from atb.features.indicators import INDICATORS
from atb.features.regimes import PRESETS, TrendVolatility

if TYPE_CHECKING:
    import pandas as pd

    from atb.features.indicators import Array


def odds_signals(frame: "pd.DataFrame", enter: "float | Array", leave: "float | Array") -> Signals:
    """Return 1 where the odds of a rise are at or above `enter`, 0 at or below `leave`, NaN (hold) elsewhere.

    Parameters
    ----------
    frame
        With the column `prediction`, probabilities; where it is NaN there is no signal.
    enter, leave
        Probabilities, one for all rows or one per row; a NaN is no threshold: nothing reaches it.

    Notes
    -----
    Confidence is the distance from an even chance, 0 at 0.5 and 1 at certainty; 0 where there is no prediction.
    """
    odds = frame["prediction"].to_numpy(dtype=np.float64)
    side = np.where(odds >= enter, 1.0, np.where(odds <= leave, 0.0, np.nan))
    return Signals(side=side, confidence=np.nan_to_num(2 * np.abs(odds - 0.5), nan=0.0))


def market_regime(preset: str) -> TrendVolatility:
    """Return the regime whose thresholds suit a timeframe: `1h`, `4h` or `1d`.

    Raises
    ------
    InputError
        If there is none of this name.
    """
    if preset not in PRESETS:
        raise InputError("No regime of this name", found=preset, todo=did_you_mean(str(preset), PRESETS))
    return PRESETS[preset]


def settled(*names: str) -> int:
    """Return the bars after which all of these indicators have settled, each with its usual periods."""
    return max(INDICATORS[name].warmup(**INDICATORS[name].example) for name in names)
