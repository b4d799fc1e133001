"""What happens at an exchange: lost answers, parts, dust, other people's hands; the books stay right and the position covered."""

import asyncio
from dataclasses import replace
from decimal import ROUND_DOWN, Decimal

import numpy as np
import pytest

from atb.domain.venue import Answer
from atb.engine.policy import ExecutionModel, RiskPolicy
from atb.engine.records import AT_STOP
from atb.errors import HaltError, InputError
from atb.live.execution.exchange_desk import DeskParts, ExchangeDesk
from atb.live.execution.timing import DeskTiming
from atb.live.feed.market import Moment
from atb.live.journal.breakers import Breakers
from atb.live.journal.kill_switch import KillSwitch, Level
from atb.live.journal.step import Withheld
from atb.live.telemetry import Telemetry
from atb.venues.broker import Access, connect
from atb.venues.simulator.configuration import BookDepth, Filters
from tests.bars import bars_of, frame_of
from tests.live.exchange_harness import HOUR, venue
from tests.live.execution.test_desk import COSTS, CROSS, FIRST, GUARDED, rising
from tests.live.fake_broker import BAR, BOTH, ForgedBroker, Table, report_of, want
from tests.live.test_exchange import BTC, POLICIES

PAIRED = POLICIES["a stop and a target"]
FIRST_ENTRY = 1  # the close of the first bar: a rising market is bought there


@pytest.fixture
def v(tmp_path):
    with venue(tmp_path, [(CROSS, rising(), GUARDED)], first=FIRST, count=10, execution=COSTS) as made:
        yield made


def sells(v):
    """Return what the open sell orders would sell, each pair once."""
    groups = {
        (order.list_id, order.id if order.list_id < 0 else 0): order.quantity - order.filled
        for order in v.open_orders()
        if order.side == "SELL"
    }
    return sum(groups.values(), Decimal(0))


def covered(v):
    return sum(order.quantity - order.filled for order in v.open_orders() if order.type == "STOP_LOSS")


# --- answers that are lost ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "kind",
    [
        "lost",
        "held_after",
        "error",
        *(pytest.param(kind, marks=pytest.mark.slow) for kind in ("error_after", "truncated", "reset", "held")),
    ],
)
def test_a_lost_answer_to_an_entry_never_doubles_it(v, kind):
    v.fault(kind, 1, "POST /api/v3/orderList/opoco")
    v.trade()
    entries = [fill for fill in v.fills() if fill.role == "entry"]
    assert len(entries) == 1
    states = [intent.state for intent in v.intents("entry")]
    assert states == (
        ["filled"] if kind in {"lost", "held_after", "error_after", "truncated"} else ["absent", "filled"]
    )
    assert {event.detail["state"] for event in v.events("resolved")} >= {states[0]} - {"filled"}
    assert covered(v) == v.held("BTC")


@pytest.mark.parametrize(("delay", "states"), [(1_500, ["filled"]), (8_000, ["absent", "filled"])])
def test_an_entry_that_is_executed_late_is_waited_for_and_one_that_cannot_be_is_not(v, delay, states):
    v.fault("late", 1, "POST /api/v3/orderList/opoco", delay_ms=delay)
    v.trade()
    assert [intent.state for intent in v.intents("entry")] == states
    assert len(v.fills()) == 1
    assert v.held("BTC") == v.fills()[0].quantity


STRUCK = {  # requests by a policy that sends them
    "POST /api/v3/order": "nothing but signals",
    "DELETE /api/v3/orderList": "a trailing stop and a target",
    "POST /api/v3/orderList/oco": "a trailing stop and a target",
    "POST /api/v3/order/cancelReplace": "a trailing stop and break-even",
}


@pytest.mark.parametrize("path", STRUCK)
@pytest.mark.parametrize("kind", ["lost", pytest.param("reset", marks=pytest.mark.slow)])
def test_lost_answers_to_exits_cancellations_and_replacements_leave_the_books_right(tmp_path, path, kind):
    policy = POLICIES[STRUCK[path]]
    with venue(tmp_path, [(CROSS, BTC, policy)], first=200, count=30, execution=COSTS) as v:
        v.fault(kind, 0, path, times=2)
        v.trade()
        assert v.running.ledger("fault"), "the fault struck"
        assert v.events("drift", "stranger_trade", "unrecorded_order", "sold_too_much", "gave_up") == []
        assert float(v.held("BTC")) == pytest.approx(v.state()["slots"][0]["quantity"])


