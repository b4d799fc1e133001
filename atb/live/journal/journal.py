"""The journal: writes what a session did, one transaction per step, so that a restarted runner finds where it was.

A transaction holds the lease check, the kill switch, the breakers, decisions, new orders, changes of orders, fills, trades, equity
and the kernel state. A process that dies at any moment leaves the session between two steps, and starting means reading where it
was: there is no other recovery.
"""

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from decimal import Decimal
from typing import Any

from sqlalchemy import Connection, insert, update
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError, NotSupportedError, ProgrammingError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from atb.db import Database
from atb.db.partitions import Month, ensure_months
from atb.db.tables import SessionRow, SlotRow
from atb.decimals import exact
from atb.domain import Clock, Symbol
from atb.errors import DatabaseLostError, InputError, LeaseError
from atb.live.journal import sql
from atb.live.journal.beginning import free_id, insert_session, read_written
from atb.live.journal.breakers import Breakers, BreakerVerdict, Proposed, judge
from atb.live.journal.handover import HandOver, write_hand_over
from atb.live.journal.kill_switch import NO_HALT, Halt, KillSwitch, Level, effective_halt, latch, latched
from atb.live.journal.lease import Lease
from atb.live.journal.recovery import ResumePoint, SlotProgress, TradedPortfolio, Written, find_order, find_session
from atb.live.journal.rows import Rows, entry_values
from atb.live.journal.step import OPEN_STATES, Step, Withheld, Working
from atb.promotion.provenance import installed_versions

_OURS = (IntegrityError, DataError, ProgrammingError, NotSupportedError)  # bugs, not a lost database


