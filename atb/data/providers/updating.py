"""Updates: events and bars that are new, bars of late asked for again, and many series at the same time.

Series of one exchange are fetched by several clients that share its pace (`Pace`): waiting for answers overlaps, and its rate limit
is kept. Whatever has come is stored; Ctrl-C stops all of them after their present page.
"""

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import wait as wait_for
from dataclasses import dataclass
from dataclasses import replace as replace_fields
from pathlib import Path
from typing import Any

import pandas as pd

from atb.data.catalogue.events import EventSeries, SavedEvents, held, save_events
from atb.data.catalogue.gaps import find_gaps
from atb.data.catalogue.reading import coverage
from atb.data.catalogue.series import Series
from atb.data.catalogue.writing import Saved, recheck_bars
from atb.data.providers.archives import ArchiveCandles, candles_of, is_archived, remember, revised_archives
from atb.data.providers.candle_source import CandleSource, Row, frame_of
from atb.data.providers.ccxt_candles import CcxtCandles
from atb.data.providers.ccxt_client import Pace, Route
from atb.data.providers.download import Progress, download_bars
from atb.data.providers.event_source import EventSource
from atb.domain import Bars
from atb.errors import AtbError
from atb.times import Moment, at_ms, in_ms, moment


@dataclass(frozen=True)
class EventReport:
    """Result of fetching events: of what, and the numbers of new, equal and differing ones."""

    series: EventSeries
    added: int
    unchanged: int
    revised: int
    first: pd.Timestamp | None
    last: pd.Timestamp | None

    def to_json(self) -> dict[str, object]:
        """Return plain values; times as ISO 8601."""
        return {
            "kind": self.series.kind.name,
            "of": self.series.subject,
            "added": self.added,
            "unchanged": self.unchanged,
            "revised": self.revised,
            "first": self.first.isoformat() if self.first is not None else None,
            "last": self.last.isoformat() if self.last is not None else None,
        }


def download_events(
    series: EventSeries, source: EventSource, *, start: Moment | None = None, replace: bool = False
) -> EventReport:
    """Fetch the events that are not stored yet, and the last stored ones again.

    Parameters
    ----------
    series
        Where they belong.
    source
        The provider.
    start
        From when on; by default from the third last stored event, or all there is.
    replace
        Whether values that differ replace the stored ones.

    Raises
    ------
    DataError
        If the provider cannot be reached or refuses; what has come until then is stored.
    InputError
        If the start is no moment.
    """
    stored, since = held(series), moment(start)
    if since is None and stored is not None:
        since = stored.index[-min(3, len(stored))]
    total = SavedEvents(0, 0, 0)
    for page in source.pages(None if since is None else in_ms(since)):
        fetched = at_ms(source.now_ms())
        saved = save_events(series, page, source=source.origin, fetched=fetched, replace=replace)
        total = SavedEvents(total.added + saved.added, total.unchanged + saved.unchanged, total.revised + saved.revised)
    stored = held(series)
    ends = (None, None) if stored is None else (stored.index[0], stored.index[-1])
    return EventReport(series, total.added, total.unchanged, total.revised, *ends)


def recheck(series: Series, source: CandleSource, *, root: Path, bars: int, replace: bool = False) -> Saved | None:
    """Ask again for the last stored bars, as many as are stored, and compare them; None if none of them came.

    Parameters
    ----------
    series
        A stored one.
    source
        The provider that it came from.
    root
        The folder of the catalogue.
    bars
        How many bars before the last.
    replace
        As for `recheck_bars`.

    Raises
    ------
    DataError
        If the provider cannot be reached, or a bar breaks a rule.
    """
    first, last = map(in_ms, coverage(series))
    since = max(first, last - (bars - 1) * series.timeframe.seconds * 1_000)
    rows = _between(series, source, first=since, last=last)
    if not rows:
        return None
    came = Bars(series.symbol, series.timeframe, frame_of(rows), series.venue)
    own_gaps = find_gaps(came.opened_ms, came.closed_ms)  # which the source itself has
    return recheck_bars(replace_fields(came, gaps=own_gaps), root=root, source=source.origin, replace=replace)


def _between(series: Series, source: CandleSource, *, first: int, last: int) -> list[Row]:
    """Return the candles that open in [first, last] (epoch ms), in as many pages as it takes."""
    rows: list[Row] = []
    at = first
    while at <= last and (page := source.candles(series.symbol, series.timeframe, at)):
        rows += [row for row in page if row[0] <= last]
        at = series.timeframe.next_ms(int(page[-1][0]))
    return rows


def update_bars(
    series: Series,
    *,
    root: Path,
    route: Route,
    pace: Pace | None = None,
    recheck_last: int = 0,
    replace: bool = False,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Bring a stored series up to date from where it came, and return what was added and revised as plain values.

    Parameters
    ----------
    series
        A stored one of an exchange, or of its archive.
    root
        The folder of the catalogue.
    route, pace
        How the exchange is reached.
    recheck_last
        How many of the last bars to ask for again.
    replace, progress
        As for `recheck_bars` and `download_bars`.

    Raises
    ------
    DataError
        If the exchange cannot be reached or refuses; what has come until then is stored.
    """
    price = "mark" if series.venue != series.exchange else "trade"
    archived = is_archived(series)
    source: Any = (
        ArchiveCandles(series.exchange, route=route, price=price)
        if archived
        else CcxtCandles(series.exchange, route=route, pace=pace, price="mark" if price == "mark" else "trade")
    )
    compared = recheck(series, source, root=root, bars=recheck_last, replace=replace) if recheck_last else None
    came = [compared] if compared else []
    for path in revised_archives(series, source) if archived else ():
        bars = candles_of(path, source, series)
        came.append(recheck_bars(bars, root=root, source=source.origin, replace=replace))
    report = download_bars(series.symbol, series.timeframe, root=root, source=source, progress=progress)
    if archived:
        remember(series, source.archive.checksums)
    added = report.added + sum(saved.added for saved in came)
    return {**report.to_json(), "added": added, "revised": sum(saved.replaced for saved in came)}


@dataclass(frozen=True)
class Task:
    """One thing to update: its name, and the function that does it, called with a progress callback."""

    name: str
    work: Callable[[Progress], Any]


@dataclass(frozen=True)
class Outcome:
    """Outcome of a task: its result, or the error that ended it."""

    name: str
    result: Any = None
    error: AtbError | None = None


def run_together(
    tasks: Sequence[Task], *, workers: int, progress: Callable[[str, int, int], None] | None = None
) -> tuple[list[Outcome], bool]:
    """Run tasks at the same time and return their outcomes, in their order, and whether Ctrl-C stopped them.

    Parameters
    ----------
    tasks
        What to do.
    workers
        Most at the same time.
    progress
        Called with a task's name and its progress.
    """
    stopping = threading.Event()

    def run(task: Task) -> Outcome:
        def step(done: int, total: int) -> None:
            if stopping.is_set():
                raise KeyboardInterrupt
            if progress:
                progress(task.name, done, total)

        try:
            step(0, 1)
            return Outcome(task.name, task.work(step))
        except AtbError as error:
            return Outcome(task.name, error=error)
        except KeyboardInterrupt:
            return Outcome(task.name)

    with ThreadPoolExecutor(max(1, workers)) as pool:
        futures = [pool.submit(run, task) for task in tasks]
        try:
            wait_for(futures)
        except KeyboardInterrupt:
            stopping.set()
        return [future.result() for future in futures], stopping.is_set()
