"""What a symbol allows, over real HTTP: capabilities and status as `exchangeInfo` shows them, and the refusals that follow."""

from decimal import Decimal

import pytest

from atb.errors import InputError
from atb.venues.simulator.capabilities import Capabilities
from atb.venues.simulator.faults import Fault
from tests.venues.simulator.caller import OCO, OPO, by_type, calling

PAIR = {
    "pendingAboveType": "LIMIT_MAKER", "pendingAbovePrice": 112, "pendingBelowType": "STOP_LOSS", "pendingBelowStopPrice": 95,
}  # fmt: skip
ENTRY = {name: value for name, value in OPO.items() if not name.startswith("pending")} | {"pendingSide": "SELL"}
SENT = {
    "oco": OCO,
    "oto": OPO | {"workingPrice": 90, "pendingQuantity": 2},
    "otoco": ENTRY | PAIR | {"workingPrice": 90, "pendingQuantity": 2},
    "opo": OPO | {"workingPrice": 90},
    "opoco": ENTRY | PAIR | {"workingPrice": 90},
}


def info(call):
    return call("GET", "exchangeInfo", symbol="BTCUSDT")[1]["symbols"][0]


@pytest.mark.parametrize(
    ("name", "refused"),
    [("ocoAllowed", {"oco", "otoco", "opoco"}), ("otoAllowed", {"oto", "otoco", "opo", "opoco"}), ("opoAllowed", {"opo", "opoco"})],
)  # fmt: skip
def test_a_list_needs_what_its_symbol_allows(name, refused):
    with calling() as call:
        assert info(call)[name] is True
        assert call.control("symbol", {"symbol": "BTCUSDT", name: False})[0] == 200
        assert info(call)[name] is False
        found = {kind: call("POST", f"orderList/{kind}", **terms) for kind, terms in SENT.items()}
        assert {kind for kind, (status, _) in found.items() if status != 200} == refused
        words = f"{name[:3].upper()} orders are not supported for this symbol."
        assert {(body["code"], body["msg"]) for status, body in found.values() if status != 200} == {(-1013, words)}


def test_order_types_and_cancel_replace_are_properties_of_the_symbol():
    able = Capabilities(order_types=("LIMIT", "LIMIT_MAKER", "MARKET"), cancel_replace=False, quote_quantity=False)
    with calling(symbols={"BTCUSDT": able}) as call:
        shown = info(call)
        assert (shown["orderTypes"], shown["cancelReplaceAllowed"]) == (["LIMIT", "LIMIT_MAKER", "MARKET"], False)
        assert (
            call.order("SELL", "STOP_LOSS", stopPrice=95)["msg"]
            == "Stop loss orders are not supported for this symbol."
        )
        assert (
            call("POST", "orderList/opo", **SENT["opo"])[1]["msg"]
            == "Stop loss orders are not supported for this symbol."
        )
        resting = call.order("BUY", "LIMIT", price=90)
        terms = {
            "symbol": "BTCUSDT",
            "side": "SELL",
            "type": "MARKET",
            "quantity": 1,
            "cancelReplaceMode": "STOP_ON_FAILURE",
        }
        found = call("POST", "order/cancelReplace", **terms, cancelOrderId=resting["orderId"])
        assert found == (400, {"code": -1013, "msg": "Order cancel-replace is not supported for this symbol."})
        assert call.look_up(resting["orderId"])["status"] == "NEW"
        by_quote = {"symbol": "BTCUSDT", "side": "BUY", "type": "MARKET", "quoteOrderQty": 100}
        assert call("POST", "order", **by_quote)[1]["code"] == -1013


@pytest.mark.parametrize("status", ["HALT", "BREAK", "END_OF_DAY", "CANCEL_ONLY"])
@pytest.mark.parametrize("cancels", [True, False])
def test_a_symbol_that_does_not_trade_refuses_orders_and_cancel_only_lets_cancellations_pass(status, cancels):
    with calling() as call:
        stop = call.order("SELL", "STOP_LOSS", stopPrice=95)
        call.control("symbol", {"symbol": "BTCUSDT", "status": status, "cancelsWhileClosed": cancels})
        assert info(call)["status"] == status
        assert call.order("BUY", "MARKET") == {"code": -1013, "msg": "Market is closed."}
        call.reach(5)  # down to 90: nothing is matched meanwhile
        assert call.look_up(stop["orderId"])["status"] == "NEW"
        found = call("DELETE", "order", symbol="BTCUSDT", orderId=stop["orderId"])
        passes = cancels or status == "CANCEL_ONLY"
        assert (found[0], found[1].get("msg")) == ((200, None) if passes else (400, "Market is closed."))
        call.control("symbol", {"symbol": "BTCUSDT", "status": "TRADING"})
        assert call.order("BUY", "MARKET")["status"] == "FILLED"


