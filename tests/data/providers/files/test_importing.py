"""Files of any source: imported where they are clear, refused with one clear error where they are not."""

import gzip
import time

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from atb.data import ImportRules, import_file, load_bars
from atb.errors import AtbError, DataError, InputError
from tests.bars import random_walk
from tests.seeds import examples

FRAME = random_walk(48, 5)
UTC_ASKED = ImportRules(assume_utc=True)


def csv(folder, frame=FRAME, *, name="prices.csv", times="iso", columns=None, **options):
    """Write a frame as CSV in a chosen dialect and return its path."""
    stamps = {
        "iso": lambda index: index.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "naive": lambda index: index.strftime("%Y-%m-%d %H:%M:%S"),
        "berlin": lambda index: index.strftime("%Y-%m-%dT%H:%M:%S+00:00").str.replace("T", " "),
        "s": lambda index: index.as_unit("s").asi8,
        "ms": lambda index: index.as_unit("ms").asi8,
        "us": lambda index: index.as_unit("us").asi8,
        "ns": lambda index: index.as_unit("ns").asi8,
        "float": lambda index: index.as_unit("s").asi8.astype(float),
    }[times](frame.index)
    table = frame.reset_index(drop=True)
    table.insert(0, "timestamp", stamps)
    if columns:
        table = table.set_axis(columns, axis=1)
    path = folder / name
    table.to_csv(path, index=False, **options)
    return path


def parquet(folder, frame=FRAME, name="binance_BTCUSDT_1h.parquet"):
    """Write a frame as Parquet and return its path."""
    frame.reset_index().to_parquet(folder / name)
    return folder / name


def refusal(path, root, **options):
    """Return the message of the refusal; nothing may have been stored."""
    with pytest.raises(AtbError) as caught:
        import_file(path, root=root, **({"symbol": "BTC/USDT"} | options))
    assert not list(root.rglob("*.parquet"))
    assert caught.value.exit_code == 2
    return str(caught.value)


def changed(row, column, value):
    """Return the frame with one value changed."""
    frame = FRAME.copy()
    frame.iloc[row, frame.columns.get_loc(column)] = value
    return frame


def twice_at(row):
    """Return the frame with a row that stands there a second time with another volume."""
    again = FRAME.iloc[[row]].assign(volume=1.0)
    return pd.concat([FRAME.iloc[: row + 1], again, FRAME.iloc[row + 1 :]])


@pytest.fixture
def root(tmp_path):
    return tmp_path / "bars"


@pytest.mark.parametrize("times", ["iso", "s", "ms", "us", "ns", "float", "berlin"])
def test_reads_every_unambiguous_way_to_write_a_time(tmp_path, root, times):
    report = import_file(csv(tmp_path, times=times), root=root, symbol="BTCUSDT")
    assert report.bars.frame.index.equals(FRAME.index)
    assert report.saved.added == 48
    assert str(report.bars.timeframe) == "1h"
    assert any("epoch in" in note or "UTC" in note for note in report.notes)


def test_what_was_imported_is_what_is_loaded(tmp_path, root):
    report = import_file(csv(tmp_path), root=root, symbol="BTC/USDT", venue="kraken")
    loaded = load_bars("BTC/USDT", "1h", root=root, venue="kraken")
    pd.testing.assert_frame_equal(loaded.frame, FRAME, check_exact=True, check_freq=False)
    assert loaded.fingerprint == report.bars.fingerprint


@pytest.mark.parametrize(
    ("columns", "options"),
    [
        (["Date", "Open", "High", "Low", "Close", "Volume"], {}),
        (["UNIX", "OPEN", "HIGH", "LOW", "CLOSE", "VOL"], {}),
        (["open_time", "o", "h", "l", "c", "v"], {}),
        (["Open Time", "Open Price", "High Price", "Low Price", "Close Price", "Volume BTC"], {}),
        (["Timestamp", "Open", "High", "Low", "Close", "Volume_(BTC)"], {"sep": ";"}),
        (["time", "open", "high", "low", "close", "volume"], {"sep": "\t"}),
    ],
)
def test_guesses_the_columns_of_the_usual_sources(tmp_path, root, columns, options):
    report = import_file(csv(tmp_path, columns=columns, **options), root=root, symbol="BTC/USDT")
    assert list(report.columns.values()) == columns
    assert report.bars.frame["volume"].equals(FRAME["volume"].rename_axis("timestamp"))


