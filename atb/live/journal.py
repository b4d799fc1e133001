"""The journal: what a session did, one transaction per step, and where a restarted runner finds itself.

A transaction holds the lease's check, the decision, new orders, what became of orders, fills, trades, equity, the kernel's
state and the session's last bar. So a process that dies at any moment leaves a session between two bars, and to start is to
read where it was: there is no other recovery.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np
from sqlalchemy import BigInteger, Connection, bindparam, insert, select, update
from sqlalchemy.exc import DBAPIError

from atb.db import Database
from atb.db.tables import (
    DecisionRow,
    EquityRow,
    Event,
    FillRow,
    Intent,
    KernelState,
    LiveSession,
    TradeRow,
)
from atb.domain import Clock, Order, Symbol
from atb.engine.codes import DIRECTIONS, REASONS
from atb.errors import InputError, LeaseError, SetupError
from atb.live.lease import Lease
from atb.live.plan import Plan
from atb.live.trader import Execution, Step, Working
from atb.promotion.provenance import installed_versions
from atb.venues.paper import exact

_SLOT = 0  # one slot per session so far
_OPEN_STATES = ("planned", "live")
# Built once: a step must not pay for assembling SQL.
_BECOME = (
    update(Intent)
    .where(Intent.client_id == bindparam("of"))
    .values(state=bindparam("becomes"), refusal=bindparam("why"), updated_at=bindparam("at"))
)
_SAVE = (
    update(KernelState)
    .where(KernelState.session_id == bindparam("of"))
    .values(bar_ms=bindparam("bar"), schema=bindparam("version"), payload=bindparam("state"))
)
_ADVANCE = (
    update(LiveSession)
    .where(
        LiveSession.session_id == bindparam("of"),
        LiveSession.last_bar_ms.is_not_distinct_from(bindparam("before", type_=BigInteger)),
    )
    .values(last_bar_ms=bindparam("bar"))
)
_INSERT = {table: insert(table) for table in (DecisionRow, Intent, FillRow, TradeRow, EquityRow)}


@dataclass(frozen=True)
class Resumed:
    """Where a session stands: its first traded bar, its last bar (None: none yet), saved state and working orders."""

    trade_from_ms: int
    last_bar_ms: int | None
    state: dict[str, Any] | None
    working: tuple[Order, ...]


def session_id(account: str, manifest_sha256: str) -> str:
    """Return the id of the only session of an account and a manifest."""
    return f"{account}-{manifest_sha256[:16]}"


def find_session(database: Database, account: str, manifest_sha256: str) -> Resumed | None:
    """Return where the session of this account and manifest stands, None if there is none."""
    wanted = session_id(account, manifest_sha256)
    with database.session(read_only=True) as session:
        row = session.get(LiveSession, wanted)
        if row is None:
            return None
        saved = session.get(KernelState, wanted)
        out = select(Intent).where(Intent.session_id == wanted, Intent.state.in_(_OPEN_STATES))
        working = tuple(_order(intent) for intent in session.scalars(out.order_by(Intent.client_id)))
        return Resumed(row.trade_from_ms, row.last_bar_ms, saved.payload if saved else None, working)


class Journal:
    """Writes one session; every transaction proves that this process still holds the account.

    Parameters
    ----------
    database, lease, clock
        Where to write, the right to, and the time of day for the lease.
    plan, account
        Whose session it is.
    """

    def __init__(self, database: Database, lease: Lease, clock: Clock, *, plan: Plan) -> None:
        self._database, self._lease, self._clock, self._plan = database, lease, clock, plan
        self.session_id = session_id(lease.account, plan.manifest.content_sha256)
        self._last_bar_ms: int | None = None

    def begin(self, trade_from_ms: int, config: dict[str, Any]) -> Resumed:
        """Open the session, or go on with it; return where it stands.

        Raises
        ------
        InputError
            If the session exists and began at another bar.
        """
        there = find_session(self._database, self._lease.account, self._plan.manifest.content_sha256)
        if there is not None and there.trade_from_ms != trade_from_ms:
            raise InputError(
                f"Session {self.session_id} began at another bar, {there.trade_from_ms} ms",
                found=trade_from_ms,
                todo="Leave --from out to go on with it, or trade under another name: --account NAME",
            )
        detail = {"epoch": self._lease.epoch, "last_bar_ms": there.last_bar_ms if there else None}
        with self._transaction() as connection:
            if there is None:
                self._insert_session(connection, trade_from_ms, config)
            else:
                self._set(connection, status="running", config=config, versions=installed_versions())
            self._event(connection, "resumed" if there else "started", detail)
        self._last_bar_ms = there.last_bar_ms if there else None
        return there or Resumed(trade_from_ms, None, None, ())

    def write(self, step: Step) -> None:
        """Commit a step, all of it or nothing.

        Raises
        ------
        LeaseError
            If another runner has taken the account over; nothing was written then.
        """
        placed = [self._intent_row(working, step.outcomes) for working in step.placed]
        amounts = {"equity": exact(step.equity), "cash": exact(step.cash)}
        rows: dict[Any, list[dict[str, Any]]] = {
            DecisionRow: [self._decision_row(step)],
            Intent: placed,
            FillRow: [self._fill_row(done) for done in step.fills],
            TradeRow: [self._trade_row(number, trade) for number, trade in step.trades],
            EquityRow: [{"session_id": self.session_id, "bar_ms": step.bar_ms, **amounts}],
        }
        changes = self._changes(step, {row["client_id"] for row in placed})
        saved = {"of": self.session_id, "bar": step.bar_ms, "version": step.state["schema"], "state": step.state}
        with self._transaction() as connection:
            self._advance(connection, step.bar_ms)
            for table, given in rows.items():
                if given:
                    connection.execute(_INSERT[table], given)
            if changes:
                connection.execute(_BECOME, changes)
            connection.execute(_SAVE, saved)
        self._last_bar_ms = step.bar_ms

    def heartbeat(self) -> None:
        """Keep the lease while nothing happens."""
        with self._transaction():
            pass  # the lease is all there is to write

    def end(self, status: str, detail: dict[str, Any]) -> None:
        """Write how this process left the session: `stopped` or `finished`."""
        with self._transaction() as connection:
            self._set(connection, status=status)
            self._event(connection, status, detail)

    @contextmanager
    def _transaction(self) -> Iterator[Connection]:
        """Give one transaction that begins by proving that the account is still held."""
        try:
            with self._database.engine.begin() as connection:
                self._lease.renew(connection, self._clock.now_ms())
                yield connection
        except DBAPIError as lost:
            reason = str(lost.orig).strip().splitlines()[0]
            raise SetupError(
                f"The journal cannot be written: {reason}",
                found=self._database.label,
                todo="Start the runner again when the database is back; it goes on after the last bar written",
            ) from lost

    # --- rows ---------------------------------------------------------------------------------------------------------

    def _insert_session(self, connection: Connection, trade_from_ms: int, config: dict[str, Any]) -> None:
        state = self._plan.fresh_state().to_json()
        row = {
            "session_id": self.session_id,
            "account": self._lease.account,
            **self._plan.identity(),
            "cash": exact(self._plan.account.cash),
            "trade_from_ms": trade_from_ms,
            "last_bar_ms": None,
            "status": "running",
            "versions": installed_versions(),
            "config": config,
        }
        connection.execute(insert(LiveSession), [row])
        saved = {"session_id": self.session_id, "bar_ms": 0, "schema": state["schema"], "payload": state}
        connection.execute(insert(KernelState), [saved])

    def _set(self, connection: Connection, **values: Any) -> None:
        connection.execute(update(LiveSession).where(LiveSession.session_id == self.session_id).values(**values))

    def _advance(self, connection: Connection, bar_ms: int) -> None:
        """Move the session from the last bar to this one; where another process moved it, refuse."""
        moved = {"of": self.session_id, "before": self._last_bar_ms, "bar": bar_ms}
        if connection.execute(_ADVANCE, moved).rowcount != 1:
            raise LeaseError(f"Session {self.session_id} was moved on by another process; this one stops")

    def _event(self, connection: Connection, kind: str, detail: dict[str, Any]) -> None:
        row = {"session_id": self.session_id, "severity": "info", "kind": kind, "detail": detail}
        connection.execute(insert(Event), [row])

    def _changes(self, step: Step, new: set[str]) -> list[dict[str, Any]]:
        """Return what became of orders that earlier steps placed."""
        at = datetime.now(UTC)
        outcomes = ((client_id, *end) for client_id, end in step.outcomes.items() if client_id not in new)
        return [{"of": client_id, "becomes": state, "why": why, "at": at} for client_id, state, why in outcomes]

    def _slot(self) -> dict[str, Any]:
        return {"session_id": self.session_id, "slot": _SLOT, "symbol": str(self._plan.symbol)}

    def _decision_row(self, step: Step) -> dict[str, Any]:
        return {**self._slot(), "strategy": self._plan.strategy.name, "bar_ms": step.bar_ms, **step.decision}

    def _intent_row(self, working: Working, outcomes: dict[str, tuple[str, str | None]]) -> dict[str, Any]:
        order = working.order
        state, refusal = outcomes.get(order.client_id, ("planned" if order.type == "market" else "live", None))
        return {
            **self._slot(),
            "strategy": self._plan.strategy.name,
            "client_id": order.client_id,
            "bar_ms": working.bar_ms,
            "role": order.role,
            "attempt": int(order.client_id.rpartition("-")[2][1:]),
            "side": order.side,
            "type": order.type,
            "quantity": order.quantity,
            "price": order.price,
            "stop_price": order.stop_price,
            "state": state,
            "reason": order.reason,
            "refusal": refusal,
            "epoch": self._lease.epoch,
        }

    def _fill_row(self, done: Execution) -> dict[str, Any]:
        names = ("trade_id", "client_id", "side", "price", "quantity", "fee", "fee_asset", "fee_value", "time_ms")
        said = {name: getattr(done.fill, name) for name in names}
        return {**self._slot(), **said, "fill_no": done.number, "role": done.order.role, "reason": done.reason}

    def _trade_row(self, number: int, trade: np.void) -> dict[str, Any]:
        money = ("quantity", "entry_price", "exit_price", "fees", "financing", "pnl")
        amounts = {name: exact(trade[name]) for name in money}
        return {
            **self._slot(),
            "strategy": self._plan.strategy.name,
            "trade_no": number,
            "side": DIRECTIONS[int(trade["side"])],
            **amounts,
            "entry_ms": int(trade["entry_time"]),
            "exit_ms": int(trade["exit_time"]),
            "mfe": float(trade["mfe"]),
            "mae": float(trade["mae"]),
            "exit_reason": REASONS[int(trade["reason"])],
            "bars_held": int(trade["bars_held"]),
            "additions": int(trade["additions"]),
        }


def _order(row: Intent) -> Order:
    return Order(
        row.client_id,
        Symbol.parse(row.symbol),
        row.side,  # type: ignore[arg-type] # what an Order wrote
        row.role,  # type: ignore[arg-type]
        row.type,  # type: ignore[arg-type]
        row.quantity,
        row.price,
        row.stop_price,
        row.reason or "",
    )
