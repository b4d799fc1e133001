"""Downsampling of figures: lines keep the extremes of each segment, candles are aggregated over whole bars."""

from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from atb.domain import Bars
from atb.domain.bars import BAR_COLUMNS


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
    span = fitting_span(bars.opened_ms, step, most)
    first = candle_starts(bars.opened_ms, step * span)
    columns = {name: frame[name].to_numpy() for name in BAR_COLUMNS}
    return pd.DataFrame(candle_values(columns, first), index=frame.index[first]), span


def fitting_span(opened_ms: NDArray[np.int64], step: int, most: int) -> int:
    """Return the smallest number of bars per candle, not below the average, with which there are at most `most` candles.

    Parameters
    ----------
    opened_ms
        Opens of the bars, epoch milliseconds.
    step
        Duration of a bar in milliseconds.
    most
        At least 2.
    """
    if len(opened_ms) <= most:
        return 1
    span = -(-len(opened_ms) // (most - 1))  # the first candle may start in the middle of its span
    while len(candle_starts(opened_ms, step * span)) > most:  # gaps split spans
        span += 1
    return span


def candle_starts(opened_ms: NDArray[np.int64], duration: int) -> NDArray[np.int64]:
    """Return the rows with which a new candle of `duration` (milliseconds) starts."""
    bucket = opened_ms // duration
    return np.flatnonzero(np.concatenate([[True], bucket[1:] != bucket[:-1]])) if len(bucket) else np.zeros(0, np.int64)


def candle_values(columns: Mapping[str, Any], first: NDArray[np.int64]) -> dict[str, NDArray[np.float64]]:
    """Return open, high, low, close and volume of the candles that start with these rows of `columns`."""
    values = {name: np.asarray(columns[name], dtype=np.float64) for name in BAR_COLUMNS}
    last = np.concatenate([first[1:], [len(values["open"])]]) - 1
    return {
        "open": values["open"][first],
        "high": np.maximum.reduceat(values["high"], first),
        "low": np.minimum.reduceat(values["low"], first),
        "close": values["close"][last],
        "volume": np.add.reduceat(values["volume"], first),
    }


def span_text(bars: Bars, span: int) -> str:
    """Return the candle's description: `1h bars`, or `candles of 6 1h bars`."""
    return f"{bars.timeframe} bars" if span == 1 else f"candles of {span} {bars.timeframe} bars"
