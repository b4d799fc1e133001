"""A result by calendar day, UTC: equity at each day's last close, and the return of each day, also of days without a bar."""

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from atb.backtest import Result
from atb.times import DAY_MS
from atb.trials.days import DayGrid, day_returns

Floats = NDArray[np.floating[Any]]
DAYS_A_YEAR = 365.0


def daily_equity(result: Result, equity: Floats | None = None) -> "pd.Series[float]":
    """Return account value at the last close of every day from the first to the last; on a day without a bar the value before.

    Parameters
    ----------
    result
        The result of a backtest.
    equity
        (C,) another curve at the same closes, such as that of holding; None for the result's own.
    """
    values = result.equity.to_numpy(dtype=np.float64) if equity is None else equity
    grid = DayGrid.of(result.inputs.closes)
    every = np.arange(grid.days[0], grid.days[-1] + 1)
    rows = grid.rows[np.searchsorted(grid.days, every, side="right") - 1]
    return pd.Series(
        values[rows], index=pd.DatetimeIndex(pd.to_datetime(every * DAY_MS, unit="ms", utc=True), name="day")
    )


def daily_returns(result: Result, equity: Floats | None = None) -> "pd.Series[float]":
    """Return each day's return as a fraction, the first from the starting cash; 0 once nothing is left."""
    values = daily_equity(result, equity)
    returns = day_returns(np.asarray(values, dtype=np.float64)[None], result.inputs.account.cash)[0]
    return pd.Series(returns, index=values.index)


def moving_sharpe(returns: Floats, window: int) -> tuple[Floats, Floats]:
    """Return the Sharpe ratio (a year) of the last `window` daily returns at each day from the first full one, and its error.

    Sample deviation (n - 1); NaN where returns did not vary. The error is that of independent returns (Lo 2002):
    sqrt((1 + SR^2 / 2) / n) per day, times the root of 365.
    """
    views: Floats = np.lib.stride_tricks.sliding_window_view(returns, window)
    mean, deviation = views.mean(axis=1), views.std(axis=1, ddof=1)
    still = deviation <= 8 * np.finfo(float).eps * np.abs(mean)  # rounding is no variation
    with np.errstate(divide="ignore", invalid="ignore"):
        per_day = np.where(still, np.nan, mean / np.where(still, 1.0, deviation))
    error = np.sqrt((1 + per_day**2 / 2) / window)
    return per_day * np.sqrt(DAYS_A_YEAR), error * np.sqrt(DAYS_A_YEAR)
