"""Cointegration of two series by Engle and Granger: hedge ratio, spread and test, at each row from a window of rows before it.

The test is Dickey and Fuller's on the residuals of the regression, with the critical values for *estimated* residuals (MacKinnon
2010, two series, constant). Those for a series as it stands would find pairs that are none: -2.86 instead of -3.34 at 5 %. Two
series that are one and the same but for rounding are no pair.

Each row's sums run over its own window alone, in one order, so a value has the same bits wherever the history begins.
"""

from typing import NamedTuple

import numpy as np

from atb.errors import InputError
from atb.features.indicators import Array

_SURFACE = {
    1: (-3.89644, -10.9519, -33.527),
    5: (-3.33613, -6.1101, -6.823),
    10: (-3.04445, -4.2412, -2.720),
}
PERCENTS = tuple(_SURFACE)
_SAME = 1e-6  # share of the variance left unexplained by a series that is the other one but for rounding
_BLOCK = 2**15  # values of a window's rows that are worked on at a time


class Pair(NamedTuple):
    """Columns of a pair, each row estimated from the rows before it; NaN where a value is missing or the two are no pair.

    `hedge` is the slope of the first on the second, `score` the row's own distance from the line in standard deviations of the
    residuals, `statistic` that of the test: the lower, the surer that the distance closes.
    """

    hedge: Array
    score: Array
    statistic: Array


def critical_value(percent: int, n: int) -> float:
    """Return the value below which the statistic of `n` + 1 rows is significant at 1, 5 or 10 percent.

    Raises
    ------
    InputError
        If the level is another.
    """
    if percent not in _SURFACE:
        raise InputError("The critical values are of 1, 5 and 10 percent", found=percent)
    at_infinity, first, second = _SURFACE[percent]
    return at_infinity + first / n + second / n**2


def engle_granger(first: Array, second: Array, *, lags: int = 0) -> float:
    """Return the test's statistic over whole series: `first` regressed on `second`, residuals with `lags` of their own changes.

    -inf where one series is the other but for rounding.
    """
    _check_window(len(first), lags)
    residual, share, _, _ = _line(first[None], second[None])
    return -np.inf if share[0] < _SAME else float(_dickey_fuller(residual, lags)[0])


def rolling_pair(first: Array, second: Array, window: int, *, lags: int = 0) -> Pair:
    """Return hedge ratio, score and statistic at each row, estimated from the `window` rows before it.

    Parameters
    ----------
    first, second
        Log prices at the same times; NaN where one is missing.
    lags
        Changes of the residuals that the test takes into account.
    """
    _check_window(window, lags)
    found = Pair(*(np.full(len(first), np.nan) for _ in range(3)))
    step = max(1, _BLOCK // window)
    for begin in range(window, len(first), step):
        rows = slice(begin, min(begin + step, len(first)))
        for column, values in zip(found, _estimated(first, second, rows, window=window, lags=lags), strict=True):
            column[rows] = values
    return found


def _check_window(n: int, lags: int) -> None:
    if lags < 0 or n < 2 * lags + 10:
        raise InputError(
            "The test needs lags of 0 or more, and 10 rows more than twice as many", found=f"{n} rows, {lags} lags"
        )


def _estimated(first: Array, second: Array, rows: slice, *, window: int, lags: int) -> tuple[Array, Array, Array]:
    """Return the three columns at some rows."""
    y, x = (_windows(series, rows, window) for series in (first, second))
    residual, share, hedge, level = _line(y, x)
    deviation = np.sqrt(_total(residual * residual) / (window - 2))
    with np.errstate(divide="ignore", invalid="ignore"):
        score = (first[rows] - level - hedge * second[rows]) / deviation
        statistic = _dickey_fuller(residual, lags)
    none = ~(share >= _SAME)  # a NaN is none either
    for column in (hedge, score, statistic):
        column[none] = np.nan
    return hedge, score, statistic


def _windows(series: Array, rows: slice, window: int) -> Array:
    """Return for each row the `window` values before it, (rows, window), in memory of their own."""
    before = np.lib.stride_tricks.sliding_window_view(series, window)
    return np.ascontiguousarray(before[rows.start - window : rows.stop - window])


def _total(values: Array) -> Array:
    return np.asarray(np.add.reduce(values, axis=1))


def _line(y: Array, x: Array) -> tuple[Array, Array, Array, Array]:
    """Return residuals, unexplained share of the variance, slope and level of `y` on `x`, for each row of windows."""
    n = y.shape[1]
    mean_y, mean_x = _total(y) / n, _total(x) / n
    apart_y, apart_x = y - mean_y[:, None], x - mean_x[:, None]
    with np.errstate(divide="ignore", invalid="ignore"):
        slope = _total(apart_y * apart_x) / _total(apart_x * apart_x)
        residual = apart_y - slope[:, None] * apart_x
        share = _total(residual * residual) / _total(apart_y * apart_y)
    return residual, share, slope, mean_y - slope * mean_x


def _dickey_fuller(residual: Array, lags: int) -> Array:
    """Return the t statistic of the last residual in the regression of its change, beside `lags` changes before it.

    By Frisch and Waugh: the lagged changes are taken out of both, one orthogonal direction after the other.
    """
    change = np.diff(residual, axis=1)
    rows = change.shape[1] - lags
    directions: list[Array] = []
    for lag in range(1, lags + 1):
        lagged = _without(change[:, lags - lag : lags - lag + rows], directions)
        with np.errstate(divide="ignore", invalid="ignore"):
            directions.append(lagged / np.sqrt(_total(lagged * lagged))[:, None])
    target, level = (_without(part, directions) for part in (change[:, lags:], residual[:, lags:-1]))
    squares = _total(level * level)
    with np.errstate(divide="ignore", invalid="ignore"):
        slope = _total(level * target) / squares
        left = target - slope[:, None] * level
        variance = _total(left * left) / (rows - lags - 1)
        return np.asarray(slope / np.sqrt(variance / squares))


def _without(values: Array, directions: list[Array]) -> Array:
    left = np.ascontiguousarray(values)
    for direction in directions:
        left = left - _total(left * direction)[:, None] * direction
    return left
