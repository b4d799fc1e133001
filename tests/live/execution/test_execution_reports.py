"""Execution reports: fills count once, rejections lead to what their text means, and foreign orders and fills are journalled."""

from dataclasses import replace
from decimal import Decimal

import pytest

from atb.domain.venue import Answer
from atb.engine import records
from atb.live.journal.step import Step
from tests.live.fake_broker import BAR, Table, report_of, want

POOR = "Account has insufficient balance for requested action."
TRIGGERS = "Stop price would trigger immediately."
MATCHES = "Order would immediately match and take."


@pytest.fixture
def table():
    return Table()


@pytest.fixture
def step():
    return Step(BAR)


def refused(text, code="-2010"):
    return Answer("rejected", code, text, sent_ms=BAR)


def sent(table, *orders, list_id=None):
    return [table.out(order, state="sent", list_id=list_id) for order in orders]


def entry_with_stop(table):
    want(table.book, 1.0)
    return sent(table, table.order(), table.order("stop", "stop", stop_price=Decimal(95)), list_id="list")


# --- answers ------------------------------------------------------------------------------------------------------------


def test_an_order_that_was_taken_is_live(table, step):
    (working,) = sent(table, table.order())
    table.reports.take_answer(Answer("done", sent_ms=BAR), step, new=[working])
    assert working.state == "live"
    assert step.changes[working.order.client_id].state == "live"
    assert [(reported.kind, reported.detail["outcome"]) for reported in step.order_events] == [("answer", "done")]


def test_the_answer_to_an_order_that_was_filled_at_once_is_folded(table, step):
    want(table.book, 1.0)
    (working,) = sent(table, table.order())
    fill = table.fill_of(working.order)
    answer = Answer("done", reports=(report_of(working.order, "filled", "1"),), fills=(fill,), sent_ms=BAR)
    table.reports.take_answer(answer, step, new=[working])
    assert (working.state, float(table.book.slot(0)["quantity"])) == ("filled", 1.0)
    assert [done.fill for done in step.fills] == [fill]


def test_a_lost_answer_leaves_the_order_unknown_to_be_looked_for_at_once(table, step):
    (working,) = sent(table, table.order())
    table.reports.take_answer(Answer("unknown", sent_ms=BAR + 7), step, new=[working])
    assert (working.state, working.unknown, working.sent_ms) == ("sent", True, BAR + 7)
    assert working.next_look_ms == 0


def test_what_was_withdrawn_ended_unless_executions_are_owed(table, step):
    done, owing = table.out(table.order()), table.out(table.order())
    owing.update(report_of(owing.order, "partially_filled", "0.5"))
    table.reports.take_answer(Answer("done"), step, old=[done, owing])
    assert (done.state, owing.ended) == ("cancelled", False)


def test_a_withdrawal_that_was_refused_changes_nothing(table, step):
    working = table.out(table.order())
    table.reports.take_answer(refused("Unknown order sent.", "-2011"), step, old=[working])
    assert working.state == "live"


# --- refusals -----------------------------------------------------------------------------------------------------------


def test_an_entry_that_is_refused_is_wanted_no_more(table, step):
    want(table.book, 1.0)
    (working,) = sent(table, table.order())
    table.reports.take_answer(refused(POOR), step, new=[working])
    assert (working.state, float(table.book.slot(0)["entry"])) == ("rejected", 0.0)
    assert [(notice.kind, notice.severity) for notice in step.notices] == [("rejected", "warning")]
    assert step.changes[working.order.client_id].refusal == "-2010"


def test_an_entry_whose_list_the_symbol_does_not_allow_is_sent_without_its_stop_in_this_bar_only_and_that_is_said_once(
    table, step
):
    new = entry_with_stop(table)
    table.reports.take_answer(refused("OPO orders are not supported for this symbol.", "-1013"), step, new=new)
    assert (table.reports.plain, float(table.book.slot(0)["entry"])) == ({0}, 1.0)
    assert len(step.notices) == 1
    table.reports.begin_bar(0)
    assert table.reports.plain == set()


@pytest.mark.parametrize(
    ("text", "code", "again_ms"),
    [
        ("Market is closed.", "-1013", 2_000),
        ("Timestamp for this request is outside of the recvWindow.", "-1021", 500),
        ("Too many requests.", "-1003", 500),
        ("not sent: the venue's limits leave no room for it", "local:rate_limit", 500),
    ],
)
def test_a_refusal_that_passes_makes_no_entry_bare_and_costs_no_attempt(table, step, text, code, again_ms):
    table.reports.take_answer(refused(text, code), step, new=entry_with_stop(table))
    assert (table.reports.plain, table.reports.tight, float(table.book.slot(0)["entry"])) == (set(), set(), 1.0)
    assert table.reports.paused == {0: step.time_ms + again_ms}
    assert table.reports.free_attempts[0, BAR, "entry"] == 1


