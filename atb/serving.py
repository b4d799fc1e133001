"""Whom a server of ours answers: not who is slow, silent, too large or too many, and no page that a browser was led here from.

A stranger's page can let a browser on this machine ask what only this machine may ask: under a name of its own that it lets
point here (DNS rebinding), which the Host header tells, or from its own place, which the Origin header tells (browsers send it with
every WebSocket, POST and DELETE). Programs send neither another host nor an origin.

aiohttp ends a connection on which no whole request came in time (`keepalive_timeout`), and refuses long lines, many headers and
large bodies; it waits without end for a body that comes slowly and for a client that does not read. Those are watched here.
"""

import asyncio
from contextlib import suppress
from dataclasses import dataclass
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Collection, Sequence

    from aiohttp import web
    from aiohttp.typedefs import Middleware


@dataclass(frozen=True, slots=True)
class Bounds:
    """What a client may take: seconds until a request's head is there, until its body is, and until it reads an answer.

    Parameters
    ----------
    head_s
        Also how long a connection may be idle between two requests.
    body_bytes
        The largest body.
    stalled_s
        How long a client that has something to read may read nothing.
    connections
        How many there may be at once; the newest beyond them are ended.
    """

    head_s: float = 30.0
    body_s: float = 10.0
    body_bytes: int = 1 << 20
    stalled_s: float = 15.0
    connections: int = 256


def make_runner(app: "web.Application", bounds: Bounds, **options: Any) -> "web.AppRunner":
    """Return the runner of an application whose requests were bounded by `in_time`."""
    from aiohttp import web

    return web.AppRunner(app, keepalive_timeout=bounds.head_s, access_log=None, lingering_time=bounds.body_s, **options)


def in_time(bounds: Bounds) -> "Middleware":
    """Return a middleware that reads each body before anything else happens, and gives up on one that does not come."""
    from aiohttp import web

    @web.middleware
    async def read_first(
        request: "web.Request", handler: "Callable[[web.Request], Awaitable[web.StreamResponse]]"
    ) -> "web.StreamResponse":
        if request.can_read_body:
            try:
                async with asyncio.timeout(bounds.body_s):
                    await request.read()
            except TimeoutError:
                late = web.Response(status=408, text="the request's body did not come in time\n")
                late.force_close()
                return late
        return await handler(request)

    return read_first


def tolerate_disconnects() -> "Middleware":
    """Return a middleware for clients that leave before they are answered: that is no fault of the server's to be logged."""
    from aiohttp import web

    @web.middleware
    async def tolerate(
        request: "web.Request", handler: "Callable[[web.Request], Awaitable[web.StreamResponse]]"
    ) -> "web.StreamResponse":
        try:
            return await handler(request)
        except ConnectionError:
            if request.transport is not None and not request.transport.is_closing():
                raise  # the client is still there: some other connection failed
            return web.Response()  # never sent

    return tolerate


def is_loopback(host: str | None) -> bool:
    """Tell whether a host is this machine's own, by name or address: nothing is looked up."""
    return host is not None and (host.lower() == "localhost" or (_is_address(host) and ip_address(host).is_loopback))


def is_meant(hosts: "Sequence[str]", names: "Collection[str]" = (), *, addresses: bool = False) -> bool:
    """Tell whether a request's Host headers are exactly one, and that is loopback or a name of ours.

    Parameters
    ----------
    hosts
        The headers as they came, each with or without a port.
    names
        What else the server is called, in small letters.
    addresses
        Whether any address in digits will do: no stranger's name can be one.
    """
    if len(hosts) != 1:
        return False
    try:
        host = urlsplit(f"//{hosts[0]}").hostname
    except ValueError:
        return False
    return host is not None and (is_loopback(host) or host in names or (addresses and _is_address(host)))


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def for_us(names: "Collection[str]", *, addresses: bool) -> "Middleware":
    """Return a middleware that refuses what was meant for another host (421), or comes from another place's page (403).

    What comes over TLS was meant for this server: its certificate said so.
    """
    from aiohttp import web

    @web.middleware
    async def guard(
        request: "web.Request", handler: "Callable[[web.Request], Awaitable[web.StreamResponse]]"
    ) -> "web.StreamResponse":
        hosts = request.headers.getall("Host", [])
        if not request.secure and not is_meant(hosts, names, addresses=addresses):
            return web.Response(status=421, text="this server does not answer to that name (the Host header)\n")
        places = [origin.partition("://")[2].lower() for origin in request.headers.getall("Origin", [])]
        if any(place not in {host.lower() for host in hosts} for place in places):
            return web.Response(status=403, text="this server answers no page of another place (the Origin header)\n")
        return await handler(request)

    return guard


async def drop_the_slow(runner: "web.AppRunner", bounds: Bounds) -> None:
    """Watch a running server's connections until cancelled: end those that read nothing, and those beyond the limit."""
    stalled: dict[Any, tuple[int, float]] = {}
    loop = asyncio.get_running_loop()
    while True:
        await asyncio.sleep(min(1.0, bounds.stalled_s / 4))
        server = runner.server
        found = [] if server is None else [one.transport for one in server.connections]
        connections = [one for one in found if one is not None]
        for one in connections[bounds.connections :]:
            one.abort()
        waiting = {one: one.get_write_buffer_size() for one in connections[: bounds.connections]}
        stalled = {
            one: (size, stalled[one][1] if one in stalled and size >= stalled[one][0] else loop.time())
            for one, size in waiting.items()
            if size
        }
        for one, (_, since) in stalled.items():
            if loop.time() - since > bounds.stalled_s:
                one.abort()


async def stop(task: "asyncio.Task[None]") -> None:
    """End a task and wait until it is over."""
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
