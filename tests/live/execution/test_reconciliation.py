"""The account beside the books: each difference is told once, bars entries where it must, and moves nothing."""

import asyncio
from decimal import Decimal

import pytest

from atb.domain.venue import Balance
from atb.errors import VenueError
from atb.live.execution.reconciliation import Reconciler, owned
from atb.live.journal.rows import Rows
from atb.live.journal.step import Step, Working
from tests.live.fake_broker import BAR, ForgedBroker, Table, portfolio_of, report_of


def wallet(**amounts):
    return {asset: Balance(Decimal(str(amount))) for asset, amount in amounts.items()}


@pytest.fixture
def table():
    made = Table(portfolio_of(symbols=("BTC/USDT", "ETH/USDT")))
    made.hold(1.0)
    return made


@pytest.fixture
def broker(table):
    return ForgedBroker(wallet=wallet(USDT=table.book.cash + 500, BTC=3, ETH=0, XRP=9))


@pytest.fixture
def reconciler(table, broker):
    made = Reconciler(broker, table.reports)
    assert kinds(made) == [("accepted", "info")]  # the first look takes what is there beyond the books as not ours
    return made


def compare(reconciler):
    step = Step(BAR)
    assert asyncio.run(reconciler.compare(step))
    return [(notice.kind, notice.severity, notice.detail) for notice in step.notices]


def kinds(reconciler):
    return [(kind, severity) for kind, severity, _ in compare(reconciler)]


def test_what_was_there_before_is_a_surplus_and_no_drift(table, reconciler):
    assert table.desk_state.surplus == {"USDT": Decimal(500), "BTC": Decimal(2), "ETH": Decimal(0)}
    assert compare(reconciler) == []


def test_a_drift_is_told_when_it_begins_changes_and_ends(table, broker, reconciler):
    broker.wallet |= wallet(BTC="2.5")
    ((kind, severity, detail),) = compare(reconciler)
    assert (kind, severity, detail["asset"], detail["drift"]) == ("drift", "warning", "BTC", "-0.5")
    assert (Decimal(detail["books"]), Decimal(detail["account"])) == (1, Decimal("0.5"))
    assert table.desk_state.quarantine == {"BTC/USDT": "drift"}
    assert compare(reconciler) == [], "it is the same"
    broker.wallet |= wallet(BTC=4)
    assert kinds(reconciler) == [("drift", "warning")]
    broker.wallet |= wallet(BTC=3)
    assert kinds(reconciler) == [("drift", "info")]
    assert (table.desk_state.quarantine, reconciler.drift["BTC"]) == ({}, 0)


def test_money_in_quote_comes_and_goes_and_bars_nothing(table, broker, reconciler):
    broker.wallet |= wallet(USDT=0)
    assert kinds(reconciler) == [("drift", "warning")]
    assert table.desk_state.quarantine == {}


def test_less_than_a_lot_and_rounding_are_no_drift(broker, reconciler):
    broker.wallet |= wallet(BTC="3.0000001", USDT=float(broker.wallet["USDT"].total) + 0.005)
    assert compare(reconciler) == []


def test_an_asset_that_the_account_does_not_show_is_none(broker, reconciler):
    del broker.wallet["BTC"]
    assert [(kind, float(detail["account"])) for kind, _, detail in compare(reconciler)] == [
        ("drift", -2),
        ("missing", 0),
    ]


def test_locked_amounts_are_owned(broker, reconciler):
    broker.wallet["BTC"] = Balance(Decimal("0.5"), Decimal("2.5"))
    assert compare(reconciler) == []


def test_a_stranger_order_is_told_once_and_bars_its_symbol_alone(table, broker, reconciler):
    order = table.order("entry", "limit", price=Decimal(90), slot=1)
    broker.opened = [report_of(order, client_id="web_1")]
    ((kind, severity, detail),) = compare(reconciler)
    assert (kind, severity, detail["client_id"]) == ("stranger_order", "warning", "web_1")
    assert table.desk_state.quarantine == {"ETH/USDT": "stranger"}
    assert compare(reconciler) == []
    assert reconciler.ours_open == 0


def test_an_order_in_our_name_that_is_in_no_journal_is_an_error(table, broker, reconciler):
    broker.opened = [report_of(table.order())]
    assert kinds(reconciler) == [("unrecorded_order", "error")]
    assert reconciler.ours_open == 1


