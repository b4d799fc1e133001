"""The market as a runner sees it: moments of closing bars, the feed they come from, and the history the kernel decides on."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import pandas as pd

from atb.domain import BAR_COLUMNS, Bars, Timeframe
from atb.domain.bars import bar_index
from atb.domain.input_series import InputSeries
from atb.engine.clusters import clusters
from atb.engine.columns import Columns
from atb.engine.prepare import bar_columns_of, latest
from atb.errors import DataError
from atb.live.journal.step import Notice
from atb.live.portfolio import Portfolio


@dataclass(frozen=True)
class Moment:
    """Bars by slot, each a series of one row.

    Parameters
    ----------
    time_ms
        The moment, epoch milliseconds UTC: the close of `closing` and the open of `opening`.
    closing
        Bars that close now, to be decided on.
    opening
        Bars that open now, as far as they are known yet; only their open may be used.
    finest
        The shortest timeframe traded, whether a bar of it closes now or not; None takes the shortest that closes.
    inputs
        By slot that closes and by name, the rows of inputs that became known since its last close.
    late
        True if another slot has already reached this time: equity for it was written then, and is not written again.
    """

    time_ms: int
    closing: Mapping[int, Bars] = field(default_factory=dict)
    opening: Mapping[int, Bars] = field(default_factory=dict)
    finest: Timeframe | None = None
    late: bool = False
    inputs: Mapping[int, Mapping[str, InputSeries]] = field(default_factory=dict)

    @property
    def bar_ms(self) -> int | None:
        """Open of the finest bar that ends now, None if none closes or all are late: each has its own, as in a backtest."""
        if not self.closing or self.late:
            return None
        shortest = min(self.closing.values(), key=lambda bar: bar.timeframe.seconds)
        finest = self.finest or shortest.timeframe
        if finest.unit == "M" or finest == shortest.timeframe:
            return int(shortest.opened_ms[-1])
        return self.time_ms - finest.seconds * 1_000


class Feed(Protocol):
    """Source of closed bars, one moment at a time; the loop writes its `notices` to the audit trail."""

    notices: list[Notice]

    def histories(self) -> dict[int, Bars]:
        """Return by slot the bars known at the start: the warm-up, and the bars traded already."""
        ...

    def input_histories(self) -> Mapping[int, Mapping[str, InputSeries]]:
        """Return by slot and name the rows of inputs known at the start, their warm-up included."""
        ...

    def next_ms(self) -> int | None:
        """Return when the next bar closes or opens, epoch milliseconds; None at the end of the feed."""
        ...

    async def take(self) -> Moment | None:
        """Return the next moment once its time has come; None if there is nothing yet."""
        ...


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
        """Return a copy of the newest `count` bars, or of all if there are fewer."""
        known = slice(max(0, self._count - count), self._count)
        index = bar_index(self._opened[known])
        frame = pd.DataFrame(self._values[:, known].copy().T, index=index, columns=list(BAR_COLUMNS), copy=False)
        return Bars(self._like.symbol, self._like.timeframe, frame, self._like.venue)


def newest_columns(
    portfolio: Portfolio, known: Mapping[int, History], closing: Iterable[int], *,
    inputs: Mapping[int, Mapping[str, InputSeries]] | None = None,
) -> dict[int, Columns]:  # fmt: skip
    """Return the kernel's columns of the newest bar of each slot whose bar closes now.

    They are computed from that bar and the slot's warm-up before it, from the inputs known then with theirs, and from nothing else,
    so that a decision does not depend on when the runner was started.

    Parameters
    ----------
    known
        Every slot's bars so far.
    closing
        The slots whose newest bar closes now; the answer is in their order.
    inputs
        Every slot's rows of inputs so far, by name.
    """
    plans, handed = portfolio.plans, inputs or {}
    rows = {
        slot: latest(plans[slot].slot(known[slot].last(plans[slot].warmup + 1), handed.get(slot))) for slot in closing
    }
    return rows if portfolio.account.max_cluster is None else _clustered(rows, portfolio, known, inputs=handed)


def _clustered(
    rows: dict[int, Columns], portfolio: Portfolio, known: Mapping[int, History], *,
    inputs: Mapping[int, Mapping[str, InputSeries]],
) -> dict[int, Columns]:  # fmt: skip
    """Number the clusters as the backtest does, from every slot's closes of the days before."""
    slots = [plan.slot(known[number].bars, inputs.get(number)) for number, plan in enumerate(portfolio.plans)]
    numbers = clusters([bar_columns_of(slot).records for slot in slots], slots, portfolio.account)
    return {slot: row.in_cluster(float(numbers[slot][-1])) for slot, row in rows.items()}
