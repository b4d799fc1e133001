"""Plans the next request that brings a venue nearer to the book, from the two alone: after a crash the answer is the same.

Nothing is remembered about what was being done: an order is wanted or not, open or not. So recovery needs no code of its own, and a
request that failed is simply planned again.
"""

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import TypeVar

import numpy as np

from atb.decimals import exact
from atb.domain import Order
from atb.domain.venue import Capabilities, ListKind, OrderList
from atb.engine.adjust import after_entry
from atb.engine.matching import round_price
from atb.live.execution.blotter import Blotter, Outstanding
from atb.live.execution.orders import PROTECTIVE, OrderMaker, Unit

T = TypeVar("T")
Terms = tuple[Decimal, Decimal | None, Decimal | None]  # quantity left, stop, target


@dataclass(frozen=True)
class Place:
    """Send an order or an order list."""

    slot: int
    order: Order | OrderList

    @property
    def orders(self) -> tuple[Order, ...]:
        """The orders in it."""
        return self.order.orders if isinstance(self.order, OrderList) else (self.order,)

    @property
    def list_id(self) -> str | None:
        """The list's client id."""
        return self.order.client_id if isinstance(self.order, OrderList) else None


@dataclass(frozen=True)
class Cancel:
    """Cancel an order with all others of its list."""

    slot: int
    group: tuple[Outstanding, ...]


@dataclass(frozen=True)
class Replace:
    """Cancel one order and send another in its place, in one request."""

    slot: int
    old: Outstanding
    order: Order


Request = Place | Cancel | Replace


