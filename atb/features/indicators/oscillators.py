"""Oscillators: momentum and position within a range; where nothing has moved each has its middle value, not a side."""

from typing import Any, Generic, NamedTuple

from atb.features.indicators.columns import (
    STILL,
    change,
    clip,
    delayed,
    held,
    lag,
    log,
    maximum,
    minimum,
    quotient,
    sign,
    where,
)
from atb.features.indicators.recursion import ARRIVED, SETTLED, exponential, scan, still, wilder, wilder_memory
from atb.features.indicators.register import Column, check_spans, indicator
from atb.features.indicators.windows import highest, lowest, mean, mean_deviation, window_sum

_FAMILY = "oscillators"


class Macd(NamedTuple, Generic[Column]):
    """MACD, its signal line, and the difference of the two."""

    macd: Column
    signal: Column
    histogram: Column


class Stochastic(NamedTuple, Generic[Column]):
    """The position in the range, 0 to 100, and its average."""

    k: Column
    d: Column


@indicator("close", family=_FAMILY, warmup=wilder_memory, least=2, exact=False, example={"n": 14})
def rsi(x: Column, n: int = 14) -> Column:
    """Return Wilder's relative strength index, 0 to 100 (Wilder 1978); 50 where nothing has moved at all."""
    return _strength(x, n) * 100.0


@indicator("close", family=_FAMILY, warmup=wilder_memory, least=2, exact=False, example={"n": 14})
def cmo(x: Column, n: int = 14) -> Column:
    """Return Chande's momentum oscillator with Wilder's averages, as TA-Lib: -100 to 100; 0 where nothing has moved."""
    return _strength(x, n) * 200.0 - 100.0


def _strength(x: Any, n: int) -> Any:
    """Return the part of all movement that was upward, 0 to 1, by Wilder's averages over `n` changes."""
    moved = change(x)
    up = maximum(moved, 0.0)
    gain, loss = wilder(up, n), wilder(up - moved, n)
    both = gain + loss
    least = still(both, x, wilder_memory(n))
    return held(quotient(gain, both, 0.5, least=least), (moved == 0.0) & (both > least))


@indicator("close", family=_FAMILY, warmup=lambda n, fast_k, fast_d: wilder_memory(n) + fast_k + fast_d - 2, least=2,
           exact=False, outputs=("k", "d"), example={"n": 14, "fast_k": 5, "fast_d": 3})  # fmt: skip
def stochrsi(x: Column, n: int = 14, fast_k: int = 5, fast_d: int = 3) -> Stochastic[Column]:
    """Return the fast stochastic of the RSI, 0 to 100 (Chande, Kroll 1994)."""
    strength = rsi(x, n)
    return _stochastic(strength, strength, strength, (fast_k, 1, fast_d), least=100 * STILL)


@indicator("high", "low", "close", family=_FAMILY, warmup=lambda fast_k, slow_k, slow_d: fast_k + slow_k + slow_d - 3,
           outputs=("k", "d"), example={"fast_k": 5, "slow_k": 3, "slow_d": 3})  # fmt: skip
def stoch(
    high: Column, low: Column, close: Column, fast_k: int = 5, slow_k: int = 3, slow_d: int = 3
) -> Stochastic[Column]:
    """Return the slow stochastic, 0 to 100: the close in `fast_k` bars' range, averaged over `slow_k`; 50 without a range."""
    return _stochastic(high, low, close, (fast_k, slow_k, slow_d))


@indicator("high", "low", "close", family=_FAMILY, warmup=lambda fast_k, fast_d: fast_k + fast_d - 2,
           outputs=("k", "d"), example={"fast_k": 5, "fast_d": 3})  # fmt: skip
def stochf(high: Column, low: Column, close: Column, fast_k: int = 5, fast_d: int = 3) -> Stochastic[Column]:
    """Return the fast stochastic, 0 to 100: the close within `fast_k` bars' range; 50 where there is none."""
    return _stochastic(high, low, close, (fast_k, 1, fast_d))


def _stochastic(high: Any, low: Any, close: Any, windows: tuple[int, int, int], *, least: float = 0.0) -> Any:
    rows, of_k, of_d = windows
    bottom = lowest(low, rows)
    k = mean(quotient(close - bottom, highest(high, rows) - bottom, 0.5, least=least) * 100.0, of_k)
    return Stochastic(k, mean(k, of_d))


