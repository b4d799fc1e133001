"""Bear: short in a downtrend alone, and flat once it turns."""

import numpy as np
import pytest

from atb.errors import InputError
from atb.strategies import make_strategy
from tests.strategies.paths import bars_along, sides
from tests.strategies.test_bull import wave


def test_a_downtrend_is_sold_and_left_and_an_uptrend_never_sold():
    strategy = make_strategy("bear")
    down, up = (sides(strategy, bars_along(wave(drift), spread=8.0)) for drift in (-0.001, 0.001))
    assert {-1.0, 0.0} <= set(down[~np.isnan(down)])
    assert -1.0 not in up
    assert 1.0 not in down


@pytest.mark.parametrize("wrong", [{"middle": 300}, {"weak": 56.0}, {"recovered": 100.0}])
def test_what_means_nothing_is_refused(wrong):
    with pytest.raises(InputError):
        make_strategy("bear", **wrong)
