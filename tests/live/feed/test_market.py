"""The history: it only grows, and features over it equal those of the whole series."""

import pytest

from atb.engine.prepare import columns
from atb.engine.slot import Slot
from atb.errors import DataError
from atb.live.feed.market import History
from atb.strategies import make_strategy
from tests.bars import bars_of, random_walk


def one_by_one(bars, first):
    """Give the bars from a row on, each as a series of its own."""
    index = bars.frame.index
    for row in range(first, len(bars)):
        yield row, bars.slice(index[row], index[row] + index.freq)


def test_features_over_a_grown_history_equal_the_batch_bit_by_bit():
    whole = bars_of(random_walk(150, 1))
    history = History(whole.slice(end=whole.frame.index[20]))
    strategy = make_strategy("sma_cross", fast=3, slow=8)
    batch = columns(Slot(strategy, whole))
    for row, bar in one_by_one(whole, 20):
        history.append(bar)
        grown = columns(Slot(strategy, history.bars))
        assert len(grown.market) == row + 1
        assert grown.market[-1] == batch.market[row]
        assert grown.signals[-1:].tobytes() == batch.signals[row : row + 1].tobytes()


def test_a_history_equals_the_series_it_was_fed():
    whole = bars_of(random_walk(1_500, 2))  # more than its first room
    history = History(whole.slice(end=whole.frame.index[0]))
    assert history.last_ms is None
    for _, bar in one_by_one(whole, 0):
        history.append(bar)
    assert history.bars.fingerprint == whole.fingerprint
    assert history.bars.frame.index.equals(whole.frame.index)
    assert history.last_ms == whole.opened_ms[-1]


def test_a_series_that_was_given_out_does_not_change_when_the_history_grows():
    whole = bars_of(random_walk(10, 2))
    history = History(whole.slice(end=whole.frame.index[5]))
    before = history.last(7)
    fingerprint = before.fingerprint
    for _, bar in one_by_one(whole, 5):
        history.append(bar)
    assert (len(before), before.fingerprint) == (5, fingerprint)


def test_the_newest_bars_are_the_end_of_the_series_or_all_of_it():
    whole = bars_of(random_walk(10, 2))
    history = History(whole)
    assert [len(history.last(count)) for count in (0, 3, 10, 99)] == [0, 3, 10, 10]
    assert history.last(3).fingerprint == bars_of(whole.frame.iloc[7:]).fingerprint == whole.last(3).fingerprint
    assert len(whole.last(99)) == 10


def test_a_history_refuses_a_bar_twice_and_a_bar_from_the_past():
    whole = bars_of(random_walk(10, 2))
    history = History(whole)
    for row in (9, 4):
        with pytest.raises(DataError, match="twice or out of order"):
            history.append(whole.slice(whole.frame.index[row], whole.frame.index[row] + whole.frame.index.freq))
