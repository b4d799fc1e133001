"""The journal: all of a step or nothing, by the one runner that holds the account, and where a restarted one finds itself."""

from decimal import Decimal
from typing import get_args

import pytest
from sqlalchemy import func, select
from sqlalchemy.exc import IntegrityError

from atb.db.tables import (
    INTENT_STATES,
    OPEN_STATES,
    DecisionRow,
    EquityRow,
    EventRow,
    FillRow,
    HaltRow,
    HandoverRow,
    IntentRow,
    KernelStateRow,
    OrderEventRow,
    SessionRow,
    SlotRow,
    TradeRow,
)
from atb.errors import InputError, LeaseError
from atb.live.journal import step as contract
from atb.live.journal.breakers import Breakers
from atb.live.journal.handover import HandOver
from atb.live.journal.journal import Journal, find_session
from atb.live.journal.kill_switch import KillSwitch, Level, halted, set_halt, write_halt_file
from atb.live.journal.step import IntentState, Notice, OrderEvent, Step
from tests.rehearsal.ledger import (
    BTC,
    ETH,
    HOUR,
    START,
    Plans,
    StillClock,
    became,
    close,
    filled,
    open_journal,
    plan,
    resend,
    round_trip,
    take,
    working,
)


def rows(database, table, *order):
    with database.session(read_only=True) as session:
        return session.scalars(select(table).order_by(*(order or table.__table__.primary_key.columns))).all()


def count(database, table):
    with database.session(read_only=True) as session:
        return session.scalar(select(func.count()).select_from(table))


def test_the_states_of_the_tables_are_those_of_the_contract():
    assert set(get_args(IntentState)) == set(INTENT_STATES)
    assert contract.OPEN_STATES == OPEN_STATES


def test_a_new_session_has_a_slot_per_plan_and_the_kernels_first_state(database):
    journal = open_journal(database)
    (session,) = rows(database, SessionRow)
    assert (session.session_id, session.key, session.mode) == (f"paper-{'c' * 16}", "c" * 64, "paper")
    assert [(row.slot, row.symbol, row.manifest_sha256) for row in rows(database, SlotRow)] == [
        (0, "BTC/USDT", "a" * 64),
        (1, "ETH/USDT", "b" * 64),
    ]
    assert [event.kind for event in rows(database, EventRow)] == ["started"]
    resumed = journal.begin(START, {})
    assert resumed.state == Plans().fresh_state().to_json()
    assert [place.last_bar_ms for place in resumed.slots] == [None, None]


def test_a_session_does_not_begin_at_another_bar(database):
    open_journal(database)
    made = Journal(database, take(database, StillClock(START + HOUR)), StillClock(), portfolio=Plans())
    with pytest.raises(InputError, match="began at another bar"):
        made.begin(START + HOUR, {})


def test_a_step_is_written_whole_and_a_restart_finds_it(database):
    journal = open_journal(database)
    entry, stop = working(sent_ms=7), working("stop", type="stop", stop_price=Decimal(95), list_id="atb-list")
    order_events = OrderEvent(entry.order.client_id, "answer", {"status": "NEW"}, START + HOUR)
    drift = Notice("drift", {"asset": "BTC"}, "warning")
    assert (
        journal.commit(close(0, slots=(0, 1), placed=[entry, stop], order_events=[order_events], notices=[drift])) == ()
    )
    done = filled(entry.order, 0, trade_id="77")
    fill = Step(START + HOUR + 5, fills=[done], changes=became(entry, "filled", filled=Decimal("0.5"), exchange_id="9"))
    fill.changes |= became(stop, "live", exchange_id="10", sent_ms=8)
    journal.commit(fill)
    found = find_session(database, "paper", "c" * 64)
    assert (found.trade_from_ms, found.last_bar_ms) == (START, START)
    assert [place.last_bar_ms for place in found.slots] == [START, START]
    assert found.state["bar"] == 0
    (out,) = found.working
    assert (out.order, out.slot, out.state, out.list_id) == (stop.order, 0, "live", "atb-list")
    assert (out.exchange_id, out.filled, out.sent_ms) == ("10", Decimal(0), 8)
    assert found.cursors == {"BTC/USDT": "77"}
    assert found.attempts == {(0, START, "entry"): 1, (0, START, "stop"): 1}
    sent = rows(database, IntentRow)[0]
    assert (sent.state, sent.filled, sent.exchange_id, sent.sent_ms) == ("filled", Decimal("0.5"), "9", 7)
    assert (sent.notional, sent.placed_ms, sent.epoch) == (Decimal(50), START + HOUR, 1)
    assert [(event.event_no, event.kind) for event in rows(database, OrderEventRow)] == [(1, "answer")]
    assert [event.kind for event in rows(database, EventRow)] == ["started", "drift"]
    assert [row.equity for row in rows(database, EquityRow)] == [Decimal(10_000)]
    assert journal.known_fill(BTC, "77")
    assert not journal.known_fill(ETH, "77")


