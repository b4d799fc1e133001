"""Every way out of a position on bars made by hand: stops that rest and move, targets in rungs, clocks, and signals."""

import numpy as np
import pytest

from atb.engine import records
from atb.engine.policy import ExecutionModel
from tests.engine.cases import FLAT, NAN, account, at, half, mirrored, play, rules, slot_of, together

LONG, SHORT = 1.0, -1.0


def both_ways(rows, sides, **policy):
    """Play a long and its mirror image; return what both did, prices as distances from 100 in the position's favour."""
    long = play(rows, sides, half(allow_short=True, **policy))
    short = play(mirrored(rows), [-side for side in sides], half(allow_short=True, **policy))
    assert long.reasons == short.reasons
    assert long.rows == short.rows
    favour = [round(price - 100, 9) for price in long.prices]
    assert favour == [round(100 - price, 9) for price in short.prices]
    return list(zip(long.reasons, long.rows, favour, long.quantities, strict=True))


# --- stops ---


@pytest.mark.parametrize(
    ("bar", "row", "price"),
    [((99, 99, 95, 98), 2, -5), ((99, 99, 95.01, 98), None, None), ((95, 96, 94, 95), 2, -5), ((90, 91, 89, 90), 2, -10)],
)  # fmt: skip
def test_a_stop_fills_at_its_price_or_at_a_worse_open(bar, row, price):
    done = both_ways([FLAT, FLAT, bar, FLAT], [LONG], stop_loss=0.05)
    assert done[1:] == ([] if row is None else [("stop_loss", row, price, 50.0)])


def test_what_fills_at_the_open_is_stamped_there_and_what_fills_inside_at_the_close():
    opened, closed = 2 * 3_600_000, 3 * 3_600_000
    for bar, hour in (((99, 99, 95, 98), closed), ((95, 96, 94, 95), opened)):
        played = play([FLAT, FLAT, bar], [LONG], half(stop_loss=0.05))
        assert played.last["time"] - played.problem.market["opened"][0] == hour
        played = play([FLAT, FLAT, mirrored([bar])[0]], [LONG], half(take_profit=0.05))
        assert played.last["time"] - played.problem.market["opened"][0] == hour


def test_a_stop_measured_in_atrs_uses_the_one_at_the_decision():
    played = play([FLAT, FLAT, (99, 99, 90, 98)], [LONG], half(stop_atr=2.0), atr=[3.0, 1.0, 1.0])
    assert played.orders[-1] == ("stop", "sell", 50.0, 94.0)


def test_a_stop_that_the_signal_names_rests_where_it_says():
    played = play([FLAT, FLAT, (99, 99, 90, 98)], [LONG], half(signal_stop=True), stop=[96.5, 99.0, 99.0])
    assert played.orders[-1] == ("stop", "sell", 50.0, 96.5)
    ignored = play([FLAT, FLAT, (99, 99, 90, 98)], [LONG], stop=[96.5])
    assert len(ignored.orders) == 1


def test_a_stop_is_measured_from_the_fill_and_not_from_the_decision():
    played = play([FLAT, at(110), (109, 109, 90, 98)], [LONG], half(stop_loss=0.1))
    assert played.prices == [110.0, 99.0]


def test_a_position_without_a_stop_rule_has_none():
    played = play([FLAT, FLAT, (100, 100, 1, 100)], [LONG])
    assert np.isnan(played.slot["stop"])
    assert len(played.orders) == 1


# --- both in one bar ---


@pytest.mark.parametrize(
    ("target_first", "reason", "other"), [(False, "stop_loss", 105.0), (True, "take_profit", 95.0)]
)
def test_a_bar_that_reaches_both_is_ambiguous_and_the_policy_says_which_came_first(target_first, reason, other):
    execution = ExecutionModel(fee=0.0, slippage=0.0, target_first=target_first)
    policy = half(stop_loss=0.05, take_profit=0.05)
    played = play([FLAT, FLAT, (100, 106, 94, 100)], [LONG], policy, execution=execution)
    assert played.reasons[-1] == reason
    assert (played.last["ambiguous"], played.last["other"]) == (1, other)
    assert played.outcome.summary["ambiguous"] == 1


