"""The simulated exchange's HTTP server: routes, parameters, faults on demand, and a thread to run it in."""

import asyncio
import socket
import struct
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Literal

from aiohttp import web
from aiohttp.typedefs import Handler

from atb.domain import Bars, Instrument
from atb.venues.simulator import formats
from atb.venues.simulator.formats import Refusal
from atb.venues.simulator.market import Market, VirtualClock

_MOST_KLINES = 1_000
_WEIGHTS = {"/api/v3/exchangeInfo": 20, "/api/v3/klines": 2, "/api/v3/time": 1}


@dataclass
class Fault:
    """Something that goes wrong with requests to a path.

    Parameters
    ----------
    kind
        `rate_limit`: HTTP 429 with Retry-After. `reset`: the connection is reset without an answer. `error`: HTTP 503.
    path
        The path it strikes.
    after
        Number of requests to the path that pass before.
    times
        Number of requests it strikes.
    retry_after_s
        What a rate limit asks to wait, in seconds.
    """

    kind: Literal["rate_limit", "reset", "error"]
    path: str = "/api/v3/klines"
    after: int = 0
    times: int = 1
    retry_after_s: int = 1

    def strikes(self, path: str) -> bool:
        """Count a request and say whether this fault strikes it."""
        if path != self.path or not self.times:
            return False
        if self.after:
            self.after -= 1
            return False
        self.times -= 1
        return True


@dataclass
class Exchange:
    """One simulated exchange: its market, its faults, and the requests it has seen as (path, query)."""

    market: Market
    faults: list[Fault] = field(default_factory=list)
    requests: list[tuple[str, dict[str, str]]] = field(default_factory=list)

    def app(self) -> web.Application:
        """Return the web application."""
        app = web.Application(middlewares=[self._guard])
        app.router.add_get("/api/v3/exchangeInfo", self._exchange_info)
        app.router.add_get("/api/v3/time", self._time)
        app.router.add_get("/api/v3/klines", self._klines)
        return app

    @web.middleware
    async def _guard(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Record the request, let a fault strike, and turn refusals into answers."""
        self.requests.append((request.path, dict(request.query)))
        used = {"x-mbx-used-weight-1m": str(sum(_WEIGHTS.get(path, 1) for path, _ in self.requests))}
        fault = next((one for one in self.faults if one.strikes(request.path)), None)
        if fault is not None:
            return _strike(fault, request)
        try:
            response: web.StreamResponse = await handler(request)
        except Refusal as refusal:
            response = web.json_response(refusal.body(), status=refusal.status)
        response.headers.update(used)
        return response

    async def _exchange_info(self, _request: web.Request) -> web.Response:
        rules = list(self.market.instruments.values())
        return web.json_response(formats.exchange_info(rules, self.market.clock.now_ms()))

    async def _time(self, _request: web.Request) -> web.Response:
        return web.json_response({"serverTime": self.market.clock.now_ms()})

    async def _klines(self, request: web.Request) -> web.Response:
        symbol, interval = (_text(request, name) for name in ("symbol", "interval"))
        if symbol not in self.market.instruments:
            raise formats.bad_symbol()
        if interval not in formats.INTERVALS:
            raise formats.bad_interval()
        limit = _number(request, "limit")
        start, end = _number(request, "startTime"), _number(request, "endTime")
        bars = self.market.find(symbol, interval)
        if bars is None:
            return web.json_response([])
        most = min(500 if limit is None else limit, _MOST_KLINES)
        candles = self.market.candles(bars, start_ms=start, end_ms=end, limit=most)
        return web.json_response([formats.kline(candle) for candle in candles])


@contextmanager
def running_server(
    bars: Bars | Iterable[Bars],
    *,
    now_ms: int | VirtualClock,
    instruments: Iterable[Instrument] = (),
    faults: list[Fault] | None = None,
    requests: list[tuple[str, dict[str, str]]] | None = None,
) -> Iterator[str]:
    """Run an exchange in a thread and yield its address, such as `http://127.0.0.1:40123`.

    Parameters
    ----------
    bars
        What it knows; bars beyond the present stay hidden.
    now_ms
        Its present in epoch milliseconds, or a clock to move while it runs.
    instruments
        Trading rules of some symbols.
    faults
        What goes wrong; the list may grow while it runs.
    requests
        Gets every request seen as (path, query).
    """
    clock = now_ms if isinstance(now_ms, VirtualClock) else VirtualClock(now_ms)
    market = Market.of(bars, clock, instruments)
    exchange = Exchange(market, faults if faults is not None else [], requests if requests is not None else [])
    with _listening_socket() as listener:
        loop = asyncio.new_event_loop()
        ready = threading.Event()
        thread = threading.Thread(
            target=_serve, args=(loop, exchange), kwargs={"on": listener, "ready": ready}, daemon=True
        )
        thread.start()
        ready.wait(10)
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            loop.call_soon_threadsafe(loop.stop)
            thread.join(10)


def _listening_socket() -> socket.socket:
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen(64)
    return listener


def _serve(loop: asyncio.AbstractEventLoop, exchange: Exchange, *, on: socket.socket, ready: threading.Event) -> None:
    asyncio.set_event_loop(loop)
    runner = web.AppRunner(exchange.app(), access_log=None)
    loop.run_until_complete(runner.setup())
    loop.run_until_complete(web.SockSite(runner, on).start())
    ready.set()
    loop.run_forever()
    loop.run_until_complete(runner.cleanup())
    loop.close()


def _strike(fault: Fault, request: web.Request) -> web.Response:
    if fault.kind == "rate_limit":
        body, wait = formats.too_many_requests().body(), {"Retry-After": str(fault.retry_after_s)}
        return web.json_response(body, status=429, headers=wait)
    if fault.kind == "error":
        return web.Response(status=503, text="Service Unavailable")
    if request.transport is not None:
        # Lingering for 0 seconds sends a reset instead of a polite end.
        linger = struct.pack("ii", 1, 0)
        request.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        request.transport.abort()
    return web.Response()


def _text(request: web.Request, name: str) -> str:
    if not request.query.get(name):
        raise formats.missing_parameter(name)
    return request.query[name]


def _number(request: web.Request, name: str) -> int | None:
    text = request.query.get(name)
    if text is None:
        return None
    if not text.isdecimal():
        raise formats.illegal_parameter(name)
    return int(text)
