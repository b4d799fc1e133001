"""Order factory: the kernel's intents as orders, with client ids that a restart computes again."""

import base64
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Literal

import numpy as np

from atb.decimals import exact
from atb.domain import Order, Symbol
from atb.domain.orders import CLIENT_ID_PREFIX, ROLE_LETTERS
from atb.domain.venue import ListKind, OrderList
from atb.engine import records
from atb.engine.adjust import after_target
from atb.engine.codes import KINDS, REASON_CODES, REASONS
from atb.engine.matching import round_lots

Role = Literal["entry", "exit", "stop", "target"]
PROTECTIVE: tuple[Role, ...] = ("stop", "target")
_PRICES: dict[Role, str] = {
    "entry": "entry_at",
    "stop": "stop",
    "target": "target",
}  # where an order's own price stands
_USUAL_REASONS: dict[Role, int] = {
    "entry": records.SIGNAL_ENTRY,
    "exit": records.SIGNAL_EXIT,
    "stop": records.STOP_LOSS,
}
_DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"


class ClientIds:
    """Client order ids of one session and slot: at most 36 characters of `a-z 0-9 - _`, the same for the same purpose.

    Parameters
    ----------
    strategy
        Its first six characters are shown in the id.
    identity
        What identifies the slot: session, manifest, strategy, symbol.
    """

    def __init__(self, strategy: str, identity: tuple[str, ...]) -> None:
        digest = hashlib.sha256("\0".join(identity).encode()).digest()
        self._prefix = f"{CLIENT_ID_PREFIX}{strategy[:6]}-{base64.b32encode(digest)[:10].decode().lower()}"

    @property
    def prefix(self) -> str:
        """Prefix of all client ids of the slot."""
        return self._prefix

    def make(self, bar_ms: int, role: str, attempt: int) -> str:
        """Return the id of one attempt at a role (or `list`) in the bar that opened at `bar_ms`."""
        return f"{self._prefix}-{_base36(bar_ms)}-{ROLE_LETTERS[role]}{attempt}"


def _base36(number: int) -> str:
    digits = ""
    while number:
        number, digit = divmod(number, 36)
        digits = _DIGITS[digit] + digits
    return digits or "0"


@dataclass(frozen=True)
class Unit:
    """A part of a position with what rests for it: a stop, a target, or both, of which one cancels the other."""

    stop: Order | None
    target: Order | None

    @property
    def orders(self) -> tuple[Order, ...]:
        """The orders, the stop first."""
        return tuple(order for order in (self.stop, self.target) if order is not None)

    @property
    def quantity(self) -> Decimal:
        """The part's size in base."""
        return self.orders[0].quantity

    @property
    def stop_order(self) -> Order:
        """Its stop, of a unit that has one."""
        if self.stop is None:
            raise AssertionError("this unit has no stop")
        return self.stop

    def sized(self, quantity: Decimal) -> "Unit":
        """Return the same orders for another quantity, in base."""
        stop, target = (order and replace(order, quantity=quantity) for order in (self.stop, self.target))
        return Unit(stop, target)


