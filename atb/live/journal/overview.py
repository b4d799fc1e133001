"""Sessions, orders and trades of all runners, read from the journal alone."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Context, Decimal
from time import time_ns
from typing import Any

from sqlalchemy import Select, func, select
from sqlalchemy.orm import Session

from atb.db import Database
from atb.db.tables import (
    OPEN_STATES,
    EquityRow,
    EventRow,
    FillRow,
    IntentRow,
    KernelStateRow,
    LeaseRow,
    PromotionRow,
    SessionRow,
    SlotRow,
    TradeRow,
)
from atb.errors import InputError, did_you_mean
from atb.live.journal.kill_switch import latched
from atb.monitoring.processes import Holder

Json = dict[str, Any]
_PORTION = 500  # client ids in one query: a database takes only so many values
_AVERAGE = Context(prec=16)  # digits of an average price
_COMPARED_ANEW = ("started", "resumed", "accepted")  # events after which drift is reported anew


def sessions(
    database: Database, *, now_ms: int | None = None, is_dead: Callable[[str], bool] | None = None,
    limit: int | None = None, session_id: str | None = None,
) -> list[Json]:  # fmt: skip
    """Return one row per session, the latest first, as plain JSON values.

    `state` is the session's status, or `stale` if that is `running` and no process holds the account: its runner died.
    `slots` has a row per strategy and symbol; a session with one slot repeats its values beside it. `unknown` counts the orders
    of which the journal does not know whether the venue has them. `barred` gives by symbol why no entry is sent, `drift` by asset
    how much more the account has than the books; both are empty if all is well. `stuck` is the slot's reason why it cannot act, of
    the first such slot in the session's row, None if all can. `cash` is the present cash, `initial_cash` that
    at the start.

    Parameters
    ----------
    now_ms
        The present in epoch milliseconds; the machine's clock when None.
    is_dead
        Whether a lease's holder is surely gone; checks this machine when None.
    limit, session_id
        At most so many; only this session.
    """
    present = _Present(time_ns() // 1_000_000 if now_ms is None else now_ms, is_dead or _is_dead)
    with database.session(read_only=True) as session:
        query = select(SessionRow).order_by(SessionRow.updated_at.desc(), SessionRow.session_id).limit(limit)
        if session_id is not None:
            query = query.where(SessionRow.session_id == session_id)
        rows = session.scalars(query).all()
        return [_described(session, row, present) for row in rows]


@dataclass(frozen=True, slots=True)
class _Present:
    now_ms: int
    is_dead: Callable[[str], bool]

    def holds(self, lease: LeaseRow | None) -> bool:
        return lease is not None and lease.until_ms > self.now_ms and not self.is_dead(lease.holder)


def _is_dead(holder: str) -> bool:
    return Holder.parse(holder).is_dead()


def _described(session: Session, row: SessionRow, present: _Present) -> Json:
    lease = session.get(LeaseRow, row.account)
    alive = present.holds(lease)
    saved = session.get(KernelStateRow, row.session_id)
    state = saved.payload if saved else {}
    barred = dict(state.get("desk", {}).get("quarantine", {}))
    slots = _slots(session, row, kernel=state.get("slots", []), desk=state.get("desk", {}))
    halt = latched(session.connection(), row.account)
    return {
        "session": row.session_id,
        "account": row.account,
        "mode": row.mode,
        "key": row.key,
        **_together(slots),
        "state": "stale" if row.status == "running" and not alive else row.status,
        "halt": halt.name,
        "halt_reason": halt.reason or None,
        "barred": barred,
        "stuck": next((slot["stuck"] for slot in slots if slot["stuck"]), None),
        "drift": _drift(session, row.session_id),
        "last_bar": _moment(row.last_bar_ms),
        **_money(session, row, state.get("account", {})),
        **_out(session, row),
        "lease": None if lease is None else {"holder": lease.holder, "epoch": lease.epoch, "held": alive},
        "slots": slots,
    }


def _drift(session: Session, session_id: str) -> Json:
    """Return by asset how much more the account has than the books, as exact text, from the latest drift events."""
    # Kind by kind: an index finds the newest of each, however long the audit trail is.
    of_kind = [
        select(func.max(EventRow.id)).where(EventRow.session_id == session_id, EventRow.kind == kind)
        for kind in _COMPARED_ANEW
    ]
    since = max(session.scalar(query) or 0 for query in of_kind)
    drifts = select(EventRow).where(EventRow.session_id == session_id, EventRow.kind == "drift", EventRow.id > since)
    newest: Json = {}
    for event in session.scalars(drifts.order_by(EventRow.id.desc())):
        newest.setdefault(str(event.detail["asset"]), str(event.detail["drift"]))
    return {asset: amount for asset, amount in sorted(newest.items()) if Decimal(amount)}


def _slots(session: Session, row: SessionRow, *, kernel: list[Json], desk: Json) -> list[Json]:
    """Return the strategy and the position of each slot."""
    found = session.scalars(select(SlotRow).where(SlotRow.session_id == row.session_id).order_by(SlotRow.slot))
    records = dict(enumerate(kernel))
    barred, stuck = desk.get("quarantine", {}), desk.get("stuck", {})
    return [
        {
            **_slot(session, slot, records.get(slot.slot, {})),
            "barred": barred.get(slot.symbol),
            "stuck": stuck.get(str(slot.slot)),
        }
        for slot in found
    ]


def _slot(session: Session, row: SlotRow, record: Json) -> Json:
    """Return a slot's strategy, signed position, average entry price, stop and target; None where there is none."""
    promotion = session.get(PromotionRow, row.manifest_sha256)
    held = record.get("quantity") or 0.0
    return {
        "slot": row.slot,
        "strategy": row.strategy,
        "symbol": row.symbol,
        "timeframe": row.timeframe,
        "status": row.status,
        "last_bar": _moment(row.last_bar_ms),
        "position": held,
        **{name: record.get(name) if held else None for name in ("entry_price", "stop", "target")},
        "manifest": promotion.name if promotion else None,
        "manifest_sha256": row.manifest_sha256,
        "verdict": promotion.verdict if promotion else None,
    }