# --- parts, dust, refusals ----------------------------------------------------------------------------------------------


def test_an_entry_that_is_filled_in_parts_is_one_position_under_one_stop(tmp_path):
    book = BookDepth(max_execution=Decimal(20))
    with venue(tmp_path, [(CROSS, rising(), GUARDED)], first=FIRST, count=6, execution=COSTS, book=book) as v:
        v.trade()
        parts = [fill.quantity for fill in v.fills()]
        assert len(parts) > 2
        assert sum(parts) == v.held("BTC") == covered(v)
        assert [intent.state for intent in v.intents("entry")] == ["filled"]
        assert v.unlike() == []


def test_a_resting_entry_that_is_filled_over_several_bars_is_covered_from_its_first_part(tmp_path):
    policy = replace(GUARDED, entry="limit", entry_offset=0.001, entry_bars=9, take_profit=None)
    falling = rising(falls_at=3)
    with venue(
        tmp_path, [(CROSS, falling, policy)], first=FIRST, count=3, execution=COSTS, book=BookDepth(share=0.2)
    ) as v:
        for bars in range(1, 4):
            v.trade(bars=bars)
            held = v.held("BTC")
            lots = held.quantize(Decimal("0.00001"))
            assert covered(v) >= min(lots, held) - Decimal("0.00001")
            assert sells(v) <= held


def test_dust_of_fees_in_base_is_neither_sold_nor_missed(tmp_path):
    in_base = ExecutionModel(fee=0.00137, maker_fee=0.0005, fee_in_base=True)
    with venue(tmp_path, [(CROSS, BTC, PAIRED)], first=200, count=40, execution=in_base) as v:
        v.trade()
        state = v.state()["slots"][0]
        assert float(v.held("BTC")) == pytest.approx(state["quantity"] + state["dust"], abs=1e-9)
        assert state["dust"] > 0
        assert v.events("drift", "rejected", "gave_up") == []


def test_a_refused_entry_is_told_once_and_not_tried_again_in_its_bar(tmp_path):
    filters = Filters(max_quantity=Decimal(10))
    with venue(tmp_path, [(CROSS, rising(), GUARDED)], first=FIRST, count=3, filters=filters) as v:
        v.trade(bars=1)
        assert v.fills() == []
        assert {intent.state for intent in v.intents("entry")} == {"rejected"}
        assert len(v.intents("entry")) <= 2  # with its stop, and without
        assert {event.severity for event in v.events("rejected")} == {"warning"}


def test_a_breaker_withholds_an_entry_which_never_leaves(v):
    v.trade(context={"breakers": Breakers(largest_order=Decimal(10))})
    assert {intent.state for intent in v.intents()} == {"withheld"}
    assert v.requests("POST") == []


# --- other hands --------------------------------------------------------------------------------------------------------


def test_a_stop_that_somebody_cancels_is_back_before_the_next_bar(tmp_path):
    policy = replace(GUARDED, take_profit=None)
    with venue(tmp_path, [(CROSS, rising(), policy)], first=FIRST, count=6, execution=COSTS) as v:
        v.fault("cancel_stop", 2.5, symbol="BTCUSDT")
        v.trade()
        assert [event.kind for event in v.events("protection_ended")] == ["protection_ended"]
        gone, back = v.intents("stop")[:2]
        assert (gone.state, back.state) == ("cancelled", "live")
        assert back.placed_ms - (v.start_ms + 2.5 * HOUR) < 5_000
        assert covered(v) == v.held("BTC")


