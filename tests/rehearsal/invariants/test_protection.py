"""I3: every position has a stop; only what kept the runner from acting excuses the time without one."""

from dataclasses import replace
from decimal import Decimal

import pytest

from atb.rehearsal.invariants.protection import longest_unexcused_ms, uncovered_spans
from tests.rehearsal.invariants.entries import ENTRY, EXIT, SLOT, STOP, context, ledger, placed, stop, trade

END = placed(9_000, 8, "web-1")


def spans(*entries, **changes):
    return [
        (found.span, found.held, found.covered, found.longest_ms)
        for found in uncovered_spans(ledger(placed(1_000, 1, ENTRY), *entries), context(**changes))
    ]


def test_a_stop_in_the_moment_of_the_entry_leaves_nothing_uncovered():
    assert spans(trade(2_000, 1, ENTRY), stop(2_000), END) == []


def test_the_time_until_the_stop_rests_is_counted():
    assert spans(trade(2_000, 1, ENTRY), stop(2_700), END) == [((2_000, 2_700), Decimal(1), Decimal(0), 700)]


@pytest.mark.parametrize(
    "late",
    [
        [],
        [stop(2_000, quantity="0.4")],
        [stop(2_000), stop(2_000, status="CANCELED")],
        [stop(2_000, client_id="x-1-s0")],
    ],
)
def test_a_position_without_a_stop_or_with_a_smaller_one_is_uncovered_until_the_end(late):
    ((span, held, covered, longest),) = spans(trade(2_000, 1, ENTRY), *late, END)
    assert (span, held, longest) == ((2_000, 9_000), Decimal(1), 7_000)
    assert covered == (Decimal("0.4") if late and late[0]["quantity"] == "0.4" else 0)


def test_a_position_that_is_sold_or_too_small_needs_none():
    sold = trade(2_500, 3, EXIT, side="SELL")
    assert spans(trade(2_000, 1, ENTRY), stop(2_000), sold, stop(2_500, status="CANCELED"), END) == []
    assert spans(trade(2_000, 1, ENTRY, quantity="0.1"), END) == [], "worth less than an order may be"


@pytest.mark.parametrize(
    ("fee", "sold", "needed"), [("0.2", "1", "0.6"), ("0.2", "0.8", "0.8"), ("0.2", "2", "0.6"), ("0", "2", "1")]
)
def test_what_a_stop_sold_beyond_the_position_for_an_entrys_fee_is_given_back_by_the_next_entry_and_no_more(
    fee, sold, needed
):
    """The owner's coins paid the fee, and the list's stop sold all that was bought."""
    paid = {"commission": fee, "commission_asset": "BTC"}
    first = (trade(2_000, 1, ENTRY, **paid), stop(2_000), trade(2_500, 2, STOP, side="SELL", quantity=sold))
    for quantity, bare in ((needed, False), (str(Decimal(needed) - Decimal("0.2")), True)):
        rest = stop(3_000, 4, "atb-main-101-s0", quantity=quantity)
        bared = spans(*first, stop(2_500, status="CANCELED"), trade(3_000, 3, "atb-main-101-e0", **paid), rest, END)
        assert bool(bared) is bare


def test_a_death_after_the_entry_excuses_and_one_before_it_does_not():
    after = spans(trade(2_000, 1, ENTRY), stop(8_000), END, deaths=((2_100, 7_900),))
    before = spans(trade(2_000, 1, ENTRY), stop(8_000), END, deaths=((1_500, 7_900),))
    assert [found[3] for found in (*after, *before)] == [100, 6_000]


@pytest.mark.parametrize(
    ("excuses", "longest"),
    [
        ([], 100),
        ([(0, 100)], 0),
        ([(10, 30)], 70),
        ([(40, 50), (10, 30)], 50),
        ([(10, 60), (20, 30)], 40),
        ([(100, 200)], 100),
    ],
)
def test_what_no_excuse_covers_is_counted_in_its_longest_part(excuses, longest):
    assert longest_unexcused_ms((0, 100), excuses) == longest


# --- both clocks, and deaths ----------------------------------------------------------------------------------------------

LEFT = stop(3_000, status="CANCELED", real_ms=100)  # by a request of the runner
DEATH = {"kind": "mark", "note": "died", "ms": 3_000, "real_ms": 150}
RESET = {"kind": "fault", "fault": "reset", "ms": 3_000, "real_ms": 120}
ENTERED = (placed(1_000, 1, ENTRY, list_id=7), trade(2_000, 1, ENTRY, list_id=7), stop(2_000))


def found(*entries, slot=SLOT, **changes):
    made = replace(context(**changes), slots=(slot,))
    return [(gap.longest_ms, gap.longest_real_ms, gap.death_ms) for gap in uncovered_spans(ledger(*entries), made)]


def test_a_gap_in_which_the_exchanges_clock_stands_still_is_seen_by_ours():
    again = stop(3_000, 4, "atb-main-100-s1", real_ms=6_200)
    assert found(*ENTERED, LEFT, again) == [(0, 6_100, None)]
    (gap,) = uncovered_spans(ledger(*ENTERED, LEFT, again), context())
    assert gap.violates(5_000)
    assert not gap.violates(7_000)


