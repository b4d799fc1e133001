"""What a watcher reads of a session: the newest rows, equity in points, the audit trail page by page."""

from decimal import Decimal

import pytest
from sqlalchemy import delete, insert

from atb.db.tables import EquityRow, EventRow, IntentRow
from atb.live.journal import overview, watch
from atb.live.journal.limits import Counted
from atb.live.journal.step import Notice
from atb.live.journal.watch import (
    audit_rows,
    breaker_counts,
    daily_equity,
    equity_points,
    newest_predictions,
    newest_rows,
    runner_stale,
    slot_history,
)
from tests.database import migrated_sqlite
from tests.rehearsal.ledger import ETH, HOUR, START, Plans, close, filled, open_journal, plan, working


@pytest.fixture
def database(tmp_path):
    from atb.db import open_database

    (tmp_path / "atb.db").write_bytes(migrated_sqlite())
    opened = open_database(f"sqlite:///{tmp_path}/atb.db")
    yield opened
    opened.close()


@pytest.fixture
def journal(database):
    return open_journal(database)


def test_the_newest_rows_come_first_and_are_bounded(database, journal, monkeypatch):
    monkeypatch.setattr(watch, "NEWEST", 3)
    for bar in range(6):
        journal.commit(close(bar, placed=[working("stop", bar)]))
    found = newest_rows(database, journal.session_id)
    assert [row["bar_ms"] for row in found["decisions"]] == [START + bar * HOUR for bar in (5, 4, 3)]
    assert len(found["orders"]) == len(found["open"]) == len(found["events"]) + 2 == 3
    assert found["state"]["bar"] == 5


def test_fills_come_with_the_orders_they_belong_to(database, journal):
    entry = working("entry", 0)
    journal.commit(close(0, placed=[entry]))
    journal.commit(close(1, fills=[filled(entry.order, 1)]))
    (fill,) = newest_rows(database, journal.session_id)["fills"]
    assert (fill["client_id"], fill["price"]) == (entry.order.client_id, 100.0)


def test_a_short_session_has_every_point_of_equity(database, journal):
    for bar in range(5):
        journal.commit(close(bar))
    assert equity_points(database, journal.session_id, "1h") == [
        (START + bar * HOUR, 10_000.0 + bar) for bar in range(5)
    ]


