"""What the account allows: caps that cut, counts that refuse, losses that halt, and what a day and a drawdown remember."""

import numpy as np
import pytest

from atb.engine import codes, records
from atb.engine.parameters import account_parameters
from atb.engine.policy import ExecutionModel
from atb.engine.records import fresh_account
from atb.engine.sizing import Exposure, forbids
from tests.engine.cases import (
    FLAT,
    NAN,
    account,
    at,
    half,
    parameters,
    play,
    rules,
    slot_of,
    slot_record,
    together,
    walk,
)  # fmt: skip

LONG, SHORT = 1.0, -1.0


def pair(first, second, *, policies=None, rows=None, **options):
    """Play two slots on markets that stand still; return the quantities in order and the refusals."""
    policies = policies or (half(allow_short=True), half(allow_short=True))
    rows = rows or [FLAT] * 4
    btc = slot_of(rows, first, policies[0])
    eth = slot_of(rows, second, policies[1], symbol="ETH/USDT")
    return together(btc, eth, **options)


# --- caps: the size that is left ---


def test_a_position_is_cut_to_its_limit_and_refused_where_it_is_nothing():
    cut = play([FLAT] * 2, [LONG], half(max_position=0.3))
    assert (cut.quantities, cut.refusals) == ([30.0], ["shrunk_by_position_limit"])
    none = play([FLAT] * 2, [LONG], half(max_position=0.0))
    assert (none.quantities, none.refusals) == ([], ["position_limit"])
    assert play([FLAT] * 2, [LONG], half(max_position=0.5)).refusals == []


def test_what_a_position_is_worth_already_counts_for_an_addition_and_not_for_a_reversal():
    policy = half(max_position=0.6, scale_in=0.1, scale_share=0.5)
    played = play([FLAT, (100, 110, 100, 110), at(110)], [LONG] * 2, policy)
    assert played.quantities == [50.0, pytest.approx((0.6 * 10_500 - 5_500) / 110, abs=1e-5)]
    assert played.refusals == ["shrunk_by_position_limit"]
    turned = play([FLAT] * 3, [LONG, SHORT], half(max_position=0.5, allow_short=True))
    assert (turned.quantities, turned.refusals) == ([50.0, 50.0, 50.0], [])


def test_an_entry_takes_no_more_than_its_part_of_the_last_bars_volume():
    cut = play([FLAT] * 2, [LONG], half(max_participation=0.1), volume=[200.0, 1.0])
    assert (cut.quantities, cut.refusals) == ([20.0], ["shrunk_by_volume"])
    none = play([FLAT] * 2, [LONG], half(max_participation=0.1), volume=[0.0])
    assert none.refusals == ["no_volume"]
    out = play([FLAT] * 4, [LONG, 0.0], half(max_participation=0.5), volume=[100.0, 0.0, 0.0])
    assert out.quantities == [50.0, 50.0]  # exits are never cut


def test_gross_exposure_counts_longs_and_shorts_alike():
    played = pair([LONG], [SHORT], account=account(max_gross=0.7))
    assert (played.quantities, played.refusals) == ([50.0, 20.0], ["shrunk_by_exposure_limit"])
    full = pair([LONG], [SHORT], account=account(max_gross=0.5))
    assert (full.quantities, full.refusals) == ([50.0], ["exposure_limit"])
    later = pair([LONG], [NAN, SHORT], account=account(max_gross=0.7))
    assert later.quantities == [50.0, 20.0]


def test_net_exposure_lets_a_hedge_pass():
    same = pair([LONG], [LONG], account=account(max_gross=2.0, max_net=0.6))
    assert (same.quantities, same.refusals) == ([50.0, 10.0], ["shrunk_by_net_limit"])
    hedge = pair([LONG], [SHORT], account=account(max_gross=2.0, max_net=0.5))
    assert (hedge.quantities, hedge.refusals) == ([50.0, 50.0], [])
    shorts = pair([SHORT], [NAN, SHORT], account=account(max_gross=2.0, max_net=0.5))
    assert (shorts.quantities, shorts.refusals) == ([50.0], ["net_limit"])
    longs = pair([SHORT], [NAN, LONG], policies=(half(allow_short=True), half(fraction=1.2)),
                 account=account(max_gross=3.0, max_net=0.6))  # fmt: skip
    assert longs.quantities == [50.0, 110.0]