class OrderMaker:
    """Makes one slot's orders; a client id counts earlier orders of the same role in the same bar.

    Parameters
    ----------
    ids, symbol
        The slot's ids and symbol.
    attempts
        Orders made before this process started, by (bar, role).
    """

    def __init__(self, ids: ClientIds, symbol: Symbol, attempts: Mapping[tuple[int, str], int] | None = None) -> None:
        self._ids, self._symbol = ids, symbol
        self._made = dict(attempts or {})

    def intents(self, slot: np.void) -> list[Order]:
        """Return the orders that the slot's decision asks for: an exit at the next open, then an entry there or at its price."""
        found = []
        if slot["exit"] != 0.0:
            found.append(self._order("exit", slot, float(slot["exit"]), kind=records.AT_MARKET))
        if slot["entry"] != 0.0:
            found.append(self._order("entry", slot, float(slot["entry"]), kind=int(slot["entry_kind"])))
        return found

    def protection(self, slot: np.void) -> list[Order]:
        """Return the orders that must rest on a paper venue: a stop for the whole position, and the next target."""
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

    def units(self, slot: np.void, parameters: np.void, *, most: int | None = None) -> list[Unit]:
        """Return the orders that rest at an exchange: each rung of the ladder with its share of the stop, and a stop for the rest.

        The rungs to come are the kernel's own: each is what it would place once the one before is filled. A part that is too
        small to be an order of its own goes with the rest, under the stop alone; so do the farthest rungs where the venue takes
        `most` stops and no more: they get their targets when a nearer one is done.
        """
        after, side, units = slot, np.sign(slot["quantity"]), []
        while after["quantity"] != 0.0 and not np.isnan(after["target"]) and after["target_quantity"] > 0.0:
            part = min(
                float(after["target_quantity"]), float(abs(after["quantity"]))
            )  # less is left after a part of a stop
            unit = self._unit(after, side * part, with_target=True)
            if _too_small(unit, parameters):
                break
            units.append(unit)
            after = after_target(after, parameters)
        rest = float(after["quantity"])
        if rest != 0.0 and not np.isnan(slot["stop"]):
            unit = self._unit(after, rest, with_target=False)
            if _too_small(unit, parameters) and units:
                last = units.pop()
                whole = float(round_lots(rest + side * float(last.quantity), parameters))
                unit = self._unit(after, whole, with_target=False)
            units.append(unit)
        if most is None or len(units) <= most or np.isnan(slot["stop"]):
            return units
        same_list = side * sum(float(unit.quantity) for unit in units[most - 1 :])
        return [*units[: most - 1], self._unit(slot, float(round_lots(same_list, parameters)), with_target=False)]

    def past_stop(self, slot: np.void, quantity: float) -> Order:
        """Return the market order that replaces a stop that the price has passed, for a signed position."""
        return self._order("stop", slot, -quantity, kind=records.AT_MARKET)

    def leave(self, slot: np.void, quantity: float) -> Order:
        """Return the market order that closes a signed position."""
        return self._order("exit", slot, -quantity, kind=records.AT_MARKET)

    def name(self, order: Order, bar_ms: int) -> Order:
        """Return the order with its client id; this counts as an attempt."""
        return replace(order, client_id=self._ids.make(bar_ms, order.role, self._attempt(bar_ms, order.role)))

    def tie(self, orders: Sequence[Order], bar_ms: int) -> OrderList:
        """Return named orders as an order list with a client id of its own: stop and target, or an entry with them."""
        kind: ListKind = "oco" if orders[0].role != "entry" else "opo" if len(orders) == 2 else "opoco"
        return OrderList(self._ids.make(bar_ms, "list", self._attempt(bar_ms, "list")), kind, tuple(orders))

    def made(self, bar_ms: int, role: Role) -> int:
        """Return how many orders of a role were made in a bar."""
        return self._made.get((bar_ms, role), 0)

    def _attempt(self, bar_ms: int, role: str) -> int:
        attempt = self._made.get((bar_ms, role), 0)
        self._made[bar_ms, role] = attempt + 1
        return attempt

    def _unit(self, slot: np.void, signed: float, *, with_target: bool) -> Unit:
        stop = None if np.isnan(slot["stop"]) else self._order("stop", slot, -signed, kind=records.AT_STOP)
        return Unit(stop, self._order("target", slot, -signed, kind=records.AT_LIMIT) if with_target else None)

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


def _too_small(unit: Unit, parameters: np.void) -> bool:
    """Return whether a venue would refuse the unit's cheapest order as too small."""
    quantity = float(unit.quantity)
    prices = [float(price) for order in unit.orders for price in (order.price, order.stop_price) if price is not None]
    return bool(quantity < parameters["min_quantity"] or quantity * min(prices) < parameters["min_notional"])


def reason_of(role: Role, slot: np.void, *, placed_for: str = "") -> int:
    """Return the kernel's code for why an order of this role is out while the slot is as it is.

    `placed_for` is the reason with which it was placed. It counts where the slot has none any more: an exit that is executed long
    after its request, when the slot has decided otherwise since.
    """
    if role == "target":
        return records.PARTIAL_EXIT if slot["target_quantity"] < abs(slot["quantity"]) else records.TAKE_PROFIT
    return int(slot[f"{role}_reason"]) or REASON_CODES.get(placed_for, _USUAL_REASONS[role])


def same_terms(one: Order, other: Order) -> bool:
    """Return whether two orders have the same terms, whatever their ids."""
    terms = ("symbol", "side", "role", "type", "quantity", "price", "stop_price")
    return all(getattr(one, name) == getattr(other, name) for name in terms)


def intent_json(order: Order) -> dict[str, str]:
    """Return an order as JSON for the decision's row."""
    names = ("client_id", "side", "role", "type", "quantity", "price", "stop_price", "reason")
    values = {name: getattr(order, name) for name in names}
    return {name: str(value) for name, value in values.items() if value is not None}