@pytest.mark.parametrize(
    ("first", "reason"), [(records.FIRST_STOP, "stop_loss"), (records.FIRST_TARGET, "take_profit")]
)
@pytest.mark.parametrize("target_first", [False, True])
def test_what_a_finer_timeframe_saw_first_is_certain_whatever_the_policy(first, reason, target_first):
    execution = ExecutionModel(fee=0.0, slippage=0.0, target_first=target_first)
    policy = half(stop_loss=0.05, take_profit=0.05)
    played = play([FLAT, FLAT, (100, 106, 94, 100)], [LONG], policy, execution=execution, first=[0, 0, first])
    assert played.reasons[-1] == reason
    assert played.last["ambiguous"] == 0
    assert np.isnan(played.last["other"])


@pytest.mark.parametrize(("opened", "reason", "price"), [(94.0, "stop_loss", 94.0), (107.0, "take_profit", 105.0)])
@pytest.mark.parametrize("target_first", [False, True])
def test_what_is_met_at_the_open_came_first_and_is_certain(opened, reason, price, target_first):
    execution = ExecutionModel(fee=0.0, slippage=0.0, target_first=target_first)
    bar = (opened, 107, 94, 100)
    played = play([FLAT, FLAT, bar], [LONG], half(stop_loss=0.05, take_profit=0.05), execution=execution)
    assert (played.reasons[-1], played.last["price"], played.last["ambiguous"]) == (reason, price, 0)
    assert np.isnan(played.last["other"])


def test_only_one_of_both_is_certain():
    played = play([FLAT, FLAT, (100, 106, 96, 100)], [LONG], half(stop_loss=0.05, take_profit=0.05))
    assert played.last["ambiguous"] == 0
    assert np.isnan(played.last["other"])


# --- targets ---


@pytest.mark.parametrize(
    ("bar", "price"), [((101, 105, 101, 102), 5), ((101, 104.99, 101, 102), None), ((107, 108, 106, 107), 5)]
)
def test_a_target_fills_at_its_price_also_where_the_open_passes_it(bar, price):
    done = both_ways([FLAT, FLAT, bar, FLAT], [LONG], take_profit=0.05)
    assert done[1:] == ([] if price is None else [("take_profit", 2, price, 50.0)])


def test_a_target_may_be_given_the_better_open():
    execution = ExecutionModel(fee=0.0, slippage=0.0, limit_gap="open")
    played = play([FLAT, FLAT, (107, 108, 106, 107)], [LONG], half(take_profit=0.05), execution=execution)
    assert played.orders[-1] == ("target", "sell", 50.0, 107.0)


def test_a_target_that_the_open_passes_fills_before_the_exit_that_is_sent_there():
    gap = (107, 108, 106, 107)
    done = both_ways([FLAT, FLAT, gap, FLAT], [LONG, 0.0], take_profit=0.05)
    assert done[1:] == [("take_profit", 2, 5, 50.0)]
    part = both_ways([FLAT, FLAT, gap, FLAT], [LONG, 0.0], ladder=((0.05, 0.5), (0.06, 0.2)), take_profit=0.2)
    assert part[1:] == [("partial_exit", 2, 5, 25.0), ("partial_exit", 2, 6, 10.0), ("exit_signal", 2, 7, 15.0)]


def test_nothing_is_added_at_an_open_whose_way_there_closed_the_position():
    rows = [FLAT, (100, 104, 100, 104), (107, 108, 106, 107), FLAT]
    done = both_ways(rows, [LONG] * 3, take_profit=0.05, scale_in=0.03, reenter=False)
    assert done[1:] == [("take_profit", 2, 5, 50.0)]


def test_a_side_may_be_entered_again_where_its_signal_had_left_before_the_target_was_passed():
    gap = (107, 108, 106, 107)
    played = play([FLAT, FLAT, gap, at(107), at(107)], [LONG, 0.0, LONG, LONG], half(take_profit=0.05))
    assert played.reasons == ["entry_signal", "take_profit", "entry_signal"]
    assert played.rows == [1, 2, 3]


def test_a_stop_bars_its_side_also_where_a_signal_had_closed_the_position_before_it():
    rows = [FLAT, FLAT, (100, 106, 100, 100), FLAT, FLAT]
    played = play(rows, [LONG, SHORT, SHORT, SHORT], half(stop_loss=0.05, allow_short=True))
    assert played.reasons == ["entry_signal", "exit_signal", "entry_signal", "stop_loss"]


def test_an_opposite_signal_waits_on_where_a_target_closed_the_position_before_its_exit():
    """`opposite="exit"` does not enter until the signal has left the new side, however the position ended."""
    rows = [FLAT, FLAT, (107, 108, 106, 107), at(107), at(107)]
    done = both_ways(rows, [LONG, SHORT, SHORT, SHORT], take_profit=0.05, opposite="exit")
    assert [reason for reason, *_ in done] == ["entry_signal", "take_profit"]


