"""What one slot of the reference holds, wants and remembers, and the prices that its policy makes of a reference price.

Everything here is an exact decimal or None, which says "off" or "none". A position's quantity is positive; its side says which way.
"""

from dataclasses import dataclass, field
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from functools import lru_cache
from typing import NamedTuple

from atb.engine.slot import Slot

ZERO = Decimal(0)
NEAR = Decimal("0.000001")
MOST = Decimal("0.9")  # of a price that slippage takes
YEAR_MS = Decimal(365 * 24 * 3600 * 1000)


@lru_cache(maxsize=100_000)
def number(value: float) -> Decimal:
    """Return the decimal that a float is written as."""
    return Decimal(repr(float(value)))


def maybe(value: float | None) -> Decimal | None:
    """Return a number, or None for what is off, not given or not a number."""
    return None if value is None or value != value else number(value)


def to_step(value: Decimal, step: Decimal, *, up: bool) -> Decimal:
    """Round to a step; a value within a millionth of a step of the grid is on it."""
    steps = value / step
    nearest = steps.to_integral_value()
    if abs(steps - nearest) < NEAR:
        return nearest * step
    return steps.to_integral_value(ROUND_CEILING if up else ROUND_FLOOR) * step


def tightest(side: int, stops: list[Decimal | None]) -> Decimal | None:
    """Return the stop nearest to the price: the highest under a long position, the lowest over a short one."""
    known = [stop for stop in stops if stop is not None]
    if not known:
        return None
    return max(known) if side > 0 else min(known)


class Bar(NamedTuple):
    """One bar, exactly."""

    opened: int
    closed: int
    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal
    volume: Decimal
    funding: Decimal
    first: int

    @classmethod
    def of(cls, record) -> "Bar":
        prices = (number(record[name]) for name in ("open", "high", "low", "close", "volume", "funding"))
        return cls(int(record["opened"]), int(record["closed"]), *prices, int(record["first"]))


class Signal(NamedTuple):
    """What the strategy says at a bar's close."""

    side: int | None
    confidence: Decimal | None
    atr: Decimal | None
    volatility: Decimal | None
    stop: Decimal | None
    price: Decimal | None
    cluster: int

    @classmethod
    def of(cls, record) -> "Signal":
        side, cluster = float(record["side"]), float(record["cluster"])
        values = (maybe(float(record[name])) for name in ("confidence", "atr", "volatility", "stop", "price"))
        return cls(None if side != side else int(side), *values, 0 if cluster != cluster else int(cluster))


@dataclass
class Position:
    """What is held, and how it came about."""

    side: int
    quantity: Decimal
    price: Decimal
    time: int
    unit: Decimal
    added_price: Decimal
    highest: Decimal
    lowest: Decimal
    opened: Decimal
    stop: Decimal | None = None
    stop_reason: str = ""
    target: Decimal | None = None
    target_quantity: Decimal = ZERO
    rung: int = 0
    additions: int = 0
    bars: int = 0
    inside: str = ""  # the kind of the resting entry that filled inside the bar that still lasts
    entered_at: Decimal = ZERO  # the price that it met there, before slippage
    realised: Decimal = ZERO
    exited: Decimal = ZERO  # summed value of the exits
    fees: Decimal = ZERO
    financing: Decimal = ZERO
    paid: int = 0  # up to when interest was paid

    def profit(self, price: Decimal) -> Decimal:
        """How far a price is from the entry in the position's favour, as a fraction."""
        return self.side * (price / self.price - 1)

    @property
    def best(self) -> Decimal:
        """The best excursion, as a fraction of the entry price."""
        return max(ZERO, self.profit(self.highest if self.side > 0 else self.lowest))

    @property
    def worst(self) -> Decimal:
        """The worst excursion, as a fraction of the entry price."""
        return max(ZERO, -self.profit(self.lowest if self.side > 0 else self.highest))

    def tighten(self, stop: Decimal, reason: str) -> None:
        """Move the stop towards the price, never away from it."""
        if self.stop is None or self.side * (stop - self.stop) > 0:
            self.stop, self.stop_reason = stop, reason


@dataclass
class Pending:
    """An entry that waits: for the next open, or for its price."""

    side: int
    quantity: Decimal
    reason: str
    kind: str
    at: Decimal | None
    bars: int
    atr: Decimal | None
    stop: Decimal | None


