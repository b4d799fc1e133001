"""Rules of a stored series are read off all of it, whatever part is traded, and once."""

from decimal import Decimal

import numpy as np
import pandas as pd
import pytest

from atb.data import load_bars, rules_of
from atb.data.catalogue import series_rules
from atb.data.catalogue.writing import save_bars
from atb.domain.observed import observed_rules
from tests.bars import bars_of, frame_of


def series(*, volume_decimals: int = 3, start: str = "2022-06-01", n: int = 8_000):
    """Return a market whose volumes have the named decimals, and whose last 500 bars have whole ones."""
    rng = np.random.default_rng(3)
    close = np.round(100 * np.exp(np.cumsum(rng.normal(0, 0.001, n))), 2)
    volume = np.round(rng.lognormal(4, 0.5, n), volume_decimals)
    volume[-500:] = np.round(volume[-500:])
    return bars_of(frame_of(close, start=start).assign(volume=volume), venue="file")


@pytest.fixture
def root(tmp_path):
    save_bars(series(), root=tmp_path, source="test")
    return tmp_path


def part(root):
    return load_bars("BTC/USDT", "1h", root=root).slice(pd.Timestamp("2023-04-20", tz="UTC"), None)


def test_a_part_of_a_stored_series_has_the_rules_of_the_whole_one(root):
    whole = rules_of(load_bars("BTC/USDT", "1h", root=root), root=root)
    assert observed_rules(part(root)).lot == Decimal("0.01")
    assert whole.lot == Decimal("0.001")
    assert rules_of(part(root), root=root) == whole
    assert rules_of(part(root), root=root).source == whole.source
    assert whole.source.startswith("from the data, 8,000 bars")


def test_rules_are_read_off_once_and_again_when_the_series_changes(root, monkeypatch):
    kept = rules_of(part(root), root=root)
    with monkeypatch.context() as patched:
        patched.setattr(series_rules.observed, "observed_rules", None)
        assert rules_of(part(root), root=root) == kept
    save_bars(series(volume_decimals=5, start="2021-06-01", n=8_760), root=root, source="test")
    assert rules_of(part(root), root=root).lot == Decimal("0.00001")


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"read_off": {}, "rules": {}}'])
def test_kept_rules_that_cannot_be_read_are_read_off_again(root, text):
    kept = rules_of(part(root), root=root)
    (file,) = root.rglob("rules.json")
    file.write_text(text)
    assert rules_of(part(root), root=root) == kept


def test_a_damaged_year_that_is_not_traded_stops_nothing(root):
    damaged = next(root.rglob("2022.parquet"))
    content = damaged.read_bytes()
    damaged.write_bytes(content[:100] + bytes([content[100] ^ 1]) + content[101:])
    bars = load_bars("BTC/USDT", "1h", "2023-02-01", root=root)
    assert rules_of(bars, root=root).lot == Decimal("0.001")
    assert not list(root.rglob("rules.json"))


def test_bars_of_no_catalogue_tell_their_own_rules(root, tmp_path):
    assert rules_of(part(root), root=tmp_path / "empty").lot == Decimal("0.01")
