"""Intents: what the kernel's state asks a venue for, as orders with an identity that a restart computes again."""

import base64
import hashlib
from dataclasses import replace
from typing import Literal

import numpy as np

from atb.domain import Order, Symbol
from atb.engine import records
from atb.engine.codes import KINDS, REASONS
from atb.venues.paper import exact

Role = Literal["entry", "exit", "stop", "target"]
PROTECTIVE: tuple[Role, ...] = ("stop", "target")
_PRICES: dict[Role, str] = {
    "entry": "entry_at",
    "stop": "stop",
    "target": "target",
}  # where an order's own price stands
_LETTERS: dict[Role, str] = {"entry": "e", "exit": "x", "stop": "s", "target": "t"}
_DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"


class ClientIds:
    """Client order ids of one session and slot: at most 36 characters of `a-z 0-9 - _`, the same for the same purpose.

    Parameters
    ----------
    strategy
        Its first six characters are shown in the id.
    identity
        What tells this slot from every other one: account, manifest, strategy, symbol.
    """

    def __init__(self, strategy: str, identity: tuple[str, ...]) -> None:
        digest = hashlib.sha256("\0".join(identity).encode()).digest()
        self._prefix = f"atb-{strategy[:6]}-{base64.b32encode(digest)[:10].decode().lower()}"

    def make(self, bar_ms: int, role: Role, attempt: int) -> str:
        """Return the id of one attempt at a role in the bar that opened at `bar_ms`."""
        return f"{self._prefix}-{_base36(bar_ms)}-{_LETTERS[role]}{attempt}"


def _base36(number: int) -> str:
    digits = ""
    while number:
        number, digit = divmod(number, 36)
        digits = _DIGITS[digit] + digits
    return digits or "0"


class OrderMaker:
    """Makes the orders of one bar: the attempt counts earlier orders of the same role in it."""

    def __init__(self, ids: ClientIds, symbol: Symbol, bar_ms: int) -> None:
        self._ids, self._symbol, self._bar_ms = ids, symbol, bar_ms
        self._made: dict[str, int] = {}

    def intents(self, slot: np.void) -> list[Order]:
        """Return the orders that the slot's decision asks for: an exit at the next open, then an entry there or at its price."""
        found = []
        if slot["exit"] != 0.0:
            found.append(self._order("exit", slot, float(slot["exit"]), kind=records.AT_MARKET))
        if slot["entry"] != 0.0:
            found.append(self._order("entry", slot, float(slot["entry"]), kind=int(slot["entry_kind"])))
        return found

    def protection(self, slot: np.void) -> list[Order]:
        """Return the orders that must rest while the slot holds what it holds: a stop for all of it, a target for its part."""
        held = float(slot["quantity"])
        if held == 0.0:
            return []
        found = []
        if not np.isnan(slot["stop"]):
            found.append(self._order("stop", slot, -held, kind=records.AT_STOP))
        if not np.isnan(slot["target"]):
            part = float(np.copysign(slot["target_quantity"], -held))
            found.append(self._order("target", slot, part, kind=records.AT_LIMIT))
        return found

    def name(self, order: Order) -> Order:
        """Return the order with its client id: only an order that is really sent counts as an attempt."""
        attempt = self._made.get(order.role, 0)
        self._made[order.role] = attempt + 1
        return replace(order, client_id=self._ids.make(self._bar_ms, order.role, attempt))

    def _order(self, role: Role, slot: np.void, signed: float, *, kind: int) -> Order:
        side: Literal["buy", "sell"] = "buy" if signed > 0 else "sell"
        price = exact(slot[_PRICES[role]]) if kind != records.AT_MARKET else None
        return Order(
            client_id="",
            symbol=self._symbol,
            side=side,
            role=role,
            type=KINDS[kind],  # type: ignore[arg-type] # the table holds "market", "limit" and "stop"
            quantity=exact(abs(signed)),
            price=price if kind == records.AT_LIMIT else None,
            stop_price=price if kind == records.AT_STOP else None,
            reason=REASONS[reason_of(role, slot)],
        )


def reason_of(role: Role, slot: np.void) -> int:
    """Return the kernel's code for why an order of this role is out while the slot is as it is."""
    if role == "target":
        return records.PARTIAL_EXIT if slot["target_quantity"] < abs(slot["quantity"]) else records.TAKE_PROFIT
    return int(slot[f"{role}_reason"])


def same_terms(one: Order, other: Order) -> bool:
    """Tell whether two orders ask for the same, whatever they are called."""
    terms = ("symbol", "side", "role", "type", "quantity", "price", "stop_price")
    return all(getattr(one, name) == getattr(other, name) for name in terms)
