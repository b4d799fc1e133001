"""What is not known after a lost answer, over real HTTP: reads that lag, an engine that is late, refusals that pass."""

import pytest

from atb.venues.simulator.faults import Fault
from tests.venues.simulator.caller import OPO, by_type, calling

BUY = {"symbol": "BTCUSDT", "side": "BUY", "type": "MARKET", "quantity": 1, "newClientOrderId": "mine"}
LAG = 8_000
_TIMEOUT = {
    "code": -1007,
    "msg": "Timeout waiting for response from backend server. Send status unknown; execution status unknown.",
}


def lagging(path, **more):
    return Fault("lag", path, times=1_000, detail={"lag_ms": LAG}, **more)


def names(rows):
    return [row["clientOrderId"] for row in rows]


def test_an_order_that_exists_is_not_found_until_its_lag_is_over():
    with calling(faults=[lagging("GET /api/v3/order")]) as call:
        call("POST", "order", **BUY)
        asked = {"symbol": "BTCUSDT", "origClientOrderId": "mine"}
        status, body = call("GET", "order", **asked)
        assert (status, body["code"]) == (400, -2013)
        assert len(call("GET", "myTrades", symbol="BTCUSDT")[1]) == 1, "each read has a lag of its own"
        call.wait(LAG - 1)
        assert call("GET", "order", **asked)[1]["code"] == -2013
        call.wait(1)
        assert call("GET", "order", **asked)[1]["status"] == "FILLED"


def test_a_lagging_read_shows_an_earlier_state_and_not_only_absence():
    with calling(lags={"GET /api/v3/order": LAG, "GET /api/v3/openOrders": LAG}) as call:
        placed = call.order("BUY", "LIMIT", price=90)
        call.wait(LAG)
        call("DELETE", "order", symbol="BTCUSDT", orderId=placed["orderId"])
        assert call.look_up(placed["orderId"])["status"] == "NEW"
        assert len(call("GET", "openOrders", symbol="BTCUSDT")[1]) == 1
        call.wait(LAG)
        assert call.look_up(placed["orderId"])["status"] == "CANCELED"
        assert call("GET", "openOrders", symbol="BTCUSDT")[1] == []


@pytest.mark.parametrize("path", ["openOrders", "allOrders", "myTrades", "orderList", "openOrderList", "allOrderList"])
def test_every_witness_can_lag_alone(path):
    with calling(faults=[lagging(f"GET /api/v3/{path}")]) as call:
        call("POST", "orderList/opo", **OPO, workingPrice=101, listClientOrderId="l", pendingClientOrderId="p")

        def seen(one):
            asked = (
                {"origClientOrderId": "l"}
                if one == "orderList"
                else {}
                if "OrderList" in one
                else {"symbol": "BTCUSDT"}
            )
            body = call("GET", one, **asked)[1]
            return body.get("code") != -2013 if isinstance(body, dict) else bool(body)

        witnesses = ["openOrders", "allOrders", "myTrades", "orderList", "openOrderList", "allOrderList"]
        assert {one: seen(one) for one in witnesses} == {one: one != path for one in witnesses}
        call.wait(LAG)
        assert seen(path)


def test_balances_can_lag_and_a_lag_ends_at_its_time():
    with calling(faults=[lagging("GET /api/v3/account", until_ms=None)]) as call:
        call("POST", "order", **BUY)
        assert call.balance("USDT") == (1_000, 0)
        call.exchange.fault_injector.faults[0].until_ms = call.exchange.now_ms()
        assert call.balance("USDT") == (900, 0)


def test_a_lag_leaves_other_faults_their_requests():
    faults = [lagging("reads"), Fault("error", "GET /api/v3/order", detail={"status": 503, "code": -1008})]
    with calling(faults=faults) as call:
        call("POST", "order", **BUY)
        asked = {"symbol": "BTCUSDT", "origClientOrderId": "mine"}
        assert call("GET", "order", **asked)[0] == 503
        assert call("GET", "order", **asked)[1]["code"] == -2013


