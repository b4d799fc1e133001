"""One runner per account: a lease row with an epoch that every transaction checks, and a lock that the system frees.

The epoch fences off a holder that stalled: it can no longer write. The lock (a file beside SQLite, an advisory lock in PostgreSQL)
keeps a second runner out while the first one lives, and lets it in as soon as the first is dead. A request to an exchange cannot
be fenced, so a holder stops sending half a lease after its last renewal, and a successor to a holder that may still live waits
that long before it sends.
"""

import fcntl
import hashlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

from sqlalchemy import Connection, bindparam, insert, select, text, update
from sqlalchemy.exc import IntegrityError, SQLAlchemyError

from atb.db import Database
from atb.db.tables import LeaseRow
from atb.domain import Clock
from atb.errors import LeaseError
from atb.files import private_opener
from atb.monitoring.processes import Holder
from atb.threads import Call

# Longer than twice what a request may take: its time-out and the venue's window for late execution.
TTL_MS = 30_000
_PARTING_S = 30.0  # at its end the process waits no longer for a database that hangs
_EXTEND = (
    update(LeaseRow)
    .where(
        LeaseRow.account == bindparam("of"),
        LeaseRow.epoch == bindparam("in_epoch"),
        LeaseRow.holder == bindparam("held_by"),
    )
    .values(until_ms=bindparam("until"))
)
_WAIT = "Wait for it or stop it, or trade under another name: --account NAME"


class AdvisoryLock:
    """PostgreSQL's lock on an account, on its own connection: it is free as soon as that connection ends."""

    def __init__(self, database: Database, account: str) -> None:
        self._database = database
        digest = hashlib.sha256(f"atb lease {account}".encode()).digest()
        self._key = int.from_bytes(digest[:8], "big", signed=True)
        self._connection: Connection | None = None

    @property
    def held(self) -> bool:
        """Whether this process took it; a dead connection is noticed only when it is used."""
        return self._connection is not None

    def take(self) -> bool:
        """Take the lock if it is free; return whether it is ours now."""
        if self._connection is None:
            connection = self._database.engine.connect().execution_options(isolation_level="AUTOCOMMIT")
            connection.detach()  # keeps it out of the pool
            if not connection.scalar(text("SELECT pg_try_advisory_lock(:key)"), {"key": self._key}):
                connection.close()
                return False
            self._connection = connection
        return True

    def release(self) -> None:
        """Release the lock, and close the connection."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(SQLAlchemyError), connection:  # with the server gone, so is the lock
                connection.execute(text("SELECT pg_advisory_unlock(:key)"), {"key": self._key})

    def retake(self) -> None:
        """Take the lock again after the server was away; if another runner has it, the epoch decides."""
        self.release()
        with suppress(SQLAlchemyError):
            self.take()


@dataclass(eq=False)
class Lease:
    """The right to write for an account, until someone else has a higher epoch.

    Parameters
    ----------
    quiet_until_ms
        Nothing may be sent before this time (epoch milliseconds): the previous holder may still be sending.
    lock
        PostgreSQL's lock, None elsewhere.
    """

    account: str
    epoch: int
    holder: str
    quiet_until_ms: int = 0
    lock: AdvisoryLock | None = None
    _renewed_ms: int | None = field(default=None, repr=False)
    _database_lost: bool = field(default=False, repr=False)

    def renew(self, connection: Connection, now_ms: int) -> None:
        """Extend the lease within the caller's transaction, which must not be committed without it.

        Raises
        ------
        LeaseError
            If another runner has taken the account over.
        """
        if connection.execute(_EXTEND, {**self._named(), "until": now_ms + TTL_MS}).rowcount != 1:
            raise LeaseError(f"Account {self.account} was taken over by another runner; this one stops", todo=_WAIT)

    def renewed(self, now_ms: int) -> None:
        """Note that a transaction which renewed the lease at `now_ms` was committed."""
        self._renewed_ms = now_ms
        if self._database_lost and self.lock is not None:
            self.lock.retake()
        self._database_lost = False

    def lose_database(self) -> None:
        """Note that the database was lost: PostgreSQL's lock may be gone with the server."""
        self._database_lost = True

    def fresh(self, now_ms: int) -> bool:
        """Return whether an order may be sent: the lease is less than half over, and no previous holder may still send."""
        if self._renewed_ms is None or now_ms < self.quiet_until_ms:
            return False
        return now_ms < self._renewed_ms + TTL_MS // 2

    def release(self, connection: Connection) -> None:
        """Release the account, unless another runner has taken it already."""
        connection.execute(_EXTEND, {**self._named(), "until": 0})
        self._renewed_ms = None

    def _named(self) -> dict[str, object]:
        return {"of": self.account, "in_epoch": self.epoch, "held_by": self.holder}


