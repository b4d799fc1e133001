"""The account's book: executions and bars go through the kernel, and nobody else writes its records."""

from decimal import Decimal

import numpy as np
import pytest

from atb.engine import records
from atb.engine.codes import REASONS
from atb.live.execution.book import Newest, number
from tests.live.fake_broker import Table, want


@pytest.fixture
def table():
    return Table()


def test_an_execution_is_numbered_and_has_the_reason_of_its_order(table):
    want(table.book, 1.0)
    entry = table.order()
    done, trade = table.book.fold(table.fill_of(entry), entry, 0)
    assert (done.number, done.reason, done.slot, trade) == (0, "entry_signal", 0, None)
    assert float(table.book.slot(0)["quantity"]) == 1.0
    assert not table.book.flat


@pytest.mark.parametrize(
    ("placed_for", "reason"), [("time_limit", "time_limit"), ("risk_limit", "risk_limit"), ("", "exit_signal")]
)
def test_an_exit_that_executes_when_its_slot_has_decided_otherwise_keeps_the_reason_it_was_placed_for(
    table, placed_for, reason
):
    """Its answer was lost; bars closed since, at which nothing wants it any more."""
    table.hold(1.0)
    table.book.state.slots[0]["exit_reason"] = 0  # as each bar sets it that wants no exit
    late = table.order("exit", reason=placed_for)
    done, trade = table.book.fold(table.fill_of(late, price="110"), late, 0)
    assert (done.reason, table.book.flat) == (reason, True)
    assert trade is not None
    assert REASONS[int(trade["reason"])] == reason


def test_the_execution_that_closes_a_position_gives_its_trade(table):
    table.hold(1.0)
    table.book.close_at_market(0)
    leaves = table.order("exit")
    done, trade = table.book.fold(table.fill_of(leaves, price="110"), leaves, 0)
    assert trade is not None
    assert (done.number, done.reason, float(trade["exit_price"])) == (1, "risk_limit", 110.0)
    assert (table.book.flat, table.book.trades) == (True, 1)


def test_its_records_show_every_change_and_cannot_be_written(table):
    record = table.book.slot(0)
    table.hold(2.0)
    assert float(record["quantity"]) == 2.0
    for part in (record, table.book.account, table.book.parameters(0)):
        with pytest.raises(ValueError, match="read-only"):
            part[part.dtype.names[0]] = 5


def test_intents_are_withdrawn_one_by_one(table):
    want(table.book, 1.0)
    table.book.drop_entry(0)
    assert float(table.book.slot(0)["entry"]) == 0.0
    table.hold(1.0)
    table.book.close_at_market(0)
    assert float(table.book.slot(0)["exit"]) != 0.0
    table.book.drop_exit(0)
    assert float(table.book.slot(0)["exit"]) == 0.0


def test_a_record_limited_to_what_is_there_is_a_copy(table):
    table.hold(2.0)
    assert float(table.book.limited_to(0, Decimal("0.5"))["quantity"]) == 0.5
    assert float(table.book.limited_to(0, Decimal(9))["quantity"]) == 2.0
    assert float(table.book.slot(0)["quantity"]) == 2.0


def test_of_a_position_no_more_is_written_off_than_is_held(table):
    table.hold(2.0)
    assert table.book.write_off(0, Decimal(5)) == 2.0


def test_without_a_bar_that_closes_the_newest_have_no_row_for_any_slot():
    now = Newest(3, {})
    assert (now.slots, now.rows.tolist(), len(now.market), len(now.signals)) == ((), [-1, -1, -1], 1, 1)
    assert now.market.dtype == records.MARKET


def test_a_number_that_is_none_is_written_as_none():
    assert number(np.float64("nan")) is None
    assert number(np.float64(1.5)) == 1.5
