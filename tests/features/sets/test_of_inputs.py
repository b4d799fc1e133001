"""Feature sets that read inputs, against rows made by hand."""

import numpy as np
import pandas as pd
import pytest

from atb.domain import Symbol, Timeframe
from atb.domain.input_series import InputSeries
from atb.features.sets import feature_set
from tests.bars import START, bars_of, random_walk

HOUR_MS = 3_600_000
BARS = random_walk(240, seed=3)
CLOSES = BARS.index.as_unit("ms").asi8 + HOUR_MS
OWN = Symbol.parse("ETH/USDT"), Timeframe.parse("1h")


def events(name: str, frame: pd.DataFrame):
    """Return the input of a set over given rows."""
    features = feature_set(name)
    ((key, declared),) = features.inputs.items()
    return features, {key: InputSeries.of_events(declared.resolved(*OWN), frame).known(CLOSES)}


def test_a_rate_is_of_eight_hours_whatever_its_interval():
    """0.01 % for 8 hours is 1; the same rate paid each hour is 8 times as much."""
    start = pd.Timestamp(START, tz="UTC")
    slow = pd.date_range(start - pd.Timedelta(days=40), start + pd.Timedelta(days=5), freq="8h")
    fast = pd.date_range(slow[-1] + pd.Timedelta(hours=1), periods=48, freq="1h")
    frame = pd.DataFrame({"funding_rate": 1e-4}, index=slow.append(fast))
    features, known = events("funding", frame)
    rate = features.compute(BARS, known)["funding_rate"]
    assert rate.iloc[0] == pytest.approx(1.0)
    assert rate.iloc[5 * 24 + 20] == pytest.approx(8.0)
    assert np.isnan(rate.iloc[-1])  # the last payment is too old by then


def test_a_mood_counts_from_its_publication_and_not_before():
    days = pd.date_range(pd.Timestamp(START, tz="UTC") - pd.Timedelta(days=40), periods=60, freq="1D")
    value = np.full(60, 20.0)
    value[42:] = 90.0  # stated on the third day
    frame = pd.DataFrame({"value": value, "published": days + pd.Timedelta(hours=30)}, index=days)
    features, known = events("sentiment", frame)
    level = features.compute(BARS, known)["mood_level"]
    turned = level.index[(level > 0).to_numpy()][0]
    assert turned == days[42] + pd.Timedelta(hours=29)  # the bar that closes at the publication
    assert level.iloc[0] == pytest.approx(20 / 50 - 1)


def test_a_market_is_not_ahead_of_itself():
    features = feature_set("cross_asset")
    rows = InputSeries.of_bars(features.inputs["market"].resolved(*OWN), bars_of(BARS, "BTC/USDT"))
    found = features.compute(BARS, {"market": rows.known(CLOSES)}).iloc[features.warmup :]
    assert (found[["ahead_1", "ahead_6", "ahead_24"]] == 0).all(axis=None)
    assert (found["market_24"].abs() > 0).all()
