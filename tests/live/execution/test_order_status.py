"""Asking a venue: every witness is asked before an order counts as absent, and no execution is passed over."""

import asyncio
from dataclasses import replace
from decimal import Decimal

import pytest

from atb.domain.venue import Balance
from atb.live.execution.blotter import Blotter
from atb.live.execution.execution_reports import ExecutionReports
from atb.live.execution.order_status import OrderStatus
from atb.live.execution.timing import DeskTiming
from atb.live.journal.step import Step, Working
from tests.live.fake_broker import BAR, BOTH, BTC, ETH, ForgedBroker, Table, report_of, want

LATE = BAR + 3_000 + 1_000  # the bound of `BOTH` and the margin of `Rules`
TIMING = DeskTiming()
SILENCE = TIMING.silence_ms


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


def test_an_entry_is_absent_only_once_it_has_left_no_trace_for_the_stated_time(table, broker):
    working = lost(table)
    for broker.now in (BAR, BAR + 600, LATE, LATE + 1, LATE + 8_000, LATE + SILENCE):
        working.next_look_ms = 0
        assert resolve(table, broker).changes == {}
        assert (working.state, working.unknown) == ("sent", True)
    broker.now = LATE + SILENCE + 1
    working.next_look_ms = 0
    step = resolve(table, broker)
    assert (working.state, working.unknown) == ("absent", False)
    assert step.changes[working.order.client_id].state == "absent"
    assert [(notice.kind, notice.detail["state"]) for notice in step.notices] == [("resolved", "absent")]
    assert table.book.slot(0)["entry"] == 0.0, "it is not sent again"


def test_that_an_entry_is_waited_for_beyond_its_window_is_told_once(table, broker):
    working = lost(table)
    told = []
    for broker.now in (LATE - 1, LATE + 1, LATE + 2_000, LATE + 9_000):
        working.next_look_ms = 0
        told += resolve(table, broker).notices
    assert [(notice.kind, notice.detail["role"], notice.detail["evidence"]) for notice in told] == [
        ("answer_unknown", "entry", [])
    ]


def test_a_process_that_starts_long_after_the_request_asks_more_than_once(table, broker):
    working = lost(table)
    broker.now = LATE + 86_400_000
    for state in ("sent", "sent", "absent"):
        working.next_look_ms = 0
        resolve(table, broker)
        assert working.state == state


@pytest.mark.parametrize("role", ["stop", "exit"])
def test_a_sale_without_a_trace_is_planned_anew_when_its_window_is_over(table, broker, role):
    table.hold(1.0)
    kind, more = ("stop", {"stop_price": Decimal(95)}) if role == "stop" else ("market", {})
    working = table.out(table.order(role, kind, **more), unknown=True)
    broker.wallet = {"BTC": Balance(Decimal(1))}
    broker.now = LATE + 1
    resolve(table, broker)
    assert working.state == "absent"


@pytest.mark.parametrize(("held", "exits"), [("1.9", True), ("2", False)])
def test_an_exit_that_the_account_could_execute_twice_is_not_repeated_in_its_bar(table, broker, held, exits):
    table.hold(1.0)
    table.book.state.slots[0]["exit"] = -1.0
    table.out(table.order("exit"), unknown=True)
    broker.wallet = {"BTC": Balance(Decimal(held))}
    broker.now = LATE + 1
    resolve(table, broker)
    assert (table.book.slot(0)["exit"] != 0.0) == exits


# --- the other witnesses ------------------------------------------------------------------------------------------------


def test_an_order_that_is_listed_as_open_is_found_though_its_look_up_lags(table, broker):
    working = lost(table)
    broker.now, broker.opened = LATE + 1, [report_of(working.order)]
    resolve(table, broker)
    assert (working.state, working.unknown) == ("live", False)


