"""Every registered feature set: a row is the same whether everything before it is known, or its warm-up alone."""

import numpy as np
import pytest

from atb.features.sets import FEATURE_SETS
from tests.bars import random_walk


@pytest.mark.parametrize("name", FEATURE_SETS)
def test_a_row_is_of_its_warm_up_and_nothing_else(name):
    """To a billionth: Wilder's smoothing forgets its start to the last bits; and always the same from any start."""
    features, bars = FEATURE_SETS[name], random_walk(900, 2, price=0.9, sigma=0.02)
    bars.iloc[650:700] = bars.iloc[650].to_numpy()
    whole, enough = features.values(bars), features.warmup
    for row in range(enough, len(bars)):
        window = bars.iloc[row - enough : row + 1]
        newest = features.values(window)[-1]
        np.testing.assert_allclose(newest, whole[row], rtol=1e-9, atol=1e-9)
        assert np.isfinite(newest).all()


@pytest.mark.parametrize("name", FEATURE_SETS)
def test_a_table_has_the_values_under_their_names(name):
    features, bars = FEATURE_SETS[name], random_walk(600, 2)
    table = features.compute(bars)
    assert list(table.columns) == list(features.columns)
    np.testing.assert_array_equal(table.to_numpy(), features.values(bars))
