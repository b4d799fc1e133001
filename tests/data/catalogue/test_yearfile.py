"""One file of the catalogue: it says what it is, and one changed byte anywhere is noticed."""

import json

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from atb.data import load_bars, save_bars
from atb.data.catalogue.sealing import sealed
from atb.data.catalogue.yearfile import ROWS, encode, read_header, read_year, read_years
from atb.domain import Bars, Symbol, Timeframe
from atb.errors import DataError
from tests.bars import bars_of, random_walk

BARS = bars_of(random_walk(200, 3), venue="binance")
CONTENT = encode(BARS, source="a.csv", seed=None)


def test_bars_come_back_bit_for_bit(tmp_path):
    path = tmp_path / "2024.parquet"
    path.write_bytes(CONTENT)
    header, frame = read_year(path)
    pd.testing.assert_frame_equal(frame, BARS.frame, check_exact=True, check_freq=False)
    assert header.fingerprint == BARS.fingerprint
    assert (header.symbol, header.timeframe, header.venue) == (BARS.symbol, BARS.timeframe, "binance")
    assert (header.rows, header.first, header.last) == (200, BARS.frame.index[0], BARS.frame.index[-1])
    assert (header.source, header.seed, header.gaps) == ("a.csv", None, ())
    assert read_header(path) == header


def test_gaps_and_seed_are_kept(tmp_path):
    full = random_walk(10)
    gap = (full.index[4], full.index[6])
    bars = Bars(Symbol("BTC", "USDT"), Timeframe(1, "h"), full.drop(full.index[4:6]), "synthetic", (gap,))
    path = tmp_path / "2024.parquet"
    path.write_bytes(encode(bars, source="x", seed=7))
    assert (read_header(path).gaps, read_header(path).seed) == ((gap,), 7)
    assert pq.read_metadata(path).metadata[b"atb.label"].decode() == "BTC/USDT 1h · SYNTHETIC data"


def test_equal_bars_give_equal_bytes():
    assert encode(BARS, source="a.csv", seed=None) == CONTENT


def test_any_reader_of_parquet_can_read_it(tmp_path):
    path = tmp_path / "2024.parquet"
    path.write_bytes(CONTENT)
    table = pd.read_parquet(path)
    assert list(table.columns) == ["timestamp", "open", "high", "low", "close", "volume"]
    assert str(table["timestamp"].dt.tz) == "UTC"
    for name in BARS.frame:
        assert table[name].astype(float).tolist() == BARS.frame[name].tolist()


@given(at=st.integers(0, len(CONTENT) - 1), flip=st.integers(1, 255))
def test_one_changed_byte_anywhere_is_an_error_that_names_the_file(tmp_path_factory, at, flip):
    path = tmp_path_factory.mktemp("bars") / "2024.parquet"
    path.write_bytes(CONTENT[:at] + bytes([CONTENT[at] ^ flip]) + CONTENT[at + 1 :])
    with pytest.raises(DataError, match=r"2024.parquet"):
        read_year(path)


