"""Bars: identity, times and the fingerprint that runs and manifests carry."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from atb.domain import Bars, Symbol, Timeframe
from atb.domain.bars import bar_index
from tests.bars import bars_of, random_walk


def test_times_are_milliseconds_whatever_unit_the_index_has():
    frame = random_walk(10)
    stamps = [bars_of(frame.set_axis(frame.index.as_unit(unit))).opened_ms for unit in ("s", "ms", "us", "ns")]
    for opened in stamps:
        np.testing.assert_array_equal(opened, stamps[0])
    assert stamps[0][0] == 1_704_067_200_000
    np.testing.assert_array_equal(bars_of(frame).closed_ms, stamps[0] + 3_600_000)


def test_a_month_closes_when_the_next_one_opens():
    frame = random_walk(3).set_axis(pd.date_range("2024-01-01", periods=3, freq="MS", tz="UTC", name="timestamp"))
    closes = pd.to_datetime(bars_of(frame, timeframe="1M").closed_ms, unit="ms", utc=True)
    assert [f"{close:%Y-%m-%d}" for close in closes] == ["2024-02-01", "2024-03-01", "2024-04-01"]


def test_the_fingerprint_does_not_depend_on_the_unit_of_the_index():
    frame = random_walk(10)
    assert bars_of(frame).fingerprint == bars_of(frame.set_axis(frame.index.as_unit("ns"))).fingerprint


@given(row=st.integers(0, 19), column=st.sampled_from(["open", "high", "low", "close", "volume"]))
def test_the_last_bit_of_any_value_changes_the_fingerprint(row, column):
    frame = random_walk(20)
    changed = frame.copy()
    at = changed.columns.get_loc(column)
    changed.iloc[row, at] = np.nextafter(changed.iloc[row, at], np.inf)
    assert bars_of(changed).fingerprint != bars_of(frame).fingerprint


def test_the_fingerprint_covers_identity_times_and_length():
    frame = random_walk(20)
    fingerprints = {
        bars_of(frame).fingerprint,
        bars_of(frame, symbol="ETH/USDT").fingerprint,
        bars_of(frame, timeframe="2h").fingerprint,
        bars_of(frame, venue="other").fingerprint,
        bars_of(frame.iloc[:-1]).fingerprint,
        bars_of(frame.set_axis(frame.index + pd.Timedelta(1, "h"))).fingerprint,
        bars_of(frame.rename(columns={"open": "close", "close": "open"})).fingerprint,
    }
    assert len(fingerprints) == 7


def test_the_label_says_synthetic_or_names_the_venue():
    frame = random_walk(3)
    assert bars_of(frame, venue="synthetic").label == "BTC/USDT 1h · SYNTHETIC data"
    assert bars_of(frame, venue="binance").label == "BTC/USDT 1h · binance"
    assert bars_of(frame, venue="").label == "BTC/USDT 1h · unnamed source"
    assert bars_of(frame, venue="synthetic").synthetic
    assert not bars_of(frame, venue="binance").synthetic


def test_a_slice_includes_its_start_and_excludes_its_end():
    bars = bars_of(random_walk(10))
    part = bars.slice(bars.frame.index[2], bars.frame.index[5])
    assert list(part.frame.index) == list(bars.frame.index[2:5])
    assert len(bars.slice()) == 10


@pytest.mark.parametrize(("start", "end", "kept"), [(0, 9, 1), (3, 9, 1), (6, 9, 0), (0, 4, 0)])
def test_a_slice_keeps_the_gaps_inside_it(start, end, kept):
    full = random_walk(10)
    gap = (full.index[4], full.index[6])
    bars = Bars(Symbol("BTC", "USDT"), Timeframe(1, "h"), full.drop(full.index[4:6]), "test", (gap,))
    part = bars.slice(full.index[start], full.index[end])
    assert len(part.gaps) == kept


@pytest.mark.parametrize("given", [[], [1_704_067_200_000, 1_704_070_800_000], np.array([1_704_067_200_000.0])])
def test_an_index_of_bars_has_one_form_whatever_its_times_come_as(given):
    index = bar_index(given)
    assert (str(index.dtype), index.name) == ("datetime64[us, UTC]", "timestamp")
    assert (index.asi8 // 1_000).tolist() == [int(time) for time in given]
