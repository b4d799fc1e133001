"""What trading costs: fees in quote and in base, slippage, impact, interest and funding, to the last cent."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from atb.engine.policy import ExecutionModel
from atb.engine.slot import Slot
from tests.engine.cases import FLAT, NAN, account, at, half, play, rules, slot_of, together
from tests.scenarios import Scripted

LONG, SHORT = 1.0, -1.0
SPOT = ExecutionModel(fee=0.01, slippage=0.0, fee_in_base=True)


# --- fees ---


def test_fees_leave_the_cash_and_the_trade_on_both_sides():
    played = play([FLAT] * 4, [LONG, 0.0], execution=ExecutionModel(fee=0.01, slippage=0.0))
    assert [float(fee) for fee in played.outcome.orders["fee"]] == [50.0, 50.0]
    assert played.outcome.account["cash"] == 9_900.0
    assert played.outcome.account["fees"] == 100.0
    trade = played.outcome.trades[0]
    assert (trade["fees"], trade["pnl"]) == (100.0, -100.0)


def test_a_short_pays_its_fees_too():
    played = play([FLAT] * 4, [SHORT, 0.0], half(allow_short=True), execution=ExecutionModel(fee=0.01, slippage=0.0))
    assert played.outcome.account["cash"] == 9_900.0
    assert played.equity == [10_000.0, 9_950.0, 9_900.0, 9_900.0]


@pytest.mark.parametrize(("bar", "role_fee"), [((101, 110, 101, 102), 5250 * 0.001), ((99, 99, 90, 98), 4750 * 0.002)])
def test_a_target_pays_the_makers_fee_and_a_stop_the_takers(bar, role_fee):
    execution = ExecutionModel(fee=0.002, maker_fee=0.001, slippage=0.0)
    played = play([FLAT, FLAT, bar], [LONG], half(stop_loss=0.05, take_profit=0.05), execution=execution)
    assert [float(fee) for fee in played.outcome.orders["fee"]] == [10.0, pytest.approx(role_fee)]


def test_without_a_makers_fee_the_takers_is_paid():
    execution = ExecutionModel(fee=0.002, slippage=0.0)
    played = play([FLAT, FLAT, (101, 110, 101, 102)], [LONG], half(take_profit=0.05), execution=execution)
    assert played.last["fee"] == pytest.approx(5250 * 0.002)


# --- fees in base ---


def test_a_buy_in_base_receives_less_and_keeps_what_is_below_a_lot():
    played = play([FLAT] * 2, [LONG], execution=SPOT, instrument=rules(lot="1"))
    buy = played.last
    assert (buy["quantity"], buy["fee_base"], buy["fee"]) == (50.0, 0.5, 50.0)
    assert (played.slot["quantity"], played.slot["dust"]) == (49.0, 0.5)
    assert played.outcome.account["cash"] == 5_000.0  # the fee is not taken from the cash as well
    assert played.equity == [10_000.0, 9_950.0]  # and dust is worth its price
    assert (played.slot["opened_quantity"], played.slot["unit"]) == (49.0, 49.0)


def test_dust_waits_for_the_next_entry_and_only_whole_lots_are_sold():
    played = play([FLAT] * 7, [LONG, 0.0, LONG, 0.0], execution=SPOT, instrument=rules(lot="1"))
    assert [order[:3] for order in played.orders] == [
        ("entry", "buy", 50.0),
        ("exit", "sell", 49.0),
        ("entry", "buy", 49.0),
        ("exit", "sell", 49.0),  # 49 - 0.49 + 0.5 = 49.01
    ]
    assert played.slot["dust"] == pytest.approx(0.01)
    assert played.outcome.account["cash"] == pytest.approx(5_000 + 4_900 * 0.99 - 4_900 + 4_900 * 0.99)


def test_dust_moves_equity_while_flat():
    played = play([FLAT, FLAT, FLAT, at(200)], [LONG, 0.0], execution=SPOT, instrument=rules(lot="1"))
    assert played.equity[3] - played.equity[2] == pytest.approx(0.5 * 100)


def test_sells_pay_their_fee_in_quote():
    played = play([FLAT] * 3, [LONG, 0.0], execution=SPOT, instrument=rules(lot="1"))
    assert (played.last["fee"], played.last["fee_base"]) == (pytest.approx(49.0), 0.0)
    trade = played.outcome.trades[0]
    assert trade["pnl"] == pytest.approx(-99.0)
    assert trade["quantity"] == 49.0


def test_an_addition_in_base_is_averaged_by_what_was_received():
    policy = half(fraction=0.2, scale_in=0.1, scale_share=1.0)
    played = play(
        [FLAT, (100, 110, 100, 110), at(110)], [LONG] * 3, policy, execution=SPOT, instrument=rules(lot="0.1")
    )
    assert (played.slot["quantity"], played.slot["unit"]) == (pytest.approx(39.4), pytest.approx(19.8))
    assert played.slot["entry_price"] == pytest.approx((19.8 * 100 + 19.6 * 110) / 39.4)


# --- slippage ---


def test_slippage_in_atrs_follows_the_last_closed_bar():
    execution = ExecutionModel(fee=0.0, slippage=0.0, slippage_atr=0.5)
    played = play([FLAT] * 4, [LONG, 0.0], execution=execution, atr=[4.0, 6.0, 8.0])
    assert played.prices == [102.0, 97.0]
    assert played.quantities[0] == pytest.approx(5000 / 102, abs=1e-5)


def test_impact_follows_the_share_of_the_last_closed_bars_volume():
    execution = ExecutionModel(fee=0.0, slippage=0.0, impact=0.1)
    played = play([FLAT] * 4, [LONG, 0.0], execution=execution, volume=[200.0, 5000.0, 1.0])
    assert played.prices == [105.0, 99.0]  # root of 50 / 200, and of 50 / 5000


def test_a_stop_slips_and_a_target_does_not():
    execution = ExecutionModel(fee=0.0, slippage=0.01)
    stopped = play([FLAT, FLAT, (100, 100, 80, 90)], [LONG], half(stop_loss=0.1), execution=execution)
    assert stopped.prices == [101.0, 89.99]  # 90.9 x 0.99 = 89.991
    paid = play([FLAT, FLAT, (100, 120, 100, 110)], [LONG], half(take_profit=0.1), execution=execution)
    assert paid.prices == [101.0, 111.1]
    covered = play(
        [FLAT, FLAT, (100, 120, 100, 110)], [SHORT], half(stop_loss=0.1, allow_short=True), execution=execution
    )
    assert covered.prices == [99.0, 109.99]  # 108.9 x 1.01 = 109.989


def test_impact_moves_stops_as_well():
    execution = ExecutionModel(fee=0.0, slippage=0.0, impact=0.1)
    played = play([FLAT, FLAT, (99, 99, 80, 90)], [LONG], half(stop_loss=0.1), execution=execution, volume=[5000.0] * 3)
    assert played.prices == [101.0, 89.99]  # 90.9 x 0.99


# --- interest and funding ---


def test_a_short_pays_interest_for_the_time_of_each_bar_it_holds():
    execution = ExecutionModel(fee=0.0, slippage=0.0, borrow_rate=0.365)
    rows, sides = [FLAT, FLAT, at(110), at(110)], [SHORT, NAN, 0.0]
    day = play(rows, sides, half(allow_short=True), execution=execution, timeframe="1d")
    # a day costs 0.1 % of the value at its close: 5.00 and 5.50; the last bar opens flat
    assert day.outcome.account["financing"] == pytest.approx(10.5)
    assert day.outcome.account["cash"] == pytest.approx(10_000 - 500 - 10.5)
    assert day.outcome.trades[0]["financing"] == pytest.approx(10.5)
    assert day.outcome.trades[0]["pnl"] == pytest.approx(-510.5)
    hour = play(rows, sides, half(allow_short=True), execution=execution)
    assert hour.outcome.account["financing"] == pytest.approx(10.5 / 24)


def thinned(rows, sides, policy, *, seed=3, missing=0.47):
    """Return a slot on hourly bars of which so many are missing, and the opens of those that are left."""
    whole = slot_of(rows, [], policy, execution=ExecutionModel(fee=0.0, slippage=0.0, borrow_rate=0.365))
    rng = np.random.default_rng(seed)
    left = np.sort(rng.choice(len(rows), round(len(rows) * (1 - missing)), replace=False))
    frame = whole.bars.frame.iloc[left]
    return replace(whole, bars=replace(whole.bars, frame=frame), strategy=Scripted(sides(len(left)))), frame.index


def test_a_short_pays_interest_for_the_time_it_is_held_by_the_clock_whatever_bars_are_missing():
    """Entered at the open of the second bar, left at the open of the last one: 5,000 at 0.1 % a day."""
    slot, opened = thinned([FLAT] * 200, lambda count: (SHORT, *[NAN] * (count - 3), 0.0), half(allow_short=True))
    played = together(slot)
    days = (opened[-1] - opened[1]) / pd.Timedelta("1D")
    assert len(opened) == 106
    assert days > 7.5
    assert played.outcome.account["financing"] == pytest.approx(5_000 * 0.001 * days)
    trade = played.outcome.trades[0]
    assert (trade["financing"], trade["pnl"]) == (pytest.approx(5 * days), pytest.approx(-5 * days))
    assert played.outcome.account["cash"] == pytest.approx(10_000 - 5 * days)


def test_interest_over_a_hole_is_due_on_the_price_of_each_close_and_fill_by_hand():
    """Ten hours are missing: short of 50 at 100; 1 h at 110, 11 h at 120, and 10 h until the exit's open at 130."""
    rows = [FLAT, FLAT, at(110), *[FLAT] * 10, at(120), *[FLAT] * 10, at(130)]
    whole = slot_of(
        rows, [], half(allow_short=True), execution=ExecutionModel(fee=0.0, slippage=0.0, borrow_rate=0.365)
    )
    frame = whole.bars.frame.iloc[[0, 1, 2, 13, 24]]
    slot = replace(whole, bars=replace(whole.bars, frame=frame), strategy=Scripted((SHORT, NAN, NAN, 0.0)))
    played = together(slot)
    paid = 50 * 0.001 / 24 * (1 * 100 + 1 * 110 + 11 * 120 + 10 * 130)
    assert played.outcome.trades[0]["financing"] == pytest.approx(paid)
    assert played.equity[-1] == pytest.approx(10_000 - 50 * 30 - paid)


