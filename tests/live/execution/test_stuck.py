"""Slots that cannot act: dust goes out of the way, entries are barred on every path, and each reason is told once."""

import asyncio
from decimal import Decimal

import pytest

from atb.domain.venue import Answer, Balance
from atb.engine.codes import REASONS as REASON_NAMES
from atb.engine.policy import RiskPolicy
from atb.live.execution.exchange_desk import DeskParts, ExchangeDesk
from atb.live.execution.stuck import REASONS
from atb.live.execution.timing import DeskTiming
from tests.live.exchange_harness import HOUR
from tests.live.fake_broker import BAR, ForgedBroker, Table, portfolio_of, want


class Hand:
    """A desk at a forged broker, whose steps are kept."""

    def __init__(self, table=None, **timing):
        self.table, self.broker, self.steps = table or Table(), ForgedBroker(now=BAR + HOUR), []
        parts = DeskParts(self.broker, self.table.reports, self.table.makers, self.commit)
        self.desk = ExchangeDesk(parts, DeskTiming(**timing))
        self.desk_state, self.book = self.table.desk_state, self.table.book

    async def commit(self, step):
        self.steps.append(step)
        return ()

    def settle(self, *answers):
        self.broker.answers = list(answers)
        asyncio.run(self.desk.settle())

    def look(self, *answers):
        self.broker.answers = list(answers)
        asyncio.run(self.desk.look())

    def sold(self, quantity, role="exit", **more):
        """Fold a sale whose order ended without selling the rest."""
        order = self.table.order(role, quantity="1")
        self.book.fold(self.table.fill_of(order, quantity, **more), order, 0)

    def asked(self, *kinds):
        return [about for what, about in self.broker.asked if what in kinds]

    def told(self, *kinds):
        return [notice for step in self.steps for notice in step.notices if notice.kind in kinds]

    def trades(self):
        return [trade for step in self.steps for _, trade in step.trades]


def refused(text, code="-1013"):
    return Answer("rejected", code, text)


# --- dust ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("role", ["exit", "stop", "target"])
def test_what_cannot_be_sold_is_dust_whichever_order_sold_the_rest_and_the_strategy_goes_on(role):
    hand = Hand()
    hand.table.hold(1)
    hand.sold("0.99999", role)
    hand.settle()
    record = hand.book.slot(0)
    assert (record["quantity"], float(record["dust"])) == (0.0, pytest.approx(0.00001))
    assert hand.asked("place", "cancel", "replace") == []
    (trade,) = hand.trades()
    assert float(trade["quantity"]) == pytest.approx(0.99999)
    hand.settle()
    assert len(hand.told("dust")) == 1
    want(hand.book, 0.5)
    hand.settle(Answer("done"))
    assert len(hand.asked("place")) == 1


def test_equity_is_the_same_before_and_after_and_the_journal_has_an_execution_of_nothing():
    hand = Hand()
    hand.table.hold(1)
    hand.sold("0.99999")
    cash, owned = hand.book.cash, float(hand.book.slot(0)["quantity"] + hand.book.slot(0)["dust"])
    hand.settle()
    record = hand.book.slot(0)
    assert (hand.book.cash, float(record["quantity"] + record["dust"])) == (cash, owned)
    (done,) = [done for step in hand.steps for done in step.fills]
    assert (done.fill.quantity, done.fill.fee) == (0, 0)


def test_an_entry_that_received_dust_alone_leaves_no_position_and_no_round_trip():
    hand = Hand()
    hand.table.hold(0.00002)
    hand.settle()
    assert hand.book.slot(0)["quantity"] == 0.0
    assert hand.trades() == []
    assert hand.book.slot(0)["exit"] == 0.0


def test_dust_of_a_policy_without_a_stop_is_closed_as_an_exit():
    hand = Hand(Table(portfolio_of(RiskPolicy())))
    hand.table.hold(1)
    hand.sold("0.99999")
    hand.book.state.slots[0]["exit_reason"] = 0  # at a close that wants no exit
    hand.settle()
    assert hand.book.slot(0)["quantity"] == 0.0
    (trade,) = hand.trades()
    assert REASON_NAMES[int(trade["reason"])] == "exit_signal"


