"""The blotter: whatever order the news comes in, an order's state goes forward only, and nothing of it is forgotten."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from atb.live.execution.blotter import RANK, Blotter
from atb.live.journal.step import OPEN_STATES, Working
from tests.live.fake_broker import BAR, Table, report_of

STATES = ("pending", "new", "partially_filled", "filled", "cancelled", "rejected", "expired")
NEWS = st.lists(
    st.one_of(
        st.tuples(st.just("report"), st.sampled_from(STATES), st.integers(0, 4)),
        st.tuples(st.just("execution"), st.just(""), st.integers(1, 2)),
    ),
    max_size=12,
)


@pytest.fixture
def table():
    return Table()


def rank(working):
    return RANK.get(working.state, 3)


@given(NEWS)
def test_states_and_amounts_never_go_back(news):
    table = Table()
    order = table.order(quantity="4")
    working = table.out(order, state="sent")
    for kind, state, amount in news:
        before = (rank(working), working.filled, working.reported)
        ended = working.state if working.ended else None
        if kind == "report":
            working.update(report_of(order, state, str(amount)))
        elif working.filled + amount <= 4:
            working.execute(Decimal(amount))
        assert (rank(working), working.filled, working.reported) >= before
        assert all(
            now >= then for now, then in zip((rank(working), working.filled, working.reported), before, strict=True)
        )
        assert ended in {None, working.state} or working.state == "filled"
        assert working.state != "filled" or working.filled == 4


def test_an_order_is_filled_when_its_executions_were_seen_and_not_before(table):
    order = table.order(quantity="2")
    working = table.out(order)
    assert working.update(report_of(order, "filled", "2"))
    assert (working.state, working.owed, working.leaves_quantity) == ("partially_filled", True, Decimal(2))
    working.execute(Decimal("0.5"))
    assert (working.state, working.owed) == ("partially_filled", True)
    working.execute(Decimal("1.5"))
    assert (working.state, working.owed, working.leaves_quantity, working.ended) == ("filled", False, Decimal(0), True)


def test_the_same_news_twice_is_news_once(table):
    order = table.order()
    working = table.out(order, state="sent")
    assert working.update(report_of(order, "new"))
    assert not working.update(report_of(order, "new"))
    assert working.exchange_id
    assert not working.update(report_of(order, "pending", exchange_id=""))
    assert working.exchange_id, "an empty name forgets nothing"


def test_an_order_that_was_cancelled_and_turns_out_filled_is_filled(table):
    order = table.order()
    working = table.out(order)
    working.update(report_of(order, "cancelled"))
    working.update(report_of(order, "new"))
    assert working.state == "cancelled"
    working.execute(Decimal(1))
    assert working.state == "filled"


def test_what_ended_is_kept_until_its_executions_are_complete(table):
    first, second = table.order(), table.order()
    table.out(first).update(report_of(first, "cancelled", "0.5"))
    table.out(second).update(report_of(second, "cancelled"))
    table.blotter.drop_finished()
    assert [working.order for working in table.blotter] == [first]
    table.blotter.get(first.client_id).execute(Decimal("0.5"))
    table.blotter.drop_finished()
    assert list(table.blotter) == []


def test_an_execution_finds_its_order_by_either_name(table):
    order = table.order()
    working = table.out(order, exchange_id="77")
    fill = table.fill_of(order)
    assert table.blotter.owner_of(fill) is working
    nameless = table.fill_of(order, client_id="", order_id="77")
    assert table.blotter.owner_of(nameless) is working
    assert table.blotter.owner_of(table.fill_of(order, client_id="", order_id="78")) is None
    assert table.blotter.owner_of(table.fill_of(order, client_id="web_1", order_id="77")) is None


def test_a_restart_counts_what_was_sent_as_lost(table):
    sent, live = table.order(), table.order("stop", "stop", stop_price=Decimal(95))
    working = [Working(sent, BAR, 0, "sent"), Working(live, BAR, 0, "live", filled=Decimal("0.25"))]
    blotter = Blotter(working)
    assert [one.order for one in blotter.unknown()] == [sent]
    assert blotter.unknown(1) == []
    assert blotter.get(live.client_id).leaves_quantity == Decimal("0.75")
    assert [one.order for one in blotter.open(0, "stop")] == [live]
    assert len(blotter.open(0)) == 2
    assert {one.state for one in blotter} <= set(OPEN_STATES)


def test_orders_of_a_list_stand_together(table):
    stop, target = (
        table.order("stop", "stop", stop_price=Decimal(95)),
        table.order("target", "limit", price=Decimal(110)),
    )
    pair = [table.out(order, list_id="list") for order in (stop, target)]
    alone = table.out(table.order())
    assert table.blotter.same_list(pair[0]) == pair
    assert table.blotter.same_list(alone) == [alone]
