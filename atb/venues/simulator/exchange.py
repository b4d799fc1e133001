"""The simulated exchange: plays bars and scheduled events in time order, matches orders, and publishes what happens."""

import heapq
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any

from atb.domain import Bars
from atb.errors import InputError, did_you_mean
from atb.venues.simulator.accounts import Account
from atb.venues.simulator.capabilities import EVERYTHING
from atb.venues.simulator.clock import RealClock, VirtualClock
from atb.venues.simulator.configuration import ExchangeConfig
from atb.venues.simulator.events import AccountEvent, BookTicker, Event, Kline, MarketTrade
from atb.venues.simulator.fault_injection import FaultInjector
from atb.venues.simulator.faults import Fault
from atb.venues.simulator.ledger import Ledger, entry_of
from atb.venues.simulator.limits import Usage
from atb.venues.simulator.market import Market
from atb.venues.simulator.matching import exchange_price
from atb.venues.simulator.orders import Order
from atb.venues.simulator.scripted_events import play_event
from atb.venues.simulator.scripts import ScriptedEvent
from atb.venues.simulator.tape import Tape
from atb.venues.simulator.time_barrier import TimeBarrier
from atb.venues.simulator.trading import Trading

Subscriber = Callable[[Event], None]
# Order of calls scheduled for the same millisecond: range of a bar, its close, the next open, then anything else.
_RANGE, _CLOSE, _OPEN, _PLANNED = 0, 1, 2, 3


