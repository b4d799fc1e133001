"""Fewer points, same picture: extremes are kept, candles are sums of whole bars, holes stay holes."""

import numpy as np
import pandas as pd
import pytest

from atb.reports.downsampling import candles, extreme_rows
from tests.bars import bars_of, random_walk
from tests.seeds import seeds


@pytest.mark.parametrize("seed", seeds(5))
def test_a_line_keeps_its_ends_its_highest_and_its_lowest_point(seed):
    values = np.random.default_rng(seed).normal(size=50_000)
    rows = extreme_rows(values, 1_000)
    assert len(rows) <= 1_000
    assert (np.diff(rows) > 0).all()
    assert {0, len(values) - 1, int(values.argmin()), int(values.argmax())} <= set(rows.tolist())


def test_every_stretch_of_a_line_keeps_its_spike():
    values = np.zeros(10_000)
    spikes = np.arange(50, 10_000, 100)
    values[spikes] = np.where(np.arange(len(spikes)) % 2, 1.0, -1.0)
    assert set(spikes.tolist()) <= set(extreme_rows(values, 1_000).tolist())


def test_a_short_line_is_kept_whole():
    assert extreme_rows(np.arange(10.0), 10).tolist() == list(range(10))


def test_a_missing_value_is_never_an_extreme():
    values = np.random.default_rng(1).normal(size=5_000)
    values[1::3] = np.nan
    kept = extreme_rows(values, 200)
    assert not np.isnan(values[kept[1:-1]]).any()


@pytest.mark.parametrize("most", [7, 100, 999])
def test_candles_sum_up_what_they_span(most):
    bars = bars_of(random_walk(10_000, 2))
    frame, span = candles(bars, most)
    assert len(frame) <= most
    assert frame["volume"].sum() == pytest.approx(bars.frame["volume"].sum())
    assert frame["high"].max() == bars.frame["high"].max()
    assert frame["low"].min() == bars.frame["low"].min()
    assert frame["open"].iloc[0] == bars.frame["open"].iloc[0]
    assert frame["close"].iloc[-1] == bars.frame["close"].iloc[-1]
    expected = bars.frame.resample(f"{span}h", origin="epoch")
    assert frame["high"].tolist() == expected["high"].max().tolist()
    assert frame["close"].tolist() == expected["close"].last().tolist()


def test_no_candle_reaches_across_a_hole():
    frame = random_walk(1_000, 2)
    holed = bars_of(frame.drop(frame.index[100:900]))
    drawn, span = candles(holed, 50)
    hole = pd.Timestamp(frame.index[100]) + pd.Timedelta(hours=span), frame.index[900] - pd.Timedelta(hours=span)
    assert not ((drawn.index > hole[0]) & (drawn.index < hole[1])).any()


def test_few_bars_are_their_own_candles():
    bars = bars_of(random_walk(100))
    frame, span = candles(bars, 100)
    assert span == 1
    assert frame is bars.frame