@dataclass
class Book:
    """One slot."""

    slot: Slot
    position: Position | None = None
    pending: Pending | None = None
    leaving: str = ""  # why the position is closed at the next open
    dust: Decimal = ZERO
    mark: Decimal = ZERO
    atr: Decimal | None = None
    volume: Decimal = ZERO
    cluster: int = 0
    waits: int = 0
    cool: int = 0
    refusal: str = ""
    wins: list[Decimal] = field(default_factory=list)  # returns of the closed trades that gained
    losses: list[Decimal] = field(default_factory=list)

    @property
    def side(self) -> int:
        return self.position.side if self.position else 0

    @property
    def held(self) -> Decimal:
        """Signed quantity."""
        return self.position.side * self.position.quantity if self.position else ZERO

    def rate(self, kind: str) -> Decimal:
        """Return the fee's rate: maker for limits, taker for all else."""
        execution = self.slot.execution
        maker = execution.fee if execution.maker_fee is None else execution.maker_fee
        return number(maker if kind == "limit" else execution.fee)

    def interest(self, price: Decimal, time: int) -> Decimal:
        """Return what a short owes for what it borrowed since it last paid, by the clock, and note that it is paid."""
        position = self.position
        years = Decimal(max(0, time - position.paid)) / YEAR_MS
        position.paid = max(position.paid, time)
        rate = number(self.slot.execution.borrow_rate) if position.side < 0 else ZERO
        return position.quantity * price * rate * years

    # --- prices ---

    def against(self, side: int, price: Decimal) -> Decimal:
        """Round to a tick, to the disadvantage of an order of this side."""
        return to_step(price, self.slot.rules.tick, up=side > 0)

    def slip(self, quantity: Decimal, price: Decimal) -> Decimal:
        """Return how much worse than its reference price an order fills, as a fraction."""
        execution = self.slot.execution
        slip = number(execution.slippage)
        if self.atr is not None and execution.slippage_atr > 0:
            slip += number(execution.slippage_atr) * self.atr / price
        if execution.impact > 0 and quantity > 0:
            share = min(Decimal(1), quantity / self.volume) if self.volume > 0 else Decimal(1)
            slip += number(execution.impact) * share.sqrt()
        return min(slip, MOST)

    def market_price(self, side: int, price: Decimal, quantity: Decimal) -> Decimal:
        return self.against(side, price * (1 + side * self.slip(quantity, price)))

    def stop_for(self, side: int, price: Decimal, atr: Decimal | None, wanted: Decimal | None) -> Decimal | None:
        """Return where the stop of an entry at this price belongs: the tightest of those that are on."""
        policy, stops = self.slot.policy, []
        if policy.stop_loss is not None:
            stops.append(price * (1 - side * number(policy.stop_loss)))
        if policy.stop_atr is not None and atr is not None:
            stops.append(price - side * number(policy.stop_atr) * atr)
        if policy.signal_stop:
            stops.append(wanted)
        stop = tightest(side, stops)
        return None if stop is None else self.against(-side, stop)

    # --- what protects a position ---

    def protect(self, entry: Pending) -> None:
        """Place stop and target after an entry has filled."""
        position = self.position
        stop = self.stop_for(position.side, position.price, entry.atr, entry.stop)
        if stop is not None:
            position.tighten(stop, "stop_loss")
        self.place_target()

    def place_target(self) -> None:
        """Rest the next rung of the ladder that can be traded, or the take-profit for all that is left."""
        position, policy = self.position, self.slot.policy
        while position.rung < len(policy.ladder):
            price, quantity = self.rung(*policy.ladder[position.rung])
            if quantity > 0 and self.tradable(quantity, price):
                position.target, position.target_quantity = price, quantity
                return
            position.rung += 1
        position.target, position.target_quantity = None, ZERO
        if policy.take_profit is not None:
            distance = position.side * number(policy.take_profit)
            position.target = self.against(position.side, position.price * (1 + distance))
            position.target_quantity = position.quantity

    def rung(self, distance: float, share: float) -> tuple[Decimal, Decimal]:
        """Return a rung's price and quantity; a rest too small to trade goes along with it."""
        position, rules = self.position, self.slot.rules
        price = self.against(position.side, position.price * (1 + position.side * number(distance)))
        quantity = min(to_step(number(share) * position.opened, rules.lot, up=False), position.quantity)
        rest = position.quantity - quantity
        if rest < max(rules.lot, rules.min_quantity) or rest * price < rules.min_notional:
            quantity = position.quantity
        return price, quantity

    def tradable(self, quantity: Decimal, price: Decimal) -> bool:
        """Whether the venue takes an order of this size."""
        rules = self.slot.rules
        return quantity >= rules.min_quantity and quantity * price >= rules.min_notional
