"""I3: a stop rests at its intent's price, and where the policy wants it."""

from decimal import Decimal

from atb.rehearsal.invariants.stop_prices import altered, misplaced_times
from tests.rehearsal.invariants.entries import HOUR, STOP, context, intent, journal, ledger, placed, stop

END = placed(9_000, 8, "web-1")


def misplaced(*entries, wanted, **changes):
    found = misplaced_times(ledger(*entries, END), context(**changes), [wanted])
    return [(time.span, time.wanted, time.resting, time.longest_ms) for time in found]


def test_a_stop_at_another_price_than_its_intent_s_is_found():
    assert altered(ledger(stop(1)), journal(intents=[intent(STOP, stop_price=Decimal(95))])) == []
    (found,) = altered(ledger(stop(1)), journal(intents=[intent(STOP, stop_price=Decimal(96))]))
    assert found == f"{STOP} rests with a stop at 95, its intent's is 96"


def test_a_stop_within_a_tick_of_where_it_is_wanted_is_right():
    assert misplaced(stop(1_000), wanted=[(500, Decimal("95.01"))]) == []
    assert misplaced(stop(1_000), wanted=[(500, None)]) == []


def test_the_time_until_a_stop_is_moved_is_counted():
    moved = (stop(4_000, status="CANCELED"), stop(4_000, 3, "atb-main-101-s0", stop_price="97"))
    found = misplaced(stop(1_000), *moved, wanted=[(500, Decimal(95)), (3_000, Decimal(97))])
    assert found == [((3_000, 4_000), Decimal(97), (Decimal(95),), 1_000)]


def test_a_stop_that_is_never_moved_counts_to_the_end_but_for_deaths():
    wanted = [(500, Decimal(95)), (3_000, Decimal(97))]
    assert [found[3] for found in misplaced(stop(1_000), wanted=wanted)] == [6_000]
    assert [found[3] for found in misplaced(stop(1_000), wanted=wanted, deaths=((3_500, 8_000),))] == [1_000]


def test_a_stop_stays_where_its_symbol_allows_no_cancel_replace_and_a_while_longer_until_that_is_seen():
    wanted, detail = [(500, Decimal(95)), (3_000, Decimal(97))], {"symbol": "BTCUSDT", "cancelReplaceAllowed": False}
    fixed = {"kind": "fault", "ms": 2_000, "fault": "symbol", "detail": detail}
    ended = {"kind": "fault", "ms": 4_000, "fault": "symbol", "detail": detail, "ended": "BTCUSDT"}
    other = fixed | {"detail": {"symbol": "BTCUSDT", "ocoAllowed": False}}
    assert [found[3] for found in misplaced(stop(1_000), fixed, ended, wanted=wanted)] == [0]
    assert [found[3] for found in misplaced(stop(1_000), other, wanted=wanted)] == [6_000]
    late = ledger(stop(1_000), fixed, ended, placed(4_000 + 3 * HOUR, 9, "web-2"))
    (found,) = misplaced_times(late, context(), [wanted])
    assert found.longest_ms == HOUR
