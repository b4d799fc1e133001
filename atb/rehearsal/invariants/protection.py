"""I3: every position is covered by a stop resting at the exchange, except for as long as the runner could not act."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import ROUND_DOWN, Decimal
from itertools import groupby

from atb.rehearsal.context import JudgeContext, SlotContext
from atb.rehearsal.ledger import ClientIdParts, LedgerOrder, LedgerOrders, LedgerReading, Span

STOPS = frozenset(("STOP_LOSS", "STOP_LOSS_LIMIT"))
RESTS = frozenset(("NEW", "PARTIALLY_FILLED"))
_VALUE_SLACK = Decimal("1.3")  # an order worth little more than the minimum notional may be refused at the stop's price


@dataclass(frozen=True)
class UncoveredSpan:
    """A span in which a slot's position was not covered; `longest_ms` is its longest part without an excuse."""

    slot: str
    span: Span
    held: Decimal
    covered: Decimal
    longest_ms: int

    def __str__(self) -> str:
        """Return one line."""
        begin, end = self.span
        return f"{self.slot} held {self.held}, covered {self.covered}, for {self.longest_ms} ms from {begin} to {end}"


@dataclass
class _Position:
    """A slot's position in its current round trip; a remainder below one lot is dust and not carried into the next."""

    context: SlotContext
    held: Decimal = Decimal(0)
    price: Decimal = Decimal(0)
    orders: dict[int, LedgerOrder] = field(default_factory=dict)
    since: tuple[int, Decimal, Decimal] | None = None

    def execute(self, side: str, quantity: Decimal, price: Decimal, *, fee: Decimal) -> None:
        self.held += (quantity if side == "BUY" else -quantity) - fee
        self.price = price
        if side == "SELL" and self.to_cover == 0:
            self.held = Decimal(0)

    @property
    def to_cover(self) -> Decimal:
        """Quantity that must be covered: the position floored to whole lots."""
        whole = (self.held / self.context.lot).to_integral_value(ROUND_DOWN) * self.context.lot
        return max(whole, Decimal(0))

    @property
    def above_min_notional(self) -> bool:
        return self.to_cover * self.price >= self.context.min_notional * _VALUE_SLACK

    @property
    def covered(self) -> Decimal:
        stops = (order for order in self.orders.values() if order.type in STOPS and order.state in RESTS)
        return sum((order.rest for order in stops), Decimal(0))


def uncovered_spans(ledger: LedgerReading, context: JudgeContext) -> Iterator[UncoveredSpan]:
    """Yield every span in which a position that needs a stop was not covered, at the resolution of the exchange's clock."""
    orders = LedgerOrders()
    positions = {slot.prefix: _Position(slot) for slot in context.slots if slot.needs_stop}
    for now, entries in groupby(ledger.entries, lambda entry: int(entry["ms"])):
        changed = set()
        for entry in entries:
            order = orders.apply(entry)
            name = ClientIdParts.parse(order.client_id) if order is not None else None
            if order is None or name is None or (position := positions.get(name.slot)) is None:
                continue
            changed.add(name.slot)
            position.orders[order.order_id] = order
            if entry["kind"] == "trade":
                fee = Decimal(entry["commission"]) if entry["commission_asset"] == position.context.base else Decimal(0)
                position.execute(entry["side"], Decimal(entry["quantity"]), Decimal(entry["price"]), fee=fee)
        for prefix in changed:
            yield from _update(positions[prefix], now, ledger, context=context)
    for position in positions.values():
        if position.since is not None:
            yield _uncovered_span(position, ledger.end_ms, ledger, context=context)


def _update(position: _Position, now: int, ledger: LedgerReading, *, context: JudgeContext) -> Iterator[UncoveredSpan]:
    """Compare position and stops after the last entry of one exchange time."""
    position.orders = {key: order for key, order in position.orders.items() if order.open}
    covered = position.covered
    uncovered = position.above_min_notional and covered < position.to_cover
    if uncovered and position.since is None:
        position.since = (now, position.to_cover, covered)
    elif not uncovered and position.since is not None:
        yield _uncovered_span(position, now, ledger, context=context)
        position.since = None


def _uncovered_span(
    position: _Position, until_ms: int, ledger: LedgerReading, *, context: JudgeContext
) -> UncoveredSpan:
    since_ms, held, covered = position.since or (until_ms, Decimal(0), Decimal(0))
    span = (since_ms, until_ms)
    return UncoveredSpan(
        position.context.prefix, span, held, covered, _longest_ms(position.context, span, ledger, context=context)
    )


def _longest_ms(slot: SlotContext, span: Span, ledger: LedgerReading, *, context: JudgeContext) -> int:
    """Return the longest part of a span in which the runner could have acted and did not, in milliseconds.

    The count starts again after the process was killed within the span, after the exchange refused orders, and after a fault hit
    a request. Time of a runner that was already down when the position opened counts against it, unless its stop was cancelled
    from outside.
    Where a cancel of ours was executed late, deaths count from when it was sent.
    """
    since = span[0]
    cancelled_by_others = since in ledger.stops_cancelled_by_others()
    sent = ledger.late_cancels.get(since, since)
    deaths = [
        (begin, end) for begin, end in context.deaths if begin >= sent or (cancelled_by_others and begin <= since < end)
    ]
    return longest_unexcused_ms(span, [*deaths, *obstructions(slot, since, ledger)])


def obstructions(slot: SlotContext, since: int, ledger: LedgerReading) -> list[Span]:
    """Return the spans after `since` in which a slot could not act: refused orders, and faults that hit a request."""
    faults = [(time_ms, time_ms) for time_ms in ledger.fault_times_ms() if time_ms >= since]
    return [*faults, *(span for span in ledger.refusal_spans(slot.joined) if span[1] >= since)]


def longest_unexcused_ms(span: Span, excuses: list[Span]) -> int:
    """Return the longest part of a span that no excuse covers, in milliseconds."""
    since, until = span
    longest, counted_from = 0, since
    for begin, end in sorted(excuses):
        if begin >= until:
            break
        longest = max(longest, begin - counted_from)  # negative where one excuse overlaps the previous one
        counted_from = max(counted_from, min(end, until))
    return max(longest, until - counted_from)
