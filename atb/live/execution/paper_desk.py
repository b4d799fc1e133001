"""Paper trading: each moment of the market goes through the kernel's own fill rules, and what came of it becomes steps.

The order of events is the kernel's: what rests meets the range of the bars that close, then it is decided, and those intents
meet the bars that open now. Where a bar's open is not known before its close, its intents meet it then.
"""

from collections.abc import Iterable, Mapping

import numpy as np

from atb.domain import Bars, Order
from atb.engine import records
from atb.engine.state import market_records
from atb.live.execution.book import Book, Newest
from atb.live.execution.orders import PROTECTIVE, OrderMaker, intent_json, same_terms
from atb.live.feed.market import Moment
from atb.live.journal.kill_switch import Level
from atb.live.journal.step import Change, Decided, Step, Withheld, Working
from atb.venues.paper import PaperFills

_PRICES = ("open", "high", "low", "close")


class PaperDesk:
    """A book with a paper broker.

    Parameters
    ----------
    book
        Market and state so far.
    makers
        Order factory per slot.
    working
        The open orders.
    """

    def __init__(self, book: Book, *, makers: Mapping[int, OrderMaker], working: Iterable[Working] = ()) -> None:
        self.book = book
        self._makers = makers
        self._broker = PaperFills(book.state, [plan.symbol for plan in book.portfolio.plans])
        for order in working:
            self._broker.submit(order.slot, [order.order])
        self._drop_withheld()

    def on_close(
        self, moment: Moment, funding: Mapping[int, float] | None = None, *, level: Level = Level.NONE
    ) -> Step:
        """Trade the bars that close, and decide; the book moves on. What is decided must be written before it may be filled.

        Parameters
        ----------
        moment
            What closes.
        funding
            By slot, what longs pay to shorts at this close, as a fraction of the position's value.
        level
            What the kill switch forbids.
        """
        step = Step(moment.time_ms, moment.bar_ms)
        now = self.book.learn(moment, funding)
        self._meet(now, phase=records.OPEN, step=step)
        self._meet(now, phase=records.RANGE, step=step)
        self._decide(now, step, level)
        step.equity, step.cash = self.book.equity, self.book.cash
        step.state = self.book.state.to_json()
        return step

    def on_open(self, moment: Moment) -> Step | None:
        """Let what was decided meet the bars that open; None where nothing comes of it."""
        step = Step(moment.time_ms)
        self._meet(_opening(len(self._makers), moment.opening), phase=records.OPEN, step=step)
        if not step.changes:
            return None
        step.state = self.book.state.to_json()
        return step

    def drop(self, withheld: Iterable[Withheld]) -> None:
        """Drop orders that may not be sent, with the intents behind them."""
        names = {order.client_id for order in withheld}
        if not names:
            return
        for slot in self._makers:
            for order in self._broker.working(slot):
                if order.client_id in names:
                    self._broker.cancel(slot, [order])
        self._drop_withheld()

    def _drop_withheld(self) -> None:
        """Drop intents without an open order: they were withheld, perhaps just before the last process ended."""
        for slot in self._makers:
            out = {order.role for order in self._broker.working(slot)}
            if "entry" not in out:
                self.book.drop_entry(slot)
            if "exit" not in out:
                self.book.drop_exit(slot)

    @property
    def working(self) -> tuple[Working, ...]:
        """The open orders."""
        return tuple(Working(order, 0, slot) for slot in self._makers for order in self._broker.working(slot))

    # --- fills --------------------------------------------------------------------------------------------------------

    def _meet(self, now: Newest, *, phase: int, step: Step) -> None:
        """Fill what meets the bars in this phase; what rests follows each fill. Then the orders that were refused are closed."""
        for slot, fill, order in self._broker.meet(now.market, now.rows, phase):
            execution, trade = self.book.fold(fill, order, slot)
            step.fills.append(execution)
            step.changes[order.client_id] = Change("filled", filled=fill.quantity)
            if trade is not None:
                step.trades.append((self.book.trades, trade))
            self._rest(slot, step, _bar_ms(now, slot))
            self._trim_exit(slot, step, _bar_ms(now, slot))
        refused = self.book.take_refusals()
        for slot in now.slots:
            for order in self._broker.working(slot):
                if order.role == "entry" and self.book.slot(slot)["entry"] == 0.0:
                    reason = refused.get(slot)  # without one, it was to add to a position that is closed
                    self._end(slot, order, step, change=Change("rejected", reason) if reason else Change("cancelled"))

    # --- orders -------------------------------------------------------------------------------------------------------

    def _rest(self, slot: int, step: Step, bar_ms: int) -> None:
        """Make the stop and the target that rest at the venue equal to those that the state wants there."""
        wanted = {order.role: order for order in self._makers[slot].protection(self.book.slot(slot))}
        for order in self._broker.working(slot):
            if order.role not in PROTECTIVE:
                continue
            if order.role in wanted and same_terms(order, wanted[order.role]):
                del wanted[order.role]
            else:
                self._end(slot, order, step, change=Change("cancelled"))
        self._place(slot, wanted.values(), step, bar_ms=bar_ms)

    def _trim_exit(self, slot: int, step: Step, bar_ms: int) -> None:
        """Let a waiting exit close what is left once a target has filled before it."""
        wanted = [order for order in self._makers[slot].intents(self.book.slot(slot)) if order.role == "exit"]
        for order in self._broker.working(slot):
            if order.role == "exit" and not any(same_terms(order, other) for other in wanted):
                self._end(slot, order, step, change=Change("cancelled"))
                self._place(slot, wanted, step, bar_ms=bar_ms)

    def _place(self, slot: int, orders: Iterable[Order], step: Step, *, bar_ms: int) -> list[Order]:
        placed = [self._makers[slot].name(order, bar_ms) for order in orders]
        step.placed += [
            Working(order, bar_ms, slot, "planned" if order.type == "market" else "live") for order in placed
        ]
        self._broker.submit(slot, placed)
        return placed

    def _end(self, slot: int, order: Order, step: Step, *, change: Change) -> None:
        self._broker.cancel(slot, [order])
        step.changes[order.client_id] = change

    # --- decision -----------------------------------------------------------------------------------------------------

    def _decide(self, now: Newest, step: Step, level: Level) -> None:
        """Decide on the bars; then replace what rests, withdraw entries whose time is over, and plan the new intents."""
        left = {slot: int(self.book.slot(slot)["entry_bars"]) for slot in now.slots}
        refused = self.book.decide(now)
        for slot in now.slots:
            bar_ms = _bar_ms(now, slot)
            waiting = [order for order in self._broker.working(slot) if order.role == "entry"]
            kept = bool(waiting) and keeps_entry(self.book.slot(slot), left[slot])
            if level and self._halt(slot, level, resting=kept):
                refused[slot], kept = ", ".join(filter(None, (refused[slot], "halted"))), False
            self._rest(slot, step, bar_ms)
            for order in waiting:
                if not kept:
                    over = self._expired(now, slot, order, left=left[slot])
                    self._end(slot, order, step, change=Change("expired" if over else "cancelled"))
            asked = self._makers[slot].intents(self.book.slot(slot))
            new = [order for order in asked if order.role == "exit" or not kept]
            placed = self._place(slot, new, step, bar_ms=bar_ms)
            intents = [intent_json(order) for order in placed]
            values = {**self.book.decision(now, slot), "intents": intents, "refusal": refused[slot]}
            step.decided.append(Decided(slot, bar_ms, values))

    def _halt(self, slot: int, level: Level, *, resting: bool) -> bool:
        """Drop what the level forbids, and close positions where it says so; return whether an entry was dropped."""
        record = self.book.slot(slot)
        if level >= Level.FLATTEN:
            self.book.close_at_market(slot)
        if record["entry"] == 0.0 or (resting and level < Level.CANCEL):
            return False
        self.book.drop_entry(slot)
        return True

    @property
    def clear(self) -> bool:
        """Whether nothing is held and no order is open."""
        return self.book.flat and not any(self._broker.working(slot) for slot in self._makers)

    def _expired(self, now: Newest, slot: int, order: Order, *, left: int) -> bool:
        """Return whether an entry ran out of bars, rather than being cancelled by its signal or a halt."""
        return entry_expired(now, slot, order, left=left) and self.book.account["halt"] == records.HALT_NONE


def keeps_entry(slot: np.void, left: int) -> bool:
    """Tell whether a resting entry goes on after a decision: a new one has all its bars, this one has one less."""
    return bool(slot["entry"] != 0.0 and slot["entry_bars"] == left - 1)


def entry_expired(now: Newest, slot: int, order: Order, *, left: int) -> bool:
    """Return whether an entry had no bar left, and its signal still stood."""
    side = float(now.signals_of(slot)["side"])
    called_back = not np.isnan(side) and side != (1.0 if order.side == "buy" else -1.0)
    return left <= 1 and not called_back


def _bar_ms(now: Newest, slot: int) -> int:
    return int(now.market_of(slot)["opened"])


def _opening(count: int, bars: Mapping[int, Bars]) -> Newest:
    """Return bars of which only the open is known yet."""
    opening = Newest(count, {})
    opening.slots = tuple(bars)
    opening.rows[list(bars)] = np.arange(len(bars))
    opens = [(int(bar.opened_ms[-1]), float(bar.frame["open"].iloc[-1])) for bar in bars.values()]
    opening.market = market_records([{"opened": at, **dict.fromkeys(_PRICES, price)} for at, price in opens])
    return opening
