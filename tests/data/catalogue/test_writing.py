"""save_bars: merges, never overwrites by accident, leaves nothing half-written, has one writer at a time."""

import os
import stat
import subprocess
import sys
import threading

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from atb.data import load_bars, save_bars
from atb.data.catalogue.atomic import sole_writer, write_files
from atb.domain import Bars
from atb.errors import DataError
from tests.data.markets import days, part, store, with_price, without
from tests.seeds import examples

BARS = days()


def contents(root):
    """Return every file's bytes and the time it was written."""
    return {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in root.rglob("*.parquet")}


def test_saving_again_changes_no_file(tmp_path):
    assert save_bars(BARS, root=tmp_path, source="a").added == 800
    before = contents(tmp_path)
    again = save_bars(BARS, root=tmp_path, source="b")
    assert (again.added, again.unchanged, again.replaced) == (0, 800, 0)
    assert contents(tmp_path) == before


@examples(25)
@given(data=st.data())
def test_overlapping_parts_in_any_order_make_the_whole(tmp_path_factory, data):
    root = tmp_path_factory.mktemp("bars")
    cuts = sorted(data.draw(st.lists(st.integers(1, 799), min_size=2, max_size=4, unique=True)))
    overlap = data.draw(st.integers(1, 40))
    edges = list(zip([0, *cuts], [*cuts, 800], strict=True))
    pieces = [(max(0, start - overlap), end) for start, end in edges]
    # Each piece must touch what is stored already, so they come in order from the front or from the back.
    for start, end in pieces if data.draw(st.booleans()) else reversed(pieces):
        frame = BARS.frame.iloc[start:end]
        save_bars(Bars(BARS.symbol, BARS.timeframe, frame, "test"), root=root, source="piece")
    assert load_bars("BTC/USDT", "1d", root=root).fingerprint == BARS.fingerprint


def test_a_bar_that_differs_is_refused_with_the_first_conflict_unless_replaced(tmp_path):
    store(tmp_path, BARS)
    before = contents(tmp_path)
    changed = with_price(BARS, 300, by=2.0)
    was, now = BARS.frame["open"].iloc[300], changed.frame["open"].iloc[300]
    with pytest.raises(
        DataError, match=rf"1 of the new bars differ.*2022-03-28 00:00: open is {was} .*found {now}.*--replace"
    ):
        save_bars(changed, root=tmp_path, source="b")
    assert contents(tmp_path) == before
    saved = save_bars(changed, root=tmp_path, source="b", replace=True)
    assert (saved.added, saved.unchanged, saved.replaced) == (0, 799, 1)
    assert load_bars("BTC/USDT", "1d", root=tmp_path).fingerprint == changed.fingerprint


def test_an_unknown_hole_is_refused_and_an_accepted_one_recorded(tmp_path):
    holed = without(BARS, "2021-12-30", "2022-01-02")
    with pytest.raises(DataError, match=r"1 gap: 4 days between 2021-12-29 00:00 and 2022-01-02 00:00 .3 bars missing"):
        save_bars(holed, root=tmp_path, source="a")
    assert not list(tmp_path.rglob("*.parquet"))
    save_bars(holed, root=tmp_path, source="a", accept_gaps=True)
    assert len(load_bars("BTC/USDT", "1d", root=tmp_path).gaps) == 1


def test_a_second_hole_beside_a_known_one_is_refused(tmp_path):
    known = without(BARS, "2021-12-30", "2022-01-02", known=True)
    other = without(known, "2022-07-01", "2022-07-02")
    both = Bars(other.symbol, other.timeframe, other.frame, other.venue, known.gaps)
    with pytest.raises(DataError, match="1 gap: 48 h between 2022-06-30 00:00"):
        save_bars(both, root=tmp_path, source="a")


def test_a_hole_between_stored_and_new_bars_is_refused_on_either_side(tmp_path):
    store(tmp_path, part(BARS, "2022-03-01", "2022-06-01"))
    for far in (part(BARS, None, "2021-12-01"), part(BARS, "2022-07-01"), part(BARS, "2023-02-01")):
        with pytest.raises(DataError, match="would be stored with 1 gap"):
            save_bars(far, root=tmp_path, source="a")
    save_bars(part(BARS, None, "2021-12-01"), root=tmp_path, source="a", accept_gaps=True)
    save_bars(part(BARS, "2023-02-01"), root=tmp_path, source="a", accept_gaps=True)
    assert [f"{gap[0]:%Y-%m-%d} {gap[1]:%Y-%m-%d}" for gap in load_bars("BTC/USDT", "1d", root=tmp_path).gaps] == [
        "2021-12-01 2022-03-01",
        "2022-06-01 2023-02-01",
    ]


