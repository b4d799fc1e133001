"""The control plane: who plays on the exchange looks at it, moves its time and breaks it.

It has a token of its own, which no trading key replaces: `Authorization: Bearer TOKEN`, or the token as the password of
`http://control:TOKEN@HOST:PORT/control/...`, which clients of HTTP and WebSocket send as basic authorisation.
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
from atb.venues.simulator.scripted_events import order_by_hand
from atb.venues.simulator.scripts import Happening

if TYPE_CHECKING:
    from atb.venues.simulator.exchange import Exchange

USER = "control"  # whose password the token is
Endpoint = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Control:
    """The routes under `/control/`.

    Parameters
    ----------
    exchange
        What is controlled.
    """

    def __init__(self, exchange: "Exchange") -> None:
        self._exchange = exchange

    def add_routes(self, app: web.Application) -> None:
        """Add the routes to an application."""
        router = app.router
        router.add_get("/control/state", self._allowed(_checked(self.state)))
        router.add_get("/control/ledger", self._allowed(_checked(self.ledger)))
        router.add_get("/control/clock", self._allowed(self.clock))
        router.add_post("/control/advance", self._allowed(_checked(self.advance)))
        router.add_post("/control/faults", self._allowed(_checked(self.faults)))
        router.add_post("/control/manual", self._allowed(_checked(self.manual)))
        router.add_post("/control/script", self._allowed(_checked(self.script)))
        router.add_post("/control/mark", self._allowed(_checked(self.mark)))

    def _allowed(self, endpoint: Endpoint) -> Endpoint:
        """Refuse whoever does not send the token."""
        token = self._exchange.config.control_token

        async def allowed(request: web.Request) -> web.StreamResponse:
            if not compare_digest(_sent(request).encode(), token.encode()):
                refused = _refusal("The control plane wants its token, which `atb exchange` printed at its start", 401)
                refused.headers["WWW-Authenticate"] = 'Basic realm="control"'
                return refused
            return await endpoint(request)

        return allowed

    async def state(self, _request: web.Request) -> web.Response:
        """Return the present, balances, open orders, prices, participants and the faults still to come."""
        exchange = self._exchange
        exchange.catch_up()
        return web.json_response(state_of(exchange))

    async def ledger(self, request: web.Request) -> web.Response:
        """Return the ledger, from entry `first` on."""
        text = self._exchange.ledger.to_json(int(request.query.get("first", "0")))
        return web.Response(text=text, content_type="application/json")

    async def advance(self, request: web.Request) -> web.Response:
        """Move time to `to`, or by `by` milliseconds; refused while a participant works."""
        exchange, body = self._exchange, await _object(request)
        if not isinstance(exchange.clock, VirtualClock):
            return _refusal("A real clock goes by itself: start the exchange with --clock virtual", 409)
        if not {"to", "by"} & set(body):
            return _refusal('Say where to: {"to": milliseconds} or {"by": milliseconds}', 400)
        target = int(body["to"]) if "to" in body else exchange.now_ms() + int(body["by"])
        if not exchange.waiting.all_wait:
            return _refusal("A participant of the clock is working", 409)
        if target < exchange.now_ms():
            return _refusal("Time does not go back", 400)
        exchange.advance_to(target)
        exchange.waiting.release()
        return web.json_response({"now": exchange.now_ms()})

    async def faults(self, request: web.Request) -> web.Response:
        """Take faults on."""
        faults = [Fault.from_json(values) for values in await request.json()]
        self._exchange.add_faults(faults)
        self._exchange.catch_up()
        return web.json_response({"faults": len(faults)})

    async def manual(self, request: web.Request) -> web.Response:
        """Place an order by hand, as the account's owner would on the exchange's own page."""
        exchange, body = self._exchange, await _object(request)
        exchange.catch_up()
        order_id = order_by_hand(exchange, body.get("order", body), name=body.get("name", "web_"))
        if order_id is None:
            return _refusal("The exchange refused the order", 400)
        return web.json_response(answers.filled(exchange.trading.book.orders[order_id]))

    async def script(self, request: web.Request) -> web.Response:
        """Plan happenings: a list of `{time_ms, kind, detail}`."""
        rows = await request.json()
        happenings = [Happening(int(row["time_ms"]), row["kind"], row.get("detail", {})) for row in rows]
        for happening in happenings:
            self._exchange.plan(happening.time_ms, lambda it=happening: self._exchange.happen(it))  # type: ignore[misc] # its default
        self._exchange.catch_up()
        return web.json_response({"happenings": len(happenings)})

    async def mark(self, request: web.Request) -> web.Response:
        """Write a note of the test's own into the ledger: when it killed somebody, for example."""
        self._exchange.note("mark", await _object(request))
        return web.json_response({})

    async def clock(self, request: web.Request) -> web.WebSocketResponse:
        """Let a participant of the virtual clock wait, for as long as it is connected; of a real one it hears how fast it goes."""
        socket = web.WebSocketResponse(heartbeat=None)
        await socket.prepare(request)
        exchange = self._exchange
        exchange.catch_up()
        pending: set[asyncio.Task[None]] = set()

        def answer(now_ms: int, woken: bool) -> None:
            sending = asyncio.ensure_future(_send(socket, {"now": now_ms, "woken": woken}))
            pending.add(sending)
            sending.add_done_callback(pending.discard)

        participant = exchange.waiting.join(answer)
        try:
            real = isinstance(exchange.clock, RealClock)
            await socket.send_json({"now": exchange.now_ms()} | ({"speed": exchange.config.speed} if real else {}))
            async for message in socket:
                if message.type is WSMsgType.TEXT:
                    exchange.catch_up()
                    exchange.waiting.wait(participant, int(json.loads(message.data)["until"]))
        finally:
            exchange.waiting.leave(participant)
        return socket


async def _send(socket: web.WebSocketResponse, body: dict[str, Any]) -> None:
    try:
        await socket.send_json(body)
    except ConnectionError:
        return  # who is gone is taken off the list when its connection ends


def _checked(endpoint: Endpoint) -> Endpoint:
    """Answer what a test wrote wrongly with the reason, instead of a page about the server."""

    async def checked(request: web.Request) -> web.StreamResponse:
        try:
            return await endpoint(request)
        except (InputError, KeyError, ValueError, TypeError) as error:
            return _refusal(f"{type(error).__name__}: {error}", 400)

    return checked


def _sent(request: web.Request) -> str:
    """Return the token that a request brings, empty where it brings none."""
    scheme, _, given = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        return given.strip()
    try:
        return str(BasicAuth.decode(f"{scheme} {given}").password)
    except ValueError:
        return ""


def _refusal(text: str, status: int) -> web.Response:
    return web.json_response({"error": text}, status=status)


async def _object(request: web.Request) -> dict[str, Any]:
    body: dict[str, Any] = await request.json()
    return body


def state_of(exchange: "Exchange") -> dict[str, Any]:
    """Return what `GET /control/state` shows."""
    return {
        "now": exchange.now_ms(),
        "next": exchange.next_ms(),
        "participants": len(exchange.waiting),
        "balances": answers.balances(exchange, exchange.account.assets()),
        "prices": {name: tape.price for name, tape in exchange.tapes.items()},
        "open_orders": [answers.looked_up(order) for order in exchange.trading.book.open_orders()],
        "open_lists": [answers.listed(exchange, one) for one in exchange.trading.book.lists.values() if one.open],
        "faults": [fault.to_json() for fault in exchange.disturbances.pending()],
        "ledger": len(exchange.ledger),
    }
