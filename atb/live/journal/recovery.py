"""Recovery: where a session stands, read from the journal; a runner always starts from here, however the last one ended."""

from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Protocol

from atb.db import Database
from atb.db.partitions import Month
from atb.domain import Timeframe
from atb.engine.policy import AccountPolicy
from atb.engine.state import KernelState
from atb.live.journal import sql
from atb.live.journal.rows import working
from atb.live.journal.step import Step, Working
from atb.live.plan import Plan
from atb.times import DAY_MS

_RECENT_MS = 100 * DAY_MS  # no order is made in the name of an older bar


class TradedPortfolio(Protocol):
    """The part of a portfolio that the journal needs."""

    @property
    def plans(self) -> tuple[Plan, ...]:
        """One per slot."""
        ...

    @property
    def account(self) -> AccountPolicy:
        """Cash and limits."""
        ...

    def identity(self) -> dict[str, str]:
        """Return `mode` and `key`, as the session's row stores them."""
        ...

    def fresh_state(self) -> KernelState:
        """Return the kernel state before the first bar."""
        ...


@dataclass
class Written:
    """The journal's own record of what it has written: as the only writer of its session it need not read it back.

    `in_doubt` is a step whose commit may or may not have succeeded.
    """

    step_no: int = 0
    event_no: int = 0
    equity: Decimal = Decimal(0)
    closes: dict[int, float] = field(default_factory=dict)
    months: set[Month] = field(default_factory=set)
    in_doubt: Step | None = None


@dataclass(frozen=True)
class SlotProgress:
    """Where a slot stands: the open (epoch milliseconds) of its last decided bar, None before the first."""

    last_bar_ms: int | None = None


@dataclass(frozen=True)
class ResumePoint:
    """Where a session stands.

    Parameters
    ----------
    trade_from_ms, last_bar_ms
        Opens of the first traded bar and of the last one (None: none yet).
    session_id
        Empty for a session that does not exist yet.
    slots
        Where each slot stands.
    state
        The kernel state with the desk's state under `desk`; None for a session that does not exist yet.
    working
        Open orders, as far as the journal knows.
    cursors
        Newest execution seen, by symbol.
    attempts
        Number of the next attempt by (slot, bar, role), for the bars of the last hundred days.
    """

    trade_from_ms: int
    last_bar_ms: int | None = None
    session_id: str = ""
    slots: tuple[SlotProgress, ...] = ()
    state: dict[str, Any] | None = None
    working: tuple[Working, ...] = ()
    cursors: dict[str, str] = field(default_factory=dict)
    attempts: dict[tuple[int, int, str], int] = field(default_factory=dict)

    @property
    def last_bars(self) -> dict[int, int | None]:
        """By slot, the open (epoch milliseconds) of its last decided bar, None before the first."""
        return {slot: place.last_bar_ms for slot, place in enumerate(self.slots)}


def find_session(database: Database, account: str, key: str, *, sent_after_ms: int = 0) -> ResumePoint | None:
    """Return where the newest session of an account and a portfolio stands, None if there is none.

    Parameters
    ----------
    sent_after_ms
        Until then the previous runner may still have sent what it had committed: orders in state `sent` count as sent then.
    """
    with database.session(read_only=True) as session:
        connection = session.connection()
        found = connection.execute(sql.FIND, {"of": account, "key": key}).one_or_none()
        if found is None:
            return None
        key_of = {"of": found.session_id}
        places = [(row.last_bar_ms, row.timeframe) for row in connection.execute(sql.PLACES, key_of)]
        recent_ms = (found.last_bar_ms or found.trade_from_ms) - _RECENT_MS
        return ResumePoint(
            found.trade_from_ms,
            found.last_bar_ms,
            found.session_id,
            tuple(SlotProgress(last) for last, _ in places),
            _with_interest_paid(connection.scalar(sql.PAYLOAD, key_of), places),
            tuple(working(row, sent_after_ms) for row in session.scalars(sql.WORKING, key_of)),
            {row.symbol: row.trade_id for row in connection.execute(sql.CURSORS, key_of)},
            {
                (slot, bar, role): attempts
                for slot, bar, role, attempts in connection.execute(sql.ATTEMPTS, {**key_of, "since": recent_ms})
            },
        )


def find_order(database: Database, session_id: str, client_id: str) -> Working | None:
    """Return an order of a session by its client id, None if the session has no such order."""
    with database.session(read_only=True) as session:
        row = session.scalar(sql.INTENT, {"of": session_id, "name": client_id})
        return None if row is None else working(row)


def _with_interest_paid(state: dict[str, Any] | None, places: list[tuple[int | None, str]]) -> dict[str, Any] | None:
    """Return a kernel state as it is, and one of schema 2 as schema 3.

    Schema 3 added `paid` to a slot: up to when interest was paid. Before, that was the close of the last bar, or the entry.
    """
    if state is None or state["schema"] != 2:
        return state
    slots = []
    for slot, (last_bar_ms, timeframe) in zip(state["slots"], places, strict=True):
        closed_ms = 0 if last_bar_ms is None else Timeframe.parse(timeframe).next_ms(last_bar_ms)
        slots.append({**slot, "paid": max(closed_ms, slot["entry_time"]) if slot["quantity"] else 0})
    return {**state, "schema": 3, "slots": slots}
