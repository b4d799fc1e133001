"""All rules of the kernel once more, written slowly and plainly from their description, sharing no code with the kernel.

Prices and quantities are exact decimals here, so that rounding to ticks and lots is what it says; money is compared with a small
tolerance, since the kernel computes it in binary floating point. This file has the events of time and what an order meets in a
bar; `reference_book` has a slot's state and prices, `reference_decisions` what is decided, `reference_sizing` how much.
"""

from decimal import Decimal, localcontext
from typing import NamedTuple

from atb.engine.kernel_input import KernelInput, prepare
from atb.engine.policy import AccountPolicy, ExecutionModel
from atb.engine.slot import Slot
from tests.engine.reference_book import ZERO, Bar, Book, Position, Signal, number, to_step
from tests.engine.reference_decisions import Decision
from tests.engine.reference_sizing import Ledger

FIRST_TARGET = 2  # what a finer timeframe saw first; 1 is the stop, 0 not known


class Met(NamedTuple):
    """An order that its bar meets: at which price, at the open or inside, and the level that lost if two were reached."""

    price: Decimal
    at_open: bool
    at_once: bool = False  # whether its price was beyond the market when the order first saw it
    ambiguous: bool = False
    other: Decimal | None = None


class Fill(NamedTuple):
    """One slot's order as it fills, before its fee is known."""

    slot: int
    role: str
    side: int
    quantity: Decimal
    met: Decimal  # the price that was met, before slippage and rounding
    price: Decimal
    time: int
    reason: str
    kind: str
    ambiguous: bool = False
    other: Decimal | None = None


class Order(NamedTuple):
    """A fill in plain numbers.

    `reference` is the price that it met, before slippage and rounding; `other` the level that lost where a bar reached two.
    """

    slot: int
    role: str
    side: int
    quantity: float
    price: float
    fee: float
    time: int
    ambiguous: bool
    reason: str
    kind: str
    fee_base: float
    reference: float
    other: float | None


class Trade(NamedTuple):
    """A round trip; excursions are fractions of the average entry price, at least 0."""

    slot: int
    side: int
    quantity: float
    entry_time: int
    entry_price: float
    exit_time: int
    exit_price: float
    fees: float
    financing: float
    pnl: float
    mfe: float
    mae: float
    bars_held: int
    additions: int
    reason: str


def stop_trigger(side: int, level: Decimal | None, bar: Bar, *, placed_at: Decimal | None = None) -> Met | None:
    """Where a stop order of this side is met: at the first price that it sees, if that is beyond it already.

    That is the open, or for a stop placed inside the bar the price at which it was.
    """
    if level is None:
        return None
    first = bar.open if placed_at is None else placed_at
    if side * (first - level) >= 0:
        return Met(first, at_open=placed_at is None, at_once=True)
    reached = bar.high >= level if side > 0 else bar.low <= level
    return Met(level, at_open=False) if reached else None


def passed(side: int, level: Decimal | None, bar: Bar) -> bool:
    """Whether the bar opens at a limit order's price or at a better one."""
    return level is not None and side * (level - bar.open) >= 0


def limit_price(side: int, level: Decimal | None, bar: Bar, *, gap: str = "own", inside: bool = False) -> Met | None:
    """Where a limit order of this side is met: before the open when the bar opens beyond it (never for one placed inside)."""
    if level is None:
        return None
    if not inside and passed(side, level, bar):
        return Met(level if gap == "own" else bar.open, at_open=True, at_once=True)
    reached = bar.low <= level if side > 0 else bar.high >= level
    return Met(level, at_open=False) if reached else None