@pytest.mark.parametrize("by", ["the journal", "memory, since the journal is away"])
def test_an_order_of_ours_that_ended_and_is_listed_by_a_read_that_lags_is_no_strangers(table, broker, reconciler, by):
    stop = table.order("stop", "stop", stop_price=Decimal(95))
    if by == "the journal":
        table.desk_state.recorded = {stop.client_id: Working(stop, BAR, 0, "cancelled")}.get
    else:
        table.out(stop).end("cancelled")
        table.blotter.drop_finished()
    broker.opened = [report_of(stop)]
    for broker.now in (BAR, BAR + 60_000):
        assert compare(reconciler) == []
    broker.opened, broker.now = [], BAR + 90_000
    assert compare(reconciler) == []
    broker.opened = [report_of(stop)]
    for broker.now in (BAR + 120_000, BAR + 180_000):
        assert compare(reconciler) == [], "the minute begins anew"
    assert table.desk_state.quarantine == {}
    broker.now = BAR + 180_001
    assert kinds(reconciler) == [("unrecorded_order", "error")], (
        "no read is so late: it is open, and nothing watches it"
    )


def test_our_own_orders_are_counted_and_are_no_news(table, broker, reconciler):
    working = table.out(table.order("stop", "stop", stop_price=Decimal(95)))
    broker.opened = [report_of(working.order)]
    assert compare(reconciler) == []
    assert reconciler.ours_open == 1


def test_a_strangers_quarantine_is_not_lifted_by_balances_that_agree(table, broker, reconciler):
    table.desk_state.quarantine["BTC/USDT"] = "stranger"
    broker.wallet |= wallet(BTC=4)
    compare(reconciler)
    broker.wallet |= wallet(BTC=3)
    compare(reconciler)
    assert table.desk_state.quarantine == {"BTC/USDT": "stranger"}


def test_accepting_takes_what_is_there_as_not_ours_and_lifts_every_quarantine(table, broker, reconciler):
    broker.wallet |= wallet(BTC=7)
    compare(reconciler)
    reconciler.accept(broker.wallet, Step(BAR))
    assert (table.desk_state.quarantine, table.desk_state.surplus["BTC"]) == ({}, Decimal(6))
    broker.wallet |= wallet(BTC=6)
    assert float(compare(reconciler)[0][2]["drift"]) == -1


def test_a_person_may_have_the_first_comparison_accept_what_is_there(table, broker, reconciler):
    broker.wallet |= wallet(BTC=7)
    compare(reconciler)
    again = Reconciler(broker, table.reports, accepting=True)
    ((kind, severity, detail),) = compare(again)
    assert (kind, severity, detail["surplus"]["BTC"]) == ("accepted", "warning", "6.0")
    assert table.desk_state.quarantine == {}
    assert compare(again) == []


def test_what_is_missing_of_a_position_stays_missing_whatever_comes_to_the_account_later(table, broker, reconciler):
    broker.wallet |= wallet(BTC="0.4")
    (_, (kind, severity, detail)) = compare(reconciler)
    assert (kind, severity, float(detail["books"]), float(detail["account"])) == ("missing", "error", 1.0, 0.4)
    assert (table.desk_state.present, table.desk_state.quarantine) == ({0: Decimal("0.4")}, {"BTC/USDT": "missing"})
    broker.wallet |= wallet(BTC=9)
    assert kinds(reconciler) == [("drift", "warning")]
    assert (table.desk_state.present, table.desk_state.quarantine) == ({0: Decimal("0.4")}, {"BTC/USDT": "missing"})
    broker.wallet |= wallet(BTC="0.1")
    compare(reconciler)
    assert table.desk_state.present == {0: Decimal("0.1")}


@pytest.mark.parametrize("listed", [True, False])
def test_while_reads_contradict_each_other_nothing_counts_as_missing_for_a_minute(table, broker, reconciler, listed):
    """The stop was executed: the balance shows it, and one of open orders and executions does not yet."""
    stop = table.out(table.order("stop", "stop", stop_price=Decimal(95)))
    broker.opened = [report_of(stop.order)] if listed else []
    broker.wallet |= wallet(BTC=0)

    async def look():
        """See no execution yet."""

    step = Step(BAR)
    for broker.now, done in ((BAR, False), (BAR + 60_000, False), (BAR + 60_001, True)):
        assert step.notices == []
        assert asyncio.run(reconciler.compare(step, look)) is done
    assert [notice.kind for notice in step.notices] == ["drift", "missing"]


