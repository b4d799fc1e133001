"""The connection for orders against forged servers: late, repeated, strange and missing responses, and when it is given up."""

import asyncio
import json
from base64 import b64decode
from contextlib import asynccontextmanager

import pytest
from aiohttp import WSMsgType, web
from cryptography.hazmat.primitives.asymmetric import ed25519, padding, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from atb.venues.broker import Access
from atb.venues.broker.connection import make_exchange
from atb.venues.broker.order_socket import OrderSocket
from atb.venues.broker.rate_limit import RateLimiter
from atb.venues.broker.transport import send_request
from tests.venues.broker.fake_exchange import NOW, in_loop
from tests.venues.broker.test_streams import until


class Forged:
    """A WebSocket API that answers pings, and every other request as a test says."""

    def __init__(self):
        self.asked, self.connections, self.ping_status, self.refuses = [], 0, 200, None
        self.answer, self.ended = None, 0

    async def serve(self, request):
        if self.refuses is not None:
            return web.Response(status=self.refuses, headers={"Retry-After": "7"})
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        self.connections += 1
        async for message in socket:
            if message.type != WSMsgType.TEXT:
                break
            asked = json.loads(message.data)
            if asked["method"] == "ping":
                await socket.send_json({"id": asked["id"], "status": self.ping_status, "result": {}})
            else:
                self.asked.append(asked)
                await self.answer(socket, asked)
        self.ended += 1
        return socket


@asynccontextmanager
async def line(secret="secret", **settings):
    """Yield a connection for orders at a forged server, and the server."""
    forged = Forged()
    app = web.Application()
    app.router.add_get("/ws-api/v3", forged.serve)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    address = f"http://127.0.0.1:{site._server.sockets[0].getsockname()[1]}"
    exchange = make_exchange(Access("binance", "key", secret, base_url=address))
    exchange.venue_now_ms = lambda: NOW
    socket = OrderSocket(exchange, RateLimiter(), lambda: NOW, **{"timeout_s": 30.0} | settings)
    try:
        yield socket, forged
    finally:
        await socket.stop()
        await exchange.close()
        await runner.cleanup()


def result(asked, **values):
    return {"id": asked["id"], "status": 200, "result": {"it": asked["params"].get("it")}} | values


async def ask(socket, **values):
    """Send a request and return its reply."""
    return await send_request(
        lambda: socket.send("order.place", {key: str(one) for key, one in values.items()}), now_ms=0
    )


@in_loop
async def test_each_request_gets_its_own_response_whatever_order_they_come_in():
    held = []

    async def answer(socket, asked):
        held.append(asked)
        if len(held) == 3:
            for each in (held[2], held[0], held[0], {"id": "nobody", "params": {}}, held[1]):
                await socket.send_json(result(each))

    async with line() as (socket, forged):
        forged.answer = answer
        await socket.start()
        replies = await asyncio.gather(*(ask(socket, it=number) for number in range(3)))
        assert [(reply.status, reply.body, reply.fault) for reply in replies] == [
            (200, {"it": str(number)}, "") for number in range(3)
        ]
        assert socket.is_open


@in_loop
async def test_a_response_after_its_time_out_is_nobodys_and_requests_on_their_way_keep_theirs():
    late = asyncio.Event()

    async def answer(socket, asked):
        if asked["params"]["it"] == "late":
            first.append((socket, asked))
        else:
            await late.wait()
            await first[0][0].send_json(result(first[0][1]))
            await socket.send_json(result(asked))

    first = []
    async with line() as (socket, forged):
        forged.answer = answer
        await socket.start()
        socket.timeout_s = 0.3
        slow = asyncio.create_task(ask(socket, it="late"))
        await until(lambda: first)
        socket.timeout_s = 30.0
        patient = asyncio.create_task(ask(socket, it="patient"))
        lost = await slow
        assert (lost.status, lost.fault, lost.left) == (0, "timeout", True)
        assert not socket.is_open
        late.set()
        assert (await patient).body == {"it": "patient"}
        await until(lambda: socket.is_open)
        assert forged.connections == 2


STRANGE = {
    "cut in half": '{"id": "2", "stat',
    "no object": "[1]",
    "neither result nor error": {"status": 200},
    "an error with status 200": {"status": 200, "error": {"code": -1013, "msg": "no"}},
    "a result with status 400": {"status": 400, "result": {"it": "1"}},
    "a status in words": {"status": "200", "result": {"it": "1"}},
    "limits of another form": {"status": 200, "result": {}, "rateLimits": [3]},
}


