"""Checks that every causal column must pass, and a prediction made by hand for strategies that want one."""

from collections.abc import Callable, Iterable

import numpy as np
import pandas as pd

from atb.domain import Signals, Strategy

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
