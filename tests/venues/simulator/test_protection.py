"""What a list does to funds and protection, over real HTTP: locked amounts, parts, rejected and expired legs, fees."""

from dataclasses import replace
from decimal import Decimal

import pytest

from atb.venues.simulator.faults import Fault
from tests.venues.simulator.caller import OCO, OPO, by_type, calling
from tests.venues.simulator.client import FREE

OPOCO = {name: value for name, value in OPO.items() if name not in {"pendingType", "pendingStopPrice"}} | {
    "pendingAboveType": "LIMIT_MAKER", "pendingAbovePrice": 112, "pendingBelowType": "STOP_LOSS", "pendingBelowStopPrice": 95,
}  # fmt: skip
POOR = {"USDT": Decimal(1_000)}


def partial(**detail):
    return Fault("partial", detail={"share": 0.4} | detail)


def statuses(call, body):
    """Return the state of a list's orders by type, as queries show it."""
    rows = [call.look_up(order["orderId"]) for order in body["orders"]]
    return {row["type"]: row["status"] for row in rows}


def test_what_a_part_of_an_entry_received_is_locked_until_its_list_is_cancelled():
    with calling(balances=POOR, faults=[partial()]) as call:
        body = call("POST", "orderList/opo", **OPO, workingPrice=99)[1]
        call.reach(4)  # down to 98
        entry = by_type(body)["LIMIT"]["orderId"]
        assert (call.look_up(entry)["status"], call.look_up(entry)["executedQty"]) == ("PARTIALLY_FILLED", "0.80000000")
        assert call.balance("BTC") == (0, Decimal("0.7992"))
        alone = {"stopPrice": 90}
        refused = call.order("SELL", "STOP_LOSS", "0.799", **alone)
        assert (refused["code"], refused["msg"]) == (-2010, "Account has insufficient balance for requested action.")
        call("DELETE", "orderList", symbol="BTCUSDT", orderListId=body["orderListId"])
        assert call.balance("BTC") == (Decimal("0.7992"), 0)
        assert call.order("SELL", "STOP_LOSS", "0.799", **alone)["orderId"]


def test_an_entry_met_in_part_over_time_is_protected_only_when_it_is_filled():
    with calling(100, 100, 105, 98, 98, 99, 99, balances=POOR, faults=[partial(), partial()]) as call:
        body = call("POST", "orderList/opo", **OPO, workingPrice=99)[1]
        seen = []
        for hours in (4, 5, 6):
            call.reach(hours)
            seen.append((statuses(call, body), call.look_up(by_type(body)["LIMIT"]["orderId"])["executedQty"]))
        waiting = {"LIMIT": "PARTIALLY_FILLED", "STOP_LOSS": "PENDING_NEW"}
        assert seen == [
            (waiting, "0.80000000"), (waiting, "1.28000000"), ({"LIMIT": "FILLED", "STOP_LOSS": "NEW"}, "2.00000000")
        ]  # fmt: skip


def test_the_answer_to_a_filled_list_shows_its_leg_pending_and_without_quantity():
    with calling() as call:
        body = call("POST", "orderList/opo", **OPO, workingPrice=101)[1]
        leg = by_type(body)["STOP_LOSS"]
        assert (by_type(body)["LIMIT"]["status"], leg["status"], leg.get("origQty")) == ("FILLED", "PENDING_NEW", None)
        asked = call.look_up(leg["orderId"])
        assert (asked["status"], asked["origQty"]) == ("NEW", "2.00000000")


def test_an_entry_that_may_not_rest_is_met_in_part_and_ends_without_protection():
    with calling(balances=POOR, faults=[partial(side="BUY")]) as call:
        body = call("POST", "orderList/opoco", **OPOCO | {"workingTimeInForce": "IOC"}, workingPrice=101)[1]
        assert statuses(call, body) == {"LIMIT": "EXPIRED", "STOP_LOSS": "EXPIRED", "LIMIT_MAKER": "EXPIRED"}
        assert call.balance("BTC") == (Decimal("0.7992"), 0)


def test_a_target_met_in_part_ends_its_stop():
    with calling(faults=[partial(side="SELL")]) as call:
        body = call("POST", "orderList/oco", **OCO | {"abovePrice": 104})[1]
        call.reach(3)
        assert statuses(call, body) == {"LIMIT_MAKER": "PARTIALLY_FILLED", "STOP_LOSS": "EXPIRED"}


