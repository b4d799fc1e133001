"""Every fault of the exchange, once: what a broker says was done or refused is never contradicted by the ledger."""

from decimal import Decimal

import pytest

from atb.errors import VenueError
from atb.venues.simulator.faults import Fault
from tests.bars import bars_of
from tests.venues.broker.fake_exchange import in_loop
from tests.venues.broker.harness import BARS, BTC, PRICE, START, at, broker_at, exchange, executed, make, make_list

ORDER, CANCEL, REPLACE = "POST /api/v3/order", "DELETE /api/v3/order", "POST /api/v3/order/cancelReplace"
BOUND = 3_000

# A fault, how the request ends by it, and whether the exchange did what was asked.
STRUCK = [
    (Fault("rate_limit", retry_after_s=3), "rejected", False),
    (Fault("ban", retry_after_s=60), "rejected", False),
    (Fault("error"), "unknown", False),
    (Fault("error", detail={"status": 500, "code": -1000}), "unknown", False),
    (Fault("error", detail={"status": 503, "code": -1001}), "unknown", False),
    (Fault("error", detail={"status": 502}), "unknown", False),
    (Fault("error", detail={"status": 400, "code": -1006}), "unknown", False),
    (Fault("reset"), "unknown", False),
    (Fault("held"), "unknown", False),
    (Fault("lost"), "unknown", True),
    (Fault("held_after"), "unknown", True),
    (Fault("truncated"), "unknown", True),
    (Fault("error_after"), "unknown", True),
    (Fault("error_after", detail={"status": 503, "code": -1007}), "unknown", True),
    (Fault("error_after", detail={"status": 400, "code": -1006}), "unknown", True),
    (Fault("error_after", detail={"status": 504}), "unknown", True),
]
NAMES = [f"{fault.kind} {fault.detail or ''}".strip() for fault, _, _ in STRUCK]


# An answer that is held is held until the client hangs up, in real time.
HELD = {"timeout_s": 2.0}


def on(fault, path):
    return Fault.from_json(fault.to_json() | {"path": path})


async def patience(running, answer):
    """Wait until whatever was asked for cannot happen any more, and the exchange may be asked again."""
    running.advance(max(answer.sent_ms, running.exchange.now_ms()) + max(BOUND, answer.retry_after_ms) + 1)


@pytest.mark.parametrize(
    ("fault", "outcome", "done"),
    [pytest.param(*case, marks=pytest.mark.slow if case[0].kind == "held" else ()) for case in STRUCK],
    ids=NAMES,
)
@in_loop
async def test_whatever_is_struck_is_judged_as_the_ledger_has_it(fault, outcome, done):
    single, old, new, gone = (make("stop", "stop", name) for name in "0123")
    pair = make_list("oco", "4")
    with exchange() as running:
        async with broker_at(running, **(HELD if fault.kind.startswith("held") else {})) as broker:
            for order in (old, gone):
                assert (await broker.place(order)).outcome == "done"

            running.add_faults(on(fault, ORDER))
            placed = await broker.place(single)
            assert (placed.outcome, executed(running, single.client_id)) == (outcome, "NEW" if done else None)
            await patience(running, placed)
            assert (await broker.find(single) is not None) == done

            running.add_faults(on(fault, REPLACE))
            replaced = await broker.replace(old, new)
            states = [executed(running, one.client_id) for one in (old, new)]
            assert (replaced.outcome, states) == (outcome, ["CANCELED", "NEW"] if done else ["NEW", None])
            await patience(running, replaced)

            running.add_faults(on(fault, "POST /api/v3/orderList/oco"))
            tied = await broker.place(pair)
            assert tied.outcome == outcome
            await patience(running, tied)
            assert [await broker.find(one) is not None for one in pair.orders] == [done, done]

            # The network library sends a deletion again where a connection that it had kept was reset: harmless, it says so then.
            struck = on(fault, CANCEL)
            struck.times = 2 if fault.kind in {"reset", "lost"} else 1
            running.add_faults(struck)
            assert (await broker.cancel(gone)).outcome == "unknown"
            assert executed(running, gone.client_id) == ("CANCELED" if done else "NEW")


@pytest.mark.parametrize("kind", ["opo", "opoco"])
@in_loop
async def test_a_list_whose_answer_was_lost_is_there_with_every_leg(kind):
    orders = make_list(kind)
    with exchange() as running:
        async with broker_at(running) as broker:
            running.add_faults(Fault("lost", f"POST /api/v3/orderList/{kind}"))
            assert (await broker.place(orders)).outcome == "unknown"
            found = [await broker.find(order) for order in orders.orders]
            assert [item.state for item in found] == ["new"] + ["pending"] * (len(found) - 1)


