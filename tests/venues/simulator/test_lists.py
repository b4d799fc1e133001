"""Lists of orders: one cancels, triggers or pays the other; what is set aside, what expires, and in which order."""

from decimal import Decimal

import pytest

from atb.venues.simulator.configuration import BookDepth
from atb.venues.simulator.events import ExecutionReport, ListStatus
from tests.venues.simulator.client import HOUR, Asker, closes, exchange_of

PRICES = (100, 100, 105, 98, 90, 120, 110, 110)
OCO = {"aboveType": "LIMIT_MAKER", "abovePrice": 110, "belowType": "STOP_LOSS", "belowStopPrice": 95}
WORKING = {"workingType": "LIMIT", "workingSide": "BUY", "workingQuantity": 2, "workingTimeInForce": "GTC"}
ABOVE = {"pendingAboveType": "LIMIT_MAKER", "pendingAbovePrice": 110}
BELOW = {"pendingBelowType": "STOP_LOSS", "pendingBelowStopPrice": 95}


def asker(**settings):
    return Asker(exchange_of(closes(*PRICES), **({"balances": {"USDT": Decimal(1_000), "BTC": Decimal(2)}} | settings)))


def begun(ask):
    return int(ask.exchange.tapes["BTCUSDT"].market["opened"][0])


def reports(body):
    """Return a list answer's orders by type."""
    return {report["type"]: report for report in body["orderReports"]}


def present(ask, body):
    """Return the orders of a list's answer by type, as queries show them."""
    rows = [ask("GET", "order", symbol="BTCUSDT", orderId=order["orderId"])[1] for order in body["orders"]]
    return {row["type"]: row for row in rows}


def oco(ask, **params):
    return ask("POST", "orderList/oco", **({"symbol": "BTCUSDT", "side": "SELL", "quantity": 2} | OCO | params))


def opoco(ask, **params):
    terms = {"symbol": "BTCUSDT", "pendingSide": "SELL"} | WORKING | ABOVE | BELOW
    return ask("POST", "orderList/opoco", **(terms | params))


def test_a_pair_sets_aside_what_it_sells_once():
    ask = asker()
    status, body = oco(ask, listClientOrderId="l-1", aboveClientOrderId="a-1", belowClientOrderId="b-1")
    assert (status, body["contingencyType"], body["listStatusType"], body["listOrderStatus"]) == (
        200, "OCO", "EXEC_STARTED", "EXECUTING",
    )  # fmt: skip
    assert (body["listClientOrderId"], {order["clientOrderId"] for order in body["orders"]}) == ("l-1", {"a-1", "b-1"})
    assert ask.balance("BTC") == (0, 2)
    assert ask("GET", "openOrderList")[1][0]["orderListId"] == body["orderListId"]


def test_one_leg_that_fills_lets_the_other_expire():
    ask = asker()
    body = oco(ask)[1]
    ask.advance(begun(ask) + 5 * HOUR - 1)
    found = {name: ask.status(report["orderId"]) for name, report in reports(body).items()}
    assert found == {"STOP_LOSS": "FILLED", "LIMIT_MAKER": "EXPIRED"}
    assert ask.balance("BTC") == (0, 0)
    assert ask("GET", "orderList", orderListId=body["orderListId"])[1]["listOrderStatus"] == "ALL_DONE"
    assert ask("GET", "openOrderList")[1] == []


def test_a_target_that_fills_in_part_already_ends_its_stop():
    ask = asker(book=BookDepth(max_execution=Decimal(1)))
    body = oco(ask, abovePrice=104)[1]
    ask.advance(begun(ask) + 3 * HOUR - 1)
    found = {name: ask.status(report["orderId"]) for name, report in reports(body).items()}
    assert found == {"STOP_LOSS": "EXPIRED", "LIMIT_MAKER": "PARTIALLY_FILLED"}
    assert ask.balance("BTC") == (0, 1)


