"""The kernel's rules on bars made by hand, where every order can be worked out on paper."""

from dataclasses import replace

import numpy as np
import pytest

from atb.backtest import run
from atb.engine.policy import AccountPolicy, ExecutionModel, RiskPolicy
from tests.instruments import usual
from tests.scenarios import ALL_IN, FREE, ohlc, scripted_slot

FLAT = (100.0, 100.0, 100.0, 100.0)


def orders_of(slot, account=ALL_IN):
    frame = run(slot, account=account).orders
    return [tuple(row) for row in frame[["role", "side", "quantity", "price"]].itertuples(index=False)]


def test_a_signal_at_a_close_fills_at_the_next_open():
    slot = scripted_slot(ohlc(FLAT, (101, 103, 99, 102), (104, 104, 104, 104)), (1.0, 1.0, 0.0))
    assert orders_of(slot) == [("entry", "buy", 50.0, 101.0)]


def test_a_signal_that_leaves_exits_at_the_next_open():
    slot = scripted_slot(ohlc(FLAT, FLAT, (110, 110, 110, 110), (120, 120, 120, 120)), (1.0, 0.0))
    assert orders_of(slot) == [("entry", "buy", 50.0, 100.0), ("exit", "sell", 50.0, 110.0)]


def test_no_opinion_holds_what_is_held():
    slot = scripted_slot(ohlc(FLAT, FLAT, FLAT, FLAT), (1.0, np.nan, np.nan, np.nan))
    assert len(orders_of(slot)) == 1


def test_an_opposite_signal_closes_and_reverses_at_the_same_open():
    policy = RiskPolicy(fraction=0.5, allow_short=True)
    slot = scripted_slot(ohlc(FLAT, FLAT, FLAT), (1.0, -1.0), policy)
    assert orders_of(slot) == [
        ("entry", "buy", 50.0, 100.0),
        ("exit", "sell", 50.0, 100.0),
        ("entry", "sell", 50.0, 100.0),
    ]


def test_a_stop_fills_at_its_price_inside_the_bar():
    slot = scripted_slot(ohlc(FLAT, FLAT, (99, 99, 90, 98)), (1.0, 1.0), RiskPolicy(fraction=0.5, stop_loss=0.05))
    assert orders_of(slot)[-1] == ("stop", "sell", 50.0, 95.0)


def test_a_stop_rests_on_the_entry_bar_too():
    slot = scripted_slot(ohlc(FLAT, (100, 100, 94, 99)), (1.0,), RiskPolicy(fraction=0.5, stop_loss=0.05))
    assert orders_of(slot)[-1] == ("stop", "sell", 50.0, 95.0)


def test_a_gap_through_the_stop_fills_at_the_open():
    slot = scripted_slot(ohlc(FLAT, FLAT, (90, 92, 89, 91)), (1.0, 1.0), RiskPolicy(fraction=0.5, stop_loss=0.05))
    assert orders_of(slot)[-1] == ("stop", "sell", 50.0, 90.0)


def test_a_target_fills_at_its_price_also_where_the_open_passes_it():
    policy = RiskPolicy(fraction=0.5, take_profit=0.05)
    inside = scripted_slot(ohlc(FLAT, FLAT, (101, 107, 101, 102)), (1.0, 1.0), policy)
    gapped = scripted_slot(ohlc(FLAT, FLAT, (107, 108, 106, 107)), (1.0, 1.0), policy)
    assert orders_of(inside)[-1] == ("target", "sell", 50.0, 105.0)
    assert orders_of(gapped)[-1] == ("target", "sell", 50.0, 105.0)
    kind = ExecutionModel(fee=0.0, slippage=0.0, limit_gap="open")
    assert orders_of(replace(gapped, execution=kind))[-1] == ("target", "sell", 50.0, 107.0)


