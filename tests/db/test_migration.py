"""Migrations: they make exactly the tables of the code, and go down and up again, on both dialects."""

import sqlite3

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine, inspect, text

from atb.db import open_database
from atb.db.migration import HEAD, alembic_config, current_revision, downgrade, upgrade
from atb.db.partitions import Month, ensure_months, is_partition
from atb.db.tables import SLOT_STATUSES, DecisionRow, IntentRow, Table, TradeRow
from atb.errors import SetupError
from tests.db.test_tables import fill, intent
from tests.db.test_types import session_row


def test_migrations_and_tables_do_not_drift_apart(database):
    with database.engine.begin() as connection:
        ensure_months(connection, [Month(2026, 11)])  # partitions are no tables of the code
        opts = {
            "compare_type": True,
            "compare_server_default": True,
            "include_name": lambda name, kind, _: not (kind == "table" and is_partition(name)),
        }
        context = MigrationContext.configure(connection, opts=opts)
        assert compare_metadata(context, Table.metadata) == []


def test_check_constraints_of_the_tables_are_in_the_migrations(database):
    """Alembic does not compare check constraints, so their names are compared here."""
    checks = [inspect(database.engine).get_check_constraints(table) for table in Table.metadata.tables]
    found = {check["name"] for of_table in checks for check in of_table}
    wanted = {constraint.name for table in Table.metadata.tables.values() for constraint in table.constraints}
    assert found == {name for name in wanted if str(name).startswith("ck_")}
    assert {"ck_intent_state", "ck_intent_client_id_length", "ck_halt_level"} <= found


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
        order, trade = session.get_one(IntentRow, "atb-1"), session.get_one(TradeRow, ("s1", 1))
        assert (order.refusal, order.reason) == ("no_cash", None)
        assert session.get_one(DecisionRow, ("s1", 1, 0)).refusal == "cooldown"
        assert (trade.pnl, trade.financing, trade.additions) == (9, None, None)
    database.close()
    with engine.begin() as connection:
        downgrade(connection, "0001")
        assert connection.execute(text("SELECT reason FROM intent")).scalar() == "no_cash"
    engine.dispose()


JANUARY, FEBRUARY = 1_704_067_200_000, 1_706_745_600_000
PAPER = {
    "session": [
        {**FIRST["session"], "session_id": name, "account": name, "manifest_sha256": name * 32, "cash": "10000.10",
         "last_bar_ms": FEBRUARY, "status": "stopped"}
        for name in ("s1", "s2")
    ],
    "decision": [
        {"session_id": "s1", "bar_ms": bar, "slot": 0, "strategy": "sma_cross", "symbol": "BTC/USDT", "side": 1.0,
         "bar": '{"close": 100.0}', "intents": '[{"role": "entry"}]', "refusal": None, "created_at": "2024-01-01"}
        for bar in (JANUARY, FEBRUARY - 1, FEBRUARY)
    ],
    "equity": [
        {"session_id": "s1", "bar_ms": bar, "equity": "9999.123456789012345678", "cash": "1.10"} for bar in (JANUARY, FEBRUARY)
    ],
    "intent": [
        {**FIRST["intent"], "client_id": f"atb-{number}", "role": role, "bar_ms": number, "state": state, "quantity": "0.30",
         "price": "100.10", "reason": "signal_entry", "refusal": refusal}
        for number, (role, state, refusal) in enumerate(
            [("entry", "filled", None), ("stop", "cancelled", None), ("exit", "filled", None), ("entry", "rejected", "no_cash"),
             ("entry", "planned", None), ("target", "live", None), ("stop", "unknown", None)]
        )
    ],
    "fill": [
        {"session_id": "s1", "trade_id": f"t{number}", "fill_no": number, "client_id": f"atb-{number}", "slot": 0,
         "symbol": "BTC/USDT", "side": side, "role": role, "reason": "x", "price": "100.10",
         "quantity": "0.30", "fee": "0.01", "fee_asset": "USDT",
         "fee_value": "0.01", "time_ms": time_ms, "created_at": "2024-01-01"}
        for number, (side, role, time_ms) in enumerate(
            [("buy", "entry", 1), ("sell", "exit", 5), ("sell", "entry", 5), ("buy", "stop", 9), ("buy", "entry", 9)])
    ],
    "trade": [
        {**FIRST["trade"], "trade_no": number, "entry_ms": entry, "exit_ms": end, "financing": "0", "additions": 0, "pnl": "9.90"}
        for number, entry, end in ((1, 1, 5), (2, 5, 9))
    ],
    "kernel_state": [{"session_id": "s1", "bar_ms": FEBRUARY, "schema": 1, "payload": '{"slots": []}'}],
    "account_lease": [{"account": "s1", "epoch": 3, "holder": "h", "until_ms": 0}],
}  # fmt: skip


