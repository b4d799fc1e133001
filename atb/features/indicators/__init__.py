"""Causal indicators: thin functions, many over TA-Lib, each with the warm-up after which its values can be trusted.

A column goes in as a Series or a float64 array and comes out as the same kind, as long, on the same index; several come out as
a named tuple. Row t depends on rows up to and including t. Values are NaN only while warming up. An input may itself start with
NaN (it is another indicator's output); a NaN or an infinity after its first value is refused, because TA-Lib would carry it to the
last row without a word.

*Warm-up* is the number of bars that must come before a row for its value to be trusted. An average over a finite window of n bars
needs n - 1; from these bars alone its value is the same to the last bit (`windows`). A recursive one (EMA, Wilder's smoothing)
never quite forgets how it was seeded: after 20 times its span the seed weighs less than one part in 10^9, and that is what it
declares, though its first value comes much earlier (`recursion`). Running totals and stops that trail a trend, which never forget,
are computed over a stated number of bars instead.

A market that stands still has no side: averages of it are equal, ranges 0, and positions within a range in the middle.

Each indicator is written once and has two forms: over whole columns, and live, one closed bar at a time with equal bits
(`INDICATORS[name].stream()`, `live`).

To add one: write the function with the arithmetic of `columns`, `windows` and `recursion` under `@indicator(...)` in the module
of its family, and import it here; the contract suite then runs on it.
"""

from atb.features.indicators.averages import dema, ema, hma, kama, rma, sma, t3, tema, trima, vwma, wma, zlema
from atb.features.indicators.bands import (
    bollinger,
    bollinger_position,
    bollinger_width,
    donchian,
    ichimoku,
    keltner,
    linear_regression_channel,
    sar,
    supertrend,
)
from atb.features.indicators.candles import PATTERNS, candle_pattern
from atb.features.indicators.columns import Array
from atb.features.indicators.directional import adx, adxr, aroon, aroonosc, dx, minus_di, plus_di, vortex
from atb.features.indicators.live import Live, Stream
from atb.features.indicators.oscillators import (
    apo,
    awesome,
    bop,
    cci,
    cmo,
    fisher,
    macd,
    macd_histogram,
    mfi,
    mom,
    ppo,
    roc,
    rsi,
    stoch,
    stochf,
    stochrsi,
    trix,
    tsi,
    ultosc,
    willr,
)
from atb.features.indicators.recursion import SETTLED
from atb.features.indicators.register import INDICATORS, Column, Indicator, remembered
from atb.features.indicators.statistics import (
    beta,
    correl,
    highest,
    linearreg,
    linearreg_slope,
    lowest,
    midprice,
    percent_rank,
    r_squared,
    zscore,
)
from atb.features.indicators.volatility import (
    atr,
    garman_klass,
    natr,
    parkinson,
    realised_volatility,
    rogers_satchell,
    stddev,
    trange,
)
from atb.features.indicators.volume import ad, adosc, cmf, efi, obv, vwap

__all__ = [
    "INDICATORS",
    "PATTERNS",
    "SETTLED",
    "Array",
    "Column",
    "Indicator",
    "Live",
    "Stream",
    "ad",
    "adosc",
    "adx",
    "adxr",
    "apo",
    "aroon",
    "aroonosc",
    "atr",
    "awesome",
    "beta",
    "bollinger",
    "bollinger_position",
    "bollinger_width",
    "bop",
    "candle_pattern",
    "cci",
    "cmf",
    "cmo",
    "correl",
    "dema",
    "donchian",
    "dx",
    "efi",
    "ema",
    "fisher",
    "garman_klass",
    "highest",
    "hma",
    "ichimoku",
    "kama",
    "keltner",
    "linear_regression_channel",
    "linearreg",
    "linearreg_slope",
    "lowest",
    "macd",
    "macd_histogram",
    "mfi",
    "midprice",
    "minus_di",
    "mom",
    "natr",
    "obv",
    "parkinson",
    "percent_rank",
    "plus_di",
    "ppo",
    "r_squared",
    "realised_volatility",
    "remembered",
    "rma",
    "roc",
    "rogers_satchell",
    "rsi",
    "sar",
    "sma",
    "stddev",
    "stoch",
    "stochf",
    "stochrsi",
    "supertrend",
    "t3",
    "tema",
    "trange",
    "trima",
    "trix",
    "tsi",
    "ultosc",
    "vortex",
    "vwap",
    "vwma",
    "willr",
    "wma",
    "zlema",
    "zscore",
]
