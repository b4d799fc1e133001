"""How much the reference enters: the value that the policy wants, the rooms that the limits leave, and the lots that result."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal

from atb.engine.policy import AccountPolicy
from tests.engine.reference_book import ZERO, Book, Signal, maybe, number, to_step

ROOMS = {  # what is refused or shrunk for want of which room
    "POSITION": ("SHRUNK_BY_POSITION", "NO_POSITION_ROOM"),
    "VOLUME": ("SHRUNK_BY_VOLUME", "NO_VOLUME"),
    "EXPOSURE": ("SHRUNK_BY_EXPOSURE", "NO_EXPOSURE"),
    "NET": ("SHRUNK_BY_NET", "NO_NET"),
    "CLUSTER": ("SHRUNK_BY_CLUSTER", "NO_CLUSTER"),
    "TURNOVER": ("SHRUNK_BY_TURNOVER", "NO_TURNOVER"),
    "CASH": ("SHRUNK_BY_CASH", "NO_CASH"),
}


class Refused(Exception):
    """An entry that is not made, with the name of its code."""


@dataclass
class Ledger:
    """The account: what it has, and what it remembers of its day and its best."""

    policy: AccountPolicy
    cash: Decimal
    equity: Decimal
    peak: Decimal
    day: int = 0
    day_equity: Decimal = ZERO
    day_orders: int = 0
    day_turnover: Decimal = ZERO
    level: int = 0  # of the drawdown throttle
    halt: str = ""  # "", "day", "drawdown" or "liquidation", in rising order

    @property
    def factor(self) -> Decimal:
        return number(self.policy.throttle[self.level - 1][1]) if self.level else Decimal(1)


@dataclass
class Exposure:
    """What is held and what is already on its way, per slot and in sum."""

    books: list[Book]
    held: list[Decimal] = field(default_factory=list)  # signed values at the marks
    coming: list[Decimal] = field(default_factory=list)  # of pending entries
    positions: int = 0
    committed: Decimal = ZERO  # cash that pending buys will take
    turnover: Decimal = ZERO  # of pending entries
    sent: int = 0  # orders of this bar

    def __post_init__(self) -> None:
        self.held = [book.held * book.mark for book in self.books]
        self.coming = [ZERO for _ in self.books]
        for s, book in enumerate(self.books):
            if book.pending:
                self.add(s, book.pending.side, book.pending.quantity)
            self.positions += bool(book.position or book.pending)
            if book.leaving and book.held < 0:  # a short is bought back
                self.committed += -self.held[s] * (1 + book.rate("market"))

    def add(self, s: int, side: int, quantity: Decimal) -> None:
        """Count an entry of slot `s` that waits to be filled."""
        book, value = self.books[s], quantity * self.books[s].mark
        self.coming[s] += side * value
        self.turnover += value
        if side > 0:
            self.committed += value * (1 + book.rate("market"))

    def gross(self, *, without: Book | None = None) -> Decimal:
        """Summed absolute values; of one slot, which closes first, only what is coming."""
        held = [value for value, book in zip(self.held, self.books, strict=True) if book is not without]
        return sum((abs(value) for value in (*held, *self.coming)), ZERO)

    def net(self, cluster: int | None = None) -> Decimal:
        """Signed value, of one cluster or of all, of what is coming and of what stays: what has an exit pending does not count."""
        members = [s for s, book in enumerate(self.books) if cluster in (None, book.cluster)]
        return sum((self.coming[s] + (ZERO if self.books[s].leaving else self.held[s]) for s in members), ZERO)


@dataclass
class Wanted:
    """An entry that is being sized."""

    book: Book
    side: int
    price: Decimal  # expected
    stop: Decimal | None
    signal: Signal
    adding: bool


def wanted_value(want: Wanted, ledger: Ledger) -> Decimal:
    """Return the value that the policy wants, in quote.

    Raises
    ------
    Refused
        If an input is missing, or the policy sees no reason to enter at all.
    """
    policy = want.book.slot.policy
    if want.adding:
        value = number(policy.scale_share) * want.book.position.unit * want.price
    else:
        value = SIZINGS[policy.sizing](want, ledger.equity)
    if value * ledger.factor <= 0:
        raise Refused("NO_EDGE")
    return value * ledger.factor


def by_fraction(want: Wanted, equity: Decimal) -> Decimal:
    return number(want.book.slot.policy.fraction) * equity


def by_stake(want: Wanted, equity: Decimal) -> Decimal:
    return number(want.book.slot.policy.stake)


def by_risk(want: Wanted, equity: Decimal) -> Decimal:
    distance = want.side * (want.price - want.stop)
    quantity = number(want.book.slot.policy.risk) * equity / distance
    return min(quantity * want.price, by_fraction(want, equity))


def by_confidence(want: Wanted, equity: Decimal) -> Decimal:
    if want.signal.confidence is None:
        raise Refused("MISSING_INPUT")
    return by_fraction(want, equity) * want.signal.confidence


def by_volatility(want: Wanted, equity: Decimal) -> Decimal:
    volatility = want.signal.volatility
    if volatility is None or volatility <= 0:
        raise Refused("MISSING_INPUT")
    target = number(want.book.slot.policy.volatility_target)
    return by_fraction(want, equity) * min(Decimal(1), target / volatility)


def by_kelly(want: Wanted, equity: Decimal) -> Decimal:
    policy, wins, losses = want.book.slot.policy, want.book.wins, want.book.losses
    trades, floor = len(wins) + len(losses), number(policy.kelly_floor)
    if trades < policy.kelly_trades:
        return floor * equity
    if not wins:
        fraction = ZERO
    elif not losses:
        fraction = number(policy.kelly_scale)
    else:
        won = Decimal(len(wins)) / trades
        odds = (sum(wins) / len(wins)) / (sum(losses) / len(losses))
        fraction = number(policy.kelly_scale) * (won - (1 - won) / odds)
    return min(max(fraction, floor), number(policy.fraction)) * equity


SIZINGS = {
    "fixed_fraction": by_fraction,
    "fixed_stake": by_stake,
    "risk": by_risk,
    "confidence": by_confidence,
    "volatility": by_volatility,
    "kelly": by_kelly,
}


def rooms(want: Wanted, ledger: Ledger, exposure: Exposure) -> Iterator[tuple[str, Decimal]]:
    """Yield the room that each limit leaves, in the order in which they are asked."""
    book, limits, equity = want.book, ledger.policy, ledger.equity
    policy, own = book.slot.policy, abs(book.held) * book.mark if want.adding else ZERO
    if policy.max_position is not None:
        yield "POSITION", number(policy.max_position) * equity - own
    if policy.max_participation is not None:
        yield "VOLUME", number(policy.max_participation) * book.volume * want.price
    yield "EXPOSURE", number(limits.max_gross) * equity - exposure.gross(without=None if want.adding else book)
    if (most := maybe(limits.max_net)) is not None:
        yield "NET", most * equity - want.side * exposure.net()
    if (most := maybe(limits.max_cluster)) is not None and book.cluster > 0:
        yield "CLUSTER", most * equity - want.side * exposure.net(book.cluster)
    if (most := maybe(limits.turnover_per_day)) is not None:
        yield "TURNOVER", most * ledger.day_equity - ledger.day_turnover - exposure.turnover
    if want.side > 0:
        free = ledger.cash - number(limits.reserve) * equity - exposure.committed
        yield "CASH", free / (1 + book.rate("market"))


def sized(want: Wanted, ledger: Ledger, exposure: Exposure) -> tuple[Decimal, str]:
    """Return the quantity to enter, and why it is less than the policy wanted ("" when it is not).

    Raises
    ------
    Refused
        If nothing that can be traded is left.
    """
    value, shrunk = wanted_value(want, ledger), ""
    for name, room in rooms(want, ledger, exposure):
        if room < value:
            value, shrunk = room, name
    rules = want.book.slot.rules
    quantity = received = to_step(value / want.price, rules.lot, up=False)
    if want.book.slot.execution.fee_in_base and want.side > 0:
        rate = max(want.book.rate("market"), want.book.rate("limit"))
        received = to_step(quantity - quantity * rate, rules.lot, up=False)
    if received <= 0 or received < rules.min_quantity:
        raise Refused(ROOMS[shrunk][1] if shrunk else "TOO_SMALL")
    if received * want.price < rules.min_notional:
        raise Refused("BELOW_MIN_NOTIONAL")
    return quantity, ROOMS[shrunk][0] if shrunk else ""
