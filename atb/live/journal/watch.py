"""Bounded reads of the journal for the dashboards: newest rows, equity in points, audit trail, and whether a runner is at work.

Each query goes along an index and ends after so many rows, so that a session of a million rows costs what one of a thousand does.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Float, case, cast, func, select
from sqlalchemy.orm import Session

from atb.db import Database
from atb.db.tables import (
    OPEN_STATES,
    DecisionRow,
    EquityRow,
    EventRow,
    FillRow,
    IntentRow,
    KernelStateRow,
    LeaseRow,
    SessionRow,
    SlotRow,
    TradeRow,
)
from atb.domain.timeframe import Timeframe
from atb.live.journal.limits import Counted
from atb.live.journal.liveness import Decisions, Stale, stale
from atb.live.journal.overview import intent_json, moment_text, trade_json
from atb.times import DAY_MS, MINUTE_MS

Json = dict[str, Any]
POINTS = 500  # of equity, over the whole session
BARS = 200  # whose closes are drawn
DAYS = 90  # whose last equity is looked at
NEWEST = 200  # orders, trades, events that are counted
_PORTION = 500  # values in one query
_PACED = 40  # decisions that the pace is taken from
_BEGUN, _RUNNING = ("started", "resumed"), ("running", "stale")
# Value (quote) of an entry, as `sql.turned_over` counts it: of an open one all of it, of an ended one the filled part.
_NOTIONAL, _FILLED, _QUANTITY = (cast(c, Float) for c in (IntentRow.notional, IntentRow.filled, IntentRow.quantity))
_TURNED_OVER: ColumnElement[float] = case(
    (IntentRow.state.in_((*OPEN_STATES, "filled")), _NOTIONAL), else_=_NOTIONAL * _FILLED / func.nullif(_QUANTITY, 0)
)


def newest_rows(database: Database, session_id: str) -> Json:
    """Return a session's newest decisions, orders, fills, trades and events as plain JSON values, the newest first.

    `open` are all open orders, `state` the kernel's account and slots after the last step (empty before the first), `limits` what
    the runner wrote of its own at its start (`breakers`, and `max_loss` in quote; None where an earlier version did not), `begun`
    when that was. Of each kind at most `NEWEST` rows.
    """
    with database.session(read_only=True) as session:
        newest = select(IntentRow).where(IntentRow.session_id == session_id, IntentRow.placed_ms.is_not(None))
        orders = session.scalars(newest.order_by(IntentRow.placed_ms.desc(), IntentRow.client_id).limit(NEWEST)).all()
        state = session.get(KernelStateRow, session_id)
        return {
            "decisions": [_decision(row) for row in _newest(session, DecisionRow, session_id, DecisionRow.bar_ms.desc())],
            "orders": [{**intent_json(row), "placed_ms": row.placed_ms, "sent_ms": row.sent_ms} for row in orders],
            "open": [intent_json(row) for row in _open(session, session_id)],
            "fills": _fills(session, [row.client_id for row in orders]),
            "trades": [trade_json(row) for row in _newest(session, TradeRow, session_id, TradeRow.trade_no.desc())],
            "events": [event_json(row) for row in _newest(session, EventRow, session_id, EventRow.id.desc())],
            "state": {} if state is None else state.payload,
            "limits": session.get_one(SessionRow, session_id).config.get("limits"),
            "begun": _begun(session, session_id).isoformat(),
        }  # fmt: skip


def breaker_counts(database: Database, session_id: str) -> Counted:
    """Return the counts of the breakers at a session's newest order."""
    sent = IntentRow.session_id == session_id, IntentRow.state != "withheld"
    of_day = select(IntentRow).where(*sent, IntentRow.role == "entry").order_by(IntentRow.placed_ms.desc()).limit(1)
    with database.session(read_only=True) as session:
        newest = select(IntentRow.placed_ms).where(*sent, IntentRow.placed_ms.is_not(None))
        last_ms = session.scalar(newest.order_by(IntentRow.placed_ms.desc()).limit(1))
        if last_ms is None:
            return Counted()
        today = IntentRow.placed_ms >= last_ms - last_ms % DAY_MS
        entry = session.scalar(of_day.where(today))
        orders = select(func.count()).where(*sent, IntentRow.placed_ms > last_ms - MINUTE_MS)
        minute = session.scalar(orders) or 0
        if entry is None:
            return Counted(minute)
        same = IntentRow.slot == entry.slot, IntentRow.bar_ms == entry.bar_ms, IntentRow.role == "entry"
        of_bar = session.scalar(select(func.count()).where(*sent, *same)) or 0
        value = session.scalar(select(func.sum(_TURNED_OVER)).where(*sent, today, IntentRow.role == "entry")) or 0.0
    return Counted(minute, of_bar, float(value), None if entry.notional is None else float(entry.notional))


