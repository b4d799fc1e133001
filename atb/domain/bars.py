"""A series of closed bars of one symbol and timeframe, with where it came from and its fingerprint."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from atb.domain.symbol import Symbol
from atb.domain.timeframe import Timeframe

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import ArrayLike, NDArray

FEW = 4  # series that a title names one by one
BAR_COLUMNS = ("open", "high", "low", "close", "volume")
SYNTHETIC = "synthetic"


def bar_index(opened_ms: "ArrayLike") -> "pd.DatetimeIndex":
    """Return the index of bars that open at these epoch milliseconds: UTC, in microseconds, named `timestamp`."""
    import numpy as np
    import pandas as pd

    opened = np.asarray(opened_ms)
    if opened.dtype == np.int64:  # numpy's own conversion checks each value, and takes four times as long
        micros = (opened * 1_000).view("datetime64[us]")
    else:
        micros = opened.astype("datetime64[ms]").astype("datetime64[us]")
    return pd.DatetimeIndex(micros, tz="UTC", name="timestamp", copy=False)


@dataclass(frozen=True)
class Bars:
    """Closed bars.

    Parameters
    ----------
    symbol, timeframe
        What the bars are of.
    frame
        Columns `open high low close volume` (prices in quote per base, volume in base, float64) on a tz-aware UTC
        `DatetimeIndex` named `timestamp`: the **open** time of each bar, strictly increasing.
    venue
        Where the bars come from: an exchange's ccxt id, `synthetic`, or a name given at import.
    gaps
        Known holes as (first missing open, first open after it); never filled.
    """

    symbol: Symbol
    timeframe: Timeframe
    frame: "pd.DataFrame"
    venue: str = ""
    gaps: tuple[tuple["pd.Timestamp", "pd.Timestamp"], ...] = field(default=())

    def __len__(self) -> int:
        """Return the number of bars."""
        return len(self.frame)

    @property
    def synthetic(self) -> bool:
        """Whether the bars were generated and are not a market's."""
        return self.venue == SYNTHETIC

    @property
    def label(self) -> str:
        """The name of this series in titles and reports."""
        return f"{self.symbol} {self.timeframe} · " + (
            "SYNTHETIC data" if self.synthetic else self.venue or "unnamed source"
        )

    @cached_property
    def opened_ms(self) -> "NDArray[np.int64]":
        """Open times in epoch milliseconds."""
        index: Any = self.frame.index
        if index.unit == "us":  # the usual one; pandas' own conversion checks what opens of bars cannot violate
            return index.asi8 // 1000  # type: ignore[no-any-return] # untyped in its stubs
        return index.as_unit("ms").asi8.copy()  # type: ignore[no-any-return] # untyped in its stubs

    @cached_property
    def closed_ms(self) -> "NDArray[np.int64]":
        """Close times in epoch milliseconds: when each bar became known."""
        return self.timeframe.closes_ms(self.opened_ms)

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 over identity, open times and the bytes of every column: equal content, equal fingerprint."""
        import numpy as np

        digest = hashlib.sha256(f"{self.symbol} {self.timeframe} {self.venue}".encode())
        digest.update(np.ascontiguousarray(self.opened_ms, dtype="<i8").tobytes())
        for column in BAR_COLUMNS:
            digest.update(np.ascontiguousarray(self.frame[column].to_numpy(), dtype="<f8").tobytes())
        return digest.hexdigest()

    def rows(self, first: int, end: int) -> "Bars":
        """Return the bars of rows [first, end), counted from 0; gaps are not carried along."""
        return Bars(self.symbol, self.timeframe, self.frame.iloc[first:end], self.venue)

    def last(self, count: int) -> "Bars":
        """Return the newest `count` bars, or all where there are fewer; gaps are not carried along."""
        return self.rows(max(0, len(self.frame) - count), len(self.frame))

    def slice(self, start: "pd.Timestamp | None" = None, end: "pd.Timestamp | None" = None) -> "Bars":
        """Return the bars that open in [start, end)."""
        frame = self.frame
        if start is not None:
            frame = frame[frame.index >= start]
        if end is not None:
            frame = frame[frame.index < end]
        if frame.empty:
            return Bars(self.symbol, self.timeframe, frame, self.venue)
        first, last = frame.index[0], frame.index[-1]
        kept = tuple(gap for gap in self.gaps if first < gap[0] <= gap[1] <= last)
        return Bars(self.symbol, self.timeframe, frame, self.venue, kept)


def series_label(series: Iterable[Bars]) -> str:
    """Return the names of several series for a title; of many the first ones, and how many more there are."""
    labels = list(dict.fromkeys(bars.label for bars in series))
    return (
        "; ".join(labels) if len(labels) <= FEW else f"{'; '.join(labels[: FEW - 2])} and {len(labels) - FEW + 2} more"
    )