@pytest.mark.parametrize("frame", STRANGE.values(), ids=STRANGE)
@in_loop
async def test_a_strange_response_is_never_taken_for_an_answer(frame):
    async def answer(socket, asked):
        await socket.send_str(frame if isinstance(frame, str) else json.dumps({"id": asked["id"]} | frame))

    async with line() as (socket, forged):
        forged.answer = answer
        await socket.start()
        reply = await ask(socket, it=1)
        assert (reply.body, reply.fault, reply.left) == (None, "unreadable", True)


async def _says_nothing(_socket, _asked):
    pass


async def _closes(socket, _asked):
    await socket.close()


async def _fails(socket, asked):
    await socket.send_json({"id": asked["id"], "status": 503, "error": {"code": -1007, "msg": "unknown"}})


async def _shuts_down(socket, asked):
    await socket.send_json({"event": {"e": "serverShutdown", "E": NOW}})
    await socket.send_json(result(asked))


@pytest.mark.parametrize(
    ("answer", "ended"),
    [(_says_nothing, (0, "timeout")), (_closes, (0, "disconnected")), (_fails, (503, "")), (_shuts_down, (200, ""))],
)
@in_loop
async def test_a_connection_in_doubt_takes_no_more_requests_and_is_replaced(answer, ended):
    async with line() as (socket, forged):
        forged.answer = answer
        await socket.start()
        socket.timeout_s = 0.3 if answer is _says_nothing else 30.0
        reply = await ask(socket, it=1)
        socket.timeout_s = 30.0
        assert ((reply.status, reply.fault), socket.is_open) == (ended, False)
        await until(lambda: socket.is_open)
        assert (forged.connections, len(forged.asked)) == (2, 1)


@in_loop
async def test_a_connection_is_replaced_before_it_is_too_old_and_the_old_one_closed():
    async with line(life_s=0.05) as (socket, forged):
        await socket.start()
        await until(lambda: forged.connections >= 3)
        await until(lambda: forged.ended >= 2)


@in_loop
async def test_a_connection_is_there_again_after_a_stop_and_a_start():
    async with line() as (socket, forged):
        for connections in (1, 2):
            await socket.start()
            assert (socket.is_open, forged.connections) == (True, connections)
            await socket.stop()
            assert not socket.is_open


@in_loop
async def test_a_connection_that_does_not_answer_its_ping_takes_no_request():
    async with line() as (socket, forged):
        forged.ping_status = 503
        await socket.start()
        assert not socket.is_open
        with pytest.raises(ConnectionError):
            await socket.send("order.place", {})
        forged.ping_status = 200
        await until(lambda: socket.is_open)


@in_loop
async def test_a_handshake_refused_for_too_many_requests_is_obeyed():
    async with line() as (socket, forged):
        forged.refuses = 429
        await socket.start()
        assert socket.limiter.blocked_until_ms == NOW + 7_000


@in_loop
async def test_a_requests_own_window_is_signed_and_the_usual_one_stays():
    async def answer(socket, asked):
        await socket.send_json(result(asked))

    async with line() as (socket, forged):
        forged.answer = answer
        await socket.start()
        await ask(socket, it=1, recvWindow=9_000)
        await ask(socket, it=2)
        assert [int(asked["params"]["recvWindow"]) for asked in forged.asked] == [9_000, 3_000]


@pytest.mark.parametrize("kind", ["ed25519", "rsa"])
@in_loop
async def test_every_kind_of_key_signs_the_parameters_in_alphabetical_order(kind):
    key = ed25519.Ed25519PrivateKey.generate() if kind == "ed25519" else rsa.generate_private_key(65_537, 2_048)
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()

    async def answer(socket, asked):
        await socket.send_json(result(asked))

    async with line(pem) as (socket, forged):
        forged.answer = answer
        await socket.start()
        assert (await ask(socket, symbol="BTCUSDT", it=1)).status == 200
        values = dict(forged.asked[0]["params"])
        signature = b64decode(values.pop("signature"))
        signed = "&".join(f"{name}={values[name]}" for name in sorted(values)).encode()
        more = () if kind == "ed25519" else (padding.PKCS1v15(), SHA256())
        key.public_key().verify(signature, signed, *more)
