"""The WebSocket API: the same orders as over REST, the account's stream, and the same faults."""

import asyncio

import pytest

from atb.venues.simulator.faults import Fault
from atb.venues.simulator.server import running_exchange
from tests.timeouts import PATIENCE_S
from tests.venues.simulator.websocket_client import BARS, HOUR, START, connected, exchange, talk

PATH = "/ws-api/v3"
LIMIT = {"symbol": "BTCUSDT", "side": "BUY", "type": "LIMIT", "timeInForce": "GTC", "quantity": "0.5"}
LOW = f"{BARS.frame['open'].iloc[20] * 0.9:.2f}"
MARKET = {"symbol": "BTCUSDT", "side": "BUY", "type": "MARKET", "quantity": "0.2"}


@pytest.fixture
def running():
    with running_exchange(exchange()) as running:
        yield running


def test_orders_as_rest_does(running):
    async def order(socket):
        placed = await socket.ask("order.place", **LIMIT, price=LOW, newClientOrderId="mine")
        tested = await socket.ask("order.test", **MARKET)
        found = await socket.ask("order.status", symbol="BTCUSDT", origClientOrderId="mine")
        resting = await socket.ask("openOrders.status", symbol="BTCUSDT")
        gone = await socket.ask("order.cancel", symbol="BTCUSDT", origClientOrderId="mine")
        bought = await socket.ask("order.place", **MARKET)
        trades = await socket.ask("myTrades", symbol="BTCUSDT")
        return placed, tested, found, resting, gone, bought, trades

    answers = talk(running, PATH, order)
    assert [answer["status"] for answer in answers] == [200] * 7
    placed, tested, found, resting, gone, bought, trades = (answer["result"] for answer in answers)
    assert (placed["clientOrderId"], found["status"], gone["status"]) == ("mine", "NEW", "CANCELED")
    assert tested == {}
    assert [row["clientOrderId"] for row in resting] == ["mine"]
    assert (bought["status"], bought["fills"][0]["qty"]) == ("FILLED", "0.20000000")
    assert [trade["orderId"] for trade in trades] == [bought["orderId"]]
    assert {"rateLimitType", "interval", "intervalNum", "limit", "count"} <= set(answers[0]["rateLimits"][0])


def test_asks_the_market_without_a_signature(running):
    async def ask(socket):
        time = await socket.ask("time", signed=False)
        ping = await socket.ask("ping", signed=False, returnRateLimits=False)
        candles = await socket.ask("klines", signed=False, symbol="BTCUSDT", interval="1h", limit=2)
        return time["result"], ping, [row[0] for row in candles["result"]]

    time, ping, opened = talk(running, PATH, ask)
    assert time == {"serverTime": START}
    assert ping == {"id": 2, "status": 200, "result": {}}
    assert opened == BARS.opened_ms[19:21].tolist()


@pytest.mark.parametrize(
    ("method", "params", "status", "code"),
    [
        ("order.place", LIMIT | {"price": LOW, "secret": "wrong"}, 400, -1022),
        ("order.place", LIMIT | {"price": LOW, "key": "other"}, 401, -2015),
        ("order.place", LIMIT | {"price": LOW, "now": START - 6_000}, 400, -1021),
        ("order.place", LIMIT | {"price": LOW, "signed": False}, 401, -2014),
        ("order.place", LIMIT, 400, -1102),
        ("order.place", MARKET | {"quantity": "500"}, 400, -2010),
        ("order.status", {"symbol": "BTCUSDT", "orderId": 9}, 400, -2013),
        ("userDataStream.subscribe.signature", {"secret": "wrong"}, 400, -1022),
        ("session.sing", {}, 400, -1000),
    ],
)
def test_refuses_as_rest_does(running, method, params, status, code):
    answer = talk(running, PATH, lambda socket: socket.ask(method, **params))
    assert (answer["status"], answer["error"]["code"]) == (status, code)
    assert running.ledger("order") == []