def test_takes_base_volume_and_an_epoch_where_there_is_a_choice(tmp_path, root):
    frame = FRAME.reset_index()
    frame.insert(0, "unix", frame["timestamp"].astype("datetime64[s, UTC]").astype("int64"))
    frame = frame.rename(columns={"timestamp": "date", "volume": "Volume ETH"})
    frame.insert(6, "Volume USDT", 1.0)
    frame["date"] = frame["date"].dt.strftime("%Y-%m-%d %H:%M:%S")
    path = tmp_path / "x.csv"
    path.write_text("https://www.example.org\n" + frame.to_csv(index=False))
    report = import_file(path, root=root, symbol="ETH/USDT")
    assert (report.columns["timestamp"], report.columns["volume"]) == ("unix", "Volume ETH")
    assert any("first line skipped" in note for note in report.notes)


def test_reads_the_headerless_dumps_of_binance(tmp_path, root):
    table = FRAME.reset_index(drop=True)
    table.insert(0, "t", FRAME.index.as_unit("us").asi8)
    for name in ("close_time", "quote", "trades", "taker", "taker_quote", "ignore"):
        table[name] = 0
    table.to_csv(tmp_path / "BTCUSDT-1h-2024-01.csv", header=False, index=False)
    report = import_file(tmp_path / "BTCUSDT-1h-2024-01.csv", root=root, symbol="BTC/USDT")
    assert (len(report.bars), report.columns["timestamp"]) == (48, "open_time")
    assert any("no header line" in note for note in report.notes)


def test_reads_a_compressed_csv(tmp_path, root):
    plain = csv(tmp_path)
    (tmp_path / "prices.csv.gz").write_bytes(gzip.compress(plain.read_bytes()))
    assert import_file(tmp_path / "prices.csv.gz", root=root, symbol="BTC/USDT").saved.added == 48


def test_a_telling_file_name_says_venue_symbol_and_timeframe(tmp_path, root):
    report = import_file(parquet(tmp_path, name="kraken_ETHUSDT_1h_2024.parquet"), root=root)
    assert report.bars.label == "ETH/USDT 1h · kraken"
    assert "Pass --symbol" in refusal(csv(tmp_path), tmp_path / "other", symbol=None)


def test_parquet_with_a_datetime_index_is_read(tmp_path, root):
    FRAME.to_parquet(tmp_path / "binance_BTCUSDT_1h.parquet")
    assert import_file(tmp_path / "binance_BTCUSDT_1h.parquet", root=root).saved.added == 48


def test_importing_again_changes_nothing_and_says_so(tmp_path, root):
    path = csv(tmp_path)
    assert not import_file(path, root=root, symbol="BTC/USDT").unchanged
    before = {file: file.stat().st_mtime_ns for file in root.rglob("*.parquet")}
    assert import_file(path, root=root, symbol="BTC/USDT").unchanged
    assert {file: file.stat().st_mtime_ns for file in root.rglob("*.parquet")} == before


def test_an_overlapping_file_is_merged_and_a_conflicting_one_refused(tmp_path, root):
    import_file(csv(tmp_path, FRAME.iloc[:30]), root=root, symbol="BTC/USDT")
    report = import_file(csv(tmp_path, FRAME.iloc[20:]), root=root, symbol="BTC/USDT")
    assert (report.saved.added, report.saved.unchanged) == (18, 10)
    conflict = csv(tmp_path, changed(25, "volume", 1.0))
    with pytest.raises(DataError, match=r"1 of the new bars differ .* 2024-01-02 01:00: volume"):
        import_file(conflict, root=root, symbol="BTC/USDT")
    replaced = import_file(conflict, root=root, symbol="BTC/USDT", rules=ImportRules(replace=True))
    assert replaced.saved.replaced == 1


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        (twice_at(2), "1 timestamp appears more than once, the first at rows 3 and 4; found '2024-01-01 02:00'"),
        (FRAME.iloc[[0, 1, 2, 4, 3, 5]], "Rows are not in time order: row 5 opens before row 4"),
        (changed(7, "close", np.nan), "close is no number in row 8, 2024-01-01 07:00; found 'close nan'"),
        (changed(7, "volume", np.inf), "volume is no number in row 8"),
        (changed(7, "high", 1.0), "high is below low in row 8"),
        (changed(7, "low", 0.0), "low must be above 0 in row 8"),
        (changed(7, "open", -3.0), "open must be above 0 in row 8"),
        (changed(7, "open", 1e6), "open lies outside low..high in row 8"),
        (changed(7, "close", 1e-6), "close lies outside low..high in row 8"),
        (changed(7, "volume", -1.0), "volume must not be negative in row 8"),
        (FRAME.iloc[[0, 1, 2, 5, 6]], "1 gap: 3 h between 2024-01-01 02:00 and 2024-01-01 05:00 (2 bars missing). Accept"),
        (FRAME.set_axis(FRAME.index + pd.Timedelta(7, "min")), "48 bars are not on the grid of 1h, first in row 1"),
        (FRAME.drop(columns="volume"), "No column for volume; guessed so far: timestamp from 'timestamp'"),
        (FRAME.drop(columns=["open", "high"]), "No column for open, high"),
        (FRAME.iloc[:0], "has columns but no rows"),
    ],
)  # fmt: skip
def test_each_bad_thing_has_one_clear_error_and_stores_nothing(tmp_path, root, frame, message):
    assert message in refusal(parquet(tmp_path, frame), root)
    assert message in refusal(csv(tmp_path, frame), root)


