"""Breakout: the channel is that of the bars before, so that a close can leave it."""

import numpy as np
import pytest

from atb.errors import InputError
from atb.strategies import make_strategy
from tests.strategies.paths import bars_along, sides


def test_a_close_above_the_channel_of_the_bars_before_enters_and_one_below_leaves():
    strategy = make_strategy("breakout", enter=3, leave=2)
    found = sides(strategy, bars_along([10, 11, 10, 11, 11.5, 11.2, 9.9]))
    assert np.isnan(found[:3]).all()
    assert found.tolist()[4] == 1.0
    assert np.isnan(found[5])
    assert found[6] == 0.0


def test_touching_the_channel_is_not_leaving_it():
    strategy = make_strategy("breakout", enter=3, leave=3)
    assert np.isnan(sides(strategy, bars_along([10, 11, 10, 11, 11, 10]))).all()


def test_empty_channels_are_refused():
    with pytest.raises(InputError, match="1 bar or more"):
        make_strategy("breakout", enter=0)