@pytest.mark.parametrize("kind", ["rate_limit", "ban"])
def test_a_refusal_has_the_time_from_which_the_client_may_send_again(kind):
    with running_exchange(exchange(faults=[Fault(kind, "order.place", retry_after_s=7)])) as running:
        answer = talk(running, PATH, lambda socket: socket.ask("order.place", **MARKET))
    assert answer["status"] == (429 if kind == "rate_limit" else 418)
    assert answer["error"]["data"] == {"serverTime": START, "retryAfter": START + 7_000}


def test_a_reply_to_an_order_is_a_frame_of_the_stream_orders():
    async def ask(socket):
        await socket.say(id=1, method="ping")
        ping = await socket.hear()
        await socket.ask("order.place", **MARKET)
        return ping["status"], (await socket.hear())["result"]["status"]

    with running_exchange(exchange(faults=[Fault("duplicate", "orders")])) as running:
        assert talk(running, PATH, ask) == (200, "FILLED")
        assert [(row["stream"], row["event"], row["fate"]) for row in running.ledger("frame")] == [
            ("orders", "order.place", "duplicate")
        ]


@pytest.mark.parametrize("said", ["{", '{"id": 1}', "[]", '{"id": 1, "method": "time", "params": 3}'])
def test_refuses_what_is_no_request(running, said):
    async def ask(socket):
        await socket.ws.send_str(said)
        return await socket.hear()

    assert talk(running, PATH, ask)["status"] == 400


def test_tells_what_happens_on_the_account(running):
    async def listen(socket):
        number = (await socket.ask("userDataStream.subscribe.signature"))["result"]["subscriptionId"]
        listed = await socket.ask("session.subscriptions")
        await asyncio.to_thread(running.call, lambda: running.exchange.trading.transfer("BTC", BARS_OF_GOLD))
        frames = await socket.hear_all(2)
        await socket.say(id=9, method="orderList.place.oco", params={})
        return number, listed["result"], frames

    from decimal import Decimal

    BARS_OF_GOLD = Decimal("0.5")
    number, listed, frames = talk(running, PATH, listen)
    assert (number, listed) == (0, [{"subscriptionId": 0}])
    assert [(frame["subscriptionId"], frame["event"]["e"]) for frame in frames] == [
        (0, "balanceUpdate"),
        (0, "outboundAccountPosition"),
    ]
    assert frames[1]["event"]["B"] == [{"a": "BTC", "f": "5.50000000", "l": "0.00000000"}]


def test_tells_of_lists_of_orders(running):
    price = BARS.frame["open"].iloc[20]
    pair = {"symbol": "BTCUSDT", "side": "SELL", "quantity": "0.1", "listClientOrderId": "pair"}
    pair |= {"aboveType": "LIMIT_MAKER", "abovePrice": f"{price * 1.2:.2f}", "aboveClientOrderId": "target"}
    pair |= {"belowType": "STOP_LOSS", "belowStopPrice": f"{price * 0.8:.2f}", "belowClientOrderId": "stop"}

    async def listen(ordering):
        async with connected(running.url, PATH) as listening:
            await listening.ask("userDataStream.subscribe.signature")
            placed = await ordering.ask("orderList.place.oco", **pair)
            frames = await listening.hear_all(4)
            await ordering.ask("orderList.cancel", symbol="BTCUSDT", listClientOrderId="pair")
            return placed, [frame["event"] for frame in frames], [f["event"] for f in await listening.hear_all(4)]

    placed, begun, ended = talk(running, PATH, listen)
    assert placed["status"] == 200
    assert sorted(event["e"] for event in begun) == [
        "executionReport", "executionReport", "listStatus", "outboundAccountPosition",
    ]  # fmt: skip
    (status,) = [event for event in begun if event["e"] == "listStatus"]
    assert (status["C"], status["c"], {row["c"] for row in status["O"]}) == ("pair", "OCO", {"stop", "target"})
    assert [event["L"] for event in ended if event["e"] == "listStatus"] == ["ALL_DONE"]


