"""Feature sets of a market's own bars against markets made by hand."""

import numpy as np
import pandas as pd
import pytest

from atb.errors import InputError
from atb.features.sets import feature_set
from tests.bars import frame_of, random_walk


def test_imbalance_says_who_traded():
    """Twelve rising bars and then twelve falling ones, all of one volume."""
    bars = frame_of(np.concatenate([np.arange(100.0, 800.0), np.arange(798.0, 786.0, -1)]))
    imbalance = feature_set("basic").compute(bars)["imbalance_24"]
    assert imbalance.iloc[-13] == pytest.approx(1)
    assert imbalance.iloc[-1] == pytest.approx(0)


def test_wick_is_above_zero_where_lows_were_bought_back():
    bars = random_walk(700, seed=1)
    hammered = bars.assign(low=bars["low"] * 0.95)
    assert (feature_set("basic").compute(hammered)["wick_12"].iloc[540:] > 0.3).all()


def test_momentum_is_in_units_of_volatility():
    """A bar that moves ten times as far as the bars before it shows as a large, but limited, number."""
    close = 100 * np.exp(np.cumsum(np.tile([0.001, -0.001], 350)))
    close[-1] = close[-2] * np.exp(0.01)
    momentum = feature_set("basic").compute(frame_of(close))["momentum_1"].iloc[-1]
    expected = 0.01 / np.sqrt((71 * 0.001**2 + 0.01**2) / 72)
    assert momentum == pytest.approx(expected, rel=1e-6)


def test_refuses_an_unknown_set_and_names_the_nearest():
    with pytest.raises(InputError, match="Did you mean 'basic'"):
        feature_set("basics")


def test_a_window_of_prices_has_the_newest_first():
    bars = frame_of(np.linspace(100.0, 130.0, 60))
    row = feature_set("price_windows").compute(bars).iloc[-1]
    assert row["close_0"] > row["close_1"] > row["close_23"]
    assert abs(row.mean()) < 1e-12
    assert (row**2).mean() == pytest.approx(1.0)


def test_volatility_sees_that_a_market_woke_up():
    rng = np.random.default_rng(4)
    steps = np.concatenate([rng.normal(0, 0.001, 800), rng.normal(0, 0.01, 24)])
    found = feature_set("volatility").compute(frame_of(100 * np.exp(np.cumsum(steps)), spread=0.0005)).iloc[-1]
    assert found["realised_24_168"] > 2
    assert found["realised_rank_168"] > 0.9


def test_technical_agrees_that_a_market_rises():
    rising = frame_of(100 * np.exp(0.001 * np.arange(800) + 0.0004 * np.sin(np.arange(800))), spread=0.001)
    row = feature_set("technical").compute(rising).iloc[-1]
    assert (row[["rsi_14", "stochastic_14", "williams_14", "bollinger_20", "directional_14", "aroon_25"]] > 0.3).all()


@pytest.mark.parametrize(
    ("opened", "day", "week", "weekend"),
    [
        ("2024-01-01 00:00", 0.0, 0.0, 0.0),  # a Monday
        ("2024-01-05 18:00", 0.75, 4.75 / 7, 0.0),  # a Friday
        ("2024-01-06 00:00", 0.0, 5 / 7, 1.0),
        ("2024-01-07 12:00", 0.5, 6.5 / 7, 1.0),
    ],
)
def test_the_calendar_is_the_hour_and_the_weekday_in_utc(opened, day, week, weekend):
    bars = random_walk(1, seed=1).set_index(pd.DatetimeIndex([opened], tz="UTC"))
    row = feature_set("calendar").compute(bars).iloc[0]
    for name, part in (("day", day), ("week", week)):
        assert row[f"{name}_sin"] == pytest.approx(np.sin(2 * np.pi * part), abs=1e-12)
        assert row[f"{name}_cos"] == pytest.approx(np.cos(2 * np.pi * part), abs=1e-12)
    assert row["weekend"] == weekend


def test_an_unknown_set_is_answered_with_the_nearest():
    with pytest.raises(InputError, match=r"Unknown feature set; found 'tecnical'.*technical"):
        feature_set("tecnical")
