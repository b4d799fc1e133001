"""Names, kinds and numbers: what a rule may not say, and where the error points."""

import pytest

from atb.errors import InputError
from atb.features.indicators import INDICATORS
from atb.strategies.rules.building import build, constants_in
from atb.strategies.rules.functions import LANGUAGE, function_names, function_of
from atb.strategies.rules.tree import Kind
from tests.strategies.rules.trees import calls_of


@pytest.mark.parametrize(
    ("text", "pointed", "words"),
    [
        ("emma(close, 3) > 1", "emma", "Did you mean 'ema'"),
        ("cloze > 1", "cloze", "Did you mean 'close'"),
        ("xyzzy > 1", "xyzzy", "Columns: open, .*Functions: abs"),
        ("__import__ > 1", "__import__", "Rules know no '__import__'"),
        ("ema > 1", "ema", r"ema is a function. Write ema\(close, n\)"),
        ("close(3) > 1", "3", "close is a column: it takes options alone"),
        ("close() > 1", "close()", "write it without brackets"),
        ("ema(close) > 1", "ema(close)", "ema needs n"),
        ("ema(close, 12, 13) > 1", "13", "takes no more constants"),
        ("ema(open, close, 12) > 1", "close", "takes 1 column, and 2 are given"),
        ("ema(12, close) > 1", "close", "come before its constants"),
        ("atr(high, low, 14) > 1", "atr(high, low, 14)", "takes 3 columns, and 2 are given"),
        ("lag(3) > 1", "lag(3)", "takes 1 column, and 0 are given"),
        ("min(close) > 1", "min(close)", "takes 2 arguments, and 1 are given"),
        ("ema(close, 2.5) > 1", "ema(close, 2.5)", "n is a whole number, and 2.5 is not"),
        ("ema(close, 3 / 2) > 1", "ema(close, 3 / 2)", "n is a whole number, and 1.5 is not"),
        ("ema(close, 0) > 1", "ema(close, 0)", "1 to 100,000"),
        ("ema(close, -3) > 1", "ema(close, -3)", "1 to 100,000"),
        ("lag(close, -1) > 1", "lag(close, -1)", "at least 0"),
        ("highest(close, 0) > 1", "highest(close, 0)", "1 to 100,000"),
        ("rising(close, 0)", "rising(close, 0)", "at least 1"),
        ("sma(close, 1000001) > 1", "sma(close, 1000001)", "1,000,000"),
        ("ema(close, m=3) > 1", "m", "no parameter 'm'"),
        ("ema(close, 3, n=3) > 1", "n", "n is given twice"),
        ("ema(close, n=3, n=3) > 1", "n", "n is given twice"),
        ("ema(close, n=close) > 1", "close", "n is a constant"),
        ("ema(n=3, close) > 1", "close", "Constants by name come last"),
        ("macd_histogram(close, 30, 20) > 1", "macd_histogram(close, 30, 20)", "fast below slow"),
        ("rsi(close > 1) > 1", "close > 1", "A number is needed here, and this is a condition"),
        ("-(close > 1) > 1", "close > 1", "A number is needed"),
        ("(close > 1) > 1", "close > 1", "A number is needed"),
        ("close + (close > 1) > 1", "close > 1", "A number is needed"),
        ("close and open > 1", "close", "A condition is needed here, and this is a number"),
        ("not rsi(14)", "rsi(14)", "A condition is needed"),
        ("close > 1 or 3", "3", "A condition is needed here, and this is a constant"),
        ("1 < 2 and close > 1", "1 < 2", "Both sides are constants"),
        ("cross_above(1, 2)", "cross_above(1, 2)", "All its arguments are constants"),
        ("close > 1 / 0", "1 / 0", "divides by 0"),
        ("close > 1e200 * 1e200", "1e200 * 1e200", "too large"),
        ("close > 1e301", "1e301", "too large"),
        ("rsi({n}) > 1", "{n}", "The constant n has no value"),
        ('ema(close, 5, timeframe="5h") > 1', 'timeframe="5h"', "Not a timeframe"),
        ('ema(close, 5, timefram="4h") > 1', 'timefram="4h"', "Did you mean 'timeframe'"),
        ('ema(close, 5, timeframe="4h", timeframe="4h") > 1', 'timeframe="4h"', "given twice"),
        ("ema(close, 5, timeframe=4) > 1", "timeframe=4", "is a text"),
        ('close(symbol="?") > 1', 'symbol="?"', "symbol"),
        ('close(max_age="3d") > 1', 'max_age="3d"', "goes with a timeframe or a symbol"),
        ('funding(timeframe="4h") > 1', 'timeframe="4h"', "funding has no option 'timeframe'"),
        ('sentiment(source="../x") < 20', 'source="../x"', "name of letters"),
        ('sma(funding, 3, timeframe="4h") > 1', 'sma(funding, 3, timeframe="4h")', "reads columns of these bars alone"),
        ('sma(close(timeframe="1d"), 3, timeframe="4h") > 1', 'sma(close(timeframe="1d"), 3, timeframe="4h")', "these bars alone"),
        ("ema(close, 5).upper > 1", "ema(close, 5).upper", "no output 'upper'"),
        ("lag(ema(close, 90000), 1000000) > 1", "lag(ema(close, 90000), 1000000) > 1", "at most 1,000,000 rows"),
    ],
)  # fmt: skip
def test_points_at_what_does_not_fit(text, pointed, words):
    with pytest.raises(InputError, match=words) as caught:
        build(text, {})
    _, line, carets = str(caught.value).split("\n")
    assert line == f"  {text}"
    assert line[carets.index("^") : carets.rindex("^") + 1] == pointed


@pytest.mark.parametrize("name", [*INDICATORS, *LANGUAGE])
def test_every_function_can_be_written_as_its_signature_says(name):
    function = function_of(name)
    assert function is not None
    assert {build(text, {}).kind for text in calls_of(name)} <= {Kind.NUMBER, Kind.CONDITION}
    assert function.signature.startswith(f"{name}(")


def test_an_indicator_and_a_function_of_the_language_never_share_a_name():
    assert not {*LANGUAGE} & {*INDICATORS}
    assert function_names() == sorted([*LANGUAGE, *INDICATORS])


def test_columns_of_the_bars_may_be_left_out():
    assert str(build("atr(14) > atr(high, low, close, n=14)", {})) == "atr(14) > atr(high, low, close, n=14)"


def test_a_constant_may_be_computed():
    assert str(build("sma(close, 2 * {n=12} - min(3, 4)) > -max(1, 2) / 4", {})).startswith(
        "sma(close, 2 * {n=12} - min(3, 4))"
    )


def test_a_given_value_goes_before_the_written_one():
    assert str(build("rsi({n=14}) < {low=30}", {"n": 7})) == "rsi({n=7}) < {low=30}"


def test_finds_the_constants_that_a_text_names():
    assert constants_in("rsi({n=14}) < {low} and {n} < close") == {"n": 14, "low": None}
    with pytest.raises(InputError, match=r"two values, (14 and 7|7 and 14)"):
        constants_in("rsi({n=14}) < rsi({n=7})")
