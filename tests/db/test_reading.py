"""A database that cannot be written can still be read, and where it cannot, one sentence says so."""

import os
import resource
import signal
import sqlite3
import tempfile
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from click.testing import CliRunner
from sqlalchemy import make_url, text
from sqlalchemy.exc import DBAPIError

from atb.cli import main
from atb.db import open_database, open_to_read
from atb.db.refusals import refusal
from atb.db.tables import LeaseRow
from atb.errors import SetupError
from tests.database import empty_postgresql, postgres

__all__ = ["postgres"]
NOBODY = 65_534
READ = (["status"], ["orders"], ["trades"], ["runs"], ["status", "--json"], ["runs", "--json"])


@pytest.fixture
def place(monkeypatch):
    """A folder that every user reaches, with a database of one row in it."""
    with tempfile.TemporaryDirectory(prefix="atb-read-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        database = open_database(f"sqlite:///{folder}/atb.db")
        with database.session() as session:
            session.add(LeaseRow(account="main", epoch=1, holder="h", until_ms=1))
        database.close()
        (folder / "atb.db").chmod(0o644)
        (folder / "atb.toml").touch(0o644)
        monkeypatch.setenv("ATB__DATA__ROOT", name)
        monkeypatch.chdir(folder)
        yield folder


@contextmanager
def without_rights():
    """Be a user who may write nothing; permission bits do not stop an administrator."""
    root = os.geteuid() == 0
    if root:
        os.seteuid(NOBODY)
    try:
        yield
    finally:
        if root:
            os.seteuid(0)


@contextmanager
def full_disk():
    """Let no file grow, as a full disk or a quota does."""
    before, handler = resource.getrlimit(resource.RLIMIT_FSIZE), signal.getsignal(signal.SIGXFSZ)
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)


def lock_up(folder: Path, what: str) -> None:
    if what in {"file", "both"}:
        (folder / "atb.db").chmod(0o444)
    if what in {"folder", "both"}:
        folder.chmod(0o555)


def leases(url: str) -> list[str]:
    database = open_to_read(url)
    try:
        with database.session(read_only=True) as session:
            return list(session.execute(text("SELECT account FROM account_lease")).scalars())
    finally:
        database.close()


@pytest.mark.parametrize("what", ["file", "folder", "both"])
def test_rows_of_a_file_that_cannot_be_written_are_read(place, what):
    lock_up(place, what)
    with without_rights():
        assert leases(f"sqlite:///{place}/atb.db") == ["main"]
        database = open_to_read(f"sqlite:///{place}/atb.db")
        assert database.unwritable
        with pytest.raises(Exception, match=r"readonly|read-only|unable") as caught, database.session() as session:
            session.execute(text("DELETE FROM account_lease"))
        database.close()
    assert "cannot be written" in str(refusal(caught.value))


def test_rows_are_read_on_a_full_disk(place):
    with full_disk():
        assert leases(f"sqlite:///{place}/atb.db") == ["main"]


def test_what_a_log_holds_is_read_too_or_nothing_is(place):
    """A process that died left its log behind: rows that only it holds are not passed over in silence."""
    writer = sqlite3.connect(place / "atb.db")
    writer.execute("PRAGMA wal_autocheckpoint=0")
    writer.execute("INSERT INTO account_lease VALUES ('late', 1, 'h', 1)")
    writer.commit()
    kept = {name: (place / name).read_bytes() for name in ("atb.db-wal", "atb.db-shm")}
    base = (place / "atb.db").read_bytes()
    writer.close()
    (place / "atb.db").write_bytes(base)
    for present in (("atb.db-wal", "atb.db-shm"), ("atb.db-wal",)):
        for name in kept:
            (place / name).unlink(missing_ok=True)
        for name in present:
            (place / name).write_bytes(kept[name])
            (place / name).chmod(0o444)
        lock_up(place, "both")
        with without_rights(), suppress(SetupError):
            assert sorted(leases(f"sqlite:///{place}/atb.db")) == ["late", "main"]
        place.chmod(0o755)


def test_a_database_that_can_be_written_is_opened_as_ever(place):
    database = open_to_read(f"sqlite:///{place}/atb.db")
    assert database.unwritable == ""
    with database.session() as session:
        session.execute(text("DELETE FROM account_lease"))
    database.close()


@pytest.mark.parametrize("how", ["full", "file", "folder", "both"])
def test_commands_that_only_read_do_so_and_say_what_is_wrong(place, how):
    lock_up(place, how)
    for command in READ:
        with full_disk() if how == "full" else without_rights():
            done = CliRunner().invoke(main, command)
        assert done.exit_code == 0, (command, done.output, done.exception)
        assert "Error" not in done.output
        assert done.stderr.count("Note: ") <= 1
    for command in (["why", "paper/1"], ["runs", "show", "2024"]):
        with full_disk() if how == "full" else without_rights():
            done = CliRunner().invoke(main, command)
        assert (done.exit_code, done.stderr.count("Error: ")) == (2, 1), (command, done.output)
        assert "o such trade" in done.stderr or "o such run" in done.stderr


def test_a_role_of_a_server_that_may_only_read_reads(postgres):
    with empty_postgresql(postgres) as url:
        opened = open_database(url)
        with opened.session() as session:
            session.add(LeaseRow(account="main", epoch=1, holder="h", until_ms=1))
            session.execute(text("CREATE ROLE atb_reader LOGIN PASSWORD 'x'"))
            session.execute(text("GRANT SELECT ON ALL TABLES IN SCHEMA public TO atb_reader"))
        try:
            reading = open_to_read(make_url(url).set(username="atb_reader", password="x").render_as_string(False))
            assert "permission denied" in reading.unwritable
            with reading.session(read_only=True) as session:
                assert session.get_one(LeaseRow, "main").epoch == 1
            with pytest.raises(DBAPIError), reading.session() as session:
                session.add(LeaseRow(account="other", epoch=1, holder="h", until_ms=1))
            reading.close()
        finally:
            with opened.session() as session:
                session.execute(text("DROP OWNED BY atb_reader"))
                session.execute(text("DROP ROLE atb_reader"))
            opened.close()