def test_ends_a_subscription_with_a_last_event(running):
    async def listen(socket):
        for _ in range(3):
            await socket.ask("userDataStream.subscribe.signature")
        frames = []
        await socket.say(id="one", method="userDataStream.unsubscribe", params={"subscriptionId": 1})
        frames += await socket.hear_all(2)
        await socket.say(id="all", method="userDataStream.unsubscribe")
        return frames + await socket.hear_all(3)

    frames = talk(running, PATH, listen)
    ended = [frame["subscriptionId"] for frame in frames if "event" in frame]
    assert ended == [1, 0, 2]
    assert {frame["event"]["e"] for frame in frames if "event" in frame} == {"eventStreamTerminated"}
    assert [frame["id"] for frame in frames if "id" in frame] == ["one", "all"]


def test_each_subscription_hears_everything(running):
    async def listen(socket):
        await socket.ask("userDataStream.subscribe.signature")
        await socket.ask("userDataStream.subscribe.signature")
        running.advance(START + HOUR)
        await socket.say(id=1, method="ping")
        quiet = await socket.hear()
        async with connected(running.url, PATH) as other:
            await other.ask("order.place", **MARKET, now=START + HOUR)
        return quiet, [(frame["subscriptionId"], frame["event"]["e"]) for frame in await socket.hear_all(6)]

    quiet, frames = talk(running, PATH, listen)
    assert quiet["result"] == {}  # the market's own events are not the account's
    assert frames == [
        (k, name) for name in ("executionReport", "executionReport", "outboundAccountPosition") for k in (0, 1)
    ]


class TestFaults:
    """Faults on requests over a WebSocket, and on the account's stream."""

    def ordered(self, *faults):
        """Return the response to an order under these faults, and the order's final status."""

        async def order(socket):
            await socket.say(**await self.signed())
            try:
                message = await asyncio.wait_for(socket.ws.receive(), 0.3)
            except TimeoutError:
                return "silence"
            return message.data if isinstance(message.data, str) else "end"

        with running_exchange(exchange(faults=list(faults))) as running:
            answer = talk(running, PATH, order)
            return answer, [order.status for order in running.exchange.trading.book.orders.values()]

    async def signed(self):
        from tests.venues.simulator.websocket_client import Socket

        said = []

        class Recorder(Socket):
            async def say(self, **frame):
                said.append(frame)

            async def hear(self, *, within=PATIENCE_S):
                return {"id": self._number}

        await Recorder(None).ask("order.place", **MARKET)
        return said[0]

    @pytest.mark.parametrize("name", ["order.place", "/api/v3/order", "POST /api/v3/order", "*"])
    def test_an_answer_is_lost_after_the_order_was_executed(self, name):
        assert self.ordered(Fault("lost", name)) == ("end", ["FILLED"])

    def test_an_answer_never_comes(self):
        assert self.ordered(Fault("held_after", "order.place")) == ("silence", ["FILLED"])
        assert self.ordered(Fault("held", "order.place")) == ("silence", [])

    def test_half_an_answer_comes(self):
        answer, states = self.ordered(Fault("truncated", "order.place"))
        assert states == ["FILLED"]
        assert answer.startswith('{"id":1,"status":200')
        assert not answer.endswith("}")

    def test_an_error_says_that_it_knows_nothing(self):
        answer, states = self.ordered(Fault("error_after", "order.place", detail={"code": -1007, "status": 504}))
        assert '"status":504' in answer
        assert "-1007" in answer
        assert states == ["FILLED"]

    def test_the_accounts_stream_loses_an_event(self):
        async def listen(socket):
            await socket.ask("userDataStream.subscribe.signature")
            async with connected(running.url, PATH) as other:
                await other.ask("order.place", **MARKET)
            return [(f["event"]["e"], f["event"].get("X")) for f in await socket.hear_all(2)], await socket.silent()

        with running_exchange(exchange(faults=[Fault("gap", "executionReport", after=1)])) as running:
            frames, silent = talk(running, PATH, listen)
        assert frames == [("executionReport", "NEW"), ("outboundAccountPosition", None)]
        assert silent

    def test_the_accounts_stream_is_dropped(self):
        async def listen(socket):
            await socket.ask("userDataStream.subscribe.signature")
            async with connected(running.url, PATH) as other:
                answer = await other.ask("order.place", **MARKET)
            return answer["status"], await socket.ended()

        with running_exchange(exchange(faults=[Fault("drop", "user")])) as running:
            assert talk(running, PATH, listen) == (200, True)