def test_a_ladder_closes_shares_of_all_that_was_entered_then_the_target_the_rest():
    rows = [FLAT, FLAT, (100, 102, 100, 102), (102, 104, 102, 104), (104, 110, 104, 110), FLAT]
    done = both_ways(rows, [LONG], ladder=((0.02, 0.5), (0.04, 0.2)), take_profit=0.1)
    assert done[1:] == [("partial_exit", 2, 2, 25.0), ("partial_exit", 3, 4, 10.0), ("take_profit", 4, 10, 15.0)]


def test_three_rungs_may_fill_in_one_bar_and_the_last_may_close_all():
    ladder = ((0.02, 0.5), (0.04, 0.3), (0.06, 0.2))
    done = both_ways([FLAT, FLAT, (100, 106, 100, 106), FLAT], [LONG], ladder=ladder)
    assert done[1:] == [("partial_exit", 2, 2, 25.0), ("partial_exit", 2, 4, 15.0), ("take_profit", 2, 6, 10.0)]


def test_what_a_ladder_without_a_target_leaves_runs_on_under_the_stop():
    rows = [FLAT, FLAT, (100, 102, 100, 102), (102, 200, 102, 102), (102, 102, 94, 95)]
    played = play(rows, [LONG], half(ladder=((0.02, 0.5),), stop_loss=0.05))
    assert played.orders[1:] == [("target", "sell", 25.0, 102.0), ("stop", "sell", 25.0, 95.0)]


def test_a_rung_too_small_to_be_an_order_is_passed_over():
    coarse = rules(lot="10", min_quantity="10", min_notional="5")
    rows = [FLAT, FLAT, (100, 110, 100, 110)]
    played = play(rows, [LONG], half(ladder=((0.02, 0.1), (0.04, 0.4)), take_profit=0.1), instrument=coarse)
    assert played.orders[1:] == [("target", "sell", 20.0, 104.0), ("target", "sell", 30.0, 110.0)]
    dear = rules(min_notional="2000")
    played = play(rows, [LONG], half(ladder=((0.02, 0.1), (0.04, 0.4)), take_profit=0.1), instrument=dear)
    assert played.orders[1:] == [("target", "sell", 20.0, 104.0), ("target", "sell", 30.0, 110.0)]


@pytest.mark.parametrize(
    ("steps", "sold"),
    [({"lot": "1", "min_quantity": "11"}, 50.0), ({"lot": "1", "min_quantity": "10"}, 40.0),
     ({"min_notional": "1021"}, 50.0), ({"min_notional": "1020"}, 40.0)],
)  # fmt: skip
def test_a_rung_takes_the_rest_along_when_that_would_be_too_small_to_sell(steps, sold):
    played = play([FLAT, FLAT, (100, 102, 100, 102)], [LONG], half(ladder=((0.02, 0.8),)), instrument=rules(**steps))
    assert played.orders[-1] == ("target", "sell", sold, 102.0)
    assert played.reasons[-1] == ("take_profit" if sold == 50.0 else "partial_exit")


# --- stops that move ---


def test_break_even_moves_the_stop_to_the_entry_once_the_close_is_far_enough():
    rows = [FLAT, (100, 104, 100, 103.99), (104, 104, 96, 104), (104, 104, 99, 100)]
    done = both_ways(rows, [LONG], stop_loss=0.05, break_even=0.04)
    assert done[1:] == [("break_even", 3, 0, 50.0)]
    offset = both_ways(rows, [LONG], stop_loss=0.05, break_even=0.04, break_even_offset=0.01)
    assert offset[1:] == [("break_even", 3, 1, 50.0)]


def test_break_even_needs_no_stop_before():
    done = both_ways([FLAT, (100, 105, 100, 105), at(99.5)], [LONG], break_even=0.04)
    assert done[1:] == [("break_even", 2, -0.5, 50.0)]


def test_a_trailing_stop_follows_the_close_and_never_loosens():
    rows = [FLAT, (100, 110, 100, 110), (110, 110, 106, 106), (106, 106, 104.5, 105)]
    played = play(rows, [LONG], half(trailing_stop=0.05))
    assert played.orders[1:] == [("stop", "sell", 50.0, 104.5)]
    assert (played.reasons[1], played.rows[1]) == ("trailing_stop", 3)


