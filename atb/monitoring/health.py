"""The health page: what a runner is doing, on loopback, read-only, from a thread that answers while the runner is busy."""

import asyncio
import json
import threading
import time
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field
from socket import AF_INET, AF_INET6, SO_REUSEADDR, SOL_SOCKET, socket
from typing import TYPE_CHECKING, Any, Self

from atb.errors import SetupError
from atb.monitoring.logs import get_logger
from atb.redaction import redact
from atb.serving import (
    Bounds,
    body_timeout,
    cancel_and_wait,
    drop_stalled_clients,
    is_expected_host,
    is_loopback,
    make_runner,
    tolerate_disconnects,
)

if TYPE_CHECKING:
    from aiohttp import web
    from aiohttp.typedefs import Middleware

    from atb.monitoring.metrics import Metrics

READY = ("lease", "database", "streams", "reconciled", "clock")
OLDEST_TICK = 15.0  # seconds that the runner's loop may be busy with one thing before it counts as stuck
PAGE_BOUNDS = Bounds(head_s=10.0, body_s=2.0, body_bytes=1_024, stalled_s=10.0, connections=32)
_ASK_EVERY = 1.0
_HEADERS = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff", "Server": "atb"}
_log = get_logger(__name__)


@dataclass
class Vitals:
    """The runner's reported state, safe to write and read in different threads.

    `/livez` checks that the event loop answers, `/readyz` that every condition of `READY` was last reported good; one that was
    never reported is not.
    """

    _conditions: dict[str, tuple[bool, str]] = field(default_factory=dict)
    _status: str = "{}"
    _ticked: float = field(default_factory=time.monotonic)

    def tick(self) -> None:
        """Say that the runner's loop goes round."""
        self._ticked = time.monotonic()

    def tell(self, name: str, good: bool, found: str = "") -> None:
        """Say how a condition of readiness stands: `lease`, `database`, `streams`, `reconciled` or `clock`."""
        if name not in READY:
            raise ValueError(f"a condition is one of {READY}, was {name!r}")
        self._conditions[name] = (good, str(redact(found)))

    def show(self, status: Mapping[str, Any]) -> None:
        """Give the page its picture of the session, as plain JSON values; it is written out here and now."""
        self._status = json.dumps(redact(dict(status)), default=str, allow_nan=False)

    @property
    def status(self) -> str:
        """The last picture, as JSON."""
        return self._status

    def tick_age(self) -> float:
        """Return seconds since the loop last went round."""
        return time.monotonic() - self._ticked

    def conditions(self) -> dict[str, dict[str, Any]]:
        """Return each condition with whether it is good, and what was found."""
        known = dict(self._conditions)
        conditions = {name: known.get(name, (False, "not known yet")) for name in READY}
        return {name: {"ok": good, "found": found} for name, (good, found) in conditions.items()}


