"""The exchange's append-only ledger: a record of everything that happened, for tests and the judge of a rehearsal."""

import json
import time
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any, TextIO

from atb.files import cannot_be_written, make_private_folder, private_opener
from atb.venues.simulator.events import AccountEvent, AccountPosition, BalanceUpdate, ExecutionReport
from atb.venues.simulator.orders import Order, Trade


class Ledger:
    """Append-only entries in the order in which they happened.

    An entry has `seq` (0, 1, ...), `ms` (exchange time), `real_ms` (our time since the ledger began; both in milliseconds, since a
    clock that stands still while a client works hides how long something lasted) and `kind`:
    `request` (`id method path client_id via params`), `answer` (`id status code fate`, and a refusal's `msg`; fate: send, reset,
    hold, truncate),
    `late` (`id status code`: a delayed request was executed), `order` (one change of an order: `execution` and its state after
    it), `trade`, `balance` (`balances`: free and locked by asset), `transfer`,
    `list`, `subscription` (`stream event`: a client subscribed), `frame` (a stream sent something), `fault` (one struck),
    `mark` (a note by a test).
    Amounts are decimals as text, so that sums are exact.

    Parameters
    ----------
    file
        Also write the entries there, one JSON object per line; None keeps the ledger in memory only.
    """

    def __init__(self, file: Path | None = None) -> None:
        self._entries: list[dict[str, Any]] = []
        self._began = time.monotonic()
        self._file: TextIO | None = None
        if file is not None:
            try:
                make_private_folder(file.parent)
                self._file = open(file, "w", encoding="utf-8", opener=private_opener)  # noqa: SIM115 - Path.open takes no opener; `close` ends it
            except OSError as error:
                raise cannot_be_written(file, error) from None

    def __len__(self) -> int:
        """Return the number of entries."""
        return len(self._entries)

    def append(self, now_ms: int, kind: str, values: Mapping[str, Any]) -> None:
        """Add an entry."""
        real_ms = int((time.monotonic() - self._began) * 1_000)
        entry = {"seq": len(self._entries), "ms": now_ms, "real_ms": real_ms, "kind": kind} | dict(values)
        self._entries.append(entry)
        if self._file is not None:
            self._file.write(json.dumps(entry, default=_as_text) + "\n")
            self._file.flush()

    def entries(self, first: int = 0) -> list[dict[str, Any]]:
        """Return copies of the entries from `first` on."""
        return [dict(entry) for entry in self._entries[first:]]

    def to_json(self, first: int = 0) -> str:
        """Return the entries from `first` on as one JSON list."""
        return json.dumps(self._entries[first:], default=_as_text)

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()
            self._file = None


def _as_text(value: Any) -> str:
    if isinstance(value, Decimal):
        return f"{value:f}"
    return str(value)


def text(amount: Decimal) -> str:
    """Return an amount as text without an exponent."""
    return f"{amount:f}"


def entry_of(event: AccountEvent) -> tuple[str, dict[str, Any]]:
    """Return the kind and the values of an event's ledger entry."""
    if isinstance(event, ExecutionReport):
        if event.trade is not None:
            return "trade", _trade(event.trade, event.order)
        return "order", {"execution": event.type, "reason": event.reason} | order_values(event.order)
    if isinstance(event, AccountPosition):
        rows = {asset: [text(free), text(locked)] for asset, free, locked in event.balances}
        return "balance", {"balances": rows}
    if isinstance(event, BalanceUpdate):
        return "transfer", {"asset": event.asset, "amount": text(event.amount)}
    orders = event.orders
    return "list", {
        "list_id": orders.id, "client_id": orders.client_id, "list": orders.kind, "status_type": orders.status_type,
        "status": orders.order_status, "orders": list(orders.orders),
    }  # fmt: skip


def order_values(order: Order) -> dict[str, Any]:
    """Return an order's state."""
    return {
        "order_id": order.id, "client_id": order.client_id, "list_id": order.list_id, "symbol": order.symbol,
        "side": order.side, "type": order.type, "status": order.status, "quantity": text(order.quantity),
        "filled": text(order.filled), "spent": text(order.spent), "price": text(order.price),
        "stop_price": text(order.stop_price), "time": order.time_ms,
    }  # fmt: skip


def _trade(trade: Trade, order: Order) -> dict[str, Any]:
    return {
        "trade_id": trade.id, "order_id": trade.order_id, "client_id": order.client_id, "list_id": trade.list_id,
        "symbol": trade.symbol, "side": trade.side, "type": order.type, "price": text(trade.price),
        "quantity": text(trade.quantity), "commission": text(trade.commission),
        "commission_asset": trade.commission_asset, "maker": trade.maker, "status": order.status,
        "filled": text(order.filled),
    }  # fmt: skip
