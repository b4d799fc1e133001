"""Bull: rides an orderly uptrend and leaves when the fast average is lost."""

import numpy as np
import pytest

from atb.errors import InputError
from atb.strategies import make_strategy
from tests.strategies.paths import bars_along, sides


def wave(drift):
    """Return a path of 1,500 bars around a drift, wide enough to be awake and rough enough for RSI to stay off its ends."""
    steps = np.arange(1_500)
    noise = np.random.default_rng(1).normal(0, 0.004, len(steps))
    return 1_000 * np.exp(drift * steps + 0.04 * np.sin(steps / 25) + noise)


def test_an_uptrend_is_entered_and_left_and_a_downtrend_never_entered():
    strategy = make_strategy("bull")
    up, down = (sides(strategy, bars_along(wave(drift), spread=8.0)) for drift in (0.001, -0.001))
    assert {1.0, 0.0} <= set(up[~np.isnan(up)])
    assert 1.0 not in down


def test_a_sleeping_market_and_an_overbought_one_are_left_alone():
    bars = bars_along(wave(0.001), spread=8.0)
    assert 1.0 not in sides(make_strategy("bull", least_range=0.2), bars)
    assert 1.0 not in sides(make_strategy("bull", overbought=5.0), bars)


@pytest.mark.parametrize("wrong", [{"fast": 60}, {"slow": 40}, {"overbought": 0.0}, {"least_range": 1.0}])
def test_what_means_nothing_is_refused(wrong):
    with pytest.raises(InputError):
        make_strategy("bull", **wrong)