@contextmanager
def held_lease(database: Database, account: str, clock: Clock) -> Iterator[Lease]:
    """Hold an account for the length of a block.

    The lease is taken over if it has expired or was released, if its holder is a dead process of this machine, or if PostgreSQL saw
    the holder's connection end. In the last case the holder may still live, and `quiet_until_ms` is set.

    Raises
    ------
    LeaseError
        If another runner holds the account; the message says which process.
    """
    with _file_lock(database, account), _advisory_lock(database, account) as lock:
        lease = _take(database, account, clock, lock=lock)
        try:
            yield lease
        finally:
            Call(lambda: _release(database, lease), "lease").wait(_PARTING_S)


def _release(database: Database, lease: Lease) -> None:
    """Release a lease; without the database it expires, or its holder is found dead."""
    with suppress(SQLAlchemyError), database.engine.begin() as connection:
        lease.release(connection)


def _take(database: Database, account: str, clock: Clock, *, lock: AdvisoryLock | None = None) -> Lease:
    row, me, now_ms = LeaseRow, str(Holder.here()), clock.now_ms()
    try:
        with database.session() as session:
            held = session.execute(select(row).where(row.account == account).with_for_update()).scalar_one_or_none()
            if held is None:
                session.execute(
                    insert(row), [{"account": account, "epoch": 1, "holder": me, "until_ms": now_ms + TTL_MS}]
                )
                lease = Lease(account, 1, me, lock=lock)
            else:
                quiet_ms = _quiet_ms(held, now_ms, ended=lock is not None and lock.held)
                held.epoch, held.holder, held.until_ms = held.epoch + 1, me, now_ms + TTL_MS
                lease = Lease(account, held.epoch, me, quiet_ms, lock)
    except IntegrityError:  # another runner took the account's first lease at the same moment
        raise _refusal(account, "another process") from None
    lease.renewed(now_ms)
    return lease


def _quiet_ms(held: LeaseRow, now_ms: int, *, ended: bool) -> int:
    """Return until when the previous holder may still send, 0 if it cannot; refuse if it still holds the account.

    `ended` says that PostgreSQL saw its connection end: the process may be dead, or may only have lost the server.
    """
    if held.until_ms <= now_ms or Holder.parse(held.holder).is_dead():
        return 0
    if ended:
        return held.until_ms - TTL_MS // 2
    raise _refusal(held.account, held.holder)


def _refusal(account: str, holder: str) -> LeaseError:
    return LeaseError(f"Account {account} is traded by another runner", found=holder, todo=_WAIT)


@contextmanager
def _advisory_lock(database: Database, account: str) -> Iterator[AdvisoryLock | None]:
    """Try to take PostgreSQL's lock: a stalled holder keeps it, but loses the account when its lease expires."""
    if database.dialect != "postgresql":
        yield None
        return
    lock = AdvisoryLock(database, account)
    try:
        lock.take()
        yield lock
    finally:
        Call(lock.release, "lease").wait(_PARTING_S)


@contextmanager
def _file_lock(database: Database, account: str) -> Iterator[None]:
    """Hold a lock file beside an SQLite database; the system frees it when the process ends."""
    place = database.engine.url.database
    if database.dialect != "sqlite" or place is None or place.startswith("file:"):
        yield
        return
    path = f"{place}.{account}.lock"
    with open(path, "a+", encoding="utf-8", opener=private_opener) as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            raise _refusal(account, lock.read().strip() or "a process that is just starting") from None
        lock.truncate(0)
        lock.write(str(Holder.here()))
        lock.flush()
        yield
