"""Every registered indicator: causal, aligned, warm when it says so, and careful with its input."""

import numpy as np
import pandas as pd
import pytest

from atb.errors import InputError
from atb.features.indicators import INDICATORS, Indicator
from tests.bars import random_walk
from tests.contracts.columns import prefix_differences
from tests.seeds import seeds

BARS = random_walk(1500, seed=3)


@pytest.fixture(params=INDICATORS)
def indicator(request) -> Indicator:
    return INDICATORS[request.param]


def compute(indicator: Indicator, bars: pd.DataFrame) -> pd.Series:
    return indicator.function(*(bars[name] for name in indicator.inputs), **indicator.example)


def warmup(indicator: Indicator) -> int:
    return indicator.warmup(**indicator.example)


def test_is_registered_under_its_own_name(indicator):
    assert INDICATORS[indicator.name] is indicator
    assert indicator.function.__name__ == indicator.name


@pytest.mark.parametrize("seed", seeds(3))
def test_never_looks_ahead(indicator, seed):
    assert prefix_differences(lambda bars: compute(indicator, bars).to_numpy(), random_walk(900, seed)) == []


def test_returns_the_index_it_was_given(indicator):
    column = compute(indicator, BARS)
    assert column.index is BARS.index or column.index.equals(BARS.index)
    assert column.dtype == np.float64


def test_an_array_gives_the_same_bits_as_a_series(indicator):
    arrays = [BARS[name].to_numpy() for name in indicator.inputs]
    column = indicator.function(*arrays, **indicator.example)
    assert isinstance(column, np.ndarray)
    assert column.tobytes() == compute(indicator, BARS).to_numpy().tobytes()


def test_leaves_its_input_alone(indicator):
    before = BARS.copy(deep=True)
    compute(indicator, BARS)
    pd.testing.assert_frame_equal(BARS, before, check_exact=True)


def test_has_no_number_missing_once_warm(indicator):
    column = compute(indicator, BARS)
    assert column.iloc[warmup(indicator) :].notna().all()
    assert column.iloc[0] != column.iloc[0] or warmup(indicator) == 0


def test_its_warmup_is_honest(indicator):
    """A history that starts `warmup` bars before a row gives that row's value, to a billionth."""
    whole, enough = compute(indicator, BARS), warmup(indicator)
    for row in range(enough + 100, len(BARS), 97):
        short = compute(indicator, BARS.iloc[row - enough : row + 1]).iloc[-1]
        assert short == pytest.approx(whole.iloc[row], rel=1e-9, abs=1e-9)


@pytest.mark.parametrize("name", ["sma", "stddev", "roc", "bollinger_position"])
def test_a_window_gives_the_same_bits_whatever_came_before_it(name):
    """Prices that stand still tell running sums: what passed through them stays in their last bits."""
    indicator, still = INDICATORS[name], random_walk(600, seed=4, price=0.7, sigma=0.05)
    still.iloc[200:500] = still.iloc[200].to_numpy()
    whole, enough = compute(indicator, still).to_numpy(), warmup(indicator)
    for row in range(enough, len(still)):
        assert compute(indicator, still.iloc[row - enough : row + 1]).to_numpy()[-1] == whole[row]


def test_refuses_a_hole_in_its_input_and_says_where(indicator):
    holed = BARS.copy()
    holed.iloc[700, holed.columns.get_loc("close")] = np.nan
    with pytest.raises(InputError, match="Row 700 has no number"):
        compute(indicator, holed)


def test_waits_for_an_input_that_is_still_warming_up(indicator):
    late = BARS.copy()
    late.iloc[:50] = np.nan
    column = compute(indicator, late)
    assert column.iloc[: 50 + 1].isna().all() or warmup(indicator) == 0
    assert column.iloc[50 + warmup(indicator) :].notna().all()


def test_an_empty_history_gives_an_empty_column(indicator):
    assert len(compute(indicator, BARS.iloc[:0])) == 0


@pytest.mark.parametrize("wrong", [0, -3, 2.5, True])
def test_refuses_a_period_that_is_no_count_of_bars(indicator, wrong):
    name = next(iter(indicator.example))
    with pytest.raises(InputError, match="whole number of bars"):
        indicator.function(*(BARS[name] for name in indicator.inputs), **{**indicator.example, name: wrong})


def test_the_suite_would_catch_a_centred_average():
    def peeking(bars: pd.DataFrame) -> np.ndarray:
        return bars["close"].rolling(5, center=True).mean().to_numpy()

    assert prefix_differences(peeking, BARS) != []
