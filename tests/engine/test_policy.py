"""Policies: every value out of its range and every contradiction is one clear error, and JSON gives the same policy back."""

import json
from dataclasses import fields, replace

import numpy as np
import pytest

from atb.engine import records
from atb.engine.parameters import account_parameters, slot_parameters
from atb.engine.policy import AccountPolicy, ExecutionModel, RiskPolicy, grid
from atb.errors import InputError
from tests.engine.cases import rules
from tests.scenarios import random_slots
from tests.seeds import seeds

EVERYTHING = RiskPolicy(
    sizing="risk", fraction=0.6, stop_loss=0.02, stop_atr=2.0, take_profit=0.1, ladder=((0.02, 0.5), (0.04, 0.25)),
    trailing_stop=0.03, trailing_after=0.01, break_even=0.02, break_even_offset=0.001, max_bars=24, session=("08:00", "20:30"),
    flat_weekend=True, cut_after=5, cut_below=0.01, opposite="exit", scale_in=0.02, max_position=0.7, max_participation=0.1,
    entry="limit", entry_offset=0.001, entry_bars=3,
)  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        *[(RiskPolicy, {name: value}) for name, value in {
            "fraction": 0.0, "risk": 1.1, "volatility_target": 0.0, "kelly_scale": 1.01, "kelly_floor": -0.1,
            "entry_offset": 0.51, "scale_share": 0.0, "break_even_offset": -0.01, "cut_below": -1.0, "stake": 0.0,
            "max_position": -0.1, "max_participation": 1.1, "scale_in": 0.0, "stop_loss": 1.0, "stop_atr": 0.0,
            "take_profit": 0.0, "trailing_stop": 1.0, "trailing_atr": 0.0, "trailing_after": -0.1, "break_even": 0.0,
        }.items()],
        *[(RiskPolicy, {name: value}) for name, value in {
            "kelly_trades": -1, "cooldown": 1.5, "scale_limit": True, "max_bars": "3", "cut_after": None, "entry_bars": 0,
            "atr_window": 0, "volatility_window": 1, "sizing": "martingale", "entry": "iceberg", "opposite": "flip",
        }.items()],
        *[(ExecutionModel, {name: value}) for name, value in {
            "fee": -0.001, "maker_fee": 0.6, "slippage": "0.1", "impact": float("nan"), "slippage_atr": 11.0,
            "borrow_rate": float("inf"),
        }.items()],
        *[(AccountPolicy, {name: value}) for name, value in {
            "cash": 0, "max_gross": -1.0, "reserve": 1.0, "max_net": -0.1, "max_cluster": 101.0, "cluster_threshold": 1.1,
            "cluster_days": 4, "max_positions": -1, "orders_per_bar": 1.0, "orders_per_day": -2, "turnover_per_day": -1.0,
            "daily_loss": 0.0, "max_drawdown": 1.0, "on_halt": "panic", "maintenance": 1.0, "recovery": -0.1,
        }.items()],
    ],
)  # fmt: skip
def test_a_value_out_of_its_range_is_refused_by_name(kind, values):
    (name,) = values
    with pytest.raises(InputError, match=f"^{name} must be"):
        kind(**values)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"sizing": "fixed_stake"}, "needs a stake"),
        ({"sizing": "risk"}, "needs a stop"),
        ({"sizing": "kelly", "fraction": 0.1, "kelly_floor": 0.2}, "kelly_floor must not exceed fraction"),
        ({"ladder": ((0.01, 0.6), (0.02, 0.5))}, "cannot close more than the position"),
        ({"ladder": ((0.01, 0.6), (0.02, 0.4)), "take_profit": 0.02}, "must lie beyond the ladder"),
        ({"break_even": 0.01, "break_even_offset": 0.02}, "break_even_offset must not exceed"),
        ({"session": ("08:00", "08:00")}, "end at another time"),
        ({"session": ("8 o'clock", "20:00")}, "two UTC times"),
        ({"session": ("08:00", "24:00")}, "two UTC times"),
        ({"session": ("08:60", "20:00")}, "two UTC times"),
        ({"session": ("08:00",)}, "two UTC times"),
        ({"session": 8}, "two UTC times"),
        ({"ladder": ((0.02, 0.5), (0.01, 0.5))}, "nearest first"),
        ({"ladder": ((0.01, 0.5), (0.01, 0.5))}, "nearest first"),
        ({"ladder": ((0.01, 0.1), (0.02, 0.1), (0.03, 0.1), (0.04, 0.1))}, "at most 3 pairs"),
        ({"ladder": 0.5}, "at most 3 pairs"),
        ({"ladder": ((0.01, 0.5, 3),)}, "at most 3 pairs"),
        ({"ladder": ((0.0, 0.5),)}, "each level"),
        ({"ladder": ((0.01, 1.5),)}, "each share"),
    ],
)
def test_rules_that_contradict_each_other_are_refused(values, message):
    with pytest.raises(InputError, match=message):
        RiskPolicy(**values)