def test_while_the_venue_takes_no_orders_a_position_whose_stop_is_gone_is_timed(tmp_path):
    notices = []

    class Timed(Telemetry):
        def unprotected(self, bare, now_ms):
            super().unprotected(bare, now_ms)
            notices.append((now_ms, bool(bare)))

    policy = replace(GUARDED, take_profit=None)
    with venue(tmp_path, [(CROSS, rising(), policy)], first=FIRST, count=6, execution=COSTS) as v:
        v.fault("cancel_stop", 2.5, symbol="BTCUSDT")
        v.fault("error", 2.5, "POST /api/v3/order", times=2)
        v.trade(context={"telemetry": Timed()})
        bare = [now_ms for now_ms, without in notices if without]
        assert bare
        assert notices[-1][1] is False
        assert covered(v) == v.held("BTC")


def test_a_position_whose_database_was_lost_keeps_its_stop_and_bars_entries_until_someone_accepts_it(tmp_path):
    policy = replace(GUARDED, take_profit=None)
    with venue(tmp_path, [(CROSS, rising(), policy)], first=FIRST, count=8, execution=COSTS) as v:
        v.trade(bars=3)
        held, (stop,) = v.held("BTC"), v.open_orders()
        assert held > 0
        v.url = f"sqlite:///{tmp_path / 'fresh.db'}"
        v.trade(bars=5)
        (notice,) = v.events("unrecorded_order")
        assert (notice.severity, notice.detail["client_id"]) == ("error", stop.client_id)
        assert v.state()["desk"]["quarantine"] == {"BTC/USDT": "unrecorded"}
        assert (v.fills(), v.held("BTC")) == ([], held)
        assert [order.client_id for order in v.open_orders()] == [stop.client_id]
        v.trade(bars=6, accept=True)
        assert v.state()["desk"]["quarantine"] == {}


def test_at_its_end_a_run_waits_for_an_answer_that_was_lost(rising_market):
    v = rising_market
    v.fault("lost", 1, "POST /api/v3/orderList/opo")
    v.trade(bars=1)
    assert [intent.state for intent in v.intents()] == ["filled", "live"]
    assert covered(v) == v.held("BTC") > 0


@pytest.mark.parametrize(("key", "secret"), [("key", "another"), ("nobody", "secret")])
def test_a_key_that_the_venue_does_not_know_ends_the_start_and_nothing_is_called_reconciled(rising_market, key, secret):
    v, watch = rising_market, Telemetry()
    v.connect = lambda clock: connect(Access("binance", key, secret, base_url=v.running.url, frame_gap_ms=HOUR), clock)
    with pytest.raises(InputError, match="does not accept the key"):
        v.trade(bars=2, context={"telemetry": watch})
    assert v.requests("POST") == []
    assert not watch.vitals.conditions()["reconciled"]["ok"]


def sold_by_hand(v, *, at=2.2):
    """Have somebody cancel the stop and sell the position of the first bar."""
    v.trade(bars=2)
    order = {"symbol": "BTCUSDT", "side": "SELL", "type": "MARKET", "quantity": str(v.held("BTC"))}
    v.fault("cancel_stop", at, symbol="BTCUSDT")
    v.fault("manual", at, order=order)


@pytest.fixture
def rising_market(tmp_path):
    policy = replace(GUARDED, take_profit=None)
    with venue(tmp_path, [(CROSS, rising(), policy)], first=FIRST, count=12, execution=COSTS) as v:
        yield v


def test_of_a_position_that_somebody_sold_nothing_is_sold_again_whatever_comes_to_the_account(rising_market):
    v = rising_market
    sold_by_hand(v)
    v.fault("deposit", 3.5, asset="BTC", amount="100")
    v.trade(bars=6, compare_ms=HOUR)
    assert v.held("BTC") == 100
    assert len(v.events("rejected")) <= 2, "nothing is tried again and again"
    assert [event.severity for event in v.events("missing")] == ["error"]
    assert v.state()["desk"]["quarantine"] == {"BTC/USDT": "missing"}
    assert v.state()["slots"][0]["quantity"] > 0, "the books keep it until someone says otherwise"