def test_a_gap_that_is_filled_later_is_no_longer_recorded(tmp_path):
    store(tmp_path, without(BARS, "2021-12-30", "2022-01-05", known=True))
    save_bars(part(BARS, "2021-12-30", "2022-01-02"), root=tmp_path, source="b")
    (gap,) = load_bars("BTC/USDT", "1d", root=tmp_path).gaps
    assert f"{gap[0]:%Y-%m-%d}" == "2022-01-02"
    save_bars(part(BARS, "2022-01-02", "2022-01-05"), root=tmp_path, source="b")
    loaded = load_bars("BTC/USDT", "1d", root=tmp_path)
    assert (loaded.gaps, loaded.fingerprint) == ((), BARS.fingerprint)


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        ("open", float("nan"), "open is no number"),
        ("low", 1e9, "high is below low"),
        ("volume", -1.0, "must not be negative"),
    ],
)
def test_bars_that_break_a_rule_are_never_stored(tmp_path, column, value, message):
    frame = BARS.frame.copy()
    frame.iloc[5, frame.columns.get_loc(column)] = value
    with pytest.raises(DataError, match=message):
        save_bars(Bars(BARS.symbol, BARS.timeframe, frame, "test"), root=tmp_path, source="a")
    assert not list(tmp_path.rglob("*.parquet"))


def test_a_full_disk_leaves_the_old_files_and_no_others(tmp_path, monkeypatch):
    store(tmp_path, part(BARS, None, "2022-06-01"))
    before = contents(tmp_path)

    def refuse(_descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", refuse)
    with pytest.raises(DataError, match="No space left"):
        save_bars(BARS, root=tmp_path, source="b")
    assert contents(tmp_path) == before
    assert not list(tmp_path.rglob("*.tmp"))


def test_what_a_killed_writer_left_is_cleaned_up(tmp_path):
    store(tmp_path, part(BARS, None, "2022-06-01"))
    litter = tmp_path / "test/BTC-USDT/1d/.2022.parquet.99.tmp"
    litter.write_bytes(b"half")
    assert len(load_bars("BTC/USDT", "1d", root=tmp_path)) == 365
    store(tmp_path, BARS)
    assert not litter.exists()


def test_a_second_writer_is_refused_while_the_first_one_writes(tmp_path):
    with (
        sole_writer(tmp_path),
        pytest.raises(DataError, match="Another process is writing"),
        sole_writer(tmp_path, wait_s=0.05),
    ):
        pytest.fail("two writers at once")
    with sole_writer(tmp_path, wait_s=0):
        pass


def test_a_second_writer_waits_for_a_short_write(tmp_path):
    done = threading.Event()

    def write_when_free():
        with sole_writer(tmp_path):
            done.set()

    with sole_writer(tmp_path):
        other = threading.Thread(target=write_when_free)
        other.start()
        assert not done.wait(0.1)
    other.join(10)
    assert done.is_set()


def test_a_writer_that_is_killed_leaves_no_lock_behind(tmp_path):
    script = (
        "import sys, time; from pathlib import Path; from atb.data.catalogue.atomic import sole_writer\n"
        "with sole_writer(Path(sys.argv[1])): print('held', flush=True); time.sleep(600)"
    )
    writer = subprocess.Popen([sys.executable, "-c", script, str(tmp_path)], stdout=subprocess.PIPE)
    assert writer.stdout.readline() == b"held\n"
    with pytest.raises(DataError, match="Another process is writing"), sole_writer(tmp_path, wait_s=0):
        pytest.fail("two writers at once")
    writer.kill()
    writer.communicate()
    with sole_writer(tmp_path, wait_s=0):
        pass


@pytest.mark.parametrize("umask", [0o000, 0o077])
def test_the_lock_cannot_be_written_by_others_whatever_the_umask(tmp_path, umask):
    before = os.umask(umask)
    try:
        with sole_writer(tmp_path / "series"):
            mode = stat.S_IMODE((tmp_path / "series/.lock").stat().st_mode)
    finally:
        os.umask(before)
    assert not mode & 0o022


def test_a_folder_that_cannot_be_made_is_refused_in_one_sentence(tmp_path):
    (tmp_path / "file").write_text("a file where a folder should be")
    with pytest.raises(DataError, match="Cannot write market data"), sole_writer(tmp_path / "file/series"):
        pytest.fail("a folder inside a file")


def test_files_are_written_all_or_none(tmp_path):
    good, bad = tmp_path / "a", tmp_path / "file" / "b"
    (tmp_path / "file").write_text("a file where a folder should be")
    with pytest.raises(DataError, match="Cannot write market data"):
        write_files({good: b"1", bad: b"2"})
    assert not good.exists()
    write_files({good: b"1"})
    assert good.read_bytes() == b"1"


def test_sources_are_remembered_and_a_replaced_sample_has_the_new_seed(tmp_path):
    from atb.data.catalogue.verification import list_series

    store(tmp_path, part(BARS, None, "2022-06-01"))
    save_bars(part(BARS, "2022-06-01"), root=tmp_path, source="b.csv")
    assert list_series(tmp_path)[0].sources == ("test", "b.csv")
    save_bars(with_price(BARS, 3), root=tmp_path, source="c.csv", seed=9, replace=True)
    (info,) = list_series(tmp_path)
    assert info.seed == 9
    assert "c.csv" in info.sources


def test_the_index_may_have_any_unit(tmp_path):
    frame = BARS.frame.set_axis(BARS.frame.index.as_unit("ns"))
    store(tmp_path, Bars(BARS.symbol, BARS.timeframe, frame, "test"), BARS)
    assert isinstance(load_bars("BTC/USDT", "1d", root=tmp_path).frame.index, pd.DatetimeIndex)