@pytest.mark.parametrize(("target_first", "role", "price"), [(False, "stop", 95.0), (True, "target", 105.0)])
def test_a_bar_that_touches_both_is_ambiguous_and_the_policy_decides(target_first, role, price):
    policy = RiskPolicy(fraction=0.5, stop_loss=0.05, take_profit=0.05)
    execution = ExecutionModel(fee=0.0, slippage=0.0, target_first=target_first)
    result = run(scripted_slot(ohlc(FLAT, FLAT, (100, 106, 94, 100)), (1.0, 1.0), policy, execution), account=ALL_IN)
    last = result.orders.iloc[-1]
    assert (last["role"], last["price"], bool(last["ambiguous"])) == (role, price, True)
    assert result.stats["ambiguous_bars"] == 1


def test_a_price_met_at_the_open_is_not_ambiguous():
    policy = RiskPolicy(fraction=0.5, stop_loss=0.05, take_profit=0.05)
    slot = scripted_slot(ohlc(FLAT, FLAT, (106, 107, 94, 100)), (1.0, 1.0), policy)
    last = run(slot, account=ALL_IN).orders.iloc[-1]
    assert (last["role"], last["price"], bool(last["ambiguous"])) == ("target", 105.0, False)


def test_a_short_is_the_mirror_of_a_long():
    policy = RiskPolicy(fraction=0.5, stop_loss=0.05, take_profit=0.05, allow_short=True)
    stopped = scripted_slot(ohlc(FLAT, FLAT, (101, 106, 100, 101)), (-1.0, -1.0), policy)
    paid = scripted_slot(ohlc(FLAT, FLAT, (99, 99, 94, 98)), (-1.0, -1.0), policy)
    assert orders_of(stopped) == [("entry", "sell", 50.0, 100.0), ("stop", "buy", 50.0, 105.0)]
    assert orders_of(paid)[-1] == ("target", "buy", 50.0, 95.0)


def test_shorts_are_refused_unless_allowed():
    result = run(scripted_slot(ohlc(FLAT, FLAT), (-1.0,)), account=ALL_IN)
    assert result.refusal_counts == {"shorts_not_allowed": 1}
    assert result.headline.startswith("Some signals were not traded as given: shorts_not_allowed 1")


def test_after_a_stop_the_signal_must_leave_before_the_side_is_entered_again():
    frame = ohlc(FLAT, FLAT, (99, 99, 90, 98), FLAT, FLAT, FLAT, FLAT)
    sides = (1.0, 1.0, 1.0, 1.0, 0.0, 1.0)
    waits = scripted_slot(frame, sides, RiskPolicy(fraction=0.5, stop_loss=0.05))
    again = scripted_slot(frame, sides, RiskPolicy(fraction=0.5, stop_loss=0.05, reenter=True))
    assert [order[0] for order in orders_of(waits)] == ["entry", "stop", "entry"]
    entries = run(waits, account=ALL_IN).orders["bar"]
    assert entries.iloc[-1] == frame.index[6]
    assert run(again, account=ALL_IN).orders["bar"].iloc[2] == frame.index[3]


def test_costs_are_paid_on_both_sides_and_slippage_is_against_the_trader():
    execution = ExecutionModel(fee=0.001, slippage=0.01)
    result = run(scripted_slot(ohlc(FLAT, FLAT, FLAT, FLAT), (1.0, 0.0), execution=execution), account=ALL_IN)
    buy, sell = result.orders.itertuples()
    assert (buy.price, sell.price) == (101.0, 99.0)
    assert buy.fee == buy.quantity * 101.0 * 0.001
    trade = result.trades.iloc[0]
    assert trade["pnl"] == pytest.approx(-2.0 * buy.quantity - buy.fee - sell.fee)
    assert result.equity.iloc[-1] == pytest.approx(10_000.0 + trade["pnl"])


