"""Orders over the WebSocket API with REST behind it: one way for each request, and the same judgement whichever it was."""

import asyncio
import logging
from contextlib import asynccontextmanager

import pytest

from atb.errors import ConfigError
from atb.venues.broker import Access
from atb.venues.simulator.faults import Fault
from tests.venues.broker.fake_exchange import in_loop
from tests.venues.broker.harness import START, broker_at, exchange, executed, make, make_list
from tests.venues.broker.test_streams import until

ORDER = "POST /api/v3/order"


@asynccontextmanager
async def at_socket(running, **access):
    """Yield a broker whose orders go over the WebSocket API."""
    async with broker_at(running, order_entry="websocket", **access) as broker:
        assert broker._entry.is_open
        yield broker


def requests(running, client_id):
    """Return (path, way) of every request that names a client id."""
    return [(row["path"], row["via"]) for row in running.ledger("request") if row["client_id"] == client_id]


async def every_operation(broker):
    """Send each kind of request once."""
    for order in (make("stop", "stop"), make_list("oco", "1"), make_list("opo", "2"), make_list("opoco", "3")):
        assert (await broker.place(order)).outcome == "done"
    assert (await broker.replace(make("stop", "stop"), make("stop", "stop", "4"))).outcome == "done"
    assert (await broker.cancel(make("stop", "stop", "4"))).outcome == "done"
    assert (await broker.cancel(make_list("oco", "1"))).outcome == "done"
    assert (await broker.check(make(name="5"))).outcome == "done"


@in_loop
async def test_every_request_is_the_same_whichever_way_it_goes():
    sent = {}
    for way in ("rest", "websocket"):
        with exchange() as running:
            async with broker_at(running, order_entry=way) as broker:
                await every_operation(broker)
            rows = [row for row in running.ledger("request") if row["method"] != "GET"]
        sent[way] = [(row["method"], row["path"], row["params"]) for row in rows]
        assert {row["via"] for row in rows} == {"ws" if way == "websocket" else "rest"}
    assert len(sent["rest"]) == 8
    assert sent["rest"] == sent["websocket"]


# A fault, how the request ends by it, and whether the exchange did what was asked.
STRUCK = [
    (Fault("lost", ORDER), "unknown", True),
    (Fault("reset", ORDER), "unknown", False),
    (Fault("truncated", ORDER), "unknown", True),
    (Fault("error", ORDER), "unknown", False),
    (Fault("error_after", ORDER, detail={"status": 503, "code": -1007}), "unknown", True),
    (Fault("rate_limit", ORDER, retry_after_s=3), "rejected", False),
    (Fault("ban", ORDER, retry_after_s=60), "rejected", False),
    (Fault("refuse", ORDER, detail={"code": -2010, "msg": "Account has insufficient balance"}), "rejected", False),
    (Fault("drop", "orders"), "unknown", True),
    (Fault("duplicate", "orders"), "done", True),
    (Fault("gap", "orders"), "unknown", True),
    (Fault("half_open", "orders"), "unknown", True),
    (Fault("delay", "orders", detail={"delay_ms": 20_000}), "unknown", True),
    (Fault("held", ORDER), "unknown", False),
    (Fault("held_after", ORDER), "unknown", True),
    (Fault("late", ORDER, detail={"delay_ms": 1_000}), "unknown", False),
]
SILENT = {"gap", "half_open", "delay", "held", "held_after", "late"}


@pytest.mark.parametrize(
    ("fault", "outcome", "done"), STRUCK, ids=[f"{fault.kind} {fault.path}" for fault, _, _ in STRUCK]
)
@in_loop
async def test_whatever_is_struck_is_judged_as_the_ledger_has_it_and_sent_once(fault, outcome, done):
    order = make("stop", "stop")
    with exchange() as running:
        async with at_socket(running) as broker:
            if fault.kind in SILENT:
                broker._entry._socket.timeout_s = 0.3
            running.add_faults(Fault.from_json(fault.to_json()))
            answer = await broker.place(order)
            broker._entry._socket.timeout_s = 30.0
            assert answer.outcome == outcome
            assert executed(running, order.client_id) == ("NEW" if done else None)
            assert requests(running, order.client_id) == [("/api/v3/order", "ws")]
            running.advance(answer.sent_ms + max(3_001, answer.retry_after_ms + 1))
            assert (await broker.find(order) is not None) == (done or fault.kind == "late")
            if outcome == "unknown":
                await until(lambda: broker._entry.is_open)
            after = make("stop", "stop", "1")
            assert (await broker.place(after)).outcome == "done"
            assert requests(running, after.client_id) == [("/api/v3/order", "ws")]


