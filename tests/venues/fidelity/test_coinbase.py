"""ccxt's Coinbase client completes its session against the second skin of the same exchange."""

import asyncio
from decimal import Decimal

import ccxt
import ccxt.async_support
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from atb.engine.policy import ExecutionModel
from atb.venues.simulator.configuration import Key
from atb.venues.simulator.server import running_exchange
from tests.venues.fidelity.conftest import COINBASE_KEY, config, hours_until_now, rows_of

SYMBOL = "BTC/USD"
WAYS = ("address", "proxy")


@pytest.fixture(scope="module")
def pem():
    key = ec.generate_private_key(ec.SECP256R1())
    return key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption()).decode()


@pytest.fixture
def bars():
    return hours_until_now(SYMBOL)


@pytest.fixture
def running(bars, pem, tmp_path):
    costs = ExecutionModel(fee=0.006, maker_fee=0.004)
    changes = {"keys": (Key(COINBASE_KEY, pem),), "execution": costs, "fee_in": "quote"}
    with running_exchange(config(bars, **changes), ca_file=tmp_path / "ca.pem") as exchange:
        exchange.ca_file = tmp_path / "ca.pem"
        yield exchange


def client_of(running, pem, way, **changes):
    settings = {"apiKey": COINBASE_KEY, "secret": pem, "timeout": 5_000, "enableRateLimit": False} | changes
    if way == "proxy":
        return ccxt.async_support.coinbase(settings | {"httpsProxy": running.proxy_url, "cafile": str(running.ca_file)})
    client = ccxt.async_support.coinbase(settings)
    client.urls["api"]["rest"] = running.url
    return client


def talk(running, pem, conversation, *, way="address", **changes):
    """Run a conversation with a client, and close it."""

    async def session():
        client = client_of(running, pem, way, **changes)
        try:
            return await conversation(client)
        finally:
            await client.close()

    return asyncio.run(session())


@pytest.mark.parametrize("way", WAYS)
def test_completes_the_session(running, bars, pem, way):
    async def session(client):
        market = (await client.load_markets())[SYMBOL]
        assert (market["id"], market["precision"]["price"], market["taker"]) == ("BTC-USD", 0.01, 0.006)
        candles, rows = await client.fetch_ohlcv(SYMBOL, "1h", limit=6), rows_of(bars)
        assert [row[:5] for row in candles[:-1]] == [row[:5] for row in rows[-len(candles) : -1]]
        last = (await client.fetch_ticker(SYMBOL))["last"]
        assert last == rows[-1][1]
        book = await client.fetch_order_book(SYMBOL)
        assert book["bids"][0][0] < book["asks"][0][0]

        low = round(last * 0.9, 2)
        order = await client.create_order(SYMBOL, "limit", "buy", 0.5, low, {"client_order_id": "my-limit"})
        fetched = await client.fetch_order(order["id"], SYMBOL)
        values = (fetched["clientOrderId"], fetched["status"], fetched["price"], fetched["amount"])
        assert values == ("my-limit", "open", low, 0.5)
        assert [one["id"] for one in await client.fetch_open_orders(SYMBOL)] == [order["id"]]
        balance = await client.fetch_balance({"v3": True})  # version 2 knows no holds
        assert balance["USD"]["used"] >= 0.5 * low
        await client.cancel_order(order["id"], SYMBOL)
        assert (await client.fetch_order(order["id"]))["status"] == "canceled"
        assert await client.fetch_open_orders(SYMBOL) == []

        sold = await client.create_order(SYMBOL, "market", "sell", 0.2, None, {"client_order_id": "my-sale"})
        closed = await client.fetch_order(sold["id"])
        assert (closed["status"], closed["filled"], closed["type"]) == ("closed", 0.2, "market")
        (trade,) = await client.fetch_my_trades(SYMBOL)
        assert (trade["order"], trade["amount"], trade["fee"]["currency"]) == (sold["id"], 0.2, "USD")
        assert trade["fee"]["cost"] == pytest.approx(0.006 * trade["cost"])
        after = await client.fetch_balance()
        assert after["USD"]["free"] == pytest.approx(10_000 + trade["cost"] - trade["fee"]["cost"])
        assert after["BTC"]["free"] == pytest.approx(4.8)

    talk(running, pem, session, way=way)