def test_a_throttle_is_a_list_of_ascending_steps():
    with pytest.raises(InputError, match="throttle must be at most 3 pairs"):
        AccountPolicy(throttle=((0.1, 0.5), (0.05, 0.8)))
    with pytest.raises(InputError, match="each share"):
        AccountPolicy(throttle=((0.1, -0.5),))
    assert AccountPolicy(throttle=[[0.05, 0.8]]).throttle == ((0.05, 0.8),)


def test_values_at_the_ends_of_their_ranges_pass():
    RiskPolicy(
        fraction=10.0, risk=1.0, kelly_floor=0.0, entry_offset=0.5, max_position=0.0, trailing_after=0.0, max_bars=0
    )
    AccountPolicy(max_gross=0.0, reserve=0.0, cluster_days=5, orders_per_day=0, throttle=((0.1, 0.0),))
    ExecutionModel(fee=0.0, maker_fee=0.0, slippage=0.5)
    RiskPolicy(ladder=((0.1, 0.1), (0.2, 0.2), (0.3, 0.7)))  # adds up to 1.0 but for the last bit


@pytest.mark.parametrize("values", [EVERYTHING, ExecutionModel(maker_fee=0.0002, impact=0.1), AccountPolicy(
    throttle=((0.05, 0.8), (0.1, 0.6)), max_net=0.5, daily_loss=0.02, on_halt="flatten")])  # fmt: skip
def test_json_gives_the_same_policy_back(values):
    text = json.dumps(values.to_json(), allow_nan=False)
    assert type(values).from_json(json.loads(text)) == values
    assert set(json.loads(text)) == {field.name for field in fields(values)}


@pytest.mark.parametrize("seed", seeds(20))
def test_random_policies_survive_json(seed):
    slots, account = random_slots(seed, bars=20)
    assert AccountPolicy.from_json(json.loads(json.dumps(account.to_json()))) == account
    for slot in slots:
        for values in (slot.policy, slot.execution):
            assert type(values).from_json(json.loads(json.dumps(values.to_json()))) == values


@pytest.mark.parametrize("kind", [RiskPolicy, ExecutionModel, AccountPolicy])
def test_an_unknown_name_is_refused_with_the_nearest(kind):
    name = next(iter(kind().to_json()))
    with pytest.raises(InputError, match=f"Did you mean '?{name}"):
        kind.from_json({name + "s": 1.0})


def test_policies_are_frozen():
    with pytest.raises(AttributeError):
        EVERYTHING.fraction = 1.0


def test_every_rule_is_off_by_default():
    policy = RiskPolicy()
    assert not policy.has_stop
    assert not policy.reads_atr
    assert not policy.reads_volatility
    assert RiskPolicy(stop_atr=2.0).reads_atr
    assert RiskPolicy(trailing_atr=2.0).reads_atr
    assert RiskPolicy(sizing="volatility").reads_volatility
    assert all(
        replace(policy, **stop).has_stop for stop in ({"stop_loss": 0.1}, {"stop_atr": 1.0}, {"signal_stop": True})
    )


# --- grids ---


def test_a_grid_holds_every_combination_the_last_axis_fastest():
    made = grid(stop_loss=[0.01, 0.02], take_profit=[None, 0.04, 0.08])
    assert [(policy.stop_loss, policy.take_profit) for policy in made] == [
        (0.01, None), (0.01, 0.04), (0.01, 0.08), (0.02, None), (0.02, 0.04), (0.02, 0.08)
    ]  # fmt: skip
    assert grid() == [RiskPolicy()]
    assert grid(EVERYTHING, fraction=(f / 10 for f in (1, 2)))[1] == replace(EVERYTHING, fraction=0.2)


