"""A CONNECT proxy with a private certificate authority: clients use production URLs, and every host is the simulator."""

import asyncio
import contextlib
import socket
import ssl
import struct
from dataclasses import dataclass, field
from pathlib import Path

import trustme
from aiohttp import web

from atb.files import cannot_be_written, make_public_folder, write_public

_CHUNK_BYTES = 65_536
_MAX_HEAD_BYTES = 16_384
_RESET_NOW = struct.pack(
    "ii", 1, 0
)  # SO_LINGER of 0 seconds: closing sends a reset, so that a reset behind us stays one


class Authority:
    """A private certificate authority: it issues a certificate for any host that a client names.

    Only clients that are given its certificate trust it, and its key never leaves this process.
    """

    def __init__(self) -> None:
        self._authority = trustme.CA(organization_name="atb simulated exchange")
        self._contexts: dict[str, ssl.SSLContext] = {}

    def write(self, path: Path) -> None:
        """Write the authority's certificate, which clients must trust, to `path` as PEM.

        Raises
        ------
        InputError
            If it cannot be written there.
        """
        try:
            make_public_folder(path.parent)
            write_public(path, self._authority.cert_pem.bytes())
        except OSError as error:
            raise cannot_be_written(path, error) from None

    def context(self) -> ssl.SSLContext:
        """Return the TLS settings of a server that presents itself as the host each client requests."""
        context = self._issue_certificate("localhost", "127.0.0.1")
        context.sni_callback = self._choose_certificate
        return context

    def _choose_certificate(self, connection: ssl.SSLObject, host: str | None, _context: ssl.SSLContext) -> None:
        if host is None:  # a client that connects to an IP address sends no host name
            return
        if host not in self._contexts:
            self._contexts[host] = self._issue_certificate(host)
        connection.context = self._contexts[host]

    def _issue_certificate(self, *hosts: str) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._authority.issue_cert(*hosts).configure_cert(context)
        return context


@dataclass(eq=False)
class Proxy:
    """A running proxy.

    Parameters
    ----------
    port
        Port on loopback.
    ca_file
        The certificate that its clients must trust.
    hosts
        Every `host:port` that clients requested, in order: the requests that would have left the machine.
    """

    port: int
    ca_file: Path
    hosts: list[str] = field(default_factory=list)
    _target: int = 0
    _server: asyncio.Server | None = None
    _tunnels: set[asyncio.Task[None]] = field(default_factory=set)

    @property
    def url(self) -> str:
        """The URL to set as the clients' HTTP(S) and WebSocket proxy."""
        return f"http://127.0.0.1:{self.port}"

    async def stop(self) -> None:
        """Stop listening and close every tunnel; all of them have ended when this returns."""
        if self._server is not None:
            self._server.close()
        for tunnel in tuple(self._tunnels):
            tunnel.cancel()
        await asyncio.gather(*self._tunnels, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tunnels.add(task)
        try:
            await self._serve(reader, writer)
        except asyncio.CancelledError:
            writer.transport.abort()  # stopping: asyncio's server expects tasks that end, not cancelled ones
        except (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            writer.transport.abort()  # the client disconnected, or did not speak HTTP
        finally:
            self._tunnels.discard(task)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        words = head.split(b"\r\n", 1)[0].decode("latin-1").split()
        if len(words) != 3 or words[0] != "CONNECT":
            await _refuse(writer)
            return
        self.hosts.append(words[1])
        inner_reader, inner_writer = await asyncio.open_connection("127.0.0.1", self._target)
        writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        await asyncio.gather(_relay(reader, inner_writer, back=writer), _relay(inner_reader, writer, back=inner_writer))


async def start_proxy(runner: web.AppRunner, *, port: int = 0, ca_file: Path) -> Proxy:
    """Start a proxy on loopback that makes the exchange reachable under every host name.

    Parameters
    ----------
    runner
        The exchange's application, already set up; it gets a second listener, with TLS.
    port
        The proxy's port; 0 takes a free one.
    ca_file
        Where to write the certificate that clients must trust.
    """
    authority = Authority()
    inner = socket.create_server(("127.0.0.1", 0))
    await web.SockSite(runner, inner, ssl_context=authority.context()).start()
    authority.write(ca_file)
    proxy = Proxy(port, ca_file, _target=inner.getsockname()[1])
    proxy._server = await asyncio.start_server(proxy._accept, "127.0.0.1", port, limit=_MAX_HEAD_BYTES)  # noqa: SLF001 - its maker
    proxy.port = proxy._server.sockets[0].getsockname()[1]  # noqa: SLF001 - its maker
    return proxy


async def _refuse(writer: asyncio.StreamWriter) -> None:
    """Refuse anything but CONNECT: forwarding plain requests would let them leave the machine."""
    writer.write(b"HTTP/1.1 405 Method Not Allowed\r\nAllow: CONNECT\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
    await writer.drain()
    writer.close()


async def _relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, back: asyncio.StreamWriter) -> None:
    """Relay bytes one way until the sender ends; a reset is relayed as a reset."""
    try:
        while chunk := await reader.read(_CHUNK_BYTES):
            writer.write(chunk)
            await writer.drain()
    except ConnectionError:
        for side in (writer, back):
            _reset_connection(side)
        return
    except asyncio.CancelledError:
        back.transport.abort()
        raise
    with contextlib.suppress(OSError):
        writer.close()


def _reset_connection(writer: asyncio.StreamWriter) -> None:
    line = writer.get_extra_info("socket")
    with contextlib.suppress(OSError):  # already closed
        line.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_NOW)
    writer.transport.abort()