def test_one_cluster_is_limited_and_another_is_not():
    money = account(max_gross=2.0, max_cluster=0.6)
    one, two = {"cluster": [1.0] * 4}, {"cluster": [2.0] * 4}
    same = pair([LONG], [LONG], account=money, columns={0: one, 1: one})
    assert (same.quantities, same.refusals) == ([50.0, 10.0], ["shrunk_by_cluster_limit"])
    full = pair([SHORT], [NAN, SHORT], account=account(max_gross=2.0, max_cluster=0.5), columns={0: one, 1: one})
    assert (full.quantities, full.refusals) == ([50.0], ["cluster_limit"])
    other = pair([LONG], [LONG], account=money, columns={0: one, 1: two})
    assert (other.quantities, other.refusals) == ([50.0, 50.0], [])
    hedge = pair([LONG], [SHORT], account=money, columns={0: one, 1: one})
    assert (hedge.quantities, hedge.refusals) == ([50.0, 50.0], [])


def test_a_reversal_may_use_the_exposure_that_it_closes():
    for limits in ({"max_gross": 0.5}, {"max_net": 0.5}, {"max_cluster": 0.5}):
        for sides in ([LONG, SHORT], [SHORT, LONG]):
            played = play([FLAT] * 3, sides, half(allow_short=True), account=account(**limits))
            assert (played.quantities, played.refusals) == ([50.0] * 3, []), limits


def test_a_days_turnover_counts_fills_and_what_is_pending():
    both = pair([LONG], [LONG], account=account(turnover_per_day=0.6))
    assert (both.quantities, both.refusals) == ([50.0, 10.0], ["shrunk_by_turnover_limit"])
    again = play([FLAT] * 6, [LONG, 0.0, LONG], account=account(turnover_per_day=1.25))
    assert again.quantities == [50.0, 50.0, 25.0]
    none = play([FLAT] * 6, [LONG, 0.0, LONG], account=account(turnover_per_day=1.0))
    assert none.refusals == ["turnover_limit"]


def test_a_new_day_has_its_own_turnover():
    sides = [LONG, 0.0, LONG, LONG]
    played = play([FLAT] * 6, sides, account=account(turnover_per_day=1.0), start="2024-01-01 20:00")
    assert played.refusals == ["turnover_limit"]  # at 23:00; the day of the close at 00:00 is the next
    assert played.rows == [1, 2, 4]


def test_cash_pays_the_fee_the_reserve_and_what_was_promised_before():
    fee = ExecutionModel(fee=0.25, slippage=0.0)
    played = play([FLAT] * 2, [LONG], half(fraction=1.0), execution=fee)
    assert (played.quantities, played.refusals) == ([80.0], ["shrunk_by_cash"])
    kept = play([FLAT] * 2, [LONG], half(fraction=1.0), account=account(reserve=0.1))
    assert kept.quantities == [90.0]
    btc = slot_of([FLAT] * 2, [LONG], half(), execution=fee)
    eth = slot_of([FLAT] * 2, [LONG], half(), execution=fee, symbol="ETH/USDT")
    assert together(btc, eth).quantities == [50.0, 30.0]  # 10,000 - 6,250 of which a fifth is the fee
    dear = pair([LONG], [LONG], policies=(half(fraction=1.0), half()), account=account(max_gross=2.0))
    assert (dear.quantities, dear.refusals) == ([100.0], ["no_cash"])


def test_a_short_needs_no_cash():
    played = pair(
        [LONG], [SHORT], policies=(half(fraction=1.0), half(allow_short=True)), account=account(max_gross=2.0)
    )
    assert played.quantities == [100.0, 50.0]


