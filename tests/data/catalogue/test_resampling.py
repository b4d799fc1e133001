"""Longer bars from shorter ones: whole ones only, equal to those of another source, missing where a part is missing."""

import numpy as np
import pandas as pd
import pytest

from atb.data import load_bars, save_bars
from atb.data.catalogue.reading import coverage, earliest_start
from atb.data.catalogue.resampling import resample
from atb.data.catalogue.series import find_series
from atb.domain import Bars, Symbol, Timeframe
from atb.errors import DataError, InputError
from tests.bars import random_walk

BITCOIN = Symbol.parse("BTC/USDT")


def hours(n, *, start="2024-01-01", timeframe="1h", freq="h", seed=3, venue="test"):
    index = pd.date_range(start, periods=n, freq=freq, tz="UTC", name="timestamp").as_unit("us")
    return Bars(BITCOIN, Timeframe.parse(timeframe), random_walk(n, seed).set_axis(index), venue)


def cut(bars, *, rows):
    """Return bars without some rows."""
    return Bars(bars.symbol, bars.timeframe, bars.frame.drop(bars.frame.index[list(rows)]), bars.venue)


@pytest.mark.parametrize(
    ("wanted", "rule"), [("2h", "2h"), ("4h", "4h"), ("12h", "12h"), ("1d", "D"), ("1w", "W-MON"), ("1M", "MS")]
)
def test_whole_bars_equal_those_that_pandas_makes(wanted, rule):
    bars = hours(24 * 100)
    made = resample(bars, Timeframe.parse(wanted))
    ways = {"open": "first", "high": "max", "low": "min", "close": "last", "volume": "sum"}
    by_pandas = bars.frame.resample(rule, closed="left", label="left").agg(ways).loc[made.frame.index]
    assert made.frame[["open", "high", "low", "close"]].equals(by_pandas[["open", "high", "low", "close"]])
    assert made.frame["volume"].to_numpy() == pytest.approx(by_pandas["volume"].to_numpy())
    assert len(made) >= 24 * 100 * 3_600 // made.timeframe.seconds - 2
    assert made.gaps == ()


def test_partial_bars_at_the_ends_are_left_out_and_one_inside_is_a_gap():
    bars = cut(hours(24, start="2024-01-01 02:00"), rows=[7])  # 02:00 to 01:00 of the next day, without 09:00
    made = resample(bars, Timeframe.parse("4h"))
    assert made.frame.index.hour.tolist() == [4, 12, 16, 20]
    assert [(gap[0].hour, gap[1].hour) for gap in made.gaps] == [(8, 12)]


def test_a_timeframe_that_is_no_multiple_is_refused():
    for stored, wanted in (("4h", "6h"), ("1h", "1h"), ("4h", "1h"), ("1w", "1M")):
        with pytest.raises(InputError, match=f"Bars of {stored} cannot be resampled to {wanted}"):
            resample(hours(10, timeframe=stored, freq=stored.replace("w", "W-MON")), Timeframe.parse(wanted))


def test_what_is_not_stored_is_made_of_the_longest_shorter_bars_of_the_same_venue(tmp_path):
    bars = hours(24 * 30)
    save_bars(bars, root=tmp_path, source="x")
    save_bars(hours(500, timeframe="5m", freq="5min"), root=tmp_path, source="x")
    found = load_bars("BTC/USDT", "4h", root=tmp_path)
    assert found.fingerprint == resample(bars, Timeframe.parse("4h")).fingerprint
    assert load_bars("BTC/USDT", "15m", root=tmp_path).timeframe == Timeframe.parse("15m")
    part = load_bars("BTC/USDT", "4h", "2024-01-10", "2024-01-11", root=tmp_path, lead=3)
    assert part.frame.index[0] == pd.Timestamp("2024-01-09 12:00", tz="UTC")
    assert len(part) == 9
    series = find_series(BITCOIN, Timeframe.parse("4h"), root=tmp_path)
    assert str(series) == "BTC/USDT 4h (test, from 1h)"
    assert coverage(series) == (found.frame.index[0], found.frame.index[-1])
    assert earliest_start(series, found.frame.index[0], lead=5) == found.frame.index[5]
    with pytest.raises(DataError, match="not covered by BTC/USDT 4h"):
        load_bars("BTC/USDT", "4h", "2023-12-01", root=tmp_path)


def test_stored_bars_come_before_resampled_ones_and_longer_bars_make_no_shorter_ones(tmp_path):
    save_bars(hours(24 * 10), root=tmp_path, source="x")
    stored = hours(60, timeframe="4h", freq="4h", seed=9)
    save_bars(stored, root=tmp_path, source="x")
    assert load_bars("BTC/USDT", "4h", root=tmp_path).fingerprint == stored.fingerprint
    with pytest.raises(DataError, match="No bars of BTC/USDT 30m"):
        load_bars("BTC/USDT", "30m", root=tmp_path)
    with pytest.raises(DataError, match=r"No whole bar of 1M can be made"):
        load_bars("BTC/USDT", "1M", root=tmp_path)


def test_real_bars_are_resampled_where_only_synthetic_ones_are_stored(tmp_path):
    made_up = hours(10, timeframe="1d", freq="D", venue="synthetic")
    for bars in (made_up, hours(240, venue="binance")):
        save_bars(bars, root=tmp_path, source="a test")
    assert load_bars("BTC/USDT", "1d", root=tmp_path).venue == "binance"
    assert load_bars("BTC/USDT", "1d", root=tmp_path, venue="synthetic").fingerprint == made_up.fingerprint


def test_two_venues_are_not_mixed(tmp_path):
    save_bars(hours(48), root=tmp_path, source="x")
    save_bars(hours(48, seed=8, venue="other"), root=tmp_path, source="x")
    with pytest.raises(DataError, match="Several venues have BTC/USDT 4h"):
        load_bars("BTC/USDT", "4h", root=tmp_path)
    assert load_bars("BTC/USDT", "4h", root=tmp_path, venue="other").venue == "other"


def test_real_hours_make_the_bars_of_another_source_where_they_are_whole(real_data):
    hourly, longer = (
        pd.read_parquet(real_data / f"binance_BTCUSDT_{name}.parquet").set_index("timestamp") for name in ("1h", "4h")
    )
    made = resample(Bars(BITCOIN, Timeframe.parse("1h"), hourly, "binance"), Timeframe.parse("4h"))
    both = made.frame.index.intersection(longer.index)
    assert len(both) > 15_000
    prices = ["open", "high", "low", "close"]
    assert np.array_equal(made.frame.loc[both, prices].to_numpy(), longer.loc[both, prices].to_numpy())