@in_loop
async def test_a_deletion_that_was_sent_twice_by_the_network_library_ends_as_nothing_to_cancel():
    order = make("stop", "stop")
    with exchange() as running:
        async with broker_at(running) as broker:
            await broker.place(order)
            running.add_faults(Fault("lost", CANCEL))
            answer = await broker.cancel(order)
            assert (answer.outcome, executed(running, order.client_id)) == ("rejected", "CANCELED")


@pytest.mark.parametrize(("delay_ms", "there"), [(1_000, True), (2_999, True), (4_000, False)])
@in_loop
async def test_a_request_that_executes_late_is_there_within_the_bound_or_never(delay_ms, there):
    order = make("stop", "stop")
    with exchange() as running:
        async with broker_at(running, **HELD) as broker:
            running.add_faults(Fault("late", ORDER, detail={"delay_ms": delay_ms}))
            answer = await broker.place(order)
            assert answer.outcome == "unknown"
            assert await broker.find(order) is None  # not yet: whoever believes this sends a second one
            bound = broker.capabilities.late_bound_ms
            assert bound == BOUND
            running.advance(answer.sent_ms + bound + 1)
            assert (await broker.find(order) is not None) == there == (executed(running, order.client_id) == "NEW")


@pytest.mark.parametrize("order_entry", ["rest", "websocket"])
@in_loop
async def test_inside_a_retry_after_nothing_reaches_the_exchange(order_entry):
    with exchange() as running:
        async with broker_at(running, order_entry=order_entry) as broker:
            running.add_faults(Fault("rate_limit", ORDER, retry_after_s=5))
            answer = await broker.place(make())
            asked = len(running.exchange.requests)
            held = await broker.place(make(name="1"))
            with pytest.raises(VenueError):
                await broker.open_orders(BTC)
            assert len(running.exchange.requests) == asked
            assert (answer.retry_after_ms, held.code, held.retry_after_ms) == (5_000, "local:rate_limit", 5_000)
            running.advance(START + 5_000)
            assert (await broker.place(make(name="2"))).outcome == "done"


@in_loop
async def test_protection_that_keeps_missing_the_window_gets_a_wider_one_and_an_entry_does_not():
    def windows(running):
        return [int(row["params"]["recvWindow"]) for row in running.ledger("request") if row["method"] == "POST"]

    with exchange() as running:
        async with broker_at(running) as broker:
            missed = {"code": -1021, "msg": "Timestamp for this request is outside of the recvWindow."}
            running.add_faults(Fault("refuse", ORDER, times=3, detail=missed))
            for name in "0123":
                answer = await broker.place(make("stop", "stop", name=name))
            assert (answer.outcome, windows(running)) == ("done", [BOUND, BOUND, 10_000, 10_000])
            await broker.place(make(name="4"))
            await broker.place(make("stop", "stop", name="5"))
            assert windows(running)[4:] == [BOUND, BOUND], "an answer in time, and the usual one is back"


@in_loop
async def test_a_request_that_never_left_or_came_too_soon_does_not_bring_the_usual_window_back():
    with exchange() as running:
        async with broker_at(running) as broker:
            missed = {"code": -1021, "msg": "Timestamp for this request is outside of the recvWindow."}
            running.add_faults(
                Fault("refuse", ORDER, times=2, detail=missed), Fault("rate_limit", ORDER, retry_after_s=5)
            )
            codes = [(await broker.place(make("stop", "stop", name=name))).code for name in "0123"]
            assert codes == ["-1021", "-1021", "-1003", "local:rate_limit"]
            running.advance(START + 6_000)
            assert (await broker.place(make("stop", "stop", name="4"))).outcome == "done"
            sent = [int(row["params"]["recvWindow"]) for row in running.ledger("request") if row["method"] == "POST"]
            assert sent == [BOUND, BOUND, 10_000, 10_000]


@pytest.mark.parametrize(("kind", "ends"), [("lost", ("rejected", "-2011")), ("reset", ("done", ""))])
@in_loop
async def test_a_cancellation_that_is_sent_again_on_a_new_connection_cancels_once(kind, ends):
    with exchange() as running:
        async with broker_at(running) as broker:
            stop, other = make("stop", "stop"), make("stop", "stop", name="1")
            for order in (stop, other):
                await broker.place(order)
            running.add_faults(Fault(kind, "DELETE /api/v3/order"))
            answer = await broker.cancel(stop)
            assert (answer.outcome, answer.code) == ends
            assert len([row for row in running.ledger("request") if row["method"] == "DELETE"]) == 2
            assert [(await broker.find(order)).state for order in (stop, other)] == ["cancelled", "new"]


