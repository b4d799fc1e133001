"""The real runner, killed with SIGKILL at random moments: its journal is that of an undisturbed run, row by row."""

import os
import random
import signal
import sqlite3
import time

import pytest
from sqlalchemy import select

from atb.db import Database, open_database
from atb.db.tables import SessionRow
from tests.live.desk import Desk, first_open, read_journal, warm_result
from tests.live.test_runner import assert_equal_to_backtest
from tests.timeouts import PATIENCE_S


def last_bar(database: Database) -> int:
    with database.session(read_only=True) as session:
        return session.scalars(select(SessionRow.last_bar_ms)).one_or_none() or 0


def wait_until(database: Database, beyond: int, process) -> None:
    """Wait until the session has passed a bar, or the process ended by itself."""
    deadline = time.monotonic() + PATIENCE_S
    while last_bar(database) <= beyond and process.poll() is None:
        assert time.monotonic() < deadline, "the runner makes no progress"
        time.sleep(0.01)


def wait_for_session(database: Database, process) -> None:
    """Wait until the session is in the journal."""
    deadline = time.monotonic() + PATIENCE_S
    while process.poll() is None and time.monotonic() < deadline:
        with database.session(read_only=True) as session:
            if session.scalars(select(SessionRow.session_id)).one_or_none() is not None:
                return
        time.sleep(0.02)
    raise AssertionError("the runner begins no session")


def end(process) -> tuple[int, str, str]:
    out, err = process.communicate(timeout=PATIENCE_S)
    return process.returncode, out, err


@pytest.mark.parametrize(
    ("database_url", "times"),
    [
        ("sqlite", 2),
        pytest.param("sqlite", 6, marks=pytest.mark.slow),
        pytest.param("postgresql", 2, marks=pytest.mark.slow),
    ],
    indirect=["database_url"],
)
def test_a_runner_killed_again_and_again_loses_and_doubles_nothing(desk, tmp_path, times):
    result = warm_result(desk.stock(100 + 80 * times, 11))
    path, since = desk.promote(result), first_open(result)
    calm = Desk(desk.root, f"sqlite:///{tmp_path / 'calm.db'}")
    calm.trade(path, since=since)
    chance, kills, hour = random.Random(11), 0, 3_600_000
    database = open_database(desk.url)
    target = 0
    for _ in range(times):
        process = desk.start(path, "--from", since)
        reached = max(last_bar(database), int(result.index[0].timestamp() * 1_000))
        target = reached + chance.randrange(3, 60) * hour
        wait_until(database, target, process)
        time.sleep(chance.random() * 0.01)
        process.send_signal(signal.SIGKILL)
        kills += end(process)[0] == -signal.SIGKILL
    database.close()
    assert kills == times
    broken = read_journal(desk.url)
    assert 6 < len(broken["decision"]) < len(result.index)  # killed in the middle, every time
    code, out, err = end(desk.start(path))
    assert code == 0, err
    assert "finished" in out
    assert read_journal(desk.url) == read_journal(calm.url)


def test_sigterm_ends_between_two_bars_with_exit_code_0(sqlite_desk):
    result = warm_result(sqlite_desk.stock(120, 3))
    path = sqlite_desk.promote(result)
    process = sqlite_desk.start(path, "--from", first_open(result), "--speed", "3600")
    database = open_database(sqlite_desk.url)
    wait_until(database, int(result.index[2].timestamp() * 1_000), process)
    process.send_signal(signal.SIGTERM)
    code, out, err = end(process)
    database.close()
    assert (code, "stopped" in out) == (0, True), err
    journal = read_journal(sqlite_desk.url)
    assert journal["session"][0]["status"] == "stopped"
    assert len(journal["decision"]) == len(journal["equity"]) < len(result.index)
    assert sqlite_desk.trade(path).status == "finished"


@pytest.mark.slow
def test_sigterm_ends_a_slow_replay_in_the_middle_of_its_wait(sqlite_desk):
    result = warm_result(sqlite_desk.stock(60, 3))
    process = sqlite_desk.start(sqlite_desk.promote(result), "--from", first_open(result), "--speed", "1")
    database = open_database(sqlite_desk.url)
    wait_for_session(database, process)
    time.sleep(1)
    process.send_signal(signal.SIGTERM)
    code, out, err = end(process)  # its wait would last an hour
    database.close()
    assert (code, "stopped: 0 bars" in out) == (0, True), err


@pytest.mark.slow
def test_a_second_sigterm_ends_at_once_even_a_runner_that_waits_for_its_database(sqlite_desk):
    result = warm_result(sqlite_desk.stock(60, 3))
    path = sqlite_desk.promote(result)
    process = sqlite_desk.start(path, "--from", first_open(result), "--speed", "1")
    database = open_database(sqlite_desk.url)
    wait_for_session(database, process)
    time.sleep(1)
    with sqlite3.connect(sqlite_desk.root / "atb.db") as other:
        other.execute("BEGIN EXCLUSIVE")
        process.send_signal(signal.SIGTERM)
        time.sleep(1)
        assert process.poll() is None
        while process.poll() is None:  # two that come together are one to Python
            process.send_signal(signal.SIGTERM)
            time.sleep(0.5)
        assert end(process)[0] == -signal.SIGTERM
        other.rollback()
    database.close()
    assert sqlite_desk.trade(path).status == "finished"
    assert_equal_to_backtest(read_journal(sqlite_desk.url), result)


@pytest.mark.slow
def test_a_file_that_says_flatten_ends_the_process_with_its_own_exit_code(sqlite_desk):
    result = warm_result(sqlite_desk.stock(60, 3))
    path = sqlite_desk.promote(result)
    (sqlite_desk.root / "HALT").write_text("flatten, said a test")
    code, _, err = end(sqlite_desk.start(path, "--from", first_open(result)))
    assert (code, "flat and halted" in err, "Traceback" in err) == (4, True, False), err


def test_sigusr1_pauses_entries(sqlite_desk):
    result = warm_result(sqlite_desk.stock(120, 3))
    path = sqlite_desk.promote(result)
    process = sqlite_desk.start(path, "--from", first_open(result), "--speed", "72000")
    database = open_database(sqlite_desk.url)
    wait_until(database, int(result.index[5].timestamp() * 1_000), process)
    process.send_signal(signal.SIGUSR1)
    code, _, err = end(process)
    database.close()
    assert code == 0, err
    journal = read_journal(sqlite_desk.url)
    halted = [row["bar_ms"] for row in journal["decision"] if row["refusal"] == "halted"]
    assert len(halted) > 3
    assert not [row for row in journal["intent"] if row["role"] == "entry" and row["bar_ms"] >= min(halted)]


def test_a_second_runner_on_the_account_is_refused_and_told_who_holds_it(sqlite_desk):
    desk = sqlite_desk
    result = warm_result(desk.stock(200, 3))
    path = desk.promote(result)
    first = desk.start(path, "--from", first_open(result), "--speed", "1800")
    database = open_database(desk.url)
    wait_until(database, 0, first)
    code, _, err = end(desk.start(path))
    assert (code, str(first.pid) in err) == (3, True), err
    assert "traded by another runner" in err
    assert "Traceback" not in err
    os.kill(first.pid, signal.SIGTERM)
    assert end(first)[0] == 0
    database.close()
