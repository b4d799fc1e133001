"""Migrations: they make exactly the tables of the code, and go down and up again, on both dialects."""

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine, inspect, text

from atb.db import open_database
from atb.db.migration import HEAD, alembic_config, current_revision, downgrade, upgrade
from atb.db.tables import DecisionRow, Intent, Table, TradeRow
from atb.errors import SetupError
from tests.db.test_tables import fill, intent
from tests.db.test_types import session_row


def test_migrations_and_tables_do_not_drift_apart(database):
    with database.engine.begin() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True, "compare_server_default": True})
        assert compare_metadata(context, Table.metadata) == []


def test_check_constraints_of_the_tables_are_in_the_migrations(database):
    """Alembic does not compare check constraints, so their names are compared here."""
    checks = [inspect(database.engine).get_check_constraints(table) for table in Table.metadata.tables]
    found = {check["name"] for of_table in checks for check in of_table}
    assert found == {"ck_run_status", "ck_session_status", "ck_intent_state", "ck_intent_client_id_length"}


def test_the_newest_revision_is_the_one_the_code_expects():
    assert ScriptDirectory.from_config(alembic_config()).get_heads() == [HEAD]


def test_down_and_up_again(database):
    with database.session() as session:
        session.add_all([session_row(), intent(), fill()])
    with database.engine.begin() as connection:
        downgrade(connection, "base")
    assert set(inspect(database.engine).get_table_names()) == {"alembic_version"}
    with database.engine.begin() as connection:
        upgrade(connection, HEAD)
        assert current_revision(connection) == HEAD
    assert set(inspect(database.engine).get_table_names()) == {*Table.metadata.tables, "alembic_version"}


FIRST = {
    "session": {
        "session_id": "s1", "account": "paper", "mode": "paper", "manifest_sha256": "0", "strategy": "sma_cross",
        "symbol": "BTC/USDT", "timeframe": "1h", "cash": 10_000, "trade_from_ms": 1, "status": "running",
        "started_at": "2024-01-01", "updated_at": "2024-01-01", "versions": "{}", "config": "{}",
    },
    "decision": {
        "session_id": "s1", "bar_ms": 1, "slot": 0, "strategy": "sma_cross", "symbol": "BTC/USDT", "bar": "{}", "intents": "[]",
        "reason": "cooldown", "created_at": "2024-01-01",
    },
    "intent": {
        "client_id": "atb-1", "session_id": "s1", "slot": 0, "strategy": "sma_cross", "symbol": "BTC/USDT", "bar_ms": 1,
        "role": "entry", "attempt": 0, "side": "buy", "type": "market", "quantity": 1, "state": "rejected", "reason": "no_cash",
        "epoch": 1, "created_at": "2024-01-01", "updated_at": "2024-01-01",
    },
    "trade": {
        "session_id": "s1", "trade_no": 1, "slot": 0, "strategy": "sma_cross", "symbol": "BTC/USDT", "side": "long", "quantity": 1,
        "entry_ms": 1, "entry_price": 100, "exit_ms": 2, "exit_price": 110, "fees": 1, "pnl": 9, "exit_reason": "stop_loss",
        "bars_held": 1,
    },
}  # fmt: skip


def first_rows(connection):
    """Fill a database of the first schema."""
    for table, row in FIRST.items():
        names = ", ".join(row)
        values = ", ".join(f":{name}" for name in row)
        connection.execute(text(f"INSERT INTO {table} ({names}) VALUES ({values})"), row)


def test_a_journal_of_the_first_schema_is_carried_over_and_back(database_url):
    engine = create_engine(database_url)
    with engine.begin() as connection:
        upgrade(connection, "0001")
        first_rows(connection)
    database = open_database(database_url)
    with database.session(read_only=True) as session:
        order, trade = session.get_one(Intent, "atb-1"), session.get_one(TradeRow, ("s1", 1))
        assert (order.refusal, order.reason) == ("no_cash", None)
        assert session.get_one(DecisionRow, ("s1", 1, 0)).refusal == "cooldown"
        assert (trade.pnl, trade.financing, trade.additions) == (9, None, None)
    database.close()
    with engine.begin() as connection:
        downgrade(connection, "0001")
        assert connection.execute(text("SELECT reason FROM intent")).scalar() == "no_cash"
    engine.dispose()


def test_migrating_says_nothing(database_url, caplog):
    with caplog.at_level("INFO"):
        open_database(database_url).close()
    assert caplog.records == []


def test_an_up_to_date_database_opens_without_migrating(database_url):
    open_database(database_url).close()
    open_database(database_url, migrate=False).close()


def test_an_empty_database_is_refused_where_migrations_are_not_allowed(database_url):
    with pytest.raises(SetupError, match="older schema"):
        open_database(database_url, migrate=False)


def test_a_newer_schema_is_refused_and_left_alone(database_url):
    database = open_database(database_url)
    with database.session() as session:
        session.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(SetupError, match="newer atb; found '9999'"):
        open_database(database_url)
    with database.session() as session:
        assert session.scalar(text("SELECT version_num FROM alembic_version")) == "9999"
    database.close()


def test_a_failing_migration_leaves_nothing_half_made(database_url):
    engine = create_engine(database_url)
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE session (stranger INTEGER)"))
    with pytest.raises(SetupError, match="already exists"):
        open_database(database_url)
    assert inspect(engine).get_table_names() == ["session"]
    engine.dispose()
