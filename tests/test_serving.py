"""Slow, silent, large and many clients: dropped by the exchange and by the health page, while others are served."""

import asyncio
import json
import logging
import socket
import struct
import time
from contextlib import contextmanager
from urllib.parse import urlsplit
from urllib.request import urlopen

import pytest

from atb.monitoring.health import Health, Vitals
from atb.serving import Bounds, tolerate_disconnects
from atb.venues.simulator.configuration import ExchangeConfig
from atb.venues.simulator.scripts import walk
from atb.venues.simulator.server import running_exchange
from tests.timeouts import PATIENCE_S

QUICK = Bounds(head_s=0.5, body_s=0.5, body_bytes=1_000, stalled_s=0.5, connections=8)
START = 1_704_067_200_000
HEAD = b"GET /api/v3/time HTTP/1.1\r\nHost: 127.0.0.1\r\n"


@contextmanager
def exchange_page():
    config = ExchangeConfig(
        (walk("BTC/USDT", "1h", start_ms=START, count=50, seed=1, price=100.0),), START, bounds=QUICK
    )
    with running_exchange(config) as running:
        yield running.url, "/api/v3/time"


@contextmanager
def health_page():
    with Health(Vitals(), bounds=QUICK).start() as page:
        yield page.address, "/livez"


@pytest.fixture(params=[exchange_page, health_page])
def server(request):
    with request.param() as served:
        yield served


@contextmanager
def line(url):
    place = urlsplit(url)
    with socket.create_connection((place.hostname, place.port), timeout=PATIENCE_S) as connected:
        yield connected


def is_dropped(connected) -> bool:
    """Read until the other end closes; a server that goes on waiting lets this time out."""
    try:
        while connected.recv(65_536):
            pass
    except ConnectionError:
        pass
    return True


def answers(url, path) -> bool:
    with urlopen(url + path, timeout=PATIENCE_S) as answer:
        return answer.status == 200 and bool(json.load(answer))


def test_a_client_that_says_nothing_or_too_slowly_is_dropped(server):
    url, path = server
    with line(url) as silent, line(url) as slow:
        slow.sendall(b"GET / HTTP/1.1\r\nHost: 127")
        assert answers(url, path)
        assert is_dropped(silent)
        assert is_dropped(slow)
    assert answers(url, path)


def dribble(connected, seconds):
    """Send one header after the other, until the other end has had enough."""
    began = time.monotonic()
    while time.monotonic() - began < seconds:
        connected.sendall(b"X-a: b\r\n")
        time.sleep(0.1)


def test_a_dribble_of_a_head_keeps_no_connection_open(server):
    url, path = server
    with line(url) as slow:
        slow.sendall(HEAD)
        with pytest.raises(ConnectionError):
            dribble(slow, seconds=30)
    assert answers(url, path)


def test_a_body_that_does_not_come_is_given_up(server):
    url, path = server
    with line(url) as slow:
        slow.sendall(b"POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 500\r\n\r\nx")
        said = slow.recv(65_536)
        assert said.startswith(b"HTTP/1.1 408")
        assert is_dropped(slow)
    assert answers(url, path)


@pytest.mark.parametrize(
    "head", [b"X-long: " + b"x" * 100_000 + b"\r\n", b"".join(b"X-%d: b\r\n" % n for n in range(5_000))]
)
def test_a_huge_head_is_refused(server, head):
    url, path = server
    with line(url) as large:
        try:
            large.sendall(HEAD + head + b"\r\n")
            assert large.recv(65_536).split()[1] == b"400"
        except ConnectionError:
            pass
        assert is_dropped(large)
    assert answers(url, path)


def test_a_huge_body_is_refused(server):
    url, path = server
    with line(url) as large:
        large.sendall(b"POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 50000000\r\n\r\n")
        try:
            for _ in range(50):
                large.sendall(b"x" * 1_000_000)
        except ConnectionError:
            pass
        assert is_dropped(large)
    assert answers(url, path)


def test_more_connections_than_there_may_be_are_ended(server):
    url, path = server
    lines = []
    for _ in range(40):
        place = urlsplit(url)
        lines.append(socket.create_connection((place.hostname, place.port), timeout=PATIENCE_S))
    for connected in lines:
        assert is_dropped(connected)
        connected.close()
    assert answers(url, path)


def test_a_consumer_of_a_stream_that_never_reads_is_dropped():
    config = ExchangeConfig(
        (walk("BTC/USDT", "1m", start_ms=START, count=20_000, seed=1, price=100.0),), START, bounds=QUICK
    )
    with running_exchange(config) as running, line(running.url) as deaf:
        deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        deaf.sendall(
            b"GET /ws/btcusdt@kline_1m HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
            b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        )
        began = time.monotonic()
        while not running.call(running.exchange.ledger.entries):
            time.sleep(0.01)
        for hour in range(1, 300):
            running.advance(START + hour * 3_600_000)
        while time.monotonic() - began < PATIENCE_S and running.call(lambda: len(running.exchange._subscribers)):
            time.sleep(0.05)
        assert running.call(lambda: len(running.exchange._subscribers)) == 0
        assert answers(running.url, "/api/v3/time")