@indicator("high", "low", "close", family=_FAMILY, warmup=lambda n: n - 1, least=2, example={"n": 14})
def willr(high: Column, low: Column, close: Column, n: int = 14) -> Column:
    """Return Williams' %R, -100 (at the low of `n` bars) to 0 (at the high); -50 where there is no range."""
    top = highest(high, n)
    return quotient(close - top, top - lowest(low, n), -0.5) * 100.0


@indicator("close", family=_FAMILY, warmup=lambda slow, signal, **_: SETTLED * (slow + signal), exact=False,
           outputs=("macd", "signal", "histogram"), example={"fast": 12, "slow": 26, "signal": 9})  # fmt: skip
def macd(x: Column, fast: int = 12, slow: int = 26, signal: int = 9) -> Macd[Column]:
    """Return EMA(fast) - EMA(slow), its EMA(signal), and the difference of the two; all in the unit of `x` (Appel 1979)."""
    check_spans("MACD", fast, slow)
    line = exponential(delayed(x, slow - fast), fast) - exponential(x, slow)
    average = exponential(line, signal)
    return Macd(line, average, line - average)


@indicator("close", family=_FAMILY, warmup=lambda slow, signal, **_: SETTLED * (slow + signal), exact=False,
           example={"fast": 12, "slow": 26, "signal": 9})  # fmt: skip
def macd_histogram(x: Column, fast: int = 12, slow: int = 26, signal: int = 9) -> Column:
    """Return MACD less its signal line: EMA(fast) - EMA(slow), less that difference's EMA(signal); unit of `x`."""
    return macd(x, fast, slow, signal).histogram


@indicator(
    "close", family=_FAMILY, warmup=lambda slow, **_: SETTLED * slow, exact=False, example={"fast": 12, "slow": 26}
)
def apo(x: Column, fast: int = 12, slow: int = 26) -> Column:
    """Return the absolute price oscillator: EMA(fast) - EMA(slow), in the unit of `x` (TA-Lib with matype=1)."""
    check_spans("APO", fast, slow)
    return exponential(x, fast) - exponential(x, slow)


@indicator(
    "close", family=_FAMILY, warmup=lambda slow, **_: SETTLED * slow, exact=False, example={"fast": 12, "slow": 26}
)
def ppo(x: Column, fast: int = 12, slow: int = 26) -> Column:
    """Return the percentage price oscillator: EMA(fast) - EMA(slow) in percent of EMA(slow), which must be above 0."""
    check_spans("PPO", fast, slow)
    long = exponential(x, slow)
    return quotient(exponential(x, fast) - long, long, 0.0) * 100.0


@indicator("high", "low", "close", family=_FAMILY, warmup=lambda n: n - 1, least=2, example={"n": 14})
def cci(high: Column, low: Column, close: Column, n: int = 14) -> Column:
    """Return the commodity channel index: the typical price's distance from its mean in 0.015 mean deviations (Lambert 1980)."""
    price: Any = (high + low + close) / 3.0
    level = mean(price, n)
    return quotient(price - level, mean_deviation(price, level, n) * 0.015, 0.0)


@indicator("high", "low", "close", "volume", family=_FAMILY, warmup=lambda n: n, least=2, example={"n": 14})
def mfi(high: Column, low: Column, close: Column, volume: Column, n: int = 14) -> Column:
    """Return the money flow index, 0 to 100: the part of price x volume at rising typical prices; 50 where there is none."""
    price: Any = (high + low + close) / 3.0
    moved, flow = change(price), price * volume
    direction = sign(where(abs(moved) > price * ARRIVED, moved, moved * 0.0))
    up, down = window_sum(flow * maximum(direction, 0.0), n), window_sum(flow * maximum(-direction, 0.0), n)
    return quotient(up, up + down, 0.5) * 100.0


@indicator("high", "low", "close", family=_FAMILY, warmup=lambda **windows: max(windows.values()),
           example={"short": 7, "medium": 14, "long": 28})  # fmt: skip
