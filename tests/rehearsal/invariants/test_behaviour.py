"""I7 to I10: nothing is sent without an intent, left unresolved, beyond a limit, against a halt or under an old epoch."""

from datetime import UTC, datetime, timedelta

import pytest

from atb.rehearsal.invariants import behaviour
from tests.rehearsal.invariants.entries import (
    ENTRY,
    EXIT,
    HOUR,
    STOP,
    context,
    intent,
    journal,
    ledger,
    placed,
    request,
    stop,
)


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([intent(ENTRY)], None),
        ([], "without an intent"),
        ([intent(ENTRY, "withheld", refusal="halted")], "although it had been withheld: halted"),
        ([intent(ENTRY, placed_ms=7)], "before its intent of 7"),
    ],
)
def test_an_order_is_requested_after_its_intent_was_committed(rows, said):
    found = behaviour.requests_without_intent(ledger(request(5, ENTRY)), journal(intents=rows))
    assert found == [] if said is None else said in found[0]


def test_after_the_clock_jumped_times_are_not_compared():
    jumped = {"kind": "fault", "ms": 4, "fault": "skew", "detail": {"ms": 60_000}}
    rows = journal(intents=[intent(ENTRY, placed_ms=7)])
    assert behaviour.requests_without_intent(ledger(jumped, request(5, ENTRY)), rows) == []


def test_an_order_of_ours_that_is_no_slot_s_is_found():
    assert behaviour.unowned_orders(ledger(placed(1, 1, ENTRY)), context()) == []
    assert behaviour.unowned_orders(ledger(placed(1, 1, "atb-other-100-e0")), context()) == [
        "atb-other-100-e0 belongs to no slot"
    ]


@pytest.mark.parametrize(
    ("row", "said"),
    [
        (intent(ENTRY, "live", "0"), None),
        (intent(ENTRY, "sent", "0"), "is unresolved"),
        (intent(ENTRY, "cancelled", "0"), "is cancelled in the journal and NEW at the exchange"),
        (intent(ENTRY, "live", "0.5"), "has 0.5 filled in the journal, 0 at the exchange"),
        (intent(EXIT, "live", "0"), "is live in the journal and unknown at the exchange"),
    ],
)
def test_at_the_end_every_order_is_resolved(row, said):
    found = behaviour.unresolved_orders(ledger(placed(1, 1, ENTRY)), journal(intents=[row]))
    assert found == [] if said is None else said in found[0]


def test_an_order_that_only_the_exchange_knows_is_found():
    assert behaviour.unresolved_orders(ledger(stop(1)), journal()) == [f"{STOP} is open at the exchange only"]


def decisions(*hours):
    return journal(decisions=[{"slot": 0, "bar_ms": hour * HOUR} for hour in hours])


@pytest.mark.parametrize(
    ("hours", "until", "said"),
    [
        ((0, 1, 2), 3, None),
        ((0, 2), 3, "are not decided"),
        ((0, 1, 1), 2, "are not decided"),
        ((0, 1), 4, "the last decided bar closed at 7200000"),
        ((), 3, "the last decided bar closed at None"),
        ((), None, None),
    ],
)
def test_every_bar_is_decided_once(hours, until, said):
    found = behaviour.missing_bars(decisions(*hours), context(until_ms=until and until * HOUR))
    assert found == [] if said is None else said in found[0]


def test_after_a_kill_switch_at_flatten_no_more_bars_are_wanted():
    halted = context(until_ms=9 * HOUR, halts=((3 * HOUR, 9 * HOUR, 3),))
    assert behaviour.missing_bars(decisions(0, 1), halted) == []
    assert behaviour.missing_bars(decisions(0, 1), context(until_ms=9 * HOUR, halts=((3 * HOUR, 9 * HOUR, 1),)))


def test_entries_and_exits_have_a_rate_and_stops_have_none():
    many = [request(ms, f"atb-main-{ms}-e0") for ms in range(3)]
    assert behaviour.order_rates(ledger(*many), context(orders_per_minute=3)) == []
    assert "3 orders in the minute" in behaviour.order_rates(ledger(*many), context(orders_per_minute=2))[0]
    later = [*many[:2], request(60_000, "atb-main-9-e0")]
    assert behaviour.order_rates(ledger(*later), context(orders_per_minute=2)) == [], "the first is a minute ago"
    stops = [request(ms, f"atb-main-{ms}-s0") for ms in range(9)]
    assert behaviour.order_rates(ledger(*stops), context(orders_per_minute=2, last_resort=2)) == []