def test_what_a_resting_stop_still_sells_is_no_dust_until_it_is_to_be_left():
    hand = Hand()
    hand.table.hold(1)
    hand.sold("0.99999")
    stop = hand.table.order("stop", "stop", "0.00001", stop_price=Decimal("95.00"))
    hand.table.out(stop)
    hand.settle()
    assert float(hand.book.slot(0)["quantity"]) == 0.00001
    hand.book.close_at_market(0)
    hand.settle(Answer("done"))
    assert [len(hand.asked(kind)) for kind in ("cancel", "place", "replace")] == [1, 0, 0]
    assert hand.book.slot(0)["quantity"] == 0.0


def test_a_small_position_that_the_venue_refuses_to_sell_is_dust_by_its_word():
    hand = Hand()
    hand.table.hold(0.06)  # 6 by the last close, less by now
    hand.book.close_at_market(0)
    hand.settle(refused("Filter failure: NOTIONAL"))
    assert hand.book.slot(0)["quantity"] == 0.0
    assert len(hand.asked("place")) == 1


def test_a_large_position_that_the_same_filter_refuses_is_no_dust():
    hand = Hand(attempts=2)
    hand.table.hold(1)
    hand.book.close_at_market(0)
    hand.settle(*[refused("Filter failure: NOTIONAL")] * 3)
    assert hand.book.slot(0)["quantity"] == 1.0


def test_of_a_lot_that_the_account_has_in_part_only_all_the_rest_is_protected_and_sold_and_that_lot_is_dust():
    """Small amounts were turned into another coin by hand: less than a lot is gone, which is no drift, and all cannot be sold."""
    hand = Hand()
    hand.table.hold(1)
    lot = Decimal(str(hand.book.parameters(0)["lot"]))
    hand.broker.wallet = {"BTC": Balance(Decimal(1) - lot / 2)}
    hand.settle(refused("Account has insufficient balance for requested action.", "-2010"))
    hand.table.reports.take_doubt()  # compared: nothing drifts
    hand.settle(Answer("done"))
    pair = hand.asked("place")[-1]
    assert {order.quantity for order in pair.orders} == {1 - lot}
    assert hand.desk.bare() == set()
    for outstanding in hand.table.blotter:
        outstanding.end("cancelled")
    hand.sold(str(1 - lot))
    hand.settle()
    assert (hand.book.slot(0)["quantity"], float(hand.book.slot(0)["dust"])) == (0.0, pytest.approx(float(lot)))


def test_a_sale_refused_while_the_account_has_all_of_it_is_asked_for_again_in_full():
    hand = Hand()
    hand.table.hold(1)
    hand.broker.wallet = {"BTC": Balance(Decimal(1))}
    hand.settle(refused("Account has insufficient balance for requested action.", "-2010"))
    hand.table.reports.take_doubt()
    hand.settle(Answer("done"))
    assert {order.quantity for order in hand.asked("place")[-1].orders} == {Decimal(1)}


def test_of_a_position_sold_by_hand_down_to_dust_nothing_is_asked_for():
    hand = Hand()
    hand.table.hold(1)
    hand.desk_state.present[0] = Decimal("0.00003")
    hand.book.close_at_market(0)
    hand.settle()
    assert hand.asked("place", "cancel", "replace") == []
    assert hand.desk.clear


# --- entries are barred on every path ---------------------------------------------------------------------------------


def begin(hand):
    """Have the books compared, and an entry wanted that was decided at the last close."""
    want(hand.book, 0.5)


def test_quarantine_bars_an_entry_that_waits_when_it_begins():
    hand = Hand()
    begin(hand)
    hand.desk_state.quarantine["BTC/USDT"] = "stranger"
    hand.look()
    assert hand.asked("place") == []
    assert hand.book.slot(0)["entry"] == 0.0
    assert [notice.detail["why"] for notice in hand.told("entry_barred")] == ["quarantined"]


def test_quarantine_bars_the_second_attempt_of_an_entry_whose_list_was_refused():
    hand = Hand()
    begin(hand)

    async def place(order):
        hand.broker.asked.append(("place", order))
        hand.desk_state.quarantine["BTC/USDT"] = "drift"
        return refused("Order list is not supported for this symbol.")

    hand.broker.place = place
    hand.settle()
    assert len(hand.asked("place")) == 1


def test_quarantine_bars_the_market_order_that_follows_a_stop_entry_that_was_passed():
    hand = Hand()
    want(hand.book, 0.5, kind=2, at=101.0)
    hand.broker.answers = []

    async def place(order):
        hand.broker.asked.append(("place", order))
        hand.desk_state.quarantine["BTC/USDT"] = "drift"
        return refused("Stop price would trigger immediately.", "-2010")

    hand.broker.place = place
    hand.settle()
    assert len(hand.asked("place")) == 1


