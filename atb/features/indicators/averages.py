"""Moving averages: of a window, to the last bit the same whatever came before it, and recursive ones."""

from typing import Any

from atb.features.indicators.columns import change, quotient
from atb.features.indicators.recursion import SETTLED, exponential, scan, settled, wilder, wilder_memory
from atb.features.indicators.register import Column, check_spans, indicator
from atb.features.indicators.windows import line, mean, weighted_mean, window_sum

_FAMILY = "averages"


def _window(n: int, **_: Any) -> int:
    return n - 1


def _smoothed(n: int, **_: Any) -> int:
    return SETTLED * n


@indicator("close", family=_FAMILY, warmup=_window, example={"n": 24})
def sma(x: Column, n: int) -> Column:
    """Return the simple moving average of the last `n` values, in the unit of `x`; of equal values exactly their value."""
    return mean(x, n)


@indicator("close", family=_FAMILY, warmup=_window, example={"n": 10})
def wma(x: Column, n: int) -> Column:
    """Return the average of the last `n` values with weights 1 (oldest) to n (newest)."""
    return _weighted(x, n)


@indicator("close", family=_FAMILY, warmup=_window, example={"n": 9})
def trima(x: Column, n: int) -> Column:
    """Return the triangular average: the simple average of a simple average, together over `n` values."""
    half = n // 2 + 1 if n % 2 == 0 else (n + 1) // 2
    return mean(mean(x, n - half + 1), half)


@indicator("close", family=_FAMILY, warmup=lambda n: n - 1 + int(n**0.5) - 1, least=2, example={"n": 16})
def hma(x: Column, n: int) -> Column:
    """Return Hull's average: WMA over sqrt(n) of 2 WMA(n / 2) - WMA(n) (Hull 2005)."""
    return _weighted(_weighted(x, n // 2) * 2.0 - _weighted(x, n), int(n**0.5))


@indicator("close", "volume", family=_FAMILY, warmup=_window, example={"n": 20})
def vwma(x: Column, volume: Column, n: int = 20) -> Column:
    """Return the average of the last `n` values weighted by volume; the newest value where nothing traded."""
    return weighted_mean(x, volume, n)


@indicator("close", family=_FAMILY, warmup=_smoothed, exact=False, example={"n": 24})
def ema(x: Column, n: int) -> Column:
    """Return the exponential moving average of span `n` (alpha = 2 / (n + 1)), seeded with the first `n` values' mean."""
    return exponential(x, n)


@indicator("close", family=_FAMILY, warmup=wilder_memory, exact=False, example={"n": 10})
def rma(x: Column, n: int) -> Column:
    """Return Wilder's moving average (alpha = 1 / n), seeded with the first `n` values' mean (Wilder 1978)."""
    return wilder(x, n)


@indicator("close", family=_FAMILY, warmup=lambda n: (SETTLED + 2) * n, exact=False, example={"n": 12})
def dema(x: Column, n: int) -> Column:
    """Return the double exponential average: 2 EMA - EMA of EMA (Mulloy 1994)."""
    once = exponential(x, n)
    return once * 2.0 - exponential(once, n)


@indicator("close", family=_FAMILY, warmup=lambda n: (SETTLED + 3) * n, exact=False, example={"n": 12})
def tema(x: Column, n: int) -> Column:
    """Return the triple exponential average: 3 EMA - 3 EMA of EMA + EMA of EMA of EMA (Mulloy 1994)."""
    once = exponential(x, n)
    twice = exponential(once, n)
    return (once - twice) * 3.0 + exponential(twice, n)


@indicator(
    "close",
    family=_FAMILY,
    warmup=lambda n, **_: (SETTLED + 6) * n,
    exact=False,
    example={"n": 5, "volume_factor": 0.7},
)
def t3(x: Column, n: int = 5, volume_factor: float = 0.7) -> Column:
    """Return Tillson's T3: his generalised DEMA, (1 + v) EMA - v EMA of EMA, applied three times (Tillson 1998)."""
    made: Any = x
    for _ in range(3):
        once = exponential(made, n)
        made = once + (once - exponential(once, n)) * volume_factor
    return made


@indicator("close", family=_FAMILY, warmup=lambda n: SETTLED * n + (n - 1) // 2, exact=False, example={"n": 12})
def zlema(x: Column, n: int) -> Column:
    """Return the zero-lag EMA: of x + (x - x[(n - 1) / 2 bars ago]) (Ehlers, Way 2010)."""
    return exponential(x + change(x, (n - 1) // 2), n)


@indicator("close", family=_FAMILY, warmup=lambda n, slow, **_: SETTLED * _slowest(slow) + n, exact=False,
           example={"n": 10, "fast": 2, "slow": 8})  # fmt: skip
def kama(x: Column, n: int = 10, fast: int = 2, slow: int = 30) -> Column:
    """Return Kaufman's adaptive average: nearly EMA(fast) in a straight move, EMA of about (slow + 1)^2 / 2 in a zigzag one.

    The smoothing is ((1 - r) 2 / (slow + 1) + r 2 / (fast + 1))^2, where r is the way from end to end over `n` bars as a part of
    the way walked (Kaufman 1995). In a market without direction it forgets so slowly that the warm-up is SETTLED times that span.
    """
    check_spans("KAMA", fast, slow)
    straight = quotient(abs(change(x, n)), window_sum(abs(change(x)), n), 0.0)
    slowest, quickest = 2.0 / (slow + 1), 2.0 / (fast + 1)
    speed = straight * (quickest - slowest) + slowest
    return settled(scan(_towards, None, x, speed * speed), x, SETTLED * _slowest(slow))


def _towards(before: float | None, value: float, speed: float) -> tuple[float, float]:
    now = value if before is None else before + speed * (value - before)
    return now, now


def _slowest(slow: int) -> int:
    """Return the span of the exponential average that KAMA is at its slowest: alpha = (2 / (slow + 1))^2."""
    return (slow + 1) ** 2 // 2


def _weighted(x: Any, n: int) -> Any:
    """Return the linearly weighted average: the line through the window, read where its weights balance."""
    if n == 1:
        return x
    level, slope, _ = line(x, n)
    return level + slope * ((n - 1) / 6.0)
