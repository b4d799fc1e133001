"""One file of the catalogue: it says what it is, and one changed byte anywhere is noticed."""

import pandas as pd
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from atb.data.catalogue.yearfile import encode, read_header, read_year
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
