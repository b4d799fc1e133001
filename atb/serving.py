"""What a server of ours does with clients that are slow, silent, too large or too many: it drops them, and serves the others.

aiohttp ends a connection on which no whole request came in time (`keepalive_timeout`), and refuses long lines, many headers and
large bodies; it waits without end for a body that comes slowly and for a client that does not read. Those are watched here.
"""

import asyncio
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

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
