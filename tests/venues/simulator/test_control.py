"""The control plane over real sockets: participants of the clock, time moved by hand, faults, and what becomes of connections."""

import asyncio
import json
import time
from decimal import Decimal

import aiohttp
import pytest

from atb.venues.simulator.faults import Fault
from atb.venues.simulator.server import running_exchange
from atb.venues.simulator.signing import sign
from tests.bars import random_walk
from tests.timeouts import PATIENCE_S
from tests.venues.simulator.client import HOUR, closes, config_of, exchange_of

FRAME = closes(100, 101, 105, 98, 90, 120, 110, 110)
ORDER = {"symbol": "BTCUSDT", "side": "BUY", "type": "MARKET", "quantity": "1"}


@pytest.fixture
def running():
    with running_exchange(config_of(FRAME, balances={"USDT": Decimal(1_000)})) as exchange:
        yield exchange


def run(session):
    """Run a session, which must end: what is waited for may never come."""
    return asyncio.run(asyncio.wait_for(session, 60))


def signed(running, params):
    """Return parameters as a signed query."""
    text = "&".join(f"{name}={value}" for name, value in ({"timestamp": running.exchange.server_ms()} | params).items())
    return f"{text}&signature={sign('secret', text)}"


async def send(session, running, method, path, **params):
    """Send one signed request and return status and body."""
    url = f"{running.url}/api/v3/{path}?{signed(running, params)}"
    async with session.request(method, url, headers={"X-MBX-APIKEY": "key"}) as answer:
        return answer.status, await answer.json()


async def post(session, running, path, body):
    async with session.post(f"{running.control_url}/{path}", json=body) as answer:
        return answer.status, await answer.json()


async def until(socket, ms):
    await socket.send_json({"until": ms})


async def silent(socket, seconds=0.1):
    """Tell whether a socket says nothing for a while."""
    try:
        await socket.receive(timeout=seconds)
    except TimeoutError:
        return True
    return False


def test_time_moves_only_when_every_participant_waits(running):
    async def play():
        url, start = f"{running.control_url}/clock", running.exchange.now_ms()
        async with aiohttp.ClientSession() as session, session.ws_connect(url) as one, session.ws_connect(url) as other:
            assert await one.receive_json() == await other.receive_json() == {"now": start}
            await until(one, start + HOUR)
            assert await silent(one)
            await until(other, start + 3 * HOUR)
            assert await one.receive_json() == {"now": start + HOUR, "woken": False}
            assert await silent(other)
            assert running.exchange.now_ms() == start + HOUR
            await until(one, start + 2 * HOUR)
            assert await one.receive_json() == {"now": start + 2 * HOUR, "woken": False}
            await one.close()  # who is gone is not waited for
            assert await other.receive_json() == {"now": start + 3 * HOUR, "woken": False}
            await until(other, 0)
            assert await other.receive_json() == {"now": start + 3 * HOUR, "woken": False}

    run(play())


def test_an_execution_wakes_everybody_at_its_own_time(running):
    async def play():
        url, start = f"{running.control_url}/clock", running.exchange.now_ms()
        async with aiohttp.ClientSession() as session, session.ws_connect(url) as one, session.ws_connect(url) as other:
            await one.receive_json(), await other.receive_json()
            terms = {"symbol": "BTCUSDT", "side": "BUY", "type": "LIMIT", "timeInForce": "GTC", "quantity": 1}
            status, _ = await send(session, running, "POST", "order", **terms, price=99)
            assert status == 200
            for socket in (one, other):  # what happened while it worked is told at once
                await until(socket, start + 9 * HOUR)
                assert await socket.receive_json() == {"now": start, "woken": True}
            for socket in (one, other):
                await until(socket, start + 9 * HOUR)
            filled = {"now": start + 4 * HOUR - 1, "woken": True}
            assert await one.receive_json() == await other.receive_json() == filled

    run(play())


def test_time_can_be_moved_by_hand_while_nobody_works(running):
    async def play():
        start = running.exchange.now_ms()
        async with aiohttp.ClientSession() as session:
            assert await post(session, running, "advance", {"to": start + HOUR}) == (200, {"now": start + HOUR})
            assert await post(session, running, "advance", {"by": 5}) == (200, {"now": start + HOUR + 5})
            assert (await post(session, running, "advance", {"to": start}))[0] == 400
            async with session.ws_connect(f"{running.control_url}/clock") as participant:
                await participant.receive_json()
                assert (await post(session, running, "advance", {"by": 5}))[0] == 409

    run(play())


