"""Rules as values: canonical, named constants, declared inputs."""

import math

import pytest

from atb.domain.inputs import BarsInput, FundingInput, SentimentInput
from atb.errors import InputError
from atb.strategies.rules import Expression, parse
from tests.bars import random_walk


def test_equal_texts_give_equal_expressions_however_they_are_written():
    one, other = parse("close>sma(close,{n=50.0})"), parse("(close) > sma( close , {n} )", {"n": 50})
    assert one == other
    assert hash(one) == hash(other)
    assert str(one) == "close > sma(close, {n=50})"
    assert repr(parse("close - open")) == "<number: close - open>"


def test_constants_are_given_by_name():
    found = parse("rsi({n=14}) < {low=30}", {"n": 7.0, "low": 32.5})
    assert found.constants == {"n": 7, "low": 32.5}
    assert str(found) == "rsi({n=7}) < {low=32.5}"


def test_refuses_a_constant_that_the_text_does_not_name():
    with pytest.raises(InputError, match="names no such constant; found 'm'"):
        parse("rsi({n=14}) < 30", {"m": 7})


@pytest.mark.parametrize("wrong", [math.nan, math.inf, True, "7", None, 10**400])
def test_refuses_a_constant_that_is_no_number(wrong):
    with pytest.raises(InputError, match="The constant n is a number"):
        parse("rsi({n=14}) < 30", {"n": wrong})


def test_declares_what_it_reads_beside_the_bars():
    text = (
        'ema(close, 3, timeframe="4h") > lag(close(timeframe="4h"), 1) and funding > 0 and sentiment < 20 and close > 1'
    )
    assert dict(parse(text).inputs) == {
        "bars_4h": BarsInput("4h", warmup=60),
        "funding": FundingInput(),
        "sentiment_fear_greed": SentimentInput(),
    }
    assert dict(parse("close > 1").inputs) == {}
    ethereum = parse('close(symbol="ETHUSDT") > 1 and close(symbol="ETHUSDT", max_age="2h") > 1').inputs
    assert list(ethereum) == ["bars_ETH_USDT", "bars_ETH_USDT_"]


def test_a_column_comes_from_bars_alone_where_nothing_else_is_read():
    bars = random_walk(30)
    assert parse("close > 0").column(bars).tolist() == [1.0] * 30


def test_says_which_inputs_are_missing():
    with pytest.raises(InputError, match="reads more than the bars; found 'bars_4h, funding'"):
        parse('close(timeframe="4h") > 1 and funding > 0').column(random_walk(30))


def test_an_expression_is_frozen():
    with pytest.raises(AttributeError):
        parse("close > 1").root = None  # type: ignore[misc] # that is what is tried
    assert isinstance(parse("close > 1"), Expression)
