"""The bars a runner knows, growing by one closed bar at a time and never rewritten, and the kernel's columns of the newest."""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from atb.domain import BAR_COLUMNS, Bars
from atb.engine.clusters import clusters
from atb.engine.columns import Columns
from atb.engine.prepare import lanes_of, latest
from atb.errors import DataError
from atb.live.portfolio import Portfolio


class History:
    """Closed bars so far, from the warm-up's first on.

    Parameters
    ----------
    bars
        What is known at the start; may be empty.
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


def newest_columns(portfolio: Portfolio, known: Mapping[int, History], closing: frozenset[int]) -> dict[int, Columns]:
    """Return the kernel's columns of the newest bar of each slot whose bar closes now.

    They are computed from that bar and the slot's warm-up before it, and from nothing else, so that a decision does not depend on
    when the runner was started.

    Parameters
    ----------
    known
        Every slot's bars so far.
    closing
        The slots whose newest bar closes now.
    """
    plans = portfolio.plans
    rows = {slot: latest(plans[slot].slot(known[slot].last(plans[slot].warmup + 1))) for slot in closing}
    return rows if portfolio.account.max_cluster is None else _clustered(rows, portfolio, known)


def _clustered(rows: dict[int, Columns], portfolio: Portfolio, known: Mapping[int, History]) -> dict[int, Columns]:
    """Number the clusters as the backtest does, from every slot's closes of the days before."""
    slots = [plan.slot(known[number].bars) for number, plan in enumerate(portfolio.plans)]
    numbers = clusters([lanes_of(slot).records for slot in slots], slots, portfolio.account)
    named = {}
    for slot, row in rows.items():
        signals = row.signals.copy()
        signals["cluster"] = numbers[slot][-1]
        named[slot] = Columns(row.lanes, type(row.wanted)(row.wanted.side, signals), row.prediction)
    return named
