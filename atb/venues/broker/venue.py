"""The base of all brokers: rate limit, sending and classifying of requests; the venue's clock, bars and streams."""

import contextlib
import itertools
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from functools import partial
from time import monotonic
from typing import Any

from atb.domain.bars import BAR_COLUMNS, Bars, bar_index
from atb.domain.instrument import Instrument
from atb.domain.orders import Fill, Order
from atb.domain.ports import Clock
from atb.domain.symbol import Symbol
from atb.domain.timeframe import Timeframe
from atb.domain.venue import Answer, Capabilities, Contact, Ended, OrderList, OrderReport, Outcome, StreamUpdate
from atb.errors import InputError, VenueError, did_you_mean
from atb.redaction import MASK
from atb.venues.broker.capabilities import capabilities_of
from atb.venues.broker.clock import VenueClock
from atb.venues.broker.connection import Access, make_exchange
from atb.venues.broker.outcomes import SKEWED, Classification, Classifier, Purpose, UnansweredError
from atb.venues.broker.rate_limit import RateLimiter
from atb.venues.broker.reports import Malformed
from atb.venues.broker.rules import TradingRules
from atb.venues.broker.streams import Streams, StreamWatch, balance_watch, bar_watch, order_watch
from atb.venues.broker.transport import Reply, await_quietly, send_request

_PAGE = 1_000
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Request:
    """One request: the call, its weight and number of orders, and whether it protects a position."""

    call: Callable[[], Awaitable[Any]]
    weight: int = 1
    orders: int = 0
    protective: bool = False


