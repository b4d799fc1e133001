"""The simulated exchange's HTTP server, and a thread to run it in; faults act on its connections here."""

import asyncio
import importlib
import importlib.util
import json
import socket
import struct
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import parse_qsl

from aiohttp import web

from atb.domain import Bars, Instrument
from atb.serving import (
    body_timeout,
    cancel_and_wait,
    drop_stalled_clients,
    host_guard,
    is_loopback,
    make_runner,
    tolerate_disconnects,
)
from atb.venues.simulator.clock import RealClock, VirtualClock
from atb.venues.simulator.configuration import ExchangeConfig
from atb.venues.simulator.control import USER, Control
from atb.venues.simulator.exchange import Exchange
from atb.venues.simulator.faults import Fault
from atb.venues.simulator.gateway import ApiReply, ApiRequest, Gateway

__all__ = ["Fault", "Running", "Server", "running_exchange", "running_server"]

_T = TypeVar("_T")
_SHUTDOWN_S = 0.1
_TICK_S = 0.02
# Protocols beside REST: each module has `add_routes(app, server)`.
_PROTOCOLS = ("streams", "wsapi", "coinbase")


class Server:
    """One exchange behind HTTP.

    Parameters
    ----------
    exchange
        The exchange to serve.
    """

    def __init__(self, exchange: Exchange) -> None:
        self.exchange, self.gateway = exchange, Gateway(exchange)

    def app(self) -> web.Application:
        """Return the web application: control plane, other protocols, and REST."""
        config = self.exchange.config
        names = {name.lower() for name in (config.host, *config.names)}
        guard = host_guard(names, addresses=not is_loopback(config.host))
        bounds = config.bounds
        middlewares = [tolerate_disconnects(), guard, body_timeout(bounds)]
        app = web.Application(middlewares=middlewares, client_max_size=bounds.body_bytes)
        Control(self.exchange).add_routes(app)
        for name in _PROTOCOLS:
            if importlib.util.find_spec(f"atb.venues.simulator.{name}") is not None:
                importlib.import_module(f"atb.venues.simulator.{name}").add_routes(app, self)
        app.router.add_route("*", "/{path:.*}", self.handle)
        app.on_startup.append(self._start_ticking)
        return app

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Handle one REST request."""
        body = await request.text() if request.body_exists else ""
        return await deliver(request, self.gateway.handle(_rest_request(request, body)))

    async def _start_ticking(self, app: web.Application) -> None:
        """Keep playing events of a clock that runs by itself while no request arrives."""
        if self.exchange.config.clock == "virtual" and not self.exchange.config.pace:
            return
        task = asyncio.ensure_future(self._tick())

        async def stop(_app: web.Application) -> None:
            task.cancel()

        app.on_cleanup.append(stop)

    async def _tick(self) -> None:
        clock, waiting = self.exchange.clock, self.exchange.barrier
        while True:
            self.exchange.catch_up()
            waiting.release()
            soon = waiting.next_ms()
            nap = _TICK_S
            if isinstance(clock, RealClock) and soon is not None:
                nap = min(nap, clock.seconds_until(soon) + 0.001)
            await asyncio.sleep(nap)


def _rest_request(request: web.Request, body: str) -> ApiRequest:
    """Return a REST request: the parameters of query and body, and the signed text."""
    query = request.rel_url.raw_query_string
    pairs = parse_qsl(query, keep_blank_values=True) + parse_qsl(body, keep_blank_values=True)
    params = dict(pairs)
    signed = _unsigned(query) + _unsigned(body)
    return ApiRequest(
        request.method, request.path, params, key=request.headers.get("X-MBX-APIKEY", ""), payload=signed,
        signature=params.get("signature", ""),
    )  # fmt: skip


def _unsigned(text: str) -> str:
    return "&".join(part for part in text.split("&") if part and not part.startswith("signature="))


async def deliver(request: web.Request, reply: ApiReply) -> web.StreamResponse:
    """Send a reply, or hold, cut or reset it as a fault demands."""
    if reply.fate == "hold":
        await asyncio.Event().wait()  # until the client disconnects, which cancels this handler
    if reply.fate == "reset":
        reset(request)
        return web.Response()
    if isinstance(reply.body, str):
        return web.Response(status=reply.status, text=reply.body, headers=reply.headers)
    text = json.dumps(reply.body)
    if reply.fate == "truncate":
        text = text[: max(1, len(text) // 2)]
    return web.Response(status=reply.status, text=text, content_type="application/json", headers=reply.headers)


def reset(request: web.Request) -> None:
    """Reset a request's TCP connection without an answer."""
    if request.transport is not None:
        # SO_LINGER of 0 seconds makes closing send RST instead of FIN.
        linger = struct.pack("ii", 1, 0)
        request.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        request.transport.abort()


