"""Recovery: a runner starts from what the journal says, whoever wrote it last and in which schema."""

from decimal import Decimal

import pytest
from sqlalchemy import update

from atb.db.tables import KernelStateRow
from atb.live.journal.recovery import find_session
from atb.live.journal.step import Step
from tests.rehearsal.ledger import HOUR, START, Plans, became, close, filled, open_journal, working

PLANS = Plans()


def test_where_nothing_was_traded_there_is_no_session(database):
    assert find_session(database, "paper", PLANS.key) is None
    open_journal(database)
    assert find_session(database, "other", PLANS.key) is None
    assert find_session(database, "paper", "d" * 64) is None


def test_a_session_that_only_began_stands_before_its_first_bar(database):
    journal = open_journal(database)
    found = find_session(database, "paper", PLANS.key)
    assert found is not None
    assert (found.session_id, found.trade_from_ms, found.last_bar_ms) == (journal.session_id, START, None)
    assert (found.last_bars, found.working, found.cursors, found.attempts) == ({0: None, 1: None}, (), {}, {})


def test_each_slot_stands_at_its_own_last_bar_with_what_is_open(database):
    journal = open_journal(database)
    first, stop = working(), working("stop", type="stop", stop_price=Decimal(95))
    journal.commit(close(0, slots=(0, 1), placed=[first]))
    journal.commit(close(1, slots=(0,), placed=[stop], fills=[filled(first.order, 0, trade_id="7")]))
    journal.commit(Step(START + 2 * HOUR, changes=became(first, "filled", filled=Decimal("0.5"))))
    found = find_session(database, "paper", PLANS.key)
    assert found is not None
    assert (found.last_bar_ms, found.last_bars) == (START + HOUR, {0: START + HOUR, 1: START})
    assert [open_order.order for open_order in found.working] == [stop.order]
    assert found.cursors == {"BTC/USDT": "7"}
    assert found.attempts == {(0, START, "entry"): 1, (0, START, "stop"): 1}


@pytest.mark.parametrize(("state", "counted"), [("sent", START + 60_000), ("live", 5)])
def test_an_order_that_the_runner_before_may_still_send_counts_as_sent_later(database, state, counted):
    journal = open_journal(database)
    journal.commit(close(0, placed=[working(state=state, sent_ms=5)]))
    found = find_session(database, "paper", PLANS.key, sent_after_ms=START + 60_000)
    assert found is not None
    assert [open_order.sent_ms for open_order in found.working] == [counted]


@pytest.mark.parametrize(
    ("slot", "paid"),
    [
        ({"quantity": 1.0, "entry_time": START}, START + HOUR),
        ({"quantity": 1.0, "entry_time": START + HOUR + 5}, START + HOUR + 5),
        ({"quantity": 0.0, "entry_time": START}, 0),
    ],
)
def test_a_state_of_schema_2_has_its_interest_paid_up_to_the_last_close_or_the_entry(database, slot, paid):
    journal = open_journal(database)
    journal.commit(close(0, slots=(0, 1)))
    payload = {"schema": 2, "account": {}, "slots": [slot, {"quantity": 0.0, "entry_time": 0}]}
    with database.engine.begin() as connection:
        connection.execute(update(KernelStateRow).values(payload=payload))
    found = find_session(database, "paper", PLANS.key)
    assert found is not None
    assert found.state is not None
    assert (found.state["schema"], found.state["slots"][0]["paid"], found.state["slots"][1]["paid"]) == (3, paid, 0)
