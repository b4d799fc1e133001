"""A session's rows after a run, as plain values: intents, executions, decisions, equity, and the audit trail."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from sqlalchemy import select

from atb.db import Database
from atb.db.tables import DecisionRow, EquityRow, EventRow, FillRow, IntentRow, SessionRow, SlotRow
from atb.live.journal.step import NOT_TRADED

Row = Mapping[str, Any]


@dataclass(frozen=True)
class SessionRows:
    """One session's rows, each list in the order in which it was written.

    Parameters
    ----------
    session_id
        Of the session; its client ids derive from it.
    cash
        Starting cash of the account, in quote.
    slots
        Symbol by slot.
    """

    session_id: str
    cash: Decimal
    slots: Mapping[int, str]
    intents: list[Row]
    fills: list[Row]
    decisions: list[Row]
    equity: list[Row]
    events: list[Row] = field(default_factory=list)

    @property
    def executions(self) -> list[Row]:
        """The fills made by the exchange, without write-offs and dust."""
        return [row for row in self.fills if not row["trade_id"].startswith(NOT_TRADED)]

    @property
    def states(self) -> dict[str, tuple[str, Decimal]]:
        """State and filled quantity (base) of every order by client id."""
        return {row["client_id"]: (row["state"], row["filled"]) for row in self.intents}


def read_session(database: Database) -> SessionRows:
    """Read the rows of the newest session in a database."""
    with database.session(read_only=True) as session:
        newest = session.scalars(
            select(SessionRow).order_by(SessionRow.updated_at.desc(), SessionRow.session_id)
        ).first()
        if newest is None:
            return SessionRows("", Decimal(0), {}, [], [], [], [])

        def rows(table: Any, *order: Any) -> list[Row]:
            found = session.scalars(select(table).where(table.session_id == newest.session_id).order_by(*order))
            names = [column.key for column in table.__table__.columns]
            return [{name: getattr(row, name) for name in names} for row in found]

        return SessionRows(
            newest.session_id,
            newest.cash,
            {row["slot"]: row["symbol"] for row in rows(SlotRow, SlotRow.slot)},
            rows(IntentRow, IntentRow.created_at, IntentRow.client_id),
            rows(FillRow, FillRow.fill_no),
            rows(DecisionRow, DecisionRow.bar_ms, DecisionRow.slot),
            rows(EquityRow, EquityRow.bar_ms),
            rows(EventRow, EventRow.id),
        )


def decision_log(session: SessionRows) -> list[Row]:
    """Return the decisions bar by bar, without columns that depend on when they were written."""
    names = ("bar_ms", "slot", "side", "prediction", "confidence", "bar", "intents", "refusal")
    return [{name: row[name] for name in names} for row in session.decisions]
