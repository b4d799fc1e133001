"""Orders and lists on the wire: Binance's parameters, exact numbers, our id on every leg."""

from decimal import Decimal

import pytest

from atb.domain.venue import OrderList
from atb.errors import InputError
from atb.venues.broker.binance import list_parameters
from tests.venues.broker.fake_exchange import NOW, Forgery, an_order, binance, in_loop, order_row

ENTRY, STOP = an_order(kind="limit"), an_order("stop", "stop")
TARGET = an_order("target", "limit", price=Decimal(60_000))
SIGNED = {"timestamp", "recvWindow", "signature"}


@pytest.mark.parametrize(
    ("order", "terms"),
    [
        (an_order(), {"type": "MARKET", "side": "BUY"}),
        (an_order(kind="limit"), {"type": "LIMIT", "timeInForce": "GTC", "price": "50000", "side": "BUY"}),
        (an_order("exit", "limit"), {"type": "LIMIT", "timeInForce": "GTC", "price": "50000", "side": "SELL"}),
        (STOP, {"type": "STOP_LOSS", "stopPrice": "45000", "side": "SELL"}),
        (an_order(kind="stop"), {"type": "STOP_LOSS", "stopPrice": "45000", "side": "BUY"}),
        (TARGET, {"type": "LIMIT", "timeInForce": "GTC", "price": "60000", "side": "SELL"}),
        (
            an_order(price=Decimal("51000.10")),
            {"type": "LIMIT", "timeInForce": "IOC", "price": "51000.1", "side": "BUY"},
        ),
        (
            an_order("exit", price=Decimal(49_000)),
            {"type": "LIMIT", "timeInForce": "IOC", "price": "49000", "side": "SELL"},
        ),
        (an_order("stop", "market"), {"type": "MARKET", "side": "SELL"}),
    ],
)
@in_loop
async def test_an_order_is_sent_with_exactly_these_parameters(order, terms):
    async with binance() as (broker, forged):
        forged.say("POST", "order", Forgery(order_row(order)))
        forged.say("POST", "test", Forgery({}))
        placed, checked = await broker.place(order), await broker.check(order)
        sent, tested = forged.asked("POST", "order")[0], forged.asked("POST", "test")[0]
    assert (placed.outcome, checked.outcome) == ("done", "done")
    known = {"symbol": "BTCUSDT", "quantity": "0.01", "newClientOrderId": order.client_id, "newOrderRespType": "FULL"}
    assert {name: value for name, value in sent.items() if name not in SIGNED} == known | terms
    assert {name: value for name, value in tested.items() if name not in SIGNED} == known | terms


@pytest.mark.parametrize(
    ("orders", "terms"),
    [
        (
            OrderList("atb-l0", "oco", (STOP, TARGET)),
            {
                "side": "SELL", "quantity": "0.01", "aboveType": "LIMIT_MAKER", "abovePrice": "60000",
                "aboveClientOrderId": "atb-test-t0", "belowType": "STOP_LOSS", "belowStopPrice": "45000",
                "belowClientOrderId": "atb-test-s0",
            },
        ),
        (
            OrderList("atb-l0", "opo", (ENTRY, STOP)),
            {
                "workingType": "LIMIT", "workingTimeInForce": "GTC", "workingPrice": "50000", "workingSide": "BUY",
                "workingQuantity": "0.01",
                "workingClientOrderId": "atb-test-e0", "pendingType": "STOP_LOSS", "pendingSide": "SELL",
                "pendingStopPrice": "45000",
                "pendingClientOrderId": "atb-test-s0",
            },
        ),
        (
            OrderList("atb-l0", "opoco", (an_order(price=Decimal(50_100)), STOP, TARGET)),
            {
                "workingType": "LIMIT", "workingTimeInForce": "IOC", "workingPrice": "50100", "workingSide": "BUY",
                "workingQuantity": "0.01",
                "workingClientOrderId": "atb-test-e0", "pendingSide": "SELL",
                "pendingAboveType": "LIMIT_MAKER", "pendingAbovePrice": "60000",
                "pendingAboveClientOrderId": "atb-test-t0", "pendingBelowType": "STOP_LOSS", "pendingBelowStopPrice": "45000",
                "pendingBelowClientOrderId": "atb-test-s0",
            },
        ),
    ],
)  # fmt: skip
@in_loop
async def test_a_list_is_sent_with_exactly_these_parameters(orders, terms):
    rows = [order_row(order, orderId=n, orderListId=7) for n, order in enumerate(orders.orders)]
    answer = {"orderListId": 7, "listClientOrderId": "atb-l0", "transactionTime": NOW, "orderReports": rows}
    async with binance() as (broker, forged):
        forged.say("POST", orders.kind, Forgery(answer))
        placed = await broker.place(orders)
        sent = forged.asked("POST", orders.kind)[0]
        forged.say("DELETE", "orderList", Forgery(answer))
        cancelled = await broker.cancel(orders)
        named = forged.asked("DELETE", "orderList")[0]["listClientOrderId"]
    known = {"symbol": "BTCUSDT", "listClientOrderId": "atb-l0", "newOrderRespType": "FULL"}
    assert {name: value for name, value in sent.items() if name not in SIGNED} == known | terms
    assert [(report.client_id, report.list_id) for report in placed.reports] == [
        (order.client_id, "atb-l0") for order in orders.orders
    ]
    assert (named, cancelled.outcome) == ("atb-l0", "done")


def test_a_short_positions_pair_has_its_stop_above():
    pair = (
        an_order("stop", "stop", "buy", stop_price=Decimal(55_000)),
        an_order("target", "limit", "buy", price=Decimal(40_000)),
    )
    sent = list_parameters(OrderList("l", "oco", pair), "BTCUSDT")
    assert (sent["aboveType"], sent["aboveStopPrice"], sent["belowType"], sent["belowPrice"]) == (
        "STOP_LOSS", "55000", "LIMIT_MAKER", "40000",
    )  # fmt: skip


@pytest.mark.parametrize(
    "orders",
    [
        OrderList("l", "oco", (STOP,)),
        OrderList("l", "oco", (ENTRY, STOP)),
        OrderList("l", "oco", (STOP, an_order("target", "limit", quantity=Decimal("0.02")))),
        OrderList("l", "opo", (an_order(), STOP)),
        OrderList("l", "opo", (ENTRY, STOP, TARGET)),
        OrderList("l", "opoco", (ENTRY, STOP)),
        OrderList("l", "oco", (STOP, an_order("target", "limit", price=None))),
    ],
)
def test_a_list_that_is_none_is_refused(orders):
    with pytest.raises(InputError):
        list_parameters(orders, "BTCUSDT")


@in_loop
async def test_cancelling_a_leg_tells_that_its_list_is_gone():
    rows = [order_row(order, orderId=n, orderListId=7, status="CANCELED") for n, order in enumerate((STOP, TARGET))]
    async with binance() as (broker, forged):
        forged.say("DELETE", "order", Forgery({"orderListId": 7, "listClientOrderId": "x", "orderReports": rows}))
        answer = await broker.cancel(STOP)
    assert [(report.client_id, report.state, report.list_id) for report in answer.reports] == [
        ("atb-test-s0", "cancelled", "7"), ("atb-test-t0", "cancelled", "7"),
    ]  # fmt: skip
