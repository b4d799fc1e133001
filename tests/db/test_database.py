"""Opening a database: folders are made, settings are durable, every failure is one sentence without the password."""

import multiprocessing
import sqlite3
import threading
from pathlib import Path

import pytest
from sqlalchemy import event, inspect, make_url, select, text
from sqlalchemy.exc import OperationalError

from atb.db import open_database
from atb.db.tables import LeaseRow, Table
from atb.errors import SetupError


def lease(account: str = "a") -> LeaseRow:
    return LeaseRow(account=account, epoch=1, holder="h", until_ms=1)


def test_makes_the_folder_and_the_tables(tmp_path):
    database = open_database(f"sqlite:///{tmp_path}/new/folder/atb.db")
    assert set(inspect(database.engine).get_table_names()) == {*Table.metadata.tables, "alembic_version"}
    database.close()


def test_sqlite_commits_survive_a_power_cut_and_foreign_keys_are_real(tmp_path):
    database = open_database(f"sqlite:///{tmp_path}/atb.db")
    wanted = {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1, "busy_timeout": 30_000}
    with database.engine.connect() as connection:
        assert {name: connection.exec_driver_sql(f"PRAGMA {name}").scalar() for name in wanted} == wanted
    database.close()


def test_a_session_commits_and_an_error_rolls_everything_back(database):
    with database.session() as session:
        session.add(lease("kept"))

    def write_then_fail() -> None:
        with database.session() as session:
            session.add(lease("lost"))
            session.flush()
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_then_fail()
    with database.session() as session:
        assert session.scalars(select(LeaseRow.account)).all() == ["kept"]


def test_a_reading_session_neither_waits_for_a_writer_nor_writes(database):
    with database.session() as writer:
        writer.add(lease())
        writer.flush()
        with database.session(read_only=True) as reader:
            assert reader.scalars(select(LeaseRow)).all() == []
    if database.dialect == "postgresql":
        with pytest.raises(Exception, match="read-only"), database.session(read_only=True) as session:
            session.add(lease("b"))


def test_writing_sessions_of_two_connections_follow_each_other_on_sqlite(tmp_path):
    database = open_database(f"sqlite:///{tmp_path}/atb.db")
    impatient = sqlite3.connect(tmp_path / "atb.db", timeout=0, isolation_level=None)
    with database.session(), pytest.raises(sqlite3.OperationalError, match="locked"):
        impatient.execute("BEGIN IMMEDIATE")
    impatient.execute("BEGIN IMMEDIATE")
    impatient.close()
    database.close()


def test_opening_again_keeps_what_is_there(database_url):
    first = open_database(database_url)
    with first.session() as session:
        session.add(lease())
    first.close()
    second = open_database(database_url)
    with second.session() as session:
        assert session.get_one(LeaseRow, "a").holder == "h"
    second.close()


def test_railway_style_urls_reach_postgresql(postgres):
    for scheme in ("postgres", "postgresql"):
        url = postgres.set(drivername=scheme).render_as_string(hide_password=False)
        with pytest.raises(SetupError, match="older schema"):  # reached, and found without tables
            open_database(url, migrate=False)


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("not a url", "malformed"),
        ("", "malformed"),
        ("mysql://me:hunter2@host/db", "SQLite or PostgreSQL"),
        ("postgresql://me:hunter2@127.0.0.1:1/db", "refused"),
        ("postgresql://me:hunter2@no-such-host.invalid/db", "cannot be used"),
        ("postgresql://me:hunter2@host:port/db", "malformed"),
        ("postgresql:///db?host=/nowhere&password=hunter2", "cannot be used"),
        ("sqlite://", "in memory"),
        ("sqlite:///:memory:", "in memory"),
        ("sqlite:////dev/null/atb.db", "cannot be made"),
        ("sqlite:////tmp", "is a folder"),
    ],
)
def test_a_bad_url_is_one_sentence_without_the_password(url, reason):
    with pytest.raises(SetupError, match=reason) as caught:
        open_database(url)
    assert "hunter2" not in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("content", [b"these are not the bytes you are looking for" * 100, b"PK\x03\x04zip"])
def test_a_file_that_is_no_database_is_left_as_it_is(tmp_path, content):
    path = tmp_path / "atb.db"
    path.write_bytes(content)
    with pytest.raises(SetupError, match="no SQLite database"):
        open_database(f"sqlite:///{path}")
    assert path.read_bytes() == content


def test_a_file_that_cannot_be_written_is_refused(tmp_path):
    open_database(f"sqlite:///{tmp_path}/atb.db").close()
    with pytest.raises(SetupError, match="readonly"):
        open_database(f"sqlite:///file:{tmp_path}/atb.db?mode=ro&uri=true")


def open_and_close(url: str) -> None:
    open_database(url).close()


def write_in_turn(url: str, name: str, count: int) -> None:
    database = open_database(url)
    for number in range(count):
        with database.session() as session:
            session.add(lease(f"{name}-{number}"))
    database.close()


@pytest.mark.slow
def test_fifty_processes_that_write_at_once_lose_nothing(tmp_path):
    url = f"sqlite:///{tmp_path}/atb.db"
    spawn = multiprocessing.get_context("spawn")
    with spawn.Pool(50) as pool:
        pool.starmap(write_in_turn, [(url, str(number), 20) for number in range(50)], chunksize=1)
    database = open_database(url)
    with database.session(read_only=True) as session:
        assert len(session.scalars(select(LeaseRow.account)).all()) == 1_000
    database.close()


def test_a_writer_that_waits_tries_by_the_driver_alone_which_costs_next_to_nothing(tmp_path):
    waiting = open_database(f"sqlite:///{tmp_path}/atb.db")
    holding = sqlite3.connect(tmp_path / "atb.db", isolation_level=None, check_same_thread=False)
    holding.execute("BEGIN IMMEDIATE")
    dear = []
    event.listen(waiting.engine, "handle_error", dear.append)
    release = threading.Timer(0.3, lambda: holding.execute("COMMIT"))
    release.start()
    with waiting.session() as session:
        session.add(lease())
    release.join()
    assert not dear
    holding.close()
    waiting.close()


def test_four_processes_may_open_a_new_database_at_once(database_url):
    spawn = multiprocessing.get_context("spawn")
    with spawn.Pool(4) as pool:
        pool.map(open_and_close, [database_url] * 4, chunksize=1)
    database = open_database(database_url, migrate=False)
    with database.session() as session:
        assert session.scalar(text("SELECT count(*) FROM alembic_version")) == 1
    database.close()


def test_the_label_hides_the_password(tmp_path):
    from atb.db.database import Database, _engine

    url = make_url("postgresql+psycopg2://me:hunter2@host/db")
    assert "hunter2" not in Database(_engine(url)).label
    assert Path(tmp_path).name in open_database(f"sqlite:///{tmp_path}/atb.db").label


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_postgresql_waits_for_locks_only_as_long_as_it_is_told(database_url):
    database = open_database(database_url, patience_s=0.2)
    with database.session() as holder:
        holder.add(lease())
        holder.flush()
        with pytest.raises(OperationalError, match="lock timeout"), database.session() as session:
            session.add(lease())
    with database.session() as session:  # a stalled process does not keep its locks for ever
        assert session.scalar(text("SHOW idle_in_transaction_session_timeout")) == "1min"
    database.close()


def test_sqlite_waits_for_a_writer_only_as_long_as_it_is_told(tmp_path):
    database = open_database(f"sqlite:///{tmp_path}/atb.db", patience_s=0.1)
    with database.session(), pytest.raises(OperationalError, match="locked"), database.session():
        pass
    database.close()