def exit_met(position: Position, bar: Bar, execution: ExecutionModel) -> tuple[str, Met] | None:
    """Which of stop and target the bar meets."""
    inside, side = position.inside, -position.side
    stop = stop_trigger(side, position.stop, bar, placed_at=position.entered_at if inside else None)
    target = limit_price(side, position.target, bar, gap=execution.limit_gap, inside=bool(inside))
    if inside == "limit":
        target = None
    doubtful = inside == "stop" and not (stop and stop.at_once)  # the stop's level may have come before the entry's
    if stop and target and not stop.at_once and not target.at_once:
        if bar.first:
            return ("target", target) if bar.first == FIRST_TARGET else ("stop", stop._replace(ambiguous=doubtful))
        if execution.target_first:
            return "target", target._replace(ambiguous=True, other=stop.price)
        return "stop", stop._replace(ambiguous=True, other=target.price)
    if stop and (stop.at_once or not (target and target.at_once)):
        return "stop", stop._replace(ambiguous=doubtful)
    return ("target", target) if target else None


def tables(problem: KernelInput) -> tuple[list[dict[int, Bar]], list[dict[int, tuple[Bar, Signal]]]]:
    """Return each slot's bars by the time they open, and its bars with their signals by the time they close."""
    opening, closing = [], []
    for rows in map(slice, problem.offsets, (*problem.offsets[1:], len(problem.market))):
        bars, signals = map(Bar.of, problem.market[rows]), map(Signal.of, problem.signals[rows])
        closing.append({bar.closed: (bar, signal) for bar, signal in zip(bars, signals, strict=True)})
        opening.append({bar.opened: bar for bar, _ in closing[-1].values()})
    return opening, closing


