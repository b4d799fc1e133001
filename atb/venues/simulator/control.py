"""The control plane: HTTP endpoints that show the exchange's state, move its time and inject faults.

It has its own token, and no trading key opens it: `Authorization: Bearer TOKEN`, or the token as the password of
`http://control:TOKEN@HOST:PORT/control/...`, which HTTP and WebSocket clients send as basic authorization.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable
from hmac import compare_digest
from typing import TYPE_CHECKING, Any

from aiohttp import BasicAuth, WSMsgType, web

from atb.errors import InputError
from atb.venues.simulator import answers
from atb.venues.simulator.clock import RealClock, VirtualClock
from atb.venues.simulator.faults import Fault
from atb.venues.simulator.scripted_events import place_manual_order
from atb.venues.simulator.scripts import ScriptedEvent

if TYPE_CHECKING:
    from atb.venues.simulator.exchange import Exchange

USER = "control"  # the user name whose password is the token
Endpoint = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Control:
    """The routes under `/control/`.

    Parameters
    ----------
    exchange
        The exchange to control.
    """

    def __init__(self, exchange: "Exchange") -> None:
        self._exchange = exchange

    def add_routes(self, app: web.Application) -> None:
        """Add the routes to an application."""
        router = app.router
        router.add_get("/control/state", self._with_token(_with_bad_request(self.state)))
        router.add_get("/control/ledger", self._with_token(_with_bad_request(self.ledger)))
        router.add_get("/control/clock", self._with_token(self.clock))
        router.add_post("/control/advance", self._with_token(_with_bad_request(self.advance)))
        router.add_post("/control/faults", self._with_token(_with_bad_request(self.faults)))
        router.add_post("/control/symbol", self._with_token(_with_bad_request(self.symbol)))
        router.add_post("/control/manual", self._with_token(_with_bad_request(self.manual)))
        router.add_post("/control/script", self._with_token(_with_bad_request(self.script)))
        router.add_post("/control/mark", self._with_token(_with_bad_request(self.mark)))

    def _with_token(self, endpoint: Endpoint) -> Endpoint:
        """Wrap an endpoint: requests without the token get 401."""
        token = self._exchange.config.control_token

        async def allowed(request: web.Request) -> web.StreamResponse:
            if not compare_digest(_token_of(request).encode(), token.encode()):
                refused = _error_response(
                    "The control plane wants its token, which `atb exchange` printed at its start", 401
                )
                refused.headers["WWW-Authenticate"] = 'Basic realm="control"'
                return refused
            return await endpoint(request)

        return allowed

    async def state(self, _request: web.Request) -> web.Response:
        """Return time, balances, open orders, prices, participants and pending faults."""
        exchange = self._exchange
        exchange.catch_up()
        return web.json_response(state_of(exchange))

    async def ledger(self, request: web.Request) -> web.Response:
        """Return the ledger, from entry `first` on."""
        text = self._exchange.ledger.to_json(int(request.query.get("first", "0")))
        return web.Response(text=text, content_type="application/json")

    async def advance(self, request: web.Request) -> web.Response:
        """Move time to `to`, or by `by` milliseconds; refused while a participant is working."""
        exchange, body = self._exchange, await _json_object(request)
        if not isinstance(exchange.clock, VirtualClock):
            return _error_response("A real clock goes by itself: start the exchange with --clock virtual", 409)
        if not {"to", "by"} & set(body):
            return _error_response('Say where to: {"to": milliseconds} or {"by": milliseconds}', 400)
        target = int(body["to"]) if "to" in body else exchange.now_ms() + int(body["by"])
        if not exchange.barrier.all_wait:
            return _error_response("A participant of the clock is working", 409)
        if target < exchange.now_ms():
            return _error_response("Time does not go back", 400)
        exchange.advance_to(target)
        exchange.barrier.release()
        return web.json_response({"now": exchange.now_ms()})

    async def faults(self, request: web.Request) -> web.Response:
        """Add faults."""
        faults = [Fault.from_json(values) for values in await request.json()]
        self._exchange.add_faults(faults)
        self._exchange.catch_up()
        return web.json_response({"faults": len(faults)})

    async def symbol(self, request: web.Request) -> web.Response:
        """Change what a `symbol` allows, by the names of `exchangeInfo`, such as `{"symbol": "BTCUSDT", "opoAllowed": false}`."""
        exchange, body = self._exchange, await _json_object(request)
        exchange.catch_up()
        exchange.change_symbol(str(body.pop("symbol", "")), body)
        return web.json_response({"symbols": _symbols_of(exchange)})

    async def manual(self, request: web.Request) -> web.Response:
        """Place an order by hand, as the account's owner would on the exchange's website."""
        exchange, body = self._exchange, await _json_object(request)
        exchange.catch_up()
        order_id = place_manual_order(exchange, body.get("order", body), name=body.get("name", "web_"))
        if order_id is None:
            return _error_response("The exchange refused the order", 400)
        return web.json_response(answers.full_body(exchange.trading.book.orders[order_id]))

    async def script(self, request: web.Request) -> web.Response:
        """Schedule scripted events: a list of `{time_ms, kind, detail}`."""
        rows = await request.json()
        events = [ScriptedEvent(int(row["time_ms"]), row["kind"], row.get("detail", {})) for row in rows]
        self._exchange.add_script(events)
        self._exchange.catch_up()
        return web.json_response({"happenings": len(events)})

    async def mark(self, request: web.Request) -> web.Response:
        """Write a note into the ledger, for example when a test killed a process."""
        self._exchange.note("mark", await _json_object(request))
        return web.json_response({})

    async def clock(self, request: web.Request) -> web.WebSocketResponse:
        """Connect a participant of the virtual clock, which is sent the pace; with a real clock it is sent the clock's speed."""
        socket = web.WebSocketResponse(heartbeat=None)
        await socket.prepare(request)
        exchange = self._exchange
        exchange.catch_up()
        pending: set[asyncio.Task[None]] = set()

        def resume(now_ms: int, woken: bool) -> None:
            sending = asyncio.ensure_future(_send(socket, {"now": now_ms, "woken": woken}))
            pending.add(sending)
            sending.add_done_callback(pending.discard)

        participant = exchange.barrier.join(resume)
        try:
            real = isinstance(exchange.clock, RealClock)
            pace = {"pace": exchange.config.pace} if exchange.config.pace else {}
            await socket.send_json({"now": exchange.now_ms()} | ({"speed": exchange.config.speed} if real else pace))
            async for message in socket:
                if message.type is WSMsgType.TEXT:
                    exchange.catch_up()
                    exchange.barrier.wait(participant, int(json.loads(message.data)["until"]))
        finally:
            exchange.barrier.leave(participant)
            exchange.catch_up()
        return socket


