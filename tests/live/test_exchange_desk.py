"""What happens at an exchange: lost answers, parts, dust, other people's hands; the books stay right and the position covered."""

from dataclasses import replace
from decimal import Decimal

import pytest

from atb.engine.policy import ExecutionModel, RiskPolicy
from atb.live.breakers import Breakers
from atb.venues.simulator.configuration import Book, Filters
from tests.live.test_desks import COSTS, CROSS, FIRST, GUARDED, rising
from tests.live.test_exchange import BTC, POLICIES, market
from tests.live.venue import HOUR, venue

PAIRED = POLICIES["a stop and a target"]
FIRST_ENTRY = 1  # the close of the first bar: a rising market is bought there


@pytest.fixture
def v(tmp_path):
    with venue(tmp_path, [(CROSS, rising(), GUARDED)], first=FIRST, count=10, execution=COSTS) as made:
        yield made


def sells(v):
    """Return what the open sell orders would sell, each pair once."""
    groups = {order.list_id or order.order_id: order.quantity - order.filled for order in v.open_orders()}
    return sum(groups.values(), Decimal(0))


def covered(v):
    return sum(order.quantity - order.filled for order in v.open_orders() if order.type == "STOP_LOSS")


# --- answers that are lost ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["lost", "held_after", "error_after", "truncated", "error", "reset", "held"])
def test_a_lost_answer_to_an_entry_never_doubles_it(v, kind):
    v.fault(kind, 1, "POST /api/v3/orderList/opoco")
    v.trade()
    entries = [fill for fill in v.fills() if fill.role == "entry"]
    assert len(entries) == 1
    states = [one.state for one in v.intents("entry")]
    assert states == (["filled"] if kind in {"lost", "held_after", "error_after", "truncated"} else ["absent", "filled"])
    assert {event.detail["state"] for event in v.events("resolved")} >= {states[0]} - {"filled"}
    assert covered(v) == v.held("BTC")


@pytest.mark.parametrize(("delay", "states"), [(1_500, ["filled"]), (8_000, ["absent", "filled"])])
def test_an_entry_that_is_executed_late_is_waited_for_and_one_that_cannot_be_is_not(v, delay, states):
    v.fault("late", 1, "POST /api/v3/orderList/opoco", delay_ms=delay)
    v.trade()
    assert [one.state for one in v.intents("entry")] == states
    assert len(v.fills()) == 1
    assert v.held("BTC") == v.fills()[0].quantity


@pytest.mark.parametrize("path", ["POST /api/v3/order", "DELETE /api/v3/orderList", "POST /api/v3/order/cancelReplace"])
@pytest.mark.parametrize("kind", ["lost", "reset"])
def test_lost_answers_to_exits_cancellations_and_replacements_leave_the_books_right(tmp_path, path, kind):
    policy = POLICIES["a trailing stop and break-even"] if "Replace" in path else PAIRED
    with venue(tmp_path, [(CROSS, BTC, policy)], first=200, count=30, execution=COSTS) as v:
        v.fault(kind, 0, path, times=2)
        v.trade()
        assert v.running.ledger("fault"), "the fault struck"
        assert v.events("drift", "stranger_trade", "unrecorded_order", "sold_too_much", "gave_up") == []
        assert float(v.held("BTC")) == pytest.approx(v.state()["slots"][0]["quantity"])


def test_while_an_entrys_answer_is_missing_no_other_entry_is_sent(tmp_path):
    plans = [(CROSS, rising(), replace(GUARDED, fraction=0.4)), (CROSS, market(6, "ETH/USDT", n=60), PAIRED)]
    with venue(tmp_path, plans, first=FIRST, count=6, execution=COSTS) as v:
        v.fault("held", 1, "POST /api/v3/orderList/opoco")
        v.fault("error", 1, "GET /api/v3/order", times=40)
        v.trade(bars=2)
        refused = [row.refusal for row in v.rows(__import__("atb.db.tables", fromlist=["x"]).DecisionRow, by=None) if row.refusal]
        assert all("unknown_exposure" in words or words == "late" for words in refused)


# --- parts, dust, refusals ----------------------------------------------------------------------------------------------


def test_an_entry_that_is_filled_in_parts_is_one_position_under_one_stop(tmp_path):
    book = Book(most=Decimal(20))
    with venue(tmp_path, [(CROSS, rising(), GUARDED)], first=FIRST, count=6, execution=COSTS, book=book) as v:
        v.trade()
        parts = [fill.quantity for fill in v.fills()]
        assert len(parts) > 2
        assert sum(parts) == v.held("BTC") == covered(v)
        assert [one.state for one in v.intents("entry")] == ["filled"]
        assert v.unlike() == []


def test_a_resting_entry_that_is_filled_over_several_bars_is_covered_from_its_first_part(tmp_path):
    policy = replace(GUARDED, entry="limit", entry_offset=0.001, entry_bars=9, take_profit=None)
    falling = rising(falls_at=3)
    with venue(tmp_path, [(CROSS, falling, policy)], first=FIRST, count=3, execution=COSTS, book=Book(share=0.2)) as v:
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
    filters = Filters(most_quantity=Decimal(10))
    with venue(tmp_path, [(CROSS, rising(), GUARDED)], first=FIRST, count=3, filters=filters) as v:
        v.trade(bars=1)
        assert v.fills() == []
        assert {one.state for one in v.intents("entry")} == {"rejected"}
        assert len(v.intents("entry")) <= 2  # with its stop, and without
        assert {event.severity for event in v.events("rejected")} == {"warning"}


def test_a_breaker_withholds_an_entry_which_never_leaves(v):
    v.trade(office={"breakers": Breakers(largest_order=Decimal(10))})
    assert {one.state for one in v.intents()} == {"withheld"}
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


def test_a_trade_by_hand_is_told_bars_entries_and_is_left_alone(tmp_path):
    with venue(tmp_path, [(CROSS, BTC, PAIRED)], first=200, count=40, execution=COSTS) as v:
        order = {"symbol": "BTCUSDT", "side": "BUY", "type": "MARKET", "quantity": "0.25"}
        v.fault("manual", 10.5, order=order)
        v.trade(compare_ms=HOUR)
        (told,) = v.events("stranger_trade", "drift")[:1]
        assert told.severity == "warning"
        assert v.state()["desk"]["quarantine"]["BTC/USDT"] in {"stranger", "drift"}
        entries = [one for one in v.intents("entry") if one.placed_ms > v.start_ms + 12 * HOUR]
        assert entries == []
        assert float(v.held("BTC")) == pytest.approx(v.state()["slots"][0]["quantity"] + 0.25)
        v.trade(accept=True)
        assert v.state()["desk"]["quarantine"] == {}


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
        assert [(event.detail["asset"], float(event.detail["drift"])) for event in v.events("drift")] == [("USDT", pytest.approx(250))]
        assert v.unlike() == []


def test_an_entry_that_is_too_late_is_not_sent(tmp_path):
    with venue(tmp_path, [(CROSS, rising(), GUARDED)], first=FIRST, count=6, execution=COSTS) as v:
        v.trade(bars=0)
        v.advance(2.5)
        v.trade(bars=2)
        assert v.requests("POST") == []
        v.trade(bars=4)
        assert [one.role for one in v.fills()] == ["entry"]


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


