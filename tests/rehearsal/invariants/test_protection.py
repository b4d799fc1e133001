"""I3: every position has a stop; only what kept the runner from acting excuses the time without one."""

from decimal import Decimal

import pytest

from atb.rehearsal.invariants.protection import longest_unexcused_ms, uncovered_spans
from tests.rehearsal.invariants.entries import ENTRY, EXIT, context, ledger, placed, stop, trade

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
