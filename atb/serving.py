"""Guards for the HTTP servers of atb: Host and Origin checks, and limits on slow, silent, large and numerous clients.

A malicious web page can make a browser on this machine send requests that only this machine may send: under its own domain name,
which it points here (DNS rebinding; the Host header shows it), or across origins (the Origin header shows it; browsers send it
with every WebSocket, POST and DELETE). Programs send neither a foreign Host nor an Origin.

aiohttp closes a connection on which no whole request arrives in time (`keepalive_timeout`), and refuses long lines, many headers
and large bodies. It waits forever for a body that arrives slowly and for a client that does not read: these two are handled here.
"""

import asyncio
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
    """Limits on one client: seconds for the head of a request, for its body, and for reading an answer.

    Parameters
    ----------
    head_s
        Seconds until the head has arrived; also how long a connection may be idle between two requests.
    body_s
        Seconds until the body has arrived.
    body_bytes
        The largest body.
    stalled_s
        Seconds that a client may read nothing while something is there to read.
    connections
        How many there may be at once; the newest beyond that are closed.
    """

    head_s: float = 30.0
    body_s: float = 10.0
    body_bytes: int = 1 << 20
    stalled_s: float = 15.0
    connections: int = 256


def make_runner(app: "web.Application", bounds: Bounds, **options: Any) -> "web.AppRunner":
    """Return the runner of an application that uses the middleware `body_timeout`."""
    from aiohttp import web

    return web.AppRunner(app, keepalive_timeout=bounds.head_s, access_log=None, lingering_time=bounds.body_s, **options)


def body_timeout(bounds: Bounds) -> "Middleware":
    """Return a middleware that reads each body first, and answers 408 when it does not arrive in time."""
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
    """Return a middleware that keeps clients who disconnect before their answer out of the error log."""
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
    """Return True for `localhost` and loopback addresses; no name is resolved."""
    return host is not None and (host.lower() == "localhost" or (is_address(host) and ip_address(host).is_loopback))


def is_expected_host(hosts: "Sequence[str]", names: "Collection[str]" = (), *, addresses: bool = False) -> bool:
    """Return True if there is exactly one Host header and it names loopback or this server.

    Parameters
    ----------
    hosts
        The Host headers as received, each with or without a port.
    names
        Further names of the server, in lower case.
    addresses
        Accept any IP address: DNS rebinding needs a name.
    """
    if len(hosts) != 1:
        return False
    try:
        host = urlsplit(f"//{hosts[0]}").hostname
    except ValueError:
        return False
    if host is None:
        return False
    named = host.removesuffix(".")  # the full form of a name
    return is_loopback(named) or named in names or (addresses and is_address(named))


def is_address(host: str) -> bool:
    """Return True for an IP address, of either version."""
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def host_guard(names: "Collection[str]", *, addresses: bool) -> "Middleware":
    """Return a middleware that refuses requests for another host (421) and from pages of another origin (403).

    Over TLS the Host header is not checked: the certificate has already named this server.
    """
    from aiohttp import web

    @web.middleware
    async def guard(
        request: "web.Request", handler: "Callable[[web.Request], Awaitable[web.StreamResponse]]"
    ) -> "web.StreamResponse":
        hosts = request.headers.getall("Host", [])
        if not request.secure and not is_expected_host(hosts, names, addresses=addresses):
            return web.Response(status=421, text="this server does not answer to that name (the Host header)\n")
        origins = [origin.partition("://")[2].lower() for origin in request.headers.getall("Origin", [])]
        if any(origin not in {host.lower() for host in hosts} for origin in origins):
            return web.Response(status=403, text="this server answers no page of another origin (the Origin header)\n")
        return await handler(request)

    return guard


async def drop_stalled_clients(runner: "web.AppRunner", bounds: Bounds) -> None:
    """Close connections that read nothing, and those beyond the limit, until cancelled."""
    stalled: dict[Any, tuple[int, float]] = {}  # by transport: unread bytes, and since when they have not become fewer
    loop = asyncio.get_running_loop()
    while True:
        await asyncio.sleep(min(1.0, bounds.stalled_s / 4))
        server = runner.server
        found = [] if server is None else [connection.transport for connection in server.connections]
        transports = [transport for transport in found if transport is not None]
        for transport in transports[bounds.connections :]:
            transport.abort()
        unread = {transport: transport.get_write_buffer_size() for transport in transports[: bounds.connections]}
        stalled = {
            transport: (size, stalled[transport][1] if size >= stalled.get(transport, (size + 1,))[0] else loop.time())
            for transport, size in unread.items()
            if size
        }
        for transport, (_, since) in stalled.items():
            if loop.time() - since > bounds.stalled_s:
                transport.abort()


async def cancel_and_wait(task: "asyncio.Task[None]") -> None:
    """Cancel a task and wait until it has ended; what it raised is raised, and a cancellation of the caller is the caller's."""
    task.cancel()
    await asyncio.wait([task])
    if not task.cancelled() and (problem := task.exception()) is not None:
        raise problem
