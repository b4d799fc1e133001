"""What vectorbt cannot account for is left out and named; a difference is reported with both sides and what decided it."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from atb.engine.kernel_input import prepare
from atb.engine.policy import AccountPolicy, ExecutionModel, RiskPolicy
from atb.validation import parity
from tests.bars import ramp, random_walk
from tests.scenarios import scripted_slot

LONG, SHORT = (1.0,) * 30 + (0.0,) * 30, (-1.0,) * 30 + (0.0,) * 30
COSTS = {
    "fees in base": (ExecutionModel(fee_in_base=True), RiskPolicy(), LONG, None),
    "funding": (ExecutionModel(), RiskPolicy(), LONG, 0.001),
    "borrow interest": (ExecutionModel(borrow_rate=0.5), RiskPolicy(allow_short=True), SHORT, None),
}


def problem_with(execution, policy, sides, rate):
    frame = random_walk(80, 3)
    slot = scripted_slot(frame, sides, policy, execution)
    funding = None if rate is None else pd.Series(rate, index=frame.index[::8])
    return prepare((replace(slot, funding=funding),), AccountPolicy())


@pytest.mark.parametrize("name", COSTS)
def test_a_cost_that_vectorbt_does_not_know_is_left_out_and_named(name):
    problem = problem_with(*COSTS[name])
    before = (problem.parameters.tobytes(), problem.market.tobytes())
    view, left_out = parity.vectorbt_view(problem)
    assert left_out == (name,)
    assert (problem.parameters.tobytes(), problem.market.tobytes()) == before
    assert parity.vectorbt_view(view) == (view, ())
    report = parity.prove_inputs(problem)
    assert (report.equal, report.ways) == (True, {"vectorbt": True, "stepwise": True})
    assert report.to_json()["left_out_for_vectorbt"] == [name]
    assert f"vectorbt compared without {name}" in str(report)


def test_a_fee_in_base_of_nothing_is_no_fee_in_base():
    problem = problem_with(ExecutionModel(fee=0.0, fee_in_base=True), RiskPolicy(), LONG, None)
    assert parity.vectorbt_view(problem)[1] == ()


def test_a_short_bought_back_on_credit_is_compared_up_to_there():
    """The market triples against a short of the whole account: vectorbt lends nothing, the kernel's exits always pass."""
    slot = scripted_slot(ramp(up=200), (*SHORT[:10], *(-1.0,) * 180, 0.0), RiskPolicy(fraction=1.0, allow_short=True))
    problem = prepare((slot,), AccountPolicy(maintenance=0.0))
    report = parity.prove_inputs(problem)
    assert report.equal, report.first_difference
    assert report.left_out == ("anything after an exit on credit",)
    assert report.orders == 2


def trace(problem, **changes):
    return replace(parity.stepwise(problem), **changes)


@pytest.fixture
def problem():
    return problem_with(ExecutionModel(), RiskPolicy(fraction=5.0), LONG, None)


def test_a_refusal_that_differs_is_told_by_its_name(problem):
    ours = parity.stepwise(problem)
    changed = ours.refusals.copy()
    changed["reason"] = 24
    found = parity.first_difference(problem, ours, trace(problem, way="other", refusals=changed))
    assert (found["table"], found["stepwise"]["reason"], found["other"]["reason"]) == (
        "refusals", "shrunk_by_cash", "liquidated",
    )  # fmt: skip


def test_the_bar_of_an_order_is_the_one_it_met_and_the_signal_the_one_before(problem):
    ours = parity.stepwise(problem)
    changed = ours.orders.copy()
    changed["price"][1] += 1.0
    found = parity.first_difference(problem, ours, trace(problem, way="other", orders=changed))
    row = int(ours.orders["row"][1])
    assert found["bar"]["open"] == problem.market["open"][row]
    assert found["signal_before"]["side"] == problem.signals["side"][row - 1] == 0.0
    assert (found["symbol"], found["strategy"], found["slot"]) == ("BTC/USDT", "scripted", 0)
    assert pd.Timestamp(found["time"]).value == int(ours.orders["time"][1]) * 1_000_000


def test_an_execution_that_ended_early_is_different_where_it_ended(problem):
    ours = parity.stepwise(problem)
    found = parity.first_difference(problem, ours, trace(problem, way="other", equity=ours.equity[:50]))
    assert (found["table"], found["index"], found["other"]) == ("equity", 50, None)
    stopped = trace(problem, way="other", orders=ours.orders[:1], stopped="no cash")
    found = parity.first_difference(problem, ours, stopped)
    assert (found["index"], found["other"], found["stopped"]) == (1, None, "no cash")


def test_a_state_that_differs_is_told_by_its_fields_alone(problem):
    from atb.engine.state import KernelState

    ours = parity.stepwise(problem)
    state = KernelState.fresh(1.0, limits=problem.limits, parameters=problem.parameters)
    state.load_bytes(ours.state)
    state.slots[0]["cooldown_left"] = 7
    found = parity.first_difference(problem, ours, trace(problem, way="other", state=state.to_bytes()))
    assert found["stepwise"] == {"slot 0.cooldown_left": 0}
    assert found["other"] == {"slot 0.cooldown_left": 7}
    assert np.isfinite(ours.equity).all()