def test_a_stop_that_is_moved_in_a_market_that_only_cancels_is_gone():
    with calling(faults=[Fault("halt", at_ms=0, detail={"symbol": "BTCUSDT", "status": "CANCEL_ONLY"})]) as call:
        assert info(call)["status"] == "CANCEL_ONLY"
    with calling() as call:
        stop = call.order("SELL", "STOP_LOSS", stopPrice=95)
        call.control("symbol", {"symbol": "BTCUSDT", "status": "CANCEL_ONLY"})
        terms = {"symbol": "BTCUSDT", "side": "SELL", "type": "STOP_LOSS", "quantity": 1, "stopPrice": 96}
        terms |= {"cancelReplaceMode": "STOP_ON_FAILURE", "cancelOrderId": stop["orderId"]}
        status, body = call("POST", "order/cancelReplace", **terms)
        assert (status, body["code"]) == (409, -2021)
        assert (body["data"]["cancelResult"], body["data"]["newOrderResponse"]["msg"]) == (
            "SUCCESS",
            "Market is closed.",
        )
        assert call("GET", "openOrders", symbol="BTCUSDT")[1] == []


def test_a_fault_changes_a_symbol_for_a_time_and_gives_back_what_was_usual():
    with calling(symbols={"BTCUSDT": Capabilities(oco=False)}) as call:
        start = call.start_ms
        faults = [
            {"kind": kind, "at_ms": start + first, "until_ms": start + last, "detail": {"symbol": "BTCUSDT"} | detail}
            for kind, first, last, detail in (
                ("symbol", 1_000, 5_000, {"opoAllowed": False}), ("halt", 2_000, 4_000, {}), ("halt", 3_000, 6_000, {})
            )
        ]  # fmt: skip
        call.control("faults", faults)
        seen = []
        for _ in range(7):
            found = info(call)
            seen.append((found["status"], found["opoAllowed"], found["ocoAllowed"]))
            call.wait(1_000)
        assert seen == [
            ("TRADING", True, False), ("TRADING", False, False), ("HALT", False, False), ("HALT", False, False),
            ("TRADING", False, False), ("TRADING", True, False), ("TRADING", True, False),
        ]  # fmt: skip


def test_what_no_symbol_has_is_refused():
    with calling() as call:
        status, body = call.control("symbol", {"symbol": "BTCUSDT", "opoAlowed": False})
        assert (status, "Did you mean 'opoAllowed'" in body["error"]) == (400, True)
        assert call.control("symbol", {"symbol": "BTCUSD", "opoAllowed": False})[0] == 400
        assert call.control("symbol", {"symbol": "BTCUSDT", "status": "OPEN"})[0] == 400


@pytest.mark.parametrize(
    "values",
    [
        {"opoAllowed": "no"}, {"orderTypes": ["LIMITS"]}, {"orderTypes": "LIMIT"}, {"orderTypes": 3}, {"status": 3},
        {"referencePrice": "dear"}, {"referencePrice": "NaN"}, {"referencePrice": 0}, {"priceRange": 2},
        {"priceRange": ["0.9"]}, {"priceRange": ["0.9", "dear"]},
    ],
)  # fmt: skip
def test_a_value_that_is_none_of_its_kind_is_refused_in_one_sentence(values):
    with pytest.raises(InputError) as refused:
        Capabilities().changed(values)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("change", "kind", "alone", "words"),
    [
        ({"abovePrice": 99}, "LIMIT_MAKER", {"price": 99}, "Order would immediately match and take."),
        ({"belowStopPrice": 101}, "STOP_LOSS", {"stopPrice": 101}, "Stop price would trigger immediately."),
    ],
)
def test_a_pair_whose_price_has_passed_is_refused_as_a_relationship_of_prices(change, kind, alone, words):
    paired = "The relationship of the prices for the orders is not correct."
    with calling() as call:
        assert call("POST", "orderList/oco", **OCO | change) == (400, {"code": -2010, "msg": paired})
        assert call.order("SELL", kind, **alone)["msg"] == words


