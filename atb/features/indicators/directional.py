"""Trend strength and direction: Wilder's directional movement, Aroon, vortex."""

from typing import Any, Generic, NamedTuple

from atb.features.indicators.columns import STILL, change, held, lag, maximum, quotient, where
from atb.features.indicators.library import library
from atb.features.indicators.recursion import wilder, wilder_memory
from atb.features.indicators.register import Column, indicator
from atb.features.indicators.volatility import true_range
from atb.features.indicators.windows import window_sum

_FAMILY = "directional"


class Aroon(NamedTuple, Generic[Column]):
    """How recent the lowest low and the highest high are, each 0 to 100."""

    down: Column
    up: Column


class Vortex(NamedTuple, Generic[Column]):
    """Upward and downward movement by true range."""

    plus: Column
    minus: Column


@indicator("high", "low", "close", family=_FAMILY, warmup=wilder_memory, least=2, exact=False, example={"n": 14})
def plus_di(high: Column, low: Column, close: Column, n: int = 14) -> Column:
    """Return Wilder's +DI, 0 to 100: smoothed upward movement in percent of the smoothed true range; 0 at a standstill."""
    return _indicators(high, low, close, n)[0]


@indicator("high", "low", "close", family=_FAMILY, warmup=wilder_memory, least=2, exact=False, example={"n": 14})
def minus_di(high: Column, low: Column, close: Column, n: int = 14) -> Column:
    """Return Wilder's -DI, 0 to 100: smoothed downward movement in percent of the smoothed true range; 0 at a standstill."""
    return _indicators(high, low, close, n)[1]


@indicator("high", "low", "close", family=_FAMILY, warmup=wilder_memory, least=2, exact=False, example={"n": 14})
def dx(high: Column, low: Column, close: Column, n: int = 14) -> Column:
    """Return the directional index, 0 to 100: the difference of +DI and -DI in percent of their sum; 0 where there is none."""
    return _index(high, low, close, n)


@indicator("high", "low", "close", family=_FAMILY, warmup=lambda n: 2 * wilder_memory(n), least=2, exact=False,
           example={"n": 14})  # fmt: skip
def adx(high: Column, low: Column, close: Column, n: int = 14) -> Column:
    """Return the average directional index, 0 to 100: Wilder's average of DX (Wilder 1978)."""
    return wilder(_index(high, low, close, n), n)


@indicator("high", "low", "close", family=_FAMILY, warmup=lambda n: 2 * wilder_memory(n) + n - 1, least=2, exact=False,
           example={"n": 14})  # fmt: skip
def adxr(high: Column, low: Column, close: Column, n: int = 14) -> Column:
    """Return the mean of ADX and of ADX n - 1 bars before."""
    average: Any = wilder(_index(high, low, close, n), n)
    return (average + lag(average, n - 1)) / 2.0


def _index(high: Any, low: Any, close: Any, n: int) -> Any:
    plus, minus = _indicators(high, low, close, n)
    both, (up, down) = plus + minus, _movements(high, low)
    index = quotient(abs(plus - minus), both, 0.0, least=100 * STILL) * 100.0
    return held(index, (up == 0.0) & (down == 0.0) & (both > 100 * STILL))


def _indicators(high: Any, low: Any, close: Any, n: int) -> tuple[Any, Any]:
    span = true_range(high, low, close)
    reach, least = wilder(span, n), abs(close) * STILL
    unchanged = (span == 0.0) & (reach > least)
    plus, minus = (quotient(wilder(part, n), reach, 0.0, least=least) * 100.0 for part in _movements(high, low))
    return held(plus, unchanged), held(minus, unchanged)


def _movements(high: Any, low: Any) -> tuple[Any, Any]:
    """Return by how much a bar reached above the one before it, and by how much below: the larger of the two, the other 0."""
    up, down = change(high), -change(low)
    plus = where(up > down, maximum(up, 0.0), abs(up) * 0.0)
    return plus, where(down > up, maximum(down, 0.0), abs(up) * 0.0)


@indicator("high", "low", family=_FAMILY, warmup=lambda n: n, least=2, outputs=("down", "up"), example={"n": 14})
def aroon(high: Column, low: Column, n: int = 14) -> Aroon[Column]:
    """Return 100 (n - bars since the lowest low or the highest high of n + 1 bars) / n; the newest of equals (Chande 1995)."""
    return Aroon(*library("AROON", high, low, timeperiod=n))


@indicator("high", "low", family=_FAMILY, warmup=lambda n: n, least=2, example={"n": 14})
def aroonosc(high: Column, low: Column, n: int = 14) -> Column:
    """Return Aroon up less Aroon down, -100 to 100."""
    down, up = library("AROON", high, low, timeperiod=n)
    return up - down


@indicator("high", "low", "close", family=_FAMILY, warmup=lambda n: n, outputs=("plus", "minus"), example={"n": 14})
def vortex(high: Column, low: Column, close: Column, n: int = 14) -> Vortex[Column]:
    """Return |high - low before| and |low - high before| over `n` bars, by the true range; 1 at a standstill (Botes, Siepman)."""
    reach = window_sum(true_range(high, low, close), n)
    up, down = abs(high - lag(low, 1)), abs(low - lag(high, 1))
    return Vortex(quotient(window_sum(up, n), reach, 1.0), quotient(window_sum(down, n), reach, 1.0))
