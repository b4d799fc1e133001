"""Text and tree: one is the other's only form."""

import pytest
from hypothesis import given

from atb.strategies.rules.building import build
from atb.strategies.rules.expression import parse
from atb.strategies.rules.tree import canonical
from tests.seeds import examples
from tests.strategies.rules.trees import RULES, columns, conditions, numbers


@examples(60)
@given(conditions(columns()))
def test_a_printed_condition_is_parsed_to_the_same_tree(tree):
    text = str(tree)
    assert build(text, {}) == tree
    assert str(build(text, {})) == text


@examples(60)
@given(numbers(columns()))
def test_a_printed_number_is_parsed_to_the_same_tree(tree):
    assert build(str(tree), {}) == tree


@pytest.mark.parametrize("text", RULES)
def test_what_is_printed_stays_as_it_is(text):
    once = str(parse(text))
    assert str(parse(once)) == once


@pytest.mark.parametrize(
    ("written", "printed"),
    [
        ("cross_above(ema( close,12 ),open)and rsi(14)<70", "cross_above(ema(close, 12), open) and rsi(14) < 70"),
        ("((close)) > ((open) - (high - low))", "close > open - (high - low)"),
        ("(close - open) - low > 1", "close - open - low > 1"),
        ("close > (open * 2) + 1", "close > open * 2 + 1"),
        ("close > open * (2 + low)", "close > open * (2 + low)"),
        ("-(close + 1) < --2 * -open", "-(close + 1) < --2 * -open"),
        ("not (not (close > 1))", "not not close > 1"),
        ("not (close > 1 and open > 1)", "not (close > 1 and open > 1)"),
        ("close > 1 and (open > 1 and (low > 1 and high > 1))", "close > 1 and open > 1 and low > 1 and high > 1"),
        ("close > 1 or (open > 1 and low > 1)", "close > 1 or open > 1 and low > 1"),
        ("(close > 1 or open > 1) and low > 1", "(close > 1 or open > 1) and low > 1"),
        ("close > 70.0 and open < 1e3 and low != .5 and high > 1e22", "close > 70 and open < 1000 and low != 0.5 and high > 1e+22"),
        ("rsi({ n = -14.50 } * -1 - 0.5) < {low=30}", "rsi({n=-14.5} * -1 - 0.5) < {low=30}"),
        ("ema(close, timeframe='4H', n=5) > 1", 'ema(close, n=5, timeframe="4h") > 1'),
        ('close(symbol="ethusdt") > 1', 'close(symbol="ETH/USDT") > 1'),
        ("close\n  > 1\n\tand low > 1", "close > 1 and low > 1"),
    ],
)  # fmt: skip
def test_the_canonical_text_has_single_spaces_and_no_bracket_too_many(written, printed):
    assert str(parse(written)) == printed


def test_whole_numbers_are_written_as_such():
    assert [repr(canonical(value)) for value in (3.0, 3, 2.0**53, 0.1, -0.0)] == [
        "3",
        "3",
        "9007199254740992.0",
        "0.1",
        "0",
    ]
