"""I3: every position is covered by a stop resting at the exchange, except for as long as the runner could not act.

Time is measured in two clocks, the exchange's and ours, since a clock that stands still while the runner works hides every gap
between two requests; the limit holds in each. Through a death it is 0: what the runner itself leaves bare between two
requests, by a cancellation or by an entry that does not bring its stop, stays so when its process is gone. The exceptions are
those of `runners/README.md`: entries at a stop, limit entries that are met in part, a pair that is laid where another stop
rested (no request replaces an order by a pair), and what the exchange did or refused. A crumb that no order could sell needs no
stop: protection is not moved for it.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from decimal import ROUND_DOWN, Decimal

from atb.rehearsal.context import JudgeContext, SlotContext
from atb.rehearsal.ledger import ClientIdParts, Entry, LedgerOrder, LedgerOrders, LedgerReading, Span

STOPS = frozenset(("STOP_LOSS", "STOP_LOSS_LIMIT"))
RESTS = frozenset(("NEW", "PARTIALLY_FILLED"))
_IN_ONE_REQUEST = ("opoAllowed", "ocoAllowed", "cancelReplaceAllowed")
_VALUE_SLACK = Decimal("1.3")  # an order worth little more than the minimum notional may be refused at the stop's price


@dataclass(frozen=True)
class UncoveredSpan:
    """A span in which a slot's position was not covered.

    Parameters
    ----------
    longest_ms, longest_real_ms
        Its longest part without an excuse, by the exchange's clock and by ours.
    death_ms
        When a process died in it that had left the position bare itself, None where none did.
    """

    slot: str
    span: Span
    held: Decimal
    covered: Decimal
    longest_ms: int
    longest_real_ms: int = 0
    death_ms: int | None = None

    def violates(self, limit_ms: int) -> bool:
        """Return whether it lasted longer than a limit in one of the clocks, or through a death."""
        return self.death_ms is not None or max(self.longest_ms, self.longest_real_ms) > limit_ms

    def __str__(self) -> str:
        """Return one line."""
        begin, end = self.span
        lasted = f"for {self.longest_ms} ms, {self.longest_real_ms} ms by our clock"
        died = "" if self.death_ms is None else f", left bare by the runner that died at {self.death_ms}"
        return f"{self.slot} held {self.held}, covered {self.covered}, {lasted}, from {begin} to {end}{died}"


@dataclass
class _Bare:
    """A span that has begun: its first entry, quantities, and who began it.

    Parameters
    ----------
    by_us
        Whether the runner itself did, unhindered by faults.
    by_exchange
        Whether the exchange did, by what no request could have kept from happening.
    """

    entry: Entry
    held: Decimal
    covered: Decimal
    by_us: bool
    by_exchange: bool = False
    death_ms: int | None = None


@dataclass
class _Position:
    """A slot's position in its current round trip; a remainder below one lot is dust and not carried into the next.

    What a sale took beyond the position is carried, up to the fees paid in base: Binance takes an entry's fee from the account's
    other coins where it has some, and the list's stop sells all that was bought. The next entry gives them back to their owner.
    """

    context: SlotContext
    held: Decimal = Decimal(0)
    fees: Decimal = Decimal(0)  # in base, since nothing was owed last
    price: Decimal = Decimal(0)
    orders: dict[int, LedgerOrder] = field(default_factory=dict)
    since: _Bare | None = None

    def execute(self, side: str, quantity: Decimal, price: Decimal, *, fee: Decimal) -> None:
        self.held += (quantity if side == "BUY" else -quantity) - fee
        self.price = price
        self.fees += fee
        if side == "SELL" and self.to_cover == 0:
            self.held = min(max(self.held, -self.fees), Decimal(0))
            self.fees = self.fees if self.held < 0 else Decimal(0)

    @property
    def to_cover(self) -> Decimal:
        """Quantity that must be covered: the position floored to whole lots."""
        whole = (self.held / self.context.lot).to_integral_value(ROUND_DOWN) * self.context.lot
        return max(whole, Decimal(0))

    @property
    def is_bare(self) -> bool:
        """Whether so much is not covered that an order could sell it."""
        missing = self.to_cover - self.covered
        return missing > 0 and missing * self.price >= self.context.min_notional * _VALUE_SLACK

    @property
    def covered(self) -> Decimal:
        stops = (order for order in self.orders.values() if order.type in STOPS and order.state in RESTS)
        return sum((order.rest for order in stops), Decimal(0))


def uncovered_spans(ledger: LedgerReading, context: JudgeContext) -> Iterator[UncoveredSpan]:
    """Yield every span in which a position that needs a stop was not covered, from one entry of the ledger to another."""
    orders = LedgerOrders()
    positions = {slot.prefix: _Position(slot) for slot in context.slots if slot.needs_stop}
    for entry in ledger.entries:
        order = orders.apply(entry)
        _note(entry, positions.values(), ledger)
        name = ClientIdParts.parse(order.client_id) if order is not None else None
        if order is None or name is None or (position := positions.get(name.slot)) is None:
            continue
        position.orders[order.order_id] = order
        if entry["kind"] == "trade":
            fee = Decimal(entry["commission"]) if entry["commission_asset"] == position.context.base else Decimal(0)
            position.execute(entry["side"], Decimal(entry["quantity"]), Decimal(entry["price"]), fee=fee)
        if (ended := _update(position, entry, order, able=not _lacks(position.context, entry, ledger))) is not None:
            yield from _span_of(position, ended, entry, ledger=ledger, context=context)
    for position in positions.values():
        if position.since is not None:
            yield from _span_of(position, position.since, ledger.entries[-1], ledger=ledger, context=context)


def _note(entry: Entry, positions: Iterable[_Position], ledger: LedgerReading) -> None:
    """Note a death, or a fault that hindered the runner, in the spans that have begun."""
    for bare in (position.since for position in positions if position.since is not None):
        if ledger.is_death(entry) and bare.by_us:
            bare.death_ms = bare.death_ms or int(entry["ms"])
        bare.by_us = bare.by_us and not ledger.hinders(entry)


def _lacks(slot: SlotContext, entry: Entry, ledger: LedgerReading) -> bool:
    """Return whether a slot's symbol does not allow what keeps a position covered in one request."""
    return any(begin <= int(entry["ms"]) <= end for begin, end in ledger.changed_spans(slot.joined, *_IN_ONE_REQUEST))


