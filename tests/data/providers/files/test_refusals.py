"""Files that cannot be imported: one sentence that says what is wrong, where, and what to do; nothing is stored."""

import gzip
import json
import os
import re
import zipfile
from io import BytesIO

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from atb.data import ImportRules, import_file
from atb.errors import AtbError, InputError
from tests.bars import random_walk
from tests.data.providers.files import sources
from tests.data.providers.files.sources import csv, epoch, stamps, table, written, zipped

FRAME = random_walk(48, 5, price=42_000.0)
EPOCHS = table(FRAME, epoch(FRAME))
ISO = table(FRAME, stamps(FRAME, "%Y-%m-%dT%H:%M:%SZ"))
UTC = ImportRules(assume_utc=True)


def refusal(path, folder, **options):
    """Return the message of the refusal; nothing may have been stored."""
    with pytest.raises(AtbError) as caught:
        import_file(path, root=folder / "bars", **({"symbol": "BTC/USDT", "rules": UTC} | options))
    assert not list((folder / "bars").rglob("*.parquet"))
    assert caught.value.exit_code == 2
    message = str(caught.value)
    assert message.isprintable()
    assert len(message) < 500
    return message


def cell(row, column, value, rows=EPOCHS):
    """Return a CSV with one cell changed."""
    changed = rows.astype(object).copy()
    changed.iloc[row, column] = value
    return csv(changed)


def number_at(row, value):
    """Return JSON rows with one price changed."""
    rows = EPOCHS.to_numpy().tolist()
    rows[row][1] = value
    return json.dumps(rows)


