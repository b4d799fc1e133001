"""Bars along a drawn path, and the sides that a strategy takes on them."""

import numpy as np
import pandas as pd

from tests.bars import random_walk


def bars_along(path, spread=0.0):
    """Return bars whose closes follow a path, each from the close before, with highs and lows `spread` away."""
    close = np.asarray(path, dtype=float)
    opened = np.concatenate([close[:1], close[:-1]])
    index = random_walk(1).index[0] + pd.to_timedelta(np.arange(len(close)), unit="h")
    high, low = np.maximum(opened, close) + spread, np.minimum(opened, close) - spread
    columns = {"open": opened, "high": high, "low": low, "close": close, "volume": np.ones(len(close))}
    return pd.DataFrame(columns, index=index)


def sides(strategy, bars):
    return strategy.signals(bars.join(strategy.features(bars))).side
