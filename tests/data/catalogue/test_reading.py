"""load_bars: exactly what was asked for, or an error that says what is missing and how to get it."""

from dataclasses import replace
from datetime import UTC, date, datetime

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from atb.data import load_bars
from atb.data.catalogue import yearfile
from atb.data.catalogue.yearfile import encode
from atb.errors import DataError, InputError
from tests.data.markets import days, part, store, without

BARS = days()


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """A catalogue with 800 days of one series, 2021-06-01 to 2023-08-09."""
    return store(tmp_path_factory.mktemp("bars"), BARS)


def test_the_whole_series_comes_back_bit_for_bit(root):
    loaded = load_bars("BTC/USDT", "1d", root=root)
    pd.testing.assert_frame_equal(loaded.frame, BARS.frame, check_exact=True, check_freq=False)
    assert loaded.fingerprint == BARS.fingerprint
    assert (loaded.venue, loaded.gaps) == ("test", ())


def test_files_lie_by_venue_symbol_timeframe_and_year(root):
    assert sorted(str(path.relative_to(root)) for path in root.rglob("*.parquet")) == [
        f"test/BTC-USDT/1d/{year}.parquet" for year in (2021, 2022, 2023)
    ]


@pytest.mark.parametrize("spelling", ["BTCUSDT", "btc-usdt", "BTC_USDT", "BTCUSDT.BINANCE"])
def test_any_spelling_of_the_symbol_will_do(root, spelling):
    assert load_bars(spelling, "1D", "2022-01-01", "2022-02-01", root=root).symbol == BARS.symbol


@pytest.mark.parametrize(
    "start",
    ["2022-01-01", "2022-01-01T00:00", "2022-01-01T01:00+01:00", "20220101", date(2022, 1, 1), datetime(2022, 1, 1),  # noqa: DTZ001
     datetime(2022, 1, 1, tzinfo=UTC), pd.Timestamp("2022-01-01", tz="UTC"), pd.Timestamp("2022-01-01")],
)  # fmt: skip
def test_a_moment_without_a_zone_is_utc_and_a_date_is_its_midnight(root, start):
    loaded = load_bars("BTC/USDT", "1d", start, "2022-01-03", root=root)
    assert [f"{opened:%Y-%m-%d}" for opened in loaded.frame.index] == ["2022-01-01", "2022-01-02"]


@given(data=st.data())
def test_any_range_and_lead_give_the_same_rows_as_the_frame_itself(root, data):
    first = data.draw(st.integers(0, 798))
    last = data.draw(st.integers(first + 1, 799))
    lead = data.draw(st.integers(0, first))
    index = BARS.frame.index
    loaded = load_bars("BTC/USDT", "1d", index[first], index[last], root=root, lead=lead)
    pd.testing.assert_frame_equal(
        loaded.frame, BARS.frame.iloc[first - lead : last], check_exact=True, check_freq=False
    )


@pytest.mark.parametrize("word", ["now", "yesterday", "", "2024-13-01", "2024-01-01 25:00", 7.5 + 1j])
def test_refuses_what_is_no_moment(root, word):
    with pytest.raises(InputError, match="Not a moment"):
        load_bars("BTC/USDT", "1d", word, root=root)


def test_refuses_a_range_that_ends_before_it_starts(root):
    with pytest.raises(InputError, match="start must be before end"):
        load_bars("BTC/USDT", "1d", "2022-02-01", "2022-02-01", root=root)


@pytest.mark.parametrize(
    ("start", "end"),
    [("2021-05-31", None), (None, "2023-08-11"), ("2020-01-01", "2020-02-01"), ("2024-01-01", "2024-02-01")],
)
def test_a_range_that_is_not_covered_says_what_is(root, start, end):
    with pytest.raises(
        DataError, match=r"stored from 2021-06-01 00:00 up to 2023-08-10 00:00.*atb data import FILE --symbol BTC/USDT"
    ):
        load_bars("BTC/USDT", "1d", start, end, root=root)


def test_a_start_inside_the_step_before_the_first_bar_misses_nothing(root):
    assert len(load_bars("BTC/USDT", "1d", "2021-05-31T00:01", "2023-08-10", root=root)) == 800


def test_a_lead_that_is_not_there_says_the_earliest_start(root):
    with pytest.raises(
        DataError, match=r"5 bars .* before 2021-06-03 00:00 .* earliest start is 2021-06-06 00:00; found '2 bars'"
    ):
        load_bars("BTC/USDT", "1d", "2021-06-03", root=root, lead=5)
    with pytest.raises(InputError, match="lead"):
        load_bars("BTC/USDT", "1d", "2021-06-03", root=root, lead=-1)


def test_an_empty_catalogue_says_how_to_get_bars(tmp_path):
    with pytest.raises(DataError, match=r"atb data sample.*atb data download ETH/USDT --timeframe 4h"):
        load_bars("ETHUSDT", "4h", root=tmp_path / "none")


def test_an_unknown_series_lists_what_there_is(root):
    with pytest.raises(DataError, match=r"found 'BTC/USDT 1d test'.*Did you mean 'BTC/USDT 1d test'"):
        load_bars("BTC/USDC", "1d", root=root)
    with pytest.raises(DataError, match="from binance are stored"):
        load_bars("BTC/USDT", "1d", root=root, venue="binance")
    with pytest.raises(InputError, match="venue's name"):
        load_bars("BTC/USDT", "1d", root=root, venue="../test")


