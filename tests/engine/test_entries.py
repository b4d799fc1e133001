"""Entries that rest at a limit or a stop, what may still happen in the bar they fill in, and additions to a winner."""

from dataclasses import replace

import numpy as np
import pytest

from atb.engine import records
from atb.engine.kernel_input import prepare
from atb.engine.policy import ExecutionModel
from atb.engine.state import KernelState
from tests.engine.cases import FLAT, NAN, account, at, half, mirrored, play, rules, slot_of, together

LONG, SHORT = 1.0, -1.0


def limit(**rules_on):
    return half(**{"entry": "limit", "entry_offset": 0.02, "allow_short": True, **rules_on})


def stop(**rules_on):
    return half(**{"entry": "stop", "entry_offset": 0.02, "allow_short": True, **rules_on})


# --- where they fill ---


@pytest.mark.parametrize(
    ("policy", "bar", "price"),
    [
        (limit(), (100, 100, 98, 99), 98.0),  # just touched
        (limit(), (100, 100, 98.01, 99), None),
        (limit(), (97, 98, 96, 97), 97.0),  # sent at an open that has passed it
        (stop(), (100, 102, 100, 101), 102.0),
        (stop(), (100, 101.99, 100, 101), None),
        (stop(), (103, 104, 102, 103), 103.0),  # a worse open
    ],
)
def test_a_resting_entry_fills_at_its_price_or_at_the_open_beyond_it(policy, bar, price):
    long = play([FLAT, bar], [LONG], policy)
    short = play(mirrored([FLAT, bar]), [SHORT], policy)
    assert long.prices == ([] if price is None else [price])
    assert short.prices == ([] if price is None else [200 - price])
    if price is not None:
        assert [order[:2] for order in (*long.orders, *short.orders)] == [("entry", "buy"), ("entry", "sell")]


@pytest.mark.parametrize(("gap", "price"), [("own", 98.0), ("open", 97.0)])
def test_a_limit_entry_that_rests_is_met_at_its_own_price_where_a_later_open_passes_it(gap, price):
    execution = ExecutionModel(fee=0.002, maker_fee=0.001, slippage=0.01, limit_gap=gap)
    policy, rows = limit(entry_bars=2, fraction=0.49), [FLAT, FLAT, (97, 98, 96, 97)]
    long = play(rows, [LONG] * 2, policy, execution=execution)
    short = play(mirrored(rows), [SHORT] * 2, policy, execution=execution)
    assert (long.prices, short.prices) == ([price], [200 - price])
    assert (long.last["kind"], long.last["time"]) == (records.AT_LIMIT, long.problem.market["opened"][2])
    assert long.last["fee"] == pytest.approx(50 * price * 0.001)


@pytest.mark.parametrize(("slip", "price"), [(0.001, 97.1), (0.5, 98.0)])
def test_a_limit_entry_sent_at_an_open_that_has_passed_it_takes_the_market_up_to_its_price(slip, price):
    execution = ExecutionModel(fee=0.002, maker_fee=0.001, slippage=slip)
    for gap in ("own", "open"):
        taken = play(
            [FLAT, (97, 98, 96, 97)], [LONG], limit(fraction=0.49), execution=replace(execution, limit_gap=gap)
        )
        assert (taken.last["price"], taken.last["kind"]) == (price, records.AT_MARKET)
        assert taken.last["fee"] == pytest.approx(50 * price * 0.002)


def test_the_stop_of_a_limit_entry_whose_open_lies_beyond_it_meets_the_open():
    policy, rows = limit(entry_bars=2, stop_loss=0.01, reenter=True), [FLAT, FLAT, (95, 96, 94, 95), FLAT]
    played = play(rows, [LONG] * 2, policy)
    assert [order[:2] for order in played.orders] == [("entry", "buy"), ("stop", "sell")]
    assert played.prices == [98.0, 95.0]


