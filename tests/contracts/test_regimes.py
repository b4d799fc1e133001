"""Every method of regimes: never repainted, the same at every bar as a runner computes it, and made of parameters that matter."""

import dataclasses
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from atb.engine.kernel_input import prepare
from atb.engine.policy import AccountPolicy
from atb.engine.slot import Slot
from atb.prediction.regime_fitting import make_regime
from atb.validation.windows import check_windows
from tests.bars import bars_of, random_walk
from tests.contracts.regime_methods import METHODS, OTHER_VALUES, Follows
from tests.seeds import examples


@pytest.fixture(params=METHODS)
def name(request) -> str:
    return request.param


@pytest.fixture
def method(name) -> Any:
    return METHODS[name]


def bits(frame: pd.DataFrame) -> bytes:
    return frame.to_numpy().tobytes()


@given(st.integers(0, 10_000), st.integers(1, 599), st.sampled_from(list(METHODS)))
@examples(40)
def test_no_label_is_repainted_at_any_cut(seed, cut, name):
    bars = random_walk(600, seed)
    whole, past = METHODS[name].compute(bars), METHODS[name].compute(bars.iloc[:cut])
    assert bits(past) == bits(whole.iloc[:cut])


def test_poison_after_a_bar_changes_nothing_up_to_it(method):
    bars = random_walk(600, 3)
    poisoned = bars.copy()
    poisoned.iloc[450:] *= 7.0
    assert bits(method.compute(poisoned).iloc[:450]) == bits(method.compute(bars).iloc[:450])


def test_a_history_of_the_warm_up_gives_the_bits_of_a_longer_one(method):
    bars = random_walk(600, 4)
    bars.iloc[330:400] = bars.iloc[330].to_numpy()
    whole = method.compute(bars)
    for row in range(method.warmup, 600, 11):
        assert bits(method.compute(bars.iloc[row - method.warmup : row + 1]).iloc[[-1]]) == bits(whole.iloc[[row]])


def test_a_second_call_gives_the_same_bits(method):
    """No state survives a call: not even one over other bars."""
    bars = random_walk(400, 5)
    before = method.compute(bars)
    method.compute(random_walk(400, 6))
    assert bits(method.compute(bars)) == bits(before)


@pytest.mark.parametrize("most", [40, pytest.param(None, marks=pytest.mark.slow)], ids=["sample", "every bar"])
def test_a_runner_computes_the_same_at_every_bar(name, most):
    bars = bars_of(random_walk(400, 7))
    slot = Slot(Follows(name), bars)
    (one,) = check_windows(prepare((slot,), AccountPolicy(), bars.frame.index[slot.warmup]), most=most)
    assert one.report.equal, str(one.report)
    assert one.report.checked == (most or 400 - slot.warmup)


def test_every_column_is_missing_until_warm_and_there_from_then_on(method):
    found = method.compute(random_walk(600, 8))
    assert found.iloc[: method.warmup].isna().all(axis=None)
    assert found.iloc[method.warmup].notna().any()
    assert found["regime"].iloc[method.warmup :].notna().mean() > 0.9
    assert set(found["regime"].dropna()) <= set(range(len(method.labels)))


def test_bars_are_left_alone_and_their_index_kept(method):
    bars = random_walk(400, 9)
    before = bars.copy(deep=True)
    assert method.compute(bars).index is bars.index
    pd.testing.assert_frame_equal(bars, before, check_exact=True)


def test_every_parameter_matters(name, method):
    bars = random_walk(600, 10)
    default, others = method.compute(bars)["regime"].to_numpy(), OTHER_VALUES[name]
    assert others.keys() == {field.name for field in dataclasses.fields(method)}
    for field, value in others.items():
        other = dataclasses.replace(method, **{field: value}).compute(bars)["regime"].to_numpy()
        assert not np.array_equal(default, other, equal_nan=True), field


def test_a_method_is_the_values_it_was_made_of(method):
    again = type(method)(**{field.name: getattr(method, field.name) for field in dataclasses.fields(method)})
    assert again == method
    assert hash(again) == hash(method)
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(method, dataclasses.fields(method)[0].name, 3)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["trend_volatility", "gaussian_hmm", "jump_model"])
def test_real_candles_are_labelled_alike_at_any_cut_and_by_a_runner(real_data, name):
    """Four years of hours by the defaults; a fitted method is fitted again on the bars before each cut."""
    candles = pd.read_parquet(real_data / "binance_BTCUSDT_1h.parquet").set_index("timestamp")
    bars = bars_of(candles.loc["2021":"2024"])
    method = make_regime(name, bars, every="90d", span="365d")
    whole = method.compute(bars.frame)
    for cut in (15_000, 21_111, 30_003):
        past = bars.rows(0, cut)
        assert bits(make_regime(name, past, every="90d", span="365d").compute(past.frame)) == bits(whole.iloc[:cut])
    for row in range(15_000, len(bars), 997):
        assert bits(method.compute(bars.frame.iloc[row - method.warmup : row + 1]).iloc[[-1]]) == bits(
            whole.iloc[[row]]
        )
    assert whole["regime"].iloc[15_000:].notna().all()