def test_more_than_one_bad_row_is_counted(tmp_path, root):
    frame = changed(7, "close", np.nan)
    frame.iloc[9, 3] = np.nan
    assert "close is no number in row 8, 2024-01-01 07:00 (and in 1 other row)" in refusal(csv(tmp_path, frame), root)


def test_bars_of_two_durations_in_one_file_are_refused(tmp_path, root):
    minutes = random_walk(30, 2).set_axis(
        pd.date_range("2024-01-03", periods=30, freq="1min", tz="UTC", name="timestamp")
    )
    assert "not on the grid of 1h" in refusal(csv(tmp_path, pd.concat([FRAME, minutes])), root, timeframe="1h")


def test_a_wrong_timeframe_is_refused(tmp_path, root):
    assert "These are not 4h bars: the most common step between rows is 1h" in refusal(
        csv(tmp_path), root, timeframe="4h"
    )
    assert "Not a timeframe" in refusal(csv(tmp_path), root, timeframe="7h")


def test_times_without_a_zone_are_refused_unless_they_are_said_to_be_utc(tmp_path, root):
    assert "no time zone; found '2024-01-01 00:00:00'. If they are UTC, pass `--utc` on the command line" in refusal(
        csv(tmp_path, times="naive"), root
    )
    naive = FRAME.set_axis(FRAME.index.tz_localize(None))
    assert "no time zone" in refusal(parquet(tmp_path, naive), root)
    report = import_file(csv(tmp_path, times="naive"), root=root, symbol="BTC/USDT", rules=UTC_ASKED)
    assert report.bars.frame.index.equals(FRAME.index)
    assert "times without a zone, taken as UTC as asked" in report.notes


def test_times_of_another_zone_are_converted_and_the_report_says_so(tmp_path, root):
    report = import_file(parquet(tmp_path, FRAME.set_axis(FRAME.index.tz_convert("Europe/Berlin"))), root=root)
    assert report.bars.frame.index.equals(FRAME.index)
    assert "times converted from Europe/Berlin to UTC" in report.notes
    shifted = FRAME.index.tz_convert("Etc/GMT-2").strftime("%Y-%m-%d %H:%M:%S+02:00")
    path = tmp_path / "x.csv"
    FRAME.reset_index(drop=True).assign(timestamp=shifted).to_csv(path, index=False)
    report = import_file(path, root=tmp_path / "second", symbol="BTC/USDT")
    assert report.bars.frame.index.equals(FRAME.index)
    assert any("UTC+02:00 to UTC" in note for note in report.notes)


def lines(*times):
    return "timestamp,open,high,low,close,volume\n" + "".join(f"{moment},1,1,1,1,1\n" for moment in times)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "The file is empty"),
        ("timestamp,open,high,low,close,volume\n", "has columns but no rows"),
        (lines("2024-01-01 00:00Z", "2024-01-01 01:00"), "different time zones are mixed"),
        (
            lines("01/02/2024 00:00", "01/02/2024 01:00"),
            "cannot be read (day and month cannot be told apart); found '01/02/2024 00:00 in row 1 (line 2)'",
        ),
        (lines("2024-01-01T00:00Z", "soon"), "found 'soon in row 2 (line 3)'"),
        (lines("2024-01-01T00:00Z", ""), "timestamp is missing in row 2"),
        (lines("1", "2"), "numbers, but no epoch"),
        (lines("1704067200.5", "1704070800.5"), "not on the grid"),
        (lines("2024-01-01T00:00Z"), "One bar does not tell its timeframe"),
        (lines("2024-01-01T00:00Z", "2024-01-01T07:00Z"), "No timeframe has the most common step"),
        (
            lines("2024-01-01T00:00Z", "2024-01-01T01:00Z").replace("1,1\n", "dear,1\n", 1),
            "column 'close' (close) holds text, not numbers, in row 1 (line 2)",
        ),
        (lines("2024-01-01T00:00Z").replace("volume", "close"), "Two columns have the same name"),
        ("a,b\n1\n1,2,3\n", "cannot be read"),
        ("\x00\x01\x02", "cannot be read"),
    ],
)
def test_damaged_text_has_one_clear_error(tmp_path, root, text, message):
    path = tmp_path / "x.csv"
    path.write_text(text)
    assert message.lower() in refusal(path, root).lower()


