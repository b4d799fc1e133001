"""I3: every position is covered by a stop that rests at the exchange, but for moments that nobody could help."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import ROUND_DOWN, Decimal
from itertools import groupby

from atb.rehearsal.context import SlotTerms, Terms
from atb.rehearsal.ledger import Life, Lives, OurName, Replay, Span

STOPS = frozenset(("STOP_LOSS", "STOP_LOSS_LIMIT"))
RESTS = frozenset(("NEW", "PARTIALLY_FILLED"))
_VALUE_SLACK = Decimal("1.3")  # a part whose value is near the least one may be refused at the stop's price


@dataclass(frozen=True)
class Naked:
    """A time in which a slot's position was not covered; `longest_ms` is what nothing excuses."""

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
    """What a slot holds of its present round trip; less than a lot that is left over is dust, and no part of the next one."""

    terms: SlotTerms
    held: Decimal = Decimal(0)
    price: Decimal = Decimal(0)
    lives: dict[int, Life] = field(default_factory=dict)
    since: tuple[int, Decimal, Decimal] | None = None

    def execute(self, side: str, quantity: Decimal, price: Decimal, *, fee: Decimal) -> None:
        self.held += (quantity if side == "BUY" else -quantity) - fee
        self.price = price
        if side == "SELL" and self.wanted == 0:
            self.held = Decimal(0)

    @property
    def wanted(self) -> Decimal:
        """What must be covered: the position floored to the lot, nothing where no order could be so small."""
        whole = (self.held / self.terms.lot).to_integral_value(ROUND_DOWN) * self.terms.lot
        return max(whole, Decimal(0))

    @property
    def worth_it(self) -> bool:
        return self.wanted * self.price >= self.terms.least * _VALUE_SLACK

    @property
    def covered(self) -> Decimal:
        stops = (life for life in self.lives.values() if life.type in STOPS and life.state in RESTS)
        return sum((life.rest for life in stops), Decimal(0))


def naked_times(replay: Replay, terms: Terms) -> Iterator[Naked]:
    """Give every time in which a guarded position was not covered, at the resolution of the exchange's clock."""
    lives = Lives()
    positions = {slot.prefix: _Position(slot) for slot in terms.slots if slot.guarded}
    for now, entries in groupby(replay.entries, lambda entry: int(entry["ms"])):
        touched = set()
        for entry in entries:
            life = lives.take(entry)
            name = OurName.read(life.client_id) if life is not None else None
            if life is None or name is None or (position := positions.get(name.slot)) is None:
                continue
            touched.add(name.slot)
            position.lives[life.order_id] = life
            if entry["kind"] == "trade":
                fee = Decimal(entry["commission"]) if entry["commission_asset"] == position.terms.base else Decimal(0)
                position.execute(entry["side"], Decimal(entry["quantity"]), Decimal(entry["price"]), fee=fee)
        for name_of_slot in touched:
            yield from _turn(positions[name_of_slot], now, replay, terms=terms)
    for position in positions.values():
        if position.since is not None:
            yield _told(position, replay.end_ms, replay, terms=terms)


def _turn(position: _Position, now: int, replay: Replay, *, terms: Terms) -> Iterator[Naked]:
    """Look at a position at the end of a moment."""
    position.lives = {key: life for key, life in position.lives.items() if life.open}
    covered = position.covered
    bare = position.worth_it and covered < position.wanted
    if bare and position.since is None:
        position.since = (now, position.wanted, covered)
    elif not bare and position.since is not None:
        yield _told(position, now, replay, terms=terms)
        position.since = None


def _told(position: _Position, until_ms: int, replay: Replay, *, terms: Terms) -> Naked:
    since_ms, held, covered = position.since or (until_ms, Decimal(0), Decimal(0))
    span = (since_ms, until_ms)
    return Naked(position.terms.prefix, span, held, covered, _longest(position.terms, span, replay, terms=terms))


def _longest(slot: SlotTerms, span: Span, replay: Replay, *, terms: Terms) -> int:
    """Return the longest part of a time in which the runner could have acted and had not.

    The count begins anew where the process died while it was still running, where the exchange refused orders, and where a fault
    struck a request. A position that comes about while nobody lives, other than by a stranger's hand, has no excuse; where a
    withdrawal of ours was executed late, it counts from when it was sent.
    """
    since = span[0]
    by_strangers = since in replay.at_strangers_hands()
    sent = replay.late_withdrawals.get(since, since)
    deaths = [(begin, end) for begin, end in terms.deaths if begin >= sent or (by_strangers and begin <= since < end)]
    return unexcused(span, [*deaths, *in_the_way(slot, since, replay)])


def in_the_way(slot: SlotTerms, since: int, replay: Replay) -> list[Span]:
    """Return what kept a slot from acting at the exchange after a moment: refusals, and faults that struck a request."""
    struck = [(time_ms, time_ms) for time_ms in replay.struck_ms() if time_ms >= since]
    return [*struck, *(one for one in replay.refusing(slot.joined) if one[1] >= since)]


def unexcused(span: Span, excuses: list[Span]) -> int:
    """Return the longest part of a time that no excuse covers, in milliseconds."""
    since, until = span
    longest, free_from = 0, since
    for begin, end in sorted(excuses):
        if begin >= until:
            break
        longest = max(longest, begin - free_from)  # below 0 where it was under way when this began
        free_from = max(free_from, min(end, until))
    return max(longest, until - free_from)
