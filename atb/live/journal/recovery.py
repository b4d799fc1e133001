"""Where a session stands, read from the journal: a runner that starts goes on from there, whatever ended the one before."""

from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Protocol

from atb.db import Database
from atb.db.partitions import Month
from atb.engine.policy import AccountPolicy
from atb.engine.state import KernelState
from atb.live.journal import sql
from atb.live.journal.rows import working
from atb.live.journal.step import Step, Working
from atb.live.plan import Plan

_RECENT_MS = 100 * 86_400_000  # no order is made in the name of an older bar


class Traded(Protocol):
    """What the journal asks of a portfolio."""

    @property
    def plans(self) -> tuple[Plan, ...]:
        """One per slot."""
        ...

    @property
    def account(self) -> AccountPolicy:
        """Cash and limits."""
        ...

    def identity(self) -> dict[str, str]:
        """Return mode and key."""
        ...

    def fresh_state(self) -> KernelState:
        """Return the kernel's state before the first bar."""
        ...


@dataclass
class Written:
    """What the journal knows without asking: it is the only writer of its session."""

    step_no: int = 0
    event_no: int = 0
    equity: Decimal = Decimal(0)
    closes: dict[int, float] = field(default_factory=dict)
    months: set[Month] = field(default_factory=set)
    doubt: Step | None = None  # whether it was committed is not known


@dataclass(frozen=True)
class SlotPlace:
    """Where a slot stands: its last decided bar, None before the first."""

    last_bar_ms: int | None = None


@dataclass(frozen=True)
class Resumed:
    """Where a session stands.

    Parameters
    ----------
    trade_from_ms, last_bar_ms
        First traded bar, and the last one (None: none yet).
    slots
        Where each slot stands.
    state
        The kernel's state and what the runner stored with it, None for a session that does not exist yet.
    working
        Orders that are out, as far as the journal knows.
    cursors
        Symbol to the newest execution seen there.
    attempts
        The number after the last attempt, by (slot, bar, role), for the bars of the last hundred days.
    """

    trade_from_ms: int
    last_bar_ms: int | None = None
    slots: tuple[SlotPlace, ...] = ()
    state: dict[str, Any] | None = None
    working: tuple[Working, ...] = ()
    cursors: dict[str, str] = field(default_factory=dict)
    attempts: dict[tuple[int, int, str], int] = field(default_factory=dict)


def find_session(database: Database, account: str, key: str, *, sent_after_ms: int = 0) -> Resumed | None:
    """Return where the newest session of an account and a portfolio stands, None if there is none.

    `sent_after_ms` is a moment until which the runner before may have sent what it had committed: such an order counts as
    sent then.
    """
    with database.session(read_only=True) as session:
        connection = session.connection()
        there = connection.execute(sql.FIND, {"of": account, "key": key}).one_or_none()
        if there is None:
            return None
        of = {"of": there.session_id}
        recent_ms = (there.last_bar_ms or there.trade_from_ms) - _RECENT_MS
        return Resumed(
            there.trade_from_ms,
            there.last_bar_ms,
            tuple(SlotPlace(last) for last in connection.scalars(sql.PLACES, of)),
            connection.scalar(sql.PAYLOAD, of),
            tuple(working(row, sent_after_ms) for row in session.scalars(sql.WORKING, of)),
            {row.symbol: row.trade_id for row in connection.execute(sql.CURSORS, of)},
            {
                (slot, bar, role): made
                for slot, bar, role, made in connection.execute(sql.ATTEMPTS, {**of, "since": recent_ms})
            },
        )
