"""Mean reversion: buys a fall far below the mean of a market that does not fall, and sells at the mean."""

import numpy as np
import pytest

from atb.errors import InputError
from atb.strategies import make_strategy
from tests.strategies.paths import bars_along, sides


def falls_at_the_end(level):
    return [level + 0.1 * (k % 2) for k in range(30)]


def test_a_fall_in_a_rising_market_is_bought_and_sold_at_the_mean():
    strategy = make_strategy("mean_reversion", window=10, enter=2.0, leave=0.0, trend=60)
    path = [*(50.0 + k for k in range(60)), *falls_at_the_end(110.0), 108.0, 108.1, 111.0]
    found = sides(strategy, bars_along(path))
    assert found[90] == 1.0
    assert found[92] == 0.0


def test_the_same_fall_below_the_long_mean_is_left_alone():
    strategy = make_strategy("mean_reversion", window=10, enter=2.0, leave=0.0, trend=60)
    path = [*(300.0 - k for k in range(60)), *falls_at_the_end(110.0), 108.0]
    assert np.isnan(sides(strategy, bars_along(path))[90])


@pytest.mark.parametrize("wrong", [{"window": 1}, {"trend": 0}, {"leave": 2.0}])
def test_what_means_nothing_is_refused(wrong):
    with pytest.raises(InputError, match="mean_reversion needs"):
        make_strategy("mean_reversion", **wrong)
