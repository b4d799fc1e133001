"""Bars for notebooks: from the catalogue of the settings, made up only where there is nothing at all."""

import pandas as pd
import pytest

from atb.data.catalogue.writing import save_bars
from atb.errors import DataError, InputError
from atb.workbench import catalogue, ensure_sample, finer_bars, load_bars
from tests.bars import bars_of, random_walk


def test_an_empty_catalogue_gets_the_synthetic_market_and_says_so(tmp_path):
    assert "made up" in ensure_sample()
    assert load_bars("BTCUSDT", "1h").synthetic
    assert (tmp_path / "bars" / "synthetic").is_dir()


def test_a_second_call_changes_nothing(stocked):
    before = load_bars("ETH/USDT", "1h").fingerprint
    assert "holds 2 series" in ensure_sample()
    assert load_bars("ETH/USDT", "1h").fingerprint == before


def test_nobodys_own_bars_are_joined_by_made_up_ones(tmp_path):
    save_bars(bars_of(random_walk(100), venue="mine"), root=tmp_path / "bars", source="test")
    assert "mine" in ensure_sample()
    assert not (tmp_path / "bars" / "synthetic").exists()


def test_the_venue_of_the_settings_counts_unless_one_is_named(stocked, monkeypatch):
    save_bars(bars_of(random_walk(100), venue="mine"), root=stocked / "bars", source="test")
    assert load_bars("BTC/USDT", "1h").venue == "mine"
    assert load_bars("BTC/USDT", "1h", venue="synthetic").venue == "synthetic"
    monkeypatch.setenv("ATB__DATA__VENUE", "synthetic")
    assert load_bars("BTC/USDT", "1h").venue == "synthetic"


def test_the_catalogue_is_listed_with_its_damage(stocked):
    table = catalogue()
    assert table["symbol"].tolist() == ["BTC/USDT", "ETH/USDT"]
    assert (table["bars"] == 26_304).all()
    assert (table["problem"] == "").all()
    victim = next((stocked / "bars" / "synthetic").rglob("2023.parquet"))
    victim.write_bytes(victim.read_bytes()[:-1])
    assert (catalogue()["problem"] != "").sum() == 1


def test_a_series_that_is_not_there_is_an_error(stocked):
    with pytest.raises(DataError, match="SOL"):
        load_bars("SOL/USDT", "1h")


def test_finer_bars_cover_what_is_traded_and_come_from_the_same_venue(tmp_path):
    fine = random_walk(40 * 12)
    fine.index = pd.date_range("2024-01-01", periods=len(fine), freq="5min", tz="UTC", name="timestamp")
    coarse = bars_of(random_walk(40), venue="mine")
    save_bars(coarse, root=tmp_path / "bars", source="test")
    save_bars(bars_of(fine, timeframe="5m", venue="mine"), root=tmp_path / "bars", source="test")
    first = coarse.frame.index[10]
    (found,) = finer_bars([coarse], "5m", start=first)
    assert (found.frame.index[0], len(found), found.venue) == (first, 30 * 12, "mine")
    assert len(finer_bars([coarse], "5m")[0]) == len(fine)
    assert finer_bars([coarse], None) is None
    with pytest.raises(DataError):
        finer_bars([coarse], "1m")
    with pytest.raises(InputError, match="finer timeframe"):
        finer_bars([coarse], "4h")
