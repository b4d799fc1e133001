"""The saved state loads to the same bits, and another kernel's state is refused."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from atb.engine import records
from atb.engine.kernel_input import prepare
from atb.engine.parameters import account_parameters
from atb.engine.policy import AccountPolicy, ExecutionModel, RiskPolicy
from atb.engine.state import KernelState, dumps
from atb.errors import InputError
from tests.scenarios import random_slots

# What the version with schema 3 wrote in the middle of a backtest of two slots: one waits for its signal to change sides, the other
# went short inside the bar that lasts (its cooldown was set by hand).
WRITTEN = json.loads(Path(__file__).with_name("state_of_schema_3.json").read_text(encoding="utf-8"))


def two_slots() -> KernelState:
    """Return the state of two flat slots."""
    made = np.zeros(2, records.SLOT_PARAMETERS)
    return KernelState.fresh(1.0, limits=account_parameters(AccountPolicy()), parameters=made)


def stepped(seed: int) -> KernelState:
    """Return a state in the middle of a random problem."""
    problem = prepare(*random_slots(seed))
    state = KernelState.fresh(problem.account.cash, limits=problem.limits, parameters=problem.parameters)
    for e in range(len(problem.events) // 2):
        list(state.orders(problem.market, problem.closing[e], records.RANGE))
        state.decide(problem.market, problem.signals, problem.closing[e])
        list(state.orders(problem.market, problem.opening[e], records.OPEN))
    return state


@given(st.integers(0, 30))
def test_json_and_bytes_round_trip_bit_by_bit(seed):
    state = stepped(seed)
    other = state.copy()
    other.account["cash"], other.slots["quantity"] = 0.0, 0.0
    other.load_json(json.loads(dumps(state)))
    assert other.to_bytes() == state.to_bytes()
    other.account["cash"] = 0.0
    other.load_bytes(state.to_bytes())
    assert other.to_bytes() == state.to_bytes()


@given(st.integers(0, 60))
def test_no_zero_is_negative_since_some_databases_drop_its_sign(seed):
    state = stepped(seed)
    for record in (*state.account, *state.slots):
        values = np.array([float(record[name]) for name in record.dtype.names])
        assert not np.signbit(values[values == 0.0]).any()


@given(st.floats(allow_nan=True, allow_infinity=False))
def test_every_float_survives_json(value):
    state = stepped(0)
    state.slots["stop"] = value
    other = state.copy()
    other.load_json(json.loads(dumps(state)))
    np.testing.assert_array_equal(other.slots["stop"], state.slots["stop"])


@pytest.mark.parametrize("schema", [0, 1, records.SCHEMA + 1, None, "3"])
def test_a_state_of_another_schema_is_refused(schema):
    state = stepped(0)
    before = state.to_bytes()
    with pytest.raises(InputError, match="must be of schema"):
        state.load_json(state.to_json() | {"schema": schema})
    assert state.to_bytes() == before


def test_a_state_of_schema_3_is_read_under_todays_names():
    state = two_slots()
    state.load_json(WRITTEN)
    renamed = {"waits": "barred_side", "cool": "cooldown_left", "inside": "entered_inside"}
    for slot, loaded in zip(WRITTEN["slots"], state.to_json()["slots"], strict=True):
        assert {renamed.get(name, name): value for name, value in slot.items()} == loaded
    assert state.to_json()["account"] == WRITTEN["account"]
    assert state.slots["barred_side"].tolist() == [1.0, 0.0]
    assert state.slots["entered_inside"].tolist() == [0, records.INSIDE_BY_LIMIT]
    assert [slot["cool"] for slot in WRITTEN["slots"]] == [0, 4]
    assert state.slots["cooldown_left"].tolist() == [0, 4]


def test_a_state_with_other_slots_or_fields_is_refused():
    state = stepped(0)
    saved = state.to_json()
    with pytest.raises(InputError, match="slots"):
        state.load_json(saved | {"slots": []})
    renamed = [{("cahs" if key == "mark" else key): value for key, value in slot.items()} for slot in saved["slots"]]
    with pytest.raises(InputError, match="fields are not the kernel's"):
        state.load_json(saved | {"slots": renamed})


@pytest.mark.parametrize(
    "values",
    [RiskPolicy(fraction=0.5, stop_loss=0.02, ladder=((0.01, 0.5),)), ExecutionModel(0.002, 0.001), AccountPolicy(5.0)],
)
def test_policies_round_trip_and_refuse_unknown_names(values):
    assert type(values).from_json(json.loads(json.dumps(values.to_json()))) == values
    with pytest.raises(InputError, match="Did you mean"):
        type(values).from_json({next(iter(values.to_json())) + "s": 1.0})


@pytest.mark.parametrize(
    ("policy", "values"),
    [
        (RiskPolicy, {"fraction": 0.0}),
        (RiskPolicy, {"fraction": float("nan")}),
        (RiskPolicy, {"stop_loss": 1.0}),
        (RiskPolicy, {"stop_loss": True}),
        (RiskPolicy, {"take_profit": -0.1}),
        (ExecutionModel, {"fee": -0.001}),
        (ExecutionModel, {"slippage": "0.1"}),
        (AccountPolicy, {"cash": 0}),
        (AccountPolicy, {"reserve": 1.0}),
    ],
)
def test_policies_refuse_values_out_of_range(policy, values):
    with pytest.raises(InputError, match=next(iter(values))):
        policy(**values)
