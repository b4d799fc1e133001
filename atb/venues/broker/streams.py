"""Streams: background tasks whose updates say when to query, a watchdog for silence, and an update for every gap.

Streams are never trusted as data: frames come late, twice, out of order or not at all, and frames that were sent while a
connection was down are never repeated. An update only means "query now".
"""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from atb.domain.symbol import Symbol
from atb.domain.timeframe import Timeframe
from atb.domain.venue import StreamUpdate

_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.1, 30.0
_SILENCES = 3
_PATIENCE_S = 1.0  # real seconds: a virtual clock that jumps from bar to bar is ahead of frames in transit
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class StreamWatch:
    """One stream to watch: `call` waits for its next message, `updates` turns the message into updates."""

    name: str
    call: Callable[[], Awaitable[Any]]
    updates: Callable[[Any], list[StreamUpdate]]


@dataclass(eq=False)
class Streams:
    """Keeps streams open and calls `wake` for their updates.

    Parameters
    ----------
    exchange
        ccxt's exchange, of a class made by `transport.recording_class`.
    wake
        Called with each update, in this loop.
    now_ms
        Exchange time.
    frame_gap_ms
        The longest usual time between two frames of a market stream, exchange time. After three times that without a frame the
        connection counts as dead and is opened again. Account streams may be silent for days; they are pinged instead.
    poll_s
        How often the watchdog looks, in real seconds.
    """

    exchange: Any
    wake: Callable[[StreamUpdate], None]
    now_ms: Callable[[], int]
    frame_gap_ms: int = 10_000
    poll_s: float = 0.5
    _tasks: list[asyncio.Task[None]] = field(default_factory=list)
    _frame_ms: dict[str, int] = field(default_factory=dict)
    _frame_s: dict[str, float] = field(default_factory=dict)
    _last_ms: dict[str, int] = field(default_factory=dict)
    _closing: bool = False

    def start(self, watches: list[StreamWatch], *, never_silent: Callable[[str], bool]) -> None:
        """Open the streams.

        Parameters
        ----------
        never_silent
            Returns True for the address of a stream that always has frames.
        """
        self.exchange.on_frame, self.exchange.on_drop = self._on_frame, self._on_drop
        loop = asyncio.get_running_loop()
        self._tasks = [loop.create_task(self._run(watch), name=f"watch {watch.name}") for watch in watches]
        self._tasks.append(loop.create_task(self._watch_for_silence(never_silent), name="watchdog"))

    async def stop(self) -> None:
        """Stop every task."""
        self._closing = True
        self.exchange.on_frame = self.exchange.on_drop = None
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def silences(self) -> dict[str, int]:
        """Return the time (ms) since each stream's last frame, lost streams included, by address without its query."""
        return {stream: self.now_ms() - last for stream, last in self._last_ms.items()}

    async def _run(self, watch: StreamWatch) -> None:
        """Wait for messages forever; after a failure retry with growing pauses."""
        pause = _FIRST_PAUSE_S
        while True:
            try:
                news = await watch.call()
            except asyncio.CancelledError:
                # ccxt cancels waiters of a connection that it closes; only a cancellation of this task ends the loop.
                if self._closing or (task := asyncio.current_task()) is None or task.cancelling():
                    raise
                failed = "closed"
            except Exception as error:  # noqa: BLE001 - a stream must survive whatever a venue or a library does to it
                # ccxt may raise a second error while it handles the one that matters.
                failed = type(error.__context__ or error).__name__
            else:
                pause = _FIRST_PAUSE_S
                for update in watch.updates(news):
                    self.wake(update)
                continue
            _log.info("stream lost: %s (%s), next attempt in %.1f s", watch.name, failed, pause)
            await asyncio.sleep(pause)
            pause = min(pause * 2.0, _LONGEST_PAUSE_S)

    async def _watch_for_silence(self, never_silent: Callable[[str], bool]) -> None:
        """Reconnect streams that are silent for too long."""
        while True:
            await asyncio.sleep(self.poll_s)
            for address in [known for known in self._frame_ms if never_silent(known)]:
                silent_s = asyncio.get_running_loop().time() - self._frame_s.get(address, 0.0)
                if self.now_ms() - self._frame_ms[address] > _SILENCES * self.frame_gap_ms and silent_s > _PATIENCE_S:
                    self._reconnect(address)

    def _reconnect(self, address: str) -> None:
        from ccxt import RequestTimeout

        client = (self.exchange.clients or {}).get(address)
        if client is None:
            self._frame_ms.pop(address, None)
        else:
            client.on_error(RequestTimeout("no frame for too long"))

    def _on_frame(self, address: str) -> None:
        first = address not in self._frame_ms
        self._last_ms[_without_query(address)] = self.now_ms()
        self._frame_ms[address], self._frame_s[address] = self.now_ms(), asyncio.get_running_loop().time()
        if first:
            self.wake(StreamUpdate("gap", detail={"stream": _without_query(address), "state": "up"}))

    def _on_drop(self, address: str) -> None:
        if self._frame_ms.pop(address, None) is not None:
            self.wake(StreamUpdate("gap", detail={"stream": _without_query(address), "state": "down"}))


def bar_watch(exchange: Any, symbol: Symbol, timeframe: Timeframe) -> StreamWatch:
    """Return a watch with an update when a bar opens, because the previous bar is then closed."""
    newest = -1

    async def call() -> Any:
        return await exchange.watch_ohlcv(str(symbol), str(timeframe))

    def updates(rows: Any) -> list[StreamUpdate]:
        nonlocal newest
        opened = int(rows[-1][0])
        if opened <= newest:
            return []
        newest = opened
        return [StreamUpdate("bar", symbol, {"timeframe": str(timeframe), "open_ms": str(opened)})]

    return StreamWatch(f"bars {symbol} {timeframe}", call, updates)


def order_watch(exchange: Any) -> StreamWatch:
    """Return a watch with an update for each order that changed."""

    def updates(orders: Any) -> list[StreamUpdate]:
        return [
            StreamUpdate("order", _symbol(order.get("symbol")), {"client_id": str(order.get("clientOrderId") or "")})
            for order in orders
        ]

    return StreamWatch("orders", exchange.watch_orders, updates)


def balance_watch(exchange: Any) -> StreamWatch:
    """Return a watch with an update for changed balances."""
    return StreamWatch("balance", exchange.watch_balance, lambda _: [StreamUpdate("balance")])


def _symbol(text: Any) -> Symbol | None:
    with contextlib.suppress(ValueError):
        return Symbol.parse(str(text))
    return None


def _without_query(address: str) -> str:
    """Return an address without its query, which may hold secrets."""
    return address.partition("?")[0].partition("://")[2]
