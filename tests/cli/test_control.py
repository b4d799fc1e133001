"""`atb halt`, `atb flatten`, `atb resume`: latched, on both databases, beside a runner at work, and without any database."""

import json
import sqlite3
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from click.testing import CliRunner

from atb.cli import main
from atb.config import load_settings
from atb.db import open_database
from atb.live.journal import verbs
from atb.live.journal.journal import Journal
from atb.live.journal.kill_switch import Level, halted, halts, is_flat, read_halt_file, write_halt_file
from atb.live.journal.step import Notice
from tests.database import database, database_url, mainly_sqlite, postgres
from tests.rehearsal.ledger import START, Plans, StillClock, close, open_journal, take
from tests.timeouts import PATIENCE_S

__all__ = ["database", "database_url", "postgres"]
SQLITE = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)  # what no dialect changes
ATB = Path(sys.executable).with_name("atb")
HELD = {"schema": 1, "account": {}, "slots": [{"quantity": 0.5}, {"quantity": 0.0}]}


def atb(*arguments):
    return CliRunner().invoke(main, arguments)


def refused(done, *texts, code=2):
    assert done.exit_code == code, done.output
    assert done.stdout == ""
    for text in texts:
        assert text in done.stderr
    assert "Traceback" not in done.output


@pytest.fixture
def desk(database, database_url, monkeypatch, tmp_path):
    """A database with one session of account `paper`, which the commands use."""
    monkeypatch.setenv("ATB__DATABASE__URL", database_url)
    open_journal(database).commit(close(0))
    return database


def test_a_halt_is_latched_with_its_reason_and_who_set_it(desk):
    done = atb("halt", "--reason", "odd fills", "--account", "paper")
    assert done.exit_code == 0, done.output
    found = halted(desk, "paper")
    assert (found.level, found.reason) == (Level.PAUSE, "odd fills")
    assert "at the command line" in found.source
    assert "paper: pause" in done.stdout
    shown = json.loads(atb("status", "--json").stdout)
    assert (shown[0]["halt"], shown[0]["halt_reason"]) == ("pause", "odd fills")


@pytest.mark.usefixtures("desk")
def test_sessions_fit_the_terminal_and_tell_times_as_other_commands_do(monkeypatch):
    assert "2024-01-01 " in atb("status").stdout
    assert "T00:" not in atb("status").stdout
    monkeypatch.setenv("COLUMNS", "100")
    lines = atb("status").stdout.splitlines()
    assert max(map(len, lines)) <= 100
    assert lines[0].split()[:2] == ["session", "state"]
    assert "last_bar" in lines[0]


def test_a_session_with_a_barred_symbol_does_not_look_normal(desk):
    assert "entries barred" not in atb("status").output.lower()
    journal = open_journal(desk, clock=StillClock(START + 60_000))
    state = close(1).state | {"desk": {"quarantine": {"BTC/USDT": "stranger"}}}
    notice = Notice("drift", {"asset": "BTC", "drift": "-0.25"}, "warning")
    journal.commit(close(1, state=state, notices=[notice]))
    done = atb("status")
    assert done.exit_code == 0, done.output
    assert "ENTRIES BARRED in paper-cccccccccccccccc: BTC/USDT (stranger)" in done.stderr
    assert "the account has -0.25 BTC beside the books" in done.stderr
    assert "stale, entries barred" in done.stdout
    (row,) = json.loads(atb("status", "--json").stdout)
    assert (row["state"], row["barred"], row["drift"]) == ("stale", {"BTC/USDT": "stranger"}, {"BTC": "-0.25"})


def test_a_slot_that_cannot_act_says_why(desk):
    journal = open_journal(desk, clock=StillClock(START + 60_000))
    journal.commit(close(1, state=close(1).state | {"desk": {"stuck": {"0": "closed market"}}}))
    assert "stuck: closed market" in atb("status").stdout
    (row,) = json.loads(atb("status", "--json").stdout)
    assert (row["stuck"], row["slots"][0]["stuck"]) == ("closed market", "closed market")


@SQLITE
def test_a_stronger_halt_stays_and_is_shown(desk):
    atb("halt", "--level", "flatten", "--reason", "first")
    done = atb("halt", "--level", "cancel", "--reason", "second")
    assert "paper: flatten, which is more than cancel" in done.stdout
    assert halted(desk, "paper").level == Level.FLATTEN


