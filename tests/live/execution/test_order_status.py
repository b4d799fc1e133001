"""Asking a venue: "not found" is believed only when it cannot become found, and no execution is passed over."""

import asyncio
from dataclasses import replace
from decimal import Decimal

import pytest

from atb.live.execution.order_status import OrderStatus
from atb.live.execution.timing import DeskTiming
from atb.live.journal.step import Step
from tests.live.fake_broker import BAR, BOTH, BTC, ForgedBroker, Table, report_of, want

LATE = BAR + 3_000 + 1_000  # the bound of `BOTH` and the margin of `Rules`


@pytest.fixture
def table():
    return Table()


@pytest.fixture
def broker():
    return ForgedBroker()


def inquiry(table, broker):
    return OrderStatus(broker, table.reports, DeskTiming())


def resolve(table, broker):
    step = Step(broker.now)
    asyncio.run(inquiry(table, broker).resolve(step))
    return step


def sweep(table, broker):
    step = Step(broker.now)
    done = asyncio.run(inquiry(table, broker).sweep([BTC], step))
    return step, done


def lost(table, **more):
    want(table.book, 1.0)
    return table.out(table.order(), unknown=True, **more)


# --- lost answers -------------------------------------------------------------------------------------------------------


def test_not_found_is_not_believed_while_the_request_may_still_be_executed(table, broker):
    working = lost(table)
    for broker.now in (BAR, BAR + 600, LATE):
        assert resolve(table, broker).changes == {}
        assert (working.state, working.unknown) == ("sent", True)
    broker.now = LATE + 1
    step = resolve(table, broker)
    assert (working.state, working.unknown) == ("absent", False)
    assert step.changes[working.order.client_id].state == "absent"
    assert [(notice.kind, notice.detail["state"]) for notice in step.notices] == [("resolved", "absent")]


def test_a_second_look_among_the_open_orders_catches_a_look_up_that_lags(table, broker):
    working = lost(table)
    broker.now, broker.opened = LATE + 1, [report_of(working.order)]
    resolve(table, broker)
    assert (working.state, working.unknown) == ("sent", True)


def test_an_order_that_is_found_is_out_and_not_sent_again(table, broker):
    working = lost(table)
    broker.known[working.order.client_id] = report_of(working.order)
    step = resolve(table, broker)
    assert (working.state, working.unknown) == ("live", False)
    assert [notice.kind for notice in step.notices] == ["resolved"]


def test_an_order_that_executes_late_is_found_late(table, broker):
    working = lost(table)
    resolve(table, broker)
    broker.now = BAR + 2_900
    broker.known[working.order.client_id] = report_of(working.order, "filled", "1")
    resolve(table, broker)
    assert (working.state, working.owed) == ("partially_filled", True), "its executions are still to be seen"
    broker.fills = [table.fill_of(working.order)]
    sweep(table, broker)
    assert (working.state, float(table.book.slot(0)["quantity"])) == ("filled", 1.0)


def test_looks_are_paced_and_end_right_after_the_bound(table, broker):
    working = lost(table)
    resolve(table, broker)
    assert working.next_look_ms == BAR + 500
    resolve(table, broker)
    assert len(broker.asked) == 1, "it is not asked again before its time"
    broker.now = LATE - 100
    working.next_look_ms = 0
    resolve(table, broker)
    assert working.next_look_ms == LATE + 1


def test_a_silent_venue_is_asked_again_later(table, broker):
    working = lost(table)
    broker.silent, broker.now = {"find"}, LATE + 1
    assert resolve(table, broker).changes == {}
    assert (working.unknown, working.next_look_ms) == (True, LATE + 501)


def test_a_venue_without_a_bound_gets_a_long_one(table, broker):
    working, broker.capabilities = lost(table), replace(BOTH, late_bound_ms=None)
    broker.now = BAR + 60_000
    resolve(table, broker)
    assert working.unknown
    broker.now = BAR + 61_001
    working.next_look_ms = 0
    resolve(table, broker)
    assert working.state == "absent"


def test_an_entry_that_never_came_is_wanted_until_its_grace_is_over(table, broker):
    lost(table, sent_ms=BAR + 3_600_000)
    broker.now = BAR + 3_600_000 + 4_001
    resolve(table, broker)
    assert table.book.slot(0)["entry"] == 1.0
    lost(table, sent_ms=BAR + 3_600_000)
    broker.now = BAR + 3_600_000 + 60_001
    resolve(table, broker)
    assert table.book.slot(0)["entry"] == 0.0


