"""The grammar: what it reads, where it says a text goes wrong, and that no text breaks it."""

import pytest

from atb.errors import InputError
from atb.strategies.rules.expression import Expression, parse
from atb.strategies.rules.grammar import DEEPEST, LONGEST, parse_syntax
from tests.strategies.rules.trees import texts


@pytest.mark.parametrize(
    ("text", "place", "words"),
    [
        ("close >", 7, "ends too early. A value is missing"),
        ("(close > 1", 10, r"A \) is missing"),
        ("close > 1)", 9, r"'\)' has no place here"),
        ("close > 1 AND open > 1", 10, "Did you mean 'and'"),
        ("close > 1 && open > 1", 10, "no '&'. Write and"),
        ("close > 1 | open > 1", 10, "no '\\|'. Write or"),
        ("!(close > 1)", 0, "no '!'. Write not"),
        ("close = 5", 6, "Equality is written =="),
        ("20 < close < 70", 11, "One comparison at a time. Use between"),
        ("close ** 2 > 1", 7, "Powers are not known here"),
        ("close[1] > 2", 5, r"written lag\(close, 1\)"),
        ("close high > 1", 6, "An operator is missing"),
        ("ema(close 12) > 1", 10, r"A \) is missing, or an operator or comma"),
        ("ema(close,) > 1", 10, "A value is missing before '\\)'"),
        ("ema(, 12) > 1", 4, "A value is missing before ','"),
        ("and close > 1", 0, "A value is missing before 'and'"),
        ("close > 1 and", 13, "ends too early"),
        ("close.high > 1", 5, "'.' has no place here"),
        ("{5} > close", 1, "A name is missing"),
        ("{n = close} > 2", 5, r"written \{name\}"),
        ('close > "4h"', 8, "A quoted text has no place here"),
        ('close(timeframe="4h) > 1', 16, "A quoted text does not end"),
        ("close > 1; open > 1", 9, "Rules have no ';'"),
        ("clôse > 1", 2, "Rules have no 'ô'"),
        ("close > 1 # often", 10, "Rules have no '#'"),
        ("close > 1\nand open >> 2\nand low > 1", 20, "A value is missing before '>'"),
    ],
)
def test_says_where_a_text_goes_wrong(text, place, words):
    with pytest.raises(InputError, match=words) as caught:
        parse_syntax(text)
    _, line, carets = str(caught.value).split("\n")
    begins = text.rfind("\n", 0, place) + 1
    assert line.strip() == text[begins:].split("\n")[0].strip()
    assert carets.index("^") - 2 == place - begins


@pytest.mark.parametrize("nothing", ["", "  \n", None, 3, ["close > 1"], b"close > 1"])
def test_refuses_what_is_no_text(nothing):
    with pytest.raises(InputError, match="A rule is a text"):
        parse_syntax(nothing)


def test_refuses_a_text_that_is_too_long():
    with pytest.raises(InputError, match="at most 4,000 characters"):
        parse_syntax("close > 1" + " " * LONGEST)


@pytest.mark.parametrize("before", ["not ", "-", "abs(", "close + (", "(close > 1) or not ("])
def test_refuses_a_text_that_nests_too_deep(before):
    text = before * (2 * DEEPEST) + "close" + ")" * (before.count("(") - before.count(")")) * 2 * DEEPEST
    with pytest.raises(InputError, match="at most 40 levels"):
        parse_syntax(text)


def test_brackets_alone_are_no_depth():
    assert parse_syntax("(" * 1_900 + "close > 1" + ")" * 1_900).children


@pytest.mark.parametrize("seed", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_no_text_breaks_it(seed):
    """Every text is a rule, and is then printed to one that is the same, or it is refused with its place."""
    for text in texts(3_000 if seed == 1 else 100_000, seed):
        found = _parsed(text)
        if isinstance(found, Expression):
            assert parse(str(found)) == found, text
        else:
            assert "^" in found or not text.strip() or len(text) > LONGEST, text


def _parsed(text: str) -> Expression | str:
    """Return the rule, or what is said against it."""
    try:
        return parse(text)
    except InputError as refusal:
        return str(refusal)


def test_words_of_the_language_are_no_names():
    with pytest.raises(InputError, match="A value is missing before 'or'"):
        parse_syntax("or > 1")


def test_loading_the_language_loads_no_parser():
    import subprocess
    import sys

    program = "import sys, atb.strategies.rules; print([m for m in ('lark', 'pandas', 'talib') if m in sys.modules])"
    told = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert told.stdout.strip() == "[]"
