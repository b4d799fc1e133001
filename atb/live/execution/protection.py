"""The next change that brings resting stops and targets nearer to the wanted ones, without a moment in which less is covered.

What a sell order rests for is locked: nothing else can sell it. So what is free is covered first; then an order gives way to
another in one request (cancel-replace), which places a single order and never a pair. It follows that at Binance

- a stop moves, grows, shrinks, or takes the place of a pair in one request, and nothing is bare in between;
- a pair that is wanted where a pair or a stop rests for the same part needs two requests: the part is bare between them. It is
  done for one part after the other, and only where prices or quantities really differ;
- where a symbol allows no cancel-replace, an old stop stays though it is wider than the wanted one.

A crumb moves nothing: a difference that no order could sell by itself (below the least quantity or value), and for a pair a stop
one tick away. Fees in base make such differences: what an entry received, what its stop sells and what the books hold are each
rounded to lots on their own. Nor does the fee itself: where the account has other coins of the base, Binance takes the fee of an
entry in a list from those, and the list's stop sells all that was bought.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal

import numpy as np

from atb.decimals import exact
from atb.domain import Order
from atb.domain.venue import Capabilities
from atb.engine.adjust import sellable
from atb.live.execution.blotter import Outstanding
from atb.live.execution.orders import Unit

Group = tuple[Outstanding, ...]
Prices = tuple[Decimal | None, Decimal | None]  # of the stop, of the target
_NONE = Decimal(0)


@dataclass(frozen=True)
class Add:
    """Place a stop, a target or a pair on what is free."""

    unit: Unit


@dataclass(frozen=True)
class Swap:
    """Let one order take the place of a group, in one request."""

    group: Group
    order: Order


@dataclass(frozen=True)
class Remove:
    """Cancel a group; `relaid` says that a pair takes its place with the next request."""

    group: Group
    relaid: bool = False


Change = Add | Swap | Remove


@dataclass(frozen=True)
class Lack:
    """Quantity that is not covered at a unit's prices."""

    unit: Unit
    quantity: Decimal