class Reference:
    """One account, moved through time event by event.

    After `run` there are `orders` and `trades` (as `Order` and `Trade`), `refusals` (slot, time, name of the code) and `equity`,
    one value per time at which a bar closes.
    """

    def __init__(self, slots: tuple[Slot, ...], account: AccountPolicy) -> None:
        cash = number(account.cash)
        self.books = [Book(slot) for slot in slots]
        self.ledger = Ledger(account, cash=cash, equity=cash, peak=cash)
        self.orders: list[Order] = []
        self.trades: list[Trade] = []
        self.refusals: list[tuple] = []
        self.equity: list[float] = []

    def run(self, problem: KernelInput | None = None) -> list[Order]:
        """Trade every bar of every slot and return the orders; a `problem` is given where its records were changed by hand."""
        opening, closing = tables(problem or prepare(tuple(book.slot for book in self.books), self.ledger.policy))
        with localcontext(prec=40):
            for time in sorted({time for table in (*opening, *closing) for time in table}):
                closed = [table.get(time) for table in closing]
                if any(closed):
                    self.trade_inside(time, [pair[0] if pair else None for pair in closed])
                    Decision(self.ledger, self.books, time, closed).take()
                    self.equity.append(float(self.ledger.equity))
                    self.note_refusals(time)
                self.trade_at_open(time, [table.get(time) for table in opening])
        return self.orders

    def note_refusals(self, time: int) -> None:
        for s, book in enumerate(self.books):
            if book.refusal:
                self.refusals.append((s, time, book.refusal))
                book.refusal = ""

    # --- what fills ---

    def trade_inside(self, time: int, bars: list[Bar | None]) -> None:
        """Fill stops and targets, then resting entries, which may bring new stops and targets into the same bar."""
        while self.leave_inside(bars) or self.enter_inside(bars):
            pass
        self.note_refusals(time)

    def leave_inside(self, bars: list[Bar | None]) -> bool:
        """Fill the first stop or target that is met; return whether there was one."""
        for s, (book, bar) in enumerate(zip(self.books, bars, strict=True)):
            if bar is None or book.position is None:
                continue
            found = exit_met(book.position, bar, book.slot.execution)
            if found:
                self.leave(self.exit_fill(s, *found, bar))
                return True
        return False

    def exit_fill(self, s: int, role: str, met: Met, bar: Bar) -> Fill:
        """Return how the slot's stop or target fills where it is met."""
        book, position = self.books[s], self.books[s].position
        side, time = -position.side, bar.opened if met.at_open else bar.closed
        if role == "stop":
            quantity, reason, kind = position.quantity, position.stop_reason, "stop"
            price = book.market_price(side, met.price, quantity)
        else:
            quantity, price, kind = position.target_quantity, met.price, "limit"
            reason = "partial_exit" if quantity < position.quantity else "take_profit"
        return Fill(s, role, side, quantity, met.price, price, time, reason, kind, met.ambiguous, met.other)

    def enter_inside(self, bars: list[Bar | None]) -> bool:
        """Fill the first resting entry that is met; return whether there was one."""
        for s, (book, bar) in enumerate(zip(self.books, bars, strict=True)):
            pending = book.pending
            if bar is None or book.position or pending is None or pending.kind == "market" or self.takes(s, bar):
                continue
            if pending.kind == "limit":
                met = limit_price(pending.side, pending.at, bar, gap=book.slot.execution.limit_gap)
            else:
                met = stop_trigger(pending.side, pending.at, bar)
            if met and self.enter(s, met.price, bar.opened if met.at_open else bar.closed):
                book.position.inside = "" if met.at_open else pending.kind
                book.position.entered_at = met.price
                return True
        return False

    def takes(self, s: int, bar: Bar) -> bool:
        """Whether the slot's entry is a limit order that is sent at an open which has passed its price: it takes the market."""
        pending = self.books[s].pending
        new = pending.bars == self.books[s].slot.policy.entry_bars
        return pending.kind == "limit" and new and passed(pending.side, pending.at, bar)

    def trade_at_open(self, time: int, bars: list[Bar | None]) -> None:
        """Fill the targets that rested and were passed, then all exits, then all market entries, in the order of the slots."""
        for s, (book, bar) in enumerate(zip(self.books, bars, strict=True)):
            while bar and book.position and passed(-book.side, book.position.target, bar):
                met = limit_price(-book.side, book.position.target, bar, gap=book.slot.execution.limit_gap)
                self.leave(self.exit_fill(s, "target", met, bar))
        for s, (book, bar) in enumerate(zip(self.books, bars, strict=True)):
            if bar and book.leaving and book.position:
                quantity = book.position.quantity
                price = book.market_price(-book.side, bar.open, quantity)
                self.leave(Fill(s, "exit", -book.side, quantity, bar.open, price, bar.opened, book.leaving, "market"))
        for s, (book, bar) in enumerate(zip(self.books, bars, strict=True)):
            if bar is None or (pending := book.pending) is None:
                continue
            if pending.kind == "market" or (book.position is None and self.takes(s, bar)):
                self.enter(s, bar.open, bar.opened, taking=pending.kind == "limit")
        self.note_refusals(time)

    # --- what a fill changes ---

    def enter(self, s: int, met: Decimal, time: int, *, taking: bool = False) -> bool:
        """Fill the slot's entry at the price that is met, or refuse what the cash cannot pay; return whether it filled.

        A limit order that is `taking` pays what the market asks, but never more than its price.
        """
        book = self.books[s]
        entry, book.pending = book.pending, None
        resting = entry.kind == "limit" and not taking
        price = met if resting else book.market_price(entry.side, met, entry.quantity)
        if taking:
            price = min(price, entry.at) if entry.side > 0 else max(price, entry.at)
        kind = "market" if taking else entry.kind
        fill = Fill(s, "entry", entry.side, entry.quantity, met, price, time, entry.reason, kind)
        if entry.side > 0 and self.paid(fill) > self.ledger.cash:
            book.refusal = "NO_CASH"
            return False
        if book.position:
            self.pay_interest(book, fill)
        self.note(fill)
        self.open_or_add(book, fill, self.received(book, fill))
        book.position.fees += self.fee(fill)
        book.protect(entry)
        return True

    def fee(self, fill: Fill) -> Decimal:
        """Return a fill's fee, or its value, in quote."""
        return fill.quantity * fill.price * self.books[fill.slot].rate(fill.kind)

    def fee_base(self, fill: Fill) -> Decimal:
        """Return the part of a fill's fee that is paid in base."""
        in_base = self.books[fill.slot].slot.execution.fee_in_base and fill.side > 0
        return fill.quantity * self.books[fill.slot].rate(fill.kind) if in_base else ZERO

    def paid(self, fill: Fill) -> Decimal:
        """Return the cash that a fill costs; what a sale brings is negative."""
        value = fill.side * fill.quantity * fill.price
        return value + (ZERO if self.fee_base(fill) else self.fee(fill))

    def received(self, book: Book, fill: Fill) -> Decimal:
        """Return the whole lots that an entry brings: a fee in base takes its part, what is less than a lot stays as dust."""
        if not (fee := self.fee_base(fill)):
            return fill.quantity
        left = fill.quantity - fee + book.dust
        lots = to_step(left, book.slot.rules.lot, up=False)
        book.dust = left - lots
        return lots

    def open_or_add(self, book: Book, fill: Fill, quantity: Decimal) -> None:
        """Open a position, or average the fill into the one that is there."""
        position, price = book.position, fill.price
        if position is None:
            book.position = Position(
                fill.side,
                quantity,
                price,
                fill.time,
                unit=quantity,
                added_price=price,
                highest=price,
                lowest=price,
                opened=quantity,
                paid=fill.time,
            )
            return
        total = position.quantity + quantity
        position.price = (position.price * position.quantity + price * quantity) / total
        position.quantity, position.opened = total, position.opened + quantity
        position.added_price = price
        position.additions += fill.reason == "scale_in"

    def pay_interest(self, book: Book, fill: Fill) -> None:
        """Pay what a short owes until a fill changes it."""
        cost = book.interest(fill.price, fill.time)
        self.ledger.cash -= cost
        book.position.financing += cost

    def leave(self, fill: Fill) -> None:
        """Fill an exit of part of the position, or of all of it."""
        book, price = self.books[fill.slot], fill.price
        position = book.position
        self.pay_interest(book, fill)
        self.note(fill)
        position.quantity -= fill.quantity
        position.realised += position.side * (price - position.price) * fill.quantity
        position.exited += fill.quantity * price
        position.fees += self.fee(fill)
        position.highest, position.lowest = max(position.highest, price), min(position.lowest, price)
        if position.quantity == 0:
            self.close(fill)
        elif fill.role == "target":
            position.rung += 1
            book.place_target()

    def close(self, fill: Fill) -> None:
        """Write the trade, and remember what it means for the next ones."""
        book = self.books[fill.slot]
        position = book.position
        pnl = position.realised - position.fees - position.financing
        self.write_trade(fill, position, pnl)
        gain = pnl / (position.opened * position.price)
        if gain > 0:
            book.wins.append(gain)
        elif gain < 0:
            book.losses.append(-gain)
        ruled = fill.role in ("stop", "target") or fill.reason in ("time_limit", "early_cut")
        left = book.leaving == "exit_signal"  # the signal is on that side no more
        if ruled and not left and not book.slot.policy.reenter:
            book.waits = position.side
        if book.pending and book.pending.reason == "scale_in":
            book.pending = None
        if fill.role == "stop":
            book.cool = book.slot.policy.cooldown
        book.position, book.leaving = None, ""

    # --- what is written ---

    def note(self, fill: Fill) -> None:
        """Pay for a fill and write its order."""
        value = fill.quantity * fill.price
        self.ledger.cash -= self.paid(fill)
        self.ledger.day_orders += 1
        self.ledger.day_turnover += value
        amounts = (float(amount) for amount in (fill.quantity, fill.price, self.fee(fill)))
        other = None if fill.other is None else float(fill.other)
        self.orders.append(
            Order(fill.slot, fill.role, fill.side, *amounts, fill.time, fill.ambiguous, fill.reason, fill.kind,
                  float(self.fee_base(fill)), float(fill.met), other)
        )  # fmt: skip

    def write_trade(self, fill: Fill, position: Position, pnl: Decimal) -> None:
        amounts = (
            position.exited / position.opened,
            position.fees,
            position.financing,
            pnl,
            position.best,
            position.worst,
        )
        self.trades.append(
            Trade(fill.slot, position.side, float(position.opened), position.time, float(position.price), fill.time,
                  *(float(amount) for amount in amounts), position.bars, position.additions, fill.reason)
        )  # fmt: skip
