"""Binance's WebSocket API: the REST operations over one connection, and the user data stream."""

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from aiohttp import web

from atb.venues.simulator.events import AccountPosition, BalanceUpdate, ExecutionReport, ListStatus
from atb.venues.simulator.frames import frame, terminated
from atb.venues.simulator.gateway import ApiRequest
from atb.venues.simulator.refusals import Refusal
from atb.venues.simulator.routes import OPERATIONS
from atb.venues.simulator.signing import sorted_payload
from atb.venues.simulator.socket_writer import SocketWriter, accept_socket, track_writers

if TYPE_CHECKING:
    from atb.venues.simulator.events import Event
    from atb.venues.simulator.server import Server

_NOT_PARAMETERS = frozenset(("apiKey", "signature", "returnRateLimits"))
_ACCOUNT = (ExecutionReport, AccountPosition, BalanceUpdate, ListStatus)


def add_routes(app: web.Application, server: "Server") -> None:
    """Serve `/ws-api/v3`."""
    track_writers(app)

    async def serve(request: web.Request) -> web.StreamResponse:
        async with accept_socket(request, server.exchange) as writer:
            session = WebSocketSession(writer, server)
            unsubscribe = server.exchange.subscribe(session.on_event)
            try:
                await writer.serve(session.on_message)
            finally:
                unsubscribe()
            return writer.socket

    app.router.add_get("/ws-api/v3", serve)


class WebSocketSession:
    """One connection to the WebSocket API: requests are handled in order, events come in between."""

    def __init__(self, writer: SocketWriter, server: "Server") -> None:
        self._writer = writer
        self._exchange, self._gateway = server.exchange, server.gateway
        self._subscriptions: list[int] = []
        self._next = 0

    def on_event(self, event: "Event") -> None:
        """Send an event of the account to each subscription of this connection."""
        if not isinstance(event, _ACCOUNT):
            return
        for number in self._subscriptions:
            body = frame(event)
            self._writer.send_event({"subscriptionId": number, "event": body}, "user", body["e"])

    def on_message(self, text: str) -> None:
        """Handle one request."""
        try:
            request = json.loads(text, parse_float=str)
            number, method = request["id"], request["method"]
            parameters = {name: _text(value) for name, value in request.get("params", {}).items()}
        except (ValueError, TypeError, KeyError, AttributeError):
            self._reply(None, 400, error=Refusal(-1000, "A request is an object with id, method and params.").body())
            return
        limits = parameters.get("returnRateLimits") != "false"
        try:
            if method in OPERATIONS:
                self._run_operation(number, method, parameters, limits=limits)
            else:
                self._reply(number, 200, limits=limits, result=self._manage_stream(method, parameters))
        except Refusal as refusal:
            error = self._waiting(refusal.body(), refusal.headers)
            self._reply(number, refusal.status, limits=limits, error=error)

    def _run_operation(self, number: Any, method: str, parameters: dict[str, str], *, limits: bool) -> None:
        """Run an operation that REST has too; faults act on this connection."""
        reply = self._gateway.handle(_request(method, OPERATIONS[method], parameters))
        if reply.fate == "reset":
            self._writer.reset()
        elif reply.fate != "hold":
            body = (
                {"result": reply.body} if reply.status == 200 else {"error": self._waiting(reply.body, reply.headers)}
            )
            # A client that lost a refusal cannot know how long to wait.
            struck = OPERATIONS[method][0] != "GET" and "Retry-After" not in reply.headers
            changes = method if struck else ""
            self._reply(number, reply.status, changes, limits=limits, cut=reply.fate == "truncate", **body)

    def _manage_stream(self, method: str, parameters: dict[str, str]) -> Any:
        """Subscribe to the user data stream, or end a subscription."""
        if method == "userDataStream.subscribe.signature":
            self._exchange.catch_up()
            self._gateway.authorize(_request(method, ("GET", "/ws-api/v3"), parameters))
            return {"subscriptionId": self._subscribe()}
        if method == "userDataStream.unsubscribe":
            self._unsubscribe(parameters.get("subscriptionId"))
            return {}
        if method == "session.subscriptions":
            return [{"subscriptionId": number} for number in self._subscriptions]
        raise Refusal(-1000, f"Unknown method '{method}'.")

    def _subscribe(self) -> int:
        self._subscriptions.append(self._next)
        self._next += 1
        self._writer.note_subscriptions("user")
        return self._subscriptions[-1]

    def _unsubscribe(self, wanted: str | None) -> None:
        numbers = [number for number in self._subscriptions if wanted in (None, str(number))]
        for number in numbers:
            self._subscriptions.remove(number)
            event = terminated(self._exchange.server_ms())
            self._writer.send_event({"subscriptionId": number, "event": event}, "user", event["e"])

    def _waiting(self, error: Any, headers: Mapping[str, str]) -> Any:
        """Return an error with the wait that REST has in a header: when the client may send again."""
        if not isinstance(error, dict) or "Retry-After" not in headers:
            return error
        now = self._exchange.server_ms()
        return {"data": {"serverTime": now, "retryAfter": now + 1_000 * int(headers["Retry-After"])}} | error

    def _reply(
        self, number: Any, status: int, changes: str = "", *, limits: bool = True, cut: bool = False, **body: Any
    ) -> None:
        """Send a reply; faults on the frames of the stream `orders` strike those to operations that change something."""
        used = {"rateLimits": self._exchange.usage.rate_limits(self._exchange.now_ms())} if limits else {}
        frame = {"id": number, "status": status, **body, **used}
        if changes and not cut:
            self._writer.send_event(frame, "orders", changes)
        else:
            self._writer.send_reply(frame, cut=cut)


def _request(operation: str, place: tuple[str, str], parameters: dict[str, str]) -> ApiRequest:
    """Return a frame's request as the desk takes it; its key and signature are parameters among others."""
    return ApiRequest(
        *place,
        {name: value for name, value in parameters.items() if name not in _NOT_PARAMETERS},
        key=parameters.get("apiKey", ""),
        payload=sorted_payload(parameters),
        signature=parameters.get("signature", ""),
        operation=operation,
    )


def _text(value: Any) -> str:
    """Return a parameter as it would stand in a query."""
    if isinstance(value, bool):
        return str(value).lower()
    return json.dumps(value, separators=(",", ":")) if isinstance(value, dict | list) else str(value)
