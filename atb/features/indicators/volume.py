"""Volume: who traded more, buyers or sellers, and at which price.

Classical running totals (OBV, accumulation/distribution) depend on the first bar of the history. Here they run over the last n
bars: the same value from any start, and the same rise or fall as the classical ones over these bars.
"""

from typing import Any

from atb.features.indicators.columns import change, quotient, sign
from atb.features.indicators.recursion import SETTLED, exponential
from atb.features.indicators.register import Column, check_spans, indicator
from atb.features.indicators.windows import weighted_mean, window_sum

_FAMILY = "volume"


@indicator("close", "volume", family=_FAMILY, warmup=lambda n: n, example={"n": 30})
def obv(x: Column, volume: Column, n: int = 100) -> Column:
    """Return the on-balance volume of the last `n` bars: the volume at rising less that at falling closes (Granville 1963)."""
    return window_sum(sign(change(x)) * volume, n)


@indicator("high", "low", "close", "volume", family=_FAMILY, warmup=lambda n: n - 1, example={"n": 30})
def ad(high: Column, low: Column, close: Column, volume: Column, n: int = 100) -> Column:
    """Return accumulation less distribution of the last `n` bars: volume by where in its range a bar closed, -1 to 1 (Chaikin)."""
    return window_sum(_flow(high, low, close, volume), n)


@indicator("high", "low", "close", "volume", family=_FAMILY, warmup=lambda slow, **_: SETTLED * slow, exact=False,
           example={"fast": 3, "slow": 10})  # fmt: skip
def adosc(high: Column, low: Column, close: Column, volume: Column, fast: int = 3, slow: int = 10) -> Column:
    """Return Chaikin's oscillator: EMA(fast) - EMA(slow) of the accumulation/distribution line, in volume units.

    An EMA of a running total lags it by (n - 1) / 2 EMAs of what is added, so the total itself, and where it began, is not needed.
    """
    check_spans("Chaikin's oscillator", fast, slow)
    flow = _flow(high, low, close, volume)
    return exponential(flow, slow) * ((slow - 1) / 2.0) - exponential(flow, fast) * ((fast - 1) / 2.0)


@indicator("high", "low", "close", "volume", family=_FAMILY, warmup=lambda n: n - 1, example={"n": 20})
def cmf(high: Column, low: Column, close: Column, volume: Column, n: int = 20) -> Column:
    """Return Chaikin's money flow, -1 to 1: accumulation by volume over `n` bars; 0 where nothing traded."""
    return quotient(window_sum(_flow(high, low, close, volume), n), window_sum(volume, n), 0.0)


@indicator("close", "volume", family=_FAMILY, warmup=lambda n: SETTLED * n + 1, exact=False, example={"n": 13})
def efi(x: Column, volume: Column, n: int = 13) -> Column:
    """Return Elder's force index: the EMA of the close's change times volume (Elder 1993)."""
    return exponential(change(x) * volume, n)


@indicator("high", "low", "close", "volume", family=_FAMILY, warmup=lambda n: n - 1, example={"n": 24})
def vwap(high: Column, low: Column, close: Column, volume: Column, n: int = 24) -> Column:
    """Return the volume-weighted typical price of the last `n` bars; the newest one where nothing traded."""
    price: Any = (high + low + close) / 3.0
    return weighted_mean(price, volume, n)


def _flow(high: Any, low: Any, close: Any, volume: Any) -> Any:
    return quotient((close - low) - (high - close), high - low, 0.0) * volume