def test_replacing_a_leg_cancels_the_whole_list_and_places_the_new_order_in_one_request():
    with calling() as call:
        pair = call("POST", "orderList/oco", **OCO)[1]
        leg = by_type(pair)["LIMIT_MAKER"]["clientOrderId"]
        terms = {"symbol": "BTCUSDT", "side": "SELL", "quantity": 1, "cancelReplaceMode": "STOP_ON_FAILURE"}
        over = terms | {"type": "STOP_LOSS", "stopPrice": "95.001", "cancelOrigClientOrderId": leg}
        assert call("POST", "order/cancelReplace", **over)[1]["msg"] == "Filter failure: PRICE_FILTER"
        assert call.look_up(pair["orders"][0]["orderId"])["status"] == "NEW", "filters come before the cancellation"
        restricted = over | {"stopPrice": 96, "cancelRestrictions": "ONLY_PARTIALLY_FILLED"}
        status, body = call("POST", "order/cancelReplace", **restricted)
        assert (status, body["data"]["cancelResponse"]["msg"]) == (
            400,
            "Order was not canceled due to cancel restrictions.",
        )
        status, body = call("POST", "order/cancelReplace", **over | {"stopPrice": 96, "cancelRestrictions": "ONLY_NEW"})
        assert (status, body["cancelResult"], body["newOrderResult"]) == (200, "SUCCESS", "SUCCESS")
        assert {call.look_up(order["orderId"])["status"] for order in pair["orders"]} == {"CANCELED"}
        assert call("GET", "orderList", orderListId=pair["orderListId"])[1]["listOrderStatus"] == "ALL_DONE"
        assert [row["stopPrice"] for row in call("GET", "openOrders", symbol="BTCUSDT")[1]] == ["96.00000000"]
        assert call.balance("BTC") == (1, 1)


def test_filters_are_evaluated_against_the_reference_price_where_there_is_one_else_the_average():
    with calling(100, 100, 110, 110) as call:
        assert call("GET", "referencePrice", symbol="BTCUSDT")[1]["code"] == -2043
        call.reach(3, 0)  # from 110 to 110 since 100 three bars ago
        call.control(
            "script",
            [{"time_ms": call.start_ms + 3 * 3_600_000, "kind": "price", "detail": {"symbol": "BTCUSDT", "price": 50}}],
        )
        assert call("GET", "avgPrice", symbol="BTCUSDT")[1]["price"] == "90.00000000"  # of 110, 110 and 50
        assert call.order("BUY", "LIMIT", quantity="0.2", price=45)["orderId"]
        call.control("symbol", {"symbol": "BTCUSDT", "referencePrice": "500"})
        assert call("GET", "referencePrice", symbol="BTCUSDT")[1]["referencePrice"] == "500"
        assert call.order("BUY", "LIMIT", quantity="0.2", price=45)["msg"] == "Filter failure: PERCENT_PRICE_BY_SIDE"


def test_a_taker_beyond_the_price_range_expires():
    able = Capabilities(reference_price=Decimal(100), price_range=(Decimal("0.97"), Decimal("1.03")))
    with calling(symbols={"BTCUSDT": able}) as call:
        rules = call("GET", "executionRules", symbol="BTCUSDT")[1]["symbolRules"]
        assert (rules[0]["rules"][0]["askLimitMultDown"], rules[0]["symbol"]) == ("0.97", "BTCUSDT")
        stop = call.order("SELL", "STOP_LOSS", stopPrice=95)
        assert call.order("BUY", "MARKET")["status"] == "FILLED"
        call.reach(5)  # down to 90: 95 lies below 97
        found = call.look_up(stop["orderId"])
        assert (found["status"], found["expiryReason"]) == ("EXPIRED", "EXECUTION_RULE_PRICE_RANGE_EXCEEDED")
        assert call.balance("BTC")[1] == 0