def test_a_long_session_has_points_at_even_distances_and_its_last(database, journal, monkeypatch):
    monkeypatch.setattr(watch, "POINTS", 10)
    rows = [
        {"session_id": journal.session_id, "bar_ms": START + bar * HOUR, "equity": 100 + bar, "cash": 1}
        for bar in range(96)
    ]
    with database.session() as session:
        session.execute(insert(EquityRow), rows)
    found = equity_points(database, journal.session_id, "1h")
    bars = [(at - START) // HOUR for at, _ in found]
    assert bars == [*range(0, 96, 10), 95]
    assert found[-1][1] == 195.0


def test_a_session_without_equity_has_no_points(database, journal):
    assert equity_points(database, journal.session_id, "1h") == []


def test_the_equity_of_a_day_is_that_of_its_last_close(database, journal):
    for bar in (22, 23, 24, 47, 48, 49):
        journal.commit(close(bar))
    day = START // (24 * HOUR)
    last = {"timeframe": "1h", "last_ms": START + 49 * HOUR}
    assert daily_equity(database, journal.session_id, **last) == [(day, 10_023.0), (day + 1, 10_047.0)]
    assert daily_equity(database, journal.session_id, **last | {"last_ms": START + 47 * HOUR}) == [(day, 10_023.0)]


def test_a_slots_history_is_its_own_and_oldest_first(database):
    journal = open_journal(database, portfolio=Plans((plan(), plan(ETH, "b" * 64))))
    for bar in range(3):
        journal.commit(
            close(bar, slots=(0, 1), price=100.0 + bar, placed=[working("entry", bar, slot=1, state="filled")])
        )
    history = slot_history(database, journal.session_id, 1, timeframe="1h", last_ms=START + 2 * HOUR)
    assert history["closes"] == [(START + bar * HOUR, 100.0 + bar) for bar in range(3)]
    assert [order["slot"] for order in history["orders"]] == [1, 1, 1]
    assert slot_history(database, journal.session_id, 0, timeframe="1h", last_ms=START + 2 * HOUR)["orders"] == []


def test_the_newest_prediction_is_that_of_the_last_bar(database, journal):
    step = close(0)
    step.decided[0].values["prediction"] = 0.25
    journal.commit(step)
    (said,) = newest_predictions(database, [journal.session_id])
    assert (said["session"], said["prediction"]) == (journal.session_id, 0.25)
    journal.commit(close(1))
    assert newest_predictions(database, [journal.session_id]) == []


def row_of(database, journal):
    return overview.sessions(database, session_id=journal.session_id)[0]


def test_an_ended_session_is_never_stale(database, journal):
    assert runner_stale(database, row_of(database, journal), now_ms=START * 2) is not None
    journal.end("stopped", {})
    assert runner_stale(database, row_of(database, journal), now_ms=START * 2) is None


def test_when_it_began_is_known_whatever_was_noted_since(database, journal, monkeypatch):
    monkeypatch.setattr(watch, "NEWEST", 3)
    begun = newest_rows(database, journal.session_id)["begun"]
    for bar in range(6):
        journal.commit(close(bar, notices=[Notice("noted", {})]))
    assert newest_rows(database, journal.session_id)["begun"] == begun
    with database.session() as session:
        session.execute(delete(EventRow))
    assert newest_rows(database, journal.session_id)["begun"], "by the session's own row"


# --- what the breakers count --------------------------------------------------------------------------------------------


def add_orders(database, journal, *orders):
    """Add orders as (moment in ms, notional, role, state, filled of 2)."""
    rows = [
        {"client_id": f"c{number}", "session_id": journal.session_id, "slot": 0, "strategy": "x", "symbol": "BTC/USDT",
         "bar_ms": bar, "role": role, "attempt": number, "side": "buy", "type": "market", "quantity": Decimal(2), "state": state,
         "notional": None if notional is None else Decimal(notional), "filled": Decimal(filled), "epoch": 1, "placed_ms": at}
        for number, (at, notional, role, state, filled, bar) in enumerate(orders)
    ]  # fmt: skip
    with database.session() as session:
        session.execute(insert(IntentRow), rows)


def test_breakers_count_a_minute_a_bar_and_a_day_however_many_orders_there_are(database, journal):
    day = 20_000 * 86_400_000
    many = [(day + 100_000 + n, None, "stop", "cancelled", 0, 1) for n in range(400)]
    entries = [(day + 5_000, "0.1", "entry", "filled", 2, 7), (day + 6_000, "0.2", "entry", "filled", 2, 7)]
    add_orders(database, journal, (day - 1, "900", "entry", "filled", 2, 6), *entries, *many)
    found = breaker_counts(database, journal.session_id)
    assert (found.minute, found.of_bar, found.newest) == (400, 2, 0.2)
    assert found.of_day == pytest.approx(0.3)


def test_breakers_count_what_was_sent_and_of_an_ended_entry_what_was_filled(database, journal):
    add_orders(
        database, journal, (40_000, "100", "entry", "live", 0, 1), (50_000, "100", "entry", "rejected", 0, 1),
        (60_000, "100", "entry", "cancelled", "0.5", 1), (70_000, "900", "entry", "withheld", 0, 1),
    )  # fmt: skip
    assert breaker_counts(database, journal.session_id) == Counted(3, 3, 125.0, 100.0)


def test_breakers_count_nothing_without_orders_and_no_entry_of_another_day(database, journal):
    assert breaker_counts(database, journal.session_id) == Counted()
    day = 86_400_000
    add_orders(database, journal, (day - 1, "100", "entry", "filled", 2, 1), (day, None, "exit", "filled", 2, 1))
    assert breaker_counts(database, journal.session_id) == Counted(minute=2)


def test_the_trail_is_read_page_by_page_without_a_gap(database, journal):
    with database.session() as session:
        session.execute(
            insert(EventRow),
            [
                {"session_id": None, "severity": ("info", "error")[n % 2], "kind": f"k{n % 3}", "detail": {}}
                for n in range(25)
            ],
        )
    seen, before = [], None
    while True:
        rows, before = audit_rows(database, before=before, limit=7, within=10)
        seen += [row["id"] for row in rows]
        if before is None:
            break
    assert seen == sorted(seen, reverse=True)
    assert len(seen) == 26  # with the session's own


def test_a_filter_of_the_trail_goes_on_where_it_looked_last(database, journal):
    with database.session() as session:
        session.execute(
            insert(EventRow),
            [
                {"session_id": None, "severity": "info", "kind": "rare" if n == 0 else "usual", "detail": {}}
                for n in range(30)
            ],
        )
    rows, before = audit_rows(database, kind="rare", limit=5, within=10)
    assert rows == []
    while before is not None and not rows:
        rows, before = audit_rows(database, kind="rare", before=before, limit=5, within=10)
    assert [row["kind"] for row in rows] == ["rare"]