def with_stop(table):
    """Send an entry in one list with its stop; the answer is lost."""
    entry = lost(table, list_id="list")
    stop = table.out(table.order("stop", "stop", stop_price=Decimal(95)), unknown=True, list_id="list")
    return entry, stop


def test_a_leg_that_the_venue_knows_speaks_for_its_entry_for_as_long_as_it_takes(table, broker):
    entry, stop = with_stop(table)
    broker.opened = [report_of(stop.order)]
    sweep(table, broker)
    broker.now, broker.opened = LATE + 86_400_000, []
    for _ in range(5):
        entry.next_look_ms = 0
        resolve(table, broker)
    assert (entry.state, entry.unknown) == ("sent", True)


def test_a_list_that_the_venue_knows_gives_the_venues_ids_of_its_orders(table, broker):
    entry, stop = with_stop(table)
    broker.lists = {"list": {entry.client_id: "x-1", stop.client_id: "x-2"}}
    broker.fills = [table.fill_of(entry.order, client_id="", order_id="x-1")]
    broker.now = LATE + 1
    resolve(table, broker)
    assert (entry.state, float(table.book.slot(0)["quantity"])) == ("filled", 1.0)
    assert (stop.exchange_id, stop.unknown) == ("x-2", True)


def test_an_execution_leads_to_its_order_by_the_venues_id(table, broker):
    working = lost(table)
    broker.fills = [table.fill_of(working.order, client_id="", order_id="x-77")]
    broker.by_id = [report_of(working.order, "filled", "1", exchange_id="x-77")]
    step, _ = sweep(table, broker)
    assert (working.state, len(step.fills), table.desk_state.cursors) == ("filled", 1, {"BTC/USDT": "1"})


@pytest.mark.parametrize(("side", "waits"), [("buy", True), ("sell", False)])
def test_an_execution_that_nobody_owns_speaks_for_an_order_of_its_side(table, broker, side, waits):
    working = lost(table)
    broker.now = LATE + SILENCE + 1
    fill = table.fill_of(working.order, client_id="", order_id="x-77", side=side, time_ms=broker.now)
    broker.fills = [fill]
    for _ in range(4):
        working.next_look_ms = 0
        resolve(table, broker)
    assert (working.state == "sent") == waits


@pytest.mark.parametrize(
    ("base", "quote", "waits"),
    [("0", "10000", False), ("1", "10000", True), ("0", "9900", True), ("0", "10100", False)],
)
def test_a_balance_that_moved_as_the_entry_would_move_it_speaks_for_it_for_a_while(table, broker, base, quote, waits):
    working = lost(table)
    table.desk_state.surplus = {"USDT": Decimal(0), "BTC": Decimal(0)}
    cash = Decimal(repr(float(table.book.cash)))
    broker.wallet = {"USDT": Balance(cash + Decimal(quote) - 10_000), "BTC": Balance(Decimal(base))}
    states = []
    for broker.now in (LATE + 1, LATE + 2, LATE + SILENCE + 1, LATE + TIMING.balance_ms + 1):
        working.next_look_ms = 0
        resolve(table, broker)
        states.append(working.state)
    assert states == ["sent", "sent", "sent" if waits else "absent", "absent"]


def test_a_difference_that_was_there_before_speaks_for_nothing(table, broker):
    working = lost(table)
    table.desk_state.surplus = {"USDT": Decimal(0), "BTC": Decimal(0)}
    table.desk_state.drift["BTC"] = Decimal(1)
    broker.wallet = {"USDT": Balance(Decimal(repr(float(table.book.cash)))), "BTC": Balance(Decimal(1))}
    for broker.now in (LATE + 1, LATE + 2, LATE + SILENCE + 1):
        working.next_look_ms = 0
        resolve(table, broker)
    assert working.state == "absent"


