"""Bands, channels and stops that trail: levels around the price, in its unit, of bars up to and including the row's own."""

from typing import Any, Generic, NamedTuple

from atb.features.indicators.columns import quotient, sqrt
from atb.features.indicators.library import restarted
from atb.features.indicators.recursion import SETTLED, exponential, wilder, wilder_memory
from atb.features.indicators.register import Column, indicator
from atb.features.indicators.volatility import true_range
from atb.features.indicators.windows import highest, line, lowest, moments

_FAMILY = "bands"
_OUTPUTS = ("upper", "middle", "lower")


class Bands(NamedTuple, Generic[Column]):
    """An upper and a lower level around a middle one."""

    upper: Column
    middle: Column
    lower: Column


class Supertrend(NamedTuple, Generic[Column]):
    """The trailing level, and the trend's direction: 1 above the level, -1 below it."""

    level: Column
    direction: Column


class Ichimoku(NamedTuple, Generic[Column]):
    """Middles of ranges, each at the bar whose past it is of."""

    conversion: Column
    base: Column
    span_a: Column
    span_b: Column


@indicator(
    "close", family=_FAMILY, warmup=lambda n, **_: n - 1, least=2, outputs=_OUTPUTS, example={"n": 20, "width": 2.0}
)
def bollinger(x: Column, n: int = 20, width: float = 2.0) -> Bands[Column]:
    """Return the mean of the last `n` values and `width` population standard deviations above and below it (Bollinger)."""
    middle, variance = moments(x, n)
    spread = sqrt(variance) * width
    return Bands(middle + spread, middle, middle - spread)


@indicator("close", family=_FAMILY, warmup=lambda n, **_: n - 1, least=2, example={"n": 20, "width": 2.0})
def bollinger_position(x: Column, n: int = 20, width: float = 2.0) -> Column:
    """Return where `x` lies between its Bollinger bands: 0 on the lower, 1 on the upper, 0.5 where they coincide.

    The bands are the simple moving average of `n` values -/+ `width` population standard deviations (Bollinger's %b).
    """
    bands = bollinger(x, n, width)
    return quotient(x - bands.lower, bands.upper - bands.lower, 0.5)


@indicator("close", family=_FAMILY, warmup=lambda n, **_: n - 1, least=2, example={"n": 20, "width": 2.0})
def bollinger_width(x: Column, n: int = 20, width: float = 2.0) -> Column:
    """Return the distance of the Bollinger bands as a fraction of their middle."""
    bands = bollinger(x, n, width)
    return quotient(bands.upper - bands.lower, abs(bands.middle), 0.0)


@indicator("high", "low", "close", family=_FAMILY, warmup=lambda n, ranges, **_: max(SETTLED * n, wilder_memory(ranges)),
           exact=False, outputs=_OUTPUTS, example={"n": 20, "ranges": 10, "width": 2.0})  # fmt: skip
def keltner(
    high: Column, low: Column, close: Column, n: int = 20, ranges: int = 10, width: float = 2.0
) -> Bands[Column]:
    """Return the EMA of the typical price over `n` bars and `width` ATRs over `ranges` bars above and below it (Keltner 1960)."""
    price: Any = (high + low + close) / 3.0
    middle, reach = exponential(price, n), wilder(true_range(high, low, close), ranges) * width
    return Bands(middle + reach, middle, middle - reach)


@indicator("high", "low", family=_FAMILY, warmup=lambda n: n - 1, outputs=_OUTPUTS, example={"n": 20})
def donchian(high: Column, low: Column, n: int = 20) -> Bands[Column]:
    """Return the highest high and the lowest low of `n` bars, the row's own included, and their middle.

    The own bar never closes above its own high: a breakout compares the close with the channel one bar before.
    """
    upper, lower = highest(high, n), lowest(low, n)
    return Bands(upper, (upper + lower) / 2.0, lower)


@indicator(
    "close", family=_FAMILY, warmup=lambda n, **_: n - 1, least=3, outputs=_OUTPUTS, example={"n": 20, "width": 2.0}
)
def linear_regression_channel(x: Column, n: int = 20, width: float = 2.0) -> Bands[Column]:
    """Return the newest point of the line through the last `n` values and `width` residual deviations above and below it."""
    level, slope, residual = line(x, n)
    middle, spread = level + slope * ((n - 1) / 2.0), sqrt(residual) * width
    return Bands(middle + spread, middle, middle - spread)


@indicator("high", "low", family=_FAMILY, warmup=lambda conversion, base, span: max(conversion, base, span) - 1,
           outputs=("conversion", "base", "span_a", "span_b"), example={"conversion": 9, "base": 26, "span": 52})  # fmt: skip
def ichimoku(high: Column, low: Column, conversion: int = 9, base: int = 26, span: int = 52) -> Ichimoku[Column]:
    """Return conversion line, base line and both spans of Hosoda's cloud, each at the bar at which it is known.

    Charts draw the spans 26 bars later: the cloud over a bar is `shift(26)` of them. The lagging span, the close drawn 26 bars
    earlier, is of a later bar than it is drawn at and so is none of these columns.
    """
    quick, middle, slow = ((highest(high, n) + lowest(low, n)) / 2.0 for n in (conversion, base, span))
    return Ichimoku(quick, middle, (quick + middle) / 2.0, slow)


@indicator("high", "low", "close", family=_FAMILY, warmup=lambda n, **_: wilder_memory(n) - 1, least=2,
           outputs=("level", "direction"), example={"n": 4, "width": 3.0})  # fmt: skip
def supertrend(high: Column, low: Column, close: Column, n: int = 10, width: float = 3.0) -> Supertrend[Column]:
    """Return the level that trails the trend at `width` ATRs and never against it, and the trend's direction (Seban).

    A trend may last for ever, and with it what the first bar made of it. So each row's value is that of a history which
    begins SETTLED (2 n - 1) bars before.
    """
    return Supertrend(*restarted("SUPERTREND", wilder_memory(n), high, low, close, timeperiod=n, multiplier=width))


@indicator("high", "low", family=_FAMILY, warmup=lambda memory, **_: memory - 1, least=3,
           example={"acceleration": 0.02, "maximum": 0.2, "memory": 100})  # fmt: skip
def sar(high: Column, low: Column, acceleration: float = 0.02, maximum: float = 0.2, memory: int = 200) -> Column:
    """Return Wilder's parabolic stop and reverse, in price units: below the price in a rise, above it in a fall (Wilder 1978).

    Where it stands depends on all reversals since the first bar. So each row's value is that of a history of the `memory` last
    bars.
    """
    rows: Any = memory
    return restarted("SAR", rows, high, low, acceleration=acceleration, maximum=maximum)