@pytest.mark.parametrize("by", ["leg", "list", "list name"])
def test_cancelling_a_leg_or_the_list_cancels_both(by):
    ask = asker()
    body = oco(ask, listClientOrderId="l-9")[1]
    if by == "leg":
        ask("DELETE", "order", symbol="BTCUSDT", orderId=body["orders"][0]["orderId"])
    else:
        name = {"listClientOrderId": "l-9"} if by == "list name" else {"orderListId": body["orderListId"]}
        assert ask("DELETE", "orderList", symbol="BTCUSDT", **name)[1]["listOrderStatus"] == "ALL_DONE"
    assert {ask.status(order["orderId"]) for order in body["orders"]} == {"CANCELED"}
    assert ask.balance("BTC") == (2, 0)
    assert ask("DELETE", "orderList", symbol="BTCUSDT", orderListId=body["orderListId"])[1]["code"] == -2011


@pytest.mark.parametrize(
    ("params", "code"),
    [
        ({"quantity": 3}, -2010),
        ({"abovePrice": 94}, -2010),
        ({"belowStopPrice": 101}, -2010),
        ({"aboveType": "MARKET", "abovePrice": ""}, -1116),
        ({"belowType": "TAKE_PROFIT", "aboveType": "TAKE_PROFIT", "abovePrice": "", "aboveStopPrice": 110}, -2010),
        ({"quantity": "0.0005"}, -1013),
        ({"aboveClientOrderId": "x", "belowClientOrderId": "x"}, -2010),
        ({"aboveType": ""}, -1102),
    ],
)
def test_a_bad_pair_is_refused_and_changes_nothing(params, code):
    ask = asker()
    given = {name: value for name, value in ({"quantity": 2} | params).items() if value != ""}
    base = {name: value for name, value in OCO.items() if params.get(name) != ""}
    terms = {"symbol": "BTCUSDT", "side": "SELL"} | base | given
    status, body = ask("POST", "orderList/oco", **terms)
    assert (status, body["code"]) == (400, code)
    assert ask("GET", "allOrders", symbol="BTCUSDT")[1] == []
    assert ask.balance("BTC") == (2, 0)


def test_the_older_request_for_a_pair_is_understood():
    ask = asker()
    body = ask("POST", "order/oco", symbol="BTCUSDT", side="SELL", quantity=2, price=110, stopPrice=95, stopLimitPrice=94,
               stopLimitTimeInForce="GTC", limitClientOrderId="lim")[1]  # fmt: skip
    assert set(reports(body)) == {"LIMIT_MAKER", "STOP_LOSS_LIMIT"}
    assert reports(body)["LIMIT_MAKER"]["clientOrderId"] == "lim"


def test_a_buying_pair_sets_aside_the_dearer_leg_and_frees_the_rest():
    ask = asker()
    terms = {"aboveType": "STOP_LOSS", "aboveStopPrice": 104, "belowType": "LIMIT_MAKER", "belowPrice": 95}
    ask("POST", "orderList/oco", symbol="BTCUSDT", side="BUY", quantity=1, **terms)
    assert ask.balance("USDT") == (896, 104)
    ask.advance(begun(ask) + 3 * HOUR - 1)
    assert ask.balance("USDT") == (896, 0)


def test_a_paying_list_protects_what_was_received_net_of_the_fee_in_whole_lots():
    ask = asker(balances={"USDT": Decimal(1_000), "BTC": Decimal("0.0019")})  # the fee is 0.002
    status, body = opoco(ask, workingPrice=105)
    assert (status, body["contingencyType"]) == (200, "OTO")
    assert [report["type"] for report in body["orderReports"]] == ["LIMIT_MAKER", "STOP_LOSS", "LIMIT"]
    legs = present(ask, body)
    assert legs["LIMIT"]["status"] == "FILLED"
    assert {legs[name]["origQty"] for name in ("STOP_LOSS", "LIMIT_MAKER")} == {"1.99800000"}
    assert {legs[name]["status"] for name in ("STOP_LOSS", "LIMIT_MAKER")} == {"NEW"}
    assert ask.balance("BTC") == (Decimal("0.0019"), Decimal("1.998"))


