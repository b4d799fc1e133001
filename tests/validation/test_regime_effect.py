"""The effect of regimes: dwell and changes counted by hand, intervals that cover, and a test that finds what is planted."""

import numpy as np
import pandas as pd
import pytest

from atb.domain import Bars
from atb.errors import InputError
from atb.validation.regime_effect import RegimeEffect, regime_effect
from tests.bars import bars_of, frame_of, random_walk
from tests.seeds import seeds


def persistent(n: int, seed: int, *, lasts: int = 30, labels: int = 2) -> np.ndarray:
    """Return labels in stretches of random length, drawn without a look at any price."""
    rng = np.random.default_rng(seed)
    lengths = rng.geometric(1 / lasts, n) + 1
    return np.repeat(rng.permutation(n) % labels, lengths)[:n].astype(float)


def effect_of(bars: Bars, codes: np.ndarray, labels=("a", "b"), **options) -> RegimeEffect:
    return regime_effect(bars, pd.Series(codes, bars.frame.index), labels, **options)


def market(codes: np.ndarray, *, drift: float = 0.0, size: float = 1.0, seed: int = 0) -> Bars:
    """Return bars whose return after a bar of regime 1 is moved by `drift` and widened by `size`."""
    rng = np.random.default_rng(seed)
    before = np.concatenate([[0.0], codes[:-1]])
    return bars_of(frame_of(100 * np.exp(np.cumsum(rng.normal(0, 0.01, len(codes)) * size**before + drift * before))))


def test_stretches_and_changes_are_counted():
    codes = np.r_[np.full(100, np.nan), np.zeros(300), np.ones(50), np.full(20, np.nan), np.ones(100), np.zeros(430)]
    found = effect_of(bars_of(random_walk(1_000, 1)), codes)
    assert {name: lengths.tolist() for name, lengths in found.dwells.items()} == {"a": [300, 430], "b": [50, 100]}
    assert (found.bars, found.undecided) == (880, 20)
    assert found.table["share"].tolist() == pytest.approx([730 / 880, 150 / 880])
    assert found.table["dwell_bars"].tolist() == [365.0, 75.0]
    assert found.table["longest_bars"].tolist() == [430, 100]
    assert found.switches.loc[2024] == pytest.approx(2 * 8_760 / 880)
    assert found.switches_per_year == pytest.approx(2 * 8_760 / 880)


def test_figures_are_those_of_the_next_bar():
    codes = persistent(3_000, 2)
    bars = market(codes, drift=0.004, size=2.0)
    found, returns = effect_of(bars, codes).table, np.diff(np.log(bars.frame["close"].to_numpy()))
    for code, name in enumerate("ab"):
        after = returns[codes[:-1] == code]
        assert found.loc[name, "return_pct"] == pytest.approx(100 * 8_760 * after.mean())
        assert found.loc[name, "volatility_pct"] == pytest.approx(100 * 8_760**0.5 * after.std())
        assert found.loc[name, "return_pct_low"] < found.loc[name, "return_pct"] < found.loc[name, "return_pct_high"]


def test_a_planted_effect_is_found_by_its_kind():
    codes = persistent(4_000, 3)
    drift, size = (effect_of(market(codes, **planted), codes) for planted in ({"drift": 0.003}, {"size": 1.5}))
    assert drift.p_return < 0.01
    assert "return of the next bar differs" in drift.verdict
    assert size.p_volatility < 0.01
    assert size.p_return > 0.05
    assert "does not differ by regime" in size.verdict


def test_labels_that_know_nothing_are_seldom_thought_to():
    """Also where volatility clusters, and a test that took bars for independent would find something each time."""
    found = []
    for seed in range(60):
        rng = np.random.default_rng(1_000 + seed)
        wild = persistent(2_000, 2_000 + seed, lasts=60)
        bars = bars_of(frame_of(100 * np.exp(np.cumsum(rng.normal(0, 0.004 + 0.012 * wild)))))
        effect = effect_of(bars, persistent(2_000, seed, lasts=60))
        found.append((effect.p_return < 0.05, effect.p_volatility < 0.05))
    assert np.mean(found, axis=0).max() <= 0.15


@pytest.mark.parametrize("seed", seeds(3, quick=1))
def test_intervals_cover_what_is_true(seed):
    covered = []
    for draw in range(40):
        codes = persistent(4_000, 100 * seed + draw)
        table = effect_of(market(codes, drift=0.002, seed=100 * seed + draw), codes).table
        true = 100 * 8_760 * np.array([0.0, 0.002])
        covered += ((table["return_pct_low"] < true) & (true < table["return_pct_high"])).tolist()
    assert np.mean(covered) > 0.85


def test_a_regime_of_the_same_bar_is_no_effect_on_the_next():
    """Labels that say whether the bar itself rose: the strongest tie there is, and nothing to trade on."""
    bars = bars_of(random_walk(4_000, 5))
    rose = (bars.frame["close"].diff() > 0).to_numpy().astype(float)
    assert effect_of(bars, rose).p_return > 0.05


def test_a_return_over_a_hole_is_not_the_next_bars():
    codes = persistent(2_000, 6)
    bars = market(codes)
    frame = bars.frame.copy()
    frame.iloc[1_000:] *= 50
    holed = Bars(bars.symbol, bars.timeframe, frame.drop(frame.index[990:1_000]), bars.venue)
    found = effect_of(holed, np.delete(codes, range(990, 1_000)))
    assert found.table["volatility_pct"].max() < 120


def test_the_same_seed_gives_the_same_intervals():
    codes = persistent(1_000, 7)
    bars = market(codes)
    tables = [effect_of(bars, codes, seed=seed).table for seed in (1, 1, 2)]
    pd.testing.assert_frame_equal(tables[0], tables[1], check_exact=True)
    assert not tables[0].equals(tables[2])


def test_a_rare_regime_has_no_interval():
    codes = np.r_[np.zeros(600), np.ones(100), np.zeros(600)]
    table = effect_of(bars_of(random_walk(1_300, 8)), codes).table
    assert table[["return_pct_low", "volatility_pct_high"]].isna().all(axis=None)
    assert table[["return_pct", "volatility_pct"]].notna().all(axis=None)


@pytest.mark.parametrize(
    ("codes", "said"),
    [(np.zeros(500), "Only one regime"), (np.full(500, np.nan), "Too few bars"),
     (np.r_[np.zeros(250), np.full(250, 2.0)], "Of a, b"),
     (np.full(500, 0.5), "index into"), (np.full(500, -1.0), "index into"), (np.zeros(499), "not of these bars")],
)  # fmt: skip
def test_regimes_that_cannot_be_judged_are_refused(codes, said):
    bars = bars_of(random_walk(500, 9))
    with pytest.raises(InputError, match=said):
        regime_effect(bars, pd.Series(codes, bars.frame.index[: len(codes)]), ("a", "b"))