OPENING = (
    b"GET %s HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nAuthorization: Bearer %s\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)


def reset(connected) -> None:
    connected.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connected.close()


@pytest.mark.parametrize("leave", [reset, socket.socket.close])
@pytest.mark.parametrize("path", ["/ws/btcusdt@trade", "/stream?streams=btcusdt@trade", "/ws-api/v3", "/control/clock"])
def test_a_client_that_dies_while_a_stream_opens_leaves_no_traceback(path, leave, caplog):
    config = ExchangeConfig((walk("BTC/USDT", "1h", start_ms=START, count=50, seed=1, price=100.0),), START)
    with running_exchange(config) as running, caplog.at_level(logging.WARNING):
        for _ in range(3):
            connected = socket.create_connection(running.url[7:].split(":"), timeout=PATIENCE_S)
            running.loop.call_soon_threadsafe(time.sleep, 0.05)  # the client is gone before its request is read
            connected.sendall(OPENING % (path.encode(), config.control_token.encode()))
            leave(connected)
            running.advance(running.exchange.now_ms() + 60_000)
        assert answers(running.url, "/api/v3/time")
    assert [record.getMessage() for record in caplog.records] == []


@pytest.mark.parametrize(("gone", "status"), [(True, None), (False, 500)])
def test_only_a_lost_connection_of_the_clients_own_is_tolerated(gone, status, caplog):
    async def run():
        from aiohttp import ClientSession, ServerDisconnectedError, web

        async def fail(request):
            if gone:
                request.transport.abort()
            raise ConnectionResetError

        app = web.Application(middlewares=[tolerate_disconnects()])
        app.router.add_get("/", fail)
        runner = web.AppRunner(app)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        try:
            async with ClientSession() as session, session.get(f"http://127.0.0.1:{runner.addresses[0][1]}/") as answer:
                return answer.status
        except ServerDisconnectedError:
            return None
        finally:
            await runner.cleanup()

    assert asyncio.run(run()) == status
    assert bool([record for record in caplog.records if record.name == "aiohttp.server"]) is not gone


def asked(url: str, path: str, *headers: str, method: str = "GET") -> tuple[int, str]:
    """Send one request with exactly these headers and return its status and its text."""
    head = "\r\n".join((f"{method} {path} HTTP/1.1", *headers, "Content-Length: 0", "Connection: close", "", ""))
    with line(url) as connected:
        connected.sendall(head.encode("latin-1"))
        answer = b"".join(iter(lambda: connected.recv(65_536), b""))
    return int(answer.split(b" ", 2)[1]), answer.decode("latin-1").partition("\r\n\r\n")[2]


PATHS = ("/api/v3/time", "/control/state", "/ws-api/v3", "/stream", "/control/clock", "/nowhere")
STRANGE = (
    "evil.example",
    "127.0.0.1.evil.example",
    "localhost.evil.example:80",
    "192.168.1.9",
    "",
    "[::1",
    "a@b:c",
    "\xff",
)


@pytest.mark.parametrize("path", PATHS)
def test_the_exchange_answers_nothing_that_was_meant_for_another_host(path):
    with exchange_page() as (url, _):
        for host in STRANGE:
            assert asked(url, path, f"Host: {host}")[0] in {400, 421}, host
        assert asked(url, path, "Host: 127.0.0.1", "Host: 127.0.0.1")[0] in {400, 421}
        assert asked(url, path)[0] in {400, 421}


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "LOCALHOST:18080", "[::1]:7", "127.0.0.2"])
def test_the_exchange_answers_to_this_machines_own_names(host):
    with exchange_page() as (url, path):
        assert asked(url, path, f"Host: {host}")[0] == 200


@pytest.mark.parametrize("path", PATHS)
def test_a_page_of_another_place_gets_nothing_though_the_browser_asks_the_right_host(path):
    with exchange_page() as (url, _):
        host = f"Host: {urlsplit(url).netloc}"
        for origin in ("https://evil.example", "null", "http://127.0.0.1:1", "http://[", "", "file://"):
            for method in ("GET", "POST", "DELETE", "OPTIONS"):
                assert asked(url, path, host, f"Origin: {origin}", method=method)[0] == 403, (origin, method)
        assert asked(url, path, host, f"Origin: {url}")[0] != 403


def test_a_public_exchange_answers_to_addresses_and_to_the_names_it_was_given():
    bars = (walk("BTC/USDT", "1h", start_ms=START, count=50, seed=1, price=100.0),)
    with running_exchange(ExchangeConfig(bars, START, host="0.0.0.0", names=("Exchange",))) as running:
        url = running.url.replace("0.0.0.0", "127.0.0.1")
        for host in ("10.0.0.7:8080", "exchange:8080", "localhost", "[fd00::1]"):
            assert asked(url, "/api/v3/time", f"Host: {host}")[0] == 200, host
        assert asked(url, "/api/v3/time", "Host: evil.example")[0] == 421