def test_the_fee_comes_from_the_free_balance_where_that_is_enough_and_the_legs_sell_all_that_was_received():
    for settings, quantity, free in (({}, "2.00000000", "1.998"), ({"opo_commission": "received"}, "1.99800000", "2")):
        ask = asker(**settings)
        legs = present(ask, opoco(ask, workingPrice=105)[1])
        assert {legs[name]["origQty"] for name in ("STOP_LOSS", "LIMIT_MAKER")} == {quantity}
        assert ask.balance("BTC") == (Decimal(free), Decimal(quantity))


@pytest.mark.parametrize("shows", ["pending", "now"])
def test_the_answer_to_a_new_list_shows_its_legs_as_they_were_before_anything_was_executed(shows):
    ask = asker(placement_shows=shows)
    body = opoco(ask, workingPrice=105)[1]
    found = reports(body)
    assert found["LIMIT"]["status"] == "FILLED"
    for name in ("STOP_LOSS", "LIMIT_MAKER"):
        assert found[name]["status"] == ("PENDING_NEW" if shows == "pending" else "NEW")
        assert ("origQty" in found[name]) == (shows == "now")
    terms = {"symbol": "BTCUSDT", "pendingType": "STOP_LOSS", "pendingSide": "SELL", "pendingStopPrice": 95}
    body = ask("POST", "orderList/oto", **terms, **WORKING, workingPrice=101, pendingQuantity="1.5")[1]
    assert reports(body)["STOP_LOSS"]["origQty"] == "1.50000000"  # an OTO's is the client's own


def test_pending_legs_wait_for_the_whole_fill_and_have_no_quantity_before():
    ask = asker(book=BookDepth(max_execution=Decimal(1)), opo_commission="received")
    body = opoco(ask, workingPrice=99)[1]
    pending = reports(body)["STOP_LOSS"]
    assert (pending["status"], pending["workingTime"]) == ("PENDING_NEW", -1)
    assert "origQty" not in pending
    ask.advance(begun(ask) + 4 * HOUR - 1)
    assert ask.status(reports(body)["LIMIT"]["orderId"]) == "PARTIALLY_FILLED"
    assert ask.status(pending["orderId"]) == "PENDING_NEW"
    assert ask.balance("BTC") == (2, Decimal("0.999"))  # kept for the legs
    ask.advance(begun(ask) + 5 * HOUR - 1)  # filled at this bar's open; the stop then meets the same bar
    assert ask.status(reports(body)["LIMIT"]["orderId"]) == "FILLED"
    assert ask.status(pending["orderId"]) == "FILLED"
    assert ask.balance("BTC") == (Decimal(2), 0)


def test_a_stop_of_an_entry_inside_a_bar_may_fill_in_it_but_its_target_may_not():
    ask = asker()
    body = opoco(ask, workingPrice=99, pendingAbovePrice=103, pendingBelowStopPrice=97)[1]
    ask.advance(begun(ask) + 4 * HOUR - 1)  # from 105 down to 98: the target lies before the entry
    assert {name: ask.status(report["orderId"]) for name, report in reports(body).items()} == {
        "LIMIT": "FILLED", "STOP_LOSS": "NEW", "LIMIT_MAKER": "NEW",
    }  # fmt: skip
    other = asker()
    body = opoco(other, workingPrice=99, pendingBelowStopPrice=98)[1]
    other.advance(begun(other) + 4 * HOUR - 1)
    assert other.status(reports(body)["STOP_LOSS"]["orderId"]) == "FILLED"


def test_a_cancelled_working_order_takes_its_legs_along_and_frees_what_it_received():
    ask = asker(book=BookDepth(max_execution=Decimal(1)))
    body = opoco(ask, workingPrice=99)[1]
    ask.advance(begun(ask) + 4 * HOUR - 1)
    ask("DELETE", "order", symbol="BTCUSDT", orderId=reports(body)["LIMIT"]["orderId"])
    assert {ask.status(order["orderId"]) for order in body["orders"]} == {"CANCELED"}
    assert ask.balance("BTC") == (Decimal("2.999"), 0)
    assert ask.balance("USDT") == (901, 0)


