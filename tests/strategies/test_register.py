"""The register: names and parameters from outside become a strategy or one clear refusal."""

import subprocess
import sys
from dataclasses import dataclass

import pytest

from atb.errors import InputError
from atb.strategies import (
    STRATEGIES,
    differing_params,
    grid,
    make_strategy,
    parameter_types,
    strategy_module,
    strategy_params,
)
from atb.strategies.sma_cross import SmaCross
from tests.timeouts import PATIENCE_S


def test_defaults_stay_where_nothing_is_given():
    assert make_strategy("sma_cross", slow=100) == SmaCross(fast=20, slow=100)
    assert strategy_params(SmaCross()) == {"fast": 20, "slow": 50}


def test_strategies_differ_in_the_parameters_that_have_other_values_or_are_missing_elsewhere():
    @dataclass(frozen=True)
    class Rewritten:  # another class, such as of a notebook's cell that was run again
        slow: int = 50
        band: float = 0.1

    assert differing_params([SmaCross(5), SmaCross(9)]) == [{"fast": 5}, {"fast": 9}]
    assert differing_params([SmaCross(5), Rewritten()]) == [{"fast": 5}, {"band": 0.1}]
    assert differing_params([SmaCross(), SmaCross()]) == [{}, {}]


def test_refuses_an_unknown_name_and_names_the_nearest():
    with pytest.raises(InputError, match=r"Unknown strategy; found 'sma_cros'\. Did you mean 'sma_cross'\?"):
        make_strategy("sma_cros")


def test_a_name_like_no_other_is_answered_with_all_names():
    with pytest.raises(InputError, match=r"Known: .*ml_basic, .*sma_cross"):
        make_strategy("zzz")


@pytest.mark.parametrize("wrong", ["20", 20.0, True, None])
def test_a_count_of_bars_is_a_whole_number(wrong):
    with pytest.raises(InputError, match=r"sma_cross\.fast must be a whole number"):
        make_strategy("sma_cross", fast=wrong)


def test_a_whole_number_passes_as_a_float():
    with pytest.raises(InputError, match="refuses its parameters"):  # the type is right, the value is not
        make_strategy("ml_basic", enter=1)


def test_says_which_parameters_there_are():
    assert parameter_types("ml_basic") == {"enter": float, "leave": float}
    assert strategy_module("ml_basic") == "atb.strategies.ml_basic"


def test_the_register_is_sorted_so_that_choices_are():
    assert list(STRATEGIES) == sorted(STRATEGIES)


def test_naming_strategies_loads_neither_pandas_nor_talib():
    program = "import sys, atb.strategies; print([m for m in ('pandas', 'talib', 'onnxruntime', 'sklearn') if m in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=PATIENCE_S
    )
    assert done.stdout.strip() == "[]"


def test_an_axis_of_a_grid_may_be_one_value_that_all_share():
    assert grid("sma_cross", fast=5, slow=[20, 30]) == grid("sma_cross", fast=[5], slow=[20, 30])
    with pytest.raises(InputError, match=r"sma_cross\.fast must be a whole number"):
        grid("sma_cross", fast=None, slow=[20])