def test_the_same_trade_id_of_two_symbols_is_two_fills_and_of_one_symbol_none(database):
    journal = open_journal(database)
    entry, other = working(), working(slot=1)
    journal.commit(close(0, slots=(0, 1), placed=[entry, other]))
    journal.commit(
        Step(START, fills=[filled(entry.order, 0, trade_id="5"), filled(other.order, 1, trade_id="5", slot=1)])
    )
    with pytest.raises(IntegrityError):
        journal.commit(Step(START, fills=[filled(entry.order, 2, trade_id="5")], notices=[Notice("twice")]))
    assert count(database, FillRow) == 2
    assert [event.kind for event in rows(database, EventRow)] == ["started"]
    journal.commit(Step(START, notices=[Notice("goes on")]))


def test_a_foreign_execution_moves_the_cursor_alone(database):
    journal = open_journal(database)
    journal.commit(Step(START, cursors={"ETH/USDT": "12"}))
    journal.commit(Step(START, cursors={"ETH/USDT": "13"}))
    assert find_session(database, "paper", "c" * 64).cursors == {"ETH/USDT": "13"}
    assert count(database, FillRow) == 0


def test_an_order_that_ends_within_its_own_step_is_written_with_its_end(database):
    journal = open_journal(database)
    stop = working("stop", type="stop", stop_price=Decimal(95))
    journal.commit(close(0, placed=[stop], changes=became(stop, "cancelled")))
    assert rows(database, IntentRow)[0].state == "cancelled"


def test_a_second_entry_of_a_slot_must_wait_for_the_first(database):
    journal = open_journal(database)
    first = working()
    journal.commit(close(0, placed=[first]))
    with pytest.raises(IntegrityError):
        journal.commit(close(1, placed=[working(bar=1)]))
    assert count(database, DecisionRow) == 1
    journal.commit(close(1, placed=[working(bar=1)], changes=became(first, "absent")))
    assert [row.state for row in rows(database, IntentRow)] == ["absent", "sent"]


@pytest.mark.parametrize("again", ["live", "sent", "partially_filled"])
def test_an_order_that_ended_is_never_open_again(database, again):
    journal = open_journal(database)
    entry = working()
    journal.commit(close(0, placed=[entry]))
    journal.commit(Step(START, changes=became(entry, "cancelled", filled=Decimal("0.2"))))
    with pytest.raises(InputError, match=r"was cancelled, filled 0\.2"):
        journal.commit(Step(START, changes=became(entry, again)))
    journal.commit(Step(START, changes=became(entry, "filled", filled=Decimal("0.5"))))  # the truth came late


def test_what_was_filled_never_falls_and_unknown_orders_are_not_changed(database):
    journal = open_journal(database)
    entry = working()
    journal.commit(close(0, placed=[entry]))
    journal.commit(Step(START, changes=became(entry, "partially_filled", filled=Decimal("0.3"))))
    with pytest.raises(InputError, match=r"filled 0\.3"):
        journal.commit(Step(START, changes=became(entry, "partially_filled", filled=Decimal("0.1"))))
    with pytest.raises(InputError, match="not in the journal"):
        journal.commit(Step(START, changes=became(working(bar=7), "live")))


