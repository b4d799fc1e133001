"""SmaCross on markets made by hand."""

import numpy as np
import pytest

from atb.domain import Signals
from atb.errors import InputError
from atb.strategies import make_strategy
from atb.strategies.sma_cross import SmaCross
from tests.bars import frame_of, ramp

CROSS = SmaCross(fast=5, slow=20)


def signals(strategy: SmaCross, bars) -> Signals:
    return strategy.signals(bars.join(strategy.features(bars)))


def test_is_long_in_a_rising_market_and_flat_in_a_falling_one():
    side = signals(CROSS, ramp(up=60, down=60)).side
    assert (side[19:60] == 1).all()
    assert (side[90:] == 0).all()


def test_turns_on_the_bar_after_the_averages_cross():
    """Up for 60 bars, then down: averages of lag 2 and 9.5 bars cross where close[t-2] meets the middle of the last 20."""
    bars = ramp(up=60, down=60)
    side = signals(CROSS, bars).side
    first_flat = 60 + int(np.argmin(side[60:]))
    close = bars["close"].to_numpy()
    means = [(close[t - 4 : t + 1].mean(), close[t - 19 : t + 1].mean()) for t in (first_flat - 1, first_flat)]
    assert means[0][0] > means[0][1]
    assert means[1][0] <= means[1][1]


def test_speaks_first_on_the_bar_that_completes_the_slow_window():
    side = signals(CROSS, ramp(up=60)).side
    assert np.isnan(side[:19]).all()
    assert side[19] == 1
    assert CROSS.warmup == 19


def test_is_flat_where_the_averages_are_equal():
    assert (signals(CROSS, frame_of(np.full(60, 100.0))).side[19:] == 0).all()


@pytest.mark.parametrize(("fast", "slow"), [(0, 20), (20, 20), (30, 20), (-5, 20)])
def test_refuses_windows_that_cannot_cross(fast, slow):
    with pytest.raises(ValueError, match="need 0 < fast < slow"):
        SmaCross(fast, slow)
    with pytest.raises(InputError, match=f"sma_cross refuses its parameters: need 0 < fast < slow, was fast={fast}"):
        make_strategy("sma_cross", fast=fast, slow=slow)
