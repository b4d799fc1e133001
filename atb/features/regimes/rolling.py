"""Rolling statistics whose bits depend on their window alone: the same n values give the same result, whatever came before.

Each is added up offset by offset, for all rows at once: no running sum that keeps a rounding error of the past, and no matrix
product whose order of addition depends on the number of rows.
"""

import numpy as np

from atb.features.indicators import Array, sma

_EQUAL = 1e-12  # spread of values that are equal but for rounding, in units of their mean


def leading(x: Array) -> int:
    """Return how many values are missing before the first one."""
    missing = np.isnan(x)
    return len(x) if missing.all() else int(np.argmin(missing))


def regression(x: Array, n: int) -> tuple[Array, Array]:
    """Return slope and R squared of the least-squares line through the last `n` values; NaN until there are so many.

    The slope is in the unit of `x` per bar. Equal values give a slope and an R squared of exactly 0.
    """
    slope, fit = np.full(len(x), np.nan), np.full(len(x), np.nan)
    rows = len(x) - n + 1
    if rows < 1:
        return slope, fit
    last = x[n - 1 :]
    moment, total, squares = np.zeros(rows), np.zeros(rows), np.zeros(rows)
    for i in range(n // 2):  # weights are odd about the middle: pairs of values, so that equal ones cancel exactly
        moment += ((n - 1) / 2 - i) * (x[n - 1 - i : len(x) - i] - x[i : i + rows])
    for i in range(n - 1):
        apart = x[i : i + rows] - last
        total += apart
        squares += apart * apart
    spread = n * (n * n - 1) / 12
    variation = squares - total * total / n
    slope[n - 1 :] = moment / spread
    explained = np.divide(moment * moment / spread, variation, out=np.zeros(rows), where=variation > 0)
    fit[n - 1 :] = np.clip(explained, 0.0, 1.0)
    return slope, fit


def percentile(x: Array, n: int) -> Array:
    """Return the share, 0 to 1, of the `n` - 1 values before that are below the newest one; NaN until there are so many."""
    share = np.full(len(x), np.nan)
    rows = len(x) - n + 1
    if rows < 1:
        return share
    below, last = np.zeros(rows), x[n - 1 :]
    for i in range(n - 1):
        below += x[i : i + rows] < last
    share[n - 1 :] = below / (n - 1)
    share[: leading(x) + n - 1] = np.nan
    return share


def z_score(x: Array, n: int) -> Array:
    """Return the newest value less the mean of the last `n`, in their population standard deviations; 0 if all are equal."""
    scores = np.full(len(x), np.nan)
    mean = sma(x, n)
    rows = len(x) - n + 1
    if rows < 1:
        return scores
    squares = np.zeros(rows)
    for i in range(n):
        squares += (x[i : i + rows] - mean[n - 1 :]) ** 2
    deviation = np.sqrt(squares / n)
    apart = x[n - 1 :] - mean[n - 1 :]
    scores[n - 1 :] = np.divide(
        apart, deviation, out=np.zeros(rows), where=~(deviation <= _EQUAL * np.abs(mean[n - 1 :]))
    )
    return scores


def relative_range(high: Array, low: Array, close: Array, *, n: int) -> Array:
    """Return the mean true range of the last `n` bars as a fraction of the close; NaN in the first `n` rows."""
    before = close[:-1]
    true_range = np.full(len(close), np.nan)
    true_range[1:] = np.maximum(high[1:], before) - np.minimum(low[1:], before)
    return np.asarray(sma(true_range, n) / close)
