"""Every registered strategy keeps the contract of `atb test-strategy`, and is made entirely of typed parameters."""

import inspect
import math
import sys

import pytest

from atb.domain import Strategy
from atb.errors import InputError
from atb.strategies import STRATEGIES, make_strategy, parameter_types, strategy_class, strategy_module, strategy_params
from atb.validation.contract import CHECKS, Subject, outcome
from tests.bars import random_walk
from tests.contracts.columns import prefix_differences


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


@pytest.mark.parametrize("seed", range(3))
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
