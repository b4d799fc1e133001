"""Real candles: known holes, known prices, and sources that agree with each other."""

import pandas as pd
import pytest

from atb.data import import_file, load_bars, verify
from atb.errors import DataError

AGGREGATE = {"open": "first", "high": "max", "low": "min", "close": "last"}


@pytest.fixture(scope="module")
def root(real_data, tmp_path_factory):
    """A catalogue with Binance's BTC/USDT in three durations."""
    folder = tmp_path_factory.mktemp("bars")
    for timeframe in ("1h", "4h", "1d"):
        import_file(real_data / f"binance_BTCUSDT_{timeframe}.parquet", root=folder, gaps="keep")
    return folder


def test_a_series_with_holes_is_refused_by_naming_them(real_data, tmp_path):
    with pytest.raises(DataError) as caught:
        import_file(real_data / "binance_BTCUSDT_1h.parquet", root=tmp_path)
    assert "28 gaps, the longest 34 h between 2018-02-08 00:00 and 2018-02-09 10:00 (33 bars missing)" in str(
        caught.value
    )
    assert "--accept-gaps" in str(caught.value)
    assert not list(tmp_path.rglob("*.parquet"))


def test_accepted_holes_are_recorded_and_nothing_is_filled(root):
    bars = load_bars("BTCUSDT", "1h", root=root)
    assert (len(bars), len(bars.gaps)) == (64_524, 28)
    hours = sum((end - start).total_seconds() / 3_600 for start, end in bars.gaps)
    assert (hours, len(bars) + hours) == (
        128,
        (pd.Timestamp("2025-01-01") - pd.Timestamp("2017-08-17 04:00")).total_seconds() / 3_600,
    )
    assert not [verdict.problems for verdict in verify(root) if verdict.problems]


@pytest.mark.parametrize(
    ("day", "column", "price"),
    [
        ("2017-12-17", "high", 19_798.68),
        ("2020-03-13", "low", 3_782.13),
        ("2021-11-10", "high", 69_000.0),
        ("2024-03-14", "high", 73_777.0),
    ],
)
def test_landmarks_of_the_market_are_where_they_were(root, day, column, price):
    start = pd.Timestamp(day, tz="UTC")
    hours = load_bars("BTC/USDT", "1h", start, start + pd.Timedelta(1, "D"), root=root).frame
    assert (hours["high"].max() if column == "high" else hours["low"].min()) == pytest.approx(price, abs=0.03)


@pytest.mark.parametrize(("timeframe", "rule", "hours"), [("4h", "4h", 4), ("1d", "D", 24)])
def test_hours_aggregate_exactly_to_longer_bars_of_another_source(root, timeframe, rule, hours):
    longer = load_bars("BTC/USDT", timeframe, root=root).frame
    groups = load_bars("BTC/USDT", "1h", root=root).frame.resample(rule)
    # Where an hour is missing the exchange's longer bar may still have seen its trades.
    built = groups.agg(AGGREGATE)[groups.size() == hours]
    common = built.index.intersection(longer.index)
    assert len(common) > 0.98 * len(longer)
    pd.testing.assert_frame_equal(
        built.loc[common], longer.loc[common, list(AGGREGATE)], check_exact=True, check_freq=False
    )


def test_another_source_of_the_same_hours_adds_nothing(real_data, root):
    report = import_file(real_data / "binance_BTCUSDT_1h_2023-2024_MIT.parquet", root=root, gaps="keep")
    assert report.unchanged
    assert report.saved.unchanged == 17_543


def test_a_million_real_minutes_keep_their_eighteen_thousand_holes(real_data, tmp_path):
    report = import_file(real_data / "bitfinex_BTCUSD_1m_2017-2018.parquet", root=tmp_path, gaps="keep")
    assert len(report.bars.gaps) == 18_195
    assert load_bars("BTC/USD", "1m", root=tmp_path).fingerprint == report.bars.fingerprint