def test_base_that_something_locks_speaks_for_a_stop(table, broker):
    table.hold(1.0)
    stop = table.out(table.order("stop", "stop", stop_price=Decimal(95)), unknown=True)
    table.desk_state.surplus = {"USDT": Decimal(0), "BTC": Decimal(0)}
    cash = Balance(Decimal(repr(float(table.book.cash))))
    broker.wallet = {"USDT": cash, "BTC": Balance(Decimal(0), Decimal(1))}
    broker.now = LATE + 1
    resolve(table, broker)
    assert (stop.state, stop.unknown) == ("sent", True)
    stop.next_look_ms, broker.wallet = 0, {"USDT": cash, "BTC": Balance(Decimal(1))}
    resolve(table, broker)
    assert stop.state == "absent"


# --- what comes after all -----------------------------------------------------------------------------------------------


def given_up(table, broker):
    working = lost(table)
    working.end("absent")
    working.unknown = False
    table.book.drop_entry(0)
    table.blotter.drop_finished()
    assert table.blotter.get(working.client_id) is None
    return working


def test_an_execution_of_an_entry_that_was_given_up_is_booked_when_it_comes(table, broker):
    working = given_up(table, broker)
    broker.now = LATE + SILENCE + 300_000
    broker.fills = [table.fill_of(working.order, client_id="", order_id="x-77", time_ms=broker.now)]
    broker.by_id = [report_of(working.order, "filled", "1", exchange_id="x-77")]
    step, _ = sweep(table, broker)
    assert float(table.book.slot(0)["quantity"]) == 1.0
    assert step.changes[working.client_id].state == "filled"
    assert [notice.kind for notice in step.notices] == ["came_after_all"]


def test_one_that_an_earlier_process_gave_up_is_ours_too(table, broker):
    working = given_up(table, broker)
    table.blotter._absent.clear()
    written = Working(working.order, BAR, 0, "absent", sent_ms=BAR)
    table.desk_state.recorded = {working.client_id: written}.get
    broker.ever = [report_of(working.order, "filled", "1", exchange_id="x-77")]
    broker.fills = [table.fill_of(working.order, client_id="", order_id="x-77")]
    status, step = inquiry(table, broker), Step(broker.now)
    asyncio.run(status.recall([BTC], step))
    asyncio.run(status.sweep([BTC], step))
    assert float(table.book.slot(0)["quantity"]) == 1.0


def test_an_order_that_ended_is_not_opened_again_by_a_read_that_lags(table, broker):
    gone = table.order()
    table.desk_state.recorded = {gone.client_id: Working(gone, BAR, 0, "cancelled", sent_ms=BAR)}.get
    broker.opened, _ = [report_of(gone)], table.out(table.order("stop", "stop", stop_price=Decimal(95)))
    sweep(table, broker)
    assert table.blotter.get(gone.client_id) is None


def test_an_order_of_ours_in_no_journal_is_not_taken_over(table, broker):
    stranger = table.order()
    broker.opened, _ = [report_of(stranger)], table.out(table.order("stop", "stop", stop_price=Decimal(95)))
    sweep(table, broker)
    assert table.blotter.get(stranger.client_id) is None


def test_the_venue_is_still_asked_for_a_while_about_an_order_that_was_given_up(table, broker):
    status = inquiry(table, broker)
    assert status.watch_ms() is None
    working = lost(table)
    for broker.now in (LATE + 1, LATE + 2, LATE + SILENCE + 1):
        working.next_look_ms = 0
        asyncio.run(status.resolve(Step(broker.now)))
    table.blotter.drop_finished()
    asyncio.run(status.sweep([BTC], Step(broker.now)))
    assert status.watch_ms() == broker.now + TIMING.watch_pause_ms
    broker.now += TIMING.watch_ms + 1
    assert status.watch_ms() is None


def test_it_is_asked_about_an_order_too_that_was_not_cancelled(table, broker):
    table.hold(1.0)
    stop = table.out(table.order("stop", "stop", stop_price=Decimal(95)), unknown=True)
    stop.cancelling, status = True, inquiry(table, broker)
    broker.known[stop.client_id], broker.opened, broker.now = report_of(stop.order), [report_of(stop.order)], LATE + 1
    asyncio.run(status.resolve(Step(broker.now)))
    assert (stop.state, stop.unknown) == ("live", False)
    assert status.watch_ms() is not None