def test_a_position_that_somebody_sold_is_written_off_when_someone_accepts_it_and_trading_goes_on(rising_market):
    v = rising_market
    sold_by_hand(v)
    v.trade(bars=5, compare_ms=HOUR)
    quantity = v.state()["slots"][0]["quantity"]
    v.trade(bars=6, compare_ms=HOUR, accept=True)
    (written,) = [fill for fill in v.fills() if fill.trade_id.startswith("written-off-")]
    assert (written.side, float(written.quantity), written.fee) == ("sell", quantity, 0)
    assert [event.detail["quantity"] for event in v.events("written_off")] == [str(written.quantity.normalize())]
    assert v.state()["desk"]["quarantine"] == {}
    v.trade(bars=9, compare_ms=HOUR)
    assert float(v.held("BTC")) == v.state()["slots"][0]["quantity"] > 0, "it has entered again"
    assert covered(v) == v.held("BTC")


def test_flatten_ends_though_somebody_sold_the_position_and_the_books_are_flat_then(rising_market):
    v = rising_market
    sold_by_hand(v)
    v.trade(bars=5, compare_ms=HOUR)
    switch = KillSwitch(v.root)
    switch.signal(Level.FLATTEN, "a test")
    with pytest.raises(HaltError, match="flat and halted"):
        v.trade(bars=6, context={"switch": switch})
    assert v.state()["slots"][0]["quantity"] == 0
    assert [event.kind for event in v.events("written_off")] == ["written_off"]


def test_flatten_sells_what_is_left_of_a_position_and_writes_off_what_somebody_sold(rising_market):
    v = rising_market
    v.trade(bars=2)
    kept = Decimal("5.000009")  # not whole lots: the crumb cannot be sold
    order = {"symbol": "BTCUSDT", "side": "SELL", "type": "MARKET", "quantity": str(v.held("BTC") - 5)}
    v.fault("cancel_stop", 2.2, symbol="BTCUSDT")
    v.fault("manual", 2.2, order=order)
    v.fault("deposit", 2.21, asset="BTC", amount=str(kept - 5))
    v.trade(bars=4, compare_ms=HOUR)
    switch = KillSwitch(v.root)
    switch.signal(Level.FLATTEN, "a test")
    with pytest.raises(HaltError, match="flat and halted"):
        v.trade(bars=6, context={"switch": switch})
    assert v.held("BTC") == kept - 5
    assert v.state()["slots"][0]["quantity"] == 0


def test_a_position_of_which_somebody_sold_a_part_keeps_a_stop_for_the_rest(rising_market):
    v = rising_market
    v.trade(bars=2)
    rest = v.held("BTC") - 30
    order = {"symbol": "BTCUSDT", "side": "SELL", "type": "MARKET", "quantity": "30"}
    v.fault("cancel_stop", 2.2, symbol="BTCUSDT")
    v.fault("manual", 2.2, order=order)
    v.trade(bars=4, compare_ms=HOUR)
    assert v.held("BTC") == rest
    assert covered(v) == rest.quantize(Decimal("0.00001"), ROUND_DOWN)


@pytest.mark.parametrize("wait_s", [2, 20])
def test_a_rate_limit_between_the_old_stop_and_the_new_one_is_waited_out_and_closes_nothing(tmp_path, wait_s):
    policy = replace(GUARDED, take_profit=0.3, trailing_stop=0.015)
    with venue(tmp_path, [(CROSS, rising(), policy)], first=FIRST, count=8, execution=COSTS) as v:
        v.fault("rate_limit", 2.0, "POST /api/v3/orderList/oco", retry_after_s=wait_s)
        v.trade()
        gone, back = [intent for intent in v.intents("stop") if intent.placed_ms >= v.start_ms + 2 * HOUR][:2]
        assert gone.state == "rejected"
        assert 0 <= back.placed_ms - gone.placed_ms - wait_s * 1_000 < 1_000
        assert v.unlike() == []


