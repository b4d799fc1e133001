"""The journal's SQL statements, built once, so that a step does not spend time building them."""

from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import BigInteger, Connection, Executable, bindparam, func, insert, select, update
from sqlalchemy.dialects import postgresql, sqlite

from atb.db.tables import (
    OPEN_STATES,
    CursorRow,
    DecisionRow,
    EquityRow,
    EventRow,
    FillRow,
    HandoverRow,
    IntentRow,
    KernelStateRow,
    OrderEventRow,
    SessionRow,
    SlotRow,
    TradeRow,
)
from atb.db.types import ExactDecimal
from atb.live.journal.breakers import Used
from atb.live.journal.step import Change, Working
from atb.redaction import redact
from atb.times import DAY_MS, MINUTE_MS

_NEVER_OUT = ("withheld", "rejected", "absent")

# --- where a session stands -------------------------------------------------------------------------------------------

FIND = (
    select(SessionRow.session_id, SessionRow.trade_from_ms, SessionRow.last_bar_ms)
    .where(SessionRow.account == bindparam("of"), SessionRow.key == bindparam("key"))
    .order_by(SessionRow.updated_at.desc(), SessionRow.session_id)
    .limit(1)
)
SESSION_IDS = select(SessionRow.session_id).where(SessionRow.session_id.startswith(bindparam("like")))
PLACES = (
    select(SlotRow.last_bar_ms, SlotRow.timeframe).where(SlotRow.session_id == bindparam("of")).order_by(SlotRow.slot)
)
PAYLOAD = select(KernelStateRow.payload).where(KernelStateRow.session_id == bindparam("of"))
STEP_NO = select(KernelStateRow.step_no).where(KernelStateRow.session_id == bindparam("of"))
WORKING = (
    select(IntentRow)
    .where(IntentRow.session_id == bindparam("of"), IntentRow.state.in_(OPEN_STATES))
    .order_by(IntentRow.bar_ms, IntentRow.created_at, IntentRow.client_id)
)
CURSORS = select(CursorRow.symbol, CursorRow.trade_id).where(CursorRow.session_id == bindparam("of"))
ATTEMPTS = (
    select(IntentRow.slot, IntentRow.bar_ms, IntentRow.role, func.max(IntentRow.attempt) + 1)
    .where(IntentRow.session_id == bindparam("of"), IntentRow.bar_ms >= bindparam("since"))
    .group_by(IntentRow.slot, IntentRow.bar_ms, IntentRow.role)
)
KNOWN_FILL = select(FillRow.trade_id).where(
    FillRow.session_id == bindparam("of"),
    FillRow.symbol == bindparam("in_symbol"),
    FillRow.trade_id == bindparam("trade"),
)
INTENT = select(IntentRow).where(IntentRow.session_id == bindparam("of"), IntentRow.client_id == bindparam("name"))
LAST_EVENT = select(func.max(OrderEventRow.event_no)).where(OrderEventRow.session_id == bindparam("of"))
LAST_EQUITY = (
    select(EquityRow.equity).where(EquityRow.session_id == bindparam("of")).order_by(EquityRow.bar_ms.desc()).limit(1)
)
LAST_BAR = (
    select(DecisionRow.bar)
    .where(DecisionRow.session_id == bindparam("of"), DecisionRow.slot == bindparam("in_slot"))
    .order_by(DecisionRow.bar_ms.desc())
    .limit(1)
)

# --- a step -----------------------------------------------------------------------------------------------------------

