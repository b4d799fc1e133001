"""TLS in front of waitress, which speaks none: ended here by aiohttp, and handed on through a socket file of this user alone.

Who asked and by which scheme goes with each request, as from any proxy; what a client states of itself in those headers is dropped.
"""

import asyncio
import ssl
import threading
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from atb.errors import InputError
from atb.serving import Bounds, body_timeout, drop_stalled_clients, make_runner, tolerate_disconnects

if TYPE_CHECKING:
    from aiohttp import web

FROM = "localhost"  # what waitress calls the other end of a socket file
_CHUNK = 1 << 16
_BETWEEN_TWO = ("Connection", "Keep-Alive", "TE", "Trailer", "Transfer-Encoding", "Upgrade", "Proxy-Connection")
_STATED = (
    "Forwarded",
    "X-Forwarded-For",
    "X-Forwarded-Proto",
    "X-Forwarded-Host",
    "X-Forwarded-Port",
    "X-Forwarded-By",
)


def tls_context(certificate: Path, key: Path) -> ssl.SSLContext:
    """Return the context of a server with this certificate.

    Raises
    ------
    InputError
        If the files cannot be read, or do not belong together.
    """
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    try:
        context.load_cert_chain(certificate, key)
    except (ssl.SSLError, OSError, ValueError) as error:
        raise InputError(
            "Certificate and key cannot be used",
            found=f"{certificate}, {key}: {getattr(error, 'strerror', None) or error}",
            todo="Both are PEM files, the certificate's chain first, and the key has no passphrase",
        ) from None
    return context


def serve_tls(
    make: Callable[[dict[str, Any]], Any],
    where: tuple[str, int],
    context: ssl.SSLContext,
    *,
    bounds: Bounds,
    announce: Callable[[int], None],
) -> None:
    """Serve over TLS until the process is ended.

    Parameters
    ----------
    make
        Makes the waitress server behind, from the options that name its socket.
    where
        Host and port to listen on.
    announce
        Called with the port once connections are accepted.
    """
    with TemporaryDirectory(prefix="atb-") as folder:
        path = str(Path(folder) / "dashboards")
        behind = make({"unix_socket": path, "unix_socket_perms": "600"})
        threading.Thread(target=behind.run, name="dashboards", daemon=True).start()
        try:
            asyncio.run(_front(path, where, context, bounds=bounds, announce=announce))
        finally:
            behind.close()


async def _front(
    path: str, where: tuple[str, int], context: ssl.SSLContext, *, bounds: Bounds, announce: Callable[[int], None]
) -> None:
    from aiohttp import ClientSession, DummyCookieJar, UnixConnector, web

    async with ClientSession(
        connector=UnixConnector(path, limit=0), auto_decompress=False, cookie_jar=DummyCookieJar()
    ) as client:

        async def forward(request: "web.Request") -> "web.StreamResponse":
            return await _forward(request, client)

        app = web.Application(
            client_max_size=bounds.body_bytes, middlewares=[tolerate_disconnects(), body_timeout(bounds)]
        )
        app.router.add_route("*", "/{tail:.*}", forward)
        runner = make_runner(app, bounds)
        await runner.setup()
        site = web.TCPSite(runner, *where, ssl_context=context)
        try:
            await site.start()
            announce(runner.addresses[0][1])
            await drop_stalled_clients(runner, bounds)
        finally:
            await runner.cleanup()


async def _forward(request: "web.Request", client: Any) -> "web.StreamResponse":
    """Hand a request on, and its answer back as it comes."""
    from aiohttp import web

    headers = request.headers.copy()
    for name in (*_BETWEEN_TWO, *_STATED):
        headers.popall(name, None)
    headers["X-Forwarded-For"], headers["X-Forwarded-Proto"] = request.remote or "unknown", "https"
    address = request.url.with_scheme("http")
    body = await request.read()
    async with client.request(request.method, address, headers=headers, data=body, allow_redirects=False) as answer:
        back = answer.headers.copy()
        for name in _BETWEEN_TWO:
            back.popall(name, None)
        response = web.StreamResponse(status=answer.status, headers=back)
        await response.prepare(request)
        async for chunk in answer.content.iter_chunked(_CHUNK):
            await response.write(chunk)
        await response.write_eof()
        return response