def test_pending_entries_of_slots_without_a_bar_count():
    fast = slot_of([FLAT] * 8, [NAN] * 6 + [LONG], half(), timeframe="30m", symbol="ETH/USDT")
    limited = {"max_gross": 0.6, "max_net": 0.6, "turnover_per_day": 0.6}
    for name, share in limited.items():
        rows = [FLAT, FLAT, (110, 110, 105, 105)]
        slow = slot_of(rows, [NAN, LONG], half(entry="limit", entry_offset=0.0, entry_bars=3))
        played = together(slow, fast, account=account(**{"max_gross": 2.0, name: share}))
        assert played.quantities == [7.5], name  # 6,000 less 50 at 105
    counted = together(slow, fast, account=account(max_gross=2.0, max_positions=1))
    assert counted.refusals == ["too_many_positions"]
    paid = together(slow, fast, account=account(max_gross=2.0, reserve=0.4))
    assert paid.refusals == ["shrunk_by_cash"]


def test_the_last_cut_is_the_one_named():
    both = half(max_position=0.4, max_participation=0.3)
    assert play([FLAT] * 2, [LONG], both).refusals == ["shrunk_by_volume"]
    assert play([FLAT] * 2, [LONG], half(max_position=0.2, max_participation=0.3)).refusals == [
        "shrunk_by_position_limit"
    ]
    tiny = play([FLAT] * 2, [LONG], half(max_position=0.2), instrument=rules(min_quantity="30"))
    assert tiny.refusals == ["position_limit"]
    cheap = play([FLAT] * 2, [LONG], half(max_position=0.2), instrument=rules(min_notional="2001"))
    assert cheap.refusals == ["below_min_notional"]


# --- counts ---


def test_no_more_positions_than_allowed_while_reversals_and_additions_pass():
    played = pair([LONG, SHORT], [LONG, LONG, LONG], account=account(max_gross=2.0, max_positions=1))
    assert played.refusals == ["too_many_positions"] * 3
    assert played.quantities == [50.0] * 3
    adds = half(fraction=0.3, scale_in=0.1, scale_share=0.5)
    grown = play([FLAT, (100, 110, 100, 110), at(110)], [LONG] * 2, adds, account=account(max_positions=1))
    assert len(grown.orders) == 2
    two = pair([LONG], [LONG], account=account(max_positions=2))
    assert two.refusals == []


def test_no_more_orders_at_one_close_than_allowed_exits_counted():
    both = pair([LONG], [LONG, LONG], account=account(orders_per_bar=1))
    assert both.refusals == ["orders_per_bar"]
    assert both.rows == [1, 2]
    leaving = pair([LONG, 0.0, NAN], [NAN, LONG, LONG], account=account(orders_per_bar=1))
    assert leaving.refusals == ["orders_per_bar"]
    reversal = play([FLAT] * 3, [LONG, SHORT], half(allow_short=True), account=account(orders_per_bar=1))
    assert reversal.reasons == ["entry_signal", "exit_signal"]
    assert pair([LONG], [LONG], account=account(orders_per_bar=2)).refusals == []


def test_no_more_orders_in_a_day_than_allowed():
    sides = [LONG, 0.0, LONG, LONG, LONG]
    played = play([FLAT] * 6, sides, account=account(orders_per_day=2), start="2024-01-01 20:00")
    assert played.refusals == ["orders_per_day"]
    assert played.rows == [1, 2, 4]
    pending = pair([LONG], [LONG], account=account(orders_per_day=1))
    assert pending.refusals == ["orders_per_day"]
    assert pair([LONG], [LONG], account=account(orders_per_day=2)).refusals == []


# --- halts ---


def test_a_days_loss_halts_entries_until_the_next_day():
    rows = [FLAT, (100, 100, 90, 90), at(90), at(90), at(90), at(90)]
    sides = [LONG, 0.0, LONG, LONG, LONG]
    played = play(rows, sides, account=account(daily_loss=0.05), start="2024-01-01 20:00")
    assert played.refusals == ["daily_loss_halt"]  # at 23:00; at midnight a day of its own begins
    assert played.rows == [1, 2, 4]
    assert play(rows, sides, account=account(daily_loss=0.0501)).refusals == []