@pytest.mark.parametrize(
    "content", [b"", b"PAR1", CONTENT[:-1], CONTENT[: len(CONTENT) // 2], CONTENT + b"\0", b"\0" * 999]
)
def test_a_torn_or_foreign_file_is_an_error_that_names_the_file(tmp_path, content):
    path = tmp_path / "2024.parquet"
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"2024.parquet"):
        read_year(path)


def test_a_parquet_file_of_somebody_else_is_refused(tmp_path):
    path = tmp_path / "2024.parquet"
    BARS.frame.reset_index().to_parquet(path)
    with pytest.raises(DataError, match="not written by the catalogue"):
        read_year(path)
    with pytest.raises(DataError, match="cannot be read"):
        read_header(path)


def test_a_file_that_is_gone_is_an_error(tmp_path):
    with pytest.raises(DataError, match="cannot be read"):
        read_year(tmp_path / "2024.parquet")


def minutes(n, *, seed=1):
    """Return bars of minutes in cents, with volumes of three digits."""
    frame = random_walk(n, seed)
    index = pd.date_range("2024-01-01", periods=n, freq="min", tz="UTC", name="timestamp")
    return Bars(Symbol("BTC", "USDT"), Timeframe(1, "m"), frame.set_axis(index.as_unit("us")), "binance")


def changed(bars, **columns):
    """Return bars with other columns."""
    return Bars(bars.symbol, bars.timeframe, bars.frame.assign(**columns), bars.venue, bars.gaps)


def round_trip(path, bars):
    path.write_bytes(encode(bars, source="x", seed=None))
    frame = read_year(path)[1]
    for name in frame:
        assert frame[name].to_numpy().view(np.int64).tolist() == bars.frame[name].to_numpy().view(np.int64).tolist()
    assert frame.index.equals(bars.frame.index)
    return read_header(path).coding


def test_values_of_every_kind_come_back_to_the_bit(tmp_path):
    bars, path = minutes(300), tmp_path / "2024.parquet"
    volume = bars.frame["volume"].to_numpy()
    assert round_trip(path, bars).volume == 3
    assert round_trip(path, changed(bars, volume=np.where(np.arange(300) % 7 == 0, -0.0, volume))).volume is None
    assert round_trip(path, changed(bars, volume=np.sqrt(volume))).volume is None
    assert round_trip(path, changed(bars, volume=volume * 1e17)).volume is None
    assert round_trip(path, changed(bars, volume=np.zeros(300))).volume == 0
    computed = bars.frame.mul(np.pi)
    assert round_trip(path, changed(bars, **computed)).price is None
    tiny = bars.frame[["open", "high", "low", "close"]].mul(1e-8).round(10)
    assert round_trip(path, changed(bars, **tiny)).price == 10


@given(prices=st.lists(st.floats(1e-12, 1e12), min_size=1, max_size=20), volumes=st.floats(0, 1e15))
def test_any_doubles_come_back_to_the_bit(tmp_path_factory, prices, volumes):
    bars = minutes(len(prices))
    columns = dict.fromkeys(["open", "high", "low", "close"], np.array(prices))
    round_trip(tmp_path_factory.mktemp("bars") / "2024.parquet", changed(bars, **columns, volume=volumes))


def test_odd_rows_among_prices_in_cents_cost_little_space_and_their_columns_are_not_called_prices(tmp_path):
    bars, path = minutes(ROWS + 500), tmp_path / "2024.parquet"
    plain = len(encode(bars, source="x", seed=None))
    odd = {name: bars.frame[name].to_numpy().copy() for name in ("open", "high", "low", "close")}
    for column in odd.values():
        column[::40] = np.round(column[::40] + 1 / 3e6, 8)
    assert round_trip(path, changed(bars, **odd)).relative
    assert path.stat().st_size < 1.25 * plain
    assert "close" not in pq.read_schema(path).names


def test_a_day_is_read_and_verified_without_the_rest_of_the_file(tmp_path):
    bars, path = minutes(5 * ROWS), tmp_path / "2024.parquet"
    path.write_bytes(encode(bars, source="x", seed=None))
    day = bars.frame.iloc[2 * ROWS + 100 : 2 * ROWS + 100 + 1_440]
    since, until = (int(bars.opened_ms[bars.frame.index.get_loc(day.index[at])]) for at in (0, -1))
    loaded = read_years([path], since, until)
    size = path.stat().st_size
    assert loaded.read < size / 4
    assert len(loaded.frame) == ROWS
    pd.testing.assert_frame_equal(loaded.frame.loc[day.index], day, check_exact=True, check_freq=False)
    content = bytearray(path.read_bytes())
    groups = read_header(path).groups
    for number, group in enumerate(groups):
        hurt = content.copy()
        hurt[(group.start + group.end) // 2] ^= 1
        path.write_bytes(hurt)
        if number != 2:
            assert len(read_years([path], since, until).frame) == ROWS
        with pytest.raises(DataError, match="has changed since it was written"):
            read_years([path], since if number == 2 else None, until if number == 2 else None)


@pytest.mark.parametrize("lead", [0, 10, ROWS, ROWS + 70, 2 * ROWS])
def test_a_lead_begins_in_the_group_that_it_needs(tmp_path, lead):
    bars = minutes(3 * ROWS)
    save_bars(bars, root=tmp_path, source="x")
    start = bars.frame.index[2 * ROWS + 50]
    found = load_bars("BTC/USDT", "1m", start, start + pd.Timedelta(1, "h"), root=tmp_path, lead=lead)
    first = 2 * ROWS + 50 - lead
    pd.testing.assert_frame_equal(
        found.frame, bars.frame.iloc[first : 2 * ROWS + 110], check_exact=True, check_freq=False
    )


def old_format(bars, *, gaps=()):
    """Return a year of bars as the catalogue wrote them before: doubles, one checksum over everything."""
    names = ["open", "high", "low", "close", "volume"]
    moments = pa.array(bars.opened_ms, pa.timestamp("ms", "UTC"))
    table = pa.table({"timestamp": moments} | {name: bars.frame[name].to_numpy() for name in names})
    pairs = {
        "format": "1", "symbol": str(bars.symbol), "timeframe": str(bars.timeframe), "venue": bars.venue,
        "label": bars.label, "source": "before", "seed": "null", "first": str(bars.opened_ms[0]),
        "last": str(bars.opened_ms[-1]), "gaps": json.dumps(gaps), "fingerprint": bars.fingerprint,
    }  # fmt: skip
    return sealed(table, {f"atb.{name}": value for name, value in pairs.items()})


def test_files_of_format_1_are_read_as_before_and_written_anew_when_bars_are_added(tmp_path):
    bars = bars_of(random_walk(300, 3), venue="binance")
    missing = [int(bars.opened_ms[100]), int(bars.opened_ms[102])]
    stored = bars_of(bars.frame.iloc[:250].drop(bars.frame.index[100:102]), venue="binance")
    folder = tmp_path / "binance" / "BTC-USDT" / "1h"
    folder.mkdir(parents=True)
    path = folder / "2024.parquet"
    path.write_bytes(old_format(stored, gaps=[missing]))
    found = load_bars("BTC/USDT", "1h", root=tmp_path)
    assert (found.fingerprint, len(found.gaps)) == (stored.fingerprint, 1)
    part = load_bars("BTC/USDT", "1h", bars.frame.index[200], bars.frame.index[220], root=tmp_path, lead=20)
    pd.testing.assert_frame_equal(part.frame, bars.frame.iloc[180:220], check_exact=True, check_freq=False)
    content = path.read_bytes()
    path.write_bytes(content[:500] + bytes([content[500] ^ 1]) + content[501:])
    with pytest.raises(DataError, match="has changed"):
        load_bars("BTC/USDT", "1h", root=tmp_path)
    path.write_bytes(content)
    save_bars(bars_of(bars.frame.iloc[250:], venue="binance"), root=tmp_path, source="now")
    assert read_header(path).groups
    assert load_bars("BTC/USDT", "1h", root=tmp_path).gaps == found.gaps
