"""The replay feed: bars of the catalogue, one closed bar after another, as fast as asked; a live feed has the same shape."""

from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Event
from time import monotonic

import pandas as pd

from atb.data.catalogue import coverage, load_bars
from atb.data.moments import at_ms, in_ms, moment
from atb.data.series import find_series
from atb.domain import Bars, Symbol
from atb.errors import InputError
from atb.live.plan import Plan

DEFAULT_DAYS = 30
HEARTBEAT_S = 5.0


class ReplayFeed:
    """Closed bars of one series from the catalogue: what was known before, then one at a time.

    Parameters
    ----------
    bars
        The warm-up and all bars to come.
    after_ms
        Open time of the first bar to yield; those before it are history.
    """

    def __init__(self, bars: Bars, after_ms: int) -> None:
        self._bars = bars
        self._first = int(bars.opened_ms.searchsorted(after_ms))

    def __len__(self) -> int:
        """Return the number of bars to come."""
        return len(self._bars) - self._first

    def history(self, symbol: Symbol) -> Bars:
        """Return the bars known at the start.

        Raises
        ------
        InputError
            If the feed is of another symbol.
        """
        if symbol != self._bars.symbol:
            raise InputError(f"This feed is of {self._bars.symbol}", found=str(symbol))
        return self._rows(0, self._first)

    def __iter__(self) -> Iterator[Bars]:
        """Yield each bar to come as a series of one row, in time order."""
        for row in range(self._first, len(self._bars)):
            yield self._rows(row, row + 1)

    def _rows(self, first: int, end: int) -> Bars:
        bars = self._bars
        return Bars(bars.symbol, bars.timeframe, bars.frame.iloc[first:end], bars.venue)


def first_traded(plan: Plan, root: Path, since: str | None) -> int:
    """Return the open (epoch milliseconds) of the first bar to trade: at `since`, or 30 days before the stored bars end."""
    wanted = moment(since)
    if wanted is None:
        first, last = coverage(find_series(plan.symbol, plan.timeframe, root=root, venue=plan.manifest.venue))
        step = pd.Timedelta(seconds=plan.timeframe.seconds)
        wanted = max(first + plan.warmup * step, last + step - pd.Timedelta(days=DEFAULT_DAYS))
    return in_ms(wanted)


def replay_feed(
    plan: Plan, root: Path, *, trade_from_ms: int, last_bar_ms: int | None = None, until: str | None = None
) -> ReplayFeed:
    """Return the feed of a session: the warm-up before `trade_from_ms`, then the bars after `last_bar_ms`.

    Raises
    ------
    DataError
        If the catalogue lacks a part of it.
    InputError
        If a new session would have no bar to trade.
    """
    bars = load_bars(
        plan.symbol,
        plan.timeframe,
        at_ms(trade_from_ms),
        moment(until),
        root=root,
        venue=plan.manifest.venue,
        lead=plan.warmup,
    )
    feed = ReplayFeed(bars, trade_from_ms if last_bar_ms is None else last_bar_ms + 1)
    if last_bar_ms is None and not len(feed):  # a session that begins beyond the bars could never trade nor be moved
        raise InputError("No bar to trade", found=f"from {at_ms(trade_from_ms)}", todo="Choose an earlier --from")
    return feed


class Pace:
    """How fast a replay goes, and whether it shall go on.

    Parameters
    ----------
    speed
        Seconds of market time per second; None is as fast as possible.
    stop
        Set from outside, by a signal for one, to end between two bars.
    """

    def __init__(self, speed: float | None = None, stop: Event | None = None) -> None:
        self.speed = speed
        self._stop = stop or Event()
        self._due: float | None = None

    def wait(self, bar: Bars, heartbeat: Callable[[], None]) -> bool:
        """Wait until `bar` is due, with a heartbeat every few seconds; tell whether to go on (False: stop was asked for)."""
        if self.speed is not None:
            self._due = (monotonic() if self._due is None else self._due) + bar.timeframe.seconds / self.speed
            while (left := self._due - monotonic()) > 0 and not self._stop.is_set():
                self._stop.wait(min(left, HEARTBEAT_S))
                heartbeat()
        return not self._stop.is_set()
