"""Statistics of the last n rows that depend on these n rows alone, bit by bit, whatever came before.

Running sums, TA-Lib's too, keep a rounding error of everything that ever passed through them: two averages of a price that
stands still are then apart by where the history starts, and one that is above the other in a backtest is below it in a runner. Here
the statistic of a window is put together from those of parts of 1, 2, 4, 8... rows, always in the same order: log n steps for all
windows of a column, and as many for a live row. Moments are merged as mean and squared deviations from it (Chan, Golub, LeVeque
1979): they do not cancel where the level dwarfs the spread, and the spread of equal values is exactly 0.
"""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from atb.features.indicators.columns import Array, lag, maximum, quotient
from atb.features.indicators.library import library, parts
from atb.features.indicators.live import NAN, Live, derived

_BLOCK = 8_192  # rows computed at once: they stay in the processor's cache
Statistic = tuple[Any, ...]
Merge = Callable[[Statistic, Statistic, int, int], Statistic]  # older part, newer part, rows of each


def window_sum(x: Any, n: int) -> Any:
    """Return the sum of the last `n` values."""
    if isinstance(x, Live):
        return derived(_Sums(n), x)
    return _window_sums(x, (n,))[0]


def mean(x: Any, n: int) -> Any:
    """Return the mean of the last `n` values; of equal values exactly their value."""
    return means(x, (n,))[0]


def means(x: Any, windows: Sequence[int]) -> list[Any]:
    """Return the mean of the last values for each of several numbers of rows; their windows share their parts."""
    if isinstance(x, Live):
        return [derived(_Means(n), x) for n in windows]
    columns, same = _window_sums(x, windows), np.flatnonzero(x[1:] == x[:-1])
    for n, column in zip(windows, columns, strict=True):
        np.divide(column, n, out=column)
        for first, end in _equal_runs(same, n):
            column[first + n - 1 : end] = x[first]
    return columns


def moments(x: Any, n: int) -> tuple[Any, Any]:
    """Return mean and population variance of the last `n` values."""
    level, squares = folded(_moments, n, x, _nought(x))
    return level, squares / n


def comoments(x: Any, y: Any, n: int) -> tuple[Any, Any, Any]:
    """Return the population variances of `x` and of `y` and their covariance, over the last `n` values."""
    nought = _nought(x) + _nought(y)
    _, _, of_x, of_y, both = folded(_comoments, n, x, y, nought, nought, nought)
    return of_x / n, of_y / n, both / n


def line(x: Any, n: int) -> tuple[Any, Any, Any]:
    """Return mean, slope per row and residual variance of the least-squares line through the last `n` values, n >= 2."""
    nought = _nought(x)
    level, squares, products = folded(_trend, n, x, nought, nought)
    slope = products * (12.0 / (n * (n * n - 1.0)))
    residual = maximum((squares - slope * products) / n, 0.0)
    return level, slope, residual


def weighted_mean(x: Any, weight: Any, n: int) -> Any:
    """Return the mean of the last `n` values by weight (>= 0); where all weigh nothing, the newest value."""
    return folded(_weighted, n, x, weight)[0]


def highest(x: Any, n: int) -> Any:
    """Return the largest of the last `n` values."""
    return x if n == 1 else library("MAX", x, timeperiod=n)


def lowest(x: Any, n: int) -> Any:
    """Return the smallest of the last `n` values."""
    return x if n == 1 else library("MIN", x, timeperiod=n)


def mean_deviation(x: Any, level: Any, n: int) -> Any:
    """Return the mean distance of the last `n` values from the newest `level`."""
    if isinstance(x, Live):
        return derived(_Distances(n), x, level) / n
    total = np.zeros(len(x))
    for rows in range(n):
        total = total + abs(lag(x, rows) - level)
    return total / n


def rank(x: Any, n: int) -> Any:
    """Return the part of the `n` values before that are below the newest, those equal to it counted half; 0 to 1."""
    if isinstance(x, Live):
        return derived(_Rank(n), x)
    below = np.zeros(len(x))
    for rows in range(1, n + 1):
        below = below + np.sign(x - lag(x, rows))
    return (below / n + 1.0) / 2.0


def folded(merge: Merge, n: int, *columns: Any) -> Statistic:
    """Return the statistic of the last `n` rows, whose parts for one row are the `columns`."""
    if isinstance(columns[0], Live):
        return parts(derived(_Fold(merge, n, len(columns)), *columns), len(columns))
    rows = len(columns[0])
    found = tuple(np.full(rows, np.nan) for _ in columns)
    for first in range(0, rows - n + 1, _BLOCK):
        block = tuple(column[first : first + _BLOCK + n - 1] for column in columns)
        for column, made in zip(found, _fold(merge, n, block), strict=True):
            column[first + n - 1 : first + len(block[0])] = made
    return found


def _fold(merge: Merge, n: int, block: Statistic) -> Statistic:
    """Return the statistics of all windows of a block; a part is placed where its oldest row is."""
    part, length, total, covered = block, 1, block, 0
    while True:
        if n & length:
            total = merge(_cut(part, 0, covered), _cut(total, length, 0), length, covered) if covered else part
            covered += length
        if covered == n:
            return total
        part, length = merge(_cut(part, 0, length), _cut(part, length, 0), length, length), 2 * length


def _cut(statistic: Statistic, first: int, last: int) -> Statistic:
    return tuple(each[first : len(each) - last] for each in statistic)


class _Fold:
    """The live form: for each length of a part, those that lie far enough back to be merged with newer ones."""

    def __init__(self, merge: Merge, n: int, width: int) -> None:
        self._merge, self._n = merge, n
        self._levels = _levels(n, (NAN,) * width)

    def __call__(self, *part: Any) -> Statistic:
        total, merge = part, self._merge
        for length, covered, taken, older in self._levels:
            if taken is not None:
                taken.append(part)
                total = merge(taken[0], total, length, covered) if covered else part
            if older is not None:
                older.append(part)
                part = merge(older[0], part, length, length)
        return total