async def _send(socket: web.WebSocketResponse, body: dict[str, Any]) -> None:
    try:
        await socket.send_json(body)
    except ConnectionError:
        return  # a lost participant leaves the barrier when its connection ends


def _with_bad_request(endpoint: Endpoint) -> Endpoint:
    """Wrap an endpoint: a malformed request gets 400 and the reason."""

    async def checked(request: web.Request) -> web.StreamResponse:
        try:
            return await endpoint(request)
        except (InputError, KeyError, ValueError, TypeError) as error:
            return _error_response(f"{type(error).__name__}: {error}", 400)

    return checked


def _token_of(request: web.Request) -> str:
    """Return the token in a request's Authorization header, empty without one."""
    scheme, _, given = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        return given.strip()
    try:
        return str(BasicAuth.decode(f"{scheme} {given}").password)
    except ValueError:
        return ""


def _error_response(text: str, status: int) -> web.Response:
    return web.json_response({"error": text}, status=status)


async def _json_object(request: web.Request) -> dict[str, Any]:
    body: dict[str, Any] = await request.json()
    return body


def _symbols_of(exchange: "Exchange") -> dict[str, Any]:
    return {name: tape.capabilities.to_json() for name, tape in exchange.tapes.items()}


def state_of(exchange: "Exchange") -> dict[str, Any]:
    """Return the body of `GET /control/state`."""
    return {
        "now": exchange.now_ms(),
        "next": exchange.next_ms(),
        "participants": len(exchange.barrier),
        "balances": answers.balances_body(exchange, exchange.account.assets()),
        "prices": {name: tape.price for name, tape in exchange.tapes.items()},
        "symbols": _symbols_of(exchange),
        "open_orders": [answers.query_body(order) for order in exchange.trading.book.open_orders()],
        "open_lists": [
            answers.list_body(exchange, orders) for orders in exchange.trading.book.lists.values() if orders.open
        ],
        "faults": [fault.to_json() for fault in exchange.fault_injector.pending()],
        "ledger": len(exchange.ledger),
    }