@in_loop
async def test_a_usual_window_that_is_wider_is_never_narrowed():
    with exchange() as running:
        async with broker_at(running, recv_window_ms=20_000) as broker:
            missed = {"code": -1021, "msg": "Timestamp for this request is outside of the recvWindow."}
            running.add_faults(Fault("refuse", ORDER, times=2, detail=missed))
            for name in "012":
                answer = await broker.place(make("stop", "stop", name=name))
            assert (answer.outcome, answer.sent_ms) == ("done", START)
            sent = [row["params"]["recvWindow"] for row in running.ledger("request") if row["method"] == "POST"]
            assert sent == ["20000"] * 3


@pytest.mark.parametrize("ms", [15_000, -15_000])
@in_loop
async def test_a_clock_that_jumps_costs_one_attempt_and_no_order(ms):
    with exchange() as running:
        async with broker_at(running) as broker:
            running.add_faults(Fault("skew", detail={"ms": ms}, at_ms=START))
            running.advance(START + 1)
            first, second = make(), make(name="1")
            refused, done = await broker.place(first), await broker.place(second)
            assert (refused.outcome, refused.code, done.outcome) == ("rejected", "-1021", "done")
            assert [executed(running, order.client_id) for order in (first, second)] == [None, "FILLED"]
            assert broker.now_ms() == START + 1 + ms


@in_loop
async def test_a_halted_symbol_refuses_orders_and_maintenance_says_nothing():
    with exchange() as running:
        async with broker_at(running) as broker:
            running.add_faults(Fault("halt", detail={"symbol": "BTCUSDT"}, at_ms=START, until_ms=START + 1_000))
            running.advance(START + 1)
            refused = await broker.place(make())
            assert (refused.outcome, refused.code, executed(running, "atb-sim-e0")) == ("rejected", "-1013", None)
            running.advance(START + 1_000)
            running.add_faults(Fault("maintenance", at_ms=START + 1_001, until_ms=START + 2_000))
            running.advance(START + 1_001)
            assert (await broker.place(make(name="1"))).outcome == "unknown"
            with pytest.raises(VenueError):
                await broker.balances()
            running.advance(START + 2_000)
            assert await broker.find(make(name="1")) is None


@pytest.mark.parametrize("kind", ["lost", "truncated", "error"])
@in_loop
async def test_what_is_read_is_an_error_when_it_is_struck_and_never_an_empty_list(kind):
    with exchange() as running:
        async with broker_at(running) as broker:
            await broker.place(make("stop", "stop"))
            readings = [
                ("GET /api/v3/openOrders", lambda: broker.open_orders(BTC)),
                ("GET /api/v3/myTrades", lambda: broker.trades(BTC, after=None, since_ms=0)),
                ("GET /api/v3/account", broker.balances),
                ("GET /api/v3/order", lambda: broker.find(make("stop", "stop"))),
            ]
            for path, read in readings:
                # The network library asks a second time where a kept connection was reset.
                running.add_faults(Fault(kind, path, times=2))
                with pytest.raises(VenueError):
                    await read()


@in_loop
async def test_an_order_of_an_id_that_is_open_is_unknown_and_found():
    order = make("stop", "stop")
    with exchange() as running:
        async with broker_at(running) as broker:
            assert (await broker.place(order)).outcome == "done"
            again = await broker.place(order)
            assert (again.outcome, again.code) == ("unknown", "-2010")
            assert (await broker.find(order)).state == "new"


@in_loop
async def test_what_the_exchange_refuses_is_not_in_its_ledger():
    with exchange(balances={"USDT": Decimal(10)}) as running:
        async with broker_at(running) as broker:
            poor = await broker.place(make())
            assert (poor.outcome, poor.code, executed(running, "atb-sim-e0")) == ("rejected", "-2010", None)


@in_loop
async def test_an_order_at_market_takes_no_worse_price_than_it_names():
    with exchange() as running:
        async with broker_at(running) as broker:
            dear, fair = make(price=at(0.95)), make(name="1", price=at(1.05))
            for order, state in ((dear, "expired"), (fair, "filled")):
                answer = await broker.place(order)
                assert (answer.outcome, answer.reports[0].state, answer.reports[0].type) == ("done", state, "market")


@in_loop
async def test_a_fee_in_bnb_is_worth_what_bnb_costs():
    bnb = bars_of(BARS.frame * [5, 5, 5, 5, 1], "BNB/USDT")
    balances = {"USDT": Decimal(10_000), "BNB": Decimal(1)}
    with exchange(bnb, fee_in="bnb", balances=balances) as running:
        async with broker_at(running) as broker:
            (fill,) = (await broker.place(make())).fills
            assert (fill.fee_asset, fill.fee_value) == ("BNB", fill.fee * PRICE * 5)
            assert broker.unpriced == set()