def test_a_sale_that_expired_beyond_the_price_range_is_sent_again_after_a_pause_and_costs_no_attempt(table, step):
    table.hold(1.0)
    (working,) = sent(table, table.order("exit"))
    table.reports.take_answer(Answer("done", reports=(report_of(working.order, "expired"),)), step, new=[working])
    assert table.reports.paused == {0: step.time_ms + 2_000}
    assert table.reports.free_attempts[0, BAR, "exit"] == 1


def test_any_other_refusal_of_an_entry_in_a_list_drops_it(table, step):
    table.reports.take_answer(refused("This symbol is not permitted."), step, new=entry_with_stop(table))
    assert (table.reports.plain, float(table.book.slot(0)["entry"])) == (set(), 0.0)


def test_an_entry_whose_worst_price_is_too_dear_is_bounded_by_what_is_free_and_refused_again_it_is_dropped(table, step):
    table.reports.take_answer(refused(POOR), step, new=entry_with_stop(table))
    assert (table.reports.tight, table.reports.plain, float(table.book.slot(0)["entry"])) == ({0}, set(), 1.0)
    table.reports.take_answer(refused(POOR), step, new=entry_with_stop(table))
    assert (table.reports.plain, float(table.book.slot(0)["entry"])) == (set(), 0.0)
    table.reports.begin_bar(0)
    assert table.reports.tight == set()


def test_a_stop_entry_whose_price_is_there_already_becomes_a_market_order(table, step):
    want(table.book, 1.0, kind=records.AT_STOP, at=101.0)
    (working,) = sent(table, table.order("entry", "stop", stop_price=Decimal(101)))
    table.reports.take_answer(refused(TRIGGERS), step, new=[working])
    assert table.book.slot(0)["entry"] == 1.0
    assert table.book.slot(0)["entry_kind"] == records.AT_MARKET


@pytest.mark.parametrize(
    ("role", "kind", "text", "crossed", "reached"),
    [
        ("stop", "stop", TRIGGERS, {0}, set()),
        ("target", "limit", MATCHES, set(), {0}),
        ("stop", "stop", "Filter failure: PRICE_FILTER", set(), set()),
        ("exit", "market", TRIGGERS, set(), set()),
    ],
)
def test_protection_that_cannot_rest_is_acted_on_by_its_words(table, step, role, kind, text, crossed, reached):
    table.hold(1.0)
    (working,) = sent(table, table.order(role, kind))
    table.reports.take_answer(refused(text), step, new=[working])
    assert (table.reports.crossed, table.reports.reached) == (crossed, reached)
    assert step.notices[-1].severity == "error"


def test_a_target_that_was_taken_or_that_rests_after_all_leaves_the_next_one_to_rest_beside_its_stop(table, step):
    table.hold(1.0)
    table.reports.reached.add(0)
    paired, alone = sent(table, table.order("target", "limit"), list_id="list") + sent(
        table, table.order("target", "limit")
    )
    table.reports.take_answer(Answer("unknown", sent_ms=BAR), step, new=[alone])
    table.reports.take_answer(Answer("done", sent_ms=BAR), step, new=[paired])
    assert table.reports.reached == {0}
    table.reports.take_answer(Answer("done", sent_ms=BAR), step, new=[alone])
    assert table.reports.reached == set()


def test_protection_that_is_refused_again_and_again_closes_the_position(table, step):
    table.hold(1.0)
    for _ in range(4):
        (working,) = sent(table, table.order("stop", "stop", stop_price=Decimal(95)))
        assert table.reports.crossed == set()
        table.reports.take_answer(refused("Too many algo orders"), step, new=[working])
    assert table.reports.crossed == {0}


def test_a_pair_that_is_refused_for_no_reason_of_prices_leaves_its_stop_alone_and_closes_nothing(table, step):
    table.hold(1.0)
    for _ in range(6):
        pair = sent(table, table.order("stop", "stop"), table.order("target", "limit"), list_id="list")
        table.reports.take_answer(refused("Filter failure: MAX_NUM_ORDER_LISTS", "-1013"), step, new=pair)
    assert (table.reports.alone, table.reports.crossed) == ({0}, set())


# --- reports ------------------------------------------------------------------------------------------------------------


def test_a_strangers_report_is_passed_over(table, step):
    table.reports.take_report(report_of(table.order()), step)
    assert (step.changes, step.notices) == ({}, [])


def test_an_entry_that_expired_is_wanted_no_more_but_one_that_we_withdrew_says_nothing(table, step):
    want(table.book, 1.0)
    working = table.out(table.order())
    working.cancelling = True
    table.reports.take_report(report_of(working.order, "cancelled"), step)
    assert table.book.slot(0)["entry"] == 1.0
    other = table.out(table.order())
    table.reports.take_report(report_of(other.order, "expired"), step)
    assert table.book.slot(0)["entry"] == 0.0


