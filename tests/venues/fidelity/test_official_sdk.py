"""Binance's own client completes the whole session, and its typed models accept every answer."""

import asyncio
import contextlib

import pytest

from tests.venues.fidelity.conftest import CREDENTIALS
from tests.venues.fidelity.session import VENUE_SYMBOL, market_data, order_life, order_lists, until, user_stream
from tests.venues.fidelity.through_official_sdk import OfficialSdk, SdkListener, make

WAYS = ("address", "proxy")
# The SDK keeps its HTTP session to itself and never closes it; its sockets end when it is collected.
pytestmark = [
    pytest.mark.filterwarnings("ignore:unclosed.*<s:ResourceWarning"),
    # It gives aiohttp its time-out in a form that aiohttp has deprecated.
    pytest.mark.filterwarnings("ignore:parameter 'timeout' of type 'float' is deprecated:DeprecationWarning"),
]


@contextlib.contextmanager
def client_of(world, way):
    client = (
        make(CREDENTIALS, url=world.url)
        if way == "address"
        else make(CREDENTIALS, proxy_port=world.proxy_port, ca=str(world.ca_file))
    )
    try:
        yield client
    finally:
        client.rest_api._session.close()


@pytest.mark.parametrize("way", ["address", pytest.param("proxy", marks=pytest.mark.slow)])
def test_completes_the_session(world, way):
    async def session(client):
        client = OfficialSdk(client)
        last = await market_data(client, world.rows, instrument=world.instrument)
        await order_life(client, last)
        await order_lists(client, last)

    with client_of(world, way) as client:
        asyncio.run(session(client))
    assert set(world.hosts) == ({"api.binance.com:443"} if way == "proxy" else set())


@pytest.mark.parametrize("way", WAYS)
def test_hears_of_its_account(world, way):
    async def session(client):
        async with SdkListener(client) as listener:
            await user_stream(OfficialSdk(client), listener)

    with client_of(world, way) as client:
        asyncio.run(session(client))


def test_orders_over_the_websocket_api(world):
    async def session(client):
        api = client.websocket_api
        await api.create_connection()
        try:
            low = round(world.rows[-1][1] * 0.9, 2)
            terms = {"side": "BUY", "type": "LIMIT", "time_in_force": "GTC", "price": low, "quantity": 0.1}
            placed = (await api.order_place(VENUE_SYMBOL, **terms, new_client_order_id="by-ws")).data().result
            assert placed.client_order_id == "by-ws"
            status = (await api.order_status(VENUE_SYMBOL, order_id=placed.order_id)).data().result
            assert status.status == "NEW"
            cancelled = (await api.order_cancel(VENUE_SYMBOL, order_id=placed.order_id)).data().result
            assert cancelled.status == "CANCELED"
        finally:
            await api.close_connection()

    with client_of(world, "address") as client:
        asyncio.run(session(client))


@pytest.mark.parametrize("way", WAYS)
def test_hears_the_market(world, way):
    async def session(client):
        streams, heard = client.websocket_streams, []
        await streams.create_connection()
        try:
            trades = await streams.trade(symbol=VENUE_SYMBOL.lower())
            trades.on("message", heard.append)
            await until(lambda: world.hears("btcusdt@trade"))
            client.rest_api.new_order(VENUE_SYMBOL, "BUY", "MARKET", quantity=0.1)
            await until(lambda: [(trade.s, trade.q) for trade in heard] == [(VENUE_SYMBOL, "0.10000000")])
        finally:
            await streams.close_connection()

    with client_of(world, way) as client:
        asyncio.run(session(client))