def test_a_trade_by_hand_is_told_bars_entries_and_is_left_alone(tmp_path):
    with venue(tmp_path, [(CROSS, BTC, PAIRED)], first=200, count=40, execution=COSTS) as v:
        order = {"symbol": "BTCUSDT", "side": "BUY", "type": "MARKET", "quantity": "0.25"}
        v.fault("manual", 10.5, order=order)
        v.trade(compare_ms=HOUR)
        (notice,) = v.events("stranger_trade", "drift")[:1]
        assert notice.severity == "warning"
        assert v.state()["desk"]["quarantine"]["BTC/USDT"] in {"stranger", "drift"}
        entries = [intent for intent in v.intents("entry") if intent.placed_ms > v.start_ms + 12 * HOUR]
        assert entries == []
        assert float(v.held("BTC")) == pytest.approx(v.state()["slots"][0]["quantity"] + 0.25)
        v.trade(accept=True)
        assert v.state()["desk"]["quarantine"] == {}
        assert float(v.events("accepted")[-1].detail["surplus"]["BTC"]) == pytest.approx(0.25)


def test_a_strangers_resting_order_is_told_and_not_cancelled(v):
    order = {"symbol": "BTCUSDT", "side": "BUY", "type": "LIMIT", "quantity": "1", "price": "50", "timeInForce": "GTC"}
    v.fault("stranger", 3.5, order=order)
    v.trade(compare_ms=HOUR)
    assert [event.detail["client_id"][:2] for event in v.events("stranger_order")] == ["x-"]
    assert "LIMIT" in {one.type for one in v.open_orders()}


def test_money_that_comes_in_is_told_and_changes_nothing(tmp_path):
    with venue(tmp_path, [(CROSS, BTC, PAIRED)], first=200, count=20, execution=COSTS) as v:
        v.fault("deposit", 5.5, asset="USDT", amount="250")
        v.trade(compare_ms=HOUR)
        (notice,) = v.events("drift")
        assert (notice.detail["asset"], float(notice.detail["drift"])) == ("USDT", pytest.approx(250))
        assert v.unlike() == []


def test_a_candle_that_the_venue_revises_is_told(v):
    v.fault("revise", 3.2, until_ms=v.start_ms + 5 * HOUR, symbol="BTCUSDT", opened=v.start_ms + 2 * HOUR)
    v.trade()
    notices = {event.detail["bar_ms"] for event in v.events("bar_revised")}
    assert notices == {v.start_ms + 2 * HOUR}


def test_an_entry_that_is_too_late_is_not_sent(tmp_path):
    with venue(tmp_path, [(CROSS, rising(), GUARDED)], first=FIRST, count=6, execution=COSTS) as v:
        v.trade(bars=0)
        v.advance(2.5)
        v.trade(bars=2)
        assert v.requests("POST") == []
        v.trade(bars=4)
        assert [fill.role for fill in v.fills()] == ["entry"]


def test_stops_are_met_while_nobody_is_there(tmp_path):
    policy = RiskPolicy(fraction=0.9, stop_loss=0.02, signal_exit=False)
    with venue(tmp_path, [(CROSS, rising(falls_at=4), policy)], first=FIRST, count=12, execution=COSTS) as v:
        v.trade(bars=3)
        assert v.held("BTC") > 0
        v.advance(8)
        assert v.held("BTC") == 0, "the exchange sold it by itself"
        v.trade()
        assert [fill.role for fill in v.fills()][:2] == ["entry", "stop"]
        assert v.events("drift", "stranger_trade") == []


# --- by hand: what a venue would hardly do ------------------------------------------------------------------------------


class Hand:
    """A desk at a forged broker, whose steps are kept."""

    def __init__(self, **timing):
        self.table, self.broker, self.steps = Table(), ForgedBroker(now=BAR + HOUR), []
        parts = DeskParts(self.broker, self.table.reports, self.table.makers, self.commit)
        self.desk = ExchangeDesk(parts, DeskTiming(**timing))

    async def commit(self, step):
        self.steps.append(step)
        return ()

    def close(self, price=110.0, **more):
        """Trade the close of a bar that rises to a price."""
        bar = frame_of(np.array([price]), start="2024-01-02 16:00")
        asyncio.run(self.desk.on_moment(Moment(self.broker.now, {0: bars_of(bar)}), **more))
        return next(step.decided[0].values for step in reversed(self.steps) if step.decided)

    def asked(self, *kinds):
        return [about for what, about in self.broker.asked if what in kinds]