def test_legs_may_be_rejected_when_their_entry_is_filled():
    with calling(balances=POOR, faults=[Fault("reject_legs", detail={"symbol": "BTCUSDT"})]) as call:
        body = call("POST", "orderList/opoco", **OPOCO, workingPrice=101)[1]
        assert statuses(call, body) == {"LIMIT": "FILLED", "STOP_LOSS": "REJECTED", "LIMIT_MAKER": "REJECTED"}
        assert call.balance("BTC") == (Decimal("1.998"), 0)
        assert call("GET", "orderList", orderListId=body["orderListId"])[1]["listOrderStatus"] == "ALL_DONE"


def test_legs_whose_quantity_breaks_a_filter_are_rejected_only_then():
    with calling() as call:
        terms = OPO | {"pendingStopPrice": 10, "workingQuantity": "0.101"}  # 0.101 at 10 is under the minimum notional
        status, body = call("POST", "orderList/opo", **terms, workingPrice=101)
        assert status == 200
        assert statuses(call, body) == {"LIMIT": "FILLED", "STOP_LOSS": "REJECTED"}


@pytest.mark.parametrize("struck", [True, False])
def test_a_triggered_stop_may_expire_unfilled(struck):
    with calling(faults=[Fault("expire_stop")] if struck else []) as call:
        body = call("POST", "orderList/oco", **OCO)[1]
        call.reach(5)  # down to 90
        stop = call.look_up(by_type(body)["STOP_LOSS"]["orderId"])
        assert stop["status"] == ("EXPIRED" if struck else "FILLED")
        assert stop.get("expiryReason") == ("EXECUTION_RULE_PRICE_RANGE_EXCEEDED" if struck else None)
        assert statuses(call, body)["LIMIT_MAKER"] == "EXPIRED"
        assert call.balance("BTC") == (2 if struck else 1, 0)


@pytest.mark.parametrize(("limit_gap", "price"), [("own", "110.00000000"), ("open", "115.00000000")])
def test_a_target_that_the_price_leaps_over_is_met_at_its_own_price_or_as_the_model_says(limit_gap, price):
    with calling(execution=replace(FREE, limit_gap=limit_gap)) as call:
        body = call("POST", "orderList/oco", **OCO)[1]
        leap = {"time_ms": call.start_ms + 1_000, "kind": "price", "detail": {"symbol": "BTCUSDT", "price": 115}}
        call.control("script", [leap])
        call.wait(1_000)
        assert statuses(call, body) == {"LIMIT_MAKER": "FILLED", "STOP_LOSS": "EXPIRED"}
        assert [trade["price"] for trade in call("GET", "myTrades", symbol="BTCUSDT")[1]] == [price]


@pytest.mark.parametrize(
    ("fee_in", "paid", "leg"),
    [("base", [("0.00200000", "BTC"), ("0.18981000", "USDT")], "1.99800000"), ("quote", None, "2.00000000"),
     ("bnb", [("0.00040000", "BNB"), ("0.00038000", "BNB")], "2.00000000")],
)  # fmt: skip
def test_fees_are_taken_from_what_is_received_or_all_in_bnb(fee_in, paid, leg):
    with calling(balances=POOR | {"BNB": Decimal(1)}, fee_in=fee_in, bnb_price=Decimal(500)) as call:
        body = call("POST", "orderList/opoco", **OPOCO, workingPrice=101)[1]
        assert call.look_up(by_type(body)["STOP_LOSS"]["orderId"])["origQty"] == leg
        call.reach(5)  # down to 90: sold at 95
        trades = call("GET", "myTrades", symbol="BTCUSDT")[1]
        found = [(trade["commission"], trade["commissionAsset"]) for trade in trades]
        assert found == paid if paid else {asset for _, asset in found} == {"USDT"}


def test_a_fee_in_base_comes_from_the_free_balance_where_that_is_enough():
    for held, leg, left in (("0.002", "2.00000000", "0"), ("0.0019", "1.99800000", "0.0019")):
        with calling(balances=POOR | {"BTC": Decimal(held)}) as call:
            body = call("POST", "orderList/opo", **OPO, workingPrice=101)[1]
            assert call.look_up(by_type(body)["STOP_LOSS"]["orderId"])["origQty"] == leg
            assert call.balance("BTC") == (Decimal(left), Decimal(leg))