def test_sizes_are_floored_to_lots_and_small_orders_refused_with_a_reason():
    from decimal import Decimal

    from atb.domain import Symbol
    from atb.engine.slot import Slot

    base = scripted_slot(ohlc((7.0, 7.0, 7.0, 7.0), (7.0, 7.0, 7.0, 7.0)), (1.0,))
    rules = usual(Symbol.parse("BTC/USDT"), lot=Decimal("0.1"), min_quantity=Decimal("0.1"), min_notional=Decimal(5))
    coarse = Slot(base.strategy, base.bars, RiskPolicy(fraction=0.5), FREE, rules)
    assert orders_of(coarse, AccountPolicy(cash=100.0))[0][2] == 7.1  # 50 / 7 = 7.142...
    poor = run(coarse, account=AccountPolicy(cash=8.0))
    assert poor.refusal_counts == {"below_min_notional": 1}
    poorer = run(coarse, account=AccountPolicy(cash=1.0))
    assert poorer.refusal_counts == {"below_min_quantity": 1}


def test_an_entry_that_cash_cannot_pay_at_the_open_is_refused_as_a_venue_would():
    slot = scripted_slot(ohlc(FLAT, (110, 110, 110, 110)), (1.0,), RiskPolicy(fraction=1.0))
    result = run(slot, account=ALL_IN)
    assert result.orders.empty
    assert result.refusal_counts == {"no_cash": 1}


def test_the_reserve_pays_for_a_higher_open():
    slot = scripted_slot(ohlc(FLAT, (105, 105, 105, 105)), (1.0,), RiskPolicy(fraction=1.0))
    result = run(slot, account=AccountPolicy(cash=10_000.0, reserve=0.06))
    assert len(result.orders) == 1
    assert result.refusal_counts == {"shrunk_by_cash": 1}


def test_slots_share_cash_in_slot_order_and_gross_exposure_is_limited():
    btc = scripted_slot(ohlc(FLAT, FLAT, FLAT), (1.0,), RiskPolicy(fraction=0.6))
    eth = scripted_slot(ohlc(FLAT, FLAT, FLAT), (1.0,), RiskPolicy(fraction=0.6), symbol="ETH/USDT")
    both = run([btc, eth], account=ALL_IN).orders
    assert both["quantity"].tolist() == [60.0, 40.0]
    capped = run([btc, eth], account=AccountPolicy(cash=10_000.0, max_gross=0.8, reserve=0.0))
    assert capped.orders["quantity"].tolist() == [60.0, 20.0]
    assert capped.refusal_counts == {"shrunk_by_exposure_limit": 1}


def test_an_exit_pays_for_an_entry_of_the_same_open():
    btc = scripted_slot(ohlc(FLAT, FLAT, FLAT, FLAT), (np.nan, 1.0), RiskPolicy(fraction=0.9))
    eth = scripted_slot(ohlc(FLAT, FLAT, FLAT, FLAT), (1.0, 0.0), RiskPolicy(fraction=0.9), symbol="ETH/USDT")
    orders = run([btc, eth], account=ALL_IN).orders
    # at the decision only a tenth of the cash is free: the exit has not filled yet, so the entry is cut, not refused
    assert orders["role"].tolist() == ["entry", "exit", "entry"]
    assert orders["quantity"].iloc[2] == 10.0


def test_a_slot_decides_when_its_own_bar_closes():
    import pandas as pd

    slow = ohlc(FLAT, (200, 200, 200, 200), (300, 300, 300, 300))
    slow.index = pd.date_range("2024-01-01", periods=3, freq="4h", tz="UTC", name="timestamp")
    fast = ohlc(*[(100.0 + i, 100.0 + i, 100.0 + i, 100.0 + i) for i in range(12)])
    slots = [
        scripted_slot(slow, (1.0,), RiskPolicy(fraction=0.3), timeframe="4h"),
        scripted_slot(fast, (np.nan, 1.0), RiskPolicy(fraction=0.3), symbol="ETH/USDT"),
    ]
    orders = run(slots, account=ALL_IN).orders
    assert orders["time"].dt.hour.tolist() == [2, 4]
    assert orders["price"].tolist() == [102.0, 200.0]