DECISIONS, INTENTS, FILLS, TRADES = insert(DecisionRow), insert(IntentRow), insert(FillRow), insert(TradeRow)
EQUITY, HEARD, AUDIT, HANDOVERS = insert(EquityRow), insert(OrderEventRow), insert(EventRow), insert(HandoverRow)
COUNT_STEP = (
    update(KernelStateRow)
    .where(
        KernelStateRow.session_id == bindparam("of"), KernelStateRow.step_no == bindparam("before", type_=BigInteger)
    )
    .values(step_no=bindparam("after"))
)
ADVANCE = update(SessionRow).where(SessionRow.session_id == bindparam("of")).values(last_bar_ms=bindparam("bar"))
ADVANCE_SLOT = (
    update(SlotRow)
    .where(SlotRow.session_id == bindparam("of"), SlotRow.slot == bindparam("in_slot"))
    .values(last_bar_ms=bindparam("bar"))
)
HAND_OVER = (
    update(SlotRow)
    .where(SlotRow.session_id == bindparam("of"), SlotRow.slot == bindparam("in_slot"))
    .values(manifest_sha256=bindparam("manifest"), strategy=bindparam("by"))
)
TRADED_BY = select(SlotRow.manifest_sha256).where(
    SlotRow.session_id == bindparam("of"), SlotRow.slot == bindparam("in_slot")
)
SAVE_BETWEEN = (
    update(KernelStateRow)
    .where(KernelStateRow.session_id == bindparam("of"))
    .values(schema=bindparam("version"), payload=bindparam("state"))
)
SAVE = SAVE_BETWEEN.values(bar_ms=bindparam("bar"))
STATES = select(IntentRow.client_id, IntentRow.state, IntentRow.filled).where(
    IntentRow.client_id.in_(bindparam("names", expanding=True))
)
REFUSED = select(IntentRow.client_id, IntentRow.refusal).where(
    IntentRow.client_id.in_(bindparam("names", expanding=True)), IntentRow.state == "withheld"
)
BECOME = (
    update(IntentRow)
    .where(IntentRow.client_id == bindparam("of"))
    .values(
        state=bindparam("becomes"),
        refusal=func.coalesce(bindparam("why"), IntentRow.refusal),
        exchange_id=func.coalesce(bindparam("venue_id"), IntentRow.exchange_id),
        filled=func.coalesce(bindparam("executed", type_=ExactDecimal()), IntentRow.filled),
        sent_ms=func.coalesce(bindparam("sent_at", type_=BigInteger), IntentRow.sent_ms),
        updated_at=bindparam("at"),
    )
)
NUMBER_FILLS = (
    update(FillRow)
    .where(
        FillRow.session_id == bindparam("of"),
        FillRow.slot == bindparam("in_slot"),
        FillRow.trade_no.is_(None),
        FillRow.fill_no <= bindparam("last"),
    )
    .values(trade_no=bindparam("number"))
)
_KEY = ["session_id", "symbol"]
_TO_SQLITE, _TO_POSTGRESQL = sqlite.insert(CursorRow), postgresql.insert(CursorRow)
CURSOR = {
    "sqlite": _TO_SQLITE.on_conflict_do_update(index_elements=_KEY, set_={"trade_id": _TO_SQLITE.excluded.trade_id}),
    "postgresql": _TO_POSTGRESQL.on_conflict_do_update(
        index_elements=_KEY, set_={"trade_id": _TO_POSTGRESQL.excluded.trade_id}
    ),
}

# --- breakers ---------------------------------------------------------------------------------------------------------

_SENT = IntentRow.session_id == bindparam("of"), IntentRow.state != "withheld"
_ORDERS = select(func.count()).where(*_SENT, IntentRow.placed_ms > bindparam("since"))
_ENTRIES = (
    select(IntentRow.slot, IntentRow.bar_ms, func.count())
    .where(*_SENT, IntentRow.role == "entry", IntentRow.bar_ms.in_(bindparam("bars", expanding=True)))
    .group_by(IntentRow.slot, IntentRow.bar_ms)
)
_TURNOVER = select(IntentRow.notional, IntentRow.state, IntentRow.filled, IntentRow.quantity).where(
    IntentRow.session_id == bindparam("of"),
    IntentRow.placed_ms >= bindparam("since"),
    IntentRow.role == "entry",
    IntentRow.state.not_in(_NEVER_OUT),
)


def used(connection: Connection, session_id: str, sending: Sequence[Working], *, time_ms: int) -> Used:
    """Return the breakers' counts: the session's orders before this step, and the entries of its bars and its day."""
    bars = sorted({working.bar_ms for working in sending if working.order.role == "entry"})
    orders = connection.scalar(_ORDERS, {"of": session_id, "since": time_ms - MINUTE_MS}) or 0
    if not bars:
        return Used(orders)
    entries = {
        (slot, bar): count for slot, bar, count in connection.execute(_ENTRIES, {"of": session_id, "bars": bars})
    }
    today = connection.execute(_TURNOVER, {"of": session_id, "since": time_ms - time_ms % DAY_MS})
    values = (turned_over(row.notional, row.state, filled=row.filled, quantity=row.quantity) for row in today)
    return Used(orders, entries, sum(values, Decimal(0)))


def turned_over(notional: Decimal | None, state: str, *, filled: Decimal, quantity: Decimal) -> Decimal:
    """Return the value (quote) of an entry: of an open one all of it, of an ended one the filled part."""
    value = notional or Decimal(0)
    return value if state in {*OPEN_STATES, "filled"} else value * filled / quantity


def became(client_id: str, change: Change) -> dict[str, Any]:
    """Return the values of `BECOME` for a change."""
    return {
        "of": client_id,
        "becomes": change.state,
        "why": change.refusal and redact(change.refusal),
        "venue_id": change.exchange_id,
        "executed": change.filled,
        "sent_at": change.sent_ms,
        "at": datetime.now(UTC),
    }


def insert_all(connection: Connection, statement: Executable, rows: Sequence[dict[str, Any]]) -> None:
    """Insert rows, if there are any."""
    if rows:
        connection.execute(statement, list(rows))