def _together(slots: list[Json]) -> Json:
    """Return the names of all slots joined, and the values of the only slot (None where there are several)."""
    named: Json = {
        name: ", ".join(dict.fromkeys(slot[name] for slot in slots)) for name in ("strategy", "symbol", "timeframe")
    }
    single = ("position", "entry_price", "stop", "target", "manifest", "manifest_sha256", "verdict")
    return named | {name: slots[0][name] if len(slots) == 1 else None for name in single}


def _money(session: Session, row: SessionRow, account: Json) -> Json:
    """Return cash now and at the start, equity, profit and closed trades; amounts as exact text in quote currency."""
    last = select(EquityRow.equity).where(EquityRow.session_id == row.session_id).order_by(EquityRow.bar_ms.desc())
    equity = session.scalars(last.limit(1)).one_or_none()
    worth = row.cash if equity is None else equity
    closed = select(func.count()).select_from(TradeRow).where(TradeRow.session_id == row.session_id)
    trades = session.scalars(closed).one()
    return {
        "cash": str(account.get("cash", row.cash)),
        "initial_cash": str(row.cash),
        "equity": str(worth),
        "pnl": str(worth - row.cash),
        "trades": trades,
    }


def _out(session: Session, row: SessionRow) -> Json:
    """Return the number of open orders, and of those without a known answer."""
    query = (
        select(IntentRow.state, func.count())
        .where(IntentRow.session_id == row.session_id, IntentRow.state.in_(OPEN_STATES))
        .group_by(IntentRow.state)
    )
    states = {row.state: row[1] for row in session.execute(query)}
    return {"open_orders": sum(states.values()), "unknown": states.get("sent", 0)}


def accounts(database: Database) -> list[str]:
    """Return the names of all accounts that ever traded here."""
    with database.session(read_only=True) as session:
        return list(session.scalars(select(SessionRow.account).distinct().order_by(SessionRow.account)))


def known_account(database: Database, name: str) -> str:
    """Return the account of this name.

    Raises
    ------
    InputError
        If it never traded here, with the one that was probably meant.
    """
    known = accounts(database)
    if name not in known:
        raise InputError("No such account", found=name, todo=did_you_mean(name, known))
    return name


def strategies(database: Database) -> list[str]:
    """Return the names of all strategies that a session ever ran."""
    with database.session(read_only=True) as session:
        return list(session.scalars(select(SlotRow.strategy).distinct().order_by(SlotRow.strategy)))


def trades(
    database: Database, *, account: str | None = None, symbol: str | None = None, strategy: str | None = None,
    limit: int | None = None,
) -> list[Json]:  # fmt: skip
    """Return closed round trips as plain JSON values, the newest first; `trade` is the id that `explain_trade` takes."""
    query = _of(select(TradeRow), TradeRow, account=account, symbol=symbol, strategy=strategy)
    query = query.order_by(TradeRow.exit_ms.desc(), TradeRow.session_id, TradeRow.trade_no.desc()).limit(limit)
    with database.session(read_only=True) as session:
        return [trade_json(row) for row in session.scalars(query)]