def test_a_venue_that_lists_no_orders_at_the_start_is_asked_again_later(table, broker):
    status, step = inquiry(table, broker), Step(broker.now)
    broker.silent = {"all_orders"}
    for broker.now in (BAR, BAR + 1_000, BAR + 60_000):
        asyncio.run(status.recall([BTC], step))
    broker.silent = set()
    for broker.now in (BAR + 61_000, BAR + 120_000, BAR + 240_000):
        asyncio.run(status.recall([BTC], step))
    assert [what for what, _ in broker.asked] == ["all_orders"] * 3


# --- found ----------------------------------------------------------------------------------------------------------------


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


def test_an_update_of_a_symbol_has_its_lost_answers_looked_up_at_once_but_not_without_a_pause(table, broker):
    working, status = lost(table), inquiry(table, broker)
    later = working.next_look_ms = LATE + 60_000
    broker.now = LATE + 50_000
    status.note_updates([ETH])
    assert working.next_look_ms == later
    status.note_updates([BTC])
    assert working.next_look_ms == 0
    asyncio.run(status.resolve(Step(broker.now)))
    assert working.next_look_ms == broker.now + TIMING.look_ms, "what it tells may show late"
    broker.now += TIMING.look_ms - 1
    status.note_updates([BTC])
    assert working.next_look_ms == broker.now + 1


def test_an_execution_of_a_lists_entry_has_its_stop_looked_up_at_once(table, broker):
    """An entry that was executed late and in part has no stop: until that is known, its position is bare."""
    entry, stop = with_stop(table)
    stop.next_look_ms, broker.now = LATE + 60_000, LATE + 50_000
    broker.fills = [table.fill_of(entry.order, client_id=entry.client_id)]
    sweep(table, broker)
    assert (stop.unknown, stop.next_look_ms) == (True, 0)
    resolve(table, broker)
    assert stop.next_look_ms == broker.now + TIMING.look_ms
    stop.next_look_ms, broker.known[stop.client_id] = 0, report_of(stop.order, "expired")
    resolve(table, broker)
    assert stop.ended


def test_a_silent_venue_is_asked_again_later(table, broker):
    working = lost(table)
    broker.silent, broker.now = {"find"}, LATE + 1
    assert resolve(table, broker).changes == {}
    assert (working.unknown, working.next_look_ms) == (True, LATE + 501)


def test_a_venue_without_a_bound_gets_a_long_one(table, broker):
    table.hold(1.0)
    working, broker.capabilities = table.out(table.order("exit"), unknown=True), replace(BOTH, late_bound_ms=None)
    broker.now = BAR + 60_000
    resolve(table, broker)
    assert working.unknown
    broker.now = BAR + 61_001
    working.next_look_ms = 0
    resolve(table, broker)
    assert working.state == "absent"


def test_an_order_that_is_both_not_open_and_open_has_ended_and_is_waited_for(table, broker):
    table.hold(1.0)
    stop = table.out(table.order("stop", "stop", stop_price=Decimal(95)), unknown=True)
    stop.not_open_ms = broker.now = LATE + 5_000
    broker.known[stop.client_id] = report_of(stop.order)
    resolve(table, broker)
    assert stop.unknown, "the look-up lags"
    broker.known[stop.client_id], stop.next_look_ms = report_of(stop.order, "filled", "1"), 0
    broker.fills = [table.fill_of(stop.order)]
    resolve(table, broker)
    sweep(table, broker)
    assert (stop.state, float(table.book.slot(0)["quantity"])) == ("filled", 0.0)


