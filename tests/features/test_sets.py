"""Every registered feature set: causal, ordered, complete once warm, and numb to the level of prices."""

import numpy as np
import pandas as pd
import pytest

from atb.errors import InputError
from atb.features.sets import FEATURE_SETS, LIMIT, FeatureSet, feature_set
from tests.bars import frame_of, random_walk
from tests.contracts.columns import prefix_differences
from tests.seeds import seeds

BARS = random_walk(1200, seed=9)


@pytest.fixture(params=FEATURE_SETS)
def features(request) -> FeatureSet:
    return FEATURE_SETS[request.param]


@pytest.mark.parametrize("seed", seeds(3))
def test_never_looks_ahead(features, seed):
    assert prefix_differences(lambda bars: features.compute(bars).to_numpy(), random_walk(900, seed)) == []


def test_has_its_columns_in_order_on_the_bars_index(features):
    frame = features.compute(BARS)
    assert tuple(frame.columns) == features.columns
    assert frame.index.equals(BARS.index)


def test_is_missing_while_warming_up_and_complete_after(features):
    frame = features.compute(BARS)
    assert frame.iloc[: features.warmup].isna().all(axis=None)
    assert np.isfinite(frame.iloc[features.warmup :].to_numpy()).all()
    assert (frame.iloc[features.warmup :].abs() <= LIMIT).all(axis=None)


def test_its_warmup_is_honest(features):
    whole = features.compute(BARS)
    for row in range(features.warmup + 50, len(BARS), 97):
        short = features.compute(BARS.iloc[row - features.warmup : row + 1]).iloc[-1]
        np.testing.assert_allclose(short, whole.iloc[row], rtol=1e-9, atol=1e-9)


def test_leaves_the_bars_alone(features):
    before = BARS.copy(deep=True)
    features.compute(BARS)
    pd.testing.assert_frame_equal(BARS, before, check_exact=True)


def test_every_column_moves(features):
    assert (features.compute(BARS).std() > 0).all()


def test_does_not_know_the_level_of_prices_or_volumes(features):
    scaled = BARS.assign(**{name: BARS[name] * 64 for name in ("open", "high", "low", "close", "volume")})
    np.testing.assert_allclose(features.compute(scaled), features.compute(BARS), rtol=1e-7, atol=1e-7)


def test_a_market_that_stands_still_gives_numbers(features):
    still = frame_of(np.full(700, 50.0)).assign(volume=0.0)
    assert np.isfinite(features.compute(still).iloc[features.warmup :].to_numpy()).all()


def test_an_empty_history_gives_an_empty_frame(features):
    assert features.compute(BARS.iloc[:0]).shape == (0, len(features.columns))


def test_refuses_bars_without_volume(features):
    with pytest.raises(InputError, match="lack a column; found 'volume'"):
        features.compute(BARS.drop(columns="volume"))


def test_imbalance_says_who_traded():
    """Twelve rising bars and then twelve falling ones, all of one volume."""
    bars = frame_of(np.concatenate([np.arange(100.0, 800.0), np.arange(798.0, 786.0, -1)]))
    imbalance = feature_set("basic").compute(bars)["imbalance_24"]
    assert imbalance.iloc[-13] == pytest.approx(1)
    assert imbalance.iloc[-1] == pytest.approx(0)


def test_wick_is_above_zero_where_lows_were_bought_back():
    bars = random_walk(700, seed=1)
    hammered = bars.assign(low=bars["low"] * 0.95)
    assert (feature_set("basic").compute(hammered)["wick_12"].iloc[540:] > 0.3).all()


def test_momentum_is_in_units_of_volatility():
    """A bar that moves ten times as far as the bars before it shows as a large, but limited, number."""
    close = 100 * np.exp(np.cumsum(np.tile([0.001, -0.001], 350)))
    close[-1] = close[-2] * np.exp(0.01)
    momentum = feature_set("basic").compute(frame_of(close))["momentum_1"].iloc[-1]
    expected = 0.01 / np.sqrt((71 * 0.001**2 + 0.01**2) / 72)
    assert momentum == pytest.approx(expected, rel=1e-6)


def test_refuses_an_unknown_set_and_names_the_nearest():
    with pytest.raises(InputError, match="Did you mean 'basic'"):
        feature_set("basics")