def test_a_part_that_was_sold_by_hand_beside_a_stop_that_is_gone_is_missing_at_once(broker, reconciler):
    async def look():
        """See nothing."""

    step = Step(BAR)
    broker.wallet |= wallet(BTC=0)
    assert asyncio.run(reconciler.compare(step, look))
    assert [notice.kind for notice in step.notices] == ["drift", "missing"]


def test_what_its_owner_takes_away_beside_a_position_is_a_drift_and_nothing_of_the_position_is_missing(
    table, broker, reconciler
):
    broker.wallet |= wallet(BTC=1)
    assert kinds(reconciler) == [("drift", "warning")]
    assert table.desk_state.present == {}


@pytest.mark.parametrize(("there", "sold"), [("0.4", "0.6"), ("0", "1"), ("2", None)])
def test_accepting_writes_off_what_is_missing_at_the_last_close(table, broker, reconciler, there, sold):
    broker.wallet |= wallet(BTC=there)
    compare(reconciler)
    cash, mark, step = table.book.cash, float(table.book.slot(0)["mark"]), Step(BAR)
    again = Reconciler(broker, table.reports, accepting=True)
    assert asyncio.run(again.compare(step))
    assert [str(done.fill.quantity.normalize()) for done in step.fills] == ([sold] if sold else [])
    assert [notice.kind for notice in step.notices] == (["written_off"] if sold else []) + ["accepted"]
    assert table.book.cash == pytest.approx(cash + float(sold or 0) * mark)
    assert float(table.book.slot(0)["quantity"]) == pytest.approx(1 - float(sold or 0))
    assert (table.desk_state.present, table.desk_state.quarantine) == ({}, {})
    assert compare(again) == []
    assert Rows("a-session", table.book.portfolio.plans, 1).cursors(step) == [], "no venue made this execution"


def test_coins_that_came_after_a_position_was_sold_by_hand_are_not_taken_for_it_when_someone_accepts(
    table, broker, reconciler
):
    broker.wallet |= wallet(BTC=0)
    compare(reconciler)
    broker.wallet |= wallet(BTC=5)
    compare(reconciler)
    again = Reconciler(broker, table.reports, accepting=True)
    assert [kind for kind, _ in kinds(again)] == ["written_off", "accepted"]
    assert (float(table.book.slot(0)["quantity"]), table.desk_state.surplus["BTC"]) == (0.0, Decimal(5))


def test_a_difference_is_believed_only_after_another_look_for_executions(table, broker, reconciler):
    async def look():
        broker.wallet |= wallet(BTC=3)  # what had come between the executions and the balances is known now

    broker.wallet |= wallet(BTC=2)
    step = Step(BAR)
    assert asyncio.run(reconciler.compare(step, look))
    assert (step.notices, table.desk_state.quarantine) == ([], {})


def test_a_difference_waits_for_an_answer_that_was_lost_meanwhile(table, broker, reconciler):
    async def look():
        table.out(table.order(), unknown=True)

    broker.wallet |= wallet(BTC=2)
    step = Step(BAR)
    assert not asyncio.run(reconciler.compare(step, look))
    assert step.notices == []


def test_an_account_that_has_less_than_the_books_begin_with_is_an_error(table):
    first = Reconciler(ForgedBroker(wallet=wallet(USDT=5, BTC=1, ETH=0)), table.reports)
    assert kinds(first) == [("accepted", "error")]


def test_a_drift_that_differs_by_rounding_alone_is_not_told_again(broker, reconciler):
    broker.wallet |= wallet(BTC="3.5")
    compare(reconciler)
    broker.wallet |= wallet(BTC="3.500000000001")
    assert compare(reconciler) == []


def test_nothing_is_compared_while_an_answer_or_an_execution_is_missing(table, broker, reconciler):
    broker.wallet |= wallet(BTC=9)
    working = table.out(table.order(), unknown=True)
    step = Step(BAR)
    assert not asyncio.run(reconciler.compare(step))
    working.unknown = False
    working.update(report_of(working.order, "filled", "1"))
    assert not asyncio.run(reconciler.compare(step))
    assert step.notices == []


def test_a_venue_that_does_not_answer_is_an_error(broker, reconciler):
    broker.silent = {"balances"}
    with pytest.raises(VenueError):
        compare(reconciler)


def test_dust_is_owned(table):
    table.book.state.slots[0]["dust"] = 0.0004
    assert owned(table.book.slot(0)) == Decimal("1.0004")