def resting_entry_that_is_not_open(table, broker):
    """Return an entry that rested for an hour, whose cancellation the venue refused as not open while its look-up shows it open."""
    want(table.book, 1.0)
    entry = table.out(table.order("entry", "stop", stop_price=Decimal(105)), state="live", exchange_id="x-5")
    broker.known[entry.client_id], broker.now = report_of(entry.order), BAR + 3_600_000
    entry.looks, entry.cancelling = 16, True
    asyncio.run(inquiry(table, broker).ask_how_it_ended([entry], Step(broker.now), not_open=True))
    return entry


def test_how_an_entry_ended_that_is_not_open_any_more_is_asked_until_its_look_up_says_it(table, broker):
    entry = resting_entry_that_is_not_open(table, broker)
    for _ in range(20):
        resolve(table, broker)
        assert (entry.state, entry.unknown) == ("live", True), "that it was there is certain"
        broker.now, entry.next_look_ms = broker.now + 5_000, 0
    broker.known[entry.client_id] = report_of(entry.order, "expired")
    step = resolve(table, broker)
    assert (entry.state, step.changes[entry.client_id].state) == ("expired", "expired")


def test_an_entry_that_was_there_and_of_whose_end_nobody_tells_is_cancelled_and_never_absent(table, broker):
    entry = resting_entry_that_is_not_open(table, broker)
    asked_ms = broker.now + 4_000
    for broker.now in (asked_ms + 1, asked_ms + 2, asked_ms + TIMING.balance_ms + 1):
        entry.next_look_ms = 0
        step = resolve(table, broker)
    assert (entry.state, step.changes[entry.client_id].state) == ("cancelled", "cancelled")
    table.blotter.drop_finished()
    assert [one.client_id for one in table.blotter.given_up(BTC)] == [entry.client_id], "it is asked for all the same"
    kept = Working(entry.order, BAR, 0, "cancelled", sent_ms=BAR)
    table.desk_state.recorded = {entry.client_id: kept}.get
    broker.opened = [report_of(entry.order)]
    step, _ = sweep(table, broker)
    assert (step.notices, table.blotter.get(entry.client_id)) == ([], None), "a list that lags opens it no more"
    broker.opened, broker.fills = [], [table.fill_of(entry.order)]
    step, _ = sweep(table, broker)
    assert [notice.kind for notice in step.notices] == ["came_after_all"]
    assert float(table.book.slot(0)["quantity"]) == 1.0


def test_a_cancellation_whose_answer_was_lost_is_over_when_the_order_ended_or_the_request_is_too_late(table, broker):
    working = table.out(table.order("stop", "stop", stop_price=Decimal(95)), unknown=True)
    working.cancelling = True
    broker.known[working.order.client_id] = report_of(working.order)
    resolve(table, broker)
    assert working.unknown, "it may be cancelled yet"
    broker.now, broker.opened = LATE + 1, [report_of(working.order)]
    resolve(table, broker)
    assert (working.unknown, working.cancelling, working.state) == (False, False, "live")


@pytest.mark.parametrize(
    ("free", "locked", "state"),
    [("1", "0", "cancelled"), ("0", "1", "cancelled"), ("0", "0", "live"), ("2", "0", "live")],
)
def test_a_stop_that_is_not_listed_and_sold_nothing_was_cancelled_though_its_look_up_lags(
    table, broker, free, locked, state
):
    table.hold(1.0)
    stop = table.out(table.order("stop", "stop", stop_price=Decimal(95)), unknown=True, exchange_id="x-1", state="live")
    broker.opened = [report_of(stop.order)]
    sweep(table, broker)
    stop.cancelling, broker.opened = True, []
    table.desk_state.surplus = {"USDT": Decimal(0), "BTC": max(Decimal(0), Decimal(free) - 1)}
    cash = Balance(Decimal(repr(float(table.book.cash))))
    broker.wallet = {"USDT": cash, "BTC": Balance(Decimal(free), Decimal(locked))}
    broker.known[stop.client_id], broker.now = report_of(stop.order), LATE + 1
    resolve(table, broker)
    assert (stop.state, stop.unknown) == (state, state == "live")