def test_a_days_loss_is_counted_from_the_equity_it_began_with():
    """A close at midnight is the new day's first; where none falls on midnight, the day begins with the last equity before."""
    falling = [FLAT, (100, 100, 95, 95), (95, 95, 90, 90), FLAT]
    at_midnight = play(falling, [LONG], account=account(daily_loss=0.03), start="2024-01-01 22:00")
    assert at_midnight.outcome.account["day_equity"] == 9_750.0
    assert at_midnight.outcome.account["halt"] == records.HALT_NONE
    later = play(falling, [LONG, NAN, LONG], account=account(daily_loss=0.02), start="2024-01-01 22:30")
    assert later.outcome.account["day_equity"] == 10_000.0
    assert later.outcome.account["halt"] == records.HALT_DAY


def test_days_are_counted_only_where_a_rule_needs_them():
    assert play([FLAT] * 3, [LONG]).outcome.account["day"] == 0
    for limit in ({"daily_loss": 0.5}, {"turnover_per_day": 5.0}, {"orders_per_day": 9}):
        counted = play([FLAT] * 3, [LONG], account=account(**limit)).outcome.account
        assert (counted["day"], counted["day_orders"], counted["day_turnover"]) == (19_723, 1, 5_000.0)


def test_close_only_leaves_positions_and_flatten_closes_them():
    rows = [FLAT, (100, 100, 80, 80), at(80), at(80)]
    stays = play(rows, [LONG], account=account(daily_loss=0.05))
    assert len(stays.orders) == 1
    goes = play(rows, [LONG], account=account(daily_loss=0.05, on_halt="flatten"))
    assert goes.reasons == ["entry_signal", "risk_limit"]
    assert goes.rows == [1, 2]


def test_a_drawdown_halts_for_good():
    rows = [FLAT, (100, 100, 80, 80), at(80), (80, 200, 80, 200), *[at(200)] * 3]
    sides = [LONG, LONG, LONG, LONG, 0.0, LONG, LONG]
    played = play(rows, sides, account=account(max_drawdown=0.1), timeframe="1d")
    assert played.refusals == ["drawdown_halt"] * 2
    assert play(rows, sides, account=account(max_drawdown=0.1001), timeframe="1d").refusals == []
    flat = play(rows, sides, account=account(max_drawdown=0.1, on_halt="flatten"), timeframe="1d")
    assert flat.reasons == ["entry_signal", "risk_limit"]
    assert flat.refusals == ["drawdown_halt"] * 4  # nothing was held when these came


def test_a_drawdown_is_measured_from_the_peak_of_equity():
    rows = [FLAT, (100, 140, 100, 140), (140, 140, 115, 115), at(115)]
    played = play(rows, [LONG], account=account(max_drawdown=0.1, on_halt="flatten"))
    assert played.outcome.account["peak"] == 12_000.0
    assert played.reasons == ["entry_signal", "risk_limit"]  # 10,750 is below 10,800, though above the start


def test_a_halt_cancels_resting_entries_of_slots_without_a_bar_and_flattens_them_too():
    slow = slot_of([FLAT] * 4, [LONG], half(fraction=0.3))
    resting = slot_of(
        [FLAT] * 4, [LONG], half(fraction=0.1, entry="limit", entry_offset=0.5, entry_bars=9), symbol="SOL/USDT"
    )
    falling = [FLAT, FLAT, (100, 100, 50, 50), *[at(50)] * 5]
    fast = slot_of(falling, [NAN, LONG], half(fraction=0.3), timeframe="30m", symbol="ETH/USDT")
    # the slow slots' second bar closes at 02:00; the fast one falls in the bar that closes at 01:30
    played = together(slow, resting, fast, account=account(max_drawdown=0.1, on_halt="flatten"))
    done = [(int(order["slot"]), order["reason"], order["time"]) for order in played.outcome.orders]
    first = played.problem.market["opened"][0]
    assert [(s, reason, (time - first) / 3_600_000) for s, reason, time in done] == [
        (0, records.SIGNAL_ENTRY, 1.0),
        (2, records.SIGNAL_ENTRY, 1.0),
        (2, records.RISK_LIMIT, 1.5),
        (0, records.RISK_LIMIT, 2.0),
    ]
    assert played.outcome.slots[1]["entry"] == 0.0


