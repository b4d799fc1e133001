"""The fill model once more, written slowly and plainly from its description, sharing no code with the kernel.

Prices and quantities are exact decimals here, so that rounding to ticks and lots is what it says; money is compared with a small
tolerance, since the kernel computes it in binary floating point.
"""

from dataclasses import dataclass
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from math import isnan

from atb.engine.policy import AccountPolicy
from atb.engine.prepare import Slot, columns


@dataclass
class Book:
    """What one slot holds and wants."""

    slot: Slot
    held: Decimal = Decimal(0)
    entry_price: Decimal = Decimal(0)
    stop: Decimal | None = None
    target: Decimal | None = None
    wants_entry: Decimal = Decimal(0)
    wants_exit: bool = False
    waits: float = 0.0
    mark: Decimal = Decimal(0)


def number(value: float) -> Decimal:
    return Decimal(repr(float(value)))


def to_step(value: Decimal, step: Decimal, *, up: bool) -> Decimal:
    """Round to a step; a value within a millionth of a step of the grid is on it."""
    steps = value / step
    nearest = steps.to_integral_value()
    if abs(steps - nearest) < Decimal("0.000001"):
        return nearest * step
    return steps.to_integral_value(ROUND_CEILING if up else ROUND_FLOOR) * step


class Reference:
    """One account, moved through time event by event."""

    def __init__(self, slots: tuple[Slot, ...], account: AccountPolicy) -> None:
        self.books = [Book(slot) for slot in slots]
        self.cash = number(account.cash)
        self.account = account
        self.orders: list[tuple] = []

    def run(self) -> list[tuple]:
        tables = [columns(book.slot) for book in self.books]
        times = sorted({int(t) for table in tables for edge in ("opened", "closed") for t in table.market[edge]})
        closing = [
            {int(bar["closed"]): (bar, sig) for bar, sig in zip(t.market, t.signals, strict=True)} for t in tables
        ]
        opening = [{int(bar["opened"]): bar for bar in t.market} for t in tables]
        for time in times:
            closed = [table.get(time) for table in closing]
            self.inside([pair[0] if pair else None for pair in closed])
            if any(closed):
                self.decide(closed)
            self.at_open([table.get(time) for table in opening])
        return self.orders

    # --- fills ---

    def inside(self, bars: list) -> None:
        """Stops and targets of every slot whose bar this is."""
        for s, (book, bar) in enumerate(zip(self.books, bars, strict=True)):
            if bar is None or book.held == 0:
                continue
            opened, high, low = (number(bar[name]) for name in ("open", "high", "low"))
            long = book.held > 0
            stopped_at_open = book.stop is not None and (opened <= book.stop if long else opened >= book.stop)
            paid_at_open = book.target is not None and (opened >= book.target if long else opened <= book.target)
            stopped = book.stop is not None and (low <= book.stop if long else high >= book.stop)
            paid = book.target is not None and (high >= book.target if long else low <= book.target)
            if stopped_at_open:
                self.leave(s, "stop", opened, int(bar["opened"]))
            elif paid_at_open:
                self.leave(s, "target", opened, int(bar["opened"]))
            elif stopped and not (paid and book.slot.execution.target_first):
                self.leave(s, "stop", book.stop, int(bar["closed"]), ambiguous=paid)
            elif paid:
                self.leave(s, "target", book.target, int(bar["closed"]), ambiguous=stopped)

    def at_open(self, bars: list) -> None:
        """All exits first, then entries, in the order of the slots."""
        for s, (book, bar) in enumerate(zip(self.books, bars, strict=True)):
            if bar is not None and book.wants_exit:
                self.leave(s, "exit", number(bar["open"]), int(bar["opened"]))
        for s, (book, bar) in enumerate(zip(self.books, bars, strict=True)):
            if bar is None or book.wants_entry == 0:
                continue
            wanted, book.wants_entry = book.wants_entry, Decimal(0)
            price = self.slipped(book, number(bar["open"]), buy=wanted > 0)
            fee = abs(wanted) * price * number(book.slot.execution.fee)
            if wanted > 0 and wanted * price + fee > self.cash:
                continue
            self.cash -= wanted * price + fee
            book.held, book.entry_price = wanted, price
            self.protect(book)
            self.note(s, "entry", wanted, price, fee, int(bar["opened"]))

    def leave(self, s: int, role: str, price: Decimal, time: int, *, ambiguous: bool = False) -> None:
        book = self.books[s]
        execution, held = book.slot.execution, book.held
        rate = execution.fee
        if role == "target":
            rate = execution.fee if execution.maker_fee is None else execution.maker_fee
        else:
            price = self.slipped(book, price, buy=held < 0)
        fee = abs(held) * price * number(rate)
        self.cash += held * price - fee
        if role != "exit" and not book.slot.policy.reenter:
            book.waits = 1.0 if held > 0 else -1.0
        book.held, book.stop, book.target, book.wants_exit = Decimal(0), None, None, False
        self.note(s, role, -held, price, fee, time, ambiguous)

    def note(self, s, role, signed, price, fee, time, ambiguous=False) -> None:
        side = 1 if signed > 0 else -1
        self.orders.append((s, role, side, float(abs(signed)), float(price), float(fee), time, bool(ambiguous)))

    def slipped(self, book: Book, price: Decimal, *, buy: bool) -> Decimal:
        slippage = number(book.slot.execution.slippage)
        return to_step(price * (1 + slippage if buy else 1 - slippage), book.slot.rules.tick, up=buy)

    def protect(self, book: Book) -> None:
        """Stop and target at their distances from the entry, rounded away from it."""
        policy, tick, long = book.slot.policy, book.slot.rules.tick, book.held > 0
        sign = 1 if long else -1
        if policy.stop_loss is not None:
            book.stop = to_step(book.entry_price * (1 - sign * number(policy.stop_loss)), tick, up=not long)
        if policy.take_profit is not None:
            book.target = to_step(book.entry_price * (1 + sign * number(policy.take_profit)), tick, up=long)

    # --- decisions ---

    def decide(self, closed: list) -> None:
        for book, pair in zip(self.books, closed, strict=True):
            if pair:
                book.mark = number(pair[0]["close"])
        equity = self.cash + sum(book.held * book.mark for book in self.books)
        gross = sum((abs(book.held) * book.mark for book in self.books), Decimal(0))
        promised = Decimal(0)
        for book, pair in zip(self.books, closed, strict=True):
            if not pair and book.wants_entry:
                gross += abs(book.wants_entry) * book.mark
                promised += self.price_of(book, max(book.wants_entry, Decimal(0)))
        for book, pair in zip(self.books, closed, strict=True):
            if not pair:
                continue
            book.wants_entry, book.wants_exit = Decimal(0), False
            side = float(pair[1]["side"])
            if isnan(side):
                continue
            if side != book.waits:
                book.waits = 0.0
            now = 0.0 if book.held == 0 else (1.0 if book.held > 0 else -1.0)
            book.wants_exit = now not in (0.0, side)
            if side in (0.0, now, book.waits) or (side < 0 and not book.slot.policy.allow_short):
                continue
            others = gross - abs(book.held) * book.mark
            quantity = self.size(book, equity, others, promised, buy=side > 0)
            book.wants_entry = quantity if side > 0 else -quantity
            gross += quantity * book.mark
            if side > 0:
                promised += self.price_of(book, quantity)

    def price_of(self, book: Book, quantity: Decimal) -> Decimal:
        return quantity * book.mark * (1 + number(book.slot.execution.fee))

    def size(self, book: Book, equity: Decimal, others: Decimal, promised: Decimal, *, buy: bool) -> Decimal:
        rules, policy = book.slot.rules, book.slot.policy
        price = self.slipped(book, book.mark, buy=buy)
        value = min(number(policy.fraction) * equity, number(self.account.max_gross) * equity - others)
        if buy:
            free = self.cash - number(self.account.reserve) * equity - promised
            value = min(value, free / (1 + number(book.slot.execution.fee)))
        quantity = to_step(value / price, rules.lot, up=False) if price > 0 else Decimal(0)
        too_small = quantity <= 0 or quantity < rules.min_quantity or quantity * price < rules.min_notional
        return Decimal(0) if too_small else quantity
