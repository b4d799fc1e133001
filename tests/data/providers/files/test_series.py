"""Several files, archives and folders as one series; what the notes say; a damaged catalogue that an import repairs."""

import pandas as pd
import pytest

from atb.data import ImportRules, import_file, load_bars, verify
from atb.errors import DataError
from tests.bars import random_walk
from tests.data.providers.files import sources
from tests.data.providers.files.sources import binance_zip, csv, dump, epoch, table, written, zipped

FRAME = random_walk(48, 5, price=42_000.0)
EPOCHS = table(FRAME, epoch(FRAME))
DAYS = random_walk(900, 3).set_axis(pd.date_range("2023-03-01", periods=900, freq="D", tz="UTC", name="timestamp"))


def imported(path, folder, **options):
    """Import as BTC/USDT and return the report."""
    return import_file(path, root=folder / "bars", **({"symbol": "BTC/USDT"} | options))


def test_archives_of_two_units_in_any_order_are_one_series(tmp_path):
    later = binance_zip(tmp_path, FRAME[24:], "us", "2025-01")
    earlier = binance_zip(tmp_path, FRAME[:24], "ms", "2024-12")
    report = import_file([later, earlier], root=tmp_path / "bars")
    pd.testing.assert_frame_equal(report.bars.frame, FRAME, check_freq=False)
    assert (str(report.bars.symbol), str(report.bars.timeframe)) == ("BTC/USDT", "1h")
    assert {"epoch in us", "epoch in ms", "2 files agree with the CHECKSUM file beside"} <= set(report.notes)
    assert report.files == ("BTCUSDT-1h-2025-01.csv", "BTCUSDT-1h-2024-12.csv")


def test_a_folder_is_imported_with_its_checksums_and_without_what_is_no_file_of_bars(tmp_path):
    (tmp_path / "all").mkdir()
    for month, part in (("2024-01", FRAME[:20]), ("2024-02", FRAME[20:])):
        binance_zip(tmp_path / "all", part, month=month)
    written(tmp_path / "all", "notes.md", "mine")
    report = imported(tmp_path / "all", tmp_path)
    pd.testing.assert_frame_equal(report.bars.frame, FRAME, check_freq=False)
    assert "left out of all: notes.md" in report.notes


def test_a_pattern_that_matches_checksums_too_leaves_them_out(tmp_path):
    binance_zip(tmp_path, FRAME)
    report = imported(sorted(tmp_path.glob("BTC*")), tmp_path)
    assert len(report.bars) == 48
    assert "BTCUSDT-1h-2024-01.zip.CHECKSUM left out" in report.notes


def test_an_archive_of_several_files_is_one_series_and_its_paths_mean_nothing(tmp_path):
    parts = {"../../b.csv": dump(FRAME[20:]), "a.csv": dump(FRAME[:25]), "readme.txt": "x", "__MACOSX/._a.csv": "x"}
    report = imported(written(tmp_path, "x.zip", zipped(parts)), tmp_path)
    pd.testing.assert_frame_equal(report.bars.frame, FRAME, check_freq=False)
    assert not list(tmp_path.parent.glob("b.csv"))
    assert "2 other files in x.zip left out" in report.notes


@pytest.mark.parametrize(
    ("name", "label"),
    [
        ("BTC_USDT-1h.json", "BTC/USDT 1h · file"),
        ("ETHUSDT-1h-2024-01.csv", "ETH/USDT 1h · file"),
        ("kraken_ETHUSDT_1h.csv", "ETH/USDT 1h · kraken"),
    ],
)
def test_the_names_that_sources_give_their_files_say_what_they_hold(tmp_path, name, label):
    assert import_file(written(tmp_path, name, csv(EPOCHS)), root=tmp_path / "bars").bars.label == label