def refusal(text, code="-2010"):
    return Answer("rejected", code, text)


@pytest.mark.parametrize("why", ["unknown_exposure", "quarantined", "late", "halted"])
def test_an_entry_is_barred_with_the_reason_in_its_decision(why):
    hand = Hand()
    if why == "unknown_exposure":
        hand.table.out(hand.table.order(), slot=7, unknown=True)
        hand.broker.silent = {"find"}
    if why == "quarantined":
        hand.table.desk_state.quarantine["BTC/USDT"] = "drift"
    moment_late = 61_000 if why == "late" else 0
    hand.broker.now += moment_late
    bar = frame_of(np.array([110.0]), start="2024-01-02 16:00")
    moment = Moment(hand.broker.now - moment_late, {0: bars_of(bar)})
    asyncio.run(hand.desk.on_moment(moment, barred="halted" if why == "halted" else None))
    (decided,) = [step.decided[0] for step in hand.steps if step.decided]
    assert (decided.values["refusal"], decided.values["intents"]) == (why, [])
    assert hand.asked("place") == []


def test_a_refused_cancellation_is_followed_by_a_question_and_silence_counts_as_lost():
    hand = Hand()
    hand.table.hold(1.0)
    stop = hand.table.out(hand.table.order("stop", "stop", stop_price=Decimal(1)))
    target = hand.table.out(hand.table.order("target", "limit", price=Decimal(110)))
    hand.broker.answers = [refusal("Unknown order sent.", "-2011")]
    hand.broker.opened = [report_of(stop.order), report_of(target.order)]
    hand.broker.silent = {"find"}
    asyncio.run(hand.desk.look())
    assert len(hand.asked("cancel")) == 1
    assert stop.unknown or target.unknown
    assert hand.desk.due_ms() == 0


def test_a_desk_that_is_refused_for_ever_gives_up_and_says_so():
    hand = Hand(attempts=3)
    hand.table.hold(1.0)
    hand.broker.answers = [refusal("Filter failure: MAX_NUM_ALGO_ORDERS", "-1013") for _ in range(40)]
    asyncio.run(hand.desk.look())
    assert 3 <= len(hand.asked("place")) <= 9
    notices = [notice.kind for step in hand.steps for notice in step.notices]
    assert "gave_up" in notices


def test_protection_that_was_refused_too_often_is_tried_again_after_a_pause_and_rests_once_the_venue_takes_it():
    hand = Hand(attempts=2, retry_ms=2_000)
    hand.table.hold(1.0)
    hand.broker.answers = [refusal("Filter failure: MAX_NUM_ALGO_ORDERS", "-1013") for _ in range(20)]
    asyncio.run(hand.desk.look())
    asked = len(hand.asked("place"))
    assert hand.desk.due_ms() == hand.broker.now_ms() + 2_000
    asyncio.run(hand.desk.look())
    assert len(hand.asked("place")) == asked, "the pause is not over"
    hand.broker.now += 2_000
    asyncio.run(hand.desk.look())
    assert len(hand.asked("place")) == asked + 1
    hand.broker.answers = [Answer("done")]
    hand.broker.now += 4_000
    asyncio.run(hand.desk.look())
    assert hand.desk.due_ms() is None
    assert hand.desk.bare() == set()
    notices = [notice.kind for step in hand.steps for notice in step.notices]
    assert notices.count("gave_up") == 1