def test_a_stop_that_its_entry_slipped_beyond_meets_the_market_where_the_entry_was():
    """Its stop would lie above the price that triggered the entry, and above the bar: it cannot fill there."""
    execution = ExecutionModel(fee=0.0, slippage=0.03)
    bar = (101, 102.5, 100, 101)
    long = play([FLAT, bar], [LONG], stop(stop_loss=0.01), execution=execution)
    short = play(mirrored([FLAT, bar]), [SHORT], stop(stop_loss=0.01), execution=execution)
    assert [order[:2] for order in long.orders] == [("entry", "buy"), ("stop", "sell")]
    assert long.outcome.orders["reference"].tolist() == [102.0, 102.0]
    assert short.outcome.orders["reference"].tolist() == [98.0, 98.0]
    assert long.prices == [105.06, 98.94]
    assert long.last["ambiguous"] == 0
    assert long.last["time"] == long.problem.market["closed"][1]


def test_a_limit_pays_the_makers_fee_at_its_very_price_and_a_stop_the_takers_with_slippage():
    execution = ExecutionModel(fee=0.002, maker_fee=0.001, slippage=0.01)
    bought = play([FLAT, (100, 100, 97, 99)], [LONG], limit(fraction=0.49), execution=execution)
    assert (bought.last["price"], bought.last["kind"]) == (98.0, records.AT_LIMIT)
    assert bought.last["fee"] == pytest.approx(4900 * 0.001)
    broke = play([FLAT, (100, 103, 100, 103)], [LONG], stop(fraction=0.51), execution=execution)
    assert (broke.last["price"], broke.last["kind"]) == (103.02, records.AT_STOP)
    assert broke.last["fee"] == pytest.approx(50 * 103.02 * 0.002)


def test_a_resting_entry_is_sized_at_its_own_price():
    assert play([FLAT, at(97)], [LONG], limit(fraction=0.49)).quantities == [50.0]
    assert play([FLAT, at(103)], [LONG], stop(fraction=0.51)).quantities == [50.0]


def test_the_signal_may_name_the_price():
    played = play([FLAT, (100, 100, 95, 96)], [LONG], limit(fraction=0.48), price=[96.0])
    assert played.orders == [("entry", "buy", 50.0, 96.0)]
    rounded = play([FLAT, (100, 100, 95, 96)], [LONG], limit(), price=[95.996])
    assert rounded.prices == [96.0]
    assert play([FLAT, (100, 106, 100, 105)], [LONG], stop(), price=[105.0]).prices == [105.0]


def test_times_are_the_open_for_what_fills_there_and_else_the_close():
    hour = 3_600_000
    for bar, closes in (((100, 100, 97, 99), 2), ((97, 98, 96, 97), 1)):
        played = play([FLAT, bar], [LONG], limit())
        assert played.last["time"] - played.problem.market["opened"][0] == closes * hour


# --- how long they rest ---


def test_an_entry_rests_for_its_bars_and_expires():
    rows = [FLAT, FLAT, FLAT, (100, 100, 97, 99)]
    assert play(rows, [LONG, NAN, NAN], limit(entry_bars=3)).rows == [3]
    expired = play(rows, [LONG, NAN, NAN], limit(entry_bars=2))
    assert expired.orders == []
    assert expired.refusals == ["entry_expired"]
    assert expired.slot["barred_side"] == 1.0
    times = expired.outcome.refusals["time"] - expired.problem.market["opened"][0]
    assert times.tolist() == [3 * 3_600_000]


def test_an_entry_that_expired_is_not_written_again_until_the_signal_has_left():
    rows = [FLAT, FLAT, FLAT, (100, 100, 97, 99), FLAT, FLAT, (100, 100, 97, 99)]
    assert play(rows, [LONG, LONG, LONG, LONG, 0.0, LONG], limit()).rows == [6]
    again = play(rows, [LONG, LONG, LONG], limit(reenter=True))
    assert again.rows == [3]
    assert again.refusals == ["entry_expired"] * 2


@pytest.mark.parametrize("side", [0.0, SHORT])
def test_a_signal_that_leaves_takes_its_resting_entry_along(side):
    rows = [FLAT, FLAT, (100, 100, 97, 99)]
    played = play(rows, [LONG, side], limit(entry_bars=5, allow_short=False))
    assert played.orders == []
    assert "entry_expired" not in played.refusals


def test_no_opinion_and_the_same_opinion_leave_it_where_it_is():
    rows = [FLAT, (100, 110, 100, 110), (110, 110, 97, 99)]
    for side in (NAN, LONG):
        assert play(rows, [LONG, side], limit(entry_bars=5)).prices == [98.0]