def ultosc(high: Column, low: Column, close: Column, short: int = 7, medium: int = 14, long: int = 28) -> Column:
    """Return Williams' ultimate oscillator, 0 to 100: buying pressure by true range over three windows; 50 at a standstill."""
    before = lag(close, 1)
    floor = minimum(low, before)
    pressure, span = close - floor, maximum(high, before) - floor
    parts = [quotient(window_sum(pressure, n), window_sum(span, n), 0.5) for n in (short, medium, long)]
    return (parts[0] * 4.0 + parts[1] * 2.0 + parts[2]) * (100.0 / 7.0)


@indicator("close", family=_FAMILY, warmup=lambda n: n, example={"n": 10})
def roc(x: Column, n: int = 10) -> Column:
    """Return the rate of change over `n` bars in percent: 100 (x[t] / x[t-n] - 1); 0 where x[t-n] is 0."""
    before = lag(x, n)
    return (quotient(x, abs(before), 1.0) * sign(before) - 1.0) * 100.0


@indicator("close", family=_FAMILY, warmup=lambda n: n, example={"n": 10})
def mom(x: Column, n: int = 10) -> Column:
    """Return the momentum x[t] - x[t-n], in the unit of `x`."""
    return change(x, n)


@indicator("close", family=_FAMILY, warmup=lambda n: (SETTLED + 3) * n + 1, exact=False, example={"n": 15})
def trix(x: Column, n: int = 15) -> Column:
    """Return the change in percent of an EMA of an EMA of an EMA, each of span `n` (Hutson 1983)."""
    return roc(exponential(exponential(exponential(x, n), n), n), 1)


@indicator("close", family=_FAMILY, warmup=lambda slow, fast: (SETTLED + 2) * (slow + fast), exact=False,
           example={"slow": 25, "fast": 13})  # fmt: skip
def tsi(x: Column, slow: int = 25, fast: int = 13) -> Column:
    """Return the true strength index, -100 to 100: twice smoothed changes by twice smoothed sizes of changes (Blau 1991)."""
    moved = change(x)
    way = exponential(exponential(moved, slow), fast)
    walked = exponential(exponential(abs(moved), slow), fast)
    return quotient(way, walked, 0.0, least=still(walked, x, SETTLED * slow)) * 100.0


@indicator("high", "low", family=_FAMILY, warmup=lambda slow, **_: slow - 1, example={"fast": 5, "slow": 34})
def awesome(high: Column, low: Column, fast: int = 5, slow: int = 34) -> Column:
    """Return Williams' awesome oscillator: SMA(fast) - SMA(slow) of the bars' middles, in price units."""
    check_spans("The awesome oscillator", fast, slow)
    middle: Any = (high + low) / 2.0
    return mean(middle, fast) - mean(middle, slow)


@indicator("open", "high", "low", "close", family=_FAMILY, warmup=lambda: 0)
def bop(open: Column, high: Column, low: Column, close: Column) -> Column:  # noqa: A002 - the column's name
    """Return the balance of power: (close - open) / (high - low), -1 to 1; 0 where there is no range."""
    return quotient(close - open, high - low, 0.0)


@indicator("high", "low", family=_FAMILY, warmup=lambda n: n - 1 + SETTLED * 6, least=2, exact=False, example={"n": 10})
def fisher(high: Column, low: Column, n: int = 10) -> Column:
    """Return Ehlers' Fisher transform of the bar's middle within the range of `n` middles (Ehlers 2002); 0 in the middle."""
    middle: Any = (high + low) / 2.0
    bottom = lowest(middle, n)
    place = quotient(middle - bottom, highest(middle, n) - bottom, 0.5) - 0.5
    smooth = clip(scan(_fisher_input, 0.0, place), -0.999, 0.999)
    return scan(_halved, 0.0, log((smooth + 1.0) * quotient(1.0, 1.0 - smooth, 0.0)))


def _fisher_input(before: float, place: float) -> tuple[float, float]:
    """Smooth the place, within the limits; from where it has arrived in the middle on, it is there."""
    now = min(max(0.66 * place + 0.67 * before, -0.999), 0.999)
    now = now if abs(now) > ARRIVED else 0.0
    return now, now


def _halved(before: float, value: float) -> tuple[float, float]:
    now = 0.5 * value + 0.5 * before
    now = now if abs(now) > ARRIVED else 0.0
    return now, now
