"""ccxt, which is not ours, completes the whole session: asynchronous and synchronous, by address and through the proxy."""

import asyncio

import pytest

from tests.venues.fidelity.conftest import CREDENTIALS
from tests.venues.fidelity.session import market_data, order_life, order_lists, until, user_stream
from tests.venues.fidelity.through_ccxt import Ccxt, CcxtListener, closing, make

WAYS = ("address", "proxy")


def client_of(world, flavour, way):
    """Return a client that reaches the exchange one way or the other; through the proxy nothing else is changed."""
    if way == "address":
        return make(flavour, CREDENTIALS, url=world.url)
    proxies = {"httpsProxy": world.proxy_url} | ({"wssProxy": world.proxy_url} if flavour == "pro" else {})
    if flavour == "sync":
        return make(flavour, CREDENTIALS, **proxies, requests_trust_env=True)
    return make(flavour, CREDENTIALS, **proxies, cafile=str(world.ca_file))


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("flavour", ["sync", "async"])
def test_completes_the_session(world, flavour, way, monkeypatch):
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(world.ca_file))

    async def session():
        async with closing(client_of(world, flavour, way)) as exchange:
            client = Ccxt(exchange)
            last = await market_data(client, world.rows, instrument=world.instrument)
            await order_life(client, last)
            await order_lists(client, last)

    asyncio.run(session())
    assert set(world.hosts) == ({"api.binance.com:443"} if way == "proxy" else set())


@pytest.mark.parametrize("way", WAYS)
def test_hears_of_its_account_over_one_websocket(world, way):
    async def session():
        async with closing(client_of(world, "pro", way)) as exchange:
            await exchange.load_markets()
            async with CcxtListener(exchange) as listener:
                await until(lambda: world.hears("user"))
                await user_stream(Ccxt(exchange), listener)
                await until(lambda: [trade["amount"] for trade in listener.trades] == [0.1])

    asyncio.run(session())
    sockets = [host for host in world.hosts if not host.startswith("api.")]
    assert sockets == (["ws-api.binance.com:443"] if way == "proxy" else [])


@pytest.mark.parametrize("way", WAYS)
def test_orders_over_the_websocket_api(world, way):
    async def session():
        async with closing(client_of(world, "pro", way)) as exchange:
            await exchange.load_markets()
            low = world.rows[-1][1] * 0.9
            order = await exchange.create_order_ws("BTC/USDT", "limit", "buy", 0.1, low, {"clientOrderId": "by-ws"})
            assert (order["clientOrderId"], order["status"]) == ("by-ws", "open")
            assert (await exchange.fetch_order_ws(order["id"], "BTC/USDT"))["status"] == "open"
            assert [one["id"] for one in await exchange.fetch_open_orders_ws("BTC/USDT")] == [order["id"]]
            assert (await exchange.cancel_order_ws(order["id"], "BTC/USDT"))["status"] == "canceled"
            bought = await exchange.create_order_ws("BTC/USDT", "market", "buy", 0.1)
            assert bought["status"] == "closed"
            trades = await exchange.fetch_my_trades_ws("BTC/USDT")
            assert [trade["order"] for trade in trades] == [bought["id"]]
            balances = (await exchange.fetch_balance_ws())["info"]["balances"]  # ccxt reads it as a futures account's
            assert {row["asset"]: row["free"] for row in balances}["BTC"] == "5.09990000"

    asyncio.run(session())


@pytest.mark.parametrize("way", WAYS)
def test_watches_trades(world, way):
    async def session():
        async with closing(client_of(world, "pro", way)) as exchange:
            await exchange.load_markets()
            watching = asyncio.create_task(exchange.watch_trades("BTC/USDT"))
            await until(lambda: world.hears("btcusdt@trade"))
            await exchange.create_order("BTC/USDT", "market", "buy", 0.1)
            trades = await asyncio.wait_for(watching, 5)
            assert [trade["amount"] for trade in trades] == [0.1]

    asyncio.run(session())
    assert ("stream.binance.com:9443" in world.hosts) == (way == "proxy")
