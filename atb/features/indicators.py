"""Causal indicators: thin functions, mostly over TA-Lib, each with the warm-up after which its values can be trusted.

A column goes in as a Series or a float64 array and comes out as the same kind, as long, on the same index. Row t depends
on rows up to and including t. Values are NaN only while warming up. An input may itself start with NaN (it is another
indicator's output); a NaN or an infinity after its first value is refused, because TA-Lib would carry it to the last row
without a word.

*Warm-up* is the number of bars that must come before a row for its value to be trusted. An average over a finite window
of n bars needs n - 1. A recursive one (EMA, Wilder's smoothing) never quite forgets how it was seeded: after 20 times its
span the seed weighs less than one part in 10^9, and that is what it declares, though its first value comes much earlier.

Averages over a window are not TA-Lib's: its running sums keep a rounding error of everything that ever passed through them, so
that two averages of a price that stands still are apart by where the history starts, and one that is above the other in a
backtest is below it in a runner. Here a window is added up in an order that depends on its length alone: the same n values give
the same bits, whatever came before.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from atb.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

Array = NDArray[np.float64]
Column = TypeVar("Column", "pd.Series[float]", Array)

_MEMORY: ContextVar["OrderedDict[Any, Any] | None"] = ContextVar("indicators", default=None)
_REMEMBERED_BYTES = 64_000_000
_BLOCK = 8_192  # values

SETTLED = 20  # spans after which a recursive indicator has forgotten its seed (measured: 3e-16 for Wilder's, 0 for EMA)


def sma(x: Column, n: int) -> Column:
    """Return the simple moving average of the last `n` values, in the unit of `x`: of equal values, to the last bit, equal."""
    return _apply("SMA", x, timeperiod=_period(n))


def ema(x: Column, n: int) -> Column:
    """Return the exponential moving average of span `n` (alpha = 2 / (n + 1)), seeded with the first `n` values' mean."""
    return _apply("EMA", x, timeperiod=_period(n))


def stddev(x: Column, n: int) -> Column:
    """Return the population standard deviation of the last `n` values, in the unit of `x`.

    It is the mean of squares less the square of the mean, which cancels where the level dwarfs the spread: give it returns
    rather than prices.
    """
    return _apply("STDDEV", x, timeperiod=_period(n, least=2), nbdev=1.0)


def roc(x: Column, n: int) -> Column:
    """Return the rate of change over `n` bars in percent: 100 (x[t] / x[t-n] - 1); 0 where x[t-n] is 0."""
    return _apply("ROC", x, timeperiod=_period(n))


def rsi(x: Column, n: int = 14) -> Column:
    """Return Wilder's relative strength index, 0 to 100 (Wilder 1978); 0 where nothing has moved at all."""
    return _apply("RSI", x, timeperiod=_period(n, least=2))


def atr(high: Column, low: Column, close: Column, n: int = 14) -> Column:  # noqa: PLR0917 - three columns make one bar
    """Return Wilder's average true range, in price units (Wilder 1978); the first bar's range is not used."""
    return _apply("ATR", high, low, close, timeperiod=_period(n))


def bollinger_position(x: Column, n: int = 20, width: float = 2.0) -> Column:
    """Return where `x` lies between its Bollinger bands: 0 on the lower, 1 on the upper, 0.5 where they coincide.

    The bands are the simple moving average of `n` values -/+ `width` population standard deviations (Bollinger's %b).
    """
    if isinstance(width, bool) or not (np.isfinite(width) and width > 0):
        raise InputError("Bollinger bands need a width above 0 standard deviations", found=width)
    upper, _, lower = _talib("BBANDS", x, timeperiod=_period(n, least=2), nbdevup=float(width), nbdevdn=float(width))
    span = upper - lower
    position = np.divide(_array(x) - lower, span, out=np.full(len(span), 0.5), where=span > 0)
    return _like(x, np.where(np.isnan(span), np.nan, position))


def macd_histogram(x: Column, fast: int = 12, slow: int = 26, *, signal: int = 9) -> Column:
    """Return MACD less its signal line: EMA(fast) - EMA(slow), less that difference's EMA(signal); unit of `x`."""
    fast, slow, signal = _period(fast, least=2), _period(slow, least=2), _period(signal)
    if fast >= slow:
        raise InputError("MACD needs fast below slow", found=f"fast={fast} slow={slow}")
    return _like(x, _talib("MACD", x, fastperiod=fast, slowperiod=slow, signalperiod=signal)[2])


@dataclass(frozen=True, slots=True)
class Indicator:
    """An indicator as the contract suite sees it.

    Parameters
    ----------
    function
        Takes the columns of `inputs` in that order, then parameters by name.
    inputs
        Which columns of the bars it reads.
    warmup
        Parameters in, bars needed before a trusted value out.
    example
        Parameters the contract suite runs it with.
    """

    name: str
    function: Callable[..., Any]
    inputs: tuple[str, ...]
    warmup: Callable[..., int]
    example: Mapping[str, float] = field(default_factory=dict)


def _window(n: int, **_: float) -> int:
    return n - 1


def _smoothed(n: int) -> int:
    return SETTLED * n


def _wilder(n: int = 14) -> int:
    return SETTLED * (2 * n - 1)  # Wilder's smoothing over n is an EMA of span 2 n - 1


