"""Ensemble: the weighted vote of its measures decides, and one that is missing leaves it without a vote."""

import numpy as np
import pandas as pd
import pytest

from atb.errors import InputError
from atb.strategies import make_strategy
from tests.bars import random_walk
from tests.strategies.paths import bars_along, sides

NAN = np.nan
VOTERS = ("average", "momentum", "channel", "strength", "macd")
EVEN = dict.fromkeys(VOTERS, 1.0)


def voted(*votes, **parameters):
    """Return the signals where the measures have these values."""
    return make_strategy("ensemble", **parameters).signals(pd.DataFrame(votes, columns=VOTERS))


def test_a_majority_enters_and_its_loss_leaves():
    made = voted((5, 5, 5, 5, 5), (5, 5, 5, 5, -5), (5, 5, 5, -5, -5), (5, 5, -5, -5, -5), (5, 5, 5, -5, 0), **EVEN)
    np.testing.assert_array_equal(made.side, [1, 1, NAN, 0, NAN])
    np.testing.assert_allclose(made.confidence, [1, 0.6, 0.2, 0.2, 0.4])


def test_a_vote_counts_by_its_weight_and_not_by_its_size():
    alone = dict.fromkeys(VOTERS, 0.0)
    for name, votes in zip(VOTERS, np.where(np.eye(5) == 1, 0.001, -99.0), strict=True):
        assert voted(votes, **{**alone, name: 3.0}).side == [1.0]
        assert voted(-votes, **{**alone, name: 3.0}).side == [0.0]


def test_a_vote_in_which_all_agree_is_whole_whatever_the_weights():
    weights = dict(zip(VOTERS, (0.1, 0.1, 0.1, 0.1, 0.7), strict=True))
    assert voted([1.0] * 5, [-1.0] * 5, **weights, enter=1.0, leave=-1.0).side.tolist() == [1.0, 0.0]


def test_a_missing_measure_leaves_no_vote_and_no_confidence():
    for at in range(5):
        made = voted([NAN if i == at else 5.0 for i in range(5)])
        assert np.isnan(made.side[0])
        assert made.confidence[0] == 0.0


def test_a_rise_is_held_and_a_fall_is_not():
    steps = np.arange(900)
    for drift, side in ((0.002, 1.0), (-0.002, 0.0)):
        found = sides(
            make_strategy("ensemble"), bars_along(1_000 * np.exp(drift * steps + 0.0001 * steps**1.2), spread=1.0)
        )
        assert (found[-100:] == side).all()


def test_its_measures_are_of_its_windows():
    bars, strategy = random_walk(900), make_strategy("ensemble", fast=10, slow=40)
    rows = slice(strategy.warmup, None)
    frame = strategy.features(bars)
    close = bars["close"]
    difference = close.rolling(10).mean() - close.rolling(40).mean()
    middle = (bars["high"].rolling(40).max() + bars["low"].rolling(40).min()) / 2
    np.testing.assert_allclose(frame["average"][rows], difference[rows], atol=1e-9)
    np.testing.assert_allclose(frame["channel"][rows], (close - middle)[rows], atol=1e-9)
    np.testing.assert_allclose(frame["momentum"][rows], (100 * (close / close.shift(10) - 1))[rows], atol=1e-9)


@pytest.mark.parametrize(
    "wrong", [{"macd": -0.1}, dict.fromkeys(VOTERS, 0.0), {"fast": 120}, {"fast": 1}, {"leave": 0.6}, {"enter": 1.1}]
)
def test_what_means_nothing_is_refused(wrong):
    with pytest.raises(InputError):
        make_strategy("ensemble", **wrong)