def test_in_a_closed_market_protection_is_sent_again_in_the_same_form_after_the_same_pause_and_costs_no_attempt():
    hand = Hand(attempts=2)
    hand.table.hold(1.0)
    hand.broker.answers = [refusal("Market is closed.", "-1013") for _ in range(20)]
    for tried in range(1, 8):
        asyncio.run(hand.desk.look())
        assert len(hand.asked("place")) == tried
        assert hand.desk.due_ms() == hand.broker.now_ms() + 2_000
        hand.broker.now += 2_000
    assert {order.kind for order in hand.asked("place")} == {"oco"}
    assert hand.asked("refresh"), "the venue was asked for the status of the symbol"
    hand.broker.capabilities = replace(hand.broker.capabilities, status="closed")
    asyncio.run(hand.desk.look())
    assert len(hand.asked("place")) == 7, "known to be closed: it is asked only whether it opened"
    hand.broker.capabilities = replace(hand.broker.capabilities, status="trading")
    hand.broker.answers, hand.broker.now = [Answer("done")], hand.broker.now + 2_000
    asyncio.run(hand.desk.look())
    assert hand.desk.bare() == set()
    assert "gave_up" not in [notice.kind for step in hand.steps for notice in step.notices]


@pytest.mark.parametrize("status", ["cancel_only", "closed"])
def test_no_stop_is_moved_in_a_market_that_takes_no_orders(status):
    hand = Hand()
    hand.table.hold(1.0)
    hand.table.book.state.slots[0]["target"] = np.nan
    old = hand.table.out(hand.table.order("stop", "stop", stop_price=Decimal(90)))
    hand.broker.opened = [report_of(old.order)]
    hand.broker.capabilities = replace(hand.broker.capabilities, status=status)
    asyncio.run(hand.desk.look())
    assert hand.asked("replace", "cancel", "place") == []
    assert old.state == "live"
    assert hand.desk.due_ms() == hand.broker.now_ms() + 2_000


@pytest.mark.parametrize(
    ("price", "then"), [("95", ("stop", "market")), ("110", ("target", "limit")), ("100", ("stop", "stop"))]
)
def test_a_pair_refused_by_its_prices_is_asked_about_and_costs_no_attempt(price, then):
    hand = Hand(attempts=1)
    hand.table.hold(1.0)
    hand.broker.last = Decimal(price)
    words = "The relationship of the prices for the orders is not correct."
    hand.broker.answers = [refusal(words), *(Answer("done") for _ in range(3))]
    asyncio.run(hand.desk.look())
    assert [about for what, about in hand.broker.asked if what == "price"] == [hand.table.portfolio.plans[0].symbol]
    first, second = hand.asked("place")[:2]
    assert (first.kind, (second.role, second.type)) == ("oco", then)


def test_an_entry_that_is_refused_for_ever_is_dropped():
    hand = Hand(attempts=2)
    want(hand.table.book, 1.0)
    hand.table.makers[0]._made[(BAR, "entry")] = 5
    asyncio.run(hand.desk.look())
    assert hand.asked("place") == []
    assert hand.table.book.slot(0)["entry"] == 0.0


def test_what_the_journal_withholds_is_not_sent():
    hand = Hand()

    async def withhold(step):
        hand.steps.append(step)
        return tuple(Withheld(working.order.client_id, "halted") for working in step.placed)

    hand.desk._write = withhold
    want(hand.table.book, 1.0)
    asyncio.run(hand.desk.look())
    assert hand.asked("place") == []
    assert hand.table.book.slot(0)["entry"] == 0.0


def test_a_replacement_that_is_refused_leaves_the_old_stop_asked_for():
    hand = Hand()
    record = hand.table.book.state.slots[0]
    hand.table.hold(1.0)
    record["target"] = np.nan
    old = hand.table.out(hand.table.order("stop", "stop", stop_price=Decimal(90)))
    hand.broker.opened = [report_of(old.order)]
    hand.broker.known[old.order.client_id] = report_of(old.order)
    hand.broker.answers = [refusal("Stop price would trigger immediately.") for _ in range(30)]
    asyncio.run(hand.desk.look())
    assert hand.asked("replace")
    assert hand.asked("find")
    assert old.state == "live"


def test_an_entry_at_a_stop_that_a_leap_has_passed_is_bought_by_the_price_of_now():
    """Bounded by the last close it would expire, where a backtest enters at the open."""
    hand = Hand()
    want(hand.table.book, 1.0, kind=AT_STOP, at=101.0)
    hand.broker.last = Decimal(108)
    hand.broker.answers = [refusal("Stop price would trigger immediately."), Answer("done")]
    asyncio.run(hand.desk.settle())
    (stop, leap) = hand.asked("place")
    assert (stop.type, stop.stop_price) == ("stop", Decimal(101))
    assert (leap.orders[0].type, leap.orders[0].price) == ("market", Decimal("110.16"))