class Journal:
    """Writes one session; every transaction proves that this process still holds the account.

    Parameters
    ----------
    database, lease, clock
        Where to write, the right to write, and the clock of the lease.
    portfolio
        What trades.
    breakers
        How much may be sent.
    switch
        The kill switch outside the database.
    """

    def __init__(
        self, database: Database, lease: Lease, clock: Clock, *, portfolio: TradedPortfolio,
        breakers: Breakers | None = None, switch: KillSwitch | None = None,
    ) -> None:  # fmt: skip
        self._database, self._lease, self._clock = database, lease, clock
        self._portfolio, self._breakers, self._switch = portfolio, breakers or Breakers(), switch or KillSwitch()
        self._rows = Rows("", portfolio.plans, lease.epoch)
        self._written = Written(equity=exact(portfolio.account.cash))
        self.session_id = ""
        self.halt = NO_HALT

    @property
    def lease(self) -> Lease:
        """The lease that every transaction checks."""
        return self._lease

    # --- a session's life ---------------------------------------------------------------------------------------------

    def begin(self, trade_from_ms: int, config: dict[str, Any], found: ResumePoint | None = None) -> ResumePoint:
        """Open a new session or continue an existing one; return where it stands.

        Parameters
        ----------
        trade_from_ms
            Open of the first bar to trade.
        config
            Stored with the session.
        found
            The session to continue, as it was found under this lease; None looks for the portfolio's own.

        Raises
        ------
        InputError
            If the session exists and began at another bar.
        LeaseError
            If another runner has taken the account over.
        DatabaseLostError
            If the database went away.
        """
        account, key = self._lease.account, self._portfolio.identity()["key"]
        if found is None:
            with self._reading():
                found = find_session(self._database, account, key, sent_after_ms=self._lease.quiet_until_ms)
        if found is not None and found.trade_from_ms != trade_from_ms:
            raise InputError(
                f"Session {found.session_id} began at another bar, {found.trade_from_ms} ms",
                found=trade_from_ms,
                todo="Leave --from out to go on with it, or trade under another name: --account NAME",
            )
        with self._transaction() as connection:
            name = found.session_id if found else free_id(connection, f"{account}-{key[:16]}")
            self.session_id, self._rows = name, Rows(name, self._portfolio.plans, self._lease.epoch)
            if found is None:
                insert_session(
                    connection, name, self._portfolio, account=account, trade_from_ms=trade_from_ms, config=config
                )
                connection.execute(insert(SlotRow), self._rows.slots())
            else:
                self._set(connection, status="running", config=config, versions=installed_versions())
            detail = {"epoch": self._lease.epoch, "last_bar_ms": found.last_bar_ms if found else None}
            connection.execute(sql.AUDIT, [self._rows.audit("resumed" if found else "started", detail)])
            self._written = read_written(connection, name, self._portfolio)
            self._read_switch(connection)
        return found or ResumePoint(
            trade_from_ms, session_id=name, slots=tuple(SlotProgress() for _ in self._portfolio.plans)
        )

    def heartbeat(self) -> Halt:
        """Renew the lease while nothing happens; return the kill switch's halt."""
        with self._transaction() as connection:
            self._read_switch(connection)
        return self.halt

    def end(self, status: str, detail: dict[str, Any]) -> None:
        """Write how this process ended: `stopped`, `finished` or `halted`."""
        with self._transaction() as connection:
            self._set(connection, status=status)
            connection.execute(sql.AUDIT, [self._rows.audit(status, detail)])

    def hand_over(self, passed: Sequence[HandOver], portfolio: TradedPortfolio, state: dict[str, Any]) -> None:
        """Pass slots to other plans between two bars, with the kernel state under the new rules.

        Parameters
        ----------
        passed
            One entry per slot that changes hands; `shadowed` ones are recorded and change nothing.
        portfolio
            What trades from now on, slot by slot.
        state
            The kernel's state as JSON values.

        Raises
        ------
        DatabaseLostError
            If the database went away. Start again: the session row says which portfolio it belongs to.
        """
        with self._transaction() as connection:
            self._advance(connection, Step(0))
            rows = Rows(self.session_id, portfolio.plans, self._lease.epoch)
            write_hand_over(connection, self.session_id, rows, passed=passed)
            self._set(connection, **portfolio.identity())
            saved = {"of": self.session_id, "version": state["schema"], "state": state}
            connection.execute(sql.SAVE_BETWEEN, saved)
        self._portfolio, self._rows, self._written.step_no = portfolio, rows, self._written.step_no + 1

    def known_fill(self, symbol: Symbol, trade_id: str) -> bool:
        """Return whether an execution is in the journal."""
        key = {"of": self.session_id, "in_symbol": str(symbol), "trade": trade_id}
        with self._reading(), self._database.session(read_only=True) as session:
            return session.connection().scalar(sql.KNOWN_FILL, key) is not None

    def recorded(self, client_id: str) -> Working | None:
        """Return an order of the session by its client id, None if it has no such order."""
        with self._reading():
            return find_order(self._database, self.session_id, client_id)

    # --- a step -------------------------------------------------------------------------------------------------------

    def commit(self, step: Step) -> tuple[Withheld, ...]:
        """Commit a step, all of it or nothing; return the orders that must not be sent, written as `withheld`.

        Raises
        ------
        LeaseError
            If another runner has taken the account over; nothing was written then.
        DatabaseLostError
            If the database went away. The step may or may not be written: commit the same step again, unchanged, before any
            other; if it had been written, that is detected.
        IntegrityError
            If the step contradicts the journal: a fill it has already, a second open entry of a slot. Nothing was written.
        """
        doubtful = self._written.in_doubt
        if doubtful is not None and doubtful is not step:
            raise InputError("A step whose commit is in doubt must be committed again before another one")
        self._written.in_doubt = step
        try:
            self._make_months(step)
            with self._transaction() as connection:
                landed = doubtful is not None and self._landed(connection)
                withheld = self._withheld_then(connection, step) if landed else self._write(connection, step)
        except DatabaseLostError:
            raise
        except BaseException:
            self._written.in_doubt = None  # rolled back
            raise
        self._learn(step)
        return withheld

    def _write(self, connection: Connection, step: Step) -> tuple[Withheld, ...]:
        written, rows = self._written, self._rows
        self._advance(connection, step)
        self._read_switch(connection)
        values = entry_values(step, written.closes | _closes(step))
        judged = self._judge(connection, step, values)
        self._change(connection, step)
        placed = []
        for working in step.placed:
            name = working.order.client_id
            row = rows.intent(working, step.changes.get(name), value=values[name], placed_ms=step.time_ms)
            withheld_as = {"state": "withheld", "refusal": judged.withheld[name]} if name in judged.withheld else {}
            placed.append(row | withheld_as)
        numbered = enumerate(step.order_events, written.event_no + 1)
        sql.insert_all(connection, sql.DECISIONS, [rows.decision(decision) for decision in step.decided])
        sql.insert_all(connection, sql.INTENTS, placed)
        sql.insert_all(connection, sql.FILLS, [rows.fill(done) for done in step.fills])
        sql.insert_all(connection, sql.TRADES, [rows.trade(number, trade) for number, trade in step.trades])
        sql.insert_all(connection, sql.HEARD, [rows.event(event, number) for number, event in numbered])
        sql.insert_all(connection, sql.AUDIT, [rows.audit(n.kind, n.detail, n.severity) for n in step.notices])
        for number, trade in step.trades:
            if closing := rows.closing(number, trade, step.fills):
                connection.execute(sql.NUMBER_FILLS, closing)
        for cursor in rows.cursors(step):
            connection.execute(sql.CURSOR[self._database.dialect], cursor)
        self._save(connection, step)
        return tuple(Withheld(name, reason) for name, reason in judged.withheld.items())

    def _advance(self, connection: Connection, step: Step) -> None:
        """Count the step; refuse if another process has counted one since."""
        counted = {"of": self.session_id, "before": self._written.step_no, "after": self._written.step_no + 1}
        if connection.execute(sql.COUNT_STEP, counted).rowcount != 1:
            raise LeaseError(f"Session {self.session_id} was moved on by another process; this one stops")
        if step.bar_ms is not None:
            connection.execute(sql.ADVANCE, {"of": self.session_id, "bar": step.bar_ms})
        for decision in step.decided:
            connection.execute(
                sql.ADVANCE_SLOT, {"of": self.session_id, "in_slot": decision.slot, "bar": decision.bar_ms}
            )

    def _judge(self, connection: Connection, step: Step, values: dict[str, Decimal | None]) -> BreakerVerdict:
        """Apply the kill switch and the breakers; one that trips halts the account in this transaction."""
        sending = [working for working in step.placed if _is_open(working, step)]
        if not any(working.order.role in {"entry", "exit"} for working in sending):
            return BreakerVerdict({})
        used = sql.used(connection, self.session_id, sending, time_ms=step.time_ms)
        equity = exact(step.equity) if step.bar_ms is not None else self._written.equity
        halted = bool(self.halt or self._switch.read())
        judged = judge(Proposed(sending, values, equity), used, self._breakers, halted=halted)
        if judged.trip is not None:
            self.halt = effective_halt(
                self.halt, latch(connection, self._lease.account, Halt(Level.PAUSE, judged.trip, "breaker"))
            )
        return judged

    def _change(self, connection: Connection, step: Step) -> None:
        """Write the changes of earlier orders.

        Raises
        ------
        InputError
            If an order is unknown, one that ended and was not merely given up would open again, or its filled quantity would fall.
        """
        new = {working.order.client_id for working in step.placed}
        changes = {name: change for name, change in step.changes.items() if name not in new}
        if not changes:
            return
        rows = {row.client_id: row for row in connection.execute(sql.STATES, {"names": list(changes)})}
        for name, change in changes.items():
            if (row := rows.get(name)) is None:
                raise InputError("A step changes an order that is not in the journal", found=name)
            reopened = row.state not in (*OPEN_STATES, "absent") and change.state in OPEN_STATES
            if reopened or (change.filled is not None and change.filled < row.filled):
                raise InputError(f"Order {name} was {row.state}, filled {row.filled}", found=change)
        connection.execute(sql.BECOME, [sql.became(name, change) for name, change in changes.items()])

    def _save(self, connection: Connection, step: Step) -> None:
        """Write equity at a close, and the kernel state if it changed."""
        if step.bar_ms is not None:
            amounts = {"equity": exact(step.equity), "cash": exact(step.cash)}
            connection.execute(sql.EQUITY, [{"session_id": self.session_id, "bar_ms": step.bar_ms, **amounts}])
        if step.state is not None:
            saved = {"of": self.session_id, "version": step.state["schema"], "state": step.state, "bar": step.bar_ms}
            connection.execute(sql.SAVE if step.bar_ms is not None else sql.SAVE_BETWEEN, saved)

    def _landed(self, connection: Connection) -> bool:
        """Return whether the step in doubt was committed."""
        found: int | None = connection.scalar(sql.STEP_NO, {"of": self.session_id})
        return found == self._written.step_no + 1

    def _withheld_then(self, connection: Connection, step: Step) -> tuple[Withheld, ...]:
        """Return the withheld orders of a step whose commit succeeded without an answer."""
        self._read_switch(connection)
        rows = connection.execute(sql.REFUSED, {"names": [working.order.client_id for working in step.placed]})
        return tuple(Withheld(row.client_id, row.refusal) for row in rows)

    def _learn(self, step: Step) -> None:
        """Note what is now in the database."""
        written = self._written
        written.in_doubt = None
        written.step_no += 1
        written.event_no += len(step.order_events)
        written.closes |= _closes(step)
        if step.bar_ms is not None:
            written.equity = exact(step.equity)

    # --- the parts of a transaction -----------------------------------------------------------------------------------

    @contextmanager
    def _transaction(self) -> Iterator[Connection]:
        """Open one transaction, which first renews the lease."""
        now_ms = self._clock.now_ms()
        if not self._database.there:
            self._lease.lose_database()
            raise DatabaseLostError("The database's file was deleted or replaced", found=self._database.label)
        with self._reading(), self._database.engine.begin() as connection:
            self._lease.renew(connection, now_ms)
            yield connection
        self._lease.renewed(now_ms)

    @contextmanager
    def _reading(self) -> Iterator[None]:
        """Turn errors of a lost database into `DatabaseLostError`; let bugs through."""
        try:
            yield
        except _OURS:
            raise
        except (DBAPIError, PoolTimeoutError, sqlite3.Error) as error:
            self._lease.lose_database()
            reason = str(getattr(error, "orig", None) or error).strip() or type(error).__name__
            raise DatabaseLostError(
                f"The journal cannot be written: {reason.splitlines()[0]}",
                found=self._database.label,
                todo="Start the runner again when the database is back; it goes on after the last step written",
            ) from error

    def _make_months(self, step: Step) -> None:
        """Create the partitions of every month that the step writes to, and of the next."""
        times = [step.time_ms, *(item.bar_ms for item in step.decided), *(item.time_ms for item in step.order_events)]
        months = {Month.of(time_ms) for time_ms in (*times, *([] if step.bar_ms is None else [step.bar_ms]))}
        wanted = months | {max(months).next}
        if not wanted <= self._written.months:
            with self._reading(), self._database.engine.begin() as connection:
                ensure_months(connection, wanted)
            self._written.months |= wanted

    def _read_switch(self, connection: Connection) -> None:
        """Read the kill switch; a halt by file or signal is latched in the database."""
        self._switch.read()
        outside, account = self._switch.lasting(), self._lease.account
        self.halt = latch(connection, account, outside) if outside else latched(connection, account)

    def _set(self, connection: Connection, **values: Any) -> None:
        connection.execute(update(SessionRow).where(SessionRow.session_id == self.session_id).values(**values))


def _closes(step: Step) -> dict[int, float]:
    bars = {decision.slot: decision.values.get("bar", {}) for decision in step.decided}
    return {slot: bar["close"] for slot, bar in bars.items() if "close" in bar}


def _is_open(working: Working, step: Step) -> bool:
    """Return whether an order is still open: it may have ended within its own step."""
    change = step.changes.get(working.order.client_id)
    return (change.state if change else working.state) in OPEN_STATES
