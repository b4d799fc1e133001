"""MlSentiment: fear lowers what is asked, greed raises it, a frenzy buys nothing; the mood is read as it was published."""

import numpy as np
import pytest

from atb.errors import InputError
from atb.strategies import make_strategy
from tests.bars import random_walk
from tests.strategies.handed import mood_of, sides_with

DAYS = 6
BARS = random_walk(24 * DAYS)


def by_day(values, odds, **parameters):
    """Return the side of each day's last bar, given a mood for each day and the same odds at every bar."""
    strategy = make_strategy("ml_sentiment", **parameters)
    sides = sides_with(strategy, BARS, mood_of(BARS, values), prediction=odds)
    return sides.reshape(DAYS, 24)[:, -2]


def test_the_same_odds_buy_in_fear_and_not_in_greed_a_day_later():
    fear, greed, frenzy = 10.0, 80.0, 90.0
    found = by_day([fear, fear, greed, greed, frenzy, frenzy], 0.54)
    np.testing.assert_array_equal(found, [np.nan, 1, 1, np.nan, np.nan, np.nan])


def test_in_a_frenzy_no_odds_buy():
    found = by_day([84.0, 84.0, 85.0, 100.0, 84.0, 84.0], 0.95)
    np.testing.assert_array_equal(found, [np.nan, 1, 1, np.nan, np.nan, 1])


def test_without_a_mood_nothing_is_bought_and_what_is_held_can_be_left():
    assert np.isnan(by_day([], 0.95)).all()
    assert (by_day([], 0.45) == 0).all()


def test_a_mood_of_three_days_ago_is_none():
    np.testing.assert_array_equal(by_day([50.0], 0.95), [np.nan, 1, 1, np.nan, np.nan, np.nan])


def test_without_odds_there_is_no_signal_whatever_the_mood():
    assert np.isnan(by_day([10.0] * DAYS, np.nan)).all()


def test_the_mood_is_not_made_of_the_candles():
    strategy = make_strategy("ml_sentiment")
    other = random_walk(24 * DAYS, seed=9)
    one, two = (strategy.features(bars, mood_of(bars, range(DAYS))) for bars in (BARS, other))
    assert one.equals(two)
    assert list(one) == ["mood"]


@pytest.mark.parametrize(
    "wrong", [{"tilt": 0.06}, {"tilt": -0.06}, {"enter": 0.97}, {"leave": 0.0}, {"frenzy": 0.0}, {"frenzy": 101.0}]
)
def test_what_means_nothing_is_refused(wrong):
    with pytest.raises(InputError):
        make_strategy("ml_sentiment", **wrong)
