"""Trend times volatility: what a market is called, and what that depends on."""

import dataclasses

import numpy as np
import pandas as pd
import pytest

from atb.errors import InputError
from atb.features.regimes import PRESETS, TrendVolatility
from tests.bars import frame_of, random_walk

SHORT = TrendVolatility(slope_window=20, rank_window=60, dwell=6, memory=60)


def market(drift: float, n: int = 400) -> pd.DataFrame:
    wave = 0.002 * np.sin(np.arange(n) / 3)
    return frame_of(100 * np.exp(drift * np.arange(n) + wave), spread=0.001)


@pytest.mark.parametrize(("drift", "trend"), [(0.002, 1.0), (-0.002, -1.0)])
def test_a_market_that_moves_one_way_has_that_trend(drift, trend):
    assert (SHORT.compute(market(drift))["trend"].iloc[SHORT.warmup :] == trend).all()


def test_a_market_that_goes_nowhere_has_no_trend():
    flat = frame_of(np.tile([100.0, 101.0], 200))
    assert (SHORT.compute(flat)["trend"].iloc[SHORT.warmup :] == 0).all()


def test_prices_that_stand_still_are_calm_and_without_trend():
    found = SHORT.compute(frame_of(np.full(300, 0.7))).iloc[SHORT.warmup :]
    assert (found["regime"] == SHORT.labels.index("range_low")).all()
    assert (found["confidence"] == 0).all()


def test_wide_bars_after_narrow_ones_are_high_volatility():
    close = 100 * np.exp(np.random.default_rng(1).normal(0, np.r_[np.full(300, 0.001), np.full(40, 0.02)]).cumsum())
    volatility = SHORT.compute(frame_of(close))["volatility"]
    assert volatility.iloc[299] == 0
    assert volatility.iloc[320] == 1


def test_the_regime_names_both_its_parts():
    found = SHORT.compute(random_walk(900, 4)).iloc[SHORT.warmup :]
    for trend, volatility, regime in found[["trend", "volatility", "regime"]].drop_duplicates().to_numpy():
        name = f"{('down', 'range', 'up')[int(trend) + 1]}_{('low', 'high')[int(volatility)]}"
        assert SHORT.labels[int(regime)] == name
    assert found["regime"].nunique() == 6
    assert found["confidence"].between(0, 1).all()
    assert found["age"].between(1, SHORT.dwell).all()


@pytest.mark.parametrize(
    ("less", "more"), [({"confirmations": 1}, {"confirmations": 4}), ({"dwell": 1}, {"dwell": 12})]
)
def test_each_rule_of_the_hysteresis_saves_switches(less, more):
    bars = random_walk(1500, 6)
    few, many = (
        np.count_nonzero(np.diff(dataclasses.replace(SHORT, **rule).compute(bars)["regime"].dropna()))
        for rule in (more, less)
    )
    assert few < 0.8 * many


def test_presets_suit_their_timeframes():
    assert TrendVolatility.of_timeframe("4h") is PRESETS["4h"]
    assert TrendVolatility.of_timeframe("15m") is PRESETS["1h"]
    assert TrendVolatility.of_timeframe("1w") is PRESETS["1d"]


@pytest.mark.parametrize(
    ("wrong", "said"),
    [({"slope_window": 2}, "slope_window"), ({"rank_window": 1}, "rank_window"), ({"atr_window": 0}, "atr_window"),
     ({"min_r2": 1.5}, "min_r2"), ({"high": float("nan")}, "high"), ({"trend_threshold": -0.1}, "trend_threshold"),
     ({"dwell": 200}, "memory")],
)  # fmt: skip
def test_parameters_that_mean_nothing_are_refused(wrong, said):
    with pytest.raises(InputError, match=said):
        TrendVolatility(**wrong)


def test_a_bar_without_a_price_is_refused():
    bars = random_walk(700, 1)
    bars.iloc[650, bars.columns.get_loc("close")] = np.nan
    with pytest.raises(InputError, match="price above 0"):
        SHORT.compute(bars)