def test_fills_learn_the_number_of_the_round_trip_they_belong_to(database):
    """A reversal closes one trade and opens the next at the same moment, while another slot holds its own."""
    journal = open_journal(database)
    entry, other = working(), working(slot=1)
    journal.commit(close(0, slots=(0, 1), placed=[entry, other]))
    journal.commit(Step(START + HOUR, fills=[filled(entry.order, 0), filled(other.order, 1, slot=1)],
                        changes=became(entry, "filled") | became(other, "filled")))  # fmt: skip
    out, back = working("exit", bar=1), working(bar=1, side="sell")
    journal.commit(close(1, placed=[out, back]))
    end = START + 2 * HOUR
    journal.commit(
        Step(end, fills=[filled(out.order, 2, time_ms=end), filled(back.order, 3, time_ms=end)],
             trades=[(1, round_trip(exit_ms=end))], changes=became(out, "filled") | became(back, "filled"))
    )  # fmt: skip
    assert {row.fill_no: row.trade_no for row in rows(database, FillRow)} == {0: 1, 1: None, 2: 1, 3: None}
    (trade,) = rows(database, TradeRow)
    assert (trade.trade_no, trade.slot, trade.symbol, trade.pnl) == (1, 0, "BTC/USDT", Decimal("1.5"))


# --- who may write ----------------------------------------------------------------------------------------------------


def test_an_overtaken_runner_writes_nothing_more(database):
    clock = StillClock()
    slept = open_journal(database, clock=clock)
    slept.commit(close(0))
    clock.ms += 60_000
    taken = open_journal(database, clock=clock)
    with pytest.raises(LeaseError, match="taken over"):
        slept.commit(close(1, placed=[working(bar=1)]))
    with pytest.raises(LeaseError, match="taken over"):
        slept.heartbeat()
    with pytest.raises(LeaseError, match="taken over"):
        slept.end("stopped", {})
    taken.commit(close(1))
    assert count(database, IntentRow) == 0
    assert [row.bar_ms for row in rows(database, DecisionRow)] == [START, START + HOUR]


def test_two_journals_under_one_lease_cannot_write_over_each_other(database):
    lease, clock = take(database), StillClock()
    first, second = (Journal(database, lease, clock, portfolio=Plans()) for _ in range(2))
    first.begin(START, {})
    second.begin(START, {})
    first.commit(Step(START, notices=[Notice("mine")]))
    with pytest.raises(LeaseError, match="moved on by another process"):
        second.commit(Step(START, notices=[Notice("late")]))
    assert "late" not in [event.kind for event in rows(database, EventRow)]


def test_a_commit_makes_the_lease_fresh_for_half_its_length(database):
    clock = StillClock()
    journal = open_journal(database, clock=clock)
    clock.ms += 40_000
    assert not journal._lease.fresh(clock.ms)
    journal.commit(Step(clock.ms))
    assert journal._lease.fresh(clock.ms + 14_999)
    assert not journal._lease.fresh(clock.ms + 15_000)


def test_what_the_runner_before_may_still_send_counts_as_sent_later(database):
    journal = open_journal(database)
    entry, rests = working(sent_ms=START), working(slot=1, state="live", sent_ms=START)
    journal.commit(close(0, placed=[entry, rests]))
    found = find_session(database, "paper", "c" * 64, sent_after_ms=START + 9)
    assert [(one.state, one.sent_ms) for one in found.working] == [("sent", START + 9), ("live", START)]


# --- kill switch and breakers -----------------------------------------------------------------------------------------