def test_an_entry_that_a_restart_finds_unsent_is_not_sent_late():
    hand = Hand()
    begin(hand)
    hand.broker.now = BAR + HOUR + 61_000
    hand.look()
    assert hand.asked("place") == []
    assert [notice.detail["why"] for notice in hand.told("entry_barred")] == ["late"]


def test_before_the_first_comparison_an_entry_waits_and_is_not_dropped():
    hand = Hand()
    begin(hand)
    hand.desk.may_enter = lambda: False
    hand.look()
    assert (hand.asked("place"), hand.book.slot(0)["entry"]) == ([], 0.5)
    hand.desk.may_enter = lambda: True
    hand.settle(Answer("done"))
    assert len(hand.asked("place")) == 1


# --- told once --------------------------------------------------------------------------------------------------------


def reasons(hand):
    return [(notice.kind, notice.detail["reason"]) for notice in hand.told("stuck", "not_stuck")]


def test_a_quarantine_is_told_at_its_beginning_and_at_its_end_and_not_between():
    hand = Hand()
    hand.desk_state.quarantine["BTC/USDT"] = "drift"
    for _ in range(3):
        hand.look()
    hand.desk_state.quarantine.clear()
    for _ in range(2):
        hand.look()
    assert reasons(hand) == [("stuck", "quarantined"), ("not_stuck", "quarantined")]


def test_an_exit_that_is_refused_for_ever_makes_its_slot_stuck_until_one_is_taken():
    hand = Hand(attempts=2, retry_ms=1_000)
    hand.table.hold(1)
    hand.book.close_at_market(0)
    hand.settle(*[refused("Account has a problem")] * 3)
    for _ in range(3):
        hand.broker.now += 100
        hand.look()
    assert reasons(hand) == [("stuck", "refused")]
    hand.broker.now += HOUR
    hand.look(Answer("done"))
    assert reasons(hand) == [("stuck", "refused"), ("not_stuck", "refused")]


def test_a_closed_market_is_told_and_ends_with_the_first_request_that_is_taken():
    hand = Hand()
    begin(hand)
    hand.settle(refused("Market is closed."))
    assert hand.desk_state.stuck == {0: "closed market"}
    hand.broker.now += 2_000
    begin(hand)
    hand.settle(Answer("done"))
    assert reasons(hand) == [("stuck", "closed market"), ("not_stuck", "closed market")]


def test_an_entry_whose_answer_stays_unknown_makes_its_slot_stuck():
    hand = Hand()
    order = hand.table.order()
    hand.table.out(order, unknown=True, sent_ms=BAR + HOUR)
    hand.look()
    assert hand.desk_state.stuck == {0: "unknown entry"}
    assert hand.told("stuck")[0].detail["about"] == order.client_id


def test_what_was_told_survives_a_restart_and_is_taken_back():
    hand = Hand()
    hand.desk_state.quarantine["BTC/USDT"] = "drift"
    hand.settle()
    assert type(hand.desk_state).from_json(hand.desk_state.to_json()).stuck == {0: "quarantined"}
    del hand.desk_state.quarantine["BTC/USDT"]
    hand.settle()
    assert reasons(hand) == [("stuck", "quarantined"), ("not_stuck", "quarantined")]


def test_of_several_reasons_the_worst_is_told():
    hand = Hand()
    hand.table.reports.closed.add(0)
    hand.settle()
    hand.desk_state.quarantine["BTC/USDT"] = "drift"
    hand.settle()
    assert [reason for _, reason in reasons(hand)] == ["closed market", "closed market", "quarantined"]
    assert REASONS.index("quarantined") < REASONS.index("closed market")


def test_a_target_that_rests_for_dust_is_cancelled_and_no_stop_is_asked_for():
    hand = Hand()
    hand.table.hold(1)
    hand.sold("0.99999", "target")
    hand.table.out(hand.table.order("target", "limit", "0.00001", price=Decimal(110)))
    hand.settle(Answer("done"))
    assert [len(hand.asked(kind)) for kind in ("cancel", "place", "replace")] == [1, 0, 0]
    assert hand.book.slot(0)["quantity"] == 0.0