def test_without_an_account_every_one_is_halted(desk):
    clock = StillClock()
    Journal(desk, take(desk, clock, "other"), clock, portfolio=Plans(key="d" * 64)).begin(START, {})
    done = json.loads(atb("halt", "--level", "cancel", "--reason", "all of it", "--json").stdout)
    assert [(row["account"], row["level"]) for row in done["accounts"]] == [("other", "cancel"), ("paper", "cancel")]
    assert (done["file"], done["database"]) == (None, "ok")
    refused(atb("resume"), "Say which account", "other, paper")
    assert json.loads(atb("resume", "--account", "other", "--json").stdout)["resumed"]["was"] == "cancel"
    assert not halted(desk, "other")
    assert halted(desk, "paper")


@SQLITE
@pytest.mark.parametrize(
    ("arguments", "texts"),
    [
        (("halt",), ("--reason",)),
        (("halt", "--reason", " "), ("Say why",)),
        (("halt", "--reason", "x", "--level", "flaten"), ("Not a level", "Did you mean 'flatten'?")),
        (("halt", "--reason", "x", "--level", "none"), ("Not a level",)),
        (("halt", "--reason", "x", "--account", "papr"), ("No such account; found 'papr'", "Did you mean 'paper'?")),
        (("flatten", "--reason", "x", "--account", "papr"), ("Did you mean 'paper'?",)),
        (("flatten", "--reason", "x", "--wait", "-1"), ("--wait",)),
        (("resume", "--account", "papr"), ("Did you mean 'paper'?",)),
        (("resume", "--account", "paper"), ("Account paper is not halted",)),
        (("resume",), ("No account is halted",)),
        (("status", "--account", "papr"), ("Did you mean 'paper'?",)),
    ],
)
def test_bad_input_is_one_clear_error_and_changes_nothing(desk, tmp_path, arguments, texts):
    refused(atb(*arguments), *texts)
    assert halts(desk, "paper") == []
    assert not (tmp_path / "HALT").exists()


@SQLITE
def test_resuming_lifts_it_and_the_history_stays(desk):
    atb("halt", "--reason", "one")
    done = atb("resume", "--reason", "looked at it")
    assert "paper may trade again; it was: pause" in done.stdout
    assert [(halt.name, halt.reason) for halt in halts(desk, "paper")] == [("none", "looked at it"), ("pause", "one")]


def test_an_account_that_is_being_flattened_does_not_resume_before_it_is_flat(database, database_url, monkeypatch):
    monkeypatch.setenv("ATB__DATABASE__URL", database_url)
    journal = open_journal(database)
    journal.commit(close(0, state=HELD))
    refused_flatten = atb("flatten", "--reason", "out", "--wait", "0.1")
    assert refused_flatten.exit_code == 4
    assert "paper: still held" in refused_flatten.stdout
    assert "Not closed yet: paper" in refused_flatten.stderr
    refused(atb("resume", "--account", "paper"), "still holds something", code=4)
    journal.commit(close(1))
    assert atb("resume", "--account", "paper").exit_code == 0


def test_flatten_waits_until_the_runner_closed_everything(database, database_url, monkeypatch):
    monkeypatch.setenv("ATB__DATABASE__URL", database_url)
    journal = open_journal(database)
    journal.commit(close(0, state=HELD))

    def runner():
        while not journal.heartbeat():
            time.sleep(0.05)
        journal.commit(close(1))

    thread = threading.Thread(target=runner)
    thread.start()
    done = atb("flatten", "--reason", "out", "--wait", "30", "--json")
    thread.join()
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["flat"] == {"paper": True}
    with database.session(read_only=True) as session:
        assert is_flat(session.connection(), "paper")


@SQLITE
def test_the_file_halts_every_runner_over_the_folder_and_must_go_before_it_resumes(desk, tmp_path):
    done = atb("halt", "--level", "cancel", "--reason", "by hand", "--file")
    assert str(tmp_path / "HALT") in done.stdout
    assert read_halt_file(tmp_path).level == Level.CANCEL
    refused(atb("resume", "--account", "paper"), "still there", "Delete it", code=4)
    done = atb("resume", "--account", "paper", "--file")
    assert done.exit_code == 0, done.output
    assert not (tmp_path / "HALT").exists()
    assert not halted(desk, "paper")