def test_a_halt_withholds_entries_with_their_lists_and_lets_everything_else_go(database):
    journal = open_journal(database)
    set_halt(database, "paper", "pause", reason="lunch", source="cli")
    listed = working(list_id="l"), working("stop", list_id="l", type="stop", stop_price=Decimal(95))
    leaving = working("exit", slot=1), working("target", slot=1, type="limit", price=Decimal(120))
    withheld = journal.commit(close(0, placed=[*listed, *leaving]))
    assert {order.client_id: order.reason for order in withheld} == {
        order.order.client_id: "halted" for order in listed
    }
    states = {row.client_id: (row.state, row.refusal) for row in rows(database, IntentRow)}
    assert {states[order.order.client_id] for order in listed} == {("withheld", "halted")}
    assert {states[order.order.client_id] for order in leaving} == {("sent", None)}
    assert journal.halt.reason == "lunch"
    journal.commit(close(1, placed=[working("exit", bar=1)]))


def test_a_withheld_entry_leaves_the_slot_free_for_the_next(database):
    journal = open_journal(database)
    entry = working()
    set_halt(database, "paper", "pause", reason="lunch", source="cli")
    assert journal.commit(close(0, placed=[entry]))
    assert find_session(database, "paper", "c" * 64).working == ()


def test_the_file_and_a_signal_halt_and_are_latched(database, tmp_path):
    switch = KillSwitch(tmp_path)
    journal = open_journal(database, switch=switch)
    assert not journal.heartbeat()
    path = write_halt_file(tmp_path, Level.PAUSE, "by hand")
    assert journal.commit(close(0, placed=[working()]))[0].reason == "halted"
    switch.signal(Level.CANCEL, "SIGUSR1")
    assert journal.heartbeat().level == Level.CANCEL
    path.unlink()
    assert open_journal(database, clock=StillClock(START + 60_000)).halt.level == Level.CANCEL
    assert [(row.level, row.source) for row in rows(database, HaltRow)] == [(1, "file"), (2, "signal")]


def test_a_breaker_that_trips_halts_the_account_in_the_same_transaction(database):
    journal = open_journal(database, breakers=Breakers(largest_order=Decimal(40)))
    (withheld,) = journal.commit(close(0, placed=[working()]))
    assert withheld.reason == "notional"
    assert halted(database, "paper").source == "breaker"
    assert journal.halt.level == Level.PAUSE
    assert journal.commit(close(1, placed=[working(bar=1, quantity=Decimal("0.1"))]))[0].reason == "halted"


def test_the_rate_counts_what_was_sent_in_the_last_minute(database):
    journal = open_journal(database, breakers=Breakers(orders_per_minute=2))
    stops = [working("stop", attempt=n, type="stop", stop_price=Decimal(95)) for n in range(2)]
    journal.commit(Step(START, placed=stops))
    assert journal.commit(Step(START + 60_000, placed=[working()])) == ()
    over = [working("exit", slot=1), working(slot=1)]
    (withheld,) = journal.commit(Step(START + 60_001, placed=over))
    assert (withheld.client_id, withheld.reason) == (over[1].order.client_id, "order_rate")


def test_entries_of_one_bar_are_counted_whatever_became_of_them(database):
    journal = open_journal(database, breakers=Breakers(entries_per_bar=2))
    entry = working()
    journal.commit(close(0, placed=[entry]))
    journal.commit(Step(START, placed=[resend(entry)], changes=became(entry, "rejected")))
    again = resend(entry)
    (withheld,) = journal.commit(Step(START, placed=[resend(again)], changes=became(again, "rejected")))
    assert withheld.reason == "bar_rate"


def test_a_days_turnover_counts_what_was_filled_and_what_may_be(database):
    journal = open_journal(database, breakers=Breakers(turnover_per_day=Decimal(110)))
    first = working()
    journal.commit(close(0, placed=[first]))  # 50
    journal.commit(Step(START + HOUR, changes=became(first, "cancelled", filled=Decimal("0.25"))))  # 25 of it
    assert journal.commit(close(1, placed=[working(bar=1)])) == ()  # 75
    assert journal.commit(close(2, slots=(1,), placed=[working(bar=2, slot=1)]))[0].reason == "turnover"  # 125


