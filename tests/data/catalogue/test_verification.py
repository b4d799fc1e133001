"""list and verify: what is stored, and whether it still is what was stored."""

import pytest

from atb.data import list_series, load_bars, verify
from atb.data.catalogue import reading, verification, yearfile
from atb.data.catalogue.yearfile import encode
from atb.domain import Bars
from tests.data.markets import days, part, store, without

BARS = days()


def test_the_list_has_the_figures_of_each_series(tmp_path):
    holed = without(BARS, "2021-12-30", "2022-01-02", known=True)
    store(tmp_path, holed, days(20, venue="kraken", symbol="ETH/USDT"))
    eth, btc = list_series(tmp_path)
    assert (str(eth.symbol), eth.venue, eth.bars, eth.files) == ("ETH/USDT", "kraken", 20, 1)
    assert (btc.bars, btc.gaps, btc.files, btc.first) == (797, holed.gaps, 3, BARS.frame.index[0])
    assert btc.fingerprint == load_bars("BTC/USDT", "1d", root=tmp_path).fingerprint
    assert btc.size == sum(path.stat().st_size for path in (tmp_path / "test").rglob("*.parquet"))
    assert btc.to_json()["gaps"] == [{"start": "2021-12-30T00:00:00+00:00", "end": "2022-01-02T00:00:00+00:00"}]


def test_an_empty_or_foreign_folder_lists_nothing(tmp_path):
    (tmp_path / "notes" / "x" / "y").mkdir(parents=True)
    (tmp_path / "binance" / "BTC-USDT" / "1h").mkdir(parents=True)
    (tmp_path / "readme.txt").write_text("x")
    assert list_series(tmp_path) == []
    assert list_series(tmp_path / "none") == []
    assert verify(tmp_path) == []


def test_sound_series_have_no_problems(tmp_path):
    store(tmp_path, BARS, without(days(venue="kraken"), "2021-12-30", "2022-01-02", known=True))
    verdicts = verify(tmp_path)
    assert [(verdict.venue, verdict.bars, verdict.problems) for verdict in verdicts] == [
        ("kraken", 797, ()),
        ("test", 800, ()),
    ]


def test_verify_can_be_narrowed(tmp_path):
    store(tmp_path, BARS, days(20, venue="kraken", symbol="ETH/USDT"))
    assert [str(check.symbol) for check in verify(tmp_path, symbol="ethusdt")] == ["ETH/USDT"]
    assert [check.venue for check in verify(tmp_path, timeframe="1d", venue="test")] == ["test"]
    assert verify(tmp_path, timeframe="1h") == []


def damage_byte(path):
    content = bytearray(path.read_bytes())
    content[100] ^= 1
    path.write_bytes(content)


def swap_year(path):
    path.write_bytes(encode(part(BARS, "2023-01-01"), source="x", seed=None))


def swap_symbol(path):
    path.write_bytes(encode(part(days(symbol="ETH/USDT"), "2022-01-01", "2023-01-01"), source="x", seed=None))


def break_a_bar(path):
    frame = part(BARS, "2022-01-01", "2023-01-01").frame.copy()
    frame.iloc[3, 1] = 0.001
    path.write_bytes(encode(Bars(BARS.symbol, BARS.timeframe, frame, "test"), source="x", seed=None))


def drop_a_bar(path):
    frame = part(BARS, "2022-01-01", "2023-01-01").frame
    frame = frame.drop(frame.index[50])
    path.write_bytes(encode(Bars(BARS.symbol, BARS.timeframe, frame, "test"), source="x", seed=None))


@pytest.mark.parametrize(
    ("damage", "problem"),
    [
        (damage_byte, "2022.parquet: A file of the catalogue has changed"),
        (lambda path: path.write_bytes(b""), "2022.parquet: This file was not written by the catalogue"),
        (swap_year, "2022.parquet: A file holds another year than its name says"),
        (swap_symbol, "2022.parquet: A file lies in the wrong folder"),
        (break_a_bar, "2022.parquet: high is below low in row 4"),
        (drop_a_bar, "never accepted as missing"),
        (lambda path: path.unlink(), "never accepted as missing"),
    ],
)
def test_verify_finds_what_was_done_to_a_series(tmp_path, damage, problem):
    store(tmp_path, BARS)
    damage(tmp_path / "test/BTC-USDT/1d/2022.parquet")
    (verdict,) = verify(tmp_path)
    assert problem in verdict.problems[0]
    assert not verdict.to_json()["ok"]


def test_a_damaged_series_is_listed_with_its_problem_beside_the_sound_ones(tmp_path):
    store(tmp_path, BARS, days(20, venue="kraken"))
    damage_byte(tmp_path / "test/BTC-USDT/1d/2022.parquet")
    sound, damaged = list_series(tmp_path)
    assert (sound.problem, sound.bars) == ("", 20)
    assert "2022.parquet" in damaged.problem
    assert damaged.fingerprint == ""


def test_verify_reads_each_file_once(tmp_path, monkeypatch):
    store(tmp_path, BARS)
    read = []
    for module in (verification, reading):
        monkeypatch.setattr(module, "read_year", lambda path: read.append(path.name) or yearfile.read_year(path))
    assert [check.problems for check in verify(tmp_path)] == [()]
    assert sorted(read) == ["2021.parquet", "2022.parquet", "2023.parquet"]