@dataclass
class Running:
    """Handle of a running exchange, for use from another thread.

    Parameters
    ----------
    url
        Its address, such as `http://127.0.0.1:40123`.
    exchange
        The exchange itself: read it freely, change it only through `call`.
    proxy_url
        Address of its CONNECT proxy, empty without one.
    """

    url: str
    exchange: Exchange
    loop: asyncio.AbstractEventLoop
    proxy_url: str = ""
    hosts: list[str] = field(default_factory=list)

    @property
    def control_url(self) -> str:
        """The address of the control plane, with its token."""
        return control_address(self.url, self.exchange.config.control_token)

    @property
    def clock_url(self) -> str:
        """The address of the clock, for the setting `exchange.clock`."""
        return f"{self.control_url.replace('http', 'ws', 1)}/clock"

    @property
    def clock(self) -> VirtualClock | RealClock:
        """The exchange's clock; move it by `advance`."""
        return self.exchange.clock

    def call(self, act: Callable[[], _T]) -> _T:
        """Call a function in the exchange's thread and return its result."""
        done: Future[_T] = Future()

        def run() -> None:
            try:
                done.set_result(act())
            except BaseException as error:  # noqa: BLE001 - raised again in the calling thread
                done.set_exception(error)

        self.loop.call_soon_threadsafe(run)
        return done.result(60)

    def advance(self, to_ms: int) -> int:
        """Move virtual time to `to_ms`, playing everything on the way; return the time."""

        def move() -> int:
            self.exchange.advance_to(to_ms)
            self.exchange.barrier.release()
            return self.exchange.now_ms()

        return self.call(move)

    def add_faults(self, *faults: Fault) -> None:
        """Add faults."""
        self.call(lambda: self.exchange.add_faults(list(faults)))

    def ledger(self, kind: str | None = None) -> list[dict[str, Any]]:
        """Return the ledger's entries, only those of one kind if it is given."""
        entries = self.call(self.exchange.ledger.entries)
        return [entry for entry in entries if kind is None or entry["kind"] == kind]


@contextmanager
def running_exchange(
    config: ExchangeConfig,
    *,
    clock: VirtualClock | None = None,
    requests: list[tuple[str, dict[str, str]]] | None = None,
    ca_file: Path | None = None,
) -> Iterator[Running]:
    """Run an exchange in a thread and yield its handle.

    Parameters
    ----------
    config
        Market, account, costs and faults.
    clock
        A virtual clock to share with it.
    requests
        Every request is appended here as (path, parameters).
    ca_file
        Also start a CONNECT proxy, and write its authority's certificate there: clients can use production URLs.
    """
    exchange = Exchange(config, clock)
    if requests is not None:
        exchange.requests = requests
    loop = asyncio.new_event_loop()
    with listening_socket(config.host, config.port) as listener:
        started: Future[tuple[str, list[str]]] = Future()
        more = {"started": started, "ca_file": ca_file}
        thread = threading.Thread(target=_serve, args=(loop, exchange, listener), kwargs=more, daemon=True)
        thread.start()
        try:
            proxy_url, hosts = started.result(30)
            yield Running(address_of(listener), exchange, loop, proxy_url, hosts)
        finally:
            loop.call_soon_threadsafe(loop.stop)
            thread.join(10)
            exchange.ledger.close()


@contextmanager
def running_server(
    bars: Bars | Iterable[Bars],
    *,
    now_ms: int | VirtualClock,
    instruments: Iterable[Instrument] = (),
    faults: list[Fault] | None = None,
    requests: list[tuple[str, dict[str, str]]] | None = None,
) -> Iterator[str]:
    """Run an exchange for market data in a thread and yield its address, such as `http://127.0.0.1:40123`.

    Parameters
    ----------
    bars
        Its market; bars after its time stay hidden.
    now_ms
        Its time in epoch milliseconds, or a clock to move while it runs.
    instruments
        Trading rules of some symbols.
    faults
        Faults to inject; the list may grow while it runs.
    requests
        Every request is appended here as (path, query).
    """
    clock = now_ms if isinstance(now_ms, VirtualClock) else VirtualClock(now_ms)
    series = (bars,) if isinstance(bars, Bars) else tuple(bars)
    config = ExchangeConfig(
        series, clock.now_ms(), instruments=tuple(instruments), faults=faults if faults is not None else []
    )
    with running_exchange(config, clock=clock, requests=requests) as running:
        yield running.url


def address_of(listener: socket.socket) -> str:
    """Return the URL of a listening socket."""
    host, port = listener.getsockname()[:2]
    return f"http://{host}:{port}"


def control_address(url: str, token: str) -> str:
    """Return the address of an exchange's control plane, with its token in the place of a password."""
    return f"{url.replace('://', f'://{USER}:{token}@', 1)}/control"


def listening_socket(host: str, port: int) -> socket.socket:
    """Return a listening socket; port 0 takes a free port."""
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind((host, port))
    listener.listen(128)
    return listener


async def start(
    exchange: Exchange, listener: socket.socket, *, ca_file: Path | None = None, proxy_port: int = 0
) -> tuple[web.AppRunner, Any]:
    """Serve on a listening socket; return the runner to clean up, and the proxy if there is a `ca_file`."""
    app, bounds = Server(exchange).app(), exchange.config.bounds
    runner = make_runner(app, bounds, handler_cancellation=True, shutdown_timeout=_SHUTDOWN_S)
    watching: list[asyncio.Task[None]] = []

    async def end_watching(_app: web.Application) -> None:
        for task in watching:
            await cancel_and_wait(task)

    app.on_cleanup.append(end_watching)
    await runner.setup()
    watching.append(asyncio.ensure_future(drop_stalled_clients(runner, bounds)))
    await web.SockSite(runner, listener).start()
    proxy = None
    if ca_file is not None:
        from atb.venues.simulator.proxy import start_proxy

        proxy = await start_proxy(runner, port=proxy_port, ca_file=ca_file)
    return runner, proxy


def _serve(
    loop: asyncio.AbstractEventLoop,
    exchange: Exchange,
    listener: socket.socket,
    *,
    started: "Future[tuple[str, list[str]]]",
    ca_file: Path | None,
) -> None:
    asyncio.set_event_loop(loop)
    try:
        runner, proxy = loop.run_until_complete(start(exchange, listener, ca_file=ca_file))
    except BaseException as error:  # noqa: BLE001 - raised again in the thread that waits for the start
        started.set_exception(error)
        return
    started.set_result((proxy.url, proxy.hosts) if proxy is not None else ("", []))
    loop.run_forever()
    if proxy is not None:
        loop.run_until_complete(proxy.stop())
    loop.run_until_complete(runner.cleanup())
    loop.close()
