"""Labels: which bars they read, and where they know nothing."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from atb.errors import InputError
from atb.prediction.labels import forward_returns, labels
from tests.bars import bars_of, frame_of, random_walk
from tests.seeds import examples


def test_is_the_log_return_from_this_close_to_the_one_a_horizon_later():
    forward = forward_returns(bars_of(frame_of(np.array([100.0, 110.0, 121.0, 60.5]))), 2)
    np.testing.assert_allclose(forward, [np.log(1.21), np.log(0.55), np.nan, np.nan])


def test_a_price_that_stays_is_no_rise():
    np.testing.assert_array_equal(labels(np.array([0.01, 0.0, -0.01, np.nan])), [1, 0, 0, np.nan])


@examples(60)
@given(horizon=st.integers(1, 20), bar=st.integers(0, 59), seed=st.integers(0, 5))
def test_reads_no_bar_before_t_and_none_after_t_plus_horizon(horizon, bar, seed):
    """Moving the close of one bar moves only labels whose window, t .. t + horizon, has that bar at an end."""
    frame = random_walk(60, seed)
    moved = frame.copy()
    moved.iloc[bar, moved.columns.get_loc("close")] *= 1.5
    before, after = (forward_returns(bars_of(one), horizon) for one in (frame, moved))
    changed = np.flatnonzero(~((before == after) | (np.isnan(before) & np.isnan(after))))
    assert set(changed) == {t for t in (bar - horizon, bar) if 0 <= t < 60 - horizon}


@pytest.mark.parametrize("horizon", [1, 5, 59])
def test_knows_nothing_of_the_last_bars(horizon):
    forward = forward_returns(bars_of(random_walk(60)), horizon)
    assert np.isnan(forward[-horizon:]).all()
    assert np.isfinite(forward[:-horizon]).all()


@pytest.mark.parametrize("rows", [0, 1, 5])
def test_knows_nothing_at_all_if_the_horizon_is_longer_than_the_data(rows):
    forward = forward_returns(bars_of(random_walk(60).iloc[:rows]), 5)
    assert len(forward) == rows
    assert np.isnan(forward).all()


def test_knows_nothing_across_a_hole_in_the_bars():
    frame = random_walk(60)
    holed = frame.drop(frame.index[30])
    forward = forward_returns(bars_of(holed), 4)
    assert np.isnan(forward[26:30]).all()
    assert np.isfinite(forward[:26]).all()
    assert np.isfinite(forward[30:-4]).all()


@pytest.mark.parametrize("wrong", [0, -1, 1.5, True])
def test_refuses_a_horizon_that_is_no_count_of_bars(wrong):
    with pytest.raises(InputError, match="whole number of bars"):
        forward_returns(bars_of(random_walk(60)), wrong)
