"""python-binance completes the whole session: by address through a subclass, and through the proxy as it is."""

import asyncio
import contextlib
import re
import ssl
import warnings

import aiohttp
import pytest

from tests.venues.fidelity.conftest import CREDENTIALS
from tests.venues.fidelity.session import VENUE_SYMBOL, market_data, order_life, order_lists, user_stream

with warnings.catch_warnings():
    # It imports names that the package websockets has deprecated.
    warnings.simplefilter("ignore", DeprecationWarning)
    from binance import AsyncClient
    from binance.ws.reconnecting_websocket import ReconnectingWebsocket

    from tests.venues.fidelity.through_python_binance import PythonBinance, PythonBinanceListener, sockets, subclass

WAYS = ("address", "proxy")
KEYS = (CREDENTIALS["apiKey"], CREDENTIALS["secret"])


@pytest.fixture(autouse=True)
def ends_soon(monkeypatch):
    """A socket that is closed looks up from its reading only this often, in seconds; ten otherwise."""
    monkeypatch.setattr(ReconnectingWebsocket, "TIMEOUT", 1)


@contextlib.asynccontextmanager
async def client_of(world, way, monkeypatch):
    """Give a client whose every address is the exchange's; through the proxy only the environment is changed."""
    if way == "address":
        client = await subclass(world.url).create(*KEYS)
    else:
        monkeypatch.setenv("SSL_CERT_FILE", str(world.ca_file))
        monkeypatch.setenv("HTTPS_PROXY", world.proxy_url)  # its sockets read it; `https_proxy=` needs another package
        trusting = aiohttp.TCPConnector(ssl=ssl.create_default_context(cafile=world.ca_file))
        client = await AsyncClient.create(*KEYS, session_params={"trust_env": True, "connector": trusting})
    try:
        yield client
    finally:
        await client.close_connection()


@pytest.mark.parametrize("way", WAYS)
def test_completes_the_session(world, way, monkeypatch):
    async def session():
        async with client_of(world, way, monkeypatch) as inner:
            client = PythonBinance(inner)
            last = await market_data(client, world.rows, instrument=world.instrument)
            await order_life(client, last)
            await order_lists(client, last)

    asyncio.run(session())
    assert set(world.hosts) == ({"api.binance.com:443"} if way == "proxy" else set())


@pytest.mark.parametrize("way", WAYS)
def test_hears_of_its_account(world, way, monkeypatch):
    async def session():
        async with client_of(world, way, monkeypatch) as inner:
            listener = PythonBinanceListener(inner)
            async with sockets(inner, world.url if way == "address" else None).user_socket() as socket:
                reading = asyncio.create_task(listener.read(socket))
                await user_stream(PythonBinance(inner), listener)
                reading.cancel()
                await asyncio.gather(reading, return_exceptions=True)

    asyncio.run(session())


@pytest.mark.parametrize("way", WAYS)
def test_hears_the_market(world, way, monkeypatch):
    async def session():
        async with client_of(world, way, monkeypatch) as inner:
            manager = sockets(inner, world.url if way == "address" else None)
            async with manager.trade_socket(VENUE_SYMBOL) as socket:
                await inner.order_market_buy(symbol=VENUE_SYMBOL, quantity="0.1")
                heard = await asyncio.wait_for(socket.recv(), 5)
                assert (heard["e"], heard["s"], heard["q"]) == ("trade", VENUE_SYMBOL, "0.10000000")

    asyncio.run(session())


def test_orders_over_the_websocket_api(world, monkeypatch):
    async def session():
        async with client_of(world, "address", monkeypatch) as inner:
            low = f"{world.rows[-1][1] * 0.9:.2f}"
            order = await inner.ws_order_limit_buy(
                symbol=VENUE_SYMBOL, quantity="0.1", price=low, newClientOrderId="by-ws"
            )
            assert (await inner.ws_get_order(symbol=VENUE_SYMBOL, orderId=order["orderId"]))["status"] == "NEW"
            cancelled = await inner.ws_cancel_order(symbol=VENUE_SYMBOL, origClientOrderId="by-ws")
            assert cancelled["status"] == "CANCELED"

    asyncio.run(session())


def numbers(answer):
    """Yield every text of an answer that is a number."""
    if isinstance(answer, dict | list):
        for value in answer.values() if isinstance(answer, dict) else answer:
            yield from numbers(value)
    elif isinstance(answer, str) and re.fullmatch(r"-?[0-9.]+(E[-+]?[0-9]+)?", answer, re.IGNORECASE):
        yield answer


def test_every_amount_has_eight_decimals_and_no_exponent(world, monkeypatch):
    async def session():
        async with client_of(world, "address", monkeypatch) as inner:
            terms = {"symbol": VENUE_SYMBOL, "side": "SELL"}
            answers = [
                await inner.create_order(**terms, type="MARKET", quantity="5"),  # what is left is nothing
                await inner.get_account(),
                await inner.get_my_trades(symbol=VENUE_SYMBOL),
                await inner.get_all_orders(symbol=VENUE_SYMBOL),
                await inner.get_ticker(symbol=VENUE_SYMBOL) | {"priceChangePercent": None},  # which has three
                await inner.get_order_book(symbol=VENUE_SYMBOL),
                [row[:-1] for row in await inner.get_klines(symbol=VENUE_SYMBOL, interval="1h")],
            ]
            return [list(numbers(answer)) for answer in answers]

    found = asyncio.run(session())
    assert all(found)
    assert [text for texts in found for text in texts if not re.fullmatch(r"-?[0-9]+[.][0-9]{8}", text)] == []
