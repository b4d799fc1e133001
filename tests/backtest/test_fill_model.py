"""The fill model in words: every rule that changes a fill or its cost has its sentence when it is on, and only then."""

from dataclasses import replace

import pandas as pd
import pytest

from atb.backtest import run
from atb.engine.policy import ExecutionModel, RiskPolicy
from tests.bars import ramp
from tests.scenarios import scripted_slot

POLICIES = [
    ({"stop_loss": 0.1}, "A stop rests from the entry's fill, the entry bar included"),
    ({"stop_atr": 2.0}, "A stop rests"),
    ({"signal_stop": True}, "A stop rests"),
    ({"trailing_stop": 0.1}, "Trailing stops move at closes only"),
    ({"trailing_atr": 2.0, "break_even": 0.01}, "Trailing stops and break-even stops move at closes only"),
    ({"break_even": 0.01}, "Break-even stops move at closes only"),
    ({"take_profit": 0.1}, "A target is a limit order"),
    ({"take_profit": 0.1}, "fills at its own price, before anything that is sent at that open: takers reach it first"),
    ({"entry": "limit"}, "fills at its own price, before anything that is sent at that open"),
    ({"entry": "limit"}, "it takes the open, slipped but never worse than its price, at the taker fee"),
    ({"entry": "stop"}, "a stop that it slipped beyond meets the market where the entry did"),
    ({"ladder": ((0.02, 0.5), (0.04, 0.25))}, "in shares of the original size: 50% at +2.00%, 25% at +4.00%"),
    ({"scale_in": 0.05, "scale_limit": 3}, "added to at most 3 times"),
    ({"max_participation": 0.05}, "at most 5.00% of the last bar's volume"),
    (
        {"entry": "limit", "entry_offset": 0.01, "entry_bars": 3},
        "limit orders at the signal's own price, else 1.00% better",
    ),
    ({"entry": "limit", "entry_bars": 1}, "rest for 1 bar: one fills at its price"),
    ({"entry": "stop", "entry_offset": 0.01}, "stop orders at the signal's own price, else 1.00% beyond the close"),
    ({"stop_loss": 0.1, "take_profit": 0.1}, "the stop fills first and the fill is counted as ambiguous"),
]
COSTS = [
    ({"fee": 0.001}, "taker fee 0.1000%, maker fee 0.1000%"),
    ({"fee": 0.001, "maker_fee": 0.0002}, "maker fee 0.0200%"),
    ({"fee_in_base": True}, "buys pay in the base currency"),
    ({"slippage": 0.0003}, "slippage of market orders and stops 0.0300%"),
    ({"slippage_atr": 0.05}, "plus 0.05 ATR"),
    ({"impact": 0.01}, "plus 1.00% times the square root of the order's share of the last bar's volume"),
]
PLAIN = run(scripted_slot(ramp(up=5), (1.0,))).fill_model


@pytest.mark.parametrize(("rules", "sentence"), POLICIES)
def test_a_rule_is_told_when_it_is_on(rules, sentence):
    assert sentence in run(scripted_slot(ramp(up=5), (1.0,), RiskPolicy(**rules))).fill_model
    assert sentence not in PLAIN


@pytest.mark.parametrize(("costs", "sentence"), COSTS)
def test_a_cost_is_told(costs, sentence):
    assert sentence in run(scripted_slot(ramp(up=5), (1.0,), execution=ExecutionModel(**costs))).fill_model
    assert sentence not in PLAIN


def test_a_better_open_for_limits_is_told_with_what_an_exchange_does():
    costs = ExecutionModel(limit_gap="open")
    text = run(scripted_slot(ramp(up=5), (1.0,), RiskPolicy(take_profit=0.1), costs)).fill_model
    assert "gets that better open (limit_gap=open): on an exchange, takers reach it first" in text
    assert "fills at its own price, before" not in text


def test_the_basis_is_always_told():
    assert PLAIN == (
        "Decisions at the close of each bar; market orders fill at the next bar's open. Sizes are floored to lots and prices "
        "rounded to ticks against the trader. BTC/USDT: taker fee 0.0000%, maker fee 0.0000%; slippage of market orders and stops "
        "0.0000%. Trading rules of BTC/USDT (given by hand): price step 0.01, lot 0.00001, least order 0.00001 BTC and 5 USDT."
    )


def test_what_shorts_pay_and_funding_are_told():
    frame = ramp(up=5)
    slot = scripted_slot(frame, (1.0,), RiskPolicy(allow_short=True), ExecutionModel(borrow_rate=0.1))
    assert "shorts pay 10.00% a year" in run(slot).fill_model
    funded = run(replace(slot, funding=pd.Series([0.0001], frame.index[2:3])))
    assert "funding is paid" in funded.fill_model
    assert funded.to_json()["slots"][0]["funding"] is True


def test_slots_with_rules_of_their_own_are_told_apart():
    first = scripted_slot(ramp(up=5), (1.0,), RiskPolicy(fraction=0.4, stop_loss=0.1))
    second = scripted_slot(ramp(up=5), (1.0,), RiskPolicy(fraction=0.4, take_profit=0.1), symbol="ETH/USDT")
    text = run([first, second]).fill_model
    assert text.index("BTC/USDT:") < text.index("A stop rests") < text.index("ETH/USDT:") < text.index("A target is")


def test_many_slots_of_one_symbol_count_as_one_symbol():
    slots = [scripted_slot(ramp(up=5), (1.0,), RiskPolicy(fraction=0.1)) for _ in range(6)]
    text = run(slots).fill_model
    assert text.count("BTC/USDT") == 1
    assert "of 1 symbol are read" in text
    several = [*slots, *(scripted_slot(ramp(up=5), (1.0,), slots[0].policy, symbol=f"{name}/USDT") for name in "ABCD")]
    assert "BTC/USDT, A/USDT and 3 more: taker fee" in run(several).fill_model
