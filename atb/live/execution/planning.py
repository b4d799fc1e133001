"""Plans the next request that brings a venue nearer to the book, from the two alone: after a crash the answer is the same.

Nothing is remembered about what was being done: an order is wanted or not, open or not. So recovery needs no code of its own, and a
request that failed is simply planned again.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from decimal import Decimal

import numpy as np

from atb.decimals import exact
from atb.domain import Order
from atb.domain.venue import Capabilities, ListKind, OrderList
from atb.engine.adjust import after_entry, marked_to, sellable
from atb.engine.matching import market_price, round_lots, round_price
from atb.live.execution.blotter import Blotter, Outstanding
from atb.live.execution.orders import PROTECTIVE, OrderMaker, Unit
from atb.live.execution.protection import Add, Arrangement, Change, Group, Swap, without_targets


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
    """Cancel an order with all others of its list.

    `relaid`: whether what protects the position is cancelled for a pair that is sent next, and so only when that can be sent.
    """

    slot: int
    group: Group
    relaid: bool = False


@dataclass(frozen=True)
class Replace:
    """Cancel an order, or by it its whole list, and send another in its place, in one request."""

    slot: int
    group: Group
    order: Order

    @property
    def orders(self) -> tuple[Order, ...]:
        """The new order."""
        return (self.order,)

    @property
    def list_id(self) -> None:
        """None: a list takes no order's place."""

    @property
    def old(self) -> Outstanding:
        """The order that is to be cancelled."""
        return self.group[0]


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
        Whether entries are sent without their stops in this bar, because the symbol does not allow such lists.
    quote
        The last price, by which the stop of a market entry is placed; None takes the last close.
    funds
        Free quote that a market entry in a list may use at its worst price; None does not bound it.
    band
        How far above the last price a market entry in a list may be filled, as a fraction.
    most
        How many stops of the slot may rest, None for any number: by that the rungs of a ladder are laid out.
    room
        How many further stops may rest beside those of all slots, None for any number.
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
    quote: Decimal | None = None
    funds: Decimal | None = None
    band: float = 0.02
    most: int | None = None
    room: int | None = None
    dust: bool = False

    @property
    def settled(self) -> bool:
        """Whether no answer or execution of the slot's orders is missing, nor what became of the legs of an entry that is over."""
        mine = [outstanding for outstanding in self.blotter if outstanding.slot == self.slot]
        return not any(outstanding.unsettled or self.blotter.unconfirmed(outstanding) for outstanding in mine)

    @property
    def leaving(self) -> bool:
        """Whether the position is to be closed at the market."""
        return bool(self.record["quantity"] != 0.0 and (self.record["exit"] != 0.0 or self._passed))

    @property
    def _passed(self) -> bool:
        """Whether the price has passed the wanted stop: by the venue's word, or by the close where old stops are not moved."""
        held, stop = float(self.record["quantity"]), float(self.record["stop"])
        return self.crossed or bool(
            not self.capabilities.replaces and held > 0.0 and float(self.record["mark"]) <= stop
        )

    @property
    def covered(self) -> bool:
        """Whether stops known to rest cover the position, as far as the kernel wants a stop."""
        return self.record["quantity"] == 0.0 or self.leaving or self._arrangement().covered

    def leave(self) -> Request | None:
        """Close the position; what rests for it gives way in the same request where the symbol allows that, part by part."""
        if not self.settled or not self.leaving:
            return None
        blotter, held = self.blotter, exact(abs(float(self.record["quantity"])))
        if any(outstanding.order.type == "market" for outstanding in blotter.open(self.slot)):
            return None  # it is on its way
        groups = self._groups(blotter.open(self.slot))
        if self.dust:
            return Cancel(self.slot, groups[0]) if groups else None
        for group in groups:
            part = held if len(groups) == 1 else min(held, group[0].leaves_quantity)
            if _awaits_entry(group) or not self.capabilities.replaces or not self._sellable(part):
                return Cancel(self.slot, group)
            return Replace(self.slot, group, self._exit(part))
        return Place(self.slot, self._exit(held))

    def _exit(self, quantity: Decimal) -> Order:
        """Return the market order that sells a part of the position, or all of it."""
        make = self.maker.leave if self.record["exit"] != 0.0 else self.maker.past_stop
        return self._named(make(self.record, float(np.copysign(float(quantity), self.record["quantity"]))))

    def protect(self) -> Request | None:
        """Cancel entries that are no longer wanted, and make what rests equal to the wanted stops and targets."""
        if not self.settled or self.leaving:
            return None
        return self._withdraw() or (self._clear_for_dust() if self.dust else self._guard())

    def _clear_for_dust(self) -> Request | None:
        """Cancel what rests for a position of dust, unless a stop still sells it or its entry may add to it; place nothing."""
        if self.blotter.open(self.slot, "stop", "entry"):
            return None
        groups = self._groups(self.blotter.open(self.slot, *PROTECTIVE))
        return Cancel(self.slot, groups[0]) if groups else None

    def enter(self) -> Request | None:
        """Send the entry that is wanted and not open."""
        record = self.record
        if not self.settled or self.leaving or record["exit"] != 0.0 or record["entry"] == 0.0:
            return None
        if self.blotter.open(self.slot, "entry"):
            return None
        (order,) = (intent for intent in self.maker.intents(record) if intent.role == "entry")
        order = replace(order, quantity=self._lots(order.quantity))
        rest = order.type == "limit" and record["quantity"] != 0.0
        if rest and self._full and self.maker.units(record, self.parameters):
            return None  # its stop could not rest beside the others
        return Place(self.slot, self._with_protection(order) or self._named(order))

    def _with_protection(self, order: Order) -> OrderList | None:
        """Return the entry in one list with its stop and target, None where that is not possible.

        The venue then places the stop by itself, even if this process is dead. If the entry fills at another price than expected,
        the stop is moved to where the kernel wants it. What is added to a position brings a stop for itself.
        """
        if self.plain or "opo" not in self.capabilities.lists or self._full or order.side != "buy":
            return None
        if order.type == "stop":
            return None  # a venue takes limit orders only as the first of a list
        entry = self._bounded(order) if order.type == "market" else order
        units = self.maker.units(self._expected(order), self.parameters, most=self.most)
        if not units or units[-1].stop is None:
            return None
        unit = units[0] if len(units) == 1 and "opoco" in self.capabilities.lists else Unit(units[-1].stop, None)
        legs = unit.sized(entry.quantity).orders
        return self.maker.tie([self._named(leg) for leg in (entry, *legs)], self.bar_ms)

    @property
    def _full(self) -> bool:
        """Whether no further stop may rest beside those of a position."""
        return self.room is not None and self.room < 1 and bool(self.record["quantity"] != 0.0)

    def _expected(self, order: Order) -> np.void:
        """Return the slot as it will be once the entry has filled at its expected price."""
        price = np.nan if order.price is None else float(order.price)
        slot: np.void = after_entry(self._quoted, self.parameters, quantity=float(order.quantity), price=price)
        return slot

    @property
    def _quoted(self) -> np.void:
        """The slot, marked to the last price if that was asked for."""
        return self.record if self.quote is None else marked_to(self.record, float(self.quote))

    def _bounded(self, order: Order) -> Order:
        """Return a market entry with its worst price: no more than the account can pay, and smaller where even that is too much.

        It lies above the last price and not above the last close: a backtest enters at an open however far that has leapt, and
        so does this. A list's first order locks its quantity at its worst price. Where that is more than is free, the worst price
        comes down, at most to the price that is expected; then the quantity does.
        """
        record, par = self._quoted, self.parameters
        worst = round_price(1, float(record["mark"]) * (1.0 + self.band), par)
        if self.funds is None:
            return replace(order, price=exact(worst))
        reserve = 1 + (exact(0.0) if par["fee_in_base"] else exact(par["taker_fee"]))
        expected = market_price(1, float(record["mark"]), float(order.quantity), record, par)
        least = min(exact(worst), exact(round_price(1, expected, par)))
        price = max(least, min(exact(worst), self._ticks(self.funds / reserve / order.quantity)))
        lot = exact(par["lot"])
        return replace(order, price=price, quantity=min(order.quantity, self.funds / reserve / price // lot * lot))

    def _ticks(self, price: Decimal) -> Decimal:
        """Return a price floored to the tick."""
        tick = exact(self.parameters["tick"])
        return price // tick * tick

    def _lots(self, quantity: Decimal) -> Decimal:
        """Return a quantity in whole lots: sums of decimals leave crumbs in binary."""
        return exact(abs(round_lots(float(quantity), self.parameters)))

    def _sellable(self, quantity: Decimal) -> bool:
        return sellable(self.parameters, float(quantity), float(self.record["mark"]))

    def _withdraw(self) -> Request | None:
        """Cancel an entry that the book has dropped or changed, that came beside another one, or that locks a part that is held.

        What the first order of a list received is locked for its legs until it is filled: only cancelling the list frees it.
        """
        wanted = self._lots(exact(abs(float(self.record["entry"]))))
        for outstanding in self.blotter.open(self.slot, "entry"):
            price = outstanding.order.price or outstanding.order.stop_price
            moved = price is not None and float(price) != float(self.record["entry_at"])
            locked = outstanding.list_id is not None and outstanding.filled > 0 and self._sellable(outstanding.filled)
            if moved or locked or outstanding.beside_another or wanted != outstanding.leaves_quantity:
                return Cancel(self.slot, tuple(self.blotter.same_list(outstanding)))
        return None

    def _guard(self) -> Request | None:
        """Return the next request towards the wanted stops and targets, keeping as much as possible covered."""
        change = self._arrangement().next_change()
        if change is None or (isinstance(change, Add | Swap) and not self.bar_ms):
            return None
        return self._request(change)

    def _request(self, change: Change) -> Request:
        if isinstance(change, Swap):
            return Replace(self.slot, change.group, self._named(change.order))
        if not isinstance(change, Add):
            return Cancel(self.slot, change.group, change.relaid)
        if self.reached and change.unit.target is not None:
            return Place(self.slot, self._named(change.unit.target))
        return Place(self.slot, self._tied(change.unit))

    def _arrangement(self) -> Arrangement:
        """Compare the wanted protective orders with those that rest; stop and target of an entry that is open do not rest yet."""
        wanted = self.maker.units(self.record, self.parameters, most=self.most)
        groups = [
            group for group in self._groups(self.blotter.open(self.slot, *PROTECTIVE)) if not _awaits_entry(group)
        ]
        entries = self.blotter.open(self.slot, "entry")
        locked = sum((entry.filled for entry in entries if entry.list_id is not None), Decimal(0))
        return Arrangement(
            wanted if "oco" in self.capabilities.lists else without_targets(wanted),
            groups,
            exact(abs(float(self.record["quantity"]))) - locked,
            self.parameters,
            self.capabilities,
            self.room,
        )

    def _groups(self, orders: Iterable[Outstanding]) -> list[Group]:
        """Return orders grouped with the open others of their list, each group once."""
        found: dict[str, Group] = {}
        for outstanding in orders:
            group = tuple(other for other in self.blotter.same_list(outstanding) if not other.ended)
            found.setdefault(outstanding.list_id or outstanding.client_id, group)
        return list(found.values())

    def _named(self, order: Order) -> Order:
        return self.maker.name(order, self.bar_ms)

    def _tied(self, unit: Unit) -> Order | OrderList:
        named = [self._named(order) for order in unit.orders]
        return named[0] if len(named) == 1 else self.maker.tie(named, self.bar_ms)


def _awaits_entry(group: Group) -> bool:
    """Return whether a group's entry is still open: its stop and target do not rest yet."""
    return any(outstanding.role == "entry" for outstanding in group)


def list_of(group: Group) -> Order | OrderList:
    """Return a group as it was sent: an order, or an order list."""
    first = group[0]
    if first.list_id is None:
        return first.order
    kind: ListKind = "oco" if all(outstanding.role != "entry" for outstanding in group) else "opo"
    return OrderList(first.list_id, kind, tuple(outstanding.order for outstanding in group))
