"""The journal's SQL statements, built once, so that a step does not spend time building them."""

from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import BigInteger, Connection, Executable, Row, bindparam, func, insert, select, update
from sqlalchemy.dialects import postgresql, sqlite

from atb.db.tables import (
    OPEN_STATES,
    Cursor,
    DecisionRow,
    EquityRow,
    Event,
    FillRow,
    Handover,
    Intent,
    KernelState,
    LiveSession,
    OrderEvent,
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
    select(LiveSession.session_id, LiveSession.trade_from_ms, LiveSession.last_bar_ms)
    .where(LiveSession.account == bindparam("of"), LiveSession.key == bindparam("key"))
    .order_by(LiveSession.updated_at.desc(), LiveSession.session_id)
    .limit(1)
)
SESSION_IDS = select(LiveSession.session_id).where(LiveSession.session_id.startswith(bindparam("like")))
PLACES = (
    select(SlotRow.last_bar_ms, SlotRow.timeframe).where(SlotRow.session_id == bindparam("of")).order_by(SlotRow.slot)
)
PAYLOAD = select(KernelState.payload).where(KernelState.session_id == bindparam("of"))
STEP_NO = select(KernelState.step_no).where(KernelState.session_id == bindparam("of"))
WORKING = (
    select(Intent)
    .where(Intent.session_id == bindparam("of"), Intent.state.in_(OPEN_STATES))
    .order_by(Intent.bar_ms, Intent.created_at, Intent.client_id)
)
CURSORS = select(Cursor.symbol, Cursor.trade_id).where(Cursor.session_id == bindparam("of"))
ATTEMPTS = (
    select(Intent.slot, Intent.bar_ms, Intent.role, func.max(Intent.attempt) + 1)
    .where(Intent.session_id == bindparam("of"), Intent.bar_ms >= bindparam("since"))
    .group_by(Intent.slot, Intent.bar_ms, Intent.role)
)
KNOWN_FILL = select(FillRow.trade_id).where(
    FillRow.session_id == bindparam("of"),
    FillRow.symbol == bindparam("in_symbol"),
    FillRow.trade_id == bindparam("trade"),
)
LAST_EVENT = select(func.max(OrderEvent.event_no)).where(OrderEvent.session_id == bindparam("of"))
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

DECISIONS, INTENTS, FILLS, TRADES = insert(DecisionRow), insert(Intent), insert(FillRow), insert(TradeRow)
EQUITY, HEARD, AUDIT, HANDOVERS = insert(EquityRow), insert(OrderEvent), insert(Event), insert(Handover)
COUNT_STEP = (
    update(KernelState)
    .where(KernelState.session_id == bindparam("of"), KernelState.step_no == bindparam("before", type_=BigInteger))
    .values(step_no=bindparam("after"))
)
ADVANCE = update(LiveSession).where(LiveSession.session_id == bindparam("of")).values(last_bar_ms=bindparam("bar"))
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
    update(KernelState)
    .where(KernelState.session_id == bindparam("of"))
    .values(schema=bindparam("version"), payload=bindparam("state"))
)
SAVE = SAVE_BETWEEN.values(bar_ms=bindparam("bar"))
STATES = select(Intent.client_id, Intent.state, Intent.filled).where(
    Intent.client_id.in_(bindparam("names", expanding=True))
)
REFUSED = select(Intent.client_id, Intent.refusal).where(
    Intent.client_id.in_(bindparam("names", expanding=True)), Intent.state == "withheld"
)
BECOME = (
    update(Intent)
    .where(Intent.client_id == bindparam("of"))
    .values(
        state=bindparam("becomes"),
        refusal=func.coalesce(bindparam("why"), Intent.refusal),
        exchange_id=func.coalesce(bindparam("venue_id"), Intent.exchange_id),
        filled=func.coalesce(bindparam("executed", type_=ExactDecimal()), Intent.filled),
        sent_ms=func.coalesce(bindparam("sent_at", type_=BigInteger), Intent.sent_ms),
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
_TO_SQLITE, _TO_POSTGRESQL = sqlite.insert(Cursor), postgresql.insert(Cursor)
CURSOR = {
    "sqlite": _TO_SQLITE.on_conflict_do_update(index_elements=_KEY, set_={"trade_id": _TO_SQLITE.excluded.trade_id}),
    "postgresql": _TO_POSTGRESQL.on_conflict_do_update(
        index_elements=_KEY, set_={"trade_id": _TO_POSTGRESQL.excluded.trade_id}
    ),
}

# --- breakers ---------------------------------------------------------------------------------------------------------

_SENT = Intent.session_id == bindparam("of"), Intent.state != "withheld"
_ORDERS = select(func.count()).where(*_SENT, Intent.placed_ms > bindparam("since"))
_ENTRIES = (
    select(Intent.slot, Intent.bar_ms, func.count())
    .where(*_SENT, Intent.role == "entry", Intent.bar_ms.in_(bindparam("bars", expanding=True)))
    .group_by(Intent.slot, Intent.bar_ms)
)
_TURNOVER = select(Intent.notional, Intent.state, Intent.filled, Intent.quantity).where(
    Intent.session_id == bindparam("of"),
    Intent.placed_ms >= bindparam("since"),
    Intent.role == "entry",
    Intent.state.not_in(_NEVER_OUT),
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
    return Used(orders, entries, sum((_turned_over(row) for row in today), Decimal(0)))


def _turned_over(entry: Row[Decimal | None, str, Decimal, Decimal]) -> Decimal:
    """Return the value (quote) of an entry: of an open one all of it, of an ended one the filled part."""
    value: Decimal = entry.notional or Decimal(0)
    return value if entry.state in {*OPEN_STATES, "filled"} else value * entry.filled / entry.quantity


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