@dataclass(frozen=True)
class Arrangement:
    """Wanted units against resting groups.

    Parameters
    ----------
    wanted, groups
        What is to rest, and what does.
    held
        The position without what is locked for the legs of an entry that is open, in base.
    parameters
        The kernel's parameters of the slot: lot, tick and minima.
    can
        What the symbol allows.
    room
        How many further stops may rest, None for any number.
    """

    wanted: Sequence[Unit]
    groups: Sequence[Group]
    held: Decimal
    parameters: np.void
    can: Capabilities
    room: int | None = None

    def next_change(self) -> Change | None:
        """Return the next change, None where nothing has to change or can."""
        lacks = list(self._lacks())
        if not lacks:
            return self._reduce()
        if (added := self._add(lacks)) is not None:
            return added
        surplus = [group for group in self.groups if self._excess(self._prices(group)) > 0]
        return self._give_way(surplus, lacks) if surplus else self._merge(lacks)

    @property
    def covered(self) -> bool:
        """Whether the resting stops that are known cover what wants a stop, but for a crumb."""
        stops = [order for group in self.groups for order in group if order.role == "stop" and not order.unknown]
        wanted = sum((unit.quantity for unit in self.wanted if unit.stop is not None), _NONE)
        bare = wanted - sum((order.leaves_quantity for order in stops), _NONE)
        return not self._sellable(bare, self.wanted[-1]) if bare > 0 else True

    # --- differences --------------------------------------------------------------------------------------------------

    @property
    def free(self) -> Decimal:
        """The quantity that no resting order sells, in base."""
        return self.held - sum((group[0].leaves_quantity for group in self.groups), _NONE)

    def _prices(self, group: Group) -> Prices:
        """Return a group's prices: the wanted ones where they are the same but for a tick of a pair's stop."""
        stop = next((order.order.stop_price for order in group if order.role == "stop"), None)
        target = next((order.order.price for order in group if order.role == "target"), None)
        tick = exact(self.parameters["tick"])
        if stop is None or target is None:
            return stop, target
        for wanted in map(prices_of, self.wanted):
            if wanted[0] is not None and wanted[1] == target and abs(wanted[0] - stop) <= tick:
                return wanted
        return stop, target

    def _resting(self) -> dict[Prices, Decimal]:
        found: dict[Prices, Decimal] = defaultdict(Decimal)
        for group in self.groups:
            found[self._prices(group)] += group[0].leaves_quantity
        return found

    def _wanted(self) -> dict[Prices, Decimal]:
        found: dict[Prices, Decimal] = defaultdict(Decimal)
        for unit in self.wanted:
            found[prices_of(unit)] += unit.quantity
        return found

    def _lacks(self) -> Iterator[Lack]:
        """Yield what is not covered at each unit's prices, nearest target first; a crumb beside what rests there is none."""
        resting, wanted = self._resting(), self._wanted()
        units = {prices_of(unit): unit for unit in self.wanted}
        for prices, unit in units.items():
            missing = wanted[prices] - resting[prices]
            if missing > 0 and not (resting[prices] and not self._sellable(missing, unit)):
                yield Lack(unit, missing)

    def _excess(self, prices: Prices) -> Decimal:
        """Return the quantity that rests at some prices beyond the wanted one, 0 for a crumb, and for an entry's fee in base."""
        wanted = self._wanted()[prices]
        beyond = self._resting()[prices] - wanted
        price = float(prices[0] or prices[1] or 0)
        crumb = wanted and (beyond <= self._fee_of(wanted) or not sellable(self.parameters, float(beyond), price))
        return _NONE if beyond <= 0 or crumb else beyond

    def _fee_of(self, quantity: Decimal) -> Decimal:
        """Return the fee that an entry of a quantity paid in base, a lot more for rounding; 0 where fees are not in base."""
        rate = exact(self.parameters["taker_fee"]) if self.parameters["fee_in_base"] else _NONE
        return quantity * rate / (1 - rate) + exact(self.parameters["lot"]) if rate else _NONE

    def _sellable(self, quantity: Decimal, unit: Unit) -> bool:
        price = next(price for price in prices_of(unit) if price is not None)
        return sellable(self.parameters, float(quantity), float(price))

    @property
    def _full(self) -> bool:
        return self.room is not None and self.room < 1

    # --- changes ------------------------------------------------------------------------------------------------------

    def _add(self, lacks: Sequence[Lack]) -> Add | None:
        """Cover what is free."""
        for lack in lacks:
            quantity = min(lack.quantity, self.free)
            part = quantity < lack.quantity
            if quantity <= 0 or (part and not self._sellable(quantity, lack.unit)):
                continue
            if lack.unit.stop is None or not self._full:
                return Add(lack.unit.sized(quantity))
        return None

    def _give_way(self, surplus: Sequence[Group], lacks: Sequence[Lack]) -> Change | None:
        """Let a group that is not wanted give way to what is."""
        group, protects = surplus[0], any(order.role == "stop" for order in surplus[0])
        if not self.can.replaces:
            return None if protects else Remove(group)  # an old stop is better than none
        for lack in lacks:
            if lack.unit.stop is not None and lack.unit.target is None:
                return Swap(group, lack.unit.sized(min(lack.quantity, group[0].leaves_quantity + self.free)).stop_order)
        lack = lacks[0]
        rest = group[0].leaves_quantity - (lack.quantity - max(self.free, _NONE))
        alone = len(group) == 1 and protects and lack.unit.stop is not None
        if alone and rest > 0 and self._sellable(rest, lack.unit):
            return Swap(group, lack.unit.sized(rest).stop_order)  # what is set free is paired next
        return Remove(group, relaid=protects)

    def _merge(self, lacks: Sequence[Lack]) -> Change | None:
        """Let what is free join a stop that rests at its price, where no further stop may rest."""
        for lack in lacks:
            prices = prices_of(lack.unit)
            for group in self.groups if self.free > 0 and self._full else ():
                if self._prices(group) != prices:
                    continue
                if self.can.replaces and lack.unit.target is None:
                    whole = group[0].leaves_quantity + min(lack.quantity, self.free)
                    return Swap(group, lack.unit.sized(whole).stop_order)
                return Remove(group, relaid=True)
        return None

    def _reduce(self) -> Change | None:
        """Take away what rests beyond what is wanted; all that is wanted rests."""
        for prices in self._resting():
            if (beyond := self._excess(prices)) <= 0:
                continue
            here = sorted((g for g in self.groups if self._prices(g) == prices), key=lambda g: g[0].leaves_quantity)
            group = here[-1] if here[0][0].leaves_quantity > beyond else here[0]
            left = group[0].leaves_quantity - beyond
            stop = next((unit for unit in self.wanted if prices_of(unit) == prices), None)
            if left > 0 and stop is not None and stop.target is None and self.can.replaces:
                return Swap(group, stop.sized(left).stop_order)
            return Remove(group)
        return None


def prices_of(unit: Unit) -> Prices:
    """Return a unit's prices, None for what it has not."""
    return unit.stop.stop_price if unit.stop else None, unit.target.price if unit.target else None


def without_targets(units: Sequence[Unit]) -> list[Unit]:
    """Return units as stops alone, for a symbol that ties no stop to a target; a unit that has no stop stays as it is."""
    return [unit if unit.stop is None else replace(unit, target=None) for unit in units]
