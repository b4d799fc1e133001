"""Feature sets of a market's own bars: what moved, how far, when, and who pushed it; numb to the level of prices and volumes."""

import math
from collections.abc import Sequence
from typing import Any

from atb.features.indicators import (
    SETTLED,
    aroonosc,
    atr,
    bollinger_position,
    bollinger_width,
    cci,
    cmf,
    garman_klass,
    macd_histogram,
    mfi,
    minus_di,
    parkinson,
    percent_rank,
    plus_di,
    realised_volatility,
    rsi,
    sma,
    stoch,
    trange,
    willr,
)
from atb.features.indicators.columns import change, clip, cycle, lag, log, maximum, minimum, quotient, sign, sqrt, where
from atb.features.indicators.recursion import wilder_memory
from atb.features.indicators.windows import means, moments
from atb.features.sets.feature_set import LIMIT, OPENED, Columns, FeatureSet
from atb.times import DAY_MS

_WINDOW = 24
_VOLATILITY = 72  # bars over which a movement's unit, the volatility, is measured


def momentum(close: Any, n: int) -> Any:
    """Return the logarithmic return over `n` bars in units of its own deviation, within -/+ LIMIT."""
    return _momenta(close, (n,))[0]


def _momenta(close: Any, windows: Sequence[int]) -> list[Any]:
    """Return the momentum over each window; unit and logarithms are the same for all."""
    unit, logs = realised_volatility(close, _VOLATILITY), log(close)
    return [ratio(change(logs, n), unit * math.sqrt(n)) for n in windows]


def ratio(above: Any, below: Any) -> Any:
    """Return above / below within -/+ LIMIT; 0 where nothing moved or traded, so that a flat market gives no signal."""
    return clip(quotient(above, below, 0.0), -LIMIT, LIMIT)


def _basic(bars: Columns) -> Columns:
    """Momentum in units of volatility, stretch in units of range, who pushed the volume and who was pushed back."""
    close, windows = bars["close"], (12, 24, 48)
    momenta = _momenta(close, (1, 6, 24, 48))
    columns = {f"momentum_{n}": column for n, column in zip((1, 6, 24, 48), momenta, strict=True)}
    columns |= {f"imbalance_{n}": column for n, column in zip(windows, _imbalances(bars, windows), strict=True)}
    columns |= {f"wick_{n}": column for n, column in zip(windows, _wicks(bars, windows), strict=True)}
    stretch = ratio(close - sma(close, 24), atr(bars["high"], bars["low"], close, 14))
    return columns | {"stretch_24": stretch, "rsi_14": rsi(close, 14) / 50 - 1}


def _wicks(bars: Columns, windows: Sequence[int]) -> list[Any]:
    """Return lower less upper wicks as a share of so many bars' ranges, -1 to 1: above 0 where lows were bought back."""
    opened, close, high, low = bars["open"], bars["close"], bars["high"], bars["low"]
    lower, upper = minimum(opened, close) - low, high - maximum(opened, close)
    bought, range_ = lower - upper, high - low
    return _shares(bought, range_, windows)


def _imbalances(bars: Columns, windows: Sequence[int]) -> list[Any]:
    """Return the share of so many bars' volume traded in rising bars less the share in falling ones, -1 to 1."""
    volume = bars["volume"]
    signed = sign(bars["close"] - bars["open"]) * volume
    return _shares(signed, volume, windows)


def _shares(part: Any, whole: Any, windows: Sequence[int]) -> list[Any]:
    """Return the mean of a part as a share of the mean of the whole over each window, -1 to 1."""
    return [clip(ratio(*pair), -1.0, 1.0) for pair in zip(means(part, windows), means(whole, windows), strict=True)]


def _price_windows(bars: Columns) -> Columns:
    """The last closes as they lie: each one's distance from the window's mean in the window's deviations, newest first."""
    close = log(bars["close"])
    level, variance = moments(close, _WINDOW)
    spread = sqrt(variance)
    return {f"close_{rows}": ratio(lag(close, rows) - level, spread) for rows in range(_WINDOW)}