TEXTS = {
    "a time as long as a page": (cell(3, 0, str(10**400)), "no number in row 4|timestamp in row 4 \\(line 5\\)"),
    "a time before Bitcoin": (cell(3, 0, -5), r"no epoch of 2009 to 2100 in row 4 \(line 5\); found '-5'"),
    "a time of zero": (cell(0, 0, 0), r"in row 1 \(line 2\)"),
    "a word among numbers": (cell(3, 0, "soon"), r"cannot be read; found 'soon in row 4 \(line 5\)'"),
    "the year 1": (cell(3, 0, "0001-01-01T00:00:00Z", ISO), r"not between 1970 and 2100; found '0001.* in row 4"),
    "the year 9999": (cell(3, 0, "9999-12-31T23:00:00Z", ISO), r"not between 1970 and 2100; found '9999.* in row 4"),
    "the year 10000": (cell(3, 0, "10000-12-31T23:00:00Z", ISO), r"cannot be read; found '10000.* in row 4"),
    "a day that is none": (cell(3, 0, "2024-02-30T00:00:00Z", ISO), r"cannot be read; found '2024-02-30.* in row 4"),
    "one time without a zone": (cell(3, 0, "2024-01-01 03:00:00", ISO), "time zones are mixed.* in row 4"),
    "an empty time": (cell(3, 0, ""), "timestamp is missing in row 4"),
    "days of a spreadsheet": (csv(table(FRAME, [45_380 + at / 24 for at in range(48)])), "no epoch of 2009"),
    "rounded numbers": (csv(table(FRAME, [f"{at:.5E}" for at in epoch(FRAME)])), r"rounded.*'1\.70407E\+12'"),
    "American dates": (csv(table(FRAME, stamps(FRAME, "%m/%d/%Y %H:%M"))), "day and month cannot be told apart"),
    "half a second": (csv(table(FRAME, [at / 1e3 + 0.0005 for at in epoch(FRAME)])), "not a whole millisecond"),
    "a price as long as a page": (cell(3, 1, "1" + "0" * 400), "open is no number in row 4, 2024-01-01 03:00"),
    "a price that is a word": (cell(3, 1, "abc"), r"holds text, not numbers, in row 4 \(line 5\).*'abc'"),
    "an empty price": (cell(3, 1, ""), "open is no number in row 4"),
    "an empty volume": (csv(EPOCHS.assign(volume="")), "volume is missing in every row of x.csv"),
    "one empty volume": (cell(3, 5, ""), r"volume is missing in row 4 \(line 5\)"),
    "the header once more": (csv(EPOCHS[:12]) + csv(EPOCHS[12:]), r"header is repeated in row 13 \(line 14\) of x.csv"),
    "a line cut short": (csv(EPOCHS)[:-20], "line 49 has . cells, the others 6"),
    "a longer line": (csv(EPOCHS[:9]) + "1,2,3,4,5,6,7,8\n" + csv(EPOCHS[9:], header=False), "line 11 has 8 cells"),
    "a longer line below blank ones": (
        "\n\n" + csv(EPOCHS[:9]) + "\n\n1,2,3,4,5,6,7,8\n" + csv(EPOCHS[9:], header=False), "line 15 has 8 cells",
    ),
    "a shorter header": ("a,b,c,d,e\n" + csv(EPOCHS, header=False), "header has 5 columns and its first row 6"),
    "no header and five columns": (csv(EPOCHS.iloc[:, :5], header=False), "no header line, and what its 5 columns hold"),
    "no header and nine columns": (csv(EPOCHS.assign(a=1, b=2, c=3), header=False), "what its 9 columns hold is not known"),
    "no header and no known order": (
        csv(EPOCHS[["timestamp", "volume", "open", "high", "low", "close"]], header=False), "what its 6 columns hold",
    ),
    "a header of numbers": (csv(EPOCHS.set_axis(list("012345"), axis=1)), "no header line"),
    "commas that may be anything": (
        csv(ISO.assign(open="1,000", high="2,000", low="1,000", close="1,000", volume="3,000"), sep=";"), "commas",
    ),
    "volume in the quote only": (csv(EPOCHS.rename(columns={"volume": "volume_usdt"})), "no volume in BTC, only 'volume_usdt'"),
    "volume of another asset": (csv(EPOCHS.rename(columns={"volume": "Volume ETH"})), "no volume in BTC, only 'Volume ETH'"),
    "another symbol": (csv(EPOCHS.assign(symbol="ETHUSDT")), "holds no row of BTC/USDT; found 'ETHUSDT'"),
    "two rows that differ": (csv(pd.concat([EPOCHS[:9], EPOCHS[8:9].assign(volume=1), EPOCHS[9:]])), "rows 9 and 10"),
    "two rows that differ, newest first": (
        csv(pd.concat([EPOCHS[:9], EPOCHS[8:9].assign(volume=1), EPOCHS[9:]])[::-1]), "rows 40 and 41",
    ),
    "a row off the grid, newest first": (csv(
        table(FRAME, [at + 60_000 * (row == 3) for row, at in enumerate(epoch(FRAME))])[::-1]), "grid of 1h, first in row 45",
    ),
    "zero bytes": (csv(EPOCHS).replace("\n2", "\n\x00\x00", 1).replace("0,", "0\x00,", 1), "zero byte in line 2"),
    "a web page": ("<!DOCTYPE html><html>404</html>", "is a web page"),
    "a header alone": ("timestamp,open,high,low,close,volume\n", "columns but no rows"),
    "blank lines alone": ("\n \n\n", "cannot be read as a table"),
    "brackets without end": ("[" * 50_000, "x.csv cannot be read as JSON"),
    "brackets 50,000 deep": ("[" * 50_000 + "]" * 50_000, "x.csv"),
    "an exchange's refusal": ('{"code": -1121, "msg": "Invalid symbol."}', "x.csv holds no rows of bars"),
    "rows of different length": ("[[1704067200000,1,2,3,4,5],[1,2]]", "Row 2 of x.csv has 2 values, the first 6"),
    "a whole number beyond all floats": (number_at(3, 10**400), "open is no number in row 4"),
    "true for a price": (number_at(3, True), "in row 4; found 'True'"),
}  # fmt: skip


@pytest.mark.parametrize("case", TEXTS)
def test_a_text_that_is_wrong_is_refused_where_it_is(tmp_path, case):
    content, message = TEXTS[case]
    answer = refusal(written(tmp_path, "x.csv", content), tmp_path)
    assert re.search(message, answer), answer


def encrypted():
    """Return a zip archive whose entry says that it is encrypted."""
    raw = bytearray(zipped({"a.csv": csv(EPOCHS)}))
    raw[6] |= 1
    raw[raw.rfind(b"PK\x01\x02") + 8] |= 1
    return bytes(raw)