def _update(position: _Position, entry: Entry, order: LedgerOrder, *, able: bool) -> _Bare | None:
    """Compare position and stops after an entry; return the span that it ended."""
    position.orders = {key: other for key, other in position.orders.items() if other.open}
    since, bare = position.since, position.is_bare
    if bare and since is None:
        by_us = able and _left_bare_by_us(position.context, entry, order)
        by_exchange = _left_bare_by_exchange(position.context, entry, order)
        position.since = _Bare(entry, position.to_cover, position.covered, by_us, by_exchange)
    elif bare and since is not None and entry["ms"] == since.entry["ms"]:
        since.held, since.covered = position.to_cover, position.covered
        since.by_exchange = since.by_exchange or _left_bare_by_exchange(position.context, entry, order)
        since.by_us = since.by_us and not _makes_room(since.entry, order)
    elif not bare and since is not None:
        position.since = None
        if _lays_pair(position.context, since.entry, order):
            since.death_ms = None
        return since
    return None


def _makes_room(gone: Entry, order: LedgerOrder) -> bool:
    """Return whether a stop has given way to a smaller one in one request: what is free is for a pair, laid with the next."""
    if gone["kind"] != "order" or gone["type"] not in STOPS or order.list_id >= 0:
        return False
    return order.type in STOPS and order.state == "NEW" and order.quantity < Decimal(gone["quantity"])


def _lays_pair(slot: SlotContext, gone: Entry, order: LedgerOrder) -> bool:
    """Return whether an order is the stop of a pair, for which a lone stop was cancelled, or one of other terms.

    What a sell order rests for is locked, and no request of Binance's puts a list in an order's place (cancelReplace places one
    order): a pair can be laid only on what was set free before. So this is excused through a death; its time is counted.
    """
    if gone["kind"] != "order" or order.list_id < 0 or order.type not in STOPS:
        return False
    alone = int(gone["list_id"]) < 0
    moved = abs(order.stop_price - Decimal(gone.get("stop_price", 0))) > slot.tick
    difference = abs(order.quantity - Decimal(gone["quantity"]))
    return alone or moved or (difference >= slot.lot and difference * order.stop_price >= slot.min_notional)


def _left_bare_by_us(slot: SlotContext, entry: Entry, order: LedgerOrder) -> bool:
    """Return whether the runner's request, and not the exchange, left a position bare that one request could have kept covered."""
    if entry["kind"] == "order":
        return bool(order.state == "CANCELED")
    return order.side == "BUY" and order.list_id < 0 and not slot.enters_bare