class Venue:
    """The part of a broker that does not depend on the exchange.

    Parameters
    ----------
    access
        Where the account is, and its key.
    clock
        The runner's clock.
    classify
        Classifies how a request ended.
    """

    def __init__(self, access: Access, clock: Clock, *, classify: Classifier) -> None:
        self._access, self._classify = access, classify
        self._exchange = make_exchange(access)
        self._venue_clock = VenueClock(clock)
        self._exchange.venue_now_ms = self._venue_clock.now_ms
        self._rules: dict[Symbol, TradingRules] = {}
        self._allowed: dict[Symbol, Capabilities] = {}
        self._last: dict[Symbol, Decimal] = {}
        self._watched: dict[tuple[Symbol, Timeframe], None] = {}
        self._streams: Streams | None = None
        self._observer: Callable[[Contact], None] = lambda _: None
        self.unpriced: set[str] = set()
        """Trade ids whose fee was paid in an asset that has no price in the quote asset: its value was taken as 0."""
        self.rate_limiter = RateLimiter()
        self.capabilities: Capabilities = capabilities_of(
            access.id, self._exchange, recv_window_ms=access.recv_window_ms
        )

    def now_ms(self) -> int:
        """Return the venue's time in epoch milliseconds; it may be a little behind, never ahead."""
        return self._venue_clock.now_ms()

    def capabilities_of(self, symbol: Symbol) -> Capabilities:
        """Return the capabilities of a symbol, as last read; the venue's own where it says nothing of its symbols."""
        return self._allowed.get(symbol, self.capabilities)

    async def refresh(self, symbols: Sequence[Symbol]) -> None:
        """Ask again what symbols allow; here nothing, since ccxt's unified methods do not tell it."""

    async def price(self, symbol: Symbol) -> Decimal:
        """Return the last price (quote per base).

        Raises
        ------
        VenueError
            If the request fails, or the venue has no last price.
        """
        call = partial(self._exchange.fetch_ticker, str(symbol))
        last = (await self._read(Request(call, weight=2, protective=True))).value.get("last")
        if last is None:
            raise VenueError(f"{self._access.id} has no last price", found=str(symbol))
        return Decimal(str(last))

    def instrument(self, symbol: Symbol) -> Instrument:
        """Return the trading rules of a symbol as the venue publishes them."""
        return self._rules_of(symbol).instrument

    def observe(self, callback: Callable[[Contact], None]) -> None:
        """Call `callback` after every request from now on."""
        self._observer = callback

    def silences(self) -> dict[str, int]:
        """Return the time since each stream's last frame, in milliseconds of exchange time."""
        return self._streams.silences() if self._streams is not None else {}

    async def close(self) -> None:
        """Close every connection."""
        if self._streams is not None:
            await self._streams.stop()
            self._streams = None
        # ccxt waits this long for TLS connections to close; without TLS there is nothing to wait for.
        self._exchange.timeout_on_exit = 0 if (self._access.base_url or "").startswith("http:") else 250
        await await_quietly(self._exchange.close())

    def listen(self, wake: Callable[[StreamUpdate], None]) -> None:
        """Call `wake` for every update from now on: of the account, and of the bars requested so far."""
        has = self._exchange.has
        watches: list[StreamWatch] = []
        if has.get("watchOHLCV"):
            watches += [bar_watch(self._exchange, symbol, timeframe) for symbol, timeframe in self._watched]
        if has.get("watchOrders") and self._access.api_key:
            watches.append(order_watch(self._exchange))
        if has.get("watchBalance") and self._access.api_key:
            watches.append(balance_watch(self._exchange))
        self._streams = Streams(self._exchange, wake, self.now_ms, frame_gap_ms=self._access.frame_gap_ms)
        self._streams.start(watches, never_silent=self._is_market_stream)

    async def bars(self, symbol: Symbol, timeframe: Timeframe, *, since_ms: int) -> Bars | None:
        """Return the bars that opened at `since_ms` or later and are closed by the venue's clock, None without any.

        Raises
        ------
        VenueError
            If the request fails, or the bars are out of order.
        """
        self._watched[symbol, timeframe] = None
        closed: list[list[Any]] = []
        start: int | None = since_ms
        while start is not None and timeframe.next_ms(start) <= self.now_ms():
            page = await self._bar_page(symbol, timeframe, start)
            closed += [row for row in page if timeframe.next_ms(int(row[0])) <= self.now_ms()]
            start = self._after_page(timeframe, start, page)
        if not closed:
            return None
        self._last[symbol] = Decimal(str(closed[-1][4]))
        return self._as_bars(symbol, timeframe, closed)

    _bar_page_size = _PAGE

    def _after_page(self, timeframe: Timeframe, start_ms: int, page: list[list[Any]]) -> int | None:  # noqa: ARG002 - hook
        """Return the start of the next page of bars, None if this was the last: a page that is not full is the last."""
        full = len(page) >= self._bar_page_size
        return timeframe.next_ms(int(page[-1][0])) if full else None

    async def _bar_page(self, symbol: Symbol, timeframe: Timeframe, since_ms: int) -> list[list[Any]]:
        call = partial(self._exchange.fetch_ohlcv, str(symbol), str(timeframe), since_ms, self._bar_page_size)
        rows = (await self._read(Request(call, weight=2))).value
        return [row for row in rows if row[0] >= since_ms]

    def _as_bars(self, symbol: Symbol, timeframe: Timeframe, rows: list[list[Any]]) -> Bars:
        import pandas as pd

        opened = [int(row[0]) for row in rows]
        if any(later <= earlier for earlier, later in itertools.pairwise(opened)):
            raise VenueError("The venue's bars are out of order", found=f"{symbol} {timeframe}")
        values = [[float(value) for value in row[1:6]] for row in rows]
        frame = pd.DataFrame(values, index=bar_index(opened), columns=list(BAR_COLUMNS), dtype="float64")
        return Bars(symbol, timeframe, frame, self._access.id)

    async def _load_markets(
        self, symbols: Sequence[Symbol], read: Callable[[Symbol, dict[str, Any]], Awaitable[TradingRules]]
    ) -> Reply:
        """Load the rules of symbols; return the reply they were read from.

        Raises
        ------
        InputError
            If the venue does not trade one of them.
        """
        reply = await self._read(Request(partial(self._exchange.load_markets, True), weight=20))
        markets = reply.value
        for symbol in symbols:
            if str(symbol) not in markets:
                todo = did_you_mean(str(symbol), markets)
                raise InputError(f"{self._access.id} has no such symbol", found=str(symbol), todo=todo)
            self._rules[symbol] = await read(symbol, markets[str(symbol)])
        return reply

    async def _measure(self) -> None:
        """Measure the clock's offset, if the venue has an endpoint for its time."""
        if self._exchange.has.get("fetchTime"):

            async def server_time() -> int:
                return int((await self._read(Request(self._exchange.fetch_time))).value)

            await self._venue_clock.measure(server_time)

    async def _measure_again(self) -> None:
        """Measure the offset after a refused timestamp; if that fails, the next read request measures it."""
        self._venue_clock.forget()
        with contextlib.suppress(VenueError):
            await self._measure()

    async def _measure_if_old(self) -> None:
        if self._venue_clock.old:
            await self._measure()

    def _rules_of(self, symbol: Symbol) -> TradingRules:
        if symbol not in self._rules:
            raise InputError("The broker was not opened for this symbol", found=str(symbol))
        return self._rules[symbol]

    def _refusal(self, orders: Sequence[Order]) -> Answer | None:
        """Return the rejection of orders that break the venue's rules, before anything is sent."""
        for order in orders:
            if found := self._rules_of(order.symbol).refusal(order, self._last.get(order.symbol)):
                return Answer("rejected", *found, sent_ms=self.now_ms())
        return None

    async def _read(self, request: Request, *, again: bool = True) -> Reply:
        """Make a request that changes nothing.

        Raises
        ------
        VenueError
            If the request was not sent, failed, or got no answer.
        """
        if wait := self._wait_ms(request):
            raise VenueError(f"{self._access.id} must not be asked now", retry_after_ms=wait)
        reply = await self._send(request, "read")
        if reply.status == 200 and not reply.fault and reply.value is not None:
            return reply
        classified = self._classify(reply, "check")
        if classified.code == SKEWED and again:
            await self._measure()
            return await self._read(request, again=False)
        classified = replace(classified, text=self._mask(classified.text))
        raise UnansweredError(self._access.id, reply, classified=classified, retry_after_ms=self._retry_after_ms())

    async def _command(
        self, request: Request, purpose: Purpose, read: Callable[[Reply], Awaitable[Answer] | Answer]
    ) -> Answer:
        """Make a request that may change something, and classify how it ended.

        Parameters
        ----------
        read
            Reads reports and fills from a reply; a reply that it cannot read proves nothing.
        """
        if wait := self._wait_ms(request):
            text = "not sent: the venue's limits leave no room for it"
            # For a cancellation "rejected" means that nothing is open, which is not known here.
            outcome: Outcome = "unknown" if purpose == "cancel" else "rejected"
            return Answer(outcome, "local:rate_limit", text, retry_after_ms=wait, sent_ms=self.now_ms())
        try:
            reply = await self._send(request, purpose)
        except InputError as error:
            return Answer("rejected", "local:refused", str(error), sent_ms=self.now_ms())
        classified = self._classify(reply, purpose)
        if classified.code == SKEWED:
            await self._measure_again()
        try:
            answer = read(reply)
            found = answer if isinstance(answer, Answer) else await answer
        except Malformed:
            found = Answer("unknown")
            if classified.outcome == "done":
                classified = Classification("unknown", "unreadable", "the answer is malformed")
        return Answer(
            classified.outcome,
            classified.code,
            self._mask(classified.text),
            reports=found.reports,
            fills=found.fills,
            retry_after_ms=self._retry_after_ms(),
            sent_ms=reply.sent_ms,
        )

    async def _send(self, request: Request, kind: str) -> Reply:
        began = monotonic()
        reply = await send_request(request.call, now_ms=self.now_ms())
        self.rate_limiter.update(self.now_ms(), reply.status, headers=reply.headers, text=reply.text)
        outcome: Ended = (
            "lost" if reply.status == 0 or reply.fault else "answered" if reply.status == 200 else "refused"
        )
        self._observer(Contact(kind, outcome, monotonic() - began, self.rate_limiter.weight.used))
        return reply

    def _wait_ms(self, request: Request) -> int:
        return self.rate_limiter.wait_ms(
            self.now_ms(), weight=request.weight, orders=request.orders, protective=request.protective
        )

    def _retry_after_ms(self) -> int:
        return max(0, self.rate_limiter.blocked_until_ms - self.now_ms())

    def _note_unpriced(self, asset: str, quote: str, trade_id: str) -> None:
        """Record and log that a fee has no price."""
        self.unpriced.add(trade_id)
        _log.warning("a fee in %s has no price in %s: its value is taken as 0 (trade %s)", asset, quote, trade_id)

    def _mask(self, text: str) -> str:
        """Return a venue's message without our key, in case it repeats it."""
        for secret in (self._access.api_key, self._access.secret):
            text = text.replace(secret, MASK) if len(secret) >= 4 else text
        return text

    def _is_market_stream(self, address: str) -> bool:  # noqa: ARG002 - a venue's own knowledge
        return False


def orders_of(order: Order | OrderList) -> tuple[Order, ...]:
    """Return the orders of a list, or the single order."""
    return order.orders if isinstance(order, OrderList) else (order,)


def is_protective(order: Order) -> bool:
    """Return True if an order reduces risk: every order but an entry does."""
    return order.role != "entry"


__all__ = ["Fill", "OrderReport", "Request", "Venue", "is_protective", "orders_of"]