@pytest.mark.parametrize(
    ("axes", "message"),
    [
        ({"stop_los": [0.1]}, "Did you mean 'stop_loss'"),
        ({"stop_loss": []}, "at least one value"),
        ({"stop_loss": [2.0]}, "stop_loss must be"),
    ],
)
def test_a_grid_refuses_what_is_no_policy(axes, message):
    with pytest.raises(InputError, match=message):
        grid(**axes)


# --- records ---


def test_every_value_reaches_the_kernel_in_its_place():
    execution = ExecutionModel(
        fee=0.002, maker_fee=0.001, slippage_atr=0.1, impact=0.05, target_first=True, limit_gap="open"
    )
    record = slot_parameters(
        EVERYTHING, execution, rules(tick="0.05", lot="0.003", min_quantity="0.5", min_notional="7")
    )
    expected = {
        "sizing": records.BY_RISK, "fraction": 0.6, "risk": 0.02, "stop_loss": 0.02, "stop_atr": 2.0, "signal_stop": 0,
        "take_profit": 0.1, "rungs": 2, "rung_1": 0.02, "rung_2": 0.04, "share_1": 0.5, "share_2": 0.25, "share_3": 0.0,
        "trail": 0.03, "trail_after": 0.01, "break_even": 0.02, "break_even_offset": 0.001, "max_bars": 24,
        "session_start": 480, "session_end": 1230, "flat_weekend": 1, "cut_after": 5, "cut_below": 0.01, "signal_exit": 1,
        "opposite": records.LEAVE, "scale_trigger": 0.02, "scale_share": 0.25, "scale_limit": 2, "max_position": 0.7,
        "max_participation": 0.1, "entry_kind": records.AT_LIMIT, "entry_offset": 0.001, "entry_bars": 3, "taker_fee": 0.002,
        "maker_fee": 0.001, "slippage": 0.0005, "slippage_atr": 0.1, "impact": 0.05, "target_first": 1, "tick": 0.05,
        "limit_gap": records.LIMIT_OPEN,
        "tick_inverse": 20.0, "lot": 0.003, "lot_inverse": 0.0, "min_quantity": 0.5, "min_notional": 7.0,
    }  # fmt: skip
    assert {name: record[name] for name in expected} == expected
    assert all(np.isnan(record[name]) for name in ("stake", "trail_atr", "rung_3"))


def test_the_accounts_limits_reach_the_kernel_in_their_places():
    policy = AccountPolicy(
        max_gross=2.0, max_net=0.5, reserve=0.02, daily_loss=0.03, maintenance=0.1, throttle=((0.05, 0.8), (0.1, 0.6)),
        recovery=0.01, max_positions=3, orders_per_bar=4, orders_per_day=5, on_halt="flatten",
    )  # fmt: skip
    record = account_parameters(policy)[0]
    expected = {
        "max_gross": 2.0, "max_net": 0.5, "reserve": 0.02, "daily_loss": 0.03, "maintenance": 0.1, "throttle_1": 0.05,
        "throttle_2": 0.1, "factor_1": 0.8, "factor_2": 0.6, "recovery": 0.01, "max_positions": 3, "orders_per_bar": 4,
        "orders_per_day": 5, "flatten": 1,
    }  # fmt: skip
    assert {name: record[name] for name in expected} == expected
    assert all(np.isnan(record[name]) for name in ("max_cluster", "max_drawdown", "turnover_per_day", "throttle_3"))
    assert account_parameters(AccountPolicy())[0]["flatten"] == 0


def test_a_scale_limit_without_a_trigger_is_off_and_one_fee_is_for_both():
    record = slot_parameters(RiskPolicy(scale_limit=3), ExecutionModel(fee=0.002), rules())
    assert record["scale_limit"] == 0
    assert record["maker_fee"] == 0.002


def test_fees_in_base_and_shorts_do_not_go_together():
    with pytest.raises(InputError, match="fee_in_base is for spot accounts"):
        slot_parameters(RiskPolicy(allow_short=True), ExecutionModel(fee_in_base=True), rules())


@pytest.mark.parametrize("name", ["allow_short", "reenter", "signal_stop", "flat_weekend", "signal_exit"])
def test_a_switch_is_true_or_false(name):
    with pytest.raises(InputError, match=f"{name} must be true or false"):
        RiskPolicy(**{name: "no"})
