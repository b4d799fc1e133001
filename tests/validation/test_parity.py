"""The kernel's loop, vectorbt's accounting and the bar-by-bar kernel agree on every bit, and a broken one is caught."""

import numpy as np
import pytest

from atb.backtest.simulation import simulate
from atb.engine.prepare import prepare
from atb.validation import parity
from tests.problems import random_slots


@pytest.mark.parametrize("seed", range(24))
def test_three_executions_of_a_random_problem_are_equal(seed):
    report = parity.prove_problem(prepare(*random_slots(seed)))
    assert report.equal, report.first_difference
    assert report.ways == {"vectorbt": True, "stepwise": True}


def test_the_random_problems_exercise_every_role_reason_and_refusal():
    roles, refusals, ambiguous = set(), set(), 0
    for seed in range(24):
        outcome = simulate(prepare(*random_slots(seed)))
        roles |= set(outcome.orders["role"].tolist())
        refusals |= set(outcome.refusals["reason"].tolist())
        ambiguous += int(outcome.orders["ambiguous"].sum())
    assert roles == {1, 2, 3, 4}
    assert len(refusals) >= 5
    assert ambiguous > 0


@pytest.mark.parametrize("field", ["quantity", "price", "fee", "time"])
def test_one_flipped_bit_is_reported_with_both_sides_and_the_bar(field):
    problem = prepare(*random_slots(3))
    ours, theirs = parity.stepwise(problem), parity.stepwise(problem)
    bits = theirs.orders[field].view(np.int64) if theirs.orders[field].dtype.kind == "f" else theirs.orders[field]
    changed = theirs.orders.copy()
    changed[field][1] = (bits + 1)[1:2].view(theirs.orders[field].dtype)[0]
    difference = parity.first_difference(
        problem, parity.Trace("kernel", ours.orders, ours.trades, ours.equity),
        parity.Trace("other", changed, theirs.trades, theirs.equity),
    )  # fmt: skip
    assert difference["table"] == "orders"
    assert difference["index"] == 1
    assert difference["kernel"][field] != difference["other"][field]
    assert {"bar", "signal_before"} <= set(difference)


def test_a_missing_order_and_a_moved_equity_are_reported():
    problem = prepare(*random_slots(3))
    ours = parity.stepwise(problem)
    shorter = parity.Trace("other", ours.orders[:-1], ours.trades, ours.equity)
    assert parity.first_difference(problem, ours, shorter)["other"] is None
    equity = ours.equity.copy()
    equity[10] = np.nextafter(equity[10], np.inf) if not np.isnan(equity[10]) else 1.0
    moved = parity.Trace("other", ours.orders, ours.trades, equity)
    assert parity.first_difference(problem, ours, moved)["table"] == "equity"


def test_a_report_says_in_words_what_it_found():
    report = parity.prove_problem(prepare(*random_slots(1)), vectorbt=False)
    assert "Equal bit by bit in 2 ways" in str(report)
    assert report.to_json()["orders"] == report.orders > 0
    broken = parity.ParityReport(False, 1, 1, {"stepwise": False}, {"table": "orders"})
    assert "NOT EQUAL: stepwise" in str(broken)
