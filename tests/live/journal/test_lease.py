"""One runner per account: who gets the lease, who is refused, and what an overtaken runner may still write."""

import os
import subprocess
import sys
import time
from contextlib import contextmanager

import pytest
from sqlalchemy import update

from atb.db.tables import LeaseRow
from atb.errors import LeaseError
from atb.live.journal.lease import TTL_MS, AdvisoryLock, Holder, Lease, _take, held_lease
from tests.timeouts import PATIENCE_S


class Clock:
    """A clock set by the test."""

    def __init__(self) -> None:
        self.ms = 1_000_000

    def now_ms(self) -> int:
        return self.ms


def give_to(database, holder: str) -> None:
    with database.engine.begin() as connection:
        connection.execute(update(LeaseRow).values(holder=holder))


def living_holder() -> str:
    return str(Holder("elsewhere", 1, "?"))


def test_the_first_runner_gets_the_first_epoch_and_the_next_one_the_next(database):
    with held_lease(database, "paper", Clock()) as first:
        assert first.epoch == 1
    with held_lease(database, "paper", Clock()) as second:
        assert second.epoch == 2


@contextmanager
def account_held_elsewhere(database, clock):
    """Let a process elsewhere hold the account: its row, and in PostgreSQL its connection too."""
    _take(database, "paper", clock)
    give_to(database, living_holder())
    lock = AdvisoryLock(database, "paper") if database.dialect == "postgresql" else None
    if lock:
        assert lock.take()
    yield lock
    if lock:
        lock.release()


def test_a_held_account_is_refused_with_its_holder(database):
    clock = Clock()
    with account_held_elsewhere(database, clock):
        clock.ms += TTL_MS - 1
        with pytest.raises(LeaseError, match="elsewhere 1"), held_lease(database, "paper", clock):
            pass


def test_a_stalled_holder_is_fenced_by_the_epoch_when_its_lease_is_over(database):
    clock = Clock()
    with account_held_elsewhere(database, clock):
        clock.ms += TTL_MS
        with held_lease(database, "paper", clock) as lease:
            assert (lease.epoch, lease.quiet_until_ms) == (2, 0)
            assert lease.fresh(clock.ms)


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_postgresql_frees_the_account_as_soon_as_the_holders_connection_ends(database):
    clock = Clock()
    with account_held_elsewhere(database, clock) as lock:
        with database.engine.begin() as connection:  # as the server does when the process is gone
            ended = (
                "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND pid != pg_backend_pid()"
            )
            connection.exec_driver_sql(ended)
        probe, deadline = AdvisoryLock(database, "paper"), time.monotonic() + PATIENCE_S
        while not probe.take() and time.monotonic() < deadline:
            time.sleep(0.01)
        probe.release()
        with held_lease(database, "paper", clock) as lease:
            quiet_ms = clock.ms + TTL_MS // 2
            assert (lease.epoch, lease.quiet_until_ms) == (2, quiet_ms)  # it may live, and send until then
            assert not lease.fresh(quiet_ms - 1)
            lease.renewed(quiet_ms)
            assert lease.fresh(quiet_ms)
        lock.retake()
        assert lock.held


def test_a_lease_is_fresh_for_half_its_length_after_each_renewal(database):
    clock = Clock()
    with held_lease(database, "paper", clock) as lease:
        assert lease.fresh(clock.ms + TTL_MS // 2 - 1)
        assert not lease.fresh(clock.ms + TTL_MS // 2)
        with database.engine.begin() as connection:
            lease.renew(connection, clock.ms + 20_000)
        assert not lease.fresh(clock.ms + 20_000)  # not before it is committed and said so
        lease.renewed(clock.ms + 20_000)
        assert lease.fresh(clock.ms + 20_000)
    assert not lease.fresh(clock.ms + 20_000)


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_two_advisory_locks_of_an_account_exclude_each_other_and_others_do_not(database):
    one, other, free = (AdvisoryLock(database, name) for name in ("paper", "paper", "live"))
    assert one.take()
    assert one.take()
    assert not other.take()
    assert not other.held
    assert free.take()
    one.release()
    assert other.take()
    other.release()
    free.release()


def test_an_expired_lease_is_taken_over_and_its_holder_fenced(database):
    clock = Clock()
    slept = _take(database, "paper", clock)
    give_to(database, living_holder())
    stalled = Lease("paper", slept.epoch, living_holder())
    clock.ms += TTL_MS
    taken = _take(database, "paper", clock)
    assert taken.epoch == 2
    with database.engine.begin() as connection, pytest.raises(LeaseError, match="taken over"):
        stalled.renew(connection, clock.ms)
    with database.engine.begin() as connection:
        stalled.release(connection)  # must not end the other one's lease
        taken.renew(connection, clock.ms)


def test_the_lease_of_a_dead_process_is_taken_over_at_once(database):
    clock = Clock()
    _take(database, "paper", clock)
    child = subprocess.Popen([sys.executable, "-c", ""])
    holder = Holder(Holder.here().host, child.pid, "1")
    child.wait()
    give_to(database, str(holder))
    assert _take(database, "paper", clock).epoch == 2


def test_a_process_id_that_was_used_again_is_not_the_holder(database):
    me = Holder.here()
    assert not me.is_dead()
    assert Holder(me.host, os.getpid(), "0").is_dead()


def test_a_process_of_another_machine_is_never_known_to_be_dead():
    assert not Holder("elsewhere", 2**22 + 1, "?").is_dead()


def test_a_holder_reads_back_from_its_text():
    assert Holder.parse(str(Holder.here())) == Holder.here()


def test_accounts_do_not_stand_in_each_others_way(database):
    with held_lease(database, "one", Clock()), held_lease(database, "two", Clock()) as other:
        assert other.epoch == 1


def test_the_file_lock_refuses_while_the_row_is_free(tmp_path):
    from atb.db import open_database

    database = open_database(f"sqlite:///{tmp_path / 'atb.db'}")
    with held_lease(database, "paper", Clock()) as lease:
        with database.engine.begin() as connection:
            lease.release(connection)
        with pytest.raises(LeaseError, match=str(os.getpid())), held_lease(database, "paper", Clock()):
            pass
    database.close()
