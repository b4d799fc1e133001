"""Arithmetic over columns, the same for arrays and for live columns; a row depends on itself and on rows before it.

NaN in, NaN out: a column that is still warming up makes what is computed from it wait too.
"""

import math
from collections import deque
from typing import Any

import numpy as np
from numpy.typing import NDArray

from atb.errors import InputError
from atb.features.indicators.live import NAN, Live, derived

Array = NDArray[np.float64]
STILL = 1e-9  # an average movement below this part of the price is none


def lag(x: Any, n: int) -> Any:
    """Return the value `n` rows before, NaN in the first `n` rows."""
    if n == 0:
        return x
    if isinstance(x, Live):
        return derived(Delay(n), x)
    earlier = np.full(len(x), np.nan)
    earlier[n:] = x[:-n]
    return earlier


class Delay:
    """Keeps values; each call takes the newest and returns the one `n` calls before, at first `empty`."""

    def __init__(self, n: int, empty: Any = NAN) -> None:
        self._kept = deque([empty] * n, maxlen=n + 1)

    def __call__(self, value: Any) -> Any:
        """Keep `value`, and return the one `n` calls before."""
        self._kept.append(value)
        return self._kept[0]


def change(x: Any, n: int = 1) -> Any:
    """Return x[t] - x[t-n], NaN in the first `n` rows."""
    return x - lag(x, n)


def where(condition: Any, yes: Any, no: Any) -> Any:
    """Return `yes` where the condition holds, else `no`."""
    if isinstance(condition, Live):
        return derived(lambda held, a, b: a if held else b, condition, yes, no)
    return np.where(condition, yes, no)


def maximum(a: Any, b: Any) -> Any:
    """Return the larger of two values, NaN if one of them is NaN."""
    if isinstance(a, Live) or isinstance(b, Live):
        return derived(lambda x, y: x if x >= y or x != x else y, a, b)  # noqa: PLR0124
    return np.maximum(a, b)


def minimum(a: Any, b: Any) -> Any:
    """Return the smaller of two values, NaN if one of them is NaN."""
    if isinstance(a, Live) or isinstance(b, Live):
        return derived(lambda x, y: x if x <= y or x != x else y, a, b)  # noqa: PLR0124
    return np.minimum(a, b)


def clip(x: Any, low: float, high: float) -> Any:
    """Return `x` within the limits."""
    return minimum(maximum(x, low), high)


def sign(x: Any) -> Any:
    """Return 1, 0 or -1."""
    if isinstance(x, Live):
        return derived(lambda v: v if v != v else float((v > 0) - (v < 0)), x)  # noqa: PLR0124
    return np.sign(x)


def sqrt(x: Any) -> Any:
    """Return the square root; below 0, where only rounding gets to, 0."""
    if isinstance(x, Live):
        return derived(lambda v: math.sqrt(v) if v > 0 else (0.0 if v <= 0 else NAN), x)
    return np.where(np.isnan(x), x, np.sqrt(np.where(x > 0, x, 0.0)))


def log(x: Any) -> Any:
    """Return the natural logarithm.

    Raises
    ------
    InputError
        If a value is not above 0.
    """
    if isinstance(x, Live):
        return derived(_log, x)
    if (low := x <= 0.0).any():
        raise _no_logarithm(float(x[low][0]))
    return np.log(x)


def _log(x: float) -> float:
    if x <= 0.0:
        raise _no_logarithm(x)
    return float(np.log(x))


def _no_logarithm(found: float) -> InputError:
    return InputError("A logarithm needs values above 0", found=found, todo="Prices of 0 are holes: repair them")


def held(x: Any, unchanged: Any) -> Any:
    """Return `x`, and where it is unchanged the value before: rounding alone would move a ratio whose parts shrink alike."""
    if isinstance(x, Live):
        return derived(_Held(), x, unchanged)
    rows, first = np.arange(len(x)), int(np.isnan(x).sum())
    kept = np.where(unchanged & (rows > first), 0, rows)
    return x[np.maximum.accumulate(kept)]


class _Held:
    def __init__(self) -> None:
        self._value = NAN

    def __call__(self, value: float, unchanged: bool) -> float:
        if not unchanged or self._value != self._value:
            self._value = value
        return self._value


def cycle(x: Any, period: float) -> tuple[Any, Any]:
    """Return sine and cosine of where `x` (0 or more) is in the period: a point on a circle that has no end of the year."""
    angle = (x % period) * (2.0 * math.pi / period)
    if isinstance(x, Live):
        return derived(lambda v: float(np.sin(v)), angle), derived(lambda v: float(np.cos(v)), angle)
    return np.sin(angle), np.cos(angle)


def quotient(above: Any, below: Any, otherwise: float, least: Any = 0.0) -> Any:
    """Return above / below; `otherwise` where `below` is not above `least`, which is never under 0."""
    if any(isinstance(each, Live) for each in (above, below, least)):
        return derived(lambda a, b, limit: _quotient(a, b, limit, otherwise), above, below, least)
    if isinstance(below, float):
        return _quotient(above, below, least, otherwise)
    nothing = (below <= least) | (below == 0)
    held = np.where(np.isnan(above), np.nan, otherwise)
    out = held if held.shape == nothing.shape else np.broadcast_to(held, nothing.shape).copy()
    return np.divide(above, below, out=out, where=~nothing)


def _quotient(above: float, below: float, least: float, otherwise: float) -> float:
    if below <= least or below == 0:
        return otherwise if above == above else NAN  # noqa: PLR0124
    return above / below


def delayed(x: Any, n: int) -> Any:
    """Return `x` with its first `n` numbers left out: a recursive average then starts that much later."""
    if isinstance(x, Live):
        return derived(_Delayed(n), x)
    first = n + int(np.isnan(x).sum())
    return np.concatenate([np.full(min(first, len(x)), np.nan), x[first:]])


class _Delayed:
    def __init__(self, n: int) -> None:
        self._left = n

    def __call__(self, value: float) -> float:
        if value == value and self._left > 0:  # noqa: PLR0124
            self._left -= 1
            return NAN
        return value