def test_an_entry_that_ended_with_executions_missing_is_wanted_until_they_are_seen(table, step):
    want(table.book, 1.0)
    working = table.out(table.order())
    table.reports.take_report(report_of(working.order, "expired", "0.5"), step)
    assert table.book.slot(0)["entry"] == 1.0
    table.reports.take_fill(table.fill_of(working.order, "0.5"), step)
    assert (float(table.book.slot(0)["entry"]), float(table.book.slot(0)["quantity"])) == (0.0, 0.5)


def test_a_stop_that_somebody_else_cancelled_is_told(table, step):
    table.hold(1.0)
    stop = table.out(table.order("stop", "stop", stop_price=Decimal(95)))
    table.reports.take_report(report_of(stop.order, "cancelled"), step)
    assert [notice.kind for notice in step.notices] == ["protection_ended"]


@pytest.mark.parametrize("why", ["we did", "its pair was met", "nothing is held"])
def test_a_stop_that_ended_for_a_reason_is_no_news(table, step, why):
    if why != "nothing is held":
        table.hold(1.0)
    stop = table.out(table.order("stop", "stop", stop_price=Decimal(95)), list_id="pair")
    target = table.out(table.order("target", "limit", price=Decimal(110)), list_id="pair")
    stop.cancelling = why == "we did"
    if why == "its pair was met":
        target.update(report_of(target.order, "filled", "1"))
    table.reports.take_report(report_of(stop.order, "cancelled"), step)
    assert step.notices == []


# --- executions ---------------------------------------------------------------------------------------------------------


def test_an_execution_counts_once_however_often_it_comes(table, step):
    want(table.book, 1.0)
    working = table.out(table.order())
    fill = table.fill_of(working.order, "0.4")
    for _ in range(3):
        table.reports.take_fill(fill, step)
    assert (len(step.fills), working.filled, float(table.book.slot(0)["quantity"])) == (1, Decimal("0.4"), 0.4)


def test_an_execution_of_another_life_is_known_from_the_journal(table, step):
    working = table.out(table.order())
    table.desk_state.known = lambda _symbol, trade_id: trade_id == "1"
    table.reports.take_fill(table.fill_of(working.order), step)
    assert step.fills == []


def test_the_execution_that_closes_a_position_is_a_trade_and_clears_what_was_in_the_way(table, step):
    table.hold(1.0)
    table.reports.crossed.add(0)
    table.reports.reached.add(0)
    working = table.out(table.order("exit"))
    table.reports.take_fill(table.fill_of(working.order, price="101"), step)
    assert [number for number, _ in step.trades] == [1]
    assert (table.reports.crossed, table.reports.reached) == (set(), set())


def test_a_sale_of_what_is_not_held_is_never_booked_and_bars_the_symbol(table, step):
    working = table.out(table.order("stop", "stop", stop_price=Decimal(95)))
    working.reported = working.order.quantity
    table.reports.take_fill(table.fill_of(working.order), step)
    assert not working.unsettled, "nothing more will come for it"
    assert (step.fills, float(table.book.slot(0)["quantity"])) == ([], 0.0)
    assert [(notice.kind, notice.severity) for notice in step.notices] == [("sold_too_much", "error")]
    assert table.desk_state.quarantine == {"BTC/USDT": "sold_too_much"}


def test_a_strangers_execution_is_written_down_once_and_bars_its_symbol(table, step):
    fill = replace(table.fill_of(table.order()), client_id="web_1")
    table.reports.take_fill(fill, step)
    table.reports.take_fill(fill, step)
    assert [notice.kind for notice in step.notices] == ["stranger_trade"]
    assert (table.desk_state.quarantine, step.fills) == ({"BTC/USDT": "stranger"}, [])


# --- dust ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("sold", "flat"), [("0.99999", True), ("0.96", True), ("0.9", False)])
def test_what_an_exit_leaves_is_dust_where_no_order_could_sell_it(table, step, sold, flat):
    """At 100 and a least value of 5, anything below 0.05 stays where it is."""
    want(table.book, 1.0)
    table.reports.take_fill(table.fill_of(table.out(table.order()).order), step)
    (exit_order,) = sent(table, table.order("exit", quantity=sold))
    before = table.book.slot(0)["dust"]
    table.reports.take_fill(table.fill_of(exit_order.order), step)
    record = table.book.slot(0)
    assert bool(record["quantity"] == 0.0) is flat
    assert len(step.trades) == int(flat)
    assert record["dust"] - before == pytest.approx(1 - float(sold) if flat else 0.0)
    assert [notice.kind for notice in step.notices] == (["dust"] if flat else [])