def test_a_client_id_is_good_for_one_order_ever(running, bars, pem):
    async def session(client):
        await client.load_markets()
        low, same = round(rows_of(bars)[-1][1] * 0.9, 2), {"client_order_id": "once"}
        first = await client.create_order(SYMBOL, "limit", "buy", 0.5, low, same)
        again = await client.create_order(SYMBOL, "limit", "buy", 0.5, low, same)
        await client.cancel_order(first["id"])
        later = await client.create_order(SYMBOL, "limit", "buy", 0.5, low, same)
        assert first["id"] == again["id"] == later["id"]
        assert len(await client.fetch_orders(SYMBOL)) == 1

    talk(running, pem, session)


def test_an_order_whose_answer_was_lost_is_found_by_listing(running, bars, pem):
    async def session(client):
        await client.load_markets()
        low = round(rows_of(bars)[-1][1] * 0.9, 2)
        for k in range(5):
            await client.create_order(SYMBOL, "limit", "buy", 0.1, low, {"client_order_id": f"mine-{k}"})
        found, cursor = [], None
        while not found:
            page = await client.fetch_orders(SYMBOL, limit=2, params={"cursor": cursor} if cursor else {})
            found = [row for row in page if row["clientOrderId"] == "mine-1"]
            cursor = page[0]["info"].get("cursor") or next(
                (row["info"]["cursor"] for row in page if "cursor" in row["info"]), None
            )
        assert found[0]["status"] == "open"

    talk(running, pem, session)


def test_ccxts_own_client_id_parameter_is_not_the_venues(running, bars, pem):
    async def session(client):
        await client.load_markets()
        low = round(rows_of(bars)[-1][1] * 0.9, 2)
        order = await client.create_order(SYMBOL, "limit", "buy", 0.1, low, {"clientOrderId": "unseen"})
        return await client.fetch_order(order["id"])

    assert talk(running, pem, session)["clientOrderId"].startswith("ccxt-")


def test_a_stop_rests_and_is_told_as_one(running, bars, pem):
    async def session(client):
        await client.load_markets()
        last = rows_of(bars)[-1][1]
        stop = round(last * 0.9, 2)
        terms = {"stopLossPrice": stop, "client_order_id": "my-stop"}
        order = await client.create_order(SYMBOL, "limit", "sell", 0.5, round(stop * 0.99, 2), terms)
        fetched = await client.fetch_order(order["id"])
        assert (fetched["status"], fetched["triggerPrice"], fetched["filled"]) == ("open", stop, 0.0)
        assert fetched["info"]["trigger_status"] == "STOP_PENDING"
        assert (await client.fetch_balance({"v3": True}))["BTC"]["used"] == 0.5

    talk(running, pem, session)


@pytest.mark.parametrize(
    ("order", "error"),
    [
        (("limit", "buy", 1_000_000, 90), ccxt.InsufficientFunds),
        (("market", "sell", 100, None), ccxt.InsufficientFunds),
        (("limit", "buy", 0.00001, 90), ccxt.ExchangeError),
    ],
)
def test_refuses_in_coinbases_words(running, pem, order, error):
    async def session(client):
        await client.load_markets()
        await client.create_order(SYMBOL, *order)

    with pytest.raises(error):
        talk(running, pem, session)


def test_who_signs_with_another_key_is_nobody(running):
    key = ec.generate_private_key(ec.SECP256R1())
    other = key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption()).decode()

    async def session(client):
        await client.fetch_balance()

    with pytest.raises(ccxt.AuthenticationError):
        talk(running, other, session)


def test_tells_its_fee_rates_and_permissions(running, pem):
    async def session(client):
        fees = await client.v3PrivateGetBrokerageTransactionSummary()
        rights = await client.v3PrivateGetBrokerageKeyPermissions()
        return fees["fee_tier"], rights

    tier, rights = talk(running, pem, session)
    assert (Decimal(tier["taker_fee_rate"]), Decimal(tier["maker_fee_rate"])) == (Decimal("0.006"), Decimal("0.004"))
    assert (rights["can_trade"], rights["can_transfer"]) == (True, False)
