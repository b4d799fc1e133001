"""The CONNECT proxy: every host a client asks for is the one behind it, over TLS that only its own authority vouches for."""

import asyncio
import socket
import ssl
import struct

import aiohttp
import pytest
from aiohttp import web

from atb.venues.simulator.proxy import start_proxy
from tests.timeouts import PATIENCE_S


async def tell_host(request):
    return web.json_response({"host": request.host, "secure": request.secure})


async def reset(request):
    linger = struct.pack("ii", 1, 0)
    request.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
    request.transport.abort()
    return web.Response()


async def echo(request):
    ws = web.WebSocketResponse()
    await ws.prepare(request)
    async for message in ws:
        await ws.send_str(message.data)
    return ws


def behind_proxy(ca_file, conversation):
    """Run a conversation(session, proxy, tls) with a small application behind a proxy."""

    async def run():
        app = web.Application()
        app.router.add_get("/reset", reset)
        app.router.add_get("/ws", echo)
        app.router.add_get("/{anything:.*}", tell_host)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        proxy = await start_proxy(runner, ca_file=ca_file)
        try:
            async with aiohttp.ClientSession() as session:
                return await conversation(session, proxy, ssl.create_default_context(cafile=ca_file))
        finally:
            await proxy.stop()
            await runner.cleanup()

    return asyncio.run(run())


@pytest.fixture
def ca_file(tmp_path):
    return tmp_path / "made" / "ca.pem"


def test_every_host_is_the_simulator_and_is_written_down(ca_file):
    async def ask(session, proxy, tls):
        answers = []
        for url in ("https://api.binance.com/a", "https://stream.binance.com:9443/b", "https://api.coinbase.com/c"):
            async with session.get(url, proxy=proxy.url, ssl=tls) as answer:
                answers.append(await answer.json())
        return answers, proxy.hosts

    answers, hosts = behind_proxy(ca_file, ask)
    assert [row["host"] for row in answers] == ["api.binance.com", "stream.binance.com:9443", "api.coinbase.com"]
    assert all(row["secure"] for row in answers)
    assert hosts == ["api.binance.com:443", "stream.binance.com:9443", "api.coinbase.com:443"]


def test_websockets_pass_through(ca_file):
    async def talk(session, proxy, tls):
        async with session.ws_connect("wss://stream.binance.com:9443/ws", proxy=proxy.url, ssl=tls) as ws:
            await ws.send_str("hello")
            return await ws.receive_str(timeout=PATIENCE_S)

    assert behind_proxy(ca_file, talk) == "hello"


def test_a_client_without_its_certificate_refuses_the_simulator(ca_file):
    async def ask(session, proxy, _tls):
        with pytest.raises(aiohttp.ClientConnectorCertificateError):
            await session.get("https://api.binance.com/", proxy=proxy.url)

    behind_proxy(ca_file, ask)


def test_a_certificate_is_of_one_host_only(ca_file):
    async def look(_session, proxy, tls):
        names = []
        for host in ("api.binance.com", "127.0.0.1"):
            reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
            writer.write(f"CONNECT {host}:443 HTTP/1.1\r\n\r\n".encode())
            await reader.readuntil(b"\r\n\r\n")
            await writer.start_tls(tls, server_hostname=host)
            names.append([value for kind, value in writer.get_extra_info("peercert")["subjectAltName"]])
            writer.close()
        return names

    assert behind_proxy(ca_file, look) == [["api.binance.com"], ["localhost", "127.0.0.1"]]


def test_a_plain_request_is_refused_and_goes_nowhere(ca_file):
    async def ask(session, proxy, _tls):
        async with session.get("http://api.binance.com/", proxy=proxy.url) as answer:
            return answer.status, answer.headers["Allow"], proxy.hosts

    assert behind_proxy(ca_file, ask) == (405, "CONNECT", [])


def test_what_is_no_http_at_all_is_hung_up_on(ca_file):
    async def speak(_session, proxy, _tls):
        answers = []
        for said in (b"\x16\x03\x01" + b"x" * 20_000, b"GET"):
            reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
            writer.write(said)
            writer.write_eof()
            try:
                answers.append(await asyncio.wait_for(reader.read(), 5))
            except ConnectionResetError:
                answers.append(b"")
            writer.close()
        return answers

    assert behind_proxy(ca_file, speak) == [b"", b""]


def test_a_reset_behind_the_proxy_stays_a_reset(ca_file):
    async def ask(session, proxy, tls):
        with pytest.raises(OSError, match="reset by peer"):
            await session.get("https://api.binance.com/reset", proxy=proxy.url, ssl=tls)

    behind_proxy(ca_file, ask)


def test_closing_cuts_open_connections(ca_file):
    async def talk(session, proxy, tls):
        async with session.ws_connect("wss://a.example/ws", proxy=proxy.url, ssl=tls) as ws:
            await proxy.stop()
            return (await ws.receive(timeout=PATIENCE_S)).type

    answers = behind_proxy(ca_file, talk)
    assert answers in (aiohttp.WSMsgType.CLOSED, aiohttp.WSMsgType.ERROR, aiohttp.WSMsgType.CLOSE)
