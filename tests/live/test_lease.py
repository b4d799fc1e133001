"""One runner per account: who gets the lease, who is refused, and what an overtaken runner may still write."""

import os
import subprocess
import sys

import pytest
from sqlalchemy import update

from atb.db.tables import AccountLease
from atb.errors import LeaseError
from atb.live.lease import TTL_MS, Holder, Lease, _take, held_lease


class Clock:
    """A clock that tells what it is told."""

    def __init__(self) -> None:
        self.ms = 1_000_000

    def now_ms(self) -> int:
        return self.ms


def give_to(database, holder: str) -> None:
    with database.engine.begin() as connection:
        connection.execute(update(AccountLease).values(holder=holder))


def a_living_stranger() -> str:
    return str(Holder("elsewhere", 1, "?"))


def test_the_first_runner_gets_the_first_epoch_and_the_next_one_the_next(database):
    with held_lease(database, "paper", Clock()) as first:
        assert first.epoch == 1
    with held_lease(database, "paper", Clock()) as second:
        assert second.epoch == 2


def test_a_held_account_is_refused_with_its_holder(database):
    clock = Clock()
    _take(database, "paper", clock)
    give_to(database, a_living_stranger())
    clock.ms += TTL_MS - 1
    with pytest.raises(LeaseError, match="elsewhere 1"), held_lease(database, "paper", clock):
        pass


def test_an_expired_lease_is_taken_over_and_its_holder_fenced(database):
    clock = Clock()
    slept = _take(database, "paper", clock)
    give_to(database, a_living_stranger())
    overslept = Lease("paper", slept.epoch, a_living_stranger())
    clock.ms += TTL_MS
    taken = _take(database, "paper", clock)
    assert taken.epoch == 2
    with database.engine.begin() as connection, pytest.raises(LeaseError, match="taken over"):
        overslept.renew(connection, clock.ms)
    with database.engine.begin() as connection:
        overslept.give_back(connection)  # must not end the other one's lease
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


def test_nobody_can_know_that_a_process_elsewhere_is_dead():
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
            lease.give_back(connection)
        with pytest.raises(LeaseError, match=str(os.getpid())), held_lease(database, "paper", Clock()):
            pass
    database.close()