@pytest.mark.parametrize("answered", [True, False])
def test_an_engine_may_execute_long_after_the_window(answered):
    detail = {"delay_ms": 30_000} | ({"status": 504, "code": -1007} if answered else {})
    with calling(faults=[Fault("late_engine", "changes", detail=detail)]) as call:
        if answered:
            assert call("POST", "order", **BUY, recvWindow=2_000) == (504, _TIMEOUT)
        else:
            with pytest.raises(TimeoutError):
                call("POST", "order", **BUY, recvWindow=2_000, timeout=0.3)
        call.wait(29_999)
        assert call("GET", "order", symbol="BTCUSDT", origClientOrderId="mine")[1]["code"] == -2013
        call.wait(1)
        assert call("GET", "order", symbol="BTCUSDT", origClientOrderId="mine")[1]["status"] == "FILLED"
        late = call.running.ledger("late")
        assert [(entry["ms"] - call.start_ms, entry["code"]) for entry in late] == [(30_000, 0)]


def test_an_engine_that_is_late_still_refuses_what_is_malformed_at_once():
    with calling(faults=[Fault("late_engine", "changes", detail={"delay_ms": 30_000})]) as call:
        status, body = call("POST", "order", **BUY | {"timestamp": call.start_ms - 60_000})
        assert (status, body["code"]) == (400, -1021)


@pytest.mark.parametrize(
    ("detail", "status"),
    [
        ({"code": -1003, "msg": "Too many requests queued.", "status": 429, "retry_after_s": 3}, 429),
        ({"code": -1021, "msg": "Timestamp for this request is outside of the recvWindow."}, 400),
        ({"code": -1013, "msg": "Market is closed."}, 400),
        ({"code": -2010, "msg": "The relationship of the prices for the orders is not correct."}, 400),
        ({"code": -2010, "msg": "Stop price would trigger immediately."}, 400),
        ({"code": -2010, "msg": "Order would immediately match and take."}, 400),
    ],
)
def test_a_passing_refusal_strikes_once_and_the_next_request_passes(detail, status):
    with calling(faults=[Fault("refuse", "POST /api/v3/orderList/opo", detail=detail)]) as call:
        found = call("POST", "orderList/opo", **OPO, workingPrice=101)
        assert found == (status, {"code": detail["code"], "msg": detail["msg"]})
        assert call.headers.get("Retry-After") == (str(detail["retry_after_s"]) if status == 429 else None)
        assert call("GET", "allOrders", symbol="BTCUSDT")[1] == []
        status, body = call("POST", "orderList/opo", **OPO, workingPrice=101)
        assert (status, set(by_type(body))) == (200, {"LIMIT", "STOP_LOSS"})


def test_a_refusal_may_last_until_a_time():
    with calling() as call:
        fault = {"kind": "refuse", "path": "POST /api/v3/order", "times": 1_000, "until_ms": call.start_ms + 5_000}
        assert call.control("faults", [fault])[0] == 200
        assert call("POST", "order", **BUY)[1] == {"code": -1013, "msg": "Market is closed."}
        call.wait(4_999)
        assert call("POST", "order", **BUY)[1]["code"] == -1013
        call.wait(1)
        assert call("POST", "order", **BUY)[0] == 200


def test_an_order_that_ended_unfilled_is_archived():
    with calling(archive_ms=3_600_000) as call:
        gone, filled = call.order("BUY", "LIMIT", price=90), call.order("BUY", "MARKET")
        call("DELETE", "order", symbol="BTCUSDT", orderId=gone["orderId"])
        call.wait(3_600_000)
        assert call.look_up(gone["orderId"])["status"] == "CANCELED"
        call.wait(1)
        assert call.look_up(gone["orderId"])["code"] == -2026
        assert call.look_up(filled["orderId"])["status"] == "FILLED"
