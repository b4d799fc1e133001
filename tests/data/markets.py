"""Series that span years, with and without holes, for the tests of the catalogue."""

from pathlib import Path

import numpy as np
import pandas as pd

from atb.data import save_bars
from atb.domain import Bars, Symbol, Timeframe
from tests.bars import random_walk


def days(
    n: int = 800, *, start: str = "2021-06-01", seed: int = 1, venue: str = "test", symbol: str = "BTC/USDT"
) -> Bars:
    """Return `n` daily bars that cross at least one new year."""
    index = pd.date_range(start, periods=n, freq="D", tz="UTC", name="timestamp")
    return Bars(Symbol.parse(symbol), Timeframe.parse("1d"), random_walk(n, seed).set_axis(index), venue)


def part(bars: Bars, start: str | None = None, end: str | None = None) -> Bars:
    """Return the bars that open in [start, end)."""
    return bars.slice(*(pd.Timestamp(text, tz="UTC") if text else None for text in (start, end)))


def without(bars: Bars, start: str, end: str, *, known: bool = False) -> Bars:
    """Return bars with a hole from `start` up to `end`, recorded as known or not."""
    gap = tuple(pd.Timestamp(text, tz="UTC") for text in (start, end))
    inside = (bars.frame.index >= gap[0]) & (bars.frame.index < gap[1])
    assert inside.any()
    return Bars(bars.symbol, bars.timeframe, bars.frame[~inside], bars.venue, (gap,) if known else ())


def with_price(bars: Bars, row: int, *, by: float = 1.0) -> Bars:
    """Return bars whose row has all prices moved by `by`."""
    frame = bars.frame.copy()
    frame.iloc[row, :4] = np.asarray(frame.iloc[row, :4]) + by
    return Bars(bars.symbol, bars.timeframe, frame, bars.venue, bars.gaps)


def store(root: Path, *series: Bars, **options: object) -> Path:
    """Save series and return the folder."""
    for bars in series:
        save_bars(bars, root=root, source="test", **options)  # type: ignore[arg-type]
    return root
