"""What the reference decides at one timestamp: marks, halts, what happens to each position, and new entries."""

from decimal import Decimal

from tests.engine.reference_book import ZERO, Bar, Book, Pending, Signal, number, tightest
from tests.engine.reference_sizing import Exposure, Ledger, Refused, Wanted, sized

DAY_MS = 24 * 3600 * 1000
HALTS = ("", "day", "drawdown", "liquidation")
HALTED = {"day": "DAILY_LOSS", "drawdown": "DRAWDOWN", "liquidation": "LIQUIDATED"}


class Decision:
    """The decision of one account at the close of some of its slots' bars.

    `closed` has the bar and the signal of each slot whose bar closes now, and None for the others.
    """

    def __init__(self, ledger: Ledger, books: list[Book], time: int, closed: list[tuple[Bar, Signal] | None]) -> None:
        self.ledger, self.books, self.time, self.closed = ledger, books, time, closed
        self.deciding = [(s, books[s], *pair) for s, pair in enumerate(closed) if pair]

    def take(self) -> None:
        """Decide: state goes from before the close to after it."""
        for _, book, bar, signal in self.deciding:
            self.mark(book, bar, signal)
        before, self.ledger.equity = self.ledger.equity, self.equity()
        self.ledger.peak = max(self.ledger.peak, self.ledger.equity)
        self.begin_day(before)
        self.check_halts()
        self.set_throttle()
        for _, book, bar, signal in self.deciding:
            book.refusal = ""
            if not self.flattens:
                book.leaving = ""
            self.manage_pending(book, signal)
            if book.position:
                self.manage_position(book, bar, signal)
        self.exposure = Exposure(self.books)
        self.exposure.sent = sum(bool(book.leaving) for _, book, _, _ in self.deciding)
        for s, book, bar, signal in self.deciding:
            try:
                self.enter(s, book, bar, signal)
            except Refused as refused:
                book.refusal = str(refused)
        for _, book, _, _ in self.deciding:
            book.cool = max(0, book.cool - 1)

    # --- the account ---

    def mark(self, book: Book, bar: Bar, signal: Signal) -> None:
        """Take in the bar, and pay what the position costs to hold over it."""
        book.mark, book.atr, book.volume, book.cluster = bar.close, signal.atr, bar.volume, signal.cluster
        if not (position := book.position):
            return
        position.bars += 1
        # Inside the bar of its own entry, only the way against the position is sure to belong to it.
        high = bar.close if position.inside and position.side > 0 else bar.high
        low = bar.close if position.inside and position.side < 0 else bar.low
        position.highest, position.lowest = max(position.highest, high), min(position.lowest, low)
        position.inside = ""
        cost = book.held * bar.close * bar.funding + book.interest(bar.close, bar.closed)
        self.ledger.cash -= cost
        position.financing += cost

    def equity(self) -> Decimal:
        return self.ledger.cash + sum(((book.held + book.dust) * book.mark for book in self.books), ZERO)

    def begin_day(self, before: Decimal) -> None:
        """At the first decision of a UTC day, forget the last one's orders and halt."""
        ledger, limits, day = self.ledger, self.ledger.policy, self.time // DAY_MS
        daily = limits.daily_loss is not None or limits.orders_per_day or limits.turnover_per_day is not None
        if not daily or day == ledger.day:
            return
        at_midnight, first = self.time % DAY_MS == 0, ledger.day == 0
        ledger.day, ledger.day_equity = day, ledger.equity if at_midnight or first else before
        ledger.day_orders, ledger.day_turnover = 0, ZERO
        if ledger.halt == "day":
            ledger.halt = ""

    def check_halts(self) -> None:
        """Halt where a limit is broken, cancel what would enter, and close everything where the policy says so."""
        ledger = self.ledger
        ledger.halt = max(ledger.halt, self.broken(), key=HALTS.index)
        if not ledger.halt:
            return
        for book in self.books:
            book.pending = None
            if book.position and self.flattens:
                book.leaving = "liquidation" if ledger.halt == "liquidation" else "risk_limit"

    def broken(self) -> str:
        """Return the gravest halt whose limit the equity breaks now."""
        ledger, limits = self.ledger, self.ledger.policy
        gross = sum((abs(book.held) * book.mark for book in self.books), ZERO)
        if ledger.equity <= 0 or (gross > 0 and ledger.equity <= number(limits.maintenance) * gross):
            return "liquidation"
        if limits.max_drawdown is not None and ledger.equity <= ledger.peak * (1 - number(limits.max_drawdown)):
            return "drawdown"
        if limits.daily_loss is not None and ledger.equity <= ledger.day_equity * (1 - number(limits.daily_loss)):
            return "day"
        return ""

    @property
    def flattens(self) -> bool:
        """Whether the halt, if there is one, closes every position."""
        halt = self.ledger.halt
        return halt == "liquidation" or (halt != "" and self.ledger.policy.on_halt == "flatten")

    def set_throttle(self) -> None:
        """Step the size down with the drawdown, and up again once it has recovered enough."""
        ledger, steps = self.ledger, self.ledger.policy.throttle
        drawdown = 1 - ledger.equity / ledger.peak
        while ledger.level < len(steps) and drawdown >= number(steps[ledger.level][0]):
            ledger.level += 1
        recovery = number(ledger.policy.recovery)
        while ledger.level > 0 and drawdown < number(steps[ledger.level - 1][0]) - recovery:
            ledger.level -= 1

    # --- what is there ---

    def manage_pending(self, book: Book, signal: Signal) -> None:
        """Let a resting entry go when its signal has gone or its time is up."""
        if not (pending := book.pending):
            return
        pending.bars -= 1
        if pending.kind == "market" or signal.side not in (None, pending.side):
            book.pending = None
        elif not self.in_session(book):
            book.pending, book.refusal = None, "OUT_OF_SESSION"
        elif pending.bars <= 0:
            book.pending, book.refusal = None, "ENTRY_EXPIRED"
            if not book.slot.policy.reenter:
                book.waits = pending.side

    def manage_position(self, book: Book, bar: Bar, signal: Signal) -> None:
        """Move the stop, then look for the first reason to leave."""
        self.break_even(book, bar)
        self.trail(book, bar)
        if not book.leaving:
            book.leaving = self.reason_to_leave(book, signal)

    def break_even(self, book: Book, bar: Bar) -> None:
        policy, position = book.slot.policy, book.position
        if policy.break_even is None or position.profit(bar.close) < number(policy.break_even):
            return
        stop = position.price * (1 + position.side * number(policy.break_even_offset))
        position.tighten(book.against(-position.side, stop), "break_even")

    def trail(self, book: Book, bar: Bar) -> None:
        policy, position, stops = book.slot.policy, book.position, []
        if policy.trailing_after is not None and position.profit(bar.close) < number(policy.trailing_after):
            return
        if policy.trailing_stop is not None:
            stops.append(bar.close * (1 - position.side * number(policy.trailing_stop)))
        if policy.trailing_atr is not None and book.atr is not None:
            stops.append(bar.close - position.side * number(policy.trailing_atr) * book.atr)
        if (stop := tightest(position.side, stops)) is not None:
            position.tighten(book.against(-position.side, stop), "trailing_stop")

    def reason_to_leave(self, book: Book, signal: Signal) -> str:
        policy, position = book.slot.policy, book.position
        if policy.max_bars and position.bars >= policy.max_bars:
            return "time_limit"
        if not self.in_session(book):
            return "session_end"
        if policy.cut_after and position.bars >= policy.cut_after and position.best < number(policy.cut_below):
            return "early_cut"
        if signal.side == 0 and policy.signal_exit:
            return "exit_signal"
        if signal.side == -position.side and policy.opposite != "ignore":
            return "exit_signal"
        return ""

    def at_once(self, book: Book, side: int, price: Decimal) -> bool:
        """Whether an entry that is to rest would fill at once: a limit beyond the market, a stop behind it."""
        kind, leeway = book.slot.policy.entry, book.slot.rules.tick * Decimal("1.000001")
        beyond = side * (price - book.mark)
        return (kind == "limit" and beyond > leeway) or (kind == "stop" and beyond < -leeway)

    def in_session(self, book: Book) -> bool:
        """Whether positions may be open at this time."""
        policy = book.slot.policy
        weekday = (self.time // DAY_MS + 3) % 7  # 1970 began on a Thursday; Monday is 0
        if policy.flat_weekend and weekday >= 5:
            return False
        if policy.session is None:
            return True
        start, end = (int(clock[:2]) * 60 + int(clock[3:]) for clock in policy.session)
        minute = self.time // 60_000 % 1440
        return start <= minute < end if start < end else minute >= start or minute < end

    # --- what is new ---

    def enter(self, s: int, book: Book, bar: Bar, signal: Signal) -> None:
        """Write the entry that the signal asks for, if there is one and nothing forbids it.

        Raises
        ------
        Refused
            If something does.
        """
        side = signal.side
        if side is None or not self.asks(book, bar, side):
            return
        if side < 0 and not book.slot.policy.allow_short:
            raise Refused("NO_SHORTS")
        self.check_permission(book, side)
        want = self.priced(book, side, signal)
        quantity, shrunk = sized(want, self.ledger, self.exposure)
        book.refusal = shrunk or book.refusal
        policy, kind = book.slot.policy, "market" if want.adding else book.slot.policy.entry
        book.pending = Pending(
            side,
            quantity,
            reason="scale_in" if want.adding else "entry_signal",
            kind=kind,
            at=None if kind == "market" else want.price,
            bars=policy.entry_bars,
            atr=signal.atr,
            stop=signal.stop,
        )
        self.exposure.add(s, side, quantity)
        self.exposure.positions += book.side == 0
        self.exposure.sent += 1

    def asks(self, book: Book, bar: Bar, side: int) -> bool:
        """Whether this signal asks for an entry at all; what it may not re-enter is forgotten when it leaves that side."""
        if side != book.waits:
            book.waits = 0
        if side == 0 or book.pending:
            return False
        if side == book.side and not self.adds(book, bar):
            return False
        if side == -book.side:
            opposite = book.slot.policy.opposite
            if opposite == "exit":
                book.waits = side
            if opposite != "reverse" or book.leaving != "exit_signal":
                return False
        return side != book.waits

    def adds(self, book: Book, bar: Bar) -> bool:
        """Whether a position has gained enough since its last entry to be added to."""
        policy, position = book.slot.policy, book.position
        if book.leaving or policy.scale_in is None or position.additions >= policy.scale_limit:
            return False
        return position.side * (bar.close / position.added_price - 1) >= number(policy.scale_in)

    def check_permission(self, book: Book, side: int) -> None:
        """Refuse what halts, pauses and counts forbid."""
        ledger, limits, sent = self.ledger, self.ledger.policy, self.exposure.sent
        if ledger.halt:
            raise Refused(HALTED[ledger.halt])
        if book.cool > 0:
            raise Refused("COOLING")
        if not self.in_session(book):
            raise Refused("OUT_OF_SESSION")
        if limits.max_positions and book.side == 0 and self.exposure.positions >= limits.max_positions:
            raise Refused("TOO_MANY_POSITIONS")
        if limits.orders_per_bar and sent >= limits.orders_per_bar:
            raise Refused("ORDERS_IN_BAR")
        if limits.orders_per_day and ledger.day_orders + sent >= limits.orders_per_day:
            raise Refused("ORDERS_IN_DAY")

    def priced(self, book: Book, side: int, signal: Signal) -> Wanted:
        """Return the entry with the price it expects, and the stop it would have there."""
        policy, adding = book.slot.policy, book.side == side
        if adding or policy.entry == "market":
            price = book.market_price(side, book.mark, ZERO)
        else:
            away = side * number(policy.entry_offset) * (-1 if policy.entry == "limit" else 1)
            price = book.against(side, book.mark * (1 + away) if signal.price is None else signal.price)
        if price <= 0:
            raise Refused("NO_PRICE")
        if not adding and self.at_once(book, side, price):
            raise Refused("WRONG_PRICE")
        stop = None
        if policy.has_stop and not adding:
            stop = book.stop_for(side, price, signal.atr, signal.stop)
            if stop is None or side * (price - stop) <= 0:
                raise Refused("NO_STOP")
        return Wanted(book, side, price, stop, signal, adding)