def torn():
    """Return a stored archive with one byte of its content changed."""
    with zipfile.ZipFile(target := BytesIO(), "w") as archive:
        archive.writestr("a.csv", csv(EPOCHS))
    return target.getvalue().replace(b"open", b"opem", 1)


NOISE = np.random.default_rng(1).bytes(500)
BINARIES = {
    "book.xlsx": (zipped({"[Content_Types].xml": "x", "xl/workbook.xml": "y"}), "Excel workbook.*CSV"),
    "book.xls": (b"\xd0\xcf\x11\xe0" + NOISE, "Excel workbook.*CSV"),
    "bars.pkl": (b"\x80\x04" + NOISE, "is a pickle"),
    "bars.h5": (b"\x89HDF" + NOISE, "HDF5"),
    "bars.tar": (b"a" * 257 + b"ustar" + NOISE, "tar archive"),
    "noise.csv": (NOISE, "cannot be read"),
    "a.parquet": (b"PAR1" + NOISE + b"PAR1", "begins as Parquet and is damaged"),
    "a.feather": (b"ARROW1" + NOISE, "begins as feather and is damaged"),
    "b.feather": (b"FEA1" + NOISE, "begins as feather and is damaged"),
    "gone.gz": (gzip.compress(csv(EPOCHS).encode())[:-300], "cannot be unpacked"),
    "nothing.gz": (gzip.compress(b""), "is empty"),
    "half.zip": (zipped({"a.csv": csv(EPOCHS)})[:-30], "cannot be unpacked"),
    "torn.zip": (torn(), "cannot be unpacked"),
    "locked.zip": (encrypted(), "cannot be unpacked.*encrypted"),
    "twice.zip": (zipped({"a.zip": zipped({"a.csv": csv(EPOCHS)})}), "packed twice"),
    "pictures.zip": (zipped({"a.png": "x", "b.png": "y"}), "holds no file of bars; found 'a.png, b.png'"),
    "bomb.gz": (gzip.compress(b"0" * 1_000_000, 9) * 300, "unpacks to far more"),
    "half.csv": (csv(EPOCHS).encode("utf-16")[:-1], "begins as UTF-16"),
}


@pytest.mark.parametrize("name", BINARIES)
def test_a_file_of_another_kind_is_refused_by_its_name_without_its_bytes(tmp_path, name):
    content, message = BINARIES[name]
    answer = refusal(written(tmp_path, name, content), tmp_path)
    assert re.search(message, answer), answer
    assert name in answer
    assert answer.isascii()