def test_the_notes_say_what_was_read_how_and_what_was_left_out(tmp_path):
    notes = imported(sources.kaggle_empty_rows(tmp_path, FRAME), tmp_path).notes
    assert notes == ("epoch in s", "2 rows without prices left out")
    notes = imported(sources.repeated(tmp_path, FRAME), tmp_path / "b").notes
    assert notes == ("epoch in ms", "2 repeated rows left out, equal to the first")
    notes = imported(sources.coinbase(tmp_path, FRAME, header=False), tmp_path / "c").notes
    assert notes == (
        "no header line; columns taken as timestamp, low, high, open, close, volume",
        "epoch in s",
        "rows from the newest to the oldest, turned round",
    )
    notes = imported(sources.mixed_units(tmp_path, FRAME), tmp_path / "d").notes
    (note,) = notes
    assert note.startswith("epochs of different units, each row read in its own: 10 in s from row 1 (line 2), 10 in ms")
    assert note.endswith("10 in us from row 21 (line 22), 18 in ns from row 31 (line 32)")
    notes = imported(written(tmp_path, "z.csv", csv(EPOCHS.assign(volume=0, symbol="BTCUSD"))), tmp_path / "e").notes
    assert notes == (
        "epoch in ms",
        "the file itself calls its symbol BTCUSD",
        "the volume is 0 in every row (column 'volume')",
    )
    notes = imported(sources.german(tmp_path, FRAME), tmp_path / "f").notes
    assert notes == (
        "decimal commas read as decimal points",
        "times without a zone, taken as UTC as the column's name 'Date (UTC)' says",
    )


def test_rows_of_other_symbols_are_left_out(tmp_path):
    both = pd.concat([EPOCHS.assign(symbol="BTC/USDT"), EPOCHS.assign(symbol="ETH/USDT", volume=1)])
    report = imported(written(tmp_path, "x.csv", csv(both)), tmp_path)
    pd.testing.assert_frame_equal(report.bars.frame, FRAME, check_freq=False)
    assert "48 rows of other symbols left out" in report.notes


@pytest.mark.parametrize(
    ("columns", "symbol", "chosen"),
    [
        ("volume_btc volume", "BTC/USD", "volume_btc"),
        ("volume volume_btc", "BTC/USD", "volume_btc"),
        ("VolumeBTC VolumeUSDT", "BTC/USDT", "VolumeBTC"),
        ("VolumeUSDT VolumeBTC", "BTC/USDT", "VolumeBTC"),
        ("Volume_USDT Volume", "BTC/USDT", "Volume"),
        ("quote_volume volume", "BTC/USDT", "volume"),
        ("volume_xbt volume", "BTC/USD", "volume_xbt"),
        ("volume_eth volume_btc", "ETH/BTC", "volume_eth"),
        ("volume_eth volume_btc", "BTC/EUR", "volume_btc"),
        ("volumeto volumefrom", "SOL/USD", "volumefrom"),
    ],
)
def test_the_volume_is_the_one_in_the_base_asset(tmp_path, columns, symbol, chosen):
    rows = table(FRAME, epoch(FRAME), "time open high low close x").drop(columns="x")
    for name in columns.split():
        rows[name] = FRAME["volume"].to_numpy() * (1 if name == chosen else 42_000)
    report = imported(written(tmp_path, "x.csv", csv(rows)), tmp_path, symbol=symbol)
    assert report.columns["volume"] == chosen
    assert report.bars.frame["volume"].tolist() == FRAME["volume"].tolist()


@pytest.mark.parametrize("share", [0.03, 0.3, 0.5])
def test_a_thin_market_of_minutes_imports_once_its_holes_are_accepted(tmp_path, share):
    index = pd.date_range("2024-01-01", periods=6_000, freq="1min", tz="UTC", name="timestamp")
    whole = random_walk(6_000, 2, sigma=1e-4).set_axis(index)
    kept = whole.sample(frac=share, random_state=1).sort_index()
    path = written(tmp_path, "x.csv", csv(table(kept, epoch(kept))))
    with pytest.raises(DataError, match=r"gaps, the longest .*--accept-gaps"):
        imported(path, tmp_path, timeframe="1m")
    report = imported(path, tmp_path, timeframe="1m", gaps="keep")
    pd.testing.assert_frame_equal(load_bars("BTC/USDT", "1m", root=tmp_path / "bars").frame, kept, check_freq=False)
    assert report.bars.gaps == load_bars("BTC/USDT", "1m", root=tmp_path / "bars").gaps


def flip(at):
    """Return a damage that changes one byte at a share of the length."""

    def change(path):
        content = bytearray(path.read_bytes())
        content[int(at * (len(content) - 1))] ^= 255
        path.write_bytes(bytes(content))

    return change


