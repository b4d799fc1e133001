"""Universes in the catalogue: files that people can edit, and what the stored series say."""

import pandas as pd
import pytest

from atb.data import derive_universe, load_universe, save_universe
from atb.data.catalogue.universes import all_universes, described, read_universe
from atb.data.catalogue.writing import save_bars
from atb.domain import Symbol, Timeframe
from atb.domain.universe import Listing, Universe
from atb.errors import DataError, InputError
from atb.times import at_ms
from tests.bars import bars_of, random_walk

BTC = Symbol("BTC", "USDT")


def test_what_is_stored_is_read_back(tmp_path):
    made = Universe("top", (Listing(BTC, 1_600_000_000_000, 1_700_000_000_000), Listing(BTC, 1_710_000_000_000)))
    save_universe(made, root=tmp_path)
    assert load_universe("top", root=tmp_path) == made
    assert all_universes(tmp_path) == ["top"]


def test_another_universe_of_the_name_is_replaced_only_when_told(tmp_path):
    save_universe(Universe("top", (Listing(BTC, 5),)), root=tmp_path)
    with pytest.raises(InputError, match="--replace"):
        save_universe(Universe("top", (Listing(BTC, 6),)), root=tmp_path)
    save_universe(Universe("top", (Listing(BTC, 6),)), root=tmp_path, replace=True)
    assert load_universe("top", root=tmp_path).listings[0].listed_ms == 6


def test_a_file_of_days_is_read_as_midnights_in_utc(tmp_path):
    path = tmp_path / "mine.csv"
    path.write_text("symbol,listed,ended,delisted\nbtcusdt,2021-01-01,,\nLUNA/USDT,2021-02-01,2022-05-13,yes\n")
    found = read_universe(path, "mine")
    assert found.of(BTC) == (Listing(BTC, 1_609_459_200_000),)
    assert found.of(Symbol("LUNA", "USDT"))[0].delisted


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "has the columns"),
        ("symbol,ended\n", "without listed"),
        ("symbol,listed\n", "lists no symbol"),
        ("symbol,listed\nBTC/USDT,soon\n", "line 2"),
        ("symbol,listed\nBTC/USDT,\n", "line 2: A listing needs its first day"),
        ("symbol,listed,ended,delisted\nBTC/USDT,2021-01-01,2022-01-01,perhaps\n", "yes or no"),
        ("symbol,listed\n???,2021-01-01\n", "line 2"),
        ("symbol,listed,ended\nBTC/USDT,2021-01-01,2020-01-01\n", "before it ends"),
    ],
)
def test_a_file_that_is_no_universe_is_one_sentence(tmp_path, text, message):
    path = tmp_path / "mine.csv"
    path.write_text(text)
    with pytest.raises(DataError, match=message):
        read_universe(path, "mine")


def test_bytes_that_are_no_text_are_one_sentence(tmp_path):
    (tmp_path / "mine.csv").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(DataError, match="cannot be read"):
        read_universe(tmp_path / "mine.csv", "mine")


def test_series_that_end_before_the_newest_bar_were_delisted(tmp_path):
    for name, last in (("AAA", 100), ("BBB", 60), ("CCC", 99)):
        save_bars(bars_of(random_walk(100).iloc[:last], f"{name}/USDT", "1h", "file"), root=tmp_path, source="a test")
    found = derive_universe("all", root=tmp_path, venue="file", timeframe=Timeframe.parse("1h"))
    assert [listing.delisted for listing in found.listings] == [False, True, False]
    with pytest.raises(InputError, match="No series of this venue"):
        derive_universe("all", root=tmp_path, venue="binance", timeframe=Timeframe.parse("1h"))


@pytest.mark.parametrize("name", ["", "../up", "a b", "x" * 65])
def test_a_name_that_could_leave_the_folder_is_refused(tmp_path, name):
    with pytest.raises(InputError, match="has a name of"):
        load_universe(name, root=tmp_path)


def days(rows, *, without=(), first="2022-01-01"):
    """Return daily bars, without those at some rows."""
    frame = random_walk(rows, rows)
    frame.index = pd.Timestamp(first, tz="UTC") + (frame.index - frame.index[0]) * 24
    return frame.drop(frame.index[list(without)])


def derived_of(root, **frames):
    for name, frame in frames.items():
        save_bars(bars_of(frame, f"{name}/USDT", "1d", "kraken"), root=root, source="a test", accept_gaps=True)
    return derive_universe("all", root=root, venue="kraken", timeframe=Timeframe.parse("1d"))


def listed(universe, name):
    return [(f"{at_ms(one.listed_ms):%m-%d}", one.ended_ms and f"{at_ms(one.ended_ms):%m-%d}", one.delisted)
            for one in universe.of(Symbol(name, "USDT"))]  # fmt: skip


def test_a_hole_of_a_week_in_one_symbol_ends_it_and_what_comes_back_is_a_new_listing(tmp_path):
    made = derived_of(tmp_path, AAA=days(90), LUNA=days(90, without=range(40, 58)))
    assert listed(made, "AAA") == [("01-01", None, False)]
    assert listed(made, "LUNA") == [("01-01", "02-10", True), ("02-28", None, False)]
    assert (
        described(made)
        == "all: 2 symbols from 2022-01-01 00:00 on, 0 of them delisted since; traded again after a hole: LUNA/USDT"
    )


def test_a_short_hole_and_one_of_the_whole_venue_end_nothing(tmp_path):
    outage = range(60, 70)
    made = derived_of(
        tmp_path, AAA=days(90, without=outage), BBB=days(90, without=[*range(30, 36), *outage]), CCC=days(40)
    )
    assert listed(made, "AAA") == listed(made, "BBB") == [("01-01", None, False)]
    assert listed(made, "CCC") == [("01-01", "02-10", True)]


def test_a_symbol_that_comes_back_and_ends_for_good_is_delisted_twice(tmp_path):
    made = derived_of(tmp_path, AAA=days(90), BBB=days(80, without=range(20, 30)))
    assert [delisted for *_, delisted in listed(made, "BBB")] == [True, True]
    assert "1 of them delisted since" in described(made)