def test_a_cancellation_that_happened_ends_the_wait(table, broker):
    working = table.out(table.order("stop", "stop", stop_price=Decimal(95)), unknown=True)
    working.cancelling = True
    broker.known[working.order.client_id] = report_of(working.order, "cancelled")
    resolve(table, broker)
    assert (working.state, working.unknown) == ("cancelled", False)


# --- a new process ------------------------------------------------------------------------------------------------------


def resumed(table):
    """Have a new process find a stop in the journal that rested when the last one died."""
    table.hold(1.0)
    stop = Working(table.order("stop", "stop", stop_price=Decimal(95)), BAR, 0, "live", sent_ms=BAR, exchange_id="x-1")
    table.blotter = Blotter([stop])
    table.reports = ExecutionReports(table.book, table.blotter, table.desk_state, makers=table.makers)
    return table.blotter.get(stop.order.client_id)


@pytest.mark.parametrize("read", ["the list", "the look-up"])
def test_nothing_is_planned_on_an_order_of_the_journal_before_a_read_has_shown_it(table, broker, read):
    """Reads may be older than the last answer, of which the process that died wrote down what executions had shown."""
    stop = resumed(table)
    sweep(table, broker)
    assert (stop.unsettled, stop.unknown) == (True, False)
    broker.opened = [report_of(stop.order)] if read == "the list" else []
    broker.known = {stop.client_id: report_of(stop.order)}
    sweep(table, broker)
    assert (stop.unsettled, stop.state) == (False, "live")


def test_an_order_of_the_journal_that_no_read_shows_for_longer_than_reads_lag_has_lost_its_answer(table, broker):
    stop = resumed(table)
    status = inquiry(table, broker)
    for broker.now, unknown in ((BAR, False), (BAR + SILENCE, False), (BAR + SILENCE + 1, True)):
        asyncio.run(status.sweep([BTC], Step(broker.now)))
        assert stop.unknown is unknown
    broker.now = LATE + SILENCE + 1
    asyncio.run(status.resolve(Step(broker.now)))
    assert stop.state == "cancelled", "it was there, and nothing speaks for it any more"


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


def test_symbols_without_an_order_or_a_position_are_not_asked_for(table, broker):
    assert sweep(table, broker)[1]
    assert broker.asked == []
    table.hold(1.0)
    assert sweep(table, broker)[1]
    assert broker.asked == [("open_orders", BTC), ("trades", None)]


@pytest.mark.parametrize("named", [True, False])
def test_a_sale_by_a_stop_that_counts_as_cancelled_is_booked_when_it_shows(table, broker, named):
    """A venue that calls a stop not open, and shows the base that it sold: nothing but its execution tells."""
    table.hold(1.0)
    stop = table.order("stop", "stop", stop_price=Decimal(95))
    table.desk_state.recorded = {stop.client_id: Working(stop, BAR, 0, "cancelled", sent_ms=BAR)}.get
    broker.fills = [table.fill_of(stop, client_id=stop.client_id if named else "", order_id="x-9", price="95")]
    broker.by_id = [report_of(stop, "filled", "1", exchange_id="x-9")]
    step, _ = sweep(table, broker)
    assert (len(step.fills), table.book.slot(0)["quantity"]) == (1, 0.0)
    assert step.changes[stop.client_id].state == "filled"


def stop_of_a_list_that_counts_as_cancelled(table):
    """Return a stop that was sent for 1.001, of which its entry's fee left 1; the journal has what was sent."""
    table.hold(1.0)
    stop = table.order("stop", "stop", quantity="1.001", stop_price=Decimal(95))
    written = Working(stop, BAR, 0, "cancelled", list_id="list", sent_ms=BAR, exchange_id="x-9")
    table.desk_state.recorded = {stop.client_id: written}.get
    return stop


