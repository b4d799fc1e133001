"""The bars a runner knows: a series that grows by one closed bar at a time and is never rewritten."""

import numpy as np
import pandas as pd

from atb.domain import BAR_COLUMNS, Bars
from atb.errors import DataError


class History:
    """Closed bars so far, from the warm-up's first on.

    Parameters
    ----------
    bars
        What is known at the start, at least one bar or none.
    """

    def __init__(self, bars: Bars) -> None:
        self._like = bars
        self._count = 0
        self._opened = np.empty(max(1_024, 2 * len(bars)), dtype=np.int64)
        self._values = np.empty((len(BAR_COLUMNS), len(self._opened)))
        self._extend(bars)

    def append(self, bar: Bars) -> None:
        """Add newly closed bars.

        Raises
        ------
        DataError
            If a bar does not come after the last one.
        """
        if self._count and bar.opened_ms[0] <= self._opened[self._count - 1]:
            raise DataError("A bar came twice or out of order", found=str(bar.frame.index[0]))
        self._extend(bar)

    def _extend(self, bars: Bars) -> None:
        end = self._count + len(bars)
        while end > len(self._opened):
            self._opened = np.concatenate([self._opened, np.empty_like(self._opened)])
            self._values = np.concatenate([self._values, np.empty_like(self._values)], axis=1)
        self._opened[self._count : end] = bars.opened_ms
        for row, name in enumerate(BAR_COLUMNS):
            self._values[row, self._count : end] = bars.frame[name].to_numpy()
        self._count = end

    @property
    def last_ms(self) -> int | None:
        """Open of the newest bar, epoch milliseconds; None while there is none."""
        return int(self._opened[self._count - 1]) if self._count else None

    @property
    def bars(self) -> Bars:
        """The whole series."""
        return self.last(self._count)

    def last(self, count: int) -> Bars:
        """Return the newest `count` bars, or all where there are fewer; what was given out never changes."""
        known = slice(max(0, self._count - count), self._count)
        opened = self._opened[known].astype("datetime64[ms]").astype("datetime64[us]")
        index = pd.DatetimeIndex(opened, tz="UTC", name="timestamp")
        frame = pd.DataFrame(self._values[:, known].copy().T, index=index, columns=list(BAR_COLUMNS), copy=False)
        return Bars(self._like.symbol, self._like.timeframe, frame, self._like.venue)
