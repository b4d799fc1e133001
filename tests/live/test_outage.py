"""A database that goes away and comes back: nothing is written twice, nothing is half written, and the journal goes on."""

import os
import signal
import sqlite3
import subprocess
import sys
import textwrap
from contextlib import closing, contextmanager
from decimal import Decimal

import pytest
from sqlalchemy import event

from atb.db import open_database
from atb.db.tables import DecisionRow, FillRow, IntentRow
from atb.errors import DatabaseLostError, InputError, LeaseError
from atb.live.journal.journal import Journal, find_session
from atb.live.journal.lease import held_lease
from atb.live.journal.step import Notice, Step
from tests.database import server_away
from tests.live.desk import REPOSITORY
from tests.live.journal.test_journal import count, rows
from tests.rehearsal.ledger import START, Plans, StillClock, became, close, filled, open_journal, working
from tests.timeouts import PATIENCE_S

KEY = "c" * 64


@contextmanager
def away(database):
    """Take the database away: PostgreSQL is stopped, SQLite's file is locked by another process's transaction."""
    if database.dialect == "postgresql":
        with server_away():
            yield
        return
    with closing(sqlite3.connect(database.engine.url.database, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield
        other.execute("ROLLBACK")


@pytest.fixture
def impatient(database_url):
    opened = open_database(database_url, patience_s=0.1)
    yield opened
    opened.close()


def test_a_lost_database_is_one_error_and_the_journal_goes_on_when_it_is_back(impatient):
    clock = StillClock()
    with held_lease(impatient, "paper", clock) as lease:
        journal = Journal(impatient, lease, clock, portfolio=Plans())
        journal.begin(START, {})
        step = close(0, placed=[working()])
        with away(impatient):
            for lost in (lambda: journal.commit(step), journal.heartbeat, lambda: journal.commit(step)):
                with pytest.raises(DatabaseLostError, match="cannot be written"):
                    lost()
            clock.ms += 15_000
            assert not lease.fresh(clock.ms)
        assert journal.commit(step) == ()
        assert lease.fresh(clock.ms)
        with pytest.raises(LeaseError), held_lease(impatient, "paper", clock):  # the lock is held again as well
            pass
    assert count(impatient, DecisionRow) == 1


def test_a_file_that_became_read_only_is_a_lost_database(tmp_path):
    database = open_database(f"sqlite:///{tmp_path / 'atb.db'}", patience_s=0.1)
    journal = open_journal(database)

    @event.listens_for(database.engine, "begin")
    def forbid(connection):
        connection.exec_driver_sql("PRAGMA query_only=ON")

    step = Step(START)
    with pytest.raises(DatabaseLostError, match="readonly"):
        journal.commit(step)
    event.remove(database.engine, "begin", forbid)
    database.engine.dispose()
    journal.commit(step)
    database.close()


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)  # a reader of SQLite waits for no writer
def test_known_fills_cannot_be_asked_for_while_the_database_is_away(impatient):
    journal = open_journal(impatient)
    with away(impatient), pytest.raises(DatabaseLostError):
        journal.known_fill(Plans().plans[0].symbol, "1")
    assert not journal.known_fill(Plans().plans[0].symbol, "1")


class Cut:
    """Cuts the connection off after the server committed, as a network does that fails on the way back."""

    def __init__(self, database):
        self.database, self.armed = database, False
        self._commit = database.engine.dialect.do_commit
        database.engine.dialect.do_commit = self

    def __call__(self, connection):
        self._commit(connection)
        if self.armed:
            self.armed = False
            raise self.database.engine.dialect.loaded_dbapi.OperationalError("the answer was lost")


def test_a_commit_whose_answer_was_lost_is_noticed_and_not_repeated(database):
    journal = open_journal(database, breakers=None)
    cut = Cut(database)
    entry = working()
    step = close(0, placed=[entry], fills=[], notices=[Notice("once")])
    cut.armed = True
    with pytest.raises(DatabaseLostError, match="answer was lost"):
        journal.commit(step)
    with pytest.raises(InputError, match="in doubt"):
        journal.commit(Step(START))
    assert journal.commit(step) == ()
    assert count(database, DecisionRow) == 1
    done = Step(START + 1, fills=[filled(entry.order, 0)], changes=became(entry, "filled", filled=Decimal("0.5")))
    cut.armed = True
    with pytest.raises(DatabaseLostError):
        journal.commit(done)
    journal.commit(done)
    journal.commit(Step(START + 2))
    assert count(database, FillRow) == 1


def test_what_was_withheld_by_a_commit_whose_answer_was_lost_is_still_returned(database):
    from atb.live.journal.kill_switch import set_halt

    journal = open_journal(database)
    set_halt(database, "paper", "pause", reason="lunch", source="cli")
    cut = Cut(database)
    step = close(0, placed=[working()])
    cut.armed = True
    with pytest.raises(DatabaseLostError):
        journal.commit(step)
    (withheld,) = journal.commit(step)
    assert withheld.reason == "halted"


def test_a_commit_that_was_lost_for_good_is_written_by_the_second_try(database):
    journal = open_journal(database)

    def refuse(connection):
        connection.rollback()
        raise database.engine.dialect.loaded_dbapi.OperationalError("server closed the connection")

    before = database.engine.dialect.do_commit
    step = close(0)
    database.engine.dialect.do_commit = refuse
    with pytest.raises(DatabaseLostError):
        journal.commit(step)
    database.engine.dialect.do_commit = before
    assert count(database, DecisionRow) == 0
    journal.commit(step)
    assert count(database, DecisionRow) == 1


def test_an_overtaken_runner_with_a_commit_in_doubt_is_fenced(database):
    clock = StillClock()
    journal = open_journal(database, clock=clock)
    cut = Cut(database)
    step = close(0)
    cut.armed = True
    with pytest.raises(DatabaseLostError):
        journal.commit(step)
    clock.ms += 60_000
    open_journal(database, clock=clock)
    with pytest.raises(LeaseError):
        journal.commit(step)


VICTIM = """
    import os, signal, sys
    from itertools import count
    from sqlalchemy import event
    from atb.db import open_database
    from tests.rehearsal.ledger import became, close, filled, open_journal, working

    url, fatal = sys.argv[1:]
    database = open_database(url)
    journal = open_journal(database)
    entry = working()
    journal.commit(close(0, placed=[entry]))
    step = close(1, placed=[working(bar=1)], fills=[filled(entry.order, 0)], changes=became(entry, "filled"))
    number, commit = count(1), database.engine.dialect.do_commit

    def die_at(moment):
        if moment == fatal:
            os.kill(os.getpid(), signal.SIGKILL)

    @event.listens_for(database.engine, "before_cursor_execute")
    def before(*_):
        die_at(str(next(number)))

    def killed(connection):
        die_at("committing")
        commit(connection)
        die_at("committed")

    database.engine.dialect.do_commit = killed
    journal.commit(step)
"""


def kill_at(url: str, moment: str) -> int:
    script = textwrap.dedent(VICTIM)
    environment = os.environ | {"PYTHONPATH": str(REPOSITORY)}
    done = subprocess.run(
        [sys.executable, "-c", script, url, moment], env=environment, cwd=REPOSITORY, capture_output=True,
        text=True, timeout=PATIENCE_S, check=False,
    )  # fmt: skip
    assert done.returncode in {0, -signal.SIGKILL}, done.stderr
    return done.returncode


@pytest.mark.parametrize("moment", ["2", "12", "committing", "committed"])
def test_a_process_killed_inside_a_commit_leaves_all_of_the_step_or_nothing(database, database_url, moment):
    assert kill_at(database_url, moment) == -signal.SIGKILL
    found_session = find_session(database, "paper", KEY)
    whole = moment == "committed"
    found = (
        count(database, DecisionRow),
        count(database, IntentRow),
        count(database, FillRow),
        found_session.state["bar"],
    )
    assert found == ((2, 2, 1, 1) if whole else (1, 1, 0, 0))
    assert [row.state for row in rows(database, IntentRow)] == (["filled", "sent"] if whole else ["sent"])
    with held_lease(database, "paper", StillClock()) as lease:  # the dead one's account is free at once
        assert (lease.epoch, lease.quiet_until_ms) == (2, 0)


def test_a_file_that_was_deleted_under_a_runner_is_a_lost_database(tmp_path):
    """SQLite would go on writing into a deleted file."""
    database = open_database(f"sqlite:///{tmp_path / 'atb.db'}")
    assert database.there
    (tmp_path / "other.db").write_bytes(b"")
    (tmp_path / "other.db").rename(tmp_path / "atb.db")
    assert not database.there
    (tmp_path / "atb.db").unlink()
    assert not database.there
    database.close()


def test_a_journal_whose_file_is_gone_commits_nothing_and_says_so(tmp_path):
    database = open_database(f"sqlite:///{tmp_path / 'atb.db'}")
    journal = open_journal(database)
    journal.heartbeat()
    (tmp_path / "atb.db").rename(tmp_path / "moved.db")
    with pytest.raises(DatabaseLostError, match="deleted or replaced"):
        journal.heartbeat()
    (tmp_path / "moved.db").rename(tmp_path / "atb.db")
    journal.heartbeat()
    database.close()