def test_a_cancellation_whose_answer_was_lost_is_over_when_the_order_ended_or_the_request_is_too_late(table, broker):
    working = table.out(table.order("stop", "stop", stop_price=Decimal(95)), unknown=True)
    working.cancelling = True
    broker.known[working.order.client_id] = report_of(working.order)
    resolve(table, broker)
    assert working.unknown, "it may be cancelled yet"
    broker.now = LATE + 1
    resolve(table, broker)
    assert (working.unknown, working.cancelling, working.state) == (False, False, "live")


def test_a_cancellation_that_happened_ends_the_wait(table, broker):
    working = table.out(table.order("stop", "stop", stop_price=Decimal(95)), unknown=True)
    working.cancelling = True
    broker.known[working.order.client_id] = report_of(working.order, "cancelled")
    resolve(table, broker)
    assert (working.state, working.unknown) == ("cancelled", False)


# --- sweeps -------------------------------------------------------------------------------------------------------------


def test_a_sweep_folds_what_came_since_the_last_one(table, broker):
    want(table.book, 1.0)
    working = table.out(table.order())
    broker.opened = [report_of(working.order)]
    broker.fills = [table.fill_of(working.order, "0.25")]
    step, done = sweep(table, broker)
    assert done
    assert (len(step.fills), table.desk_state.cursors) == (1, {"BTC/USDT": "1"})
    broker.fills.append(table.fill_of(working.order, "0.25"))
    step, _ = sweep(table, broker)
    assert [fill.fill.trade_id for fill in step.fills] == ["2"]
    assert [about for what, about in broker.asked if what == "trades"] == [None, "1"]


def test_symbols_without_an_order_are_not_asked_for(table, broker):
    assert sweep(table, broker)[1]
    assert broker.asked == []


def test_an_order_that_should_be_out_and_is_not_is_asked_for(table, broker):
    table.hold(1.0)
    stop = table.out(table.order("stop", "stop", stop_price=Decimal(95)))
    broker.known[stop.order.client_id] = report_of(stop.order, "cancelled")
    step, _ = sweep(table, broker)
    assert stop.state == "cancelled"
    assert [notice.kind for notice in step.notices] == ["protection_ended"]


def test_a_venue_that_cannot_be_asked_leaves_what_was_heard_so_far(table, broker):
    working = table.out(table.order())
    broker.opened, broker.silent = [report_of(working.order, "partially_filled", "0.5")], {"trades"}
    step, done = sweep(table, broker)
    assert not done
    assert list(step.changes) == [working.order.client_id]
    assert table.desk_state.cursors == {}


def test_a_nameless_execution_of_a_lost_order_waits_for_its_order(table, broker):
    working = lost(table)
    broker.fills = [table.fill_of(working.order, client_id="", order_id="x-77")]
    step, _ = sweep(table, broker)
    assert (step.fills, table.desk_state.cursors, table.desk_state.foreign) == ([], {}, [])
    broker.known[working.order.client_id] = report_of(working.order, "filled", "1", exchange_id="x-77")
    resolve(table, broker)
    step, _ = sweep(table, broker)
    assert (len(step.fills), table.desk_state.cursors) == (1, {"BTC/USDT": "1"})


def test_a_nameless_execution_makes_it_ask_for_orders_whose_name_at_the_venue_is_not_known(table, broker):
    want(table.book, 1.0)
    working = table.out(table.order())
    broker.opened = []
    broker.known[working.order.client_id] = report_of(working.order, "filled", "1", exchange_id="x-9")
    broker.fills = [table.fill_of(working.order, client_id="", order_id="x-9")]
    step, _ = sweep(table, broker)
    assert (len(step.fills), working.state) == (1, "filled")


def test_a_strangers_execution_moves_the_cursor_and_is_told_once(table, broker):
    table.out(table.order("stop", "stop", stop_price=Decimal(95)), exchange_id="x-1")
    broker.fills = [table.fill_of(table.order(), client_id="web_7")]
    step, _ = sweep(table, broker)
    assert [notice.kind for notice in step.notices] == ["stranger_trade"]
    assert table.desk_state.cursors == {"BTC/USDT": "1"}
    assert sweep(table, broker)[0].notices == []
