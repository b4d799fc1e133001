"""One runner per account: a lease row with an epoch that every transaction checks, and a file lock beside SQLite."""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Connection, bindparam, insert, select, update
from sqlalchemy.exc import DBAPIError, IntegrityError

from atb.db import Database
from atb.db.tables import AccountLease
from atb.domain import Clock
from atb.errors import LeaseError
from atb.monitoring.processes import Holder

TTL_MS = 30_000
_EXTEND = (
    update(AccountLease)
    .where(
        AccountLease.account == bindparam("of"),
        AccountLease.epoch == bindparam("in_epoch"),
        AccountLease.holder == bindparam("held_by"),
    )
    .values(until_ms=bindparam("until"))
)
_WAIT = "Wait for it or stop it, or trade under another name: --account NAME"


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to write for an account, until someone else has a higher epoch."""

    account: str
    epoch: int
    holder: str

    def renew(self, connection: Connection, now_ms: int) -> None:
        """Extend the lease within the caller's transaction, which must not be committed without it.

        Raises
        ------
        LeaseError
            If another runner has taken the account over.
        """
        if connection.execute(_EXTEND, {**self._named(), "until": now_ms + TTL_MS}).rowcount != 1:
            raise LeaseError(f"Account {self.account} was taken over by another runner; this one stops", todo=_WAIT)

    def give_back(self, connection: Connection) -> None:
        """Let anyone have the account, unless someone else has it already."""
        connection.execute(_EXTEND, {**self._named(), "until": 0})

    def _named(self) -> dict[str, object]:
        return {"of": self.account, "in_epoch": self.epoch, "held_by": self.holder}


@contextmanager
def held_lease(database: Database, account: str, clock: Clock) -> Iterator[Lease]:
    """Hold an account for the length of a block.

    The lease is taken over only where it has expired, was given back, or its holder is a process of this machine that died.

    Raises
    ------
    LeaseError
        If another runner holds the account; the message says which process.
    """
    with _file_lock(database, account):
        lease = _take(database, account, clock)
        try:
            yield lease
        finally:
            with suppress(DBAPIError), database.engine.begin() as connection:
                lease.give_back(
                    connection
                )  # with the database gone, the lease runs out or its holder is seen to be dead


def _take(database: Database, account: str, clock: Clock) -> Lease:
    row, me = AccountLease, str(Holder.here())
    try:
        with database.session() as session:
            held = session.execute(select(row).where(row.account == account).with_for_update()).scalar_one_or_none()
            if held is None:
                fresh = {"account": account, "epoch": 1, "holder": me, "until_ms": clock.now_ms() + TTL_MS}
                session.execute(insert(row), [fresh])
                return Lease(account, 1, me)
            if held.until_ms > clock.now_ms() and not Holder.parse(held.holder).is_dead():
                raise _refusal(account, held.holder)
            held.epoch, held.holder, held.until_ms = held.epoch + 1, me, clock.now_ms() + TTL_MS
            return Lease(account, held.epoch, me)
    except IntegrityError:  # two runners met at an account that had no lease yet: the other one was first
        raise _refusal(account, "another process") from None


def _refusal(account: str, holder: str) -> LeaseError:
    return LeaseError(f"Account {account} is traded by another runner", found=holder, todo=_WAIT)


@contextmanager
def _file_lock(database: Database, account: str) -> Iterator[None]:
    """Hold a lock file beside an SQLite database; the system frees it when the process ends, however it ends."""
    place = database.engine.url.database
    if database.dialect != "sqlite" or place is None or place.startswith("file:"):
        yield
        return
    with Path(f"{place}.{account}.lock").open("a+", encoding="utf-8") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            raise _refusal(account, lock.read().strip() or "a process that is just starting") from None
        lock.truncate(0)
        lock.write(str(Holder.here()))
        lock.flush()
        yield