def test_state_ledger_faults_scripts_and_manual_orders(running):
    async def play():
        start = running.exchange.now_ms()
        async with aiohttp.ClientSession() as session:
            assert await post(session, running, "faults", [{"kind": "error", "path": "reads"}]) == (200, {"faults": 1})
            status, body = await post(session, running, "faults", [{"kind": "errol"}])
            assert (status, "Did you mean 'error'" in body["error"]) == (400, True)
            assert (await post(session, running, "manual", {"order": ORDER | {"quantity": "500"}}))[0] == 400
            assert (await post(session, running, "manual", {"order": ORDER}))[1]["status"] == "FILLED"
            script = [{"time_ms": start + 5, "kind": "deposit", "detail": {"asset": "USDT", "amount": "7"}}]
            assert await post(session, running, "script", script) == (200, {"happenings": 1})
            assert (await post(session, running, "mark", {"text": "here"}))[0] == 200
            assert (await post(session, running, "advance", {"by": 5}))[0] == 200
            async with session.get(f"{running.control_url}/state") as answer:
                state = await answer.json()
            assert (state["now"], state["participants"], len(state["faults"])) == (start + 5, 0, 1)
            assert {row["asset"]: row["free"] for row in state["balances"]}["USDT"] == "907.00000000"
            async with session.get(f"{running.control_url}/ledger?first=1") as answer:
                entries = await answer.json()
            assert entries[0]["seq"] == 1
            assert {"mark", "trade", "transfer", "manual", "refused"} <= {entry["kind"] for entry in entries}

    run(play())


@pytest.mark.parametrize(
    ("kind", "error"),
    [
        ("lost", aiohttp.ClientConnectionError),
        ("reset", aiohttp.ClientConnectionError),
        ("held_after", TimeoutError),
        ("held", TimeoutError),
        ("truncated", json.JSONDecodeError),
    ],
)
def test_a_connection_suffers_what_its_fault_says(running, kind, error):
    async def play():
        running.add_faults(Fault(kind, path="POST /api/v3/order"))
        timeout = aiohttp.ClientTimeout(total=0.3 if kind.startswith("held") else 20)
        async with aiohttp.ClientSession(timeout=timeout) as session:
            with pytest.raises(error):
                await send(session, running, "POST", "order", **ORDER)
            status, rows = await send(session, running, "GET", "myTrades", symbol="BTCUSDT")
            assert (status, len(rows)) == (200, kind not in {"reset", "held"})

    run(play())


def test_a_real_clock_goes_by_itself_as_fast_as_it_is_told():
    config = config_of(FRAME, clock="real", speed=20_000.0, balances={"USDT": Decimal(1_000)})
    with running_exchange(config) as running:
        start = config.start_ms

        async def play():
            async with aiohttp.ClientSession() as session, session.ws_connect(f"{running.control_url}/clock") as socket:
                await socket.receive_json()
                await until(socket, start + 2 * HOUR)
                answer = await socket.receive_json(timeout=PATIENCE_S)
                assert answer["now"] >= start + 2 * HOUR

        run(play())
        assert running.exchange.tapes["BTCUSDT"].row >= 1


def test_a_quarter_of_hourly_bars_is_played_fast():
    frame = random_walk(2_160, 1)
    exchange = exchange_of(frame, frame)
    began = time.process_time()
    exchange.advance_to(exchange.now_ms() + 2_160 * HOUR)
    assert (time.process_time() - began) / 4_320 < 0.0004  # seconds a bar; measured below 0.0001


def test_an_order_costs_little(running):
    running.exchange.usage.limits = running.exchange.usage.limits.__class__(10**9, 10**9, 10**9)

    async def play():
        async with aiohttp.ClientSession() as session:
            await send(session, running, "POST", "order/test", **ORDER)
            began = time.thread_time(), time.process_time()
            for _ in range(100):
                status, _ = await send(session, running, "POST", "order/test", **ORDER)
                assert status == 200
            mine, all_threads = time.thread_time() - began[0], time.process_time() - began[1]
            return (all_threads - mine) / 100

    assert run(play()) < 0.003  # the exchange's seconds; measured below 0.001