class Health:
    """A page with `/livez`, `/readyz`, `/status` and, where there are metrics, `/metrics`; it takes GET alone.

    Parameters
    ----------
    vitals
        The runner's reported state.
    metrics
        The metrics of `/metrics`; None leaves the page out.
    host, port
        Where to listen; port 0 is any free one, found in `address`.
    public
        True if other machines may connect. Otherwise `host` must be this machine's, and a request must have been meant for it: a
        browser that was led here under another name gets nothing.
    bounds
        What a client may take of the page.
    """

    def __init__(
        self,
        vitals: Vitals,
        metrics: "Metrics | None" = None,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        public: bool = False,
        bounds: Bounds = PAGE_BOUNDS,
    ) -> None:
        if not public and not is_loopback(host):
            raise SetupError(
                "The health page is for this machine alone",
                found=host,
                todo="Set live.health_public if others may see it",
            )
        self.vitals, self._metrics, self._public, self._bounds = vitals, metrics, public, bounds
        self._socket = _bound_socket(host, port)
        self._watched: asyncio.AbstractEventLoop | None = None
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="health", daemon=True)

    @property
    def address(self) -> str:
        """The page's own, such as `http://127.0.0.1:8471`."""
        host, port = self._socket.getsockname()[:2]
        return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"

    def start(self, loop: asyncio.AbstractEventLoop | None = None) -> Self:
        """Serve from a thread; where an event loop is given, ask it every second whether it still goes round."""
        self._watched = loop
        self.vitals.tick()
        started: Future[None] = Future()
        self._started = started
        self._thread.start()
        started.result()
        return self

    def close(self) -> None:
        """Stop serving and free the port."""
        self._ended.set()
        if self._thread.is_alive():
            self._thread.join(timeout=5)
        self._socket.close()

    def __enter__(self) -> Self:
        """Return itself, started by whoever made it."""
        return self

    def __exit__(self, *_: object) -> None:
        """Stop serving."""
        self.close()

    # --- the thread ---------------------------------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            asyncio.run(self._serve())
        except Exception as broken:  # noqa: BLE001 - the page may die; trading goes on without it, and says so
            if not self._started.done():
                self._started.set_exception(broken)
            _log.warning("the health page ended", error=repr(broken))

    async def _serve(self) -> None:
        from aiohttp import web

        site = make_runner(self._app(), self._bounds, handle_signals=False)
        await site.setup()
        watching = asyncio.ensure_future(drop_stalled_clients(site, self._bounds))
        try:
            await web.SockSite(site, self._socket).start()
            self._started.set_result(None)
            while not await asyncio.to_thread(self._ended.wait, _ASK_EVERY):
                self._ask()
        finally:
            await cancel_and_wait(watching)
            await site.cleanup()

    def _ask(self) -> None:
        if self._watched is None:
            return
        try:
            self._watched.call_soon_threadsafe(self.vitals.tick)
        except RuntimeError:  # the loop was closed: it will not answer any more, which is what /livez then says
            self._watched = None

    def _app(self) -> "web.Application":
        from aiohttp import web

        app = web.Application(
            middlewares=[tolerate_disconnects(), body_timeout(self._bounds), self._guard()],
            client_max_size=self._bounds.body_bytes,
        )
        pages = {"/livez": self._livez, "/readyz": self._readyz, "/status": self._status, "/metrics": self._render}
        for path, page in pages.items():
            if path != "/metrics" or self._metrics is not None:
                app.router.add_get(path, page, allow_head=False)
        return app

    def _guard(self) -> "Middleware":
        from aiohttp import web

        @web.middleware
        async def guard(
            request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
        ) -> web.StreamResponse:
            return await self._guarded(request, handler)

        return guard

    async def _guarded(
        self, request: "web.Request", page: "Callable[[web.Request], Awaitable[web.StreamResponse]]"
    ) -> "web.StreamResponse":
        """Refuse what was meant for another host; answer everything else with headers that keep it where it is."""
        from aiohttp import web

        if not self._public and not is_expected_host(request.headers.getall("Host", [])):
            return web.Response(status=403, text="this page answers to this machine's own name\n", headers=_HEADERS)
        try:
            answer = await page(request)
        except web.HTTPException as refused:  # no such page, or another method than GET
            answer = web.Response(status=refused.status, text=f"{refused.reason}\n")
        answer.headers.update(_HEADERS)
        return answer

    async def _livez(self, _request: "web.Request") -> "web.Response":
        age = self.vitals.tick_age()
        return _answer({"ok": age <= OLDEST_TICK, "tick_age_seconds": round(age, 3)})

    async def _readyz(self, _request: "web.Request") -> "web.Response":
        found = self.vitals.conditions()
        return _answer({"ok": all(condition["ok"] for condition in found.values()), "conditions": found})

    async def _status(self, _request: "web.Request") -> "web.Response":
        from aiohttp import web

        return web.Response(text=self.vitals.status, content_type="application/json")

    async def _render(self, _request: "web.Request") -> "web.Response":
        from aiohttp import web

        from atb.monitoring.metrics import CONTENT_TYPE

        text = self._metrics.render() if self._metrics else b""
        return web.Response(body=text, headers={"Content-Type": CONTENT_TYPE})


def _answer(content: Mapping[str, Any]) -> "web.Response":
    from aiohttp import web

    return web.json_response(content, status=200 if content["ok"] else 503)


def _bound_socket(host: str, port: int) -> socket:
    bound = socket(AF_INET6 if ":" in host else AF_INET)
    try:
        bound.setsockopt(SOL_SOCKET, SO_REUSEADDR, 1)
        bound.bind((host, port))
    except OSError as taken:
        bound.close()
        raise SetupError(
            f"The health page cannot listen there ({taken.strerror or taken})",
            found=f"{host}:{port}",
            todo="Choose another port: live.health_port (0 takes any free one)",
        ) from None
    return bound