def test_excursions_are_measured_from_highs_and_lows_while_held():
    frame = ohlc(FLAT, (100, 110, 95, 100), (100, 120, 100, 100), (100, 300, 10, 100), FLAT)
    trade = run(scripted_slot(frame, (1.0, 1.0, 0.0)), account=ALL_IN).trades.iloc[0]
    assert trade["mfe_pct"] == pytest.approx(20.0)
    assert trade["mae_pct"] == pytest.approx(5.0)
    assert trade["bars_held"] == 2


def test_prices_are_rounded_to_ticks_against_the_trader():
    frame = ohlc((100, 100, 100, 100), (100.003, 100.01, 99.9, 100), FLAT)
    policy = RiskPolicy(fraction=0.5, stop_loss=0.033333, take_profit=0.033333)
    result = run(scripted_slot(frame, (1.0,), policy), account=ALL_IN)
    assert result.orders["price"].iloc[0] == 100.01
    slot = result.outcome.slots[0]
    assert slot["stop"] == 96.67  # 96.676...: down, further from the price
    assert slot["target"] == 103.35  # 103.343...: up


def test_a_stop_and_a_target_that_are_just_touched_fill():
    policy = RiskPolicy(fraction=0.5, stop_loss=0.05, take_profit=0.05)
    stopped = scripted_slot(ohlc(FLAT, FLAT, (99, 100, 95, 98)), (1.0, 1.0), policy)
    paid = scripted_slot(ohlc(FLAT, FLAT, (101, 105, 101, 102)), (1.0, 1.0), policy)
    assert orders_of(stopped)[-1] == ("stop", "sell", 50.0, 95.0)
    assert orders_of(paid)[-1] == ("target", "sell", 50.0, 105.0)


def test_a_price_that_is_on_the_tick_but_for_the_last_bit_stays_there():
    assert 100.0 * (1.0 + 0.1) > 110.0
    slot = scripted_slot(ohlc(FLAT, FLAT), (1.0,), execution=ExecutionModel(fee=0.0, slippage=0.1))
    assert orders_of(slot)[0][3] == 110.0


def test_a_reversal_may_use_the_exposure_that_it_closes():
    policy = RiskPolicy(fraction=0.9, allow_short=True)
    result = run(scripted_slot(ohlc(FLAT, FLAT, FLAT), (1.0, -1.0), policy), account=ALL_IN)
    assert result.orders["quantity"].tolist() == [90.0, 90.0, 90.0]
    assert result.refusal_counts == {}


def test_cash_that_an_earlier_slot_takes_at_the_same_close_is_not_spent_twice():
    btc = scripted_slot(ohlc(FLAT, FLAT, FLAT), (1.0,), RiskPolicy(fraction=0.6))
    eth = scripted_slot(ohlc(FLAT, FLAT, FLAT), (1.0,), RiskPolicy(fraction=0.6), symbol="ETH/USDT")
    result = run([btc, eth], account=AccountPolicy(cash=10_000.0, max_gross=2.0, reserve=0.0))
    assert result.orders["quantity"].tolist() == [60.0, 40.0]
    assert result.refusal_counts == {"shrunk_by_cash": 1}


def test_partial_entry_and_exit_fills_are_folded_into_one_trade():
    """What an exchange reports in pieces: the average entry, the protection around it, and one round trip."""
    from atb.engine import records
    from atb.engine.kernel_input import prepare
    from atb.engine.state import KernelState

    slot = scripted_slot(ohlc(FLAT, FLAT), (1.0,), RiskPolicy(fraction=0.5, stop_loss=0.1))
    problem = prepare((slot,), ALL_IN)
    state = KernelState.fresh(10_000.0, limits=problem.limits, parameters=problem.parameters)
    state.decide(problem.market, problem.signals, np.array([0]))
    assert state.slots[0]["entry"] == 50.0

    def fill(side, quantity, price, role, reason):
        record = np.zeros(1, records.ORDER)
        for name, value in {"side": side, "quantity": quantity, "price": price, "role": role, "reason": reason}.items():
            record[0][name] = value
        return state.apply(record)

    assert fill(1, 20.0, 100.0, records.ENTRY, records.SIGNAL_ENTRY) is None
    assert (state.slots[0]["entry"], state.slots[0]["stop"]) == (30.0, 90.0)
    assert fill(1, 30.0, 110.0, records.ENTRY, records.SIGNAL_ENTRY) is None
    assert state.slots[0]["entry_price"] == pytest.approx(106.0)
    assert state.slots[0]["stop"] == pytest.approx(95.4)
    assert fill(-1, 10.0, 120.0, records.EXIT, records.SIGNAL_EXIT) is None
    trade = fill(-1, 40.0, 130.0, records.EXIT, records.SIGNAL_EXIT)
    assert trade["quantity"] == 50.0
    assert trade["exit_price"] == pytest.approx(128.0)
    assert trade["pnl"] == pytest.approx(50 * (128 - 106))
    assert state.account[0]["cash"] == pytest.approx(10_000 + 50 * (128 - 106))
    assert state.slots[0]["quantity"] == 0.0