def test_a_stop_that_executes_though_it_counts_as_cancelled_is_asked_for_until_the_venue_says_how_it_ended(
    table, broker
):
    stop = stop_of_a_list_that_counts_as_cancelled(table)
    broker.fills = [table.fill_of(stop, "1", client_id=stop.client_id, price="95")]
    broker.known = {stop.client_id: report_of(stop, "new", quantity=Decimal(1))}
    inquiry = OrderStatus(broker, table.reports, DeskTiming())
    step = Step(broker.now_ms())
    asyncio.run(inquiry.sweep((BTC,), step))
    table.blotter.drop_finished()
    assert (len(step.fills), step.changes[stop.client_id].state) == (1, "cancelled"), "its look-up lags"
    broker.fills, step = [], Step(broker.now_ms())
    broker.known = {stop.client_id: report_of(stop, "filled", "1", quantity=Decimal(1))}
    asyncio.run(inquiry.sweep((BTC,), step))
    assert step.changes[stop.client_id].state == "filled"
    table.blotter.drop_finished()
    assert list(table.blotter) == []


def test_an_order_that_was_filled_by_the_venues_word_is_so_in_the_journal_after_a_restart_too(table, broker):
    stop = stop_of_a_list_that_counts_as_cancelled(table)
    written = replace(table.desk_state.recorded(stop.client_id), filled=Decimal(1))
    table.desk_state.recorded = {stop.client_id: written}.get
    broker.ever = [report_of(stop, "filled", "1", quantity=Decimal(1))]
    step = Step(broker.now_ms())
    asyncio.run(OrderStatus(broker, table.reports, DeskTiming()).recall((BTC,), step))
    assert step.changes[stop.client_id].state == "filled"


def test_an_order_that_should_be_out_and_is_not_is_asked_for(table, broker):
    table.hold(1.0)
    stop = table.out(table.order("stop", "stop", stop_price=Decimal(95)))
    broker.known[stop.order.client_id] = report_of(stop.order, "cancelled")
    step, _ = sweep(table, broker)
    assert stop.state == "cancelled"
    assert [notice.kind for notice in step.notices] == ["protection_ended"]


def test_a_venue_that_cannot_be_asked_leaves_what_was_reported_so_far(table, broker):
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


# --- reads that lag ------------------------------------------------------------------------------------------------------


def test_a_symbol_with_an_update_is_asked_for_again_until_reads_cannot_lag_behind_it(table, broker):
    table.hold(1.0)
    table.out(table.order("stop", "stop", stop_price=Decimal(95)))
    status, due = inquiry(table, broker), []
    status.note_updates([BTC, ETH])
    while status.lagging():
        asyncio.run(status.sweep(status.lagging(), Step(broker.now)))
        assert status.lag_look_ms() == broker.now + TIMING.watch_pause_ms
        broker.now = status.lag_look_ms()
        due.append(broker.now - BAR)
    assert due == list(range(4_000, TIMING.lag_ms + 4_001, 4_000))
    assert {about for what, about in broker.asked if what == "open_orders"} == {BTC}
    assert status.lag_look_ms() is None


def test_an_execution_before_a_widened_window_began_speaks_for_its_order(table, broker):
    """The request's time is set later where its window was wider, or where a process that died may still have been sending."""
    working = lost(table)
    working.mark_unknown(sent_ms=BAR + 7_000)
    broker.now = BAR + 7_000 + 4_000 + SILENCE + 1
    broker.fills = [table.fill_of(working.order, client_id="", order_id="x-77", time_ms=BAR + 5)]
    status, table.desk_state.began_ms = inquiry(table, broker), BAR
    for _ in range(4):
        working.next_look_ms = 0
        witnesses = status._witnesses(working, broker.fills, {})
        asyncio.run(status.resolve(Step(broker.now)))
    assert witnesses == {"execution"}