def runner_stale(database: Database, row: Json, *, now_ms: int) -> Stale | None:
    """Return since when the runner of a running session is not at work; None if all is well, or the session ended.

    Parameters
    ----------
    row
        The session, as `overview.sessions` gives it.
    """
    if row["state"] not in _RUNNING:
        return None
    with database.session(read_only=True) as session:
        lease = session.get(LeaseRow, row["account"])
        return stale(
            held=bool(row["lease"] and row["lease"]["held"]),
            renewed_until_ms=None if lease is None else lease.until_ms,
            begun_ms=_ms(_begun(session, row["session"])),
            decisions=_decisions(session, row["session"]),
            now_ms=now_ms,
        )


def equity_points(database: Database, session_id: str, timeframe: str) -> list[tuple[int, float]]:
    """Return (open of the bar in epoch milliseconds, equity in quote), oldest first, at most `POINTS` over the whole session.

    Every bar of a short session; of a longer one bars at even distances, and the last.

    Parameters
    ----------
    timeframe
        The shortest of the session's slots.
    """
    of = EquityRow.session_id == session_id
    columns = select(EquityRow.bar_ms, EquityRow.equity).where(of)
    with database.session(read_only=True) as session:
        newest = session.execute(columns.order_by(EquityRow.bar_ms.desc()).limit(POINTS)).all()
        oldest = session.scalars(select(EquityRow.bar_ms).where(of).order_by(EquityRow.bar_ms).limit(1)).first()
        rows = list(newest)
        if newest and oldest is not None and oldest < newest[-1].bar_ms:
            grid = _grid(oldest, newest[0].bar_ms, timeframe)
            rows = [row for some in grid for row in session.execute(columns.where(EquityRow.bar_ms.in_(some)))]
            rows.append(newest[0])
    return [(bar, float(equity)) for bar, equity in sorted({row.bar_ms: row.equity for row in rows}.items())]


