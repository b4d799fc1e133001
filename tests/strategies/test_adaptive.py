"""Adaptive: the regime of a bar chooses the rules by which it is judged."""

import numpy as np
import pandas as pd
import pytest

from atb.errors import InputError
from atb.features.regimes import PRESETS
from atb.strategies import make_strategy
from tests.bars import random_walk
from tests.strategies.paths import bars_along, sides

NAN = np.nan


def judged(**columns):
    """Return the sides of bars whose regime and measures are given."""
    usual = {"close": 100.0, "fast": 99.0, "slow": 98.0, "rsi": 50.0, "trend": 1.0, "volatility": 0.0}
    rows = max(len(values) for values in columns.values())
    return make_strategy("adaptive").signals(pd.DataFrame({**usual, **columns}, index=range(rows))).side


def test_the_same_bar_is_bought_in_an_uptrend_left_in_a_downtrend_and_of_no_interest_in_a_range():
    np.testing.assert_array_equal(judged(trend=[1.0, 0.0, -1.0, NAN]), [1, NAN, 0, NAN])


def test_weakness_is_bought_in_a_range_alone_and_more_of_it_is_asked_while_volatility_is_high():
    found = judged(trend=[0.0, 0.0, 0.0, -1.0], rsi=[35.0, 35.0, 25.0, 25.0], volatility=[0.0, 1.0, 1.0, 0.0])
    np.testing.assert_array_equal(found, [1, NAN, 1, 0])


def test_strength_is_sold_in_a_range_and_kept_in_an_uptrend():
    found = judged(trend=[0.0, 0.0, 0.0, 1.0], rsi=[65.0, 65.0, 75.0, 75.0], volatility=[0.0, 1.0, 1.0, 0.0])
    np.testing.assert_array_equal(found, [0, NAN, 0, 1])


def test_an_uptrend_is_left_below_the_slow_average():
    np.testing.assert_array_equal(judged(close=[97.0, 98.5]), [0, NAN])


def test_a_rise_is_ridden_and_a_fall_stood_aside():
    steps = np.arange(900)
    noise = np.random.default_rng(1).normal(0, 0.002, len(steps))
    up, down = (
        sides(make_strategy("adaptive"), bars_along(1_000 * np.exp(drift * steps + noise), spread=1.0))[600:]
        for drift in (0.003, -0.003)
    )
    assert (up == 1).mean() > 0.9
    assert (down == 0).all()


def test_the_preset_chooses_the_regime():
    bars, strategy = random_walk(700), make_strategy("adaptive", preset="4h")
    trend = PRESETS["4h"].compute(bars)["trend"]
    assert strategy.features(bars)["trend"][strategy.warmup :].equals(trend[strategy.warmup :])
    assert not trend.equals(PRESETS["1h"].compute(bars)["trend"])


@pytest.mark.parametrize(
    "wrong", [{"fast": 50}, {"oversold": 60.0}, {"wild": -1.0}, {"wild": 41.0}, {"overbought": 95.0}, {"preset": "1w"}]
)
def test_what_means_nothing_is_refused(wrong):
    with pytest.raises(InputError):
        make_strategy("adaptive", **wrong)
