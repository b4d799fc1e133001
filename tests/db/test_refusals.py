"""Errors of a database's driver become one sentence with what to do."""

import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy import inspect, text
from sqlalchemy.exc import OperationalError, ProgrammingError

from atb.db import open_database
from atb.db.refusals import refusal


@pytest.mark.parametrize(
    ("message", "sentence"),
    [
        ("database is locked", "busy"),
        ("database or disk is full", "disk refuses"),
        ("attempt to write a readonly database", "cannot be written"),
        ("file is not a database", "no SQLite database"),
        ("database disk image is malformed", "damaged"),
        ("no such table: run", "lacks a part of its schema"),
        ("something new", "cannot be used: something new"),
    ],
)
def test_what_a_driver_says_becomes_one_sentence(message, sentence):
    for problem in (
        sqlite3.OperationalError(message),
        OperationalError("SELECT 1", {}, sqlite3.OperationalError(message)),
    ):
        refused = refusal(problem)
        assert sentence in str(refused)
        assert refused.todo
        assert "\n" not in str(refused)


def test_passwords_stay_out_and_other_errors_are_not_ours():
    refused = refusal(
        ProgrammingError("x", {}, Exception('connection to "postgresql://me:kNrY@h/db" failed, password=kNrY'))
    )
    assert "kNrY" not in str(refused)
    assert refusal(ValueError("database is locked")) is None


COMMANDS = (["runs"], ["runs", "show", "2024"], ["status"], ["trades"], ["orders"], ["halt", "--account", "paper"],
            ["promote", "2024"], ["why", "1"], ["runs", "--json"])  # fmt: skip


def spoilt(folder: Path, how: str) -> None:
    path = folder / "atb.db"
    database = open_database(f"sqlite:///{path}")
    names = list(inspect(database.engine).get_table_names())
    database.close()
    if how == "dropped":
        with sqlite3.connect(path) as connection:  # without foreign keys, as another program would
            for name in names:
                if name != "alembic_version":
                    connection.execute(f"DROP TABLE {name}")
        connection.close()
    if how == "damaged":
        path.write_bytes(path.read_bytes()[:4096] + b"\xff" * 60_000)


@pytest.mark.parametrize("how", ["dropped", "damaged"])
def test_no_command_shows_a_traceback_over_a_spoilt_database(tmp_path, how):
    from click.testing import CliRunner

    from atb.cli import main

    spoilt(tmp_path, how)
    for command in COMMANDS:
        done = CliRunner().invoke(main, command)
        shown = (command, done.output, done.exception)
        assert done.exit_code == 2, shown
        assert isinstance(done.exception, SystemExit), shown
        assert done.output.count("Error: ") == 1, shown


WRITER = """
import sys
from atb.db import open_database
from atb.db.tables import LeaseRow
database = open_database(sys.argv[1])
for number in range(int(sys.argv[3])):
    with database.session() as session:
        session.add(LeaseRow(account=f"{sys.argv[2]}-{number}", epoch=1, holder="h", until_ms=1))
"""


@pytest.mark.parametrize("processes", [6, pytest.param(50, marks=pytest.mark.slow)])
def test_many_processes_on_one_sqlite_file_lose_nothing(tmp_path, processes):
    url = f"sqlite:///{tmp_path}/many.db"
    each = 20
    writers = [
        subprocess.Popen([sys.executable, "-c", WRITER, url, str(number), str(each)], stderr=subprocess.PIPE, text=True)
        for number in range(processes)
    ]
    errors = [writer.communicate()[1] for writer in writers]
    assert [text for text in errors if text] == []
    database = open_database(url)
    with database.session(read_only=True) as session:
        assert session.execute(text("SELECT count(*) FROM account_lease")).scalar() == processes * each
    database.close()


def test_who_waits_in_vain_for_sqlite_is_told_how_long(tmp_path):
    url = f"sqlite:///{tmp_path}/held.db"
    first, second = open_database(url), open_database(url, patience_s=0.2)
    with first.session(), pytest.raises(OperationalError) as caught, second.session():
        pass
    assert "busy" in str(refusal(caught.value))
    assert "waited 0 s" in str(refusal(caught.value))
    first.close()
    second.close()