def other_year(path):
    path.write_bytes(path.with_name("2025.parquet" if path.stem != "2025" else "2024.parquet").read_bytes())


def a_folder(path):
    path.unlink()
    path.mkdir()


DAMAGES = {
    "emptied": lambda path: path.write_bytes(b""),
    "torn": lambda path: path.write_bytes(path.read_bytes()[:700]),
    "a byte of the bars": flip(0.2),
    "a byte of the description": flip(0.97),
    "another year's": other_year,
    "another's": lambda path: pd.DataFrame({"a": [1]}).to_parquet(path),
    "a folder": a_folder,
    "deleted": lambda path: path.unlink(),
}


@pytest.mark.parametrize("year", [2023, 2024, 2025])
@pytest.mark.parametrize("damage", DAMAGES)
def test_importing_again_brings_back_a_damaged_year(tmp_path, damage, year):
    source = written(tmp_path, "days.csv", csv(table(DAYS, epoch(DAYS))))
    whole = imported(source, tmp_path).bars.fingerprint
    path = tmp_path / f"bars/file/BTC-USDT/1d/{year}.parquet"
    DAMAGES[damage](path)
    if damage != "deleted":
        with pytest.raises(DataError, match=r"[Ii]mport") as caught:
            load_bars("BTC/USDT", "1d", root=tmp_path / "bars", venue="file")
        assert str(path) in str(caught.value)
    report = imported(source, tmp_path)
    assert load_bars("BTC/USDT", "1d", root=tmp_path / "bars", venue="file").fingerprint == whole
    assert not verify(tmp_path / "bars")[0].problems
    kept = [note for note in report.notes if f"{year}.parquet.damaged" in note]
    assert len(kept) == (damage != "deleted")


def test_importing_year_by_year_repairs_two_damaged_neighbours_in_either_order(tmp_path):
    parts = {year: DAYS[DAYS.index.year == year] for year in (2023, 2024, 2025)}
    files = {year: written(tmp_path, f"{year}.csv", csv(table(part, epoch(part)))) for year, part in parts.items()}
    whole = imported(list(files.values()), tmp_path).bars.fingerprint
    for order in ((2023, 2024), (2024, 2023)):
        for year in order:
            (tmp_path / f"bars/file/BTC-USDT/1d/{year}.parquet").write_bytes(b"PAR1")
        for year in order:
            imported(files[year], tmp_path)
        assert load_bars("BTC/USDT", "1d", root=tmp_path / "bars").fingerprint == whole


def test_a_part_does_not_take_the_place_of_a_damaged_year_that_held_more(tmp_path):
    imported(written(tmp_path, "days.csv", csv(table(DAYS, epoch(DAYS)))), tmp_path)
    path = tmp_path / "bars/file/BTC-USDT/1d/2025.parquet"
    flip(0.2)(path)
    part = DAYS["2025-01-01":"2025-03-01"]
    with pytest.raises(DataError, match=r"only a part of what it held.*or delete the file"):
        imported(written(tmp_path, "part.csv", csv(table(part, epoch(part)))), tmp_path)
    path.unlink()
    imported(tmp_path / "part.csv", tmp_path)
    assert load_bars("BTC/USDT", "1d", root=tmp_path / "bars").frame.index[-1] == part.index[-1]


def test_the_advice_of_a_hole_says_that_rows_were_empty(tmp_path):
    rows = EPOCHS.astype(object)
    rows.iloc[10, 1:] = ""
    path = written(tmp_path, "x.csv", csv(rows))
    with pytest.raises(DataError, match=r"1 gap: 2 h .*\(1 row without prices left out\)\. Accept"):
        imported(path, tmp_path)
    assert len(imported(path, tmp_path, gaps="keep", rules=ImportRules()).bars) == 47


def test_the_order_of_unnamed_columns_follows_from_rows_that_moved(tmp_path):
    whole = random_walk(400, 5, price=42_000.0)
    whole.iloc[:300, :4] = 42_000.0  # nothing moved for a while: these rows read alike in every order
    report = imported(sources.coinbase(tmp_path, whole[::-1], header=False), tmp_path)
    pd.testing.assert_frame_equal(report.bars.frame, whole, check_freq=False)
