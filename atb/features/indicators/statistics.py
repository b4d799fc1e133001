"""Statistics of a window: line, correlation, distance from the mean, rank, extremes."""

from typing import Any

from atb.features.indicators import windows
from atb.features.indicators.columns import clip, lag, quotient, sqrt
from atb.features.indicators.register import Column, indicator
from atb.features.indicators.windows import comoments, line, moments, rank

_FAMILY = "statistics"


def _window(n: int) -> int:
    return n - 1


@indicator("close", family=_FAMILY, warmup=_window, least=2, example={"n": 14})
def linearreg(x: Column, n: int = 14) -> Column:
    """Return the newest point of the least-squares line through the last `n` values, in the unit of `x`."""
    level, slope, _ = line(x, n)
    return level + slope * ((n - 1) / 2.0)


@indicator("close", family=_FAMILY, warmup=_window, least=2, example={"n": 14})
def linearreg_slope(x: Column, n: int = 14) -> Column:
    """Return the slope of the least-squares line through the last `n` values, in the unit of `x` per bar."""
    return line(x, n)[1]


@indicator("close", family=_FAMILY, warmup=_window, least=2, example={"n": 14})
def r_squared(x: Column, n: int = 14) -> Column:
    """Return the part of the last `n` values' variance that their line explains, 0 to 1; 0 where there is none."""
    _, _, residual = line(x, n)
    variance = moments(x, n)[1]
    return clip(quotient(variance - residual, variance, 0.0), 0.0, 1.0)


@indicator("high", "low", family=_FAMILY, warmup=_window, least=2, example={"n": 30})
def correl(x: Column, y: Column, n: int = 30) -> Column:
    """Return Pearson's correlation of the last `n` values of two columns, -1 to 1; 0 where one of them stands still."""
    of_x, of_y, both = comoments(x, y, n)
    return clip(quotient(both, sqrt(of_x) * sqrt(of_y), 0.0), -1.0, 1.0)


@indicator("high", "low", family=_FAMILY, warmup=lambda n: n, least=2, example={"n": 30})
def beta(x: Column, market: Column, n: int = 30) -> Column:
    """Return by how much the bar returns of `x` move with those of `market`: covariance / variance; 0 if that stands still."""
    _, of_market, both = comoments(_returns(x), _returns(market), n)
    return quotient(both, of_market, 0.0)


@indicator("close", family=_FAMILY, warmup=_window, least=2, example={"n": 20})
def zscore(x: Column, n: int = 20) -> Column:
    """Return the distance of the newest value from the mean of the last `n`, in population deviations; 0 where there are none."""
    level, variance = moments(x, n)
    return quotient(x - level, sqrt(variance), 0.0)


@indicator("close", family=_FAMILY, warmup=lambda n: n, example={"n": 50})
def percent_rank(x: Column, n: int = 100) -> Column:
    """Return the percentage of the `n` values before that are below the newest, equal ones counted half; 0 to 100."""
    return rank(x, n) * 100.0


@indicator("high", family=_FAMILY, warmup=_window, example={"n": 20})
def highest(x: Column, n: int = 20) -> Column:
    """Return the largest of the last `n` values."""
    return windows.highest(x, n)


@indicator("low", family=_FAMILY, warmup=_window, example={"n": 20})
def lowest(x: Column, n: int = 20) -> Column:
    """Return the smallest of the last `n` values."""
    return windows.lowest(x, n)


@indicator("high", "low", family=_FAMILY, warmup=_window, example={"n": 14})
def midprice(high: Column, low: Column, n: int = 14) -> Column:
    """Return the middle between the highest high and the lowest low of `n` bars."""
    return (windows.highest(high, n) + windows.lowest(low, n)) / 2.0


def _returns(x: Any) -> Any:
    before = lag(x, 1)
    return quotient(x - before, abs(before), 0.0)