def insert(connection, rows):
    for table, given in rows.items():
        for row in given:
            names, values = ", ".join(row), ", ".join(f":{name}" for name in row)
            connection.execute(text(f"INSERT INTO {table} ({names}) VALUES ({values})"), row)


def contents(connection, tables):
    """Return the rows of some tables as text, so that both dialects show every digit."""
    found = {}
    for table in tables:
        rows = connection.execute(text(f"SELECT * FROM {table}")).mappings()
        found[table] = sorted(repr(sorted((name, str(value)) for name, value in row.items())) for row in rows)
    return found


def test_paper_sessions_are_carried_over_whole_and_back(database_url):
    engine = create_engine(database_url)
    with engine.begin() as connection:
        upgrade(connection, "0002")
        insert(connection, PAPER)
        before = contents(connection, PAPER)
    open_database(database_url).close()
    with engine.begin() as connection:
        ask = lambda query: [tuple(row) for row in connection.execute(text(query))]  # noqa: E731
        slots = ask("SELECT session_id, slot, manifest_sha256, strategy, status, last_bar_ms FROM slot ORDER BY 1")
        assert slots == [(name, 0, name * 32, "sma_cross", "trading", FEBRUARY) for name in ("s1", "s2")]
        assert ask("SELECT key, trade_from_ms FROM session ORDER BY 1") == [("s1" * 32, 1), ("s2" * 32, 1)]
        assert ask("SELECT fill_no, trade_no FROM fill ORDER BY 1") == [(0, 1), (1, 1), (2, 2), (3, 2), (4, None)]
        filled = ask("SELECT client_id, CAST(filled AS TEXT) FROM intent WHERE filled != '0'")
        assert sorted(filled) == [("atb-0", "0.30"), ("atb-2", "0.30")]
        assert ask("SELECT state, sent_ms FROM intent WHERE client_id = 'atb-6'") == [("sent", 0)]
        assert ask("SELECT step_no FROM kernel_state") == [(0,)]
        assert ask("SELECT count(*) FROM decision") == [(3,)]
    with engine.begin() as connection:
        downgrade(connection, "0002")
        after = contents(connection, PAPER)
    known = [row.replace("'state', 'unknown'", "'state', 'sent'") for row in before["intent"]]
    assert after == before | {"intent": sorted(known)}
    engine.dispose()


def test_what_only_the_new_schema_can_say_is_bent_but_not_lost_on_the_way_back(database_url):
    database = open_database(database_url)
    with database.session() as session:
        session.add_all([session_row(), fill(), fill(symbol="ETH/USDT"), fill(trade_id="t2")])
        session.add_all([intent(state="partially_filled"), intent(client_id="atb-2", attempt=1, state="withheld")])
    with database.engine.begin() as connection:
        downgrade(connection, "0002")
        ids = sorted(connection.execute(text("SELECT trade_id FROM fill")).scalars())
        assert ids == ["BTC/USDT:t1", "ETH/USDT:t1", "t2"]
        states = sorted(connection.execute(text("SELECT state FROM intent")).scalars())
        assert states == ["live", "rejected"]
        assert connection.execute(text("SELECT strategy FROM session")).scalar() == ""
    database.close()


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
        connection.execute(text("CREATE TABLE session (foreign_column INTEGER)"))
    with pytest.raises(SetupError, match="already exists"):
        open_database(database_url)
    assert inspect(engine).get_table_names() == ["session"]
    engine.dispose()


def test_a_dropped_table_is_named_and_nothing_else_is_blamed(tmp_path):
    url = f"sqlite:///{tmp_path}/atb.db"
    open_database(url).close()
    for table in ("run", "session"):  # the rows of others point at them
        with sqlite3.connect(tmp_path / "atb.db") as connection:
            connection.execute(f"DROP TABLE {table}")
        connection.close()
        with pytest.raises(SetupError, match=r"lacks the tables? run.*backup") as caught:
            open_database(url)
        assert "migration" not in str(caught.value)
        assert table in str(caught.value)


def test_every_table_is_missed(database_url):
    database = open_database(database_url)
    with database.engine.begin() as connection:
        connection.execute(text("DROP TABLE fill"))
    database.close()
    with pytest.raises(SetupError, match="lacks the table fill"):
        open_database(database_url)


def test_a_row_that_points_nowhere_is_told_with_both_tables(tmp_path):
    url = f"sqlite:///{tmp_path}/atb.db"
    open_database(url).close()
    with sqlite3.connect(tmp_path / "atb.db") as connection:  # without foreign keys, as another program would
        connection.execute(
            "INSERT INTO slot (session_id, slot, manifest_sha256, strategy, symbol, timeframe, status)"
            f" VALUES ('gone', 0, 'x', 's', 'BTC/USDT', '1h', '{SLOT_STATUSES[0]}')"
        )
    connection.close()
    with pytest.raises(SetupError, match="row of the table 'slot' points at one of 'session' that is not there"):
        open_database(url)
