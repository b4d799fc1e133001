"""The replay feed: stored bars, one moment of the market after another; `candles` is the live one."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from atb.data.catalogue.inputs import known_from, load_inputs
from atb.data.catalogue.reading import coverage, load_bars
from atb.data.catalogue.series import find_series
from atb.domain import Bars
from atb.domain.input_series import FOR_EVER_MS, InputSeries
from atb.errors import InputError
from atb.live.feed.market import Moment
from atb.live.plan import Plan
from atb.live.portfolio import Portfolio
from atb.times import at_ms, in_ms, moment

if TYPE_CHECKING:
    from atb.live.journal.step import Notice

DEFAULT_DAYS = 30


class ReplayFeed:
    """Bars of the catalogue: the history, then the bars that close and open at each moment.

    Parameters
    ----------
    series
        By slot, the warm-up and all bars to come.
    after_ms
        By slot, the earliest open of a bar to trade; bars before it are history.
    end_ms
        First moment not to give; None gives all bars.
    inputs
        By slot and name, all rows of inputs: each is given once it is known.
    """

    def __init__(
        self, series: Mapping[int, Bars], after_ms: Mapping[int, int], *, end_ms: int | None = None,
        inputs: Mapping[int, Mapping[str, InputSeries]] | None = None,
    ) -> None:  # fmt: skip
        self._series = dict(series)
        self._inputs = inputs or {}
        self._first = {slot: int(bars.opened_ms.searchsorted(after_ms[slot])) for slot, bars in series.items()}
        self._closes = {slot: bars.closed_ms for slot, bars in series.items()}
        coming = [self._closes[slot][first:] for slot, first in self._first.items()]
        coming += [bars.opened_ms[self._first[slot] :] for slot, bars in series.items()]
        times = np.unique(np.concatenate(coming)) if coming else np.zeros(0, np.int64)
        self._times = times if end_ms is None else times[times < end_ms]
        self._next = 0
        self.notices: list[Notice] = []  # stored bars are never revised
        self._finest = min((bars.timeframe for bars in series.values()), key=lambda frame: frame.seconds, default=None)

    def __len__(self) -> int:
        """Return the number of bars to come, of all slots."""
        last = self._times[-1] if len(self._times) else 0
        return sum(int((closes[self._first[slot] :] <= last).sum()) for slot, closes in self._closes.items())

    def histories(self) -> dict[int, Bars]:
        """Return by slot the bars known at the start."""
        return {slot: bars.rows(0, self._first[slot]) for slot, bars in self._series.items()}

    def input_histories(self) -> dict[int, dict[str, InputSeries]]:
        """Return by slot and name the rows of inputs known at the start."""
        return {slot: self._known_after(slot, -FOR_EVER_MS, self._close_before(slot)) for slot in self._inputs}

    def _close_before(self, slot: int) -> int:
        """Return the close of the last bar before those to come."""
        first = self._first[slot]
        return int(self._closes[slot][first - 1]) if first else -FOR_EVER_MS

    def _known_after(self, slot: int, after_ms: int, until_ms: int) -> dict[str, InputSeries]:
        """Return by name the rows that became known in (after, until]."""
        found = {}
        for name, rows in self._inputs.get(slot, {}).items():
            first, end = np.searchsorted(rows.known_ms, [after_ms, until_ms], side="right").tolist()
            found[name] = rows.part(first, end)
        return found

    def next_ms(self) -> int | None:
        """Return when the next bar closes or opens, None at the end."""
        return int(self._times[self._next]) if self._next < len(self._times) else None

    async def take(self) -> Moment | None:
        """Return the next moment, None at the end."""
        time_ms = self.next_ms()
        if time_ms is None:
            return None
        self._next += 1
        closing = self._at(time_ms, self._closes)
        inputs = {}
        for slot in closing.keys() & self._inputs.keys():
            row = int(self._closes[slot].searchsorted(time_ms))
            inputs[slot] = self._known_after(slot, int(self._closes[slot][row - 1]) if row else -FOR_EVER_MS, time_ms)
        return Moment(time_ms, closing, self._at(time_ms, self._opens), self._finest, inputs=inputs)

    @property
    def _opens(self) -> dict[int, np.ndarray[tuple[int], np.dtype[np.int64]]]:
        return {slot: bars.opened_ms for slot, bars in self._series.items()}

    def _at(self, time_ms: int, times: Mapping[int, np.ndarray[tuple[int], np.dtype[np.int64]]]) -> dict[int, Bars]:
        """Return by slot the bar to come whose time is `time_ms`."""
        found = {}
        for slot, bars in self._series.items():
            row = int(times[slot].searchsorted(time_ms))
            if self._first[slot] <= row < len(bars) and times[slot][row] == time_ms:
                found[slot] = bars.rows(row, row + 1)
        return found


def _end_ms(series: Iterable[Bars]) -> int | None:
    """Return the close of the first bar missing at the end of a slot: it may be stored later, and must not arrive late then."""
    ends = []
    for bars in series:
        if len(bars):
            after = bars.timeframe.next_ms(int(bars.opened_ms[-1]))
            ends.append(bars.timeframe.next_ms(after))
    return min(ends, default=None)


def first_traded(portfolio: Portfolio, root: Path, since: str | None) -> int:
    """Return the open (epoch milliseconds) of the first bar to trade: at `since`, or 30 days before the stored bars end."""
    wanted = moment(since)
    if wanted is None:
        wanted = max(_default_start(plan, root, portfolio.lead_bars(plan)) for plan in portfolio.plans)
    return in_ms(wanted)


def _default_start(plan: Plan, root: Path, lead: int) -> pd.Timestamp:
    first, last = coverage(find_series(plan.symbol, plan.timeframe, root=root, venue=plan.manifest.venue))
    step = pd.Timedelta(seconds=plan.timeframe.seconds)
    start = max(first + lead * step, last + step - pd.Timedelta(days=DEFAULT_DAYS))
    known = known_from(plan.inputs, root=root, venue=plan.manifest.venue)
    return start if known is None else max(start, (at_ms(known) + plan.warmup * step).ceil("D"))


def replay_feed(
    portfolio: Portfolio,
    root: Path,
    *,
    trade_from_ms: int,
    last_bars: Mapping[int, int | None] | None = None,
    until: str | None = None,
) -> ReplayFeed:
    """Return the feed of a session: the warm-up before `trade_from_ms`, then by slot the bars after its last one.

    Raises
    ------
    DataError
        If the catalogue lacks a part of it.
    InputError
        If a new session would have no bar to trade.
    """
    series, after, inputs = {}, {}, {}
    for slot, plan in enumerate(portfolio.plans):
        series[slot] = load_bars(
            plan.symbol,
            plan.timeframe,
            at_ms(trade_from_ms),
            moment(until),
            root=root,
            venue=plan.manifest.venue,
            lead=portfolio.lead_bars(plan),
        )
        last = (last_bars or {}).get(slot)
        after[slot] = trade_from_ms if last is None else last + 1
        if plan.inputs:
            first = max(0, int(series[slot].opened_ms.searchsorted(trade_from_ms)) - plan.warmup)
            inputs[slot] = load_inputs(plan.inputs, series[slot], root=root, from_row=first)
    feed = ReplayFeed(series, after, end_ms=_end_ms(series.values()), inputs=inputs)
    if not last_bars and not len(feed):  # a session that begins after the last bar could never trade, nor be moved
        raise InputError("No bar to trade", found=f"from {at_ms(trade_from_ms)}", todo="Choose an earlier --from")
    return feed
