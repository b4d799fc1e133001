"""The journal's rows: a step's values as columns of the tables, and orders read back from them."""

from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any

import numpy as np

from atb.db.tables import IntentRow
from atb.decimals import exact
from atb.domain import Fill, Order, Symbol
from atb.engine.codes import DIRECTIONS, REASONS
from atb.live.journal.step import NOT_TRADED, Change, Decided, Execution, OrderEvent, Step, Working
from atb.live.plan import Plan
from atb.redaction import redact

Row = dict[str, Any]
_DECISION: Row = {
    "side": None, "prediction": None, "confidence": None, "bar": {}, "inputs": None, "intents": [], "refusal": None
}  # fmt: skip


class Rows:
    """Makes the rows of one session.

    Parameters
    ----------
    session_id
        Whose rows they are.
    plans
        What trades, in the order of the slots.
    epoch
        Of the lease that intents are committed under.
    """

    def __init__(self, session_id: str, plans: tuple[Plan, ...], epoch: int) -> None:
        self._session_id, self._plans, self._epoch = session_id, plans, epoch

    def slots(self) -> list[Row]:
        """Return the rows of a new session's slots."""
        return [
            {**self._of(number), **self.traded_by(plan), "timeframe": str(plan.timeframe), "status": "trading"}
            for number, plan in enumerate(self._plans)
        ]

    def traded_by(self, plan: Plan) -> Row:
        """Return the columns of a slot's row that name the manifest trading it."""
        return {"manifest_sha256": plan.manifest.content_sha256, "strategy": plan.strategy.name}

    def decision(self, decided: Decided) -> Row:
        """Return the row of a decision; columns without a value are None or empty."""
        return {**self._named(decided.slot), "bar_ms": decided.bar_ms, **_DECISION, **decided.values}

    def intent(self, working: Working, change: Change | None, *, value: Decimal | None, placed_ms: int) -> Row:
        """Return the row of an order; `change` is its change within the same step."""
        order, after = working.order, change or Change(working.state)
        return {
            **self._named(working.slot),
            "client_id": order.client_id,
            "bar_ms": working.bar_ms,
            "role": order.role,
            "attempt": int(order.client_id.rpartition("-")[2][1:]),
            "side": order.side,
            "type": order.type,
            "quantity": order.quantity,
            "price": order.price,
            "stop_price": order.stop_price,
            "notional": value,
            "list_id": working.list_id,
            "state": after.state,
            "exchange_id": after.exchange_id or working.exchange_id,
            "filled": working.filled if after.filled is None else after.filled,
            "reason": order.reason,
            "refusal": after.refusal and redact(after.refusal),
            "epoch": self._epoch,
            "placed_ms": placed_ms,
            "sent_ms": working.sent_ms if after.sent_ms is None else after.sent_ms,
        }

    def fill(self, done: Execution) -> Row:
        """Return the row of an execution; it belongs to a trade once that one is closed."""
        reported = fill_values(done.fill)
        numbering = {"fill_no": done.number, "role": done.order.role, "reason": done.reason}
        return {**self._of(done.slot), **reported, **numbering, "client_id": done.order.client_id, "trade_no": None}

    def trade(self, number: int, trade: np.void) -> Row:
        """Return the row of a round trip from its TRADE record."""
        money = ("quantity", "entry_price", "exit_price", "fees", "financing", "pnl")
        return {
            **self._named(int(trade["slot"])),
            "trade_no": number,
            "side": DIRECTIONS[int(trade["side"])],
            **{name: exact(trade[name]) for name in money},
            "entry_ms": int(trade["entry_time"]),
            "exit_ms": int(trade["exit_time"]),
            "mfe": float(trade["mfe"]),
            "mae": float(trade["mae"]),
            "exit_reason": REASONS[int(trade["reason"])],
            "bars_held": int(trade["bars_held"]),
            "additions": int(trade["additions"]),
        }

    def closing(self, number: int, trade: np.void, fills: Iterable[Execution]) -> Row | None:
        """Return the parameters of `sql.NUMBER_FILLS`: fills up to the last that reduced the position get the trade's number.

        None if the step has no fill of that slot.
        """
        slot, ended_ms = int(trade["slot"]), int(trade["exit_time"])
        of_slot = [done for done in fills if done.slot == slot]
        exits = [done.number for done in of_slot if done.order.role != "entry" and done.fill.time_ms <= ended_ms]
        last = max(exits or [done.number for done in of_slot], default=None)
        return None if last is None else {"of": self._session_id, "in_slot": slot, "last": last, "number": number}

    def event(self, event: OrderEvent, number: int) -> Row:
        """Return the row of a message of the venue about an order."""
        values = {
            "client_id": event.client_id,
            "kind": event.kind,
            "detail": redact(event.detail),
            "time_ms": event.time_ms,
        }
        return {"session_id": self._session_id, "event_no": number, **values}

    def audit(self, kind: str, detail: Row, severity: str = "info") -> Row:
        """Return an entry of the audit trail."""
        return {"session_id": self._session_id, "severity": severity, "kind": kind, "detail": redact(detail)}

    def cursors(self, step: Step) -> list[Row]:
        """Return the rows of the newest execution of each symbol in the step."""
        real = [done.fill for done in step.fills if not done.fill.trade_id.startswith(NOT_TRADED)]
        newest = {str(fill.symbol): fill.trade_id for fill in real} | step.cursors
        return [{"session_id": self._session_id, "symbol": name, "trade_id": last} for name, last in newest.items()]

    def _of(self, slot: int) -> Row:
        return {"session_id": self._session_id, "slot": slot, "symbol": str(self._plans[slot].symbol)}

    def _named(self, slot: int) -> Row:
        return {**self._of(slot), "strategy": self._plans[slot].strategy.name}


def fill_values(fill: Fill) -> Row:
    """Return the venue's values of an execution."""
    names = ("trade_id", "side", "price", "quantity", "fee", "fee_asset", "fee_value", "time_ms")
    return {name: getattr(fill, name) for name in names}


def entry_values(step: Step, closes: Mapping[int, float]) -> dict[str, Decimal | None]:
    """Return the value (quote) of the orders that a step places: at their own price, else at the last close, None without one."""
    values: dict[str, Decimal | None] = {}
    for working in step.placed:
        price = working.order.price or working.order.stop_price
        if price is None and working.slot in closes:
            price = exact(closes[working.slot])
        values[working.order.client_id] = None if price is None else price * working.order.quantity
    return values


def working(row: IntentRow, sent_after_ms: int = 0) -> Working:
    """Return an open order from its row.

    `sent_after_ms`: until then the previous runner may still have sent what it had committed.
    """
    order = Order(
        row.client_id,
        Symbol.parse(row.symbol),
        row.side,  # type: ignore[arg-type] # what an Order wrote
        row.role,  # type: ignore[arg-type] # what an Order wrote
        row.type,  # type: ignore[arg-type] # what an Order wrote
        row.quantity,
        row.price,
        row.stop_price,
        row.reason or "",
    )
    sent_ms = max(row.sent_ms, sent_after_ms) if row.state == "sent" else row.sent_ms
    return Working(
        order,
        row.bar_ms,
        row.slot,
        row.state,  # type: ignore[arg-type] # what a Step wrote
        row.list_id,
        sent_ms,
        row.exchange_id,
        row.filled,
        row.placed_ms or 0,
    )