def _technical(bars: Columns) -> Columns:
    """The oscillators that charts show, each brought to about -1 to 1."""
    high, low, close, volume = (bars[name] for name in ("high", "low", "close", "volume"))
    plus, minus, slow = plus_di(high, low, close), minus_di(high, low, close), stoch(high, low, close, 14, 3, 3)
    return {
        "rsi_14": rsi(close, 14) / 50.0 - 1.0,
        "stochastic_14": slow.k / 50.0 - 1.0,
        "williams_14": willr(high, low, close, 14) / 50.0 + 1.0,
        "macd_histogram": ratio(macd_histogram(close), atr(high, low, close, 14)),
        "cci_20": clip(cci(high, low, close, 20) / 200.0, -LIMIT, LIMIT),
        "bollinger_20": clip(bollinger_position(close, 20) * 2.0 - 1.0, -LIMIT, LIMIT),
        "directional_14": quotient(plus - minus, plus + minus, 0.0),
        "aroon_25": aroonosc(high, low, 25) / 100.0,
        "money_flow_14": mfi(high, low, close, volume, 14) / 50.0 - 1.0,
        "chaikin_20": cmf(high, low, close, volume, 20),
        "momentum_24": momentum(close, 24),
    }


def _volatility(bars: Columns) -> Columns:
    """How wild the market is beside what it was, and where in the bar the movement happened."""
    opened, high, low, close = (bars[name] for name in ("open", "high", "low", "close"))
    day = realised_volatility(close, 24)
    return {
        "realised_6_72": ratio(realised_volatility(close, 6), realised_volatility(close, 72)),
        "realised_24_168": ratio(day, realised_volatility(close, 168)),
        "parkinson_24": ratio(parkinson(high, low, 24), day),
        "garman_klass_24": ratio(garman_klass(opened, high, low, close, 24), day),
        "range_14": ratio(trange(high, low, close), atr(high, low, close, 14)),
        "realised_rank_168": percent_rank(day, 168) / 50.0 - 1.0,
        "bands_rank_168": percent_rank(bollinger_width(close, 20), 168) / 50.0 - 1.0,
    }


def _calendar(bars: Columns) -> Columns:
    """The hour of the day, the day of the week and the season, in UTC, each as a point on a circle; and the weekend."""
    opened = bars[OPENED]
    columns: Columns = {}
    for name, days, offset in (
        ("day", 1.0, 0.0),
        ("week", 7.0, 3.0),
        ("year", 365.25, 0.0),
    ):  # 1970 began on a Thursday
        columns[f"{name}_sin"], columns[f"{name}_cos"] = cycle(opened + offset * DAY_MS, days * DAY_MS)
    since_monday = (opened + 3.0 * DAY_MS) % (7.0 * DAY_MS)
    return columns | {"weekend": where(since_monday >= 5.0 * DAY_MS, opened * 0.0 + 1.0, opened * 0.0)}


SETS = (
    FeatureSet(
        name="basic",
        version=2,
        question="what moved, how far it is stretched, and who pushed it",
        columns=(
            "momentum_1", "momentum_6", "momentum_24", "momentum_48", "stretch_24", "rsi_14",
            "imbalance_12", "imbalance_24", "imbalance_48", "wick_12", "wick_24", "wick_48",
        ),
        warmup=wilder_memory(14),  # Wilder's ATR and RSI over 14 bars settle last
        function=_basic,
    ),
    FeatureSet(
        name="price_windows",
        version=1,
        question="the shape of the last 24 closes",
        columns=tuple(f"close_{rows}" for rows in range(_WINDOW)),
        warmup=_WINDOW - 1,
        function=_price_windows,
    ),
    FeatureSet(
        name="technical",
        version=1,
        question="what the oscillators of charts say",
        columns=(
            "rsi_14", "stochastic_14", "williams_14", "macd_histogram", "cci_20", "bollinger_20", "directional_14",
            "aroon_25", "money_flow_14", "chaikin_20", "momentum_24",
        ),
        warmup=SETTLED * (26 + 9),  # MACD's signal line settles last
        function=_technical,
    ),
    FeatureSet(
        name="volatility",
        version=1,
        question="how wild the market is beside what it was",
        columns=(
            "realised_6_72", "realised_24_168", "parkinson_24", "garman_klass_24", "range_14", "realised_rank_168",
            "bands_rank_168",
        ),
        warmup=wilder_memory(14),
        function=_volatility,
    ),
    FeatureSet(
        name="calendar",
        version=1,
        question="when it is: hour, weekday and season in UTC",
        columns=("day_sin", "day_cos", "week_sin", "week_cos", "year_sin", "year_cos", "weekend"),
        warmup=0,
        function=_calendar,
    ),
)  # fmt: skip
