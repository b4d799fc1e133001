"""Tables: the constraints that keep the journal honest."""

from decimal import Decimal
from threading import Barrier, Thread

import pytest
from sqlalchemy.exc import DataError, IntegrityError

from atb.db.partitions import Month, ensure_months
from atb.db.tables import OPEN_STATES, DecisionRow, FillRow, IntentRow
from tests.db.test_types import session_row


def intent(**changes) -> IntentRow:
    columns = {
        "client_id": "atb-1", "session_id": "s1", "slot": 0, "strategy": "sma_cross", "symbol": "BTC/USDT",
        "bar_ms": 1_700_000_000_000, "role": "entry", "attempt": 0, "side": "buy", "type": "market",
        "quantity": Decimal("0.5"), "state": "planned", "epoch": 1,
    }  # fmt: skip
    return IntentRow(**columns | changes)


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
        ensure_months(session.connection(), [Month.of(1)])
        key = {"session_id": "s1", "bar_ms": 1, "slot": 0, "strategy": "sma_cross", "symbol": "BTC/USDT"}
        session.add(DecisionRow(**key, bar={"close": 1.5}, intents=[{"role": "entry"}]))
    with database.session(read_only=True) as session:
        assert session.get_one(IntentRow, "atb-1").quantity == Decimal("0.5")
        assert session.get_one(FillRow, ("s1", "BTC/USDT", "t1")).fee == Decimal("0.05")
        assert session.get_one(DecisionRow, ("s1", 1, 0)).intents == [{"role": "entry"}]


BROKEN = {
    "the same order under another id": lambda: intent(client_id="atb-2", state="filled"),
    "an order of no session": lambda: intent(client_id="atb-2", session_id="unknown", attempt=1),
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
        session.add_all([session_row(), intent(state="absent"), intent(client_id="x" * 36, attempt=1)])


@pytest.mark.parametrize("state", OPEN_STATES)
def test_one_entry_of_a_slot_is_open_at_a_time(database, state):
    with database.session() as session:
        session.add_all([session_row(), intent(state=state)])
    with pytest.raises(IntegrityError), database.session() as session:
        session.add(intent(client_id="atb-2", bar_ms=1))
    with database.session() as session:  # another slot, another role and an entry that is over do not count
        session.add_all([intent(client_id="atb-2", slot=1), intent(client_id="atb-3", role="exit")])
        session.add(intent(client_id="atb-4", bar_ms=1, state="filled"))


def test_of_entries_placed_at_the_same_moment_one_is_kept(database):
    with database.session() as session:
        session.add(session_row())
    together, outcomes = Barrier(4), []

    def place(number: int) -> None:
        together.wait()
        try:
            with database.session() as session:
                session.add(intent(client_id=f"atb-{number}", bar_ms=number))
            outcomes.append("kept")
        except IntegrityError:
            outcomes.append("refused")

    threads = [Thread(target=place, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == ["kept", "refused", "refused", "refused"]
