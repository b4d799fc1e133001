"""Volatility: how far prices move, in price units or as a fraction per bar."""

import math
from typing import Any

from atb.features.indicators.columns import change, lag, log, maximum, minimum, quotient, sqrt
from atb.features.indicators.recursion import wilder, wilder_memory
from atb.features.indicators.register import Column, indicator
from atb.features.indicators.windows import mean, moments

_FAMILY = "volatility"


@indicator("high", "low", "close", family=_FAMILY, warmup=lambda: 1)
def trange(high: Column, low: Column, close: Column) -> Column:
    """Return the true range: the bar's range, stretched to the close before it; in price units."""
    return true_range(high, low, close)


def true_range(high: Any, low: Any, close: Any) -> Any:
    """Return the true range of arrays or live columns."""
    before = lag(close, 1)
    return maximum(high, before) - minimum(low, before)


@indicator("high", "low", "close", family=_FAMILY, warmup=wilder_memory, exact=False, example={"n": 14})
def atr(high: Column, low: Column, close: Column, n: int = 14) -> Column:
    """Return Wilder's average true range, in price units (Wilder 1978); the first bar's range is not used."""
    return wilder(true_range(high, low, close), n)


@indicator("high", "low", "close", family=_FAMILY, warmup=wilder_memory, exact=False, example={"n": 14})
def natr(high: Column, low: Column, close: Column, n: int = 14) -> Column:
    """Return the average true range in percent of the close."""
    return quotient(wilder(true_range(high, low, close), n), close, 0.0) * 100.0


@indicator("close", family=_FAMILY, warmup=lambda n: n - 1, least=2, example={"n": 24})
def stddev(x: Column, n: int) -> Column:
    """Return the population standard deviation of the last `n` values, in the unit of `x`; of equal values exactly 0."""
    return sqrt(moments(x, n)[1])


@indicator("close", family=_FAMILY, warmup=lambda n: n, example={"n": 24})
def realised_volatility(close: Column, n: int = 24) -> Column:
    """Return the root mean square of the last `n` logarithmic returns: a fraction per bar, the mean taken to be 0."""
    returns = change(log(close))
    return sqrt(mean(returns * returns, n))


@indicator("high", "low", family=_FAMILY, warmup=lambda n: n - 1, example={"n": 24})
def parkinson(high: Column, low: Column, n: int = 24) -> Column:
    """Return Parkinson's volatility, a fraction per bar: sqrt(mean(ln(high / low)^2) / (4 ln 2)) (Parkinson 1980)."""
    span = log(high) - log(low)
    return sqrt(mean(span * span, n) / (4.0 * math.log(2.0)))


@indicator("open", "high", "low", "close", family=_FAMILY, warmup=lambda n: n - 1, example={"n": 24})
def garman_klass(open: Column, high: Column, low: Column, close: Column, n: int = 24) -> Column:  # noqa: A002 - the column's name
    """Return Garman and Klass' volatility, a fraction per bar (Garman, Klass 1980).

    sqrt(mean(ln(high / low)^2 / 2 - (2 ln 2 - 1) ln(close / open)^2))
    """
    span, body = log(high) - log(low), log(close) - log(open)
    return sqrt(mean(span * span * 0.5 - body * body * (2.0 * math.log(2.0) - 1.0), n))


@indicator("open", "high", "low", "close", family=_FAMILY, warmup=lambda n: n - 1, example={"n": 24})
def rogers_satchell(open: Column, high: Column, low: Column, close: Column, n: int = 24) -> Column:  # noqa: A002 - the column's name
    """Return Rogers and Satchell's volatility, a fraction per bar, free of drift (Rogers, Satchell 1991)."""
    top, bottom, opened, closed = log(high), log(low), log(open), log(close)
    return sqrt(mean((top - closed) * (top - opened) + (bottom - closed) * (bottom - opened), n))
