"""Every way an order's answer can look, forged on the wire: only words of refusal are believed, only whole answers are done."""

import asyncio
import logging
from decimal import Decimal

import pytest

from atb.errors import VenueError
from tests.venues.broker.fake_exchange import KEY, NOW, SECRET, Forgery, an_order, binance, in_loop, order_row

ORDER = an_order()


def refusal(code, status=400, text="No."):
    return Forgery({"code": code, "msg": text}, status)


async def outcome_of(answer):
    async with binance() as (broker, forged):
        forged.say("POST", "order", answer)
        return await broker.place(ORDER), forged


@pytest.mark.parametrize(
    ("answer", "outcome", "code"),
    [
        (Forgery(order_row(ORDER)), "done", ""),
        (refusal(-1013), "rejected", "-1013"),
        (refusal(-1100), "rejected", "-1100"),
        (refusal(-1121), "rejected", "-1121"),
        (refusal(-1199), "rejected", "-1199"),
        (refusal(-2010, text="Account has insufficient balance for requested action."), "rejected", "-2010"),
        (refusal(-1021), "rejected", "-1021"),
        (refusal(-2014, 401), "rejected", "-2014"),
        (refusal(-2015, 401), "rejected", "-2015"),
        (refusal(-1003, 429), "rejected", "-1003"),
        (refusal(-1015, 429), "rejected", "-1015"),
        (refusal(-1015, 400), "rejected", "-1015"),
        (refusal(-1003, 418), "rejected", "-1003"),
        (Forgery("<html>banned</html>", 418), "rejected", "http:418"),
        # An order of this id is there: it must be looked at, not taken for refused.
        (refusal(-2010, text="Duplicate order sent."), "unknown", "-2010"),
        (refusal(-1112), "unknown", "-1112"),
        (refusal(-2011), "unknown", "-2011"),
        (refusal(-1000), "unknown", "-1000"),
        (refusal(-1006), "unknown", "-1006"),
        (refusal(-1007), "unknown", "-1007"),
        (refusal(-1001, 500), "unknown", "-1001"),
        (refusal(-1013, 500), "unknown", "-1013"),
        (refusal(-1013, 403), "unknown", "-1013"),
        (refusal(-2010, 401), "unknown", "-2010"),
        (refusal(-9999), "unknown", "-9999"),
        (Forgery("Service Unavailable", 503), "unknown", "http:503"),
        (Forgery("<html>denied</html>", 403), "unknown", "http:403"),
        (Forgery("<html>denied</html>", 451), "unknown", "http:451"),
        (Forgery("<html>slow down</html>", 429), "unknown", "http:429"),
        (Forgery("", 502), "unknown", "http:502"),
        (Forgery("{", 400), "unknown", "http:400"),
        (Forgery('{"orderId": 11, "clien', 200), "unknown", "unreadable"),
        (Forgery("", 200), "unknown", "unreadable"),
        (Forgery({}, 200), "unknown", "unreadable"),
        (Forgery([], 200), "unknown", "unreadable"),
        (Forgery({"code": -1007, "msg": "Timeout"}, 200), "unknown", "-1007"),
        (Forgery(order_row(an_order(client_id="another"))), "unknown", "unreadable"),
        (Forgery(order_row(ORDER), break_="hold"), "unknown", "timeout"),
        (Forgery(order_row(ORDER), break_="reset"), "unknown", "disconnected"),
        (Forgery(order_row(ORDER), break_="cut"), "unknown", "unreadable"),
    ],
)
@in_loop
async def test_an_order_is_judged_by_status_code_and_body(answer, outcome, code):
    found, forged = await outcome_of(answer)
    assert (found.outcome, found.code) == (outcome, code)
    assert len(forged.asked("POST", "order")) == 1  # never sent twice by itself
    assert found.sent_ms == NOW == int(forged.asked("POST", "order")[0]["timestamp"])


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        (refusal(-2011, text="Unknown order sent."), "rejected"),
        (refusal(-2013), "unknown"),
        (refusal(-2011, 500), "unknown"),
        (refusal(-1021), "unknown"),
        (refusal(-1003, 429), "unknown"),
        (refusal(-1003, 418), "unknown"),
        (refusal(-1006), "unknown"),
        pytest.param(Forgery({}, break_="hold"), "unknown", marks=pytest.mark.slow),
    ],
)
@in_loop
async def test_a_cancellation_may_be_refused_because_nothing_is_open(answer, outcome):
    async with binance() as (broker, forged):
        forged.say("DELETE", "order", answer)
        found = await broker.cancel(ORDER)
    assert found.outcome == outcome


@in_loop
async def test_a_cancellation_is_told_about_the_order_and_not_about_itself():
    row = order_row(an_order("stop", "stop"), status="CANCELED", origClientOrderId="atb-test-s0", clientOrderId="xyz")
    async with binance() as (broker, forged):
        forged.say("DELETE", "order", Forgery(row))
        found = await broker.cancel(an_order("stop", "stop"))
    assert (found.outcome, found.reports[0].client_id, found.reports[0].state) == ("done", "atb-test-s0", "cancelled")
    assert forged.asked("DELETE", "order")[0]["origClientOrderId"] == "atb-test-s0"


