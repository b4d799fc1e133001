"""Listening: on this machine alone, or elsewhere over TLS or behind a stated proxy; served by waitress in one process.

One process, since snapshots, the count of login tries and logins without a database live in its memory; its threads serve.
"""

import socket
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from atb.dashboards.site import Reach
from atb.errors import InputError
from atb.serving import Bounds, is_address, is_loopback

if TYPE_CHECKING:
    from flask import Flask

THREADS = 8
CONNECTIONS = 100
BODY_BYTES = 17 << 20  # more than any form may have
HEADER_BYTES = 32 * 1024
_HEADERS = {"x-forwarded-for", "x-forwarded-proto", "x-forwarded-host"}


@dataclass(frozen=True, slots=True)
class Place:
    """Where the server listens.

    Parameters
    ----------
    host, port
        The address; port 0 takes a free one.
    certificate, key
        Files (PEM) of TLS; both or neither.
    proxy
        IP address of a proxy that ends TLS in front of this server; None without one.
    """

    host: str = "127.0.0.1"
    port: int = 8050
    certificate: Path | None = None
    key: Path | None = None
    proxy: str | None = None

    def __post_init__(self) -> None:
        if (self.certificate is None) != (self.key is None):
            raise InputError("TLS needs a certificate and its key", todo="Pass --certificate and --key")
        if self.certificate is not None and self.proxy is not None:
            raise InputError("TLS ends here or at a proxy, not at both", todo="Pass --certificate or --behind-proxy")
        if self.proxy is not None and not is_address(self.proxy):
            raise InputError(
                "A proxy is believed by its IP address, and by no name or pattern",
                found=self.proxy,
                todo="Pass the address it connects from, such as --behind-proxy 10.0.0.5",
            )
        if not is_loopback(self.host) and self.certificate is None and self.proxy is None:
            raise InputError(
                "Passwords would cross the network in the clear",
                found=self.host,
                todo="Leave out --host, pass --certificate and --key, or state the proxy in front: --behind-proxy ADDRESS",
            )

    @property
    def reach(self) -> Reach:
        """How browsers reach it."""
        return Reach(secure=self.certificate is not None or self.proxy is not None, proxied=self.proxy is not None)


def serve(server: "Flask", place: Place, announce: Callable[[str], None]) -> None:
    """Serve until the process is ended; `announce` is called with the link once connections are accepted.

    Raises
    ------
    InputError
        If the address cannot be listened on.
    """
    try:
        if place.certificate is not None and place.key is not None:
            _serve_tls(server, place, announce)
        else:
            _serve(server, place, announce)
    except OSError as error:
        raise InputError(
            "The dashboards cannot listen there",
            found=f"{place.host}:{place.port}: {error.strerror or error}",
            todo="Pass another --port; 0 takes a free one",
        ) from error


def _serve(server: "Flask", place: Place, announce: Callable[[str], None]) -> None:
    family, _, _, _, address = socket.getaddrinfo(place.host, place.port, type=socket.SOCK_STREAM)[0]
    with socket.create_server(address[:2], family=family, backlog=CONNECTIONS) as listener:
        running = _waitress(server, {"sockets": [listener]}, proxy=place.proxy)
        try:
            announce(f"http://{_shown(place.host)}:{listener.getsockname()[1]}/")
            running.run()
        finally:
            running.close()


def _serve_tls(server: "Flask", place: Place, announce: Callable[[str], None]) -> None:
    from atb.dashboards.tls import FROM, serve_tls, tls_context

    assert place.certificate is not None  # asked by the caller
    assert place.key is not None
    serve_tls(
        lambda options: _waitress(server, options, proxy=FROM),
        (place.host, place.port),
        tls_context(place.certificate, place.key),
        bounds=Bounds(body_bytes=BODY_BYTES, connections=CONNECTIONS),
        announce=lambda port: announce(f"https://{_shown(place.host)}:{port}/"),
    )


def _waitress(server: "Flask", where: dict[str, Any], *, proxy: str | None) -> Any:
    """Return a waitress server that believes what a proxy states, and no one else."""
    import logging

    import waitress

    logging.getLogger("waitress.queue").setLevel(
        logging.ERROR
    )  # a browser's first page asks for more than there are threads
    options: dict[str, Any] = {
        "threads": THREADS,
        "connection_limit": CONNECTIONS,
        "ident": "atb",
        "max_request_header_size": HEADER_BYTES,
        "max_request_body_size": BODY_BYTES,
        "clear_untrusted_proxy_headers": True,
    }
    if proxy is not None:
        options |= {"trusted_proxy": proxy, "trusted_proxy_count": 1, "trusted_proxy_headers": _HEADERS}
    return waitress.create_server(server, **where, **options)


def _shown(host: str) -> str:
    return f"[{host}]" if ":" in host else host