@dataclass(frozen=True)
class SlotPlanner:
    """Plans a slot's next request: the slot as the kernel left it, against its open orders.

    Parameters
    ----------
    record, parameters
        The kernel's records of the slot.
    maker, bar_ms
        Its order factory, and the bar that orders are named after.
    crossed
        Whether the price has passed the stop, so that none can rest: the position is closed instead.
    reached
        Whether the price has passed the next target: it is taken at once, and the stops follow.
    plain
        Whether entries are sent without their stops, because the venue refused them in one list.
    band
        How far above the last close a market entry in a list may be filled, as a fraction.
    most
        How many stops of the slot may rest, None for any number.
    dust
        Whether the position is too small to be sold: what rests for it is cancelled when it is left, and no order is sent.
    """

    slot: int
    record: np.void
    parameters: np.void
    maker: OrderMaker
    bar_ms: int
    blotter: Blotter
    capabilities: Capabilities
    crossed: bool = False
    reached: bool = False
    plain: bool = False
    band: float = 0.02
    most: int | None = None
    dust: bool = False

    @property
    def settled(self) -> bool:
        """Whether no answer or execution of the slot's orders is missing."""
        return not any(outstanding.unsettled for outstanding in self.blotter if outstanding.slot == self.slot)

    @property
    def leaving(self) -> bool:
        """Whether the position is to be closed at the market."""
        return bool(self.record["quantity"] != 0.0 and (self.record["exit"] != 0.0 or self.crossed))

    @property
    def covered(self) -> bool:
        """Whether stops known to rest cover the position, as far as the kernel wants a stop."""
        if self.record["quantity"] == 0.0 or self.leaving:
            return True
        wanted = self.maker.units(self.record, self.parameters, most=self.most)
        groups = [group for group in self._groups(self.blotter.open(self.slot, "stop")) if not _awaits_entry(group)]
        stops = [
            outstanding
            for group in groups
            for outstanding in group
            if outstanding.role == "stop" and not outstanding.unknown
        ]
        resting = sum((outstanding.leaves_quantity for outstanding in stops), Decimal(0))
        return resting >= sum((unit.quantity for unit in wanted if unit.stop is not None), Decimal(0))

    def leave(self) -> Request | None:
        """Close the position: first cancel what rests, since it locks what is to be sold."""
        if not self.settled or not self.leaving:
            return None
        blotter, held = self.blotter, float(self.record["quantity"])
        if any(outstanding.order.type == "market" for outstanding in blotter.open(self.slot)):
            return None  # it is on its way
        make = self.maker.past_stop if self.crossed and self.record["exit"] == 0.0 else self.maker.leave
        groups = self._groups(blotter.open(self.slot))
        if self.dust:
            return Cancel(self.slot, groups[0]) if groups else None
        if len(groups) == 1 and self._replaceable(groups[0]):
            return Replace(self.slot, groups[0][0], self._named(make(self.record, held)))
        if groups:
            return Cancel(self.slot, groups[0])
        return Place(self.slot, self._named(make(self.record, held)))

    def protect(self) -> Request | None:
        """Cancel entries that are no longer wanted, and make what rests equal to the wanted stops and targets."""
        if not self.settled or self.leaving:
            return None
        return self._withdraw() or self._guard()

    def enter(self) -> Request | None:
        """Send the entry that is wanted and not open."""
        record = self.record
        if not self.settled or self.leaving or record["exit"] != 0.0 or record["entry"] == 0.0:
            return None
        if self.blotter.open(self.slot, "entry"):
            return None
        (order,) = (intent for intent in self.maker.intents(record) if intent.role == "entry")
        return Place(self.slot, self._with_protection(order) or self._named(order))

    def _with_protection(self, order: Order) -> OrderList | None:
        """Return the entry in one list with its stop and target, None where that is not possible.

        The venue then places the stop by itself, even if this process is dead. If the entry fills at another price than expected,
        the stop is moved to where the kernel wants it.
        """
        if self.plain or "opo" not in self.capabilities.lists or self.record["quantity"] != 0.0 or order.side != "buy":
            return None
        if order.type == "stop":
            return None  # a venue takes limit orders only as the first of a list
        units = self.maker.units(self._expected(order), self.parameters, most=self.most)
        if not units or units[-1].stop is None:
            return None
        guards = units[0].orders if len(units) == 1 else (_whole(units),)
        if len(guards) == 2 and "opoco" not in self.capabilities.lists:
            guards = guards[:1]
        bounded = replace(order, price=self._bound()) if order.type == "market" else order
        return self.maker.tie([self._named(leg) for leg in (bounded, *guards)], self.bar_ms)

    def _expected(self, order: Order) -> np.void:
        """Return the slot as it will be once the entry has filled at its expected price."""
        price = np.nan if order.price is None else float(order.price)
        slot: np.void = after_entry(self.record, self.parameters, quantity=float(order.quantity), price=price)
        return slot

    def _bound(self) -> Decimal:
        """Return the worst price at which a market entry in a list may fill."""
        return exact(round_price(1, float(self.record["mark"]) * (1.0 + self.band), self.parameters))

    def _withdraw(self) -> Request | None:
        """Cancel an entry that the book has dropped or changed, or that came beside another one, if there is one."""
        for outstanding in self.blotter.open(self.slot, "entry"):
            price = outstanding.order.price or outstanding.order.stop_price
            moved = price is not None and float(price) != float(self.record["entry_at"])
            if (
                moved
                or outstanding.beside_another
                or abs(float(self.record["entry"])) != float(outstanding.leaves_quantity)
            ):
                return Cancel(self.slot, tuple(self.blotter.same_list(outstanding)))
        return None

    def _guard(self) -> Request | None:
        """Return the next request towards the wanted stops and targets, keeping as much as possible covered."""
        wanted = self.maker.units(self.record, self.parameters, most=self.most)
        groups = [
            group for group in self._groups(self.blotter.open(self.slot, *PROTECTIVE)) if not _awaits_entry(group)
        ]
        missing = _without(wanted, (_terms_of(group) for group in groups))
        surplus = _surplus(groups, [_terms(unit) for unit in wanted])
        if not missing:
            return Cancel(self.slot, surplus[0]) if surplus else None
        if not self.bar_ms:
            return None
        for unit in missing:
            for group in surplus:
                if unit.target is None and self._replaceable(group) and unit.quantity == group[0].leaves_quantity:
                    return Replace(self.slot, group[0], self._named(unit.orders[0]))
        free = exact(abs(float(self.record["quantity"]))) - sum(
            (group[0].leaves_quantity for group in groups), Decimal(0)
        )
        fitting = next((unit for unit in missing if unit.quantity <= free), None)
        if fitting is not None and self.reached and fitting.target is not None:
            return Place(self.slot, self._named(fitting.target))
        if fitting is not None:
            return Place(self.slot, self._tied(fitting))
        return Cancel(self.slot, surplus[0]) if surplus else None

    def _groups(self, orders: Iterable[Outstanding]) -> list[tuple[Outstanding, ...]]:
        """Return orders grouped with the open others of their list, each group once."""
        found: dict[str, tuple[Outstanding, ...]] = {}
        for outstanding in orders:
            group = tuple(other for other in self.blotter.same_list(outstanding) if not other.ended)
            found.setdefault(outstanding.list_id or outstanding.client_id, group)
        return list(found.values())

    def _replaceable(self, group: tuple[Outstanding, ...]) -> bool:
        """Return whether a group is one unfilled order that a single request can replace."""
        return self.capabilities.replaces and len(group) == 1 and not group[0].filled

    def _named(self, order: Order) -> Order:
        return self.maker.name(order, self.bar_ms)

    def _tied(self, unit: Unit) -> Order | OrderList:
        named = [self._named(order) for order in unit.orders]
        return named[0] if len(named) == 1 else self.maker.tie(named, self.bar_ms)