def test_what_is_no_file_is_refused(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    assert "Not a regular file" in refusal(tmp_path / "pipe", tmp_path)
    assert "Not a regular file" in refusal("/dev/null", tmp_path)
    assert "cannot be looked at" in refusal(tmp_path / ("long" * 100), tmp_path)
    assert "holds no file of bars" in refusal(tmp_path / "folder", tmp_path)
    written(tmp_path / "folder", "notes.md", "x")
    assert "holds no file of bars" in refusal(tmp_path / "folder", tmp_path)


def test_typed_times_out_of_range_are_refused(tmp_path):
    columns = {name: FRAME[name].to_numpy() for name in FRAME}
    for number, unit in ((2**40, "s"), (253_402_300_799, "s"), (-62_135_596_800_000, "ms"), (0, "ns")):
        times = pa.array([number] * len(FRAME), pa.timestamp(unit, "UTC"))
        pq.write_table(pa.table({"timestamp": times, **columns}), tmp_path / "x.parquet")
        assert "not between 1970 and 2100" in refusal(tmp_path / "x.parquet", tmp_path)


def test_of_thousands_of_columns_a_few_are_named(tmp_path):
    keyed = {time: {"open": 1, "what it is worth" * 9: 2} for time in stamps(FRAME, "%Y-%m-%dT%H:%M:%SZ") * 1}
    answer = refusal(written(tmp_path, "x.json", json.dumps(keyed)), tmp_path)
    assert re.search(r"2024-01-01T03:00:00Z, .* and 36 more'", answer), answer


@pytest.mark.parametrize("text", ["abc", "1_000", "0x10", "47,000.5", "٤٧"])
def test_text_in_parquet_that_is_no_plain_number_is_refused(tmp_path, text):
    rows = EPOCHS.astype(str)
    rows.iloc[3, 1] = text
    rows.to_parquet(tmp_path / "x.parquet")
    assert "holds text, not numbers, in row 4" in refusal(tmp_path / "x.parquet", tmp_path)


def test_two_columns_of_the_same_name_in_parquet_are_refused(tmp_path):
    twice = pa.Table.from_arrays([pa.array(EPOCHS[name]) for name in (*EPOCHS, "close")], names=[*EPOCHS, "close"])
    pq.write_table(twice, tmp_path / "x.parquet")
    assert "Two columns have the same name; found 'close'" in refusal(tmp_path / "x.parquet", tmp_path)


def test_local_times_need_their_zone_and_a_clock_change_in_doubt_is_refused(tmp_path):
    spring = FRAME.set_axis(pd.date_range("2024-03-30", periods=48, freq="1h", tz="UTC", name="timestamp"))
    local = [f"{stamp:%Y-%m-%d %H:%M}" for stamp in spring.index.tz_convert("Europe/Berlin")]
    path = written(tmp_path, "x.csv", csv(table(spring, local)))
    assert "no time zone" in refusal(path, tmp_path, rules=ImportRules())
    assert "1 gap: 2 h between 2024-03-31 01:00" in refusal(path, tmp_path, rules=UTC)
    assert "Unknown time zone" in refusal(path, tmp_path, rules=ImportRules(zone="Europe/Atlantis"))
    report = import_file(path, root=tmp_path / "bars", symbol="BTC/USDT", rules=ImportRules(zone="Europe/Berlin"))
    pd.testing.assert_frame_equal(report.bars.frame, spring, check_freq=False)
    assert "times without a zone, taken as Europe/Berlin as asked" in report.notes
    autumn = ["2024-10-27 01:00", "2024-10-27 02:00", "2024-10-27 03:00", "2024-10-27 04:00"]
    path = written(tmp_path, "y.csv", csv(table(FRAME[:4], autumn)))
    answer = refusal(path, tmp_path / "other", rules=ImportRules(zone="Europe/Berlin"))
    assert "clock change of Europe/Berlin leaves times in doubt" in answer


def test_files_of_different_series_are_not_imported_together(tmp_path):
    (tmp_path / "all").mkdir()
    for name in ("BTCUSDT-1h-2024-01.csv", "ETHUSDT-1h-2024-01.csv"):
        written(tmp_path / "all", name, sources.dump(FRAME))
    assert "their names say different things (symbol); found 'BTCUSDT and ETHUSDT'" in refusal(
        tmp_path / "all", tmp_path
    )


def test_a_checksum_that_does_not_agree_is_refused(tmp_path):
    path = sources.binance_zip(tmp_path, FRAME)
    path.with_name(f"{path.name}.CHECKSUM").write_text(f"{'0' * 64}  {path.name}\n")
    assert "is not what its CHECKSUM file says. Download it again" in refusal(path, tmp_path)


def test_two_files_that_differ_in_a_bar_are_both_named(tmp_path):
    one = written(tmp_path, "one.csv", csv(EPOCHS[:30]))
    two = written(tmp_path, "two.csv", csv(EPOCHS[20:].assign(volume=1.0)))
    assert "10 bars differ between files, the first at 2024-01-01 20:00; found 'one.csv and two.csv'" in refusal(
        [one, two], tmp_path
    )


def test_of_several_files_the_one_that_is_wrong_is_named(tmp_path):
    one, two = written(tmp_path, "one.csv", csv(EPOCHS[:30])), written(tmp_path, "two.csv", cell(40, 2, 1))
    assert refusal([one, two], tmp_path).startswith("two.csv: high is below low in row 41")


def test_a_missing_symbol_is_asked_for(tmp_path):
    with pytest.raises(InputError, match="Pass --symbol"):
        import_file(written(tmp_path, "x.csv", csv(EPOCHS)), root=tmp_path / "bars")
