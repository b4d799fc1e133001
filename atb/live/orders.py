"""Intents: what the kernel's state asks a venue for, as orders with an identity that a restart computes again."""

import base64
import hashlib
from dataclasses import replace
from typing import Literal

import numpy as np

from atb.domain import Order, Symbol
from atb.venues.paper import exact

Role = Literal["entry", "exit", "stop", "target"]
PROTECTIVE: tuple[Role, ...] = ("stop", "target")
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
        """Return the market orders that the slot's decision asks for at the next open: exit first."""
        roles: tuple[Role, Role] = ("exit", "entry")
        return [self._market(role, float(slot[role])) for role in roles if slot[role] != 0.0]

    def protection(self, slot: np.void) -> list[Order]:
        """Return the orders that must rest while the slot holds what it holds: a stop and a target, or neither."""
        quantity = float(slot["quantity"])
        if quantity == 0.0:
            return []
        return [self._resting(role, quantity, float(slot[role])) for role in PROTECTIVE if not np.isnan(slot[role])]

    def name(self, order: Order) -> Order:
        """Return the order with its client id: only an order that is really sent counts as an attempt."""
        attempt = self._made.get(order.role, 0)
        self._made[order.role] = attempt + 1
        return replace(order, client_id=self._ids.make(self._bar_ms, order.role, attempt))

    def _market(self, role: Role, signed: float) -> Order:
        side: Literal["buy", "sell"] = "buy" if signed > 0 else "sell"
        return Order("", self._symbol, side, role, "market", exact(abs(signed)))

    def _resting(self, role: Role, held: float, price: float) -> Order:
        side: Literal["buy", "sell"] = "sell" if held > 0 else "buy"
        quantity = exact(abs(held))
        if role == "stop":
            return Order("", self._symbol, side, role, "stop", quantity, stop_price=exact(price))
        return Order("", self._symbol, side, role, "limit", quantity, price=exact(price))


def same_terms(one: Order, other: Order) -> bool:
    """Tell whether two orders ask for the same, whatever they are called."""
    terms = ("symbol", "side", "role", "type", "quantity", "price", "stop_price")
    return all(getattr(one, name) == getattr(other, name) for name in terms)