def test_an_account_is_liquidated_at_its_maintenance_and_never_trades_again():
    rows = [FLAT, (100, 150, 100, 150), *[at(150)] * 4]
    policy, money = half(fraction=1.0, allow_short=True), account(maintenance=0.35)
    played = play(rows, [SHORT, SHORT, SHORT, LONG], policy, account=money)
    assert played.reasons == ["entry_signal", "liquidation"]  # equity 5,000 against a position of 15,000
    assert played.refusals == ["liquidated"] * 2
    assert len(play(rows, [SHORT] * 5, policy, account=account(maintenance=0.33)).orders) == 1


def test_an_account_without_equity_is_liquidated_whatever_its_limits():
    rows = [FLAT, (100, 210, 100, 210), *[at(210)] * 3]
    played = play(rows, [SHORT] * 4, half(fraction=1.0, allow_short=True))
    assert played.reasons == ["entry_signal", "liquidation"]
    assert played.outcome.account["halt"] == records.HALT_LIQUIDATION


def test_the_worst_halt_is_the_one_that_stays():
    rows = [FLAT, (100, 100, 80, 80), (80, 85, 80, 85), *[at(85)] * 30]  # 10 % lost, 7.5 % after the recovery
    money = account(daily_loss=0.01, max_drawdown=0.1)
    assert play(rows, [LONG, *[NAN] * 20], account=money).outcome.account["halt"] == records.HALT_DRAWDOWN
    lifted = play(rows, [LONG, *[NAN] * 20], account=account(daily_loss=0.01)).outcome.account["halt"]
    assert lifted == records.HALT_NONE


def test_the_first_refusal_that_applies_is_the_one_written():
    noon = 43_200_000
    limit = account_parameters(account(max_positions=1, orders_per_bar=1, orders_per_day=1))[0]
    par = parameters(half(session=("00:00", "12:00")))
    slot, money = slot_record(cooldown_left=1), fresh_account(10_000.0)[0]
    money["halt"], money["day_orders"] = records.HALT_LIQUIDATION, 1
    found = [forbids(money, limit, slot, par, SHORT, noon, Exposure(0.0, 0.0, 0.0, 0.0, 1, 1))]
    for halt in (records.HALT_LIQUIDATION, records.HALT_DRAWDOWN, records.HALT_DAY):
        money["halt"] = halt
        found.append(forbids(money, limit, slot, par, LONG, noon, Exposure(0.0, 0.0, 0.0, 0.0, 1, 1)))
    money["halt"] = records.HALT_NONE
    found.append(forbids(money, limit, slot, par, LONG, noon, Exposure(0.0, 0.0, 0.0, 0.0, 1, 1)))
    slot["cooldown_left"] = 0
    found.append(forbids(money, limit, slot, par, LONG, noon, Exposure(0.0, 0.0, 0.0, 0.0, 1, 1)))
    found += [
        forbids(money, limit, slot, par, LONG, noon - 1, Exposure(0.0, 0.0, 0.0, 0.0, positions, sent))
        for positions, sent in ((1, 1), (0, 1), (0, 0))
    ]
    money["day_orders"] = 0
    found.append(forbids(money, limit, slot, par, LONG, noon - 1, Exposure(0.0, 0.0, 0.0, 0.0, 0, 0)))
    assert [codes.REFUSALS.get(code, "") for code in found] == [
        "shorts_not_allowed", "liquidated", "drawdown_halt", "daily_loss_halt", "cooldown", "out_of_session",
        "too_many_positions", "orders_per_bar", "orders_per_day", "",
    ]  # fmt: skip