def test_the_opposite_signal_replaces_it():
    rows = [FLAT, FLAT, (100, 102, 99, 100)]
    assert play(rows, [LONG, SHORT], limit(entry_bars=5)).orders == [("entry", "sell", 49.01960, 102.0)]


def test_a_reversal_closes_at_the_open_and_its_entry_rests():
    rows = [FLAT, (100, 100, 98, 100), (100, 101, 100, 100), (100, 102, 100, 100)]
    played = play(rows, [LONG, SHORT, SHORT, SHORT], limit(entry_bars=5))
    assert played.rows == [1, 2, 3]
    assert [order[:2] for order in played.orders] == [("entry", "buy"), ("exit", "sell"), ("entry", "sell")]


def test_an_entry_that_the_cash_cannot_pay_when_it_is_reached_is_refused():
    dear = play([FLAT, (110, 110, 110, 110)], [LONG], stop(fraction=1.0, entry_offset=0.0))
    assert (dear.orders, dear.refusals) == ([], ["no_cash"])
    assert dear.slot["entry"] == 0.0
    time = dear.outcome.refusals["time"][0] - dear.problem.market["opened"][0]
    assert time == 2 * 3_600_000  # seen when the bar is over
    short = play([FLAT, at(95)], [SHORT], stop(fraction=1.0, entry_offset=0.0), price=[99.0])
    assert (len(short.orders), short.refusals) == (1, [])


@pytest.mark.parametrize(
    ("entry", "side", "price", "refused"),
    [
        (limit, LONG, 101.0, True),
        (limit, LONG, 99.0, False),
        (limit, SHORT, 10.0, True),
        (limit, SHORT, 101.0, False),
        (stop, LONG, 99.0, True),
        (stop, LONG, 101.0, False),
        (stop, SHORT, 101.0, True),
        (stop, SHORT, 99.0, False),
        (limit, LONG, 100.01, False),
    ],
)
def test_a_resting_price_that_would_fill_at_once_is_refused(entry, side, price, refused):
    """It would fill at the market, where its size was never allowed."""
    played = play([FLAT, FLAT], [side], entry(), price=[price])
    assert played.refusals[:1] == (["price_on_the_wrong_side"] if refused else played.refusals[:1])
    assert (played.slot["entry"] == 0.0) == (
        refused or played.slot["quantity"] != 0.0 or "entry_expired" in played.refusals
    )


@pytest.mark.parametrize("entry", [limit, stop])
def test_a_resting_entry_does_not_outlive_its_session(entry):
    """Bars open at midnight UTC; the session ends at 02:00, so the third bar's low and high meet nothing."""
    away = (100, 110, 90, 100)
    played = play([FLAT, FLAT, away, away], [LONG], entry(entry_bars=9, entry_offset=0.05, session=("00:00", "02:00")))
    assert (played.orders, played.refusals) == ([], ["out_of_session"])
    assert len(play([FLAT, FLAT, away], [LONG], entry(entry_bars=9, entry_offset=0.05)).orders) == 1


def test_the_fee_must_be_payable_too():
    execution = ExecutionModel(fee=0.01, slippage=0.0)
    for fraction, refusals in ((0.99, []), (1.0, ["shrunk_by_cash"])):
        assert play([FLAT, FLAT], [LONG], half(fraction=fraction), execution=execution).refusals == refusals
    played = play([FLAT, at(100.5)], [LONG], half(fraction=1.0), execution=execution)
    assert played.refusals == ["shrunk_by_cash", "no_cash"]
    spot = ExecutionModel(fee=0.01, slippage=0.0, fee_in_base=True)
    played = play([FLAT, at(100.5)], [LONG], half(fraction=1.0), execution=spot)
    assert played.refusals == ["shrunk_by_cash"]  # the fee comes out of what was bought


def test_what_can_just_be_paid_is_bought():
    assert play([FLAT, FLAT], [LONG], half(fraction=1.0)).quantities == [100.0]
    assert play([FLAT, at(99)], [LONG], half(fraction=1.0)).quantities == [100.0]


# --- inside the bar of the entry ---


def test_after_a_limit_filled_inside_a_bar_its_target_waits_for_the_next():
    rows = [FLAT, (100, 104, 97, 100), (100, 104, 100, 100)]
    for way, sides in ((rows, [LONG]), (mirrored(rows), [SHORT])):
        played = play(way, sides, limit(take_profit=0.05))
        assert played.rows == [1, 2]
        assert played.reasons[1] == "take_profit"


