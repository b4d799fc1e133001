"""Real ccxt against the simulated exchange: the client that most bots use, pointed at it by its URLs alone."""

import asyncio
from decimal import Decimal

import ccxt.async_support as ccxt
import pytest

from atb.venues.simulator.faults import Fault
from atb.venues.simulator.server import running_exchange
from tests.venues.simulator.client import HOUR, closes, config_of

FRAME = closes(100, 101, 105, 98, 90, 120, 110, 110)
OPTIONS = {"fetchCurrencies": False, "fetchMargins": False, "fetchMarkets": {"types": ["spot"]}}


@pytest.fixture
def running():
    with running_exchange(config_of(FRAME, balances={"USDT": Decimal(1_000)}, fee_in="quote")) as exchange:
        yield exchange


def client_of(running):
    """Return ccxt pointed at the exchange, with the exchange's time as its own."""
    client = ccxt.binance({"apiKey": "key", "secret": "secret", "timeout": 2_000, "options": OPTIONS})
    client.enableRateLimit = False
    for name in ("public", "private", "v1"):
        client.urls["api"][name] = f"{running.url}/api/v3"
    for name in ("sapi", "sapiV2", "sapiV3", "sapiV4"):
        client.urls["api"][name] = f"{running.url}/sapi/v1"
    client.milliseconds = running.exchange.server_ms
    return client


def play(running, session):
    """Run a session of the client, and close it."""

    async def run():
        client = client_of(running)
        try:
            await client.load_markets()
            return await session(client)
        finally:
            await client.close()

    return asyncio.run(run())


def test_the_market_is_read(running):
    async def session(client):
        market = client.market("BTC/USDT")
        assert (market["precision"]["price"], market["precision"]["amount"]) == (0.01, 0.001)
        assert (market["limits"]["cost"]["min"], market["limits"]["amount"]["min"]) == (5.0, 0.001)
        assert market["active"]
        rows = await client.fetch_ohlcv("BTC/USDT", "1h")
        assert rows == [[running.exchange.now_ms(), 100.0, 100.0, 100.0, 100.0, 0.0]]
        ticker = await client.fetch_ticker("BTC/USDT")
        assert (ticker["last"], ticker["bid"], ticker["ask"]) == (100.0, 100.0, 100.01)
        book = await client.fetch_order_book("BTC/USDT")
        assert book["bids"][0][0] == 100.0

    play(running, session)


def test_a_market_order_is_filled_with_its_trades_and_fees(running):
    async def session(client):
        order = await client.create_order("BTC/USDT", "market", "buy", 2, None, {"newClientOrderId": "atb-m"})
        assert (order["status"], order["filled"], order["average"], order["clientOrderId"]) == (
            "closed",
            2,
            100,
            "atb-m",
        )
        assert order["fee"] == {"currency": "USDT", "cost": 0.2}
        trades = await client.fetch_my_trades("BTC/USDT")
        assert [(trade["order"], trade["amount"], trade["price"]) for trade in trades] == [(order["id"], 2.0, 100.0)]
        balance = await client.fetch_balance()
        assert (balance["BTC"]["free"], balance["USDT"]["free"]) == (2.0, 799.8)

    play(running, session)


def test_a_limit_order_is_found_by_its_client_id_and_cancelled(running):
    async def session(client):
        order = await client.create_order("BTC/USDT", "limit", "buy", 1, 95, {"newClientOrderId": "atb-l"})
        assert order["status"] == "open"
        found = await client.fetch_order(None, "BTC/USDT", {"clientOrderId": "atb-l"})
        assert (found["id"], found["price"]) == (order["id"], 95)
        assert [row["id"] for row in await client.fetch_open_orders("BTC/USDT")] == [order["id"]]
        assert (await client.fetch_balance())["USDT"]["used"] == 95.095
        assert (await client.cancel_order(order["id"], "BTC/USDT"))["status"] == "canceled"
        with pytest.raises(ccxt.OrderNotFound):
            await client.cancel_order(order["id"], "BTC/USDT")
        with pytest.raises(ccxt.OrderNotFound):
            await client.fetch_order(None, "BTC/USDT", {"clientOrderId": "never"})

    play(running, session)


def test_a_stop_fills_while_time_passes(running):
    async def session(client):
        await client.create_order("BTC/USDT", "market", "buy", 2)
        stop = await client.create_order("BTC/USDT", "STOP_LOSS", "sell", 2, None, {"stopPrice": 97})
        await asyncio.to_thread(running.advance, running.exchange.now_ms() + 5 * HOUR - 1)
        found = await client.fetch_order(stop["id"], "BTC/USDT")
        assert (found["status"], found["average"]) == ("closed", 97)

    play(running, session)


def test_lists_of_orders_pass_through_its_implicit_methods(running):
    async def session(client):
        body = await client.privatePostOrderListOpoco({
            "symbol": "BTCUSDT", "listClientOrderId": "atb-list", "workingType": "LIMIT", "workingSide": "BUY",
            "workingPrice": "105", "workingQuantity": "2", "workingTimeInForce": "GTC", "workingClientOrderId": "atb-e",
            "pendingSide": "SELL", "pendingAboveType": "LIMIT_MAKER", "pendingAbovePrice": "110",
            "pendingAboveClientOrderId": "atb-t", "pendingBelowType": "STOP_LOSS", "pendingBelowStopPrice": "95",
            "pendingBelowClientOrderId": "atb-s",
        })  # fmt: skip
        assert [report["clientOrderId"] for report in body["orderReports"]] == ["atb-t", "atb-s", "atb-e"]
        assert {order["clientOrderId"] for order in await client.fetch_open_orders("BTC/USDT")} == {"atb-t", "atb-s"}
        cancelled = await client.privateDeleteOrderList({"symbol": "BTCUSDT", "listClientOrderId": "atb-list"})
        assert cancelled["listOrderStatus"] == "ALL_DONE"
        restrictions = await client.sapiGetAccountApiRestrictions()
        assert restrictions["enableWithdrawals"] is False

    play(running, session)


@pytest.mark.parametrize(
    ("params", "error"),
    [
        ({"amount": 50}, ccxt.InsufficientFunds),
        ({"amount": 0.001}, ccxt.BadRequest),
    ],
)
def test_refusals_are_its_own_errors(running, params, error):
    async def session(client):
        with pytest.raises(error):
            await client.create_order("BTC/USDT", "market", "buy", params["amount"])

    play(running, session)


def test_a_lost_answer_leaves_an_order_that_can_be_found(running):
    running.add_faults(Fault("lost", path="POST /api/v3/order"))

    async def session(client):
        with pytest.raises(ccxt.NetworkError):
            await client.create_order("BTC/USDT", "market", "buy", 1, None, {"newClientOrderId": "atb-lost"})
        found = await client.fetch_order(None, "BTC/USDT", {"clientOrderId": "atb-lost"})
        assert (found["status"], found["filled"]) == ("closed", 1)

    play(running, session)