_REGISTERED = (
    Indicator("sma", sma, ("close",), _window, {"n": 24}),
    Indicator("ema", ema, ("close",), _smoothed, {"n": 24}),
    Indicator("stddev", stddev, ("close",), _window, {"n": 24}),
    Indicator("roc", roc, ("close",), lambda n: n, {"n": 10}),
    Indicator("rsi", rsi, ("close",), _wilder, {"n": 14}),
    Indicator("atr", atr, ("high", "low", "close"), _wilder, {"n": 14}),
    Indicator("bollinger_position", bollinger_position, ("close",), _window, {"n": 20, "width": 2.0}),
    Indicator("macd_histogram", macd_histogram, ("close",),
              lambda slow=26, signal=9, **_: SETTLED * (slow + signal), {"fast": 12, "slow": 26, "signal": 9}),
)  # fmt: skip
INDICATORS: dict[str, Indicator] = {indicator.name: indicator for indicator in _REGISTERED}


def _apply(function: str, first: Column, *others: Column, **parameters: float) -> Column:
    """Call a TA-Lib function of one output and return that output as the kind of column that came in."""
    return _like(first, _talib(function, first, *others, **parameters))


@contextmanager
def remembered() -> Iterator[None]:
    """Cache each indicator by input and parameters during a sweep; the oldest entries are dropped above 64 MB.

    Inputs are identified by their memory address and kept alive as long as their results.
    """
    token = _MEMORY.set(OrderedDict())
    try:
        yield
    finally:
        _MEMORY.reset(token)


def _talib(function: str, *columns: Column, **parameters: float) -> Any:
    memory = _MEMORY.get()
    if memory is None:
        return _computed(function, [_array(column) for column in columns], parameters)
    inputs: list[NDArray[Any]] = [np.asarray(column) for column in columns]
    key = (function, *parameters.items(), *((x.ctypes.data, x.strides, x.shape, x.dtype.str) for x in inputs))
    if key not in memory:
        memory[key] = (inputs, _computed(function, [_array(x) for x in inputs], parameters))
        while len(memory) > 1 and sum(_size(kept) for _, kept in memory.values()) > _REMEMBERED_BYTES:
            memory.popitem(last=False)
    memory.move_to_end(key)
    return memory[key][1]


def _size(found: Any) -> int:
    return sum(part.nbytes for part in found) if isinstance(found, tuple) else int(found.nbytes)


def _computed(function: str, arrays: list[Array], parameters: Mapping[str, Any]) -> Any:
    if len({len(array) for array in arrays}) > 1:
        raise InputError("Columns must be equally long", found=" ".join(str(len(array)) for array in arrays))
    if function in _OF_WINDOWS:
        return _OF_WINDOWS[function](arrays[0], **parameters)
    import talib  # loads pandas: kept out of the start-up of everything that only names a strategy

    return getattr(talib, function)(*arrays, **parameters)


def _mean(x: Array, timeperiod: int) -> Array:
    """Return the mean of the last `timeperiod` values, NaN until there are so many; in blocks that stay in the cache."""
    means = np.full(len(x), np.nan)
    for first in range(0, len(x) - timeperiod + 1, _BLOCK):
        block = x[first : first + _BLOCK + timeperiod - 1]
        np.divide(_sums(block, timeperiod), timeperiod, out=means[first + timeperiod - 1 : first + len(block)])
    return means


def _sums(x: Array, n: int) -> Array:
    """Return the sum of each `n` values that follow each other, out of sums of 1, 2, 4, 8... values."""
    part, length, total, summed = x, 1, x, 0
    while True:
        if n & length:
            total = total[length:] + part[: len(part) - summed] if summed else part
            summed += length
        if summed == n:
            return total
        part, length = part[length:] + part[: len(part) - length], 2 * length


def _deviation(x: Array, timeperiod: int, nbdev: float) -> Array:
    spread = _mean(x * x, timeperiod) - _mean(x, timeperiod) ** 2
    return np.asarray(nbdev * np.sqrt(np.maximum(spread, 0.0)))


def _bands(x: Array, timeperiod: int, *, nbdevup: float, nbdevdn: float) -> tuple[Array, Array, Array]:
    middle, spread = _mean(x, timeperiod), _deviation(x, timeperiod, 1.0)
    return middle + nbdevup * spread, middle, middle - nbdevdn * spread


_OF_WINDOWS: dict[str, Callable[..., Any]] = {"SMA": _mean, "STDDEV": _deviation, "BBANDS": _bands}


def _array(x: Column) -> Array:
    """Return a contiguous float64 copy or view that has no hole after its first value."""
    array = np.ascontiguousarray(x, dtype=np.float64)
    if array.ndim != 1:
        raise InputError("An indicator reads one column", found=f"shape {array.shape}")
    if not (sound := np.isfinite(array)).all():
        bad = ~sound
        leading = int(np.argmin(np.isnan(array))) if not np.isnan(array).all() else len(array)
        if bad[leading:].any():
            row = leading + int(np.argmax(bad[leading:]))
            raise InputError(f"Row {row} has no number", found=float(array[row]), todo="Repair or drop the row first")
    return array


def _like(x: Column, values: Array) -> Column:
    """Return `values` on the index of `x` if it has one."""
    return values if isinstance(x, np.ndarray) else type(x)(values, index=x.index, name=x.name, copy=False)


def _period(n: int, least: int = 1) -> int:
    if isinstance(n, bool) or not isinstance(n, int | np.integer) or n < least:
        raise InputError(f"A period is a whole number of bars, at least {least}", found=n)
    return int(n)