def test_after_a_limit_filled_inside_a_bar_its_stop_may_fill_there():
    rows = [FLAT, (100, 110, 92, 94)]
    played = play(rows, [LONG], limit(stop_loss=0.05, take_profit=0.05))
    assert played.prices == [98.0, 93.1]
    assert played.last["ambiguous"] == 0  # down through the limit to the stop: there is one way only
    short = play(mirrored(rows), [SHORT], limit(stop_loss=0.05, take_profit=0.05))
    assert short.prices == [102.0, 107.1]


def test_after_a_stop_entry_inside_a_bar_its_target_may_fill_there_and_its_stop_is_ambiguous():
    up = play([FLAT, (100, 108, 100, 107)], [LONG], stop(stop_loss=0.05, take_profit=0.05))
    assert up.prices == [102.0, 107.1]
    assert up.last["ambiguous"] == 0
    down = play([FLAT, (100, 103, 96, 97)], [LONG], stop(stop_loss=0.05))
    assert down.prices == [102.0, 96.9]
    assert (down.last["ambiguous"], np.isnan(down.last["other"])) == (1, True)  # the low may have come before the entry
    both = play([FLAT, (100, 108, 96, 97)], [LONG], stop(stop_loss=0.05, take_profit=0.05))
    assert (both.reasons[1], both.last["ambiguous"], both.last["other"]) == ("stop_loss", 1, 107.1)
    settled = play(
        [FLAT, (100, 108, 96, 97)], [LONG], stop(stop_loss=0.05, take_profit=0.05), first=[0, records.FIRST_STOP]
    )
    assert (settled.last["ambiguous"], np.isnan(settled.last["other"])) == (
        1,
        True,
    )  # it does not say when the entry was


def test_a_level_that_the_bar_opened_beyond_before_the_entry_fills_at_its_own_price():
    """The open came before the entry: neither stop nor target can have filled there."""
    played = play([FLAT, (96, 103, 95, 103)], [LONG], stop(stop_loss=0.05))
    assert played.prices == [102.0, 96.9]
    assert played.last["time"] - played.problem.market["opened"][0] == 2 * 3_600_000
    short = play([FLAT, (104, 105, 97, 97)], [SHORT], stop(stop_loss=0.05))
    assert short.prices == [98.0, 102.9]
    up = play([FLAT, (104, 104, 97, 104)], [LONG], limit(take_profit=0.02, entry_offset=0.01))
    assert up.prices == [99.0]


def test_an_entry_met_at_the_open_has_the_whole_bar_before_it():
    played = play([FLAT, (97, 103, 96, 97)], [LONG], limit(take_profit=0.05))
    assert played.prices == [97.0, 101.85]
    stopped = play([FLAT, (103, 104, 97, 98)], [LONG], stop(stop_loss=0.05))
    assert stopped.prices == [103.0, 97.85]
    assert stopped.last["ambiguous"] == 0
    bar_after = play([FLAT, (100, 103, 100, 103), (103, 103, 96, 97)], [LONG], stop(stop_loss=0.05))
    assert bar_after.last["ambiguous"] == 0


def test_a_bar_may_close_and_open_a_position():
    rows = [FLAT, (100, 100, 98, 100), (100, 100, 90, 99), (100, 100, 90, 99)]
    played = play(rows, [LONG, LONG, LONG, LONG], limit(stop_loss=0.05, reenter=True))
    assert [order[0] for order in played.orders] == ["entry", "stop", "entry", "stop"]
    assert played.rows == [1, 2, 3, 3]


def test_exits_of_all_slots_come_before_resting_entries():
    btc = slot_of([FLAT, (100, 100, 97, 99), FLAT], [LONG], limit(fraction=0.49))
    eth = slot_of([FLAT, (99, 99, 90, 95), FLAT], [LONG], half(fraction=0.5, stop_loss=0.05), symbol="ETH/USDT")
    played = together(btc, eth, account=account(max_gross=2.0))
    roles = [(int(order["slot"]), int(order["role"])) for order in played.outcome.orders]
    assert roles == [(1, records.ENTRY), (1, records.STOP), (0, records.ENTRY)]


