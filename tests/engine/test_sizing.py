"""How large an entry is: each sizing rule, each missing input, and what a venue's smallest sizes do to it."""

from math import isnan

import pytest

from atb.engine.policy import ExecutionModel
from atb.engine.sizing import entry_price, first_stop, in_session, kelly, throttle_factor, wanted_value
from tests.engine.cases import (
    FLAT,
    FREE,
    NAN,
    account,
    at,
    half,
    parameters,
    play,
    rules,
    signal_record,
    slot_record,
)

TWO = [FLAT, FLAT]


def first_entry(policy, side=1.0, **columns):
    """Return the quantity of the first order and the refusals of a signal at the first close."""
    played = play(TWO, [side], policy, **columns)
    return (played.quantities or [0.0])[0], played.refusals


def test_a_fraction_is_one_of_equity_with_open_profits_and_losses():
    rows = [FLAT, at(100), at(120), at(120), at(120)]
    assert play(rows, [1.0, 1.0, 0.0, 1.0]).quantities == [50.0, 50.0, pytest.approx(5500 / 120, abs=1e-5)]


def test_a_stake_is_the_same_whatever_the_equity():
    rows = [FLAT, at(100), at(125), at(125), at(125)]
    assert play(rows, [1.0, 1.0, 0.0, 1.0], half(sizing="fixed_stake", stake=2500.0)).quantities == [25.0, 25.0, 20.0]


@pytest.mark.parametrize("side", [1.0, -1.0])
@pytest.mark.parametrize(
    ("stop", "columns", "quantity"),
    [
        ({"stop_loss": 0.05}, {}, 20.0),  # 1 % of 10,000 over 5
        ({"stop_atr": 2.5}, {"atr": [4.0]}, 10.0),  # over 10
        ({"stop_loss": 0.05, "stop_atr": 2.5}, {"atr": [1.0]}, 40.0),  # over 2.5, the tighter
        ({"stop_loss": 0.01}, {}, 50.0),  # would be 100: never more than the fraction
    ],
)
def test_risk_is_what_the_stop_would_lose(side, stop, columns, quantity):
    policy = half(sizing="risk", risk=0.01, allow_short=True, **stop)
    assert first_entry(policy, side, **columns) == (quantity, [])


def test_risk_is_measured_from_the_price_that_the_entry_will_fill_at():
    policy = half(sizing="risk", risk=0.01, signal_stop=True)
    slipped = ExecutionModel(fee=0.0, slippage=0.01)
    assert first_entry(policy, stop=[96.0]) == (25.0, [])
    assert first_entry(policy, stop=[96.0], execution=slipped) == (20.0, [])  # 101 - 96
    assert (
        first_entry(half(sizing="risk", risk=0.01, signal_stop=True, allow_short=True), -1.0, stop=[105.0])[0] == 20.0
    )


def test_confidence_scales_the_fraction():
    policy = half(sizing="confidence")
    assert first_entry(policy, confidence=[0.4]) == (20.0, [])
    assert first_entry(policy, confidence=[1.0]) == (50.0, [])
    assert first_entry(policy, confidence=[0.0]) == (0.0, ["no_edge"])
    assert first_entry(policy, confidence=[NAN]) == (0.0, ["missing_input"])


def test_volatility_above_its_target_cuts_the_fraction_and_none_enlarges_it():
    policy = half(sizing="volatility", volatility_target=0.4)
    assert first_entry(policy, volatility=[0.8]) == (25.0, [])
    assert first_entry(policy, volatility=[0.2]) == (50.0, [])
    assert first_entry(policy, volatility=[NAN]) == (0.0, ["missing_input"])
    assert first_entry(policy, volatility=[0.0]) == (0.0, ["missing_input"])


def kelly_of(policy, **history):
    return kelly(slot_record(**history), parameters(policy))


def test_kelly_bets_part_of_the_formula_on_its_own_trades():
    policy = half(sizing="kelly", kelly_trades=4, kelly_scale=0.5, kelly_floor=0.02)
    even = {"wins": 2, "losses": 2, "gain": 0.2, "loss": 0.1}  # won half, 10 % against 5 %: 0.5 - 0.5 / 2
    assert kelly_of(policy, **even) == pytest.approx(0.125)
    assert kelly_of(policy, **(even | {"wins": 1})) == 0.02  # three trades: not enough
    better = {"wins": 3, "losses": 1, "gain": 0.6, "loss": 0.1}  # 0.75 - 0.25 / 2
    assert kelly_of(policy, **better) == pytest.approx(0.3125)