# --- the throttle ---


THROTTLE = ((0.0625, 0.8), (0.125, 0.6), (0.25, 0.4))  # binary fractions: the very limit can be hit


def throttled(*closes, **options):
    """Hold half of equity over these closes; return the throttle's level after each."""
    rows = [FLAT, (100, max(100, closes[0]), min(100, closes[0]), closes[0]), *[at(close) for close in closes[1:]]]
    found = []
    problem = together(slot_of(rows, [LONG]), account=account(throttle=THROTTLE, **options)).problem
    for _, state, orders in walk(problem):
        if not orders:
            found.append(int(state.account[0]["throttle"]))
    return found[1:]


def test_the_throttle_steps_down_with_the_drawdown():
    assert throttled(87.6, 87.5, 75.1, 75, 50.1, 50, 40) == [0, 1, 1, 2, 2, 3, 3]
    assert throttled(50) == [3]


def test_the_throttle_steps_back_once_the_drawdown_is_clearly_less():
    # levels end below drawdowns of 21.875, 9.375 and 3.125 %
    assert throttled(50, 56.25, 56.3, 81.25, 81.3, 93.75, 93.8, recovery=0.03125) == [3, 3, 2, 2, 1, 1, 0]
    assert throttled(50, 97, recovery=0.03125) == [3, 0]


def test_the_throttle_cuts_the_size_and_says_nothing():
    rows = [FLAT, (100, 100, 80, 80), at(80), at(80)]
    played = play(rows, [LONG, 0.0, LONG], account=account(throttle=THROTTLE))
    assert played.quantities == [50.0, 50.0, 45.0]  # four fifths of 4,500 at 80
    assert played.refusals == []


def test_the_throttle_cuts_additions_too():
    grows = slot_of(
        [FLAT, (100, 110, 100, 110), at(110)], [LONG] * 2, half(fraction=0.2, scale_in=0.1, scale_share=0.5)
    )
    falls = slot_of([FLAT, (100, 100, 80, 80), at(80)], [LONG], half(fraction=0.7), symbol="ETH/USDT")
    played = together(grows, falls, account=account(throttle=((0.05, 0.5),)))
    assert played.quantities == [20.0, 70.0, 5.0]


def test_a_throttle_to_nothing_leaves_no_edge():
    rows = [FLAT, (100, 100, 90, 90), at(90), at(90)]
    played = play(rows, [LONG, 0.0, LONG], account=account(throttle=((0.05, 0.0),)))
    assert played.refusals == ["no_edge"]
    assert np.isnan(played.slot["stop"])


def test_an_account_that_a_gap_has_ruined_is_halted_for_good_though_it_holds_nothing():
    """A short of all equity meets an open three times as high: its stop fills there, and more is lost than there was."""
    rows = [FLAT, FLAT, (300, 300, 300, 300), (300, 300, 300, 300)]
    policy = half(fraction=1.0, allow_short=True, stop_loss=0.1, reenter=True)
    played = play(rows, [SHORT, SHORT, SHORT, SHORT], policy, account=account(max_gross=1.0))
    assert played.outcome.account["equity"] < 0
    assert played.outcome.account["halt"] == 3
    assert played.refusals[-1] == "liquidated"


def test_what_buys_a_short_back_is_not_spent_on_the_reversal():
    """All of equity short at 100, then long: buying back takes the proceeds, so the new position is cut and not refused."""
    policy, execution = half(fraction=1.0, allow_short=True), ExecutionModel(fee=0.001, slippage=0.0)
    money = account(max_gross=1.0)
    played = play([FLAT, FLAT, FLAT, FLAT], [SHORT, LONG], policy, account=money, execution=execution)
    assert [order[:2] for order in played.orders] == [("entry", "sell"), ("exit", "buy"), ("entry", "buy")]
    assert played.refusals == ["shrunk_by_cash"]