def test_a_short_trails_above_the_close():
    rows = [FLAT, (100, 100, 90, 90), (90, 94, 90, 94), (94, 94.5, 94, 94)]
    played = play(rows, [SHORT], half(trailing_stop=0.05, allow_short=True))
    assert played.orders[1:] == [("stop", "buy", 50.0, 94.5)]
    assert played.reasons[1:] == ["trailing_stop"]


def test_a_trailing_stop_in_atrs_uses_each_closes_own():
    rows = [FLAT, FLAT, (100, 110, 100, 110), (110, 110, 104, 105)]
    done = both_ways(rows, [LONG], trailing_atr=2.0, atr_window=1)
    # true ranges: 0, 0, 10: at the third close the stop is 20 below and not yet tighter than the one at 100 - 0
    assert done[1:] == [("trailing_stop", 2, 0, 50.0)]
    later = play(rows, [LONG], half(trailing_atr=2.0), atr=[9.0, 9.0, 2.0, 2.0])
    assert later.orders[1:] == [("stop", "sell", 50.0, 106.0)]


def test_the_tighter_of_two_trailing_stops_counts():
    rows = [FLAT, (100, 110, 100, 110), (110, 110, 100, 105)]
    near = play(rows, [LONG], half(trailing_stop=0.05, trailing_atr=2.0), atr=[1.0, 1.0, 1.0])
    far = play(rows, [LONG], half(trailing_stop=0.05, trailing_atr=2.0), atr=[9.0, 9.0, 9.0])
    assert (near.prices[-1], far.prices[-1]) == (108.0, 104.5)


def test_a_trailing_stop_waits_for_its_profit():
    rows = [FLAT, (100, 104, 100, 103.99), (104, 104, 97, 104), (104, 104, 98, 99)]
    after = play(rows, [LONG], half(stop_loss=0.1, trailing_stop=0.05, trailing_after=0.04))
    assert (after.reasons[1:], after.rows[1:], after.prices[1:]) == (["trailing_stop"], [3], [98.8])
    short = half(stop_loss=0.1, trailing_stop=0.05, trailing_after=0.04, allow_short=True)
    below = play(mirrored(rows), [SHORT], short)
    assert (below.reasons[1:], below.rows[1:], below.prices[1:]) == (["trailing_stop"], [3], [100.8])
    never = play(rows, [LONG], half(stop_loss=0.1, trailing_stop=0.05, trailing_after=0.05))
    assert len(never.orders) == 1


def test_the_trail_goes_on_after_break_even_and_a_looser_stop_changes_nothing():
    rows = [FLAT, (100, 104, 100, 104), (104, 120, 104, 120), (120, 120, 100, 101)]
    policy = half(stop_loss=0.05, break_even=0.03, trailing_stop=0.1)
    played = play(rows, [LONG], policy)
    assert (played.reasons[-1], played.prices[-1]) == ("trailing_stop", 108.0)
    played = play([*rows[:3], (100, 100, 99, 99)], [LONG], half(stop_loss=0.05, break_even=0.03, trailing_stop=0.2))
    assert (played.reasons[-1], played.prices[-1]) == ("break_even", 100.0)


def test_a_stop_moved_at_a_close_rests_from_the_next_bar():
    played = play([FLAT, (100, 110, 90, 110), (110, 110, 105, 106)], [LONG], half(trailing_stop=0.01))
    assert played.rows == [1, 2]


def test_moved_stops_are_rounded_away_from_the_position():
    long = play([FLAT, (100, 103.33, 100, 103.33)], [LONG], half(trailing_stop=0.03))
    assert long.slot["stop"] == 100.23  # 100.2301
    short = play([FLAT, (100, 100, 97.77, 97.77)], [SHORT], half(trailing_stop=0.03, allow_short=True))
    assert short.slot["stop"] == 100.71  # 100.7031


def test_a_profit_just_at_its_level_counts():
    """A quarter is a quarter in binary too."""
    up, down = [FLAT, (100, 125, 100, 125), (125, 125, 90, 91)], [FLAT, (100, 124.99, 100, 124.99), (124, 124, 90, 91)]
    for rules_on in ({"break_even": 0.25}, {"trailing_stop": 0.25, "trailing_after": 0.25}):
        assert len(play(up, [LONG], half(**rules_on)).orders) == 2
        assert len(play(down, [LONG], half(**rules_on)).orders) == 1
    cut = {"cut_after": 1, "cut_below": 0.25}
    assert play([*up[:2], FLAT], [LONG], half(**cut)).reasons == ["entry_signal"]
    assert play([*down[:2], FLAT], [LONG], half(**cut)).reasons == ["entry_signal", "early_cut"]