def test_exits_come_before_market_entries_in_every_slot_and_pay_for_them():
    btc = slot_of([FLAT] * 4, [NAN, LONG], half(fraction=0.6))
    eth = slot_of([FLAT] * 4, [SHORT, 0.0], half(fraction=0.6, allow_short=True), symbol="ETH/USDT")
    played = together(btc, eth, account=account(max_gross=2.0))
    assert [int(order["slot"]) for order in played.outcome.orders] == [1, 1, 0]


# --- additions ---


def adds(**rules_on):
    return half(**{"fraction": 0.2, "scale_in": 0.1, "scale_share": 0.5, "scale_limit": 2, **rules_on})


def test_a_winner_is_added_to_each_time_it_has_gained_enough_since_the_last_entry():
    rows = [FLAT, (100, 110, 100, 110), (110, 121, 110, 121), at(121), (121, 200, 121, 200), at(200)]
    played = play(rows, [LONG] * 6, adds())
    assert played.orders == [
        ("entry", "buy", 20.0, 100.0),
        ("entry", "buy", 10.0, 110.0),
        ("entry", "buy", 10.0, 121.0),
    ]
    assert played.reasons == ["entry_signal", "scale_in", "scale_in"]
    assert played.rows == [1, 2, 3]
    assert played.slot["additions"] == 2
    assert played.slot["entry_price"] == pytest.approx((2000 + 1100 + 1210) / 40)
    assert played.slot["added_price"] == 121.0


def test_a_gain_below_the_trigger_or_a_loss_adds_nothing():
    assert len(play([FLAT, (100, 109.9, 100, 109.9), FLAT], [LONG] * 3, adds()).orders) == 1
    assert len(play([FLAT, (100, 100, 90, 90), FLAT], [LONG] * 3, adds()).orders) == 1


def test_a_short_is_added_to_when_the_price_falls():
    rows = [FLAT, (100, 100, 89, 89), at(89), at(89)]
    played = play(rows, [SHORT] * 4, adds(allow_short=True))
    assert played.orders == [("entry", "sell", 20.0, 100.0), ("entry", "sell", 10.0, 89.0)]


def test_additions_are_market_orders_and_need_a_signal_that_stays():
    rows = [FLAT, (100, 110, 98, 110), at(110), at(110)]
    played = play(rows, [LONG] * 4, adds(entry="limit", entry_offset=0.02, fraction=0.196))
    assert (played.outcome.orders["kind"].tolist(), played.prices) == ([records.AT_LIMIT, records.AT_MARKET], [98, 110])
    assert len(play(rows, [LONG, NAN, NAN], adds()).orders) == 1
    leaving = play(rows, [LONG] * 4, adds(max_bars=1))
    assert leaving.reasons == ["entry_signal", "time_limit"]


def test_the_stop_moves_with_the_average_price_and_never_loosens():
    rows = [FLAT, (100, 110, 100, 110), at(110), (110, 110, 98.16, 99)]
    played = play(rows, [LONG] * 4, adds(stop_loss=0.05, take_profit=0.5))
    assert played.orders[-1] == ("stop", "sell", 30.0, 98.16)  # 103.33 x 0.95 = 98.17, rounded down
    kept = play(rows[:3], [LONG] * 3, adds(trailing_stop=0.02, stop_loss=0.05))
    assert kept.slot["stop"] == 107.8


def test_a_target_after_an_addition_is_measured_from_the_average_and_sells_all():
    rows = [FLAT, (100, 110, 100, 110), at(110), (110, 114, 110, 113)]
    played = play(rows, [LONG] * 4, adds(take_profit=0.1))
    assert played.reasons == ["entry_signal", "take_profit"]  # 110 was the first target
    later = play(rows, [LONG] * 4, adds(scale_in=0.05, take_profit=0.101))
    assert later.orders[-1] == ("target", "sell", 30.0, 113.77)  # 103.33 x 1.101


def test_a_rung_after_an_addition_is_a_share_of_all_that_was_entered():
    rows = [FLAT, (100, 110, 100, 110), at(110), (110, 125, 110, 120)]
    played = play(rows, [LONG] * 4, adds(ladder=((0.15, 0.5),)))
    assert played.orders[-1] == ("target", "sell", 15.0, 118.84)  # 103.33 x 1.15 = 118.83