@pytest.mark.parametrize("content", [b"", b"PAR1 but no", b"\xff\xfe" * 50])
def test_a_file_that_is_no_parquet_is_refused(tmp_path, root, content):
    (tmp_path / "binance_BTCUSDT_1h.parquet").write_bytes(content)
    message = refusal(tmp_path / "binance_BTCUSDT_1h.parquet", root)
    assert "binance_BTCUSDT_1h.parquet" in message
    assert message.isascii()


def test_prices_in_parquet_may_be_plain_numbers_as_text_or_exact_decimals(tmp_path, root):
    from decimal import Decimal

    text = FRAME.assign(close=FRAME["close"].astype(str))
    assert import_file(parquet(tmp_path, text), root=root).bars.frame["close"].tolist() == FRAME["close"].tolist()
    exact = FRAME.assign(close=[Decimal(str(value)) for value in FRAME["close"]])
    assert import_file(parquet(tmp_path, exact), root=root).bars.frame["close"].tolist() == FRAME["close"].tolist()


def test_a_missing_file_is_refused_before_anything_else(tmp_path, root):
    with pytest.raises(InputError, match=r"No such file; found '.*none\.csv'"):
        import_file(tmp_path / "none.csv", root=root)


@pytest.mark.parametrize(("late_ms", "kept"), [(0, 48), (-1, 47), (-2 * 3_600_000, 46)])
def test_bars_that_have_not_closed_are_dropped_and_the_report_says_so(tmp_path, root, late_ms, kept):
    closed = int(FRAME.index[-1].timestamp() * 1_000) + 3_600_000
    report = import_file(csv(tmp_path), root=root, symbol="BTC/USDT", rules=ImportRules(now_ms=closed + late_ms))
    assert len(report.bars) == kept
    assert any("unclosed" in note for note in report.notes) == (kept < 48)
    with pytest.raises(DataError, match="No bar of the file has closed yet"):
        import_file(csv(tmp_path), root=tmp_path / "b", symbol="BTC/USDT", rules=ImportRules(now_ms=1))


def test_gaps_are_kept_when_accepted(tmp_path, root):
    report = import_file(csv(tmp_path, FRAME.drop(FRAME.index[10:12])), root=root, symbol="BTC/USDT", gaps="keep")
    assert [(f"{start:%H}", f"{end:%H}") for start, end in report.bars.gaps] == [("10", "12")]
    assert load_bars("BTC/USDT", "1h", root=root).gaps == report.bars.gaps
    assert report.to_json()["gaps"][0]["missing"] == 2


@examples(60)
@given(text=st.text(max_size=300))
def test_no_text_file_causes_anything_but_a_clear_refusal(tmp_path_factory, text):
    folder = tmp_path_factory.mktemp("text")
    (folder / "x.csv").write_text("timestamp,open,high,low,close,volume\n" + text, errors="replace")
    refusal(folder / "x.csv", folder / "bars")


def test_a_million_rows_take_seconds(tmp_path, root):
    n = 1_000_000
    index = pd.date_range("2020-01-01", periods=n, freq="1min", tz="UTC", name="timestamp")
    path = parquet(tmp_path, random_walk(n, 1, sigma=1e-5).set_axis(index), name="binance_BTCUSDT_1m.parquet")
    started = time.process_time()
    assert import_file(path, root=root).saved.added == n
    assert time.process_time() - started < 6


def test_two_columns_that_mean_the_same_are_refused(tmp_path):
    from atb.data.providers.files.columns import guess_columns

    with pytest.raises(DataError, match=r"mean the same.*close.*Close"):
        guess_columns(["timestamp", "open", "high", "low", "close", "Close", "volume"])