def _levels(n: int, empty: Any) -> list[tuple[int, int, deque[Any] | None, deque[Any] | None]]:
    """Return for each length of a part the rows covered before it, and the parts kept to be merged with these and the next."""
    levels, covered, length = [], 0, 1
    while covered < n:
        takes, goes_on = bool(n & length), covered + (n & length) < n
        taken = deque([empty] * covered, maxlen=covered + 1) if takes else None
        levels.append((length, covered, taken, deque([empty] * length, maxlen=length + 1) if goes_on else None))
        covered, length = covered + (n & length), 2 * length
    return levels


class _Sums:
    """The live form of `_sums`."""

    def __init__(self, n: int) -> None:
        self._levels = [(covered, taken, older) for _, covered, taken, older in _levels(n, NAN)]

    def __call__(self, part: float) -> float:
        total = part
        for covered, taken, older in self._levels:
            if taken is not None:
                taken.append(part)
                total = total + taken[0] if covered else part
            if older is not None:
                older.append(part)
                part += older[0]
        return total


def _moments(older: Statistic, newer: Statistic, n: int, m: int) -> Statistic:
    apart = newer[0] - older[0]
    return older[0] + apart * (m / (n + m)), older[1] + newer[1] + apart * apart * (n * m / (n + m))


def _comoments(older: Statistic, newer: Statistic, n: int, m: int) -> Statistic:
    apart_x, apart_y = newer[0] - older[0], newer[1] - older[1]
    share, pairs = m / (n + m), n * m / (n + m)
    return (
        older[0] + apart_x * share,
        older[1] + apart_y * share,
        older[2] + newer[2] + apart_x * apart_x * pairs,
        older[3] + newer[3] + apart_y * apart_y * pairs,
        older[4] + newer[4] + apart_x * apart_y * pairs,
    )


def _trend(older: Statistic, newer: Statistic, n: int, m: int) -> Statistic:
    """Merge mean, squared deviations, and products of the deviations of value and row; the parts' middle rows are given."""
    apart, pairs = newer[0] - older[0], n * m / (n + m)
    return (
        older[0] + apart * (m / (n + m)),
        older[1] + newer[1] + apart * apart * pairs,
        older[2] + newer[2] + apart * (pairs * (n + m) / 2),
    )


def _weighted(older: Statistic, newer: Statistic, _: int, __: int) -> Statistic:
    weight = older[1] + newer[1]
    return older[0] + (newer[0] - older[0]) * quotient(newer[1], weight, 1.0), weight


def _nought(x: Any) -> Any:
    return abs(x) * 0.0


def _window_sums(x: Array, windows: Sequence[int]) -> list[Array]:
    """Return the sum of the last values at each row, for each number of rows."""
    columns = {n: np.full(len(x), np.nan) for n in windows}
    filled = [n for n in windows if n <= len(x)]
    most = max(filled, default=1)
    for first in range(0, len(x) - most + 1, _BLOCK):
        block = x[first : first + _BLOCK + most - 1]
        for n, sums in zip(filled, _sums(block, filled), strict=True):
            columns[n][first + n - 1 : first + len(block)] = sums
    return [columns[n] for n in windows]


def _sums(x: Array, windows: Sequence[int]) -> Iterator[Array]:
    """Yield the sum of each `n` values that follow each other, for each `n`, out of sums of 1, 2, 4, 8... values."""
    powers = [x]  # of 2 ** i values
    for n in windows:
        while 2 ** len(powers) <= n:
            last, length = powers[-1], 2 ** (len(powers) - 1)
            powers.append(last[length:] + last[: len(last) - length])
        total, summed = x, 0
        for power, part in enumerate(powers):
            if n & 2**power:
                total = total[2**power :] + part[: len(part) - summed] if summed else part
                summed += 2**power
        yield total


def _equal_runs(same: Any, n: int) -> list[tuple[int, int]]:
    """Return first row and end of each run of `n` or more equal values, from the rows that the next one equals."""
    if n < 2 or len(same) < n - 1:
        return []
    breaks = np.flatnonzero(np.diff(same) > 1)
    firsts, lasts = np.r_[0, breaks + 1], np.r_[breaks, len(same) - 1]
    enough = lasts - firsts >= n - 2
    ends = same[lasts[enough]] + 2
    return list(zip(same[firsts[enough]].tolist(), ends.tolist(), strict=True))


class _Means:
    """The live form of `mean`: the newest value if the last `n` were equal to it, else their sum by their number."""

    def __init__(self, n: int) -> None:
        self._n, self._run, self._last = n, 0, NAN
        self._sums = _Sums(n)

    def __call__(self, value: float) -> float:
        self._run = self._run + 1 if value == self._last else 1
        self._last = value
        total = self._sums(value)
        return value if self._run >= self._n else total / self._n


class _Distances:
    def __init__(self, n: int) -> None:
        self._kept = deque([NAN] * n, maxlen=n)

    def __call__(self, value: float, level: float) -> float:
        self._kept.append(value)
        total = 0.0
        for each in reversed(self._kept):
            total += abs(each - level)
        return total


class _Rank:
    def __init__(self, n: int) -> None:
        self._kept, self._n = deque([NAN] * n, maxlen=n), n

    def __call__(self, value: float) -> float:
        below = sum((value > each) - (value < each) if each == each else NAN for each in self._kept)  # noqa: PLR0124
        self._kept.append(value)
        return (below / self._n + 1.0) / 2.0