def test_of_many_stored_series_a_few_are_named_those_of_the_symbol_first(tmp_path):
    for number in range(30):
        store(tmp_path, days(2, symbol=f"S{number:02}/USDT"))
    with pytest.raises(DataError, match="found 'S29/USDT 1d test and 29 more'"):
        load_bars("S29/USDT", "1h", root=tmp_path)
    with pytest.raises(DataError, match=r"S11/USDT 1d test and 18 more'.*`atb data list` shows all") as raised:
        load_bars("ZZZZZZ/EUR", "1h", root=tmp_path)
    assert len(str(raised.value)) < 700


def test_a_real_venue_is_taken_before_the_synthetic_one(tmp_path):
    synthetic = days(10, venue="synthetic")
    store(tmp_path, synthetic)
    assert load_bars("BTC/USDT", "1d", root=tmp_path).synthetic
    store(tmp_path, days(10, venue="binance"))
    assert load_bars("BTC/USDT", "1d", root=tmp_path).venue == "binance"
    assert load_bars("BTC/USDT", "1d", root=tmp_path, venue="synthetic").fingerprint == synthetic.fingerprint


def test_of_several_real_venues_one_must_be_named(tmp_path):
    store(tmp_path, days(10, venue="binance"), days(10, venue="kraken"))
    with pytest.raises(DataError, match="Several venues have BTC/USDT 1d; found 'binance, kraken'"):
        load_bars("BTC/USDT", "1d", root=tmp_path)


def test_known_gaps_come_back_and_are_not_filled(tmp_path):
    holed = without(BARS, "2021-12-30", "2022-01-02", known=True)
    store(tmp_path, holed)
    loaded = load_bars("BTC/USDT", "1d", root=tmp_path)
    assert (len(loaded), loaded.gaps) == (797, holed.gaps)
    assert load_bars("BTC/USDT", "1d", "2022-01-02", root=tmp_path).gaps == ()
    with pytest.raises(DataError, match=r"No bar of BTC/USDT 1d .test. opens in this range"):
        load_bars("BTC/USDT", "1d", "2021-12-30", "2022-01-01", root=tmp_path)


@pytest.mark.parametrize("dropped", [[5], [7], [8], [7, 8], [4, 5, 6, 7], [8, 9, 17], [*range(3, 30)]])
def test_holes_within_groups_of_rows_and_between_them_are_found(tmp_path, monkeypatch, dropped):
    monkeypatch.setattr(yearfile, "ROWS", 4)
    whole = days(40)
    holed = replace(whole, frame=whole.frame.drop(whole.frame.index[dropped]))
    assert load_bars("BTC/USDT", "1d", root=store(tmp_path / "whole", whole)).gaps == ()
    store(tmp_path, holed, accept_gaps=True)
    loaded = load_bars("BTC/USDT", "1d", root=tmp_path)
    pd.testing.assert_frame_equal(loaded.frame, holed.frame, check_exact=True, check_freq=False)
    missing = [opened for begun, ended in loaded.gaps for opened in pd.date_range(begun, ended, inclusive="left")]
    assert missing == whole.frame.index[dropped].tolist()
    (tmp_path / "test/BTC-USDT/1d/2021.parquet").write_bytes(encode(holed, source="no gap accepted", seed=None))
    with pytest.raises(DataError, match="never accepted as missing"):
        load_bars("BTC/USDT", "1d", root=tmp_path)


def test_a_deleted_year_is_a_gap_that_was_not_accepted(tmp_path):
    store(tmp_path, BARS)
    (tmp_path / "test/BTC-USDT/1d/2022.parquet").unlink()
    with pytest.raises(DataError, match=r"never accepted.*366 days between 2021-12-31 00:00 and 2023-01-01 00:00"):
        load_bars("BTC/USDT", "1d", root=tmp_path)
    assert len(load_bars("BTC/USDT", "1d", "2023-01-01", root=tmp_path)) == 221


def test_a_changed_byte_in_a_year_that_is_read_is_an_error_that_names_the_file(tmp_path):
    store(tmp_path, BARS)
    path = tmp_path / "test/BTC-USDT/1d/2022.parquet"
    content = bytearray(path.read_bytes())
    content[len(content) // 3] ^= 1
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"changed since.*2022\.parquet"):
        load_bars("BTC/USDT", "1d", root=tmp_path)
    assert len(load_bars("BTC/USDT", "1d", end="2022-01-01", root=tmp_path)) == 214


def test_a_file_in_the_folder_of_another_series_is_refused(tmp_path):
    store(tmp_path, BARS)
    other = encode(part(days(symbol="ETH/USDT"), "2022-01-01", "2023-01-01"), source="x", seed=None)
    (tmp_path / "test/BTC-USDT/1d/2022.parquet").write_bytes(other)
    with pytest.raises(DataError, match=r"wrong folder.*2022.parquet; found 'test ETH/USDT 1d'"):
        load_bars("BTC/USDT", "1d", root=tmp_path)


def test_a_month_and_a_minute_do_not_share_a_folder(tmp_path):
    index = pd.date_range("2022-01-01", periods=14, freq="MS", tz="UTC", name="timestamp")
    months = days(14)
    months = type(months)(months.symbol, type(months.timeframe)(1, "M"), months.frame.set_axis(index), "test")
    store(tmp_path, months)
    assert (tmp_path / "test/BTC-USDT/1mo/2022.parquet").is_file()
    assert load_bars("BTC/USDT", "1M", "2022-02-01", "2023-02-01", root=tmp_path).frame.index[-1].month == 1
    with pytest.raises(DataError, match="No bars of BTC/USDT 1m"):
        load_bars("BTC/USDT", "1m", root=tmp_path)
