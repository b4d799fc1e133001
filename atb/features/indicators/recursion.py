"""Averages that remember everything a little: TA-Lib's exponential and Wilder's, and steps of our own, settled at a standstill.

A recursive average never quite reaches a price that stands still: it stops some last bits above or below, by where it came
from, or shrinks towards zero for thousands of bars. What it then differs by from the price, or from another average, is the memory
of a history that a runner never saw. So it counts as having arrived once it is nearer than one part in 10^10 of the largest value
that it could still remember, and it always has when all these values are equal.
"""

from collections import deque
from collections.abc import Callable
from typing import Any

import numpy as np

from atb.features.indicators.columns import STILL, maximum, where
from atb.features.indicators.library import library
from atb.features.indicators.live import NAN, Live, derived
from atb.features.indicators.windows import highest, lowest

SETTLED = 20  # spans after which a recursive indicator has forgotten its seed (measured: 3e-16 for Wilder's, 0 for EMA)
ARRIVED = 1e-10


def exponential(x: Any, n: int) -> Any:
    """Return the exponential average of span `n` (alpha = 2 / (n + 1)), seeded with the mean of the first `n` values."""
    return settled(library("EMA", x, timeperiod=n) if n > 1 else x, x, SETTLED * n)


def wilder(x: Any, n: int) -> Any:
    """Return Wilder's average (alpha = 1 / n), seeded with the mean of the first `n` values."""
    return settled(library("RMA", x, timeperiod=n) if n > 1 else x, x, wilder_memory(n))


def wilder_memory(n: int) -> int:
    """Return the rows after which Wilder's average over `n` has forgotten its seed: it is exponential of span 2 n - 1."""
    return SETTLED * (2 * n - 1)


def settled(average: Any, x: Any, memory: int) -> Any:
    """Return a recursive average of `x`, and `x` itself where the average has arrived at it."""
    if isinstance(x, Live):
        return derived(_Settled(memory), average, x)
    gap = abs(average - x)
    if not _may_have_arrived(gap, x):
        return average
    high, low = highest(x, memory), lowest(x, memory)
    arrived = (gap <= maximum(high, -low) * ARRIVED) | (high == low)
    return where(arrived, x, average)


def _may_have_arrived(gap: Any, x: Any) -> bool:
    """Tell whether any row could have: for most histories none, which saves the search for the largest values."""
    largest = np.fmax.reduce(abs(x), initial=0.0)
    return bool(((gap > 0) & (gap <= largest * ARRIVED)).any())


class _Settled:
    """The live form: it searches the remembered values only where the average may have arrived."""

    def __init__(self, memory: int) -> None:
        self._kept: deque[float] = deque(maxlen=memory)
        self._memory, self._largest = memory, 0.0

    def __call__(self, average: float, value: float) -> float:
        if value != value:  # noqa: PLR0124 - NaN
            return average
        self._kept.append(value)
        self._largest = max(self._largest, abs(value))
        gap = abs(average - value)
        if not 0.0 < gap <= self._largest * ARRIVED or len(self._kept) < self._memory:
            return average
        high, low = max(self._kept), min(self._kept)
        return value if gap <= max(high, -low) * ARRIVED or high == low else average


def scan(step: Callable[..., tuple[Any, float]], start: Any, *columns: Any) -> Any:
    """Return the results of `step(state, *row)`, which gives the next state and a result, from the first row without NaN on."""
    if isinstance(columns[0], Live):
        return derived(_Scan(step, start), *columns)
    scanned = _Scan(step, start)
    return np.array(
        [scanned(*row) for row in zip(*(column.tolist() for column in columns), strict=True)], dtype=np.float64
    )


class _Scan:
    def __init__(self, step: Callable[..., tuple[Any, float]], start: Any) -> None:
        self._step, self._state = step, start

    def __call__(self, *row: float) -> float:
        if any(value != value for value in row):  # noqa: PLR0124
            return NAN
        self._state, result = self._step(self._state, *row)
        return result


def still(moved: Any, x: Any, memory: int) -> Any:
    """Return the movement of `x` that counts as none: STILL of the largest of its last `memory` values; 0 if none is so small.

    `moved` is an average movement. Its parts shrink alike at a standstill, and their ratio would be of a market long gone.
    """
    if isinstance(x, Live):
        return derived(_Still(memory), moved, x)
    if not (moved <= np.fmax.reduce(abs(x), initial=0.0) * STILL).any():
        return 0.0
    largest = maximum(highest(x, memory), -lowest(x, memory))
    return np.where(np.isnan(largest), 0.0, largest * STILL)


class _Still:
    """The live form: it searches the remembered values only where the movement may be none."""

    def __init__(self, memory: int) -> None:
        self._kept: deque[float] = deque(maxlen=memory)
        self._memory, self._largest = memory, 0.0

    def __call__(self, moved: float, value: float) -> float:
        if value != value:  # noqa: PLR0124 - NaN
            return 0.0
        self._kept.append(value)
        self._largest = max(self._largest, abs(value))
        if not moved <= self._largest * STILL or len(self._kept) < self._memory:
            return 0.0
        high, low = max(self._kept), min(self._kept)
        return max(high, -low) * STILL
