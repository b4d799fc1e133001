"""Downsampling of figures: lines keep the extremes of each segment, candles are aggregated over whole bars."""

from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from atb.domain import Bars


def extreme_rows(values: NDArray[np.floating[Any]], points: int) -> NDArray[np.int64]:
    """Return ascending rows, at most about `points`: both ends, and the lowest and highest value of each segment.

    No peak and no trough of the line is lost, whatever its length. NaN are never extremes.
    """
    if len(values) <= points:
        return np.arange(len(values))
    stretches = max(1, points // 2 - 1)
    edges = np.linspace(0, len(values), stretches + 1).astype(np.int64)
    lows, highs = np.where(np.isnan(values), np.inf, values), np.where(np.isnan(values), -np.inf, values)
    rows = [0, len(values) - 1]
    for start, end in pairwise(edges.tolist()):
        rows += [start + int(lows[start:end].argmin()), start + int(highs[start:end].argmax())]
    return np.unique(np.array(rows, dtype=np.int64))


def candles(bars: Bars, most: int) -> tuple[pd.DataFrame, int]:
    """Return bars aggregated into at most `most` candles, and the number of bars per candle (1: the bars themselves).

    A candle covers a fixed span of time: bars on both sides of a hole are not drawn as one. Open is the first, close the last,
    high and low the extremes, volume the sum; the index is the first bar's open.
    """
    frame = bars.frame
    if len(frame) <= most:
        return frame, 1
    step = bars.timeframe.seconds * 1_000
    span = -(-len(frame) // (most - 1))  # the first candle may start in the middle of its span
    bucket = bars.opened_ms // (step * span)
    first = np.flatnonzero(np.concatenate([[True], bucket[1:] != bucket[:-1]]))
    while len(first) > most:  # gaps split spans
        span += 1
        bucket = bars.opened_ms // (step * span)
        first = np.flatnonzero(np.concatenate([[True], bucket[1:] != bucket[:-1]]))
    last = np.concatenate([first[1:], [len(frame)]]) - 1
    columns = {
        "open": frame["open"].to_numpy()[first],
        "high": np.maximum.reduceat(frame["high"].to_numpy(), first),
        "low": np.minimum.reduceat(frame["low"].to_numpy(), first),
        "close": frame["close"].to_numpy()[last],
        "volume": np.add.reduceat(frame["volume"].to_numpy(), first),
    }
    return pd.DataFrame(columns, index=frame.index[first]), span


def span_text(bars: Bars, span: int) -> str:
    """Return the candle's description: `1h bars`, or `candles of 6 1h bars`."""
    return f"{bars.timeframe} bars" if span == 1 else f"candles of {span} {bars.timeframe} bars"