def daily_equity(database: Database, session_id: str, *, timeframe: str, last_ms: int) -> list[tuple[int, float]]:
    """Return (UTC day as days since 1970, equity in quote at its last close), oldest first: the last `DAYS` days before a bar's.

    Days at whose end no bar closed, or none was decided on, are left out.

    Parameters
    ----------
    timeframe
        The shortest of the session's slots.
    last_ms
        The open of the bar, epoch milliseconds.
    """
    today, step = last_ms // DAY_MS, Timeframe.parse(timeframe).seconds * 1_000
    wanted = [day * DAY_MS - step for day in range(today - DAYS + 1, today + 1)]
    query = select(EquityRow.bar_ms, EquityRow.equity).where(
        EquityRow.session_id == session_id, EquityRow.bar_ms.in_(wanted)
    )
    with database.session(read_only=True) as session:
        rows = session.execute(query.order_by(EquityRow.bar_ms)).all()
    return [((row.bar_ms + step) // DAY_MS - 1, float(row.equity)) for row in rows]


def slot_history(database: Database, session_id: str, slot: int, *, timeframe: str, last_ms: int) -> Json:
    """Return a slot's last `BARS` bars: `closes` as (open in epoch milliseconds, close), `orders` and `fills`; oldest bar first.

    Parameters
    ----------
    last_ms
        The open of the last bar that was decided on, epoch milliseconds.
    """
    step = Timeframe.parse(timeframe).seconds * 1_000
    wanted = [last_ms - step * back for back in range(BARS)]
    bars = select(DecisionRow.bar_ms, DecisionRow.bar).where(
        DecisionRow.session_id == session_id, DecisionRow.slot == slot, DecisionRow.bar_ms.in_(wanted)
    )
    placed = select(IntentRow).where(
        IntentRow.session_id == session_id, IntentRow.slot == slot, IntentRow.bar_ms >= wanted[-1]
    )
    with database.session(read_only=True) as session:
        rows = session.execute(bars.order_by(DecisionRow.bar_ms)).all()
        orders = session.scalars(placed.order_by(IntentRow.bar_ms.desc()).limit(2 * BARS)).all()[::-1]
        return {
            "closes": [(row.bar_ms, float(row.bar["close"])) for row in rows if row.bar.get("close") is not None],
            "orders": [intent_json(row) for row in orders],
            "fills": _fills(session, [row.client_id for row in orders])[::-1],
        }


def newest_predictions(database: Database, session_ids: Sequence[str]) -> list[Json]:
    """Return by session and slot the decision on the last bar, where it had a prediction."""
    found = []
    with database.session(read_only=True) as session:
        for name in session_ids:
            bars = session.execute(
                select(SlotRow.slot, SlotRow.last_bar_ms).where(SlotRow.session_id == name).limit(NEWEST)
            )
            for slot, last_ms in bars:
                row = None if last_ms is None else session.get(DecisionRow, (name, last_ms, slot))
                if row is not None and row.prediction is not None:
                    found.append({"session": name, **_decision(row)})
    return found


def audit_rows(
    database: Database, *, session_id: str | None = None, severity: str | None = None, kind: str | None = None,
    before: int | None = None, limit: int, within: int,
) -> tuple[list[Json], int | None]:  # fmt: skip
    """Return rows of the audit trail, the newest first, and before which row the older ones are; None if there are no older ones.

    Parameters
    ----------
    session_id, severity, kind
        Only these.
    before
        Only rows with a smaller number.
    limit, within
        At most so many rows, of so many that are looked at.
    """
    conditions = [EventRow.session_id == session_id] if session_id is not None else []
    conditions += [EventRow.id < before] if before is not None else []
    newest = select(EventRow.id).where(*conditions).order_by(EventRow.id.desc()).limit(within)
    with database.session(read_only=True) as session:
        looked_at = session.scalars(newest).all()
        wanted = {column: value for column, value in ((EventRow.severity, severity), (EventRow.kind, kind)) if value}
        since = EventRow.id >= (looked_at[-1] if looked_at else 0)
        query = select(EventRow).where(*conditions, since, *(column == value for column, value in wanted.items()))
        rows = session.scalars(query.order_by(EventRow.id.desc()).limit(limit)).all()
    if len(rows) == limit:
        return [event_json(row) for row in rows], rows[-1].id
    return [event_json(row) for row in rows], looked_at[-1] if len(looked_at) == within else None


def event_json(row: EventRow) -> Json:
    """Return a row of the audit trail as plain values."""
    return {
        "id": row.id, "session": row.session_id, "time": row.time.isoformat(), "severity": row.severity, "kind": row.kind,
        "detail": row.detail,
    }  # fmt: skip


def _newest(session: Session, table: Any, session_id: str, *order: Any) -> Sequence[Any]:
    return session.scalars(select(table).where(table.session_id == session_id).order_by(*order).limit(NEWEST)).all()


def _open(session: Session, session_id: str) -> list[IntentRow]:
    """Return the open orders, the newest first; sorted here, since the database would look through all orders in that order."""
    of = IntentRow.session_id == session_id, IntentRow.state.in_(OPEN_STATES)
    found = session.scalars(select(IntentRow).where(*of).limit(NEWEST)).all()
    return sorted(found, key=lambda row: (-(row.placed_ms or 0), row.client_id))


def _decision(row: DecisionRow) -> Json:
    names = ("slot", "strategy", "symbol", "side", "prediction", "confidence", "bar", "intents", "refusal", "inputs")
    written = {"written": row.created_at.isoformat()}
    return {
        "time": moment_text(row.bar_ms),
        "bar_ms": row.bar_ms,
        **{name: getattr(row, name) for name in names},
    } | written


def _fills(session: Session, client_ids: Sequence[str]) -> list[Json]:
    found = session.scalars(select(FillRow).where(FillRow.client_id.in_(client_ids)).order_by(FillRow.time_ms.desc()))
    names = ("client_id", "slot", "symbol", "side", "role", "reason", "fee_asset", "time_ms", "trade_no")
    amounts = ("price", "quantity", "fee")
    return [
        {name: getattr(row, name) for name in names} | {name: float(getattr(row, name)) for name in amounts}
        for row in found
    ]


def _begun(session: Session, session_id: str) -> datetime:
    """Return when the session was started or taken up last."""
    # Kind by kind: an index finds the newest of each, however long the audit trail is.
    of_kind = [
        select(func.max(EventRow.id)).where(EventRow.session_id == session_id, EventRow.kind == kind) for kind in _BEGUN
    ]
    newest = session.get(EventRow, max(session.scalar(query) or 0 for query in of_kind))
    return session.get_one(SessionRow, session_id).started_at if newest is None else newest.time


def _decisions(session: Session, session_id: str) -> Decisions:
    slots = session.scalars(select(SlotRow).where(SlotRow.session_id == session_id, SlotRow.status == "trading")).all()
    lengths = {slot.slot: slot.timeframe for slot in slots}
    of = DecisionRow.session_id == session_id
    query = select(DecisionRow.bar_ms, DecisionRow.slot, DecisionRow.created_at).where(of)
    rows = session.execute(query.order_by(DecisionRow.bar_ms.desc()).limit(_PACED * max(1, len(slots))))
    written = [(row.bar_ms, lengths[row.slot], _ms(row.created_at)) for row in rows if row.slot in lengths]
    return Decisions([(slot.symbol, slot.timeframe, slot.last_bar_ms) for slot in slots], written)


def _grid(first_ms: int, last_ms: int, timeframe: str) -> list[list[int]]:
    """Return opens at even distances, in portions that every database takes."""
    step = Timeframe.parse(timeframe).seconds * 1_000
    stride = step * -(-(last_ms - first_ms) // (step * POINTS))
    opens = list(range(first_ms, last_ms + 1, stride))
    return [opens[first : first + _PORTION] for first in range(0, len(opens), _PORTION)]


def _ms(time: datetime) -> int:
    return int(time.timestamp() * 1_000)