def orders(
    database: Database, *, account: str | None = None, symbol: str | None = None, open_only: bool = False,
    limit: int | None = None,
) -> list[Json]:  # fmt: skip
    """Return orders as plain JSON values, the newest first; `open_only` leaves out those that ended.

    `average_price` is that of the fills, weighted by their quantities, `fees` what they cost by asset; None and empty without one.
    """
    query = _of(select(IntentRow), IntentRow, account=account, symbol=symbol)
    if open_only:
        query = query.where(IntentRow.state.in_(OPEN_STATES))
    query = query.order_by(IntentRow.bar_ms.desc(), IntentRow.created_at.desc(), IntentRow.client_id).limit(limit)
    with database.session(read_only=True) as session:
        found = session.scalars(query).all()
        fills = _fills(session, [row.client_id for row in found])
        return [{**intent_json(row), **_filled(fills.get(row.client_id, []))} for row in found]


def _fills(session: Session, client_ids: Sequence[str]) -> dict[str, list[FillRow]]:
    """Return the fills of orders by client id, in portions that every database takes."""
    found: dict[str, list[FillRow]] = {}
    for first in range(0, len(client_ids), _PORTION):
        some = client_ids[first : first + _PORTION]
        for fill in session.scalars(select(FillRow).where(FillRow.client_id.in_(some))):
            found.setdefault(str(fill.client_id), []).append(fill)
    return found


def _filled(fills: Sequence[FillRow]) -> Json:
    """Return an order's average fill price (exact if all fills have one price) and its fees by asset."""
    quantity = sum((fill.quantity for fill in fills), Decimal(0))
    if not quantity:
        return {"average_price": None, "fees": {}}
    prices = {fill.price for fill in fills}
    value = sum((fill.price * fill.quantity for fill in fills), Decimal(0))
    average = prices.pop() if len(prices) == 1 else _AVERAGE.divide(value, quantity)
    fees: dict[str, Decimal] = {}
    for fill in fills:
        fees[fill.fee_asset] = fees.get(fill.fee_asset, Decimal(0)) + fill.fee
    return {"average_price": exact_text(average), "fees": {asset: exact_text(fee) for asset, fee in fees.items()}}


def _of(query: Select[Any], table: type[TradeRow | IntentRow], **wanted: str | None) -> Select[Any]:
    """Filter by account, symbol and strategy; None keeps all."""
    query = query.join(SessionRow, SessionRow.session_id == table.session_id)
    columns = {"account": SessionRow.account, "symbol": table.symbol, "strategy": table.strategy}
    for name, value in wanted.items():
        if value is not None:
            query = query.where(columns[name] == value)
    return query


def trade_json(row: TradeRow) -> Json:
    """Return a round trip as plain values, amounts as exact text."""
    money = ("quantity", "entry_price", "exit_price", "fees", "financing", "pnl")
    names = ("slot", "strategy", "symbol", "side", "mfe", "mae", "exit_reason", "bars_held", "additions")
    return {
        "trade": f"{row.session_id}/{row.trade_no}",
        **{name: getattr(row, name) for name in names},
        **{name: exact_text(getattr(row, name)) for name in money},
        "entry_time": _moment(row.entry_ms),
        "exit_time": _moment(row.exit_ms),
    }


def intent_json(row: IntentRow) -> Json:
    """Return an order as plain values, amounts as exact text."""
    money = ("quantity", "filled", "price", "stop_price", "notional")
    names = ("client_id", "slot", "strategy", "symbol", "role", "attempt", "side", "type", "state", "reason", "refusal",
             "list_id", "exchange_id", "epoch")  # fmt: skip
    return {
        "session": row.session_id,
        **{name: getattr(row, name) for name in names},
        **{name: exact_text(getattr(row, name)) for name in money},
        "bar": _moment(row.bar_ms),
        "placed": _moment(row.placed_ms),
        "sent": _moment(row.sent_ms or None),
    }


def exact_text(amount: object) -> str | None:
    """Return an amount with all its digits, None for None."""
    return None if amount is None else f"{amount:f}"


def _moment(time_ms: int | None) -> str | None:
    return None if time_ms is None else moment_text(time_ms)


def moment_text(time_ms: int) -> str:
    """Return epoch milliseconds in ISO 8601, UTC; without pandas, which `atb halt` must not wait for."""
    return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=time_ms)).isoformat()


def journalled_trades(database: Database, account: str) -> list[tuple[float, ...]]:
    """Return an account's closed round trips, oldest first, for comparison with a backtest's.

    Each is (entry time, entry price, exit time, exit price, quantity, profit), times in epoch milliseconds, the rest as the floats
    that the exact amounts came from.
    """
    query = _of(select(TradeRow), TradeRow, account=account).order_by(TradeRow.session_id, TradeRow.trade_no)
    with database.session(read_only=True) as session:
        return [
            (t.entry_ms, float(t.entry_price), t.exit_ms, float(t.exit_price), float(t.quantity), float(t.pnl))
            for t in session.scalars(query)
        ]