def test_kelly_stays_between_its_floor_and_the_fraction():
    policy = half(fraction=0.3, sizing="kelly", kelly_trades=2, kelly_scale=0.5, kelly_floor=0.02)
    assert kelly_of(policy, wins=0, losses=3, gain=0.0, loss=0.1) == 0.02
    assert kelly_of(policy, wins=1, losses=3, gain=0.1, loss=0.3) == 0.02  # below zero
    assert kelly_of(policy, wins=3, losses=0, gain=0.1, loss=0.0) == 0.3  # 0.5 at most the fraction
    assert kelly_of(half(fraction=0.9, sizing="kelly", kelly_trades=2), wins=3, gain=0.1) == 0.5  # the scale


def test_kelly_sizes_entries_by_closed_trades():
    rows = [FLAT, at(100), at(110), at(100), at(95), at(100), at(100)]
    sides = [1.0, 0.0, 1.0, 0.0, 1.0, 1.0]
    policy = half(sizing="kelly", kelly_trades=2, kelly_scale=0.5, kelly_floor=0.1)
    played = play(rows, sides, policy)
    # +10 % on a tenth of 10,000, then -5 % on a tenth (at the decision's 110) of 10,100
    assert played.quantities[:4] == pytest.approx([10, 10, 1010 / 110, 1010 / 110], abs=1e-5)
    equity = 10_100 - 5 * played.quantities[2]
    assert played.quantities[4] == pytest.approx(equity * 0.125 / 95, abs=1e-5)
    assert (played.slot["wins"], played.slot["losses"]) == (1, 1)
    assert (played.slot["gain"], played.slot["loss"]) == (pytest.approx(0.1), pytest.approx(0.05))


def test_kelly_without_a_floor_has_no_edge_to_begin_with():
    assert first_entry(half(sizing="kelly", kelly_floor=0.0)) == (0.0, ["no_edge"])


def test_a_trade_that_ends_where_it_began_counts_for_nothing():
    played = play([FLAT] * 4, [1.0, 0.0], half(sizing="kelly", kelly_trades=1, kelly_floor=0.1))
    assert (played.slot["wins"], played.slot["losses"]) == (0, 0)
    assert played.outcome.account["trades"] == 1


def test_what_a_sizing_rule_wants_for_each_rule():
    signal = signal_record(confidence=0.5, volatility=0.8)

    def wanted(**policy):
        return wanted_value(1000.0, slot_record(), parameters(half(**policy)), signal, 0.05)

    assert wanted() == 500.0
    assert wanted(sizing="fixed_stake", stake=123.0) == 123.0
    assert wanted(sizing="risk", risk=0.01, stop_loss=0.1) == pytest.approx(200.0)
    assert wanted(sizing="confidence") == 250.0
    assert wanted(sizing="volatility", volatility_target=0.2) == 125.0
    assert wanted(sizing="kelly", kelly_floor=0.1) == 100.0


# --- stops that a size depends on ---


@pytest.mark.parametrize(
    ("side", "rules_on", "stop"),
    [
        (1.0, {"stop_loss": 0.05}, 95.0),
        (-1.0, {"stop_loss": 0.05}, 105.0),
        (1.0, {"stop_atr": 2.0}, 94.0),
        (-1.0, {"stop_atr": 2.0}, 106.0),
        (1.0, {"signal_stop": True}, 97.0),
        (1.0, {"stop_loss": 0.05, "stop_atr": 2.0}, 95.0),
        (1.0, {"stop_loss": 0.05, "stop_atr": 2.0, "signal_stop": True}, 97.0),
        (1.0, {"stop_loss": 0.01, "signal_stop": True}, 99.0),
    ],
)
def test_the_first_stop_is_the_tightest_of_those_that_are_on(side, rules_on, stop):
    assert first_stop(side, 100.0, 3.0, 97.0, parameters(half(**rules_on))) == stop


def test_a_first_stop_needs_its_input_and_is_rounded_away_from_the_position():
    assert isnan(first_stop(1.0, 100.0, NAN, 97.0, parameters(half(stop_atr=2.0))))
    assert isnan(first_stop(1.0, 100.0, 3.0, 97.0, parameters()))
    assert first_stop(1.0, 100.0, NAN, 97.0, parameters(half(stop_atr=2.0, stop_loss=0.05))) == 95.0
    assert first_stop(1.0, 100.0, 3.0, 97.0, parameters(half(stop_loss=0.03333))) == 96.66
    assert first_stop(-1.0, 100.0, 3.0, 97.0, parameters(half(stop_loss=0.03333))) == 103.34