OLD, NEW = an_order("stop", "stop"), an_order("stop", "stop", client_id="atb-test-s1", stop_price=Decimal(46_000))
CANCELLED = order_row(OLD, status="CANCELED", origClientOrderId=OLD.client_id, clientOrderId="c")


def halves(code, status, **data):
    return Forgery({"code": code, "msg": "Order cancel-replace failed.", "data": data}, status)


@pytest.mark.parametrize(
    ("answer", "outcome", "code", "reported"),
    [
        (
            Forgery({"cancelResult": "SUCCESS", "newOrderResult": "SUCCESS", "cancelResponse": CANCELLED,
                     "newOrderResponse": order_row(NEW, orderId=12)}),
            "done", "", [("atb-test-s0", "cancelled"), ("atb-test-s1", "new")],
        ),
        (
            halves(-2022, 400, cancelResult="FAILURE", newOrderResult="NOT_ATTEMPTED",
                   cancelResponse={"code": -2011, "msg": "Unknown order sent."}, newOrderResponse=None),
            "rejected", "-2011", [],
        ),
        (
            halves(-2021, 409, cancelResult="SUCCESS", newOrderResult="FAILURE", cancelResponse=CANCELLED,
                   newOrderResponse={"code": -2010, "msg": "Stop price would trigger immediately."}),
            "rejected", "-2010", [("atb-test-s0", "cancelled")],
        ),
        (
            halves(-2021, 409, cancelResult="SUCCESS", newOrderResult="FAILURE", cancelResponse=CANCELLED,
                   newOrderResponse={"code": -1007, "msg": "Timeout waiting for response from backend server."}),
            "unknown", "-1007", [("atb-test-s0", "cancelled")],
        ),
        (
            halves(-2022, 400, cancelResult="FAILURE", newOrderResult="NOT_ATTEMPTED",
                   cancelResponse={"code": -1007, "msg": "Timeout."}, newOrderResponse=None),
            "unknown", "-1007", [],
        ),
        (
            halves(-2022, 400, cancelResult="SUCCESS", newOrderResult="NOT_ATTEMPTED",
                   cancelResponse={"code": -2011, "msg": "Contradiction."}, newOrderResponse=None),
            "unknown", "-2011", [],
        ),
        (halves(-2022, 400), "unknown", "None", []),
        (Forgery("", 504), "unknown", "http:504", []),
    ],
)  # fmt: skip
@in_loop
async def test_a_replacement_tells_both_halves(answer, outcome, code, reported):
    async with binance() as (broker, forged):
        forged.say("POST", "cancelReplace", answer)
        found = await broker.replace(OLD, NEW)
    assert (found.outcome, found.code) == (outcome, code)
    assert [(report.client_id, report.state) for report in found.reports] == reported
    sent = forged.asked("POST", "cancelReplace")[0]
    assert sent["cancelReplaceMode"] == "STOP_ON_FAILURE"
    assert (sent["cancelOrigClientOrderId"], sent["newClientOrderId"], sent["stopPrice"]) == (
        "atb-test-s0",
        "atb-test-s1",
        "46000",
    )


@in_loop
async def test_answers_to_requests_at_the_same_time_are_not_mixed_up():
    def by_id(values):
        code = int(values["newClientOrderId"].rpartition("-")[2])
        return refusal(-1100 - code, text=f"for {code}")

    orders = [an_order(client_id=f"atb-test-{n}") for n in range(12)]
    async with binance() as (broker, forged):
        forged.say("POST", "order", by_id)
        found = await asyncio.gather(*map(broker.place, orders))
    assert [item.text for item in found] == [f"for {n}" for n in range(12)]


@pytest.mark.parametrize(
    "answer",
    [
        Forgery({"code": -2015, "msg": f"Invalid API-key {KEY}, IP, or permissions for action."}, 401),
        Forgery(f"<html>{KEY} {SECRET}</html>", 403),
        pytest.param(Forgery({}, break_="hold"), marks=pytest.mark.slow),
        Forgery({}, break_="reset"),
        Forgery({}, break_="cut"),
    ],
)
@in_loop
async def test_no_secret_and_no_signed_address_is_in_an_answer_an_error_or_a_log(answer, caplog):
    caplog.set_level(logging.DEBUG)
    async with binance() as (broker, forged):
        forged.say("POST", "order", answer)
        forged.say("GET", "openOrders", answer)
        found = await broker.place(ORDER)
        with pytest.raises(VenueError) as failed:
            await broker.open_orders(ORDER.symbol)
    said = f"{found} {failed.value} {failed.value.args} {caplog.text} {str(broker._access).replace(forged.url, '')}"
    assert not any(word in said for word in (KEY, SECRET, "signature", "http:/"))
