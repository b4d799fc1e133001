"""Checks that every causal column must pass, and a prediction made by hand for strategies that want one."""

from collections.abc import Callable, Iterable
from functools import cache

import numpy as np
import pandas as pd

from atb.domain import Signals, Strategy, Symbol, Timeframe
from atb.domain.input_series import InputSeries
from atb.domain.inputs import BarsInput, FundingInput, Known
from atb.features.sets import FEATURE_SETS, FeatureSet
from tests.bars import START, bars_of, random_walk

CUTS = (1, 2, 30, 77, 540, 541, 700, 899)  # lengths of the histories that are compared with the whole one


def prefix_differences(
    compute: Callable[[pd.DataFrame], np.ndarray], bars: pd.DataFrame, cuts: Iterable[int] = CUTS
) -> list[int]:
    """Return the cuts at which f(bars[:n]) and f(bars)[:n] differ in any bit: none for a function blind to the future."""
    whole = compute(bars)
    return [cut for cut in cuts if compute(bars.iloc[:cut]).tobytes() != whole[:cut].tobytes()]


def odds(bars: pd.DataFrame, missing: int = 40) -> np.ndarray:
    """Return a causal toy prediction, 0 to 1 around an even chance, NaN in the first `missing` rows."""
    moved = (bars["close"] / bars["open"] - 1).to_numpy()
    confidence = 0.5 + 0.5 * np.tanh(15 * moved)
    confidence[:missing] = np.nan
    return confidence


class Odds:
    """The toy prediction behind the port of a model."""

    warmup = 40
    fingerprint = "0" * 64

    def predict(self, bars: pd.DataFrame) -> np.ndarray:
        return odds(bars, self.warmup)


def frame_for(strategy: Strategy, bars: pd.DataFrame) -> pd.DataFrame:
    """Return the frame that `signals` reads: bars, features and, if wanted, a prediction."""
    frame = bars.join(strategy.features(bars))
    return frame.assign(prediction=odds(bars)) if strategy.predicts else frame


def signal_columns(strategy: Strategy, bars: pd.DataFrame) -> np.ndarray:
    """Return a strategy's signals as rows x columns."""
    return stacked(strategy.signals(frame_for(strategy, bars)))


def stacked(signals: Signals) -> np.ndarray:
    """Return side and whatever else a strategy says, column by column."""
    columns = (signals.side, signals.confidence, signals.atr, signals.stop)
    return np.column_stack([column for column in columns if column is not None])


HOUR_MS = 3_600_000


@cache
def input_rows(features: str) -> dict[str, InputSeries]:
    """Return rows of every input that a feature set declares, from 60 days before `tests.bars.START` on."""
    rng, declared = np.random.default_rng(11), FEATURE_SETS[features].inputs
    found = {}
    for name, one in declared.items():
        resolved = one.resolved(Symbol.parse("ETH/USDT"), Timeframe.parse("1h"))
        start = pd.Timestamp(START, tz="UTC") - pd.Timedelta(days=60)
        if isinstance(resolved, BarsInput):
            frame = random_walk(3_500, seed=21)
            frame.index = pd.date_range(start, periods=len(frame), freq="1h", name="timestamp")
            found[name] = InputSeries.of_bars(resolved, bars_of(frame, str(resolved.symbol)))
            continue
        if isinstance(resolved, FundingInput):
            times = pd.date_range(start, periods=430, freq="8h")
            frame = pd.DataFrame({"funding_rate": rng.normal(1e-4, 1e-4, len(times))}, index=times)
        else:
            times = pd.date_range(start, periods=145, freq="1D")
            mood = np.clip(50 + np.cumsum(rng.normal(0, 6, len(times))), 1, 99).round()
            frame = pd.DataFrame({"value": mood, "published": times + pd.Timedelta(hours=25)}, index=times)
        found[name] = InputSeries.of_events(resolved, frame)
    return found


def inputs_for(features: FeatureSet, bars: pd.DataFrame) -> dict[str, Known]:
    """Return what a feature set is handed over these hourly bars."""
    closes = bars.index.as_unit("ms").asi8 + HOUR_MS
    return {name: rows.known(closes) for name, rows in input_rows(features.name).items()}


def feature_values(features: FeatureSet, bars: pd.DataFrame) -> np.ndarray:
    """Return a feature set's values, rows x columns, with made inputs."""
    return features.values(bars, inputs_for(features, bars))