@pytest.mark.parametrize(
    ("side", "columns"),
    [(1.0, {}), (1.0, {"stop": [NAN]}), (1.0, {"stop": [100.0]}), (1.0, {"stop": [101.0]}), (-1.0, {"stop": [99.0]})],
)
def test_a_signal_whose_stop_is_missing_or_on_the_wrong_side_is_refused(side, columns):
    policy = half(signal_stop=True, allow_short=True)
    assert first_entry(policy, side, **columns) == (0.0, ["no_stop"])


def test_an_atr_stop_without_an_atr_is_refused():
    assert first_entry(half(stop_atr=2.0)) == (0.0, ["no_stop"])  # two bars are too few for the ATR of 14
    assert first_entry(half(stop_atr=2.0, stop_loss=0.1), atr=[NAN]) == (50.0, [])


# --- the price that a size is made of ---


def priced(side, kind, *, price=NAN, execution=FREE, **policy):
    slot, par = slot_record(mark=100.0), parameters(half(**policy), execution)
    return entry_price(slot, par, signal_record(price=price), side, kind)


def test_an_entry_is_priced_at_its_expected_fill():
    slipped = ExecutionModel(slippage=0.01)
    assert (priced(1.0, 0, execution=slipped), priced(-1.0, 0, execution=slipped)) == (101.0, 99.0)
    assert (priced(1.0, 1, entry_offset=0.02), priced(-1.0, 1, entry_offset=0.02)) == (98.0, 102.0)
    assert (priced(1.0, 2, entry_offset=0.02), priced(-1.0, 2, entry_offset=0.02)) == (102.0, 98.0)
    assert (priced(1.0, 1, price=97.001), priced(-1.0, 2, price=97.009)) == (97.01, 97.0)
    assert priced(1.0, 0, price=97.0) == 100.0


def test_an_impact_is_not_known_before_the_size():
    assert priced(1.0, 0, execution=ExecutionModel(slippage=0.0, impact=0.1)) == 100.0


@pytest.mark.parametrize("price", [0.0, -5.0])
def test_a_price_that_is_none_is_refused(price):
    policy = half(entry="limit", entry_offset=0.01)
    assert first_entry(policy, price=[price]) == (0.0, ["no_price"])


# --- the smallest sizes ---


def test_a_size_just_at_the_smallest_is_taken():
    exact = rules(lot="0.1", min_quantity="0.5", min_notional="50")
    assert first_entry(half(sizing="fixed_stake", stake=50.0), instrument=exact) == (0.5, [])
    assert first_entry(half(sizing="fixed_stake", stake=49.0), instrument=exact) == (0.0, ["below_min_quantity"])
    dear = rules(lot="0.1", min_quantity="0.1", min_notional="50")
    assert first_entry(half(sizing="fixed_stake", stake=49.0), instrument=dear) == (0.0, ["below_min_notional"])
    assert first_entry(half(sizing="fixed_stake", stake=9.0), instrument=rules(lot="0.1")) == (
        0.0,
        ["below_min_quantity"],
    )


def test_fees_in_base_count_against_the_smallest_sizes():
    spot = ExecutionModel(fee=0.01, slippage=0.0, fee_in_base=True)
    small = rules(lot="0.1", min_quantity="0.5", min_notional="5")
    stake = half(sizing="fixed_stake", stake=50.0)
    assert first_entry(stake, instrument=small) == (0.5, [])
    assert first_entry(stake, instrument=small, execution=spot) == (0.0, ["below_min_quantity"])  # 0.4 would remain
    dear = rules(lot="0.1", min_quantity="0.1", min_notional="50")
    assert first_entry(stake, instrument=dear, execution=spot) == (0.0, ["below_min_notional"])


def test_sessions_may_cross_midnight_and_weekends_may_be_closed():
    hour, monday = 3_600_000, 1_704_067_200_000  # 2024-01-01, a Monday
    day = parameters(half(session=("08:00", "16:30")))
    assert [in_session(monday + m * 60_000, day) for m in (479, 480, 989, 990)] == [False, True, True, False]
    night = parameters(half(session=("22:00", "06:00")))
    assert [in_session(monday + h * hour, night) for h in (5, 6, 21, 22, 23)] == [True, False, False, True, True]
    week = parameters(half(flat_weekend=True))
    days = [in_session(monday + d * 24 * hour, week) for d in range(8)]
    assert days == [True, True, True, True, True, False, False, True]
    assert in_session(monday + 5 * 24 * hour - 1, week)
    assert all(in_session(monday + d * 24 * hour, parameters()) for d in range(7))


def test_each_level_of_the_throttle_has_its_factor():
    from atb.engine.parameters import account_parameters

    limit = account_parameters(account(throttle=((0.05, 0.8), (0.1, 0.6), (0.15, 0.4))))[0]
    assert [throttle_factor(limit, level) for level in range(4)] == [1.0, 0.8, 0.6, 0.4]
