"""A session that an older atb wrote goes on under this one: its position, its stops and its books are handed over as they were."""

import json
import re
import sqlite3
from pathlib import Path

import pytest

from atb.db import open_database
from atb.db.tables import HandoverRow, KernelStateRow, SessionRow
from atb.live.journal.recovery import find_session
from tests.live.exchange_harness import venue
from tests.live.execution.test_desk import COSTS, CROSS, FIRST, GUARDED, rising
from tests.live.journal.test_handover import HELD, successor

# What atb before 0.1.0 wrote of the session that the fixture below trades: a position of four bars, a stop and a target.
WRITTEN = Path(__file__).with_name("data") / "session_before_0.1.0.sql"


@pytest.fixture
def v(tmp_path):
    """The exchange as the old runner left it, with the old runner's database."""
    with venue(tmp_path, [(CROSS, rising(), GUARDED)], first=FIRST, count=20, execution=COSTS) as made:
        made.trade(bars=HELD)
        for path in tmp_path.glob("atb.db*"):
            path.unlink()
        with sqlite3.connect(tmp_path / "atb.db") as database:
            database.executescript(WRITTEN.read_text(encoding="utf-8"))
        database.close()
        yield made


def resting(v):
    return sorted((order.client_id, order.type, order.stop_price, order.quantity) for order in v.open_orders())


def test_the_stored_session_is_of_the_layout_before_this_version():
    payload = json.loads(re.search(r"'(\{\"schema\".*\})'\)", WRITTEN.read_text(encoding="utf-8"))[1])
    assert payload["schema"] == 2
    assert payload["slots"][0]["quantity"] == 78.22005


def test_it_is_handed_over_with_adopt_and_nothing_moves_before_the_next_close(v):
    before, held = resting(v), v.held("BTC")
    v.trade(portfolio=successor(), context={"adopt": True}, bars=HELD)
    assert resting(v) == before
    (passed,) = v.rows(HandoverRow, by=HandoverRow.id)
    assert (passed.kind, passed.position) == ("adopted", held)
    assert passed.stop_client_id in {client_id for client_id, *_ in before}
    (session,) = v.rows(SessionRow, by=SessionRow.session_id)
    assert session.key == successor().key
    assert v.events("drift", "stranger_order", "stranger_trade", "unrecorded_order") == []


def test_the_new_rules_move_its_stop_and_its_exit_closes_the_trade(v):
    v.trade(portfolio=successor(), context={"adopt": True}, bars=HELD + 1)
    stop = max(v.open_orders(), key=lambda order: order.stop_price)
    assert float(stop.stop_price) > 103.55, "the trailing stop of the new rules has replaced the old stop"
    assert stop.quantity == v.held("BTC")
    assert len([fill for fill in v.fills() if fill.role == "entry"]) == 1


def test_it_goes_on_under_its_own_manifest_as_a_session_without_a_break_does(v, tmp_path):
    v.trade()
    (mended,) = v.rows(KernelStateRow, by=KernelStateRow.session_id)
    whole = tmp_path / "whole"
    whole.mkdir()
    with venue(whole, [(CROSS, rising(), GUARDED)], first=FIRST, count=20, execution=COSTS) as unbroken:
        unbroken.trade(bars=HELD)
        unbroken.trade()
        (expected,) = unbroken.rows(KernelStateRow, by=KernelStateRow.session_id)
        assert [vars_of(fill) for fill in v.fills()] == [vars_of(fill) for fill in unbroken.fills()]
    assert mended.payload == expected.payload


def vars_of(fill):
    return fill.client_id, fill.side, fill.role, fill.reason, fill.price, fill.quantity, fill.fee, fill.time_ms


@pytest.mark.parametrize(
    ("changes", "paid_ms"),
    [({"quantity": -2.0}, 1704189600000), ({"entry_time": 1704189600007}, 1704189600007), ({"quantity": 0.0}, 0)],
    ids=["a short paid at the last close", "entered since", "flat"],
)
def test_interest_of_an_old_position_counts_from_where_it_was_paid(tmp_path, changes, paid_ms):
    with sqlite3.connect(tmp_path / "atb.db") as raw:
        raw.executescript(WRITTEN.read_text(encoding="utf-8"))
        (text,) = raw.execute("SELECT payload FROM kernel_state").fetchone()
        payload = json.loads(text)
        payload["slots"][0] |= changes
        raw.execute("UPDATE kernel_state SET payload = ?", (json.dumps(payload),))
    raw.close()
    database = open_database(f"sqlite:///{tmp_path / 'atb.db'}")
    found = find_session(database, "main", "490065054ea6c1dd766d962140e15d711f3fc82b42abdc24bf5be0ff1858bee4")
    database.close()
    assert found.state["slots"][0]["paid"] == paid_ms
    assert found.state["schema"] == 3
