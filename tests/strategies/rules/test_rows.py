"""Which rows a rule reads, how many, and which inputs it declares."""

import pytest

from atb.domain.inputs import BarsInput, FundingInput, SentimentInput
from atb.strategies.rules.building import build
from atb.strategies.rules.rows import needed, rows_of

FOUR_HOURS = BarsInput(timeframe="4h")


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        ("close > open", {None: 0}),
        ("cross_above(ema(close, 12), ema(close, 48)) and rsi(14) < 70", {None: 20 * 48 + 1}),
        ("lag(sma(lag(close, 2), 10), 3) > 1", {None: 2 + 9 + 3}),
        ("highest(sma(close, 5), 7) > close or rising(close, 3)", {None: 10}),
        ("rising(sma(close, 5), 3)", {None: 7}),
        ('ema(close, 50, timeframe="4h") > close', {FOUR_HOURS: 1_000, None: 0}),
        ('lag(close(timeframe="4h"), 2) > 1', {FOUR_HOURS: 2}),
        ('lag(close(timeframe="4h") - close, 2) > 1', {FOUR_HOURS: 0, None: 2}),
        ('lag(sma(close, 9, timeframe="4h") > 1 and close > 1, 2)', {FOUR_HOURS: 8, None: 2}),
        ('atr(2, symbol="ETHUSDT", timeframe="1d") > 1', {BarsInput(timeframe="1d", symbol="ETH/USDT"): 60}),
        ("sma(funding, 3) > 0 or funding < 0", {FundingInput(): 2}),
        ('sentiment(source="mood", max_age="1d") < sma(sentiment, 7)',
         {SentimentInput(source="mood", max_age="1d"): 0, SentimentInput(): 6}),
        ("hour >= 9 and close > 1", {BarsInput(): 0, None: 0}),
        ('lag(hour(timeframe="4h"), 1) > 1', {FOUR_HOURS: 1}),
    ],
)  # fmt: skip
def test_counts_the_rows_of_each_kind_that_a_rule_reads(text, rows):
    assert needed(build(text, {})) == rows


def test_what_is_computed_from_one_kind_of_row_stays_on_it():
    assert rows_of(build("sma(funding, 3) * 2 - 1 > 0", {}), None) == FundingInput()
    assert rows_of(build("sma(funding, 3) > sentiment", {}), None) is None
    assert rows_of(build('cross_above(close, sma(close, 9), timeframe="4h")', {}), None) == FOUR_HOURS
