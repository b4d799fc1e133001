"""Every registered strategy: causal, silent until warm, frozen, and made entirely of parameters that matter."""

import dataclasses
import json
import math

import numpy as np
import pandas as pd
import pytest

from atb.domain import Signals, Strategy
from atb.engine.policy import AccountPolicy, RiskPolicy
from atb.engine.prepare import prepare
from atb.engine.slot import Slot
from atb.errors import InputError
from atb.strategies import STRATEGIES, make_strategy, parameter_types, strategy_module, strategy_params
from atb.validation.windows import check_windows
from tests.bars import bars_of, random_walk
from tests.contracts.columns import Odds, frame_for, prefix_differences, signal_columns

BARS = random_walk(900, seed=5)


@pytest.fixture(params=STRATEGIES)
def strategy(request) -> Strategy:
    return make_strategy(request.param)


def test_is_what_the_register_says(strategy):
    assert isinstance(strategy, Strategy)
    assert type(strategy) is STRATEGIES[strategy.name]
    assert strategy_module(strategy.name) == type(strategy).__module__


@pytest.mark.parametrize("seed", range(3))
def test_never_looks_ahead(strategy, seed):
    bars = random_walk(900, seed)
    assert prefix_differences(lambda b: strategy.features(b).to_numpy(), bars) == []
    assert prefix_differences(lambda b: signal_columns(strategy, b), bars) == []


def test_a_runner_decides_the_same_at_every_bar(strategy):
    """On a market that stands still for a while: sums that run keep the last bits of what is gone, and there they would tell."""
    frame = random_walk(480, 5, price=0.9, sigma=0.02)
    frame.iloc[330:400] = frame.iloc[330].to_numpy()
    policy = RiskPolicy(stop_atr=2.0, atr_window=5, sizing="volatility", volatility_window=30)
    slot = Slot(strategy, bars_of(frame), policy, predictor=Odds() if strategy.predicts else None)
    (checked_slot,) = check_windows(prepare((slot,), AccountPolicy(), frame.index[slot.warmup]))
    assert checked_slot.report.everywhere, str(checked_slot.report)
    assert checked_slot.report.checked == 480 - slot.warmup


def test_features_keep_the_index_and_add_only_new_columns(strategy):
    features = strategy.features(BARS)
    assert features.index.equals(BARS.index)
    assert features.columns.intersection([*BARS.columns, "prediction"]).empty


def test_is_silent_until_warm_and_speaks_then(strategy):
    side = strategy.signals(frame_for(strategy, BARS)).side
    assert np.isnan(side[: strategy.warmup]).all()
    assert np.isfinite(side[strategy.warmup :]).any()


@pytest.mark.parametrize("name", [name for name, cls in STRATEGIES.items() if cls.predicts])
def test_says_nothing_without_a_prediction(name):
    strategy = make_strategy(name)
    frame = frame_for(strategy, BARS)
    signals = strategy.signals(frame.assign(prediction=np.nan))
    assert np.isnan(signals.side).all()


def test_signals_are_one_opinion_a_row(strategy):
    signals = strategy.signals(frame_for(strategy, BARS))
    assert isinstance(signals, Signals)
    assert len(signals.side) == len(BARS)
    assert signals.side.dtype == np.float64
    known = signals.side[~np.isnan(signals.side)]
    assert set(known) <= {-1.0, 0.0, 1.0}
    assert len(set(known)) > 1, "it never changes its mind on a random walk"
    if signals.confidence is not None:
        assert ((signals.confidence >= 0) & (signals.confidence <= 1)).all()


def test_leaves_its_inputs_alone(strategy):
    bars = BARS.copy(deep=True)
    frame = frame_for(strategy, bars)
    before = frame.copy(deep=True)
    strategy.signals(frame)
    pd.testing.assert_frame_equal(bars, BARS, check_exact=True)
    pd.testing.assert_frame_equal(frame, before, check_exact=True)


def test_answers_an_empty_history(strategy):
    empty = BARS.iloc[:0]
    assert len(strategy.signals(frame_for(strategy, empty)).side) == 0


def test_parameters_survive_json(strategy):
    values = json.loads(json.dumps(strategy_params(strategy), allow_nan=False))
    again = make_strategy(strategy.name, **values)
    assert again == strategy
    assert hash(again) == hash(strategy)


def test_is_frozen(strategy):
    for name in strategy_params(strategy):
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(strategy, name, 1)


def test_every_parameter_changes_something(strategy):
    usual = signal_columns(strategy, BARS)
    for name in strategy_params(strategy):
        changed = signal_columns(_with_another(strategy, name), BARS)
        assert changed.tobytes() != usual.tobytes(), f"{name} changes nothing"


def test_every_parameter_has_a_plain_type_and_a_default(strategy):
    for name, kind in parameter_types(strategy.name).items():
        assert kind in (int, float, bool, str), name
    for field in dataclasses.fields(strategy):
        assert field.default is not dataclasses.MISSING, field.name


def test_refuses_values_of_another_type(strategy):
    for name, kind in parameter_types(strategy.name).items():
        for wrong in (
            None,
            [1],
            "many" if kind is not str else 3,
            *([True, math.nan, math.inf] if kind is float else []),
        ):
            with pytest.raises(InputError, match=name):
                make_strategy(strategy.name, **{name: wrong})


def test_refuses_unknown_parameters_and_names_the_nearest(strategy):
    name = next(iter(strategy_params(strategy)))
    with pytest.raises(InputError, match=f"Did you mean '{name}'"):
        make_strategy(strategy.name, **{name + "x": 1})


def test_imports_no_other_strategy(strategy):
    from pathlib import Path

    import atb.strategies

    module = strategy_module(strategy.name).rpartition(".")[2]
    text = (Path(atb.strategies.__file__).parent / f"{module}.py").read_text()
    others = {strategy_module(name) for name in STRATEGIES} - {strategy_module(strategy.name)}
    assert not [other for other in others if other in text]


def _with_another(strategy: Strategy, name: str) -> Strategy:
    """Return the strategy with another legal value of one parameter."""
    params = strategy_params(strategy)
    value = params[name]
    nearby = [not value] if isinstance(value, bool) else [value + 3, value - 3] if isinstance(value, int) else []
    nearby += ([value * 1.1, value * 0.9] if value else [0.01, -0.01]) if isinstance(value, float) else []
    for other in nearby:
        try:
            return make_strategy(strategy.name, **{**params, name: other})
        except InputError:
            continue
    raise AssertionError(f"no other legal value near {name}={value!r}")