def test_an_addition_too_small_to_be_an_order_says_so():
    rows = [FLAT, (100, 110, 100, 110), at(110)]
    played = play(rows, [LONG] * 3, adds(scale_share=0.001))
    assert played.refusals == ["below_min_notional", "below_min_notional"]
    assert play(rows, [LONG] * 3, adds(), instrument=rules(min_quantity="11")).refusals == ["below_min_quantity"] * 2


def test_an_addition_cools_down_and_keeps_to_sessions_like_any_entry():
    rows = [FLAT, (100, 110, 100, 110), at(110)]
    assert play(rows, [LONG] * 3, adds(), account=account(orders_per_day=1)).refusals == ["orders_per_day"] * 2


# --- what an exchange reports in pieces ---


def test_an_entry_that_fills_in_pieces_counts_no_addition_and_keeps_its_rest():
    problem = prepare((slot_of([FLAT, FLAT], [LONG], half(ladder=((0.1, 0.5),))),), account())
    state = KernelState.fresh(10_000.0, limits=problem.limits, parameters=problem.parameters)
    state.decide(problem.market, problem.signals, np.array([0]))
    fill = np.zeros(1, records.ORDER)
    values = {"side": 1, "quantity": 20.0, "price": 100.0, "role": records.ENTRY, "reason": records.SIGNAL_ENTRY}
    for name, value in values.items():
        fill[0][name] = value
    state.apply(fill)
    slot = state.slots[0]
    assert (slot["entry"], slot["additions"], slot["unit"], slot["target_quantity"]) == (30.0, 0, 20.0, 10.0)
    fill[0]["quantity"] = 40.0
    state.apply(fill)
    assert (slot["entry"], slot["additions"], slot["quantity"], slot["target_quantity"]) == (0.0, 0, 60.0, 30.0)
    assert (slot["unit"], state.account[0]["day_orders"]) == (60.0, 1)


def test_an_addition_and_a_rung_that_fill_in_pieces_count_once_with_the_last_one():
    policy = adds(ladder=((0.1, 0.5), (0.2, 0.2)))
    problem = prepare((slot_of([FLAT, at(110)], [LONG, LONG], policy),), account())
    state = KernelState.fresh(10_000.0, limits=problem.limits, parameters=problem.parameters)
    fill, slot = np.zeros(1, records.ORDER), state.slots[0]

    def met(side, quantity, price, role, reason=records.SIGNAL_ENTRY):
        for name, value in zip(
            ("side", "quantity", "price", "role", "reason"), (side, quantity, price, role, reason), strict=True
        ):
            fill[0][name] = value
        state.apply(fill)

    state.decide(problem.market, problem.signals, np.array([0]))
    first = slot["entry"]
    met(1, first, 100.0, records.ENTRY)
    state.decide(problem.market, problem.signals, np.array([1]))
    added = slot["entry"]
    met(1, added - 1.0, 110.0, records.ENTRY, records.SCALE_IN)
    assert (slot["additions"], slot["entry"]) == (0, 1.0)
    met(1, 1.0, 110.0, records.ENTRY, records.SCALE_IN)
    assert (slot["additions"], slot["unit"], state.account[0]["day_orders"]) == (1, first, 2)
    rung = slot["target_quantity"]
    met(-1, 1.0, slot["target"], records.TARGET)
    assert (slot["rung"], slot["target_quantity"], state.account[0]["day_orders"]) == (0, rung - 1.0, 2)
    met(-1, rung - 1.0, slot["target"], records.TARGET)
    assert (slot["rung"], state.account[0]["day_orders"]) == (1, 3)


def test_a_market_entry_that_was_never_filled_is_dropped_at_the_next_close():
    """A live account may be told of no fill; what was wanted a bar ago is not what is wanted now."""
    problem = together(slot_of([FLAT] * 3, [LONG, NAN]), account=account()).problem
    state = KernelState.fresh(10_000.0, limits=problem.limits, parameters=problem.parameters)
    state.decide(problem.market, problem.signals, np.array([0]))
    assert state.slots[0]["entry"] == 50.0
    state.decide(problem.market, problem.signals, np.array([1]))
    assert state.slots[0]["entry"] == 0.0