def test_a_request_within_a_retry_after_is_found_unless_the_process_is_a_new_one():
    wait = {"kind": "answer", "ms": 0, "id": 1, "retry_after_s": 5}
    entries = ledger(wait, request(3_000, ENTRY))
    assert len(behaviour.requests_within_retry_after(entries, context())) == 1
    assert behaviour.requests_within_retry_after(entries, context(deaths=((1_000, 2_000),))) == []
    assert behaviour.requests_within_retry_after(ledger(wait, request(5_000, ENTRY)), context()) == []


@pytest.mark.parametrize(
    ("entries", "level", "said"),
    [
        ([request(5_000, ENTRY)], 1, "was requested at 5000, halted since 0"),
        ([request(900, ENTRY)], 1, None),
        ([request(5_000, STOP)], 1, None),
        ([placed(1, 1, ENTRY)], 1, None),
        ([placed(1, 1, ENTRY)], 2, "the kill switch cancels entries"),
        ([stop(1)], 2, None),
        ([stop(1)], 3, "the kill switch closes everything"),
    ],
)
def test_the_kill_switch_is_obeyed_by_its_level(entries, level, said):
    found = behaviour.halt_violations(ledger(*entries), context(halts=((0, 10_000, level),)))
    assert found == [] if said is None else said in found[0]


def test_an_intent_under_an_epoch_that_is_over_is_found():
    rows = [intent(ENTRY, epoch=1), intent(STOP, epoch=2), intent(EXIT, epoch=1)]
    assert behaviour.stale_epochs(journal(intents=rows[:2])) == []
    assert "was written under epoch 1, after 2 had begun" in behaviour.stale_epochs(journal(intents=rows))[0]


def test_another_run_decides_the_same_or_the_first_difference_is_named():
    first = [{"slot": 0, "bar_ms": 1, "side": 1.0}, {"slot": 0, "bar_ms": 2, "side": 0.0}]
    assert behaviour.differences(first, first) == []
    assert behaviour.differences(first, first[:1]) == ["2 decisions, the other run has 1"]
    other = [first[0], {**first[1], "side": -1.0}]
    assert behaviour.differences(first, other) == ["slot 0, bar 2: side 0.0 and -1.0"]


# --- quarantine ----------------------------------------------------------------------------------------------------------

BEGAN = datetime(2026, 1, 1, tzinfo=UTC)


def at(second):
    return BEGAN + timedelta(seconds=second)


def event(second, kind, **detail):
    return {"id": second, "time": at(second), "kind": kind, "detail": detail}


def barred(*events, placed=5, **changes):
    row = intent(ENTRY, role="entry", symbol="BTC/USDT", created_at=at(placed)) | changes
    books = journal(intents=[row])
    books.events.extend(events)
    return behaviour.entries_in_quarantine(books)


@pytest.mark.parametrize("kind", ["missing", "stranger_order", "stranger_trade", "unrecorded_order"])
def test_an_entry_after_the_note_is_found_and_one_before_it_is_not(kind):
    (words,) = barred(event(2, kind, symbol="BTC/USDT"))
    assert words == f"{ENTRY} was placed in BTC/USDT, quarantined ({kind}) since {at(2)}"
    assert barred(event(8, kind, symbol="BTC/USDT")) == []
    assert barred(event(2, kind, symbol="ETH/USDT")) == []


def test_a_drift_bars_its_base_until_it_is_gone():
    drift, gone = event(2, "drift", asset="BTC", drift="0.5"), event(4, "drift", asset="BTC", drift="0")
    assert len(barred(drift)) == len(barred(drift, gone, placed=3)) == 1
    assert barred(drift, gone) == barred(event(2, "drift", asset="USDT", drift="0.5")) == []


def test_a_drift_that_goes_lifts_no_other_quarantine_and_accepting_lifts_all():
    missing, gone = event(2, "missing", symbol="BTC/USDT"), event(4, "drift", asset="BTC", drift="0")
    assert len(barred(missing, gone)) == 1
    assert barred(missing, event(4, "accepted", surplus={})) == []


def test_an_order_that_the_journal_has_is_no_cause_for_a_quarantine():
    books = journal(intents=[intent(STOP)])
    books.events.extend(
        [event(2, "unrecorded_order", client_id=name, symbol="BTC/USDT") for name in (STOP, "atb-lost-1-s0")]
    )
    (words,) = behaviour.ours_taken_for_foreign(books)
    assert words == f"{STOP} is in the journal, and quarantined BTC/USDT as if it were not"


def test_selling_too_much_bars_the_symbol_of_the_order():
    assert len(barred(event(2, "sold_too_much", client_id=ENTRY))) == 1
    assert barred(event(2, "sold_too_much", client_id="atb-other-1-x0")) == []


@pytest.mark.parametrize("changes", [{"client_id": STOP, "role": "stop"}, {"state": "withheld"}])
def test_stops_and_what_was_withheld_are_none_of_it(changes):
    assert barred(event(2, "missing", symbol="BTC/USDT"), **changes) == []