# --- clocks ---


def test_a_time_limit_closes_after_its_bars():
    done = both_ways([FLAT] * 6, [LONG] * 6, max_bars=2)
    assert done == [("entry_signal", 1, 0, 50.0), ("time_limit", 3, 0, 50.0)]


def test_a_session_closes_at_the_first_close_outside_and_opens_nothing_there():
    played = play([FLAT] * 5, [NAN, LONG, LONG, LONG], half(session=("00:00", "03:00")))
    assert played.reasons == ["entry_signal", "session_end"]
    assert played.rows == [2, 3]  # the close at 03:00 is outside
    again = play([FLAT] * 5, [LONG] * 5, half(session=("04:00", "05:00")))
    assert again.refusals == ["out_of_session"] * 3  # at 04:00 it has begun
    assert again.rows == [4]


def test_a_weekend_is_closed_from_saturday_to_monday():
    slot = slot_of([FLAT] * 6, [LONG] * 6, half(flat_weekend=True), timeframe="1d", start="2024-01-03")
    played = together(
        slot
    )  # from Wednesday: the closes are Thursday, Friday, Saturday, Sunday, Monday and Tuesday 00:00
    assert played.reasons == ["entry_signal", "session_end", "entry_signal"]
    assert played.rows == [1, 3, 5]
    assert played.refusals == ["out_of_session"]


def test_an_early_cut_ends_what_never_went_anywhere():
    rows = [FLAT, (100, 101.99, 100, 100), (100, 101.99, 100, 100), FLAT, FLAT]
    done = both_ways(rows, [LONG] * 5, cut_after=2, cut_below=0.02)
    assert done[1:] == [("early_cut", 3, 0, 50.0)]
    rows[1] = (100, 102, 100, 100)
    assert len(both_ways(rows, [LONG] * 5, cut_after=2, cut_below=0.02)) == 1


# --- signals ---


def test_a_signal_of_nothing_closes_unless_told_otherwise():
    assert both_ways([FLAT] * 4, [LONG, 0.0])[1:] == [("exit_signal", 2, 0, 50.0)]
    assert len(both_ways([FLAT] * 4, [LONG, 0.0], signal_exit=False)) == 1


@pytest.mark.parametrize(
    ("opposite", "done"),
    [
        ("reverse", ["entry_signal", "exit_signal", "entry_signal"]),
        ("exit", ["entry_signal", "exit_signal"]),
        ("ignore", ["entry_signal"]),
    ],
)
def test_an_opposite_signal_reverses_or_leaves_or_is_ignored(opposite, done):
    assert [step[0] for step in both_ways([FLAT] * 6, [LONG, SHORT, SHORT, SHORT], opposite=opposite)] == done


def test_having_left_on_an_opposite_signal_it_must_go_before_it_is_followed():
    done = both_ways([FLAT] * 7, [LONG, SHORT, SHORT, 0.0, SHORT], opposite="exit")
    assert [step[:2] for step in done] == [("entry_signal", 1), ("exit_signal", 2), ("entry_signal", 5)]
    straight = both_ways([FLAT] * 7, [LONG, SHORT, LONG], opposite="exit")
    assert [step[1] for step in straight] == [1, 2, 3]


def test_an_opposite_signal_without_shorts_only_closes():
    played = play([FLAT] * 4, [LONG, SHORT, SHORT])
    assert played.reasons == ["entry_signal", "exit_signal"]
    assert played.refusals == ["shorts_not_allowed"] * 2


def test_the_first_reason_that_applies_is_the_one_written():
    every = {"max_bars": 1, "session": ("00:00", "02:00"), "cut_after": 1, "cut_below": 0.5}
    fewer = (every, {**every, "max_bars": 0}, {**every, "max_bars": 0, "session": None})
    assert [play([FLAT] * 4, [LONG, 0.0], half(**left)).reasons[1] for left in fewer] == [
        "time_limit",
        "session_end",
        "early_cut",
    ]


def test_a_position_that_leaves_by_a_rule_is_not_reversed_at_once():
    policy = half(max_bars=1, allow_short=True, reenter=True)
    played = play([FLAT] * 5, [LONG, SHORT, SHORT, SHORT], policy)
    assert played.reasons[:3] == ["entry_signal", "time_limit", "entry_signal"]
    assert played.rows[:3] == [1, 2, 3]


# --- coming back ---


