"""Candle patterns: TA-Lib's, one function and one registered indicator per pattern.

TA-Lib compares a bar's body and shadows with running averages of ten bars, whose rounding errors tell how the history began; in a
market that stands still these decide. So a row's pattern is read from the pattern's own bars alone, row by row.
"""

from typing import Any

from atb.errors import InputError, did_you_mean
from atb.features.indicators.library import restarted
from atb.features.indicators.register import INDICATORS, Column, indicator

ROWS = 25  # the longest pattern with its averages takes 15, a late confirmation three more
PATTERNS = (
    "2crows", "3blackcrows", "3inside", "3linestrike", "3outside", "3starsinsouth", "3whitesoldiers", "abandonedbaby",
    "advanceblock", "belthold", "breakaway", "closingmarubozu", "concealbabyswall", "counterattack", "darkcloudcover", "doji",
    "dojistar", "dragonflydoji", "engulfing", "eveningdojistar", "eveningstar", "gapsidesidewhite", "gravestonedoji", "hammer",
    "hangingman", "harami", "haramicross", "highwave", "hikkake", "hikkakemod", "homingpigeon", "identical3crows", "inneck",
    "invertedhammer", "kicking", "kickingbylength", "ladderbottom", "longleggeddoji", "longline", "marubozu", "matchinglow",
    "mathold", "morningdojistar", "morningstar", "onneck", "piercing", "rickshawman", "risefall3methods", "separatinglines",
    "shootingstar", "shortline", "spinningtop", "stalledpattern", "sticksandwich", "takuri", "tasukigap", "thrusting", "tristar",
    "unique3river", "upsidegap2crows", "xsidegap3methods",
)  # fmt: skip


def candle_pattern(open: Column, high: Column, low: Column, close: Column, *, pattern: str) -> Column:  # noqa: A002
    """Return 100 where a bar completes a bullish pattern, -100 a bearish one, 0 elsewhere (200 and -200: confirmed).

    Parameters
    ----------
    pattern
        One of `PATTERNS`: the names of TA-Lib's functions without `CDL`, in small letters.
    """
    if pattern not in PATTERNS:
        raise InputError("Unknown candle pattern", found=pattern, todo=did_you_mean(pattern, PATTERNS))
    return INDICATORS[f"cdl_{pattern}"].function(open, high, low, close)


def _register(pattern: str) -> None:
    function = f"CDL{pattern.upper()}"

    def candle(open: Any, high: Any, low: Any, close: Any) -> Any:  # noqa: A002 - the columns' names
        return restarted(function, ROWS, open, high, low, close)

    candle.__name__ = f"cdl_{pattern}"
    candle.__doc__ = f"Return 100 or -100 where a bar completes TA-Lib's {function}, 0 elsewhere."
    indicator("open", "high", "low", "close", family="candles", warmup=lambda: ROWS - 1)(candle)


for _pattern in PATTERNS:
    _register(_pattern)