def _left_bare_by_exchange(slot: SlotContext, entry: Entry, order: LedgerOrder) -> bool:
    """Return whether a position is bare by what the exchange does on its own, as Binance documents it.

    What a limit entry in a list has received is locked for its legs until it is filled; an entry at a stop brings no stop; a
    triggered stop expires beyond the price range, or where its pair's target is met in part; pending legs are rejected.
    """
    if entry["kind"] == "order":
        return order.type in STOPS and order.state in {"EXPIRED", "REJECTED"}
    part = order.list_id >= 0 and order.type == "LIMIT" and entry["status"] == "PARTIALLY_FILLED"
    return order.side == "BUY" and (part or slot.enters_bare)


def _span_of(
    position: _Position, bare: _Bare, last: Entry, *, ledger: LedgerReading, context: JudgeContext
) -> Iterator[UncoveredSpan]:
    """Yield a span that has ended, unless it was a moment inside one request."""
    slot, span = position.context, (int(bare.entry["ms"]), int(last["ms"]))
    real = (ledger.real_ms(bare.entry), ledger.real_ms(last))
    by_others = span[0] in ledger.stops_cancelled_by_others()
    death_ms = None if by_others or span[0] in ledger.late_cancels else bare.death_ms
    if span[0] == span[1] and real[0] == real[1] and death_ms is None:
        return
    longest = _longest_ms(slot, span, ledger, context=context, by_exchange=bare.by_exchange)
    if not by_others and span[0] not in ledger.late_cancels and _gave_up_while_closed(slot, bare.entry, ledger):
        longest = span[1] - span[0]
    longest_real = _longest_real_ms(slot, span, real, ledger=ledger)
    yield UncoveredSpan(slot.prefix, span, bare.held, bare.covered, longest, longest_real, death_ms)


def _gave_up_while_closed(slot: SlotContext, gone: Entry, ledger: LedgerReading) -> bool:
    """Return whether a stop was cancelled in a market that took no orders, where the next one cannot rest: nothing excuses that."""
    cancelled = gone["kind"] == "order" and gone["status"] == "CANCELED"
    return cancelled and any(begin <= gone["ms"] < end for begin, end in ledger.closed_spans(slot.joined))


def _longest_ms(
    slot: SlotContext, span: Span, ledger: LedgerReading, *, context: JudgeContext, by_exchange: bool
) -> int:
    """Return the longest part of a span in which the runner could have acted and did not, in milliseconds.

    The count starts again after the process was killed within the span, after the exchange refused orders, and after a fault hit
    a request. Time of a runner that was already down when the position opened counts against it, since an entry brings its stop;
    not where its stop was cancelled from outside, or the exchange left it bare on its own (`by_exchange`).
    Where a cancel of ours was executed late, deaths count from when it was sent.
    """
    since = span[0]
    cancelled_by_others = by_exchange or since in ledger.stops_cancelled_by_others()
    sent = ledger.late_cancels.get(since, since)
    deaths = [
        (begin, end) for begin, end in context.deaths if begin >= sent or (cancelled_by_others and begin <= since < end)
    ]
    return longest_unexcused_ms(span, [*deaths, *obstructions(slot, since, ledger)])


def _longest_real_ms(slot: SlotContext, span: Span, real: Span, *, ledger: LedgerReading) -> int:
    """Return the longest part of a span by our clock in which a runner lived, and nothing hindered it."""
    hindered = [ledger.real_ms(entry) for entry in ledger.entries_of("fault") if ledger.hinders(entry)]
    refused = [ledger.real_span(refusal) for refusal in ledger.refusal_spans(slot.joined) if refusal[1] >= span[0]]
    excuses = [*((at, at) for at in hindered if at >= real[0]), *refused, *ledger.real_deaths]
    return longest_unexcused_ms(real, [excuse for excuse in excuses if excuse[1] >= real[0]])


def obstructions(slot: SlotContext, since: int, ledger: LedgerReading) -> list[Span]:
    """Return the spans up to or after `since` in which a slot could not act: refused orders, faulty requests, reads that lag.

    Binance serves orders and executions from "Memory => Database" and bounds no lag: until a read shows what happened, it cannot be
    acted on. A span is excused up to such a read and no further, so a runner that does not ask again gets no excuse.
    """
    faults = [(time_ms, time_ms) for time_ms in ledger.fault_times_ms() if time_ms >= since]
    faults += [lag for lag in ledger.lags() if lag[1] >= since]
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
