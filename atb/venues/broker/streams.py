"""Streams as hints: background tasks that say when to look, a watchdog for silence, and a notice of every gap.

Nothing that a stream says is taken for the truth: frames come late, twice, out of order or not at all, and what was pushed
while a connection was down is never pushed again. A hint only means "ask now".
"""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from atb.domain.symbol import Symbol
from atb.domain.timeframe import Timeframe
from atb.domain.venue import Hint

_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.1, 30.0
_SILENCES = 3
_PATIENCE_S = 1.0  # of ours: a clock that leaps from bar to bar is ahead of frames that are on their way
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class StreamWatch:
    """One thing to watch: `call` waits for news, `hints` says what the news means."""

    name: str
    call: Callable[[], Awaitable[Any]]
    hints: Callable[[Any], list[Hint]]


@dataclass(eq=False)
class Streams:
    """Keeps streams open, and calls `wake` for what they bring.

    Parameters
    ----------
    exchange
        ccxt's exchange, made by `wire.recording`.
    wake
        Called with each hint, in this loop.
    now_ms
        Exchange time.
    frame_gap_ms
        The longest usual time between two frames of a stream of bars, exchange time. After three times that without one
        the connection is taken for dead: it is cut and opened again. Streams of an account may be silent for days; they
        are pinged instead.
    poll_s
        How often the watchdog looks, in real seconds.
    """

    exchange: Any
    wake: Callable[[Hint], None]
    now_ms: Callable[[], int]
    frame_gap_ms: int = 10_000
    poll_s: float = 0.5
    _tasks: list[asyncio.Task[None]] = field(default_factory=list)
    _heard_ms: dict[str, int] = field(default_factory=dict)
    _heard_s: dict[str, float] = field(default_factory=dict)
    _last_ms: dict[str, int] = field(default_factory=dict)
    _closing: bool = False

    def start(self, watches: list[StreamWatch], *, never_silent: Callable[[str], bool]) -> None:
        """Open the streams.

        Parameters
        ----------
        never_silent
            Tells by a stream's address whether frames come at all times.
        """
        self.exchange.on_frame, self.exchange.on_drop = self._on_frame, self._on_drop
        loop = asyncio.get_running_loop()
        self._tasks = [loop.create_task(self._run(watch), name=f"watch {watch.name}") for watch in watches]
        self._tasks.append(loop.create_task(self._watch_for_silence(never_silent), name="watchdog"))

    async def stop(self) -> None:
        """End every task."""
        self._closing = True
        self.exchange.on_frame = self.exchange.on_drop = None
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def silences(self) -> dict[str, int]:
        """Return how long each stream has brought nothing (ms), lost ones too, by its address without what may be secret."""
        return {stream: self.now_ms() - heard for stream, heard in self._last_ms.items()}

    async def _run(self, watch: StreamWatch) -> None:
        """Wait for news for ever; after a failure wait a while, each time longer, and try again."""
        pause = _FIRST_PAUSE_S
        while True:
            try:
                news = await watch.call()
            except asyncio.CancelledError:
                # ccxt cancels what waits for a connection that it closes; only a cancellation of this task ends it.
                if self._closing or (task := asyncio.current_task()) is None or task.cancelling():
                    raise
                failed = "closed"
            except Exception as error:  # noqa: BLE001 - a stream must survive whatever a venue or a library does to it
                # ccxt may stumble over its own bookkeeping while it handles the failure that matters.
                failed = type(error.__context__ or error).__name__
            else:
                pause = _FIRST_PAUSE_S
                for hint in watch.hints(news):
                    self.wake(hint)
                continue
            _log.info("stream lost: %s (%s), next attempt in %.1f s", watch.name, failed, pause)
            await asyncio.sleep(pause)
            pause = min(pause * 2.0, _LONGEST_PAUSE_S)

    async def _watch_for_silence(self, never_silent: Callable[[str], bool]) -> None:
        """Cut connections that are silent for too long."""
        while True:
            await asyncio.sleep(self.poll_s)
            for address in [one for one in self._heard_ms if never_silent(one)]:
                silent_s = asyncio.get_running_loop().time() - self._heard_s.get(address, 0.0)
                if self.now_ms() - self._heard_ms[address] > _SILENCES * self.frame_gap_ms and silent_s > _PATIENCE_S:
                    self._reconnect(address)

    def _reconnect(self, address: str) -> None:
        from ccxt import RequestTimeout

        client = (self.exchange.clients or {}).get(address)
        if client is None:
            self._heard_ms.pop(address, None)
        else:
            client.on_error(RequestTimeout("no frame for too long"))

    def _on_frame(self, address: str) -> None:
        first = address not in self._heard_ms
        self._last_ms[_without_query(address)] = self.now_ms()
        self._heard_ms[address], self._heard_s[address] = self.now_ms(), asyncio.get_running_loop().time()
        if first:
            self.wake(Hint("gap", detail={"stream": _without_query(address), "state": "up"}))

    def _on_drop(self, address: str) -> None:
        if self._heard_ms.pop(address, None) is not None:
            self.wake(Hint("gap", detail={"stream": _without_query(address), "state": "down"}))


def bar_watch(exchange: Any, symbol: Symbol, timeframe: Timeframe) -> StreamWatch:
    """Return a watch that gives a hint when a bar opens: the one before it is closed."""
    newest = -1

    async def call() -> Any:
        return await exchange.watch_ohlcv(str(symbol), str(timeframe))

    def hints(rows: Any) -> list[Hint]:
        nonlocal newest
        opened = int(rows[-1][0])
        if opened <= newest:
            return []
        newest = opened
        return [Hint("bar", symbol, {"timeframe": str(timeframe), "open_ms": str(opened)})]

    return StreamWatch(f"bars {symbol} {timeframe}", call, hints)


def order_watch(exchange: Any) -> StreamWatch:
    """Return a watch that gives a hint for each order that changed."""

    def hints(orders: Any) -> list[Hint]:
        return [
            Hint("order", _symbol(one.get("symbol")), {"client_id": str(one.get("clientOrderId") or "")})
            for one in orders
        ]

    return StreamWatch("orders", exchange.watch_orders, hints)


def balance_watch(exchange: Any) -> StreamWatch:
    """Return a watch that gives a hint when the account has more or less of something."""
    return StreamWatch("balance", exchange.watch_balance, lambda _: [Hint("balance")])


def _symbol(text: Any) -> Symbol | None:
    with contextlib.suppress(ValueError):
        return Symbol.parse(str(text))
    return None


def _without_query(address: str) -> str:
    """Return an address without what may be secret in it."""
    return address.partition("?")[0].partition("://")[2]
