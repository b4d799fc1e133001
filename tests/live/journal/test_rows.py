"""The journal's rows: a step's values become columns, and an order read back is the one that was written."""

from dataclasses import replace
from decimal import Decimal
from types import SimpleNamespace

import pytest

from atb.live.journal.rows import Rows, entry_values, working
from atb.live.journal.step import WRITTEN_OFF, Change, Decided, OrderEvent, Step
from tests.rehearsal.ledger import ETH, START, filled, order, plan, round_trip
from tests.rehearsal.ledger import working as made

ROWS = Rows("s1", (plan(), plan(ETH, "b" * 64)), epoch=7)


def test_a_decision_without_values_has_every_column():
    row = ROWS.decision(Decided(1, START, {"side": 1.0}))
    assert (row["session_id"], row["slot"], row["symbol"], row["strategy"]) == ("s1", 1, "ETH/USDT", "sma_cross")
    assert (row["bar_ms"], row["side"], row["prediction"], row["bar"], row["intents"]) == (START, 1.0, None, {}, [])


def test_an_intent_is_as_planned_until_its_change_says_otherwise():
    placed = made("stop", type="stop", stop_price=Decimal(95), state="planned", sent_ms=5)
    as_planned = ROWS.intent(placed, None, value=Decimal(50), placed_ms=9)
    assert (as_planned["state"], as_planned["filled"], as_planned["exchange_id"]) == ("planned", Decimal(0), None)
    assert (as_planned["sent_ms"], as_planned["placed_ms"], as_planned["epoch"], as_planned["attempt"]) == (5, 9, 7, 0)
    change = Change("rejected", "no balance for apiKey=abcdefghijklmnop", "x1", Decimal("0.2"), sent_ms=0)
    changed = ROWS.intent(placed, change, value=None, placed_ms=9)
    assert (changed["state"], changed["filled"], changed["exchange_id"], changed["sent_ms"]) == (
        "rejected",
        Decimal("0.2"),
        "x1",
        0,
    )
    assert "abcdefghijklmnop" not in changed["refusal"]


@pytest.mark.parametrize("state", ["planned", "sent", "live"])
def test_an_order_that_is_read_back_is_the_one_that_was_written(state):
    placed = replace(
        made("stop", type="stop", stop_price=Decimal(95), state=state, list_id="l1", sent_ms=5), placed_ms=9
    )
    row = SimpleNamespace(**ROWS.intent(placed, None, value=None, placed_ms=9))
    assert working(row) == placed
    late = working(row, sent_after_ms=50)
    assert late == (replace(placed, sent_ms=50) if state == "sent" else placed), "only what was sent may still be sent"


def test_a_trade_takes_the_fills_up_to_the_last_that_reduced_its_position():
    entry, leaves = order(), order("exit")
    step = [filled(entry, 0), filled(leaves, 1, time_ms=START + 1), filled(order(bar=1), 2, time_ms=START + 1)]
    assert ROWS.closing(1, round_trip(exit_ms=START + 1), step) == {"of": "s1", "in_slot": 0, "last": 1, "number": 1}
    only_entry = ROWS.closing(2, round_trip(exit_ms=START + 1), step[:1])
    assert only_entry is not None
    assert only_entry["last"] == 0, "an earlier step wrote the exit"
    assert ROWS.closing(3, round_trip(slot=1), step) is None


def test_a_write_off_is_no_execution_that_a_sweep_begins_after():
    real, off = filled(order(), 0, trade_id="5"), filled(order("exit"), 1, trade_id=f"{WRITTEN_OFF}1")
    rows = ROWS.cursors(Step(START, fills=[real, off], cursors={"ETH/USDT": "9"}))
    assert {row["symbol"]: row["trade_id"] for row in rows} == {"BTC/USDT": "5", "ETH/USDT": "9"}


def test_the_value_of_an_order_is_at_its_own_price_or_the_last_close_or_unknown():
    limit = made(type="limit", price=Decimal(90), bar=1)
    stop = made("stop", type="stop", stop_price=Decimal(80), bar=2)
    market, elsewhere = made(bar=3), made(bar=4, slot=1)
    values = entry_values(Step(START, placed=[limit, stop, market, elsewhere]), {0: 100.0})
    names = [placed.order.client_id for placed in (limit, stop, market, elsewhere)]
    assert [values[name] for name in names] == [Decimal(45), Decimal(40), Decimal(50), None]


def test_messages_and_the_audit_trail_are_written_without_secrets():
    detail = {"apiKey": "abcdefghijklmnop", "text": "why"}
    for row in (ROWS.event(OrderEvent("atb-1", "answer", detail, START), 3), ROWS.audit("started", detail)):
        assert "abcdefghijklmnop" not in str(row)
        assert row["detail"]["text"] == "why"


def test_a_trade_s_row_has_words_and_exact_decimals():
    row = ROWS.trade(1, round_trip())
    assert (row["side"], row["exit_reason"], row["pnl"], row["fees"]) == (
        "long",
        "exit_signal",
        Decimal("1.5"),
        Decimal("0.1"),
    )