def test_what_is_added_to_a_short_after_a_hole_pays_from_then_on():
    policy = half(allow_short=True, scale_in=0.01, scale_share=0.5, scale_limit=1, fraction=0.25)
    rows = [FLAT, FLAT, at(90), *[FLAT] * 9, at(90), at(90)]
    whole = slot_of(rows, [], policy, execution=ExecutionModel(fee=0.0, slippage=0.0, borrow_rate=0.365))
    frame = whole.bars.frame.iloc[[0, 1, 2, 12, 13]]
    slot = replace(whole, bars=replace(whole.bars, frame=frame), strategy=Scripted((SHORT,) * 5))
    played = together(slot)
    first, second = played.quantities
    assert played.rows == [1, 3]
    hours = first * (100 + 90 + 9 * 90) + (first + second) * (90 + 90)
    assert played.slot["financing"] == pytest.approx(hours * 0.001 / 24)


def test_a_long_pays_no_interest():
    execution = ExecutionModel(fee=0.0, slippage=0.0, borrow_rate=0.5)
    assert play([FLAT] * 4, [LONG], execution=execution).outcome.account["financing"] == 0.0


@pytest.mark.parametrize(("side", "paid"), [(LONG, 50.0), (SHORT, -50.0)])
def test_longs_pay_positive_funding_to_shorts(side, paid):
    played = play([FLAT] * 4, [side], half(allow_short=True), funding=[0.5, 0.01, 0.0, 0.0])
    assert played.outcome.account["financing"] == paid  # what was due before the entry is not
    assert played.outcome.account["cash"] == 10_000 - side * 5_000 - paid
    assert played.slot["financing"] == paid
    assert played.equity[1:] == [10_000 - paid] * 3


