"""Labels: what a model learns to foresee. The only module that looks ahead, and only training calls it."""

import numpy as np
from numpy.typing import NDArray

from atb.domain import Bars
from atb.errors import InputError
from atb.prediction.inference import Array


def forward_returns(bars: Bars, horizon: int) -> Array:
    """Return log(close[t + horizon] / close[t]) for each row t.

    NaN where the window t+1 .. t+horizon reaches beyond the data, or across a hole in the bars: a return over more time
    than the horizon is another quantity.

    Raises
    ------
    InputError
        If `horizon` is not a whole number of bars, at least 1.
    """
    if isinstance(horizon, bool) or not isinstance(horizon, int) or horizon < 1:
        raise InputError("A horizon is a whole number of bars, at least 1", found=horizon)
    log_close = np.log(bars.frame["close"].to_numpy(dtype=np.float64))
    forward = np.full(len(bars), np.nan)
    if len(bars) > horizon:
        forward[:-horizon] = log_close[horizon:] - log_close[:-horizon]
        forward[:-horizon][_bars_missing(bars, horizon)] = np.nan
    return forward


def labels(forward: Array) -> Array:
    """Return 1 where the forward return is above 0, 0 where it is not, NaN where it is unknown."""
    return np.where(np.isnan(forward), np.nan, (forward > 0).astype(np.float64))


def _bars_missing(bars: Bars, horizon: int) -> NDArray[np.bool_]:
    """Return which windows of `horizon` bars take longer than they should; months have no fixed length."""
    if bars.timeframe.unit == "M":
        return np.zeros(len(bars) - horizon, dtype=bool)
    elapsed = bars.opened_ms[horizon:] - bars.opened_ms[:-horizon]
    return np.asarray(elapsed != horizon * bars.timeframe.seconds * 1_000)
