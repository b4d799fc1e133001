"""Every registered strategy keeps the contract of `atb test-strategy`, and is made entirely of typed parameters."""

import inspect
import math
import sys

import numpy as np
import pytest

from atb.domain import Strategy
from atb.engine.kernel_input import prepare
from atb.engine.policy import AccountPolicy, ExecutionModel, RiskPolicy
from atb.engine.slot import Slot, warmup_bars
from atb.errors import InputError
from atb.strategies import STRATEGIES, make_strategy, parameter_types, strategy_class, strategy_module, strategy_params
from atb.validation.contract import CHECKS, Odds, Subject, outcome
from atb.validation.markets import series_of, standing_still
from atb.validation.windows import check_windows
from tests.bars import random_walk
from tests.contracts.columns import prefix_differences
from tests.seeds import seeds


@pytest.fixture(params=STRATEGIES)
def strategy(request) -> Strategy:
    return make_strategy(request.param, **getattr(STRATEGIES[request.param], "example", {}))


def test_is_what_the_register_says(strategy):
    assert isinstance(strategy, Strategy)
    assert strategy_class(type(strategy)) is STRATEGIES[strategy.name]
    assert strategy_module(strategy.name) == type(strategy).__module__


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_keeps_the_contract(strategy, check):
    found = outcome(check, Subject(strategy))
    assert found.ok, found


@pytest.mark.slow
def test_decides_alike_at_many_more_bars(strategy):
    """As `decides_alike_at_every_bar`, on another market."""
    policy = RiskPolicy(stop_atr=2.0, atr_window=5, sizing="volatility", volatility_window=30)
    predictor = Odds() if strategy.predicts else None
    warm = warmup_bars(strategy, policy, ExecutionModel(), predictor=predictor)
    frame = standing_still(warm + 1_500, 17, quiet=range(warm + 500, warm + 700))
    rows = Subject(strategy).rows(frame, strategy)
    slot = Slot(strategy, series_of(frame), policy, predictor=predictor, inputs=rows)
    (checked,) = check_windows(prepare((slot,), AccountPolicy(), frame.index[slot.warmup]))
    assert checked.report.everywhere, str(checked.report)


def test_an_average_range_that_it_gives_is_in_price_units(strategy):
    """An ATR given as a fraction of the price would make stops of multiples of it a thousandth as wide."""
    bars = Subject(strategy).bars
    given = Subject(strategy).signals(bars).atr
    if given is not None:
        np.testing.assert_allclose(np.nanmedian(given / bars["close"]), 0.02, atol=0.015)


def test_its_question_is_one_and_it_says_whether_it_sells_short(strategy):
    assert strategy.question.endswith("?")
    assert "\n" not in strategy.question
    sold = (Subject(strategy).signals(Subject(strategy).bars).side == -1).any()
    assert getattr(strategy, "shorts", False) >= sold


@pytest.mark.parametrize("seed", seeds(3, quick=1))
def test_never_looks_ahead_on_other_markets(strategy, seed):
    subject, bars = Subject(strategy), random_walk(900, seed)
    assert prefix_differences(subject.columns, bars) == []


def test_every_parameter_has_a_plain_type_and_a_default(strategy):
    for name, kind in parameter_types(strategy.name).items():
        assert kind in (int, float, bool, str), name


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
    name = next(iter(strategy_params(strategy)), None)
    if name is None:
        pytest.skip("it has no parameters")
    with pytest.raises(InputError, match=f"Did you mean '{name}'"):
        make_strategy(strategy.name, **{name + "x": 1})


def test_imports_no_other_strategy(strategy):
    text = inspect.getsource(sys.modules[strategy_module(strategy.name)])
    others = {strategy_module(name) for name in STRATEGIES} - {strategy_module(strategy.name)}
    assert not [other for other in others if other in text]
