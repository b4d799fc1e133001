"""An entry that was given up comes after all: while no runner lives, or hours later; it is booked, and rests under its stop."""

import pytest

from tests.live.exchange_harness import HOUR, venue
from tests.live.execution.test_desk import COSTS, CROSS, FIRST, GUARDED, rising

OPOCO = "POST /api/v3/orderList/opoco"
UNKNOWN = {"status": 504, "code": -1007}


@pytest.fixture
def v(tmp_path):
    with venue(tmp_path, [(CROSS, rising(), GUARDED)], first=FIRST, count=12, execution=COSTS) as made:
        made.fault("late_engine", 1, OPOCO, times=2, delay_ms=3 * HOUR, **UNKNOWN)
        yield made


def test_it_comes_while_no_runner_lives_and_is_found_at_the_start(v):
    v.trade(bars=2)
    entry = v.intents("entry")[0]
    assert (entry.state, v.fills()) == ("absent", [])
    v.advance(6)  # the second entry comes too, and the account cannot pay for it any more
    v.trade(closes=1)
    first = v.fills()[0]
    assert (first.client_id, first.role) == (entry.client_id, "entry")
    assert next(row.state for row in v.intents("entry") if row.client_id == entry.client_id) == "filled"
    stops = [order for order in v.open_orders() if order.type == "STOP_LOSS"]
    assert sum(order.quantity for order in stops) == v.held("BTC") == first.quantity
    assert v.events("stranger_trade", "unrecorded_order", "drift", "missing") == []
    assert v.state()["desk"]["quarantine"] == {}


def test_nothing_is_sent_again_in_its_bar_and_the_next_bars_may_enter(v):
    v.trade(bars=3)
    first, *later = v.intents("entry")
    assert first.state == "absent"
    assert all(row.bar_ms > first.bar_ms for row in later)
    assert len({row.bar_ms for row in later}) == len(later)