def test_a_target_pays_the_maker_fee_and_a_stop_the_taker_fee():
    policy = RiskPolicy(fraction=0.5, stop_loss=0.05, take_profit=0.05)
    execution = ExecutionModel(fee=0.002, maker_fee=0.001, slippage=0.0)
    for bar, rate in (((101, 107, 101, 102), 0.001), ((99, 99, 90, 98), 0.002)):
        last = run(scripted_slot(ohlc(FLAT, FLAT, bar), (1.0, 1.0), policy, execution), account=ALL_IN).orders.iloc[-1]
        assert last["fee"] == pytest.approx(last["value"] * rate)


def test_a_market_without_a_price_opens_nothing():
    a_tick, dear = ohlc((0.01, 0.01, 0.01, 0.01), FLAT), ExecutionModel(fee=0.0, slippage=0.5)
    result = run(scripted_slot(a_tick, (-1.0,), RiskPolicy(fraction=0.5, allow_short=True), dear), account=ALL_IN)
    assert result.orders.empty
    assert result.refusal_counts == {"no_price": 1}


def test_positions_stay_on_whole_lots_whatever_is_added_and_taken_away():
    from tests.engine.cases import half, play, rules

    policy = half(ladder=((0.01, 0.1), (0.02, 0.1), (0.03, 0.1)))
    rows = [FLAT, (100, 101, 100, 100), (100, 102, 100, 100), (100, 103, 100, 100), FLAT, FLAT]
    played = play(
        rows, [1.0, 1.0, 1.0, 1.0, 0.0], policy, instrument=rules(lot="0.1"), account=AccountPolicy(cash=619.0)
    )
    assert played.quantities == [3.0, 0.3, 0.3, 0.3, 2.1]  # 3 - 0.3 - 0.3 - 0.3 is 2.1000000000000005
    assert played.slot["quantity"] == 0.0


def test_what_closes_at_the_next_open_does_not_count_in_net_but_still_in_gross():
    from tests.engine.cases import account, half, slot_of, together

    def second(**limits):
        btc = slot_of([FLAT] * 4, [1.0, 0.0], half(fraction=0.3))
        eth = slot_of([FLAT] * 4, [np.nan, 1.0], half(fraction=0.3), symbol="ETH/USDT")
        cluster = {s: {"cluster": [1.0] * 4} for s in (0, 1)}
        return together(btc, eth, account=account(**limits), columns=cluster).quantities[2]

    assert [second(max_net=0.3), second(max_cluster=0.3), second(max_gross=0.4)] == [30.0, 30.0, 10.0]


def test_a_reversal_counts_as_what_it_will_be_for_the_slots_after_it():
    from tests.engine.cases import account, half, slot_of, together

    btc = slot_of([FLAT] * 4, [-1.0, 1.0], half(fraction=0.3, allow_short=True))
    eth = slot_of([FLAT] * 4, [np.nan, 1.0], half(fraction=0.3), symbol="ETH/USDT")
    played = together(btc, eth, account=account(max_net=0.4))
    assert played.quantities == [30.0, 30.0, 30.0, 10.0]
    assert played.refusals == ["shrunk_by_net_limit"]