@in_loop
async def test_after_a_doubt_the_next_order_goes_by_rest_at_once():
    lost, following = make("stop", "stop"), make("stop", "stop", "1")
    with exchange() as running:
        async with at_socket(running) as broker:
            running.add_faults(Fault("lost", ORDER))
            assert (await broker.place(lost)).outcome == "unknown"
            assert not broker._entry.is_open
            assert (await broker.place(following)).outcome == "done"
            assert requests(running, following.client_id) == [("/api/v3/order", "rest")]


@in_loop
async def test_without_the_websocket_api_everything_goes_by_rest():
    with exchange() as running:
        async with broker_at(running) as plain:
            address = plain._exchange.urls["api"]["ws"]["ws-api"]["spot"]
        assert address.endswith("/ws-api/v3")
        async with broker_at(running, order_entry="websocket") as broker:
            await broker._entry.close()
            broker._exchange.urls["api"]["ws"]["ws-api"]["spot"] = address + "/nowhere"
            await broker._entry.open()
            assert not broker._entry.is_open
            await every_operation(broker)
            rows = [row for row in running.ledger("request") if row["method"] != "GET"]
            assert {row["via"] for row in rows} == {"rest"}


@in_loop
async def test_a_frame_counts_orders_against_the_limits_of_both_ways():
    with exchange() as running:
        async with at_socket(running) as broker:
            assert (await broker.place(make("stop", "stop"))).outcome == "done"
            assert [window.used for window in broker.rate_limiter.orders] == [1, 1]


@in_loop
async def test_no_connection_is_opened_while_the_exchange_demands_to_wait():
    with exchange() as running:
        async with at_socket(running) as broker:
            running.add_faults(Fault("ban", ORDER, retry_after_s=60))
            await broker.place(make())
            asked = len(running.exchange.requests)
            broker._entry._socket._connection.doubt.set()
            await asyncio.sleep(0.4)
            assert not broker._entry.is_open
            assert len(running.exchange.requests) == asked
            running.advance(START + 60_001)
            await until(lambda: broker._entry.is_open)


@in_loop
async def test_nothing_secret_is_logged_or_described():
    records = []
    handler = logging.Handler(logging.DEBUG)
    handler.emit = lambda record: records.append(f"{record.getMessage()} {record.exc_info}")
    logging.getLogger().addHandler(handler)
    level = logging.getLogger().level
    logging.getLogger().setLevel(logging.DEBUG)
    try:
        with exchange() as running:
            async with at_socket(running) as broker:
                running.add_faults(Fault("lost", ORDER), Fault("truncated", ORDER))
                for name in "01":
                    records.append(repr(await broker.place(make("stop", "stop", name))))
                    await until(lambda: broker._entry.is_open)
                records.append(repr(broker._entry) + repr(broker._entry._socket.is_open))
    finally:
        logging.getLogger().removeHandler(handler)
        logging.getLogger().setLevel(level)
    shown = "\n".join(records)
    assert "WebSocket API" in shown
    assert not any(word in shown for word in ("apiKey", "signature", "secret"))


@pytest.mark.parametrize("values", [{"order_entry": "fix"}, {"id": "coinbase", "order_entry": "websocket"}])
def test_a_way_that_does_not_exist_is_refused_before_anything_is_asked(values):
    with pytest.raises(ConfigError, match="rest"):
        Access(**{"id": "binance"} | values)


@in_loop
async def test_a_broker_that_is_closed_leaves_nothing_behind():
    with exchange() as running:
        async with at_socket(running) as broker:
            running.add_faults(Fault("half_open", "orders"))
            broker._entry._socket.timeout_s = 0.2
            assert (await broker.place(make_list("oco"))).outcome == "unknown"
        assert len(asyncio.all_tasks()) == 1
