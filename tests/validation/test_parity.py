"""The kernel's loops, vectorbt's accounting and the bar-by-bar kernel agree on every bit, and a broken one is caught."""

import functools

import numpy as np
import pytest

from atb.backtest.simulation import simulate
from atb.engine import codes, records
from atb.engine.kernel_input import KernelInput, prepare
from atb.validation import parity
from tests.scenarios import random_slots
from tests.seeds import seeds

WITH_VECTORBT, WITHOUT = range(200), range(100)  # seeds; what vectorbt cannot represent is proven two ways


@functools.cache
def problem_of(seed: int, costs: str) -> KernelInput:
    return prepare(*random_slots(seed, bars=100, costs=costs))


@pytest.mark.parametrize("seed", seeds(len(WITH_VECTORBT), quick=80))
def test_three_executions_of_a_random_problem_are_equal(seed):
    report = parity.prove_inputs(problem_of(seed, "vectorbt"))
    assert report.equal, report.first_difference
    assert report.ways == {"vectorbt": True, "stepwise": True}


@pytest.mark.parametrize("seed", seeds(len(WITHOUT), quick=40))
def test_with_every_cost_two_executions_of_a_random_problem_are_equal(seed):
    report = parity.prove_inputs(problem_of(seed, "all"), vectorbt=False)
    assert report.equal, report.first_difference
    assert report.ways == {"stepwise": True}


def test_the_random_problems_exercise_every_role_reason_kind_and_refusal():
    seen: dict[str, set[int]] = {"role": set(), "kind": set(), "reason": set(), "refusal": set(), "ambiguous": set()}
    slots: list[int] = []
    for costs, several in (("vectorbt", WITH_VECTORBT), ("all", WITHOUT)):
        for seed in several:
            outcome = simulate(problem_of(seed, costs))
            slots.append(len(outcome.slots))
            seen["refusal"] |= set(outcome.refusals["reason"].tolist())
            for name in ("role", "kind", "reason", "ambiguous"):
                seen[name] |= set(outcome.orders[name].tolist())
    assert seen["role"] == set(codes.ROLES)
    assert seen["kind"] == set(codes.KINDS)
    assert seen["ambiguous"] == {0, 1}
    assert set(codes.REASONS) - seen["reason"] == set()
    assert {codes.REFUSALS[code] for code in set(codes.REFUSALS) - seen["refusal"]} == set()
    assert {1, 2, 3} == set(slots)


def test_every_code_has_a_name_of_its_own():
    for table, names in ((codes.REASONS, 13), (codes.REFUSALS, 31), (codes.ROLES, 4), (codes.KINDS, 3)):
        assert len(set(table.values())) == len(table) == names
    assert codes.REFUSALS[records.NO_CASH] == "no_cash"


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
    report = parity.prove_inputs(prepare(*random_slots(1)), vectorbt=False)
    assert "Equal bit by bit in 2 ways" in str(report)
    assert report.to_json()["orders"] == report.orders > 0
    broken = parity.ParityReport(False, 1, 1, {"stepwise": False}, {"table": "orders"})
    assert "NOT EQUAL: stepwise" in str(broken)


def test_another_refusal_and_another_final_state_are_reported():
    problem = prepare(*random_slots(3))
    ours, theirs = parity.stepwise(problem), parity.stepwise(problem)
    theirs.refusals["reason"][0] += 1
    assert parity.first_difference(problem, ours, theirs)["table"] == "refusals"
    same = parity.stepwise(problem)
    state = bytearray(same.state)
    state[-8] ^= 1
    changed = parity.Trace("other", same.orders, same.trades, same.equity, same.refusals, bytes(state))
    assert parity.first_difference(problem, ours, changed)["table"] == "state"