def test_yesterdays_turnover_is_over(database):
    journal = open_journal(database, breakers=Breakers(turnover_per_day=Decimal(60)))
    first = working()
    journal.commit(close(0, placed=[first], changes={}))
    journal.commit(close(23, placed=[working(bar=23)], changes=became(first, "filled", filled=Decimal("0.5"))))
    assert journal.halt.level == Level.NONE


def test_the_share_of_equity_is_that_of_the_last_close(database):
    journal = open_journal(database, breakers=Breakers(largest_share=Decimal("0.005")))
    journal.commit(close(0))
    restarted = open_journal(
        database, breakers=Breakers(largest_share=Decimal("0.005")), clock=StillClock(START + HOUR)
    )
    between = (
        working(quantity=Decimal("0.5")),
        working(slot=1, quantity=Decimal("0.51"), type="limit", price=Decimal(100)),
    )
    withheld = restarted.commit(Step(START + HOUR, placed=list(between)))  # 50 and 51 of 10,000
    assert {order.client_id: order.reason for order in withheld} == {
        between[0].order.client_id: "halted",
        between[1].order.client_id: "share",
    }


def test_an_entry_of_unknown_value_is_withheld_where_value_is_limited(database):
    journal = open_journal(database, breakers=Breakers(largest_order=Decimal(1_000_000)))
    assert journal.commit(Step(START, placed=[working()]))[0].reason == "notional"


# --- hand-over --------------------------------------------------------------------------------------------------------


def test_a_slot_is_handed_over_with_its_position_and_back(database):
    journal = open_journal(database)
    old = Plans()
    new = Plans((plan(sha="d" * 64, strategy="breakout"), old.plans[1]), key="e" * 64)
    state = close(0).state
    passed = HandOver(0, "adopted", new.plans[0], START + HOUR, Decimal("0.5"), "atb-stop", {"why": "better"})
    journal.commit(close(0))
    journal.hand_over([passed], new, state)
    journal.commit(close(1, placed=[working(bar=1)]))
    (slot, _) = rows(database, SlotRow)
    assert (slot.manifest_sha256, slot.strategy) == ("d" * 64, "breakout")
    assert rows(database, IntentRow)[0].strategy == "breakout"
    assert find_session(database, "paper", "e" * 64).last_bar_ms == START + HOUR
    assert find_session(database, "paper", "c" * 64) is None
    back = HandOver(0, "rolled_back", old.plans[0], START + 2 * HOUR, Decimal(0))
    journal.hand_over([back], old, state)
    owners = [(row.kind, row.from_manifest_sha256[0], row.to_manifest_sha256[0]) for row in rows(database, HandoverRow)]
    assert owners == [("adopted", "a", "d"), ("rolled_back", "d", "a")]
    assert count(database, SessionRow) == 1


def test_a_shadow_is_noted_and_trades_nothing(database):
    journal = open_journal(database)
    shadow = HandOver(0, "shadowed", plan(sha="d" * 64), START + HOUR, Decimal(0))
    journal.hand_over([shadow], Plans(), close(0).state)
    assert rows(database, SlotRow)[0].manifest_sha256 == "a" * 64
    assert rows(database, HandoverRow)[0].kind == "shadowed"


def test_a_portfolio_that_was_handed_over_begins_anew_under_another_id(database):
    journal = open_journal(database)
    journal.hand_over(
        [HandOver(0, "adopted", plan(sha="d" * 64), START, Decimal(0))], Plans(key="e" * 64), close(0).state
    )
    again = open_journal(database, clock=StillClock(START + HOUR))
    assert again.session_id == f"paper-{'c' * 16}-2"


def test_an_ended_session_says_how_and_goes_on_when_asked(database):
    journal = open_journal(database)
    journal.end("halted", {"trades": 0})
    assert rows(database, SessionRow)[0].status == "halted"
    open_journal(database, clock=StillClock(START + HOUR))
    assert rows(database, SessionRow)[0].status == "running"
    assert [event.kind for event in rows(database, EventRow)] == ["started", "halted", "resumed"]
    assert rows(database, KernelStateRow)[0].step_no == 0