class Exchange:
    """One exchange with one account. Not safe across threads: it lives in its server's loop.

    Parameters
    ----------
    config
        Market, account, costs and faults.
    clock
        The exchange's clock; None makes the one that `config` names.
    """

    def __init__(self, config: ExchangeConfig, clock: VirtualClock | RealClock | None = None) -> None:
        self.config = config
        made = (
            VirtualClock(config.start_ms, config.pace)
            if config.clock == "virtual"
            else RealClock(config.start_ms, config.speed)
        )
        self.clock = made if clock is None else clock
        self.market = Market.from_bars(config.series, self.clock, config.instruments, candles=config.candles)
        rules, costs, window = self.market.instruments, config.execution, config.atr_window
        symbols = config.symbols
        self.tapes = {
            name: Tape(bars, rules[name], costs, atr_window=window, usual=symbols.get(name, EVERYTHING))
            for name, bars in self.market.finest().items()
        }
        self.ledger = Ledger(config.ledger)
        self.account = Account(config.balances)
        self.trading = Trading(
            config, self.tapes, self.account, announce=self.publish, now=self.now_ms, strike=self._strike
        )
        self.book, self.balances = self.trading.book, self.account  # what reads see; `look_back` makes it old
        self.usage = Usage(config.limits)
        self.requests: list[tuple[str, dict[str, str]]] = []
        self.skew_ms = 0
        self._now = config.start_ms
        self._subscribers: list[Subscriber] = []
        self._moments: list[tuple[int, int, int, Callable[[], None]]] = []
        self._planned = 0
        # Called with method, path and parameters of each request before its answer is sent.
        self.answered: Callable[[str, str, Mapping[str, str]], None] = lambda *_: None
        self.fault_injector = FaultInjector(self)
        self.barrier = TimeBarrier(
            self.now_ms,
            self.next_ms,
            advance=self.advance_to,
            on_work=self.clock.work if isinstance(self.clock, VirtualClock) else None,
        )
        for tape in self.tapes.values():
            self._schedule_first_bar(tape)
        self.add_script(config.script)
        self.add_faults(config.faults)
        self.catch_up()

    # --- time

    def now_ms(self) -> int:
        """Return the exchange's time, the moment that is being played, in epoch milliseconds."""
        return self._now

    def server_ms(self) -> int:
        """Return the time that clients see: the exchange's time plus the skew of a fault."""
        return self._now + self.skew_ms

    def next_ms(self) -> int | None:
        """Return the time of the next scheduled call, None if there is none."""
        return self._moments[0][0] if self._moments else None

    def plan(self, time_ms: int, act: Callable[[], None], *, rank: int = _PLANNED) -> None:
        """Schedule a call at a time; one in the past is made at the next move."""
        self._planned += 1
        heapq.heappush(self._moments, (time_ms, rank, self._planned, act))

    def catch_up(self) -> None:
        """Play everything up to the clock's time."""
        self.advance_to(self.clock.now_ms())

    def advance_to(self, to_ms: int) -> None:
        """Make every scheduled call up to and including a time, in order, and set the time."""
        while self._moments and self._moments[0][0] <= to_ms:
            moment, _, _, act = heapq.heappop(self._moments)
            self._reach(moment)
            act()
        self._reach(to_ms)

    def _reach(self, now_ms: int) -> None:
        self._now = max(self._now, now_ms)
        if isinstance(self.clock, VirtualClock):
            self.clock.reach(self._now)

    # --- the market

    def _schedule_first_bar(self, tape: Tape) -> None:
        """Schedule the first bar that is still open or to come."""
        found = tape.seek(self._now)
        if found is not None:
            row, moment = found
            self.plan(moment, lambda: self._open_bar(tape, row), rank=_OPEN)

    def _open_bar(self, tape: Tape, row: int) -> None:
        closed = int(tape.market["closed"][row])
        tape.open_bar(row, self._now)
        self.plan(closed - 1, lambda: self._match_range(tape), rank=_RANGE)
        self.plan(closed, lambda: self._close_bar(tape, row), rank=_CLOSE)
        self._announce_price(tape)
        self._announce_candle(tape.bars, row, closed=False)

    def _match_range(self, tape: Tape) -> None:
        tape.reach_range(self._now)
        self.trading.match_bar(tape)

    def _close_bar(self, tape: Tape, row: int) -> None:
        tape.close_bar()
        self._announce_candle(tape.bars, row, closed=True)
        if row + 1 < len(tape.market):
            self.plan(int(tape.market["opened"][row + 1]), lambda: self._open_bar(tape, row + 1), rank=_OPEN)

    def _announce_candle(self, bars: Bars, row: int, *, closed: bool) -> None:
        symbol = bars.symbol.joined
        if not self.market.is_frozen(symbol):
            candle = self.market.candle(bars, row, now_ms=self._now)
            self.publish(Kline(self._now, symbol, str(bars.timeframe), candle, closed=closed))

    def _announce_price(self, tape: Tape) -> None:
        price, size = exchange_price(tape.price), tape.rules.lot * 1_000
        self.publish(MarketTrade(self._now, tape.symbol, tape.new_trade(), price, tape.rules.lot, buyer_is_maker=False))
        self.publish(BookTicker(self._now, tape.symbol, tape.updates, price, size, price + tape.rules.tick, size))

    # --- what reads see

    def look_back(self, lag_ms: int, act: Callable[[], Any]) -> Any:
        """Run a read that sees orders, lists, trades and balances as they were `lag_ms` ago."""
        then = self._now - lag_ms
        self.book, self.balances = self.trading.book.at(then), self.account.at(then)
        try:
            return act()
        finally:
            self.book, self.balances = self.trading.book, self.account

    # --- symbols, scripts and faults

    def change_symbol(self, symbol: str, values: Mapping[str, Any]) -> None:
        """Change what a symbol allows from now on, by the names that Binance shows.

        Raises
        ------
        InputError
            If there is no such symbol or property.
        """
        tape = self.tapes.get(symbol)
        if tape is None:
            raise InputError("There is no such symbol", found=symbol, todo=did_you_mean(symbol, self.tapes))
        tape.usual, tape.capabilities = tape.usual.changed(values), tape.capabilities.changed(values)
        self.note("symbol", {"symbol": symbol, "changed": dict(values)})

    def add_script(self, events: Iterable[ScriptedEvent]) -> None:
        """Schedule scripted events."""
        for event in events:
            self.plan(event.time_ms, partial(play_event, self, event))

    def add_faults(self, faults: list[Fault]) -> None:
        """Add faults; those with a time are scheduled."""
        self.fault_injector.add(faults)

    def _strike(self, kind: str, order: Order) -> Mapping[str, Any] | None:
        return self.fault_injector.order_fault(kind, order)

    # --- publishing

    def subscribe(self, callback: Subscriber) -> Callable[[], None]:
        """Call `callback` with every event from now on, in the exchange's loop; return a function that ends it."""
        self._subscribers.append(callback)

        def end() -> None:
            if callback in self._subscribers:
                self._subscribers.remove(callback)

        return end

    def publish(self, event: Event) -> None:
        """Send an event to the subscribers; events of the account are written to the ledger and wake waiting participants."""
        if isinstance(event, AccountEvent):
            self.note(*entry_of(event))
            self.barrier.wake()
        for callback in tuple(self._subscribers):
            callback(event)

    def note(self, kind: str, values: dict[str, Any]) -> None:
        """Append an entry to the ledger."""
        self.ledger.append(self._now, kind, values)