def test_an_entry_is_not_sent_without_its_stop_by_what_its_symbol_allowed_an_hour_ago():
    hand = Hand()
    want(hand.table.book, 1.0)
    hand.broker.capabilities = replace(BOTH, lists=BOTH.lists - {"opo", "opoco"})
    hand.broker.now += 60_000
    hand.broker.last, hand.broker.answers = Decimal(108), [Answer("done")]

    async def refresh(_symbols):
        hand.broker.capabilities = BOTH

    hand.broker.refresh = refresh
    asyncio.run(hand.desk.settle())
    (entry,) = hand.asked("place")
    assert [order.role for order in entry.orders][:2] == ["entry", "stop"]
    assert entry.orders[0].price == Decimal("110.16"), "by the price of now"


def test_a_stop_whose_end_the_reads_show_late_is_replaced_as_soon_as_they_do():
    """A stream says that something happened; the reads that answer at once are older than that."""
    hand = Hand()
    hand.table.hold(1.0)
    stop = hand.table.out(hand.table.order("stop", "stop", stop_price=Decimal(95)), list_id="pair")
    target = hand.table.out(hand.table.order("target", "limit", price=Decimal(110)), list_id="pair")
    hand.broker.opened = [report_of(stop.order), report_of(target.order)]
    asyncio.run(hand.desk.look([stop.order.symbol]))
    assert hand.desk.due_ms() == hand.broker.now_ms() + 4_000
    hand.broker.now += 4_000
    hand.broker.opened, hand.broker.answers = [], [Answer("done")]
    hand.broker.known = {one.client_id: report_of(one.order, "expired") for one in (stop, target)}
    asyncio.run(hand.desk.look())
    assert len(hand.asked("place")) == 1
    assert hand.desk.bare() == set()


@pytest.mark.parametrize("why", ["doubt", "attempts", None])
def test_a_stop_is_cancelled_for_a_pair_only_when_the_pair_can_be_sent_at_once(why):
    hand = Hand(attempts=2)
    hand.table.hold(1.0)
    stop = hand.table.out(hand.table.order("stop", "stop", stop_price=Decimal(95)))
    hand.broker.opened, hand.broker.answers = [report_of(stop.order)], [Answer("done")] * 2
    hand.table.reports.doubt = why == "doubt"
    if why == "attempts":
        hand.table.makers[0].name(stop.order, BAR)
    asyncio.run(hand.desk.settle())
    assert [what for what, _ in hand.broker.asked if what in {"cancel", "place"}] == (
        [] if why else ["cancel", "place"]
    )


def test_nothing_is_asked_for_again_without_an_update():
    hand = Hand()
    hand.table.hold(1.0)
    stop = hand.table.out(hand.table.order("stop", "stop", stop_price=Decimal(95)))
    hand.broker.opened, hand.broker.answers = [report_of(stop.order)], [Answer("done")] * 3
    asyncio.run(hand.desk.look())
    assert hand.desk.due_ms() is None
    asyncio.run(hand.desk.look([]))
    assert hand.desk.due_ms() is None


def test_a_stop_gives_way_by_what_its_symbol_allows_now_and_not_by_what_it_allowed_before():
    hand = Hand()
    hand.table.hold(1.0)
    stop = hand.table.out(hand.table.order("stop", "stop", stop_price=Decimal(95)))
    hand.broker.opened, hand.broker.capabilities = [report_of(stop.order)], replace(BOTH, replaces=False)
    hand.desk.book.close_at_market(0)

    async def refresh(symbols):
        hand.broker.capabilities = BOTH

    hand.broker.refresh = refresh
    hand.broker.now += 2_000
    hand.broker.answers = [Answer("done")]
    asyncio.run(hand.desk.settle())
    assert [what for what, _ in hand.broker.asked if what in {"cancel", "replace", "place"}] == ["replace"]
