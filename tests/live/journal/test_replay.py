"""A session's rows go through the kernel again: in the order in which they were written, over the bars as they were decided on."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import numpy as np
import pytest

from atb.db import open_database
from atb.engine.policy import RiskPolicy
from atb.live.journal.recovery import find_session
from atb.live.journal.replay import SessionReplay, columns_as_decided, in_written_order, was_barred
from atb.live.journal.session_rows import SessionRows, read_session
from tests.bars import random_walk
from tests.live.desk import warm_result
from tests.scenarios import scripted_slot

BEGAN = datetime(2024, 1, 1, tzinfo=UTC)


def written(*rows):
    """Return rows of a session: (seconds, decision's close or None, number of a fill or None)."""
    decisions, fills = [], []
    for seconds, closed, number in rows:
        at = BEGAN + timedelta(seconds=seconds)
        if closed is not None:
            decisions.append({"created_at": at, "bar": {"closed": closed}})
        else:
            fills.append({"created_at": at, "fill_no": number, "time_ms": 1_000 * number})
    return SessionRows("s", Decimal(0), {}, [], fills, decisions, [])


def test_what_was_decided_at_one_close_goes_together_and_each_execution_alone():
    applied = list(in_written_order(written((0, 10, None), (0, 10, None), (1, None, 0), (1, None, 1), (2, 20, None))))
    assert [(part.kind, len(part.rows), part.time_ms) for part in applied] == [
        ("decisions", 2, 10),
        ("execution", 1, 0),
        ("execution", 1, 1_000),
        ("decisions", 1, 20),
    ]


def test_of_what_was_written_at_once_the_decision_comes_before_its_executions():
    applied = in_written_order(written((0, None, 1), (0, None, 0), (0, 10, None)))
    assert [(part.kind, part.rows[0].get("fill_no")) for part in applied] == [
        ("decisions", None),
        ("execution", 0),
        ("execution", 1),
    ]


def test_a_candle_that_was_revised_since_counts_as_it_was_decided_on():
    slot = scripted_slot(random_walk(5), (1.0,))
    opened = int(slot.bars.opened_ms[3])
    seen = {"open": 1.0, "high": 3.0, "low": 0.5, "close": 2.0, "volume": 9.0}
    market = columns_as_decided(slot, {opened: {"bar": seen, "inputs": None}}).market
    assert {name: float(market[name][3]) for name in seen} == seen
    np.testing.assert_array_equal(market["close"][:3], slot.bars.frame["close"].to_numpy()[:3])
    assert slot.bars.frame["close"].iloc[3] != 2.0, "the given bars stay as they are"


def test_replayed_to_its_end_a_session_has_the_state_that_its_runner_wrote(sqlite_desk):
    bars = sqlite_desk.stock(120, 3)
    path = sqlite_desk.promote(warm_result(bars, policy=RiskPolicy(fraction=0.5, stop_loss=0.02, trailing_stop=0.02)))
    sqlite_desk.trade(path)
    portfolio = sqlite_desk.portfolio(path)
    database = open_database(sqlite_desk.url)
    try:
        rows = read_session(database)
        found = find_session(database, "paper", portfolio.identity()["key"])
    finally:
        database.close()
    assert found is not None
    assert len(rows.fills) > 4
    replayed = SessionReplay(rows, portfolio, [bars])
    assert [part.kind for part in replayed.run()].count("execution") == len(rows.fills)
    kept = portfolio.fresh_state()
    kept.load_json(found.state)
    for name in ("quantity", "stop", "entry_price", "side"):
        if name in kept.slots.dtype.names:
            np.testing.assert_array_equal(replayed.state.slots[name], kept.slots[name])
    assert replayed.state.account_record()["trades"] == kept.account_record()["trades"]


@pytest.mark.parametrize(
    ("refusal", "barred"),
    [(None, False), ("", False), ("entry_expired", False), ("no_cash, exposure_limit", False), ("late", True),
     ("entry_expired, quarantined", True)],
)  # fmt: skip
def test_an_entry_is_dropped_where_the_runner_barred_it_and_not_where_the_kernel_put_another_in_its_place(
    refusal, barred
):
    assert was_barred({"refusal": refusal}) is barred