def _awaits_entry(group: tuple[Outstanding, ...]) -> bool:
    """Return whether a group's entry is still open: its stop and target do not rest yet."""
    return any(outstanding.role == "entry" for outstanding in group)


def _whole(units: list[Unit]) -> Order:
    """Return one stop for all units together."""
    stop = units[-1].stop
    if stop is None:
        raise AssertionError("units share a stop, or have none")
    return replace(stop, quantity=sum((unit.quantity for unit in units), Decimal(0)))


def _terms(unit: Unit) -> Terms:
    stop = unit.stop.stop_price if unit.stop else None
    return unit.quantity, stop, unit.target.price if unit.target else None


def _terms_of(group: tuple[Outstanding, ...]) -> Terms:
    """Return the terms of a group of open orders."""
    stops = [outstanding.order.stop_price for outstanding in group if outstanding.role == "stop"]
    targets = [outstanding.order.price for outstanding in group if outstanding.role == "target"]
    return group[0].leaves_quantity, stops[0] if stops else None, targets[0] if targets else None


def _without(wanted: list[Unit], resting: Iterable[Terms]) -> list[Unit]:
    """Return the wanted units that are missing, duplicates counted."""
    return _beyond(wanted, _terms, Counter(resting))


def _surplus(groups: list[tuple[Outstanding, ...]], wanted: list[Terms]) -> list[tuple[Outstanding, ...]]:
    """Return the groups that are not wanted, duplicates counted."""
    return _beyond(groups, _terms_of, Counter(wanted))


def _beyond(things: Iterable[T], terms_of: Callable[[T], Terms], allowed: Counter[Terms]) -> list[T]:
    """Return the items beyond the allowed number of their terms; `allowed` is used up."""
    beyond = []
    for thing in things:
        terms = terms_of(thing)
        if allowed[terms]:
            allowed[terms] -= 1
        else:
            beyond.append(thing)
    return beyond


def list_of(group: tuple[Outstanding, ...]) -> Order | OrderList:
    """Return a group as it was sent: an order, or an order list."""
    first = group[0]
    if first.list_id is None:
        return first.order
    kind: ListKind = "oco" if all(outstanding.role != "entry" for outstanding in group) else "opo"
    return OrderList(first.list_id, kind, tuple(outstanding.order for outstanding in group))