def test_negative_funding_is_paid_the_other_way():
    assert play([FLAT] * 4, [LONG], funding=[0.0, -0.01]).outcome.account["cash"] == 5_050.0


def test_funding_is_due_on_the_value_at_the_close_and_ends_in_the_trade():
    played = play([FLAT, FLAT, at(120), at(120)], [LONG, NAN, 0.0], funding=[0.0, 0.0, 0.01])
    assert played.outcome.trades[0]["financing"] == pytest.approx(60.0)
    assert played.outcome.trades[0]["pnl"] == pytest.approx(1000 - 60)


def test_a_rate_belongs_to_the_bar_it_falls_in_and_one_at_a_close_to_the_bar_that_ends():
    from atb.engine.prepare import columns

    slot = slot_of([FLAT] * 3, [])
    times = ["2024-01-01 00:00", "2024-01-01 00:30", "2024-01-01 01:00", "2024-01-01 01:01", "2024-01-01 09:00"]
    rates = pd.Series([0.1, 0.001, 0.002, 0.004, 0.1], index=pd.DatetimeIndex(times, tz="UTC"))
    paid = columns(Slot(slot.strategy, slot.bars, slot.policy, slot.execution, funding=rates)).market["funding"]
    assert paid.tolist() == pytest.approx([0.003, 0.004, 0.0])  # what is paid as the first bar opens is paid on nothing


def test_costs_of_one_slot_are_not_anothers():
    dear = slot_of([FLAT] * 4, [LONG, 0.0], execution=ExecutionModel(fee=0.01, slippage=0.0))
    free = slot_of([FLAT] * 4, [LONG, 0.0], half(fraction=0.4), symbol="ETH/USDT")
    played = together(dear, free, account=account(max_gross=2.0))
    assert [float(fee) for fee in played.outcome.trades["fees"]] == [100.0, 0.0]