@pytest.mark.parametrize(
    ("rows", "rules_on"),
    [
        ([FLAT, FLAT, (99, 99, 90, 99)], {"stop_loss": 0.05}),
        ([FLAT, FLAT, (101, 110, 100, 101)], {"take_profit": 0.05}),
        ([FLAT, FLAT, FLAT], {"max_bars": 1}),
        ([FLAT, FLAT, FLAT], {"cut_after": 1, "cut_below": 0.01}),
    ],
)
def test_a_side_that_a_rule_has_closed_waits_until_the_signal_has_left_it(rows, rules_on):
    rows, sides = [*rows, *[FLAT] * 4], [LONG, LONG, LONG, LONG, LONG, 0.0, LONG]
    waits = play(rows, sides, half(**rules_on))
    assert [row for row, reason in zip(waits.rows, waits.reasons, strict=True) if reason == "entry_signal"] == [1]
    assert waits.slot["barred_side"] == 0.0
    comes = play(rows, sides, half(**rules_on, reenter=True))
    assert comes.rows[2] == 3


def test_a_side_may_be_entered_again_after_a_signals_exit_and_the_other_side_after_a_stop():
    assert play([FLAT] * 5, [LONG, 0.0, LONG]).rows == [1, 2, 3]
    assert play([FLAT] * 6, [LONG] * 6, half(session=("00:00", "01:30"))).slot["barred_side"] == 0.0
    rows = [FLAT, (99, 99, 90, 99), FLAT, FLAT]
    played = play(rows, [LONG, SHORT, LONG], half(stop_loss=0.05, allow_short=True))
    assert played.rows == [1, 1, 2, 3, 3]


def test_no_opinion_does_not_end_the_wait():
    rows = [FLAT, (99, 99, 90, 99), FLAT, FLAT, FLAT]
    assert play(rows, [LONG, NAN, LONG, LONG], half(stop_loss=0.05)).rows == [1, 1]


def test_a_stop_is_followed_by_decisions_that_open_nothing():
    rows = [FLAT, (99, 99, 90, 99), *[FLAT] * 6]
    played = play(rows, [LONG] * 8, half(stop_loss=0.05, reenter=True, cooldown=3))
    assert played.refusals == ["cooldown"] * 3  # at the stop's own close and two more
    assert played.rows == [1, 1, 5]
    target = play(
        [FLAT, (101, 110, 100, 101), FLAT, FLAT], [LONG] * 4, half(take_profit=0.05, reenter=True, cooldown=3)
    )
    assert target.refusals == []
    silent = play(rows, [LONG, NAN, NAN, NAN, LONG], half(stop_loss=0.05, reenter=True, cooldown=3))
    assert silent.rows == [1, 1, 5]


def test_a_trade_says_how_long_how_far_and_why():
    rows = [FLAT, (100, 103, 99, 100), (100, 104, 98, 100), (100, 110, 97, 100)]
    played = play(rows, [LONG], half(take_profit=0.05))
    trade = played.outcome.trades[0]
    assert (trade["bars_held"], trade["reason"], trade["quantity"]) == (2, records.TAKE_PROFIT, 50.0)
    assert (trade["mfe"], trade["mae"]) == (pytest.approx(0.05), pytest.approx(0.02))
    assert (trade["pnl"], trade["exit_price"]) == (pytest.approx(250.0), 105.0)


def test_a_short_trade_measures_its_excursions_the_other_way():
    rows = [FLAT, (100, 103, 99, 100), (100, 104, 92, 100), FLAT]
    trade = play(rows, [SHORT, NAN, 0.0], half(allow_short=True)).outcome.trades[0]
    assert (trade["side"], trade["mfe"], trade["mae"]) == (-1, pytest.approx(0.08), pytest.approx(0.04))


def test_exits_always_pass_whatever_the_limits():
    strict = account(orders_per_bar=1, orders_per_day=1, turnover_per_day=0.5, max_gross=0.5)
    assert play([FLAT] * 4, [LONG, 0.0], account=strict).reasons == ["entry_signal", "exit_signal"]


def test_what_a_bar_did_before_a_limit_entry_inside_it_is_no_excursion():
    """The bar opens at 100 and goes to 130 before it falls to the limit at 99; it closes at 100."""
    policy = half(entry="limit", entry_offset=0.01)
    played = play([FLAT, (100, 130, 95, 100), FLAT, FLAT], [1.0, 1.0, 0.0], policy)
    trade = played.outcome.trades[0]
    assert trade["mfe"] == pytest.approx(100 / 99 - 1)
    assert trade["mae"] == pytest.approx(1 - 95 / 99)
