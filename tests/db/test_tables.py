"""Tables: the constraints that keep the journal honest."""

from decimal import Decimal

import pytest
from sqlalchemy.exc import DataError, IntegrityError

from atb.db.tables import DecisionRow, FillRow, Intent
from tests.db.test_types import session_row


def intent(**changes) -> Intent:
    columns = {
        "client_id": "atb-1", "session_id": "s1", "slot": 0, "strategy": "sma_cross", "symbol": "BTC/USDT",
        "bar_ms": 1_700_000_000_000, "role": "entry", "attempt": 0, "side": "buy", "type": "market",
        "quantity": Decimal("0.5"), "state": "planned", "epoch": 1,
    }  # fmt: skip
    return Intent(**columns | changes)


def fill(**changes) -> FillRow:
    columns = {
        "session_id": "s1", "trade_id": "t1", "client_id": "atb-1", "slot": 0, "symbol": "BTC/USDT", "side": "buy",
        "role": "entry", "price": Decimal(100), "quantity": Decimal("0.5"), "fee": Decimal("0.05"), "fee_asset": "USDT",
        "fee_value": Decimal("0.05"), "fill_no": 0, "time_ms": 1_700_000_000_001,
    }  # fmt: skip
    return FillRow(**columns | changes)


def test_a_journal_is_written_and_read_back(database):
    with database.session() as session:
        session.add_all([session_row(), intent(), fill()])
        key = {"session_id": "s1", "bar_ms": 1, "slot": 0, "strategy": "sma_cross", "symbol": "BTC/USDT"}
        session.add(DecisionRow(**key, bar={"close": 1.5}, intents=[{"role": "entry"}]))
    with database.session(read_only=True) as session:
        assert session.get_one(Intent, "atb-1").quantity == Decimal("0.5")
        assert session.get_one(FillRow, ("s1", "t1")).fee == Decimal("0.05")
        assert session.get_one(DecisionRow, ("s1", 1, 0)).intents == [{"role": "entry"}]


BROKEN = {
    "the same order under another id": lambda: intent(client_id="atb-2"),
    "an order of no session": lambda: intent(client_id="atb-2", session_id="nobody", attempt=1),
    "an unknown state": lambda: intent(client_id="atb-2", attempt=1, state="Filled"),
    "a client id the exchange refuses": lambda: intent(client_id="x" * 37, attempt=1),
    "the same fill twice": fill,
    "a session status that does not exist": lambda: session_row(session_id="s2", status="done"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_the_database_refuses(database, case):
    with database.session() as session:
        session.add_all([session_row(), intent(), fill()])
    with pytest.raises((IntegrityError, DataError)), database.session() as session:
        session.add(BROKEN[case]())


def test_a_fill_without_an_intent_is_recorded_all_the_same(database):
    with database.session() as session:
        session.add_all([session_row(), fill(client_id=None)])


def test_an_intent_with_the_longest_id_and_a_second_attempt_are_accepted(database):
    with database.session() as session:
        session.add_all([session_row(), intent(), intent(client_id="x" * 36, attempt=1)])