def test_a_replacement_in_one_request_is_no_gap():
    assert found(*ENTERED, LEFT, stop(3_000, 4, "atb-main-100-s1", real_ms=100)) == []


def test_what_the_runner_left_bare_between_two_requests_violates_when_it_dies_there():
    again = stop(3_000, 4, "atb-main-100-s1", real_ms=170)
    ((_, _, death_ms),) = found(*ENTERED, LEFT, DEATH, again)
    assert death_ms == 3_000
    (gap,) = uncovered_spans(ledger(*ENTERED, LEFT, DEATH, again), context())
    assert gap.violates(5_000)
    assert "died at 3000" in str(gap)


def test_an_entry_that_does_not_bring_its_stop_violates_when_the_runner_dies_then_and_one_at_a_stop_does_not():
    plain = (placed(3_000, 1, ENTRY), trade(3_000, 1, ENTRY, real_ms=100), DEATH, stop(3_000, real_ms=170))
    assert found(*plain)[0][2] == 3_000
    assert found(*plain, slot=replace(SLOT, enters_bare=True))[0][2] is None


@pytest.mark.parametrize(
    "begins",
    [
        (stop(3_000, status="EXPIRED", real_ms=100),),  # by a rule of the exchange
        ({"kind": "fault", "fault": "cancel_stop", "ms": 3_000, "real_ms": 90}, LEFT),
        (LEFT, RESET),  # the runner tried, and was hindered
    ],
)
def test_what_the_exchange_did_or_refused_excuses_a_death(begins):
    assert found(*ENTERED, *begins, DEATH, stop(3_000, 4, "atb-main-100-s1", real_ms=170))[0][2] is None


def test_a_limit_entry_that_is_met_in_part_is_bare_while_it_rests_and_no_violation_through_a_death():
    part = trade(2_000, 1, ENTRY, list_id=7, quantity="0.5", status="PARTIALLY_FILLED", real_ms=100)
    rest = stop(3_000, quantity="0.5", real_ms=170)
    assert found(placed(1_000, 1, ENTRY, list_id=7), part, DEATH, rest)[0][2] is None


def test_a_stop_that_is_made_smaller_for_a_pair_is_no_violation_through_a_death_and_one_that_goes_is():
    smaller = stop(3_000, 4, "atb-main-100-s1", quantity="0.4", real_ms=100)
    sold = trade(3_000, 5, EXIT, side="SELL", real_ms=170)
    ((_, _, death_ms),) = found(*ENTERED, LEFT, smaller, DEATH, sold)
    assert death_ms is None
    other = stop(3_000, 4, "atb-main-100-s1", quantity="0.4", list_id=9, real_ms=100)
    assert found(*ENTERED, LEFT, other, DEATH, sold)[0][2] == 3_000


@pytest.mark.parametrize(
    ("begins", "excused"),
    [
        (trade(2_000, 1, ENTRY, list_id=7, quantity="0.5", type="LIMIT", status="PARTIALLY_FILLED"), True),
        (trade(2_000, 1, ENTRY, list_id=7, quantity="0.5", type="LIMIT"), False),
        (trade(2_000, 1, ENTRY, quantity="0.5", type="LIMIT", status="PARTIALLY_FILLED"), False),
    ],
)
def test_what_the_exchange_does_on_its_own_while_nobody_lives_is_excused(begins, excused):
    """What a limit entry in a list has received is locked; one that is filled brings its stop."""
    placed_list = placed(1_000, 1, ENTRY, list_id=begins["list_id"], type="LIMIT")
    entries = [placed_list, begins, stop(8_000, quantity="0.5"), END]
    (gap,) = uncovered_spans(ledger(*entries), context(deaths=((1_500, 7_900),)))
    assert gap.violates(5_000) is not excused


def test_a_stop_that_expires_while_nobody_lives_is_excused():
    entries = [*ENTERED, stop(3_000, status="EXPIRED"), stop(20_000, 5, "atb-main-100-s2")]
    (gap,) = uncovered_spans(ledger(*entries), context(deaths=((2_500, 19_900),)))
    assert not gap.violates(5_000)


def test_time_without_a_process_is_not_counted_by_our_clock():
    request = {"kind": "request", "ms": 3_000, "real_ms": 9_000, "id": 9, "method": "GET", "path": "/", "params": {}}
    again = stop(3_000, 4, "atb-main-100-s1", real_ms=9_100)
    expired = stop(3_000, status="EXPIRED", real_ms=100)
    assert found(*ENTERED, expired, DEATH, request, again) == [(0, 100, None)]


def test_a_crumb_that_no_order_could_sell_needs_no_stop():
    assert found(*ENTERED[:2], stop(2_000, quantity="0.95"), END) == []
    assert found(*ENTERED[:2], stop(2_000, quantity="0.8"), END) != []