def test_each_order_of_a_cancelled_list_is_cancelled_once():
    ask, events = asker(), []
    body = opoco(ask, workingPrice=99)[1]
    ask.exchange.subscribe(events.append)
    ask("DELETE", "orderList", symbol="BTCUSDT", orderListId=body["orderListId"])
    cancelled = [event.order.id for event in events if isinstance(event, ExecutionReport)]
    assert sorted(cancelled) == sorted(order["orderId"] for order in body["orders"])
    assert [event.orders.status_type for event in events if isinstance(event, ListStatus)] == ["ALL_DONE"]


def test_a_working_order_that_expires_lets_its_legs_expire():
    ask = asker()
    body = opoco(ask, workingPrice=90, workingTimeInForce="IOC")[1]
    assert {report["status"] for report in body["orderReports"]} == {"EXPIRED"}


def test_a_paying_list_sells_what_it_bought():
    ask = asker()
    assert opoco(ask, workingPrice=90, workingSide="SELL")[1]["code"] == -1117
    assert opoco(ask, workingPrice=90, workingType="MARKET", workingTimeInForce="")[1]["code"] == -1106


def test_one_order_triggers_another_with_a_quantity_of_its_own():
    ask = asker()
    terms = {"symbol": "BTCUSDT", "pendingType": "STOP_LOSS", "pendingSide": "SELL", "pendingStopPrice": 95}
    body = ask("POST", "orderList/oto", **terms, **WORKING, workingPrice=101, pendingQuantity="1.5")[1]
    assert {name: row["status"] for name, row in present(ask, body).items()} == {"LIMIT": "FILLED", "STOP_LOSS": "NEW"}
    assert ask.balance("BTC") == (Decimal("2.498"), Decimal("1.5"))
    body = ask("POST", "orderList/opo", **terms, **WORKING, workingPrice=101)[1]
    assert present(ask, body)["STOP_LOSS"]["origQty"] == "2.00000000"


def test_a_pending_order_that_cannot_be_paid_is_rejected():
    ask = asker(balances={"USDT": Decimal(1_000)})
    terms = {"symbol": "BTCUSDT", "pendingSide": "SELL", "pendingQuantity": 2, "workingPrice": 101}
    body = ask("POST", "orderList/otoco", **terms, **WORKING, **ABOVE, **BELOW)[1]  # the fee leaves 1.998
    assert {row["status"] for row in present(ask, body).values()} == {"FILLED", "REJECTED"}
    assert ask.balance("BTC") == (Decimal("1.998"), 0)


def test_lists_are_looked_up_by_either_id_and_listed():
    ask = asker()
    body = oco(ask, listClientOrderId="mine")[1]
    assert ask("GET", "orderList", origClientOrderId="mine")[1]["orderListId"] == body["orderListId"]
    assert ask("GET", "orderList", origClientOrderId="other")[1]["code"] == -2013
    assert ask("GET", "orderList")[1]["code"] == -1102
    assert len(ask("GET", "allOrderList")[1]) == 1
    assert oco(ask, listClientOrderId="mine", quantity=1)[1]["msg"] == "Duplicate order sent."


def test_events_tell_the_life_of_a_list_in_order():
    ask, events = asker(), []
    end = ask.exchange.subscribe(events.append)
    opoco(ask, workingPrice=105)
    ask.advance(begun(ask) + 5 * HOUR)
    changes = [
        (event.type, event.order.type, event.order.status)
        if isinstance(event, ExecutionReport)
        else event.orders.status_type
        for event in events
        if isinstance(event, ExecutionReport | ListStatus)
    ]
    assert changes == [
        ("NEW", "LIMIT", "NEW"),
        ("NEW", "STOP_LOSS", "PENDING_NEW"),
        ("NEW", "LIMIT_MAKER", "PENDING_NEW"),
        "EXEC_STARTED",
        ("TRADE", "LIMIT", "FILLED"),
        ("NEW", "STOP_LOSS", "NEW"),
        ("NEW", "LIMIT_MAKER", "NEW"),
        "UPDATED",
        ("EXPIRED", "LIMIT_MAKER", "EXPIRED"),
        ("TRADE", "STOP_LOSS", "FILLED"),
        "ALL_DONE",
    ]
    end()
    before = len(events)
    ask.order("BUY", "MARKET", 1)
    assert len(events) == before