@SQLITE
def test_a_folder_in_the_place_of_the_file_is_one_clear_error(desk, tmp_path):
    atb("halt", "--account", "paper", "--reason", "odd")
    (tmp_path / "HALT").mkdir()
    refused(atb("resume", "--account", "paper", "--file"), "HALT cannot be deleted", "it is a folder")
    assert halted(desk, "paper").level == Level.PAUSE


@SQLITE
def test_a_file_without_a_halted_account_is_deleted_alone(desk, tmp_path):
    write_halt_file(tmp_path, Level.PAUSE, "by hand")
    row = json.loads(atb("status", "--json").stdout)[0]
    assert (row["halt"], row["halt_reason"]) == ("pause", "by hand")
    assert "HALTED by the file" in atb("status").stderr
    assert json.loads(atb("resume", "--file", "--json").stdout) == {"resumed": None, "file_removed": True}
    assert not (tmp_path / "HALT").exists()


def test_where_no_account_ever_traded_the_file_is_the_way(tmp_path):
    refused(atb("halt", "--reason", "x"), "No account ever traded here", "--file")
    refused(atb("halt", "--reason", "x", "--file"), "halted by the file", "HALT (pause)", "No account ever traded here")
    assert read_halt_file(tmp_path).level == Level.PAUSE


def test_without_the_database_the_file_says_it(tmp_path, monkeypatch):
    monkeypatch.setenv("ATB__DATABASE__URL", "postgresql://me:kNrYkNrY@127.0.0.1:1/atb")
    done = atb("halt", "--level", "flatten", "--reason", "the server is gone")
    assert done.exit_code == 0, done.output
    assert "The database was not reached" in done.stderr
    assert "kNrY" not in done.output
    found = read_halt_file(tmp_path)
    assert found.level == Level.FLATTEN
    assert "the server is gone" in found.reason
    again = json.loads(CliRunner().invoke(main, ["halt", "--reason", "again", "--json"]).stdout)
    assert (again["accounts"], again["file"]) == ([], str(tmp_path / "HALT"))
    assert read_halt_file(tmp_path).level == Level.FLATTEN, "a stronger file stays"


def test_a_database_that_hangs_is_not_waited_for(tmp_path, monkeypatch):
    """Somebody holds SQLite's write lock and never lets go: the file is written all the same."""
    opened = open_database(load_settings().database.url)
    open_journal(opened).commit(close(0))
    opened.close()
    monkeypatch.setattr(verbs, "PATIENCE_S", 0.5)
    blocker = sqlite3.connect(tmp_path / "atb.db", isolation_level=None)
    blocker.execute("BEGIN EXCLUSIVE")
    try:
        done = atb("halt", "--reason", "stuck")  # it would wait for ever
    finally:
        blocker.execute("ROLLBACK")
        blocker.close()
    assert done.exit_code == 0, done.output
    assert "did not answer within" in done.stderr
    assert "stuck" in read_halt_file(tmp_path).reason


@mainly_sqlite
def test_a_real_process_halts_what_another_one_trades(database, database_url, monkeypatch, tmp_path):
    """The journal is written to all the time; the command is a process of its own, as an operator's would be."""
    monkeypatch.setenv("ATB__DATABASE__URL", database_url)
    journal = open_journal(database)
    seen, ended = [], threading.Event()

    def runner():
        bar = 0
        while not ended.is_set():
            seen.append(journal.heartbeat().level)
            journal.commit(close(bar))
            bar += 1
            time.sleep(0.02)

    thread = threading.Thread(target=runner)
    thread.start()
    try:
        for arguments in (["halt", "--level", "cancel", "--reason", "by another process"], ["status", "--json"]):
            done = subprocess.run(
                [ATB, *arguments], capture_output=True, text=True, check=False, cwd=tmp_path, timeout=PATIENCE_S
            )
            assert done.returncode == 0, done.stderr
        deadline = time.monotonic() + PATIENCE_S
        while seen[-1] != Level.CANCEL and time.monotonic() < deadline:
            time.sleep(0.01)
    finally:
        ended.set()
        thread.join()
    assert (seen[0], seen[-1]) == (Level.NONE, Level.CANCEL)
