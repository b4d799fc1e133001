"""Candles from an exchange into the catalogue: page by page, only closed ones, resumable at any point."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

from atb.data.catalogue import coverage
from atb.data.exchange import CandleSource, Row
from atb.data.gaps import Gap, missing_bars
from atb.data.instruments import save_instruments
from atb.data.moments import Moment, at_ms, in_ms, moment, short
from atb.data.series import series_at
from atb.data.storing import save_bars
from atb.domain import BAR_COLUMNS, Bars, Symbol, Timeframe
from atb.errors import InputError

PAGES_PER_SAVE = 5

Progress = Callable[[int, int], None]
"""Told how far a download is: milliseconds of market time done, and in all."""


@dataclass(frozen=True)
class DownloadReport:
    """What a download did.

    Parameters
    ----------
    symbol, timeframe, venue
        What was downloaded.
    added
        New bars stored.
    first, last
        Open times of the first and last stored bar of the whole series; None if there is none.
    gaps
        Holes met by this download and confirmed by asking the exchange again; recorded, not filled.
    interrupted
        Whether the user stopped it; what had come is stored.
    """

    symbol: Symbol
    timeframe: Timeframe
    venue: str
    added: int
    first: pd.Timestamp | None
    last: pd.Timestamp | None
    gaps: tuple[Gap, ...]
    interrupted: bool = False

    def to_json(self) -> dict[str, object]:
        """Return plain values; times as ISO 8601."""
        gaps = [
            {"start": gap[0].isoformat(), "end": gap[1].isoformat(), "missing": missing_bars(gap, self.timeframe)}
            for gap in self.gaps
        ]
        return {
            "symbol": str(self.symbol),
            "timeframe": str(self.timeframe),
            "venue": self.venue,
            "added": self.added,
            "first": self.first.isoformat() if self.first is not None else None,
            "last": self.last.isoformat() if self.last is not None else None,
            "gaps": gaps,
            "interrupted": self.interrupted,
        }


def download_bars(  # noqa: PLR0917 - the same leading arguments as load_bars
    symbol: str | Symbol,
    timeframe: str | Timeframe,
    start: Moment | None = None,
    end: Moment | None = None,
    *,
    root: Path,
    source: CandleSource,
    progress: Progress | None = None,
) -> DownloadReport:
    """Fetch the closed bars that open in [start, end) and are not stored yet.

    A series with bars goes on after its last one, and before its first one if `start` lies there. The venue's trading
    rules for the symbol are stored too. Pages are stored as they come: an interrupted download loses little.

    Parameters
    ----------
    symbol, timeframe
        In any accepted spelling.
    start, end
        As for `load_bars`. `start` may be left out only if bars are stored; `end` is the present by default.
    root
        The folder of the catalogue.
    source
        The exchange, such as `CcxtCandles("binance")`.
    progress
        Called after each page.

    Raises
    ------
    InputError
        If the exchange has no such symbol or timeframe, or the range makes no sense.
    DataError
        If the exchange cannot be reached or refuses; what had come before is stored.
    """
    job = _Job(Symbol.parse(symbol), Timeframe.parse(timeframe), root, source, progress or (lambda _done, _all: None))
    since, until = moment(start), moment(end)
    if since is not None and until is not None and since >= until:
        raise InputError("start must be before end", found=f"{short(since)} and {short(until)}")
    rules = source.instrument(job.symbol, job.timeframe)
    job.now_ms = source.now_ms()
    stop = job.now_ms if until is None else min(job.now_ms, in_ms(until))
    spans = job.spans(in_ms(since) if since is not None else None, stop)
    save_instruments([rules], root=root, venue=source.venue)
    interrupted = False
    try:
        for span in spans:
            job.fetch(span)
    except KeyboardInterrupt:
        interrupted = True
    return job.report(interrupted=interrupted)


@dataclass(frozen=True)
class _Span:
    """Open times still to fetch, epoch ms: [start, stop); it may follow a stored bar, or lead back from the first one."""

    start: int
    stop: int
    follows: bool = False
    backward: bool = False


@dataclass
class _Job:
    symbol: Symbol
    timeframe: Timeframe
    root: Path
    source: CandleSource
    progress: Progress
    now_ms: int = 0
    added: int = 0
    gaps: list[Gap] = field(default_factory=list)

    def spans(self, since: int | None, stop: int) -> list[_Span]:
        """Return what is missing of [since, stop), the later part first: it is what a returning user waits for."""
        stored = self._stored()
        if stored is None:
            if since is None:
                raise InputError(
                    f"Nothing of {self.symbol} is stored yet", todo="Say where to begin: --start 2022-01-01"
                )
            return [_Span(since, stop)] if since < stop else []
        first, last = (in_ms(stamp) for stamp in stored)
        after = self.timeframe.next_ms(last)
        spans = [_Span(after, stop, follows=True)] if after < stop else []
        if since is not None and since < first:
            spans.append(_Span(since, first, backward=True))
        return spans

    def fetch(self, span: _Span) -> None:
        """Fetch and store a span; whatever ends it early, what had come is stored first."""
        pages = self._backward(span) if span.backward else self._forward(span)
        pending: list[Row] = []
        try:
            for count, (page, done) in enumerate(pages, 1):
                pending += page
                if count % PAGES_PER_SAVE == 0:
                    self._save(pending)
                    pending = []
                self.progress(done, span.stop - span.start)
        finally:
            self._save(pending)

    def report(self, *, interrupted: bool) -> DownloadReport:
        """Return what was done so far."""
        first, last = self._stored() or (None, None)
        identity = (self.symbol, self.timeframe, self.source.venue)
        return DownloadReport(*identity, self.added, first, last, tuple(sorted(self.gaps)), interrupted)

    def _stored(self) -> tuple[pd.Timestamp, pd.Timestamp] | None:
        series = series_at(self.root, venue=self.source.venue, symbol=self.symbol, timeframe=self.timeframe)
        return coverage(series) if series.years else None

    def _forward(self, span: _Span) -> Iterator[tuple[list[Row], int]]:
        """Yield pages from the oldest on, each with the market time (ms) that is behind it."""
        at, before = span.start, span.start if span.follows else None
        while at < span.stop and self.timeframe.next_ms(at) <= self.now_ms:
            page = self._page(at, span.stop)
            if page:
                page = self._without_holes(page, after=before)
                at = before = self._next(page[-1])
            else:
                at += self.source.page * self.timeframe.seconds * 1_000
            yield page, min(at, span.stop) - span.start

    def _backward(self, span: _Span) -> Iterator[tuple[list[Row], int]]:
        """Yield pages from the newest on, so that each one touches what is stored; the last goes back to the start."""
        earliest = self._page(span.start, span.stop)[:1]
        floor = int(earliest[0][0]) if earliest else span.start
        stop = edge = span.stop
        while stop > floor:
            at = max(floor, stop - self.source.page * self.timeframe.seconds * 1_000)
            if page := self._page(at, stop):
                page = self._without_holes(page, after=None)
                page += self._ask_again(self._next(page[-1]), edge)
                edge = int(page[0][0])
            stop = at
            yield page, span.stop - stop

    def _page(self, at: int, stop: int) -> list[Row]:
        """Return closed candles from `at` on that open before `stop`."""
        rows = self.source.candles(self.symbol, self.timeframe, at)
        return [row for row in rows if row[0] < stop and self._next(row) <= self.now_ms]

    def _next(self, row: Row) -> int:
        return self.timeframe.next_ms(int(row[0]))

    def _without_holes(self, page: list[Row], *, after: int | None) -> list[Row]:
        """Ask again for every hole in a page, and between it and the close before; add what comes."""
        opened = [int(row[0]) for row in page]
        closes = [opened[0] if after is None else after, *map(self._next, page[:-1])]
        found = list(page)
        for missing, there in zip(closes, opened, strict=True):
            found += self._ask_again(missing, there)
        return sorted(found)

    def _ask_again(self, start: int, end: int) -> list[Row]:
        """Return what the exchange has in [start, end) on second asking; note what it confirms as missing."""
        found: list[Row] = []
        at = start
        while at < end and (rows := self._page(at, end)):
            found += rows
            at = self._next(rows[-1])
        edges = zip([start, *map(self._next, found)], [*(int(row[0]) for row in found), end], strict=True)
        self.gaps += [(at_ms(close), at_ms(opened)) for close, opened in edges if close < opened]
        return found

    def _save(self, rows: list[Row]) -> None:
        if not rows:
            return
        table = np.array(sorted(rows), dtype=np.float64)
        index = pd.DatetimeIndex(table[:, 0].astype("datetime64[ms]"), tz="UTC", name="timestamp").as_unit("us")
        frame = pd.DataFrame({name: table[:, i + 1] for i, name in enumerate(BAR_COLUMNS)}, index=index)
        bars = Bars(self.symbol, self.timeframe, frame, self.source.venue, tuple(self.gaps))
        self.added += save_bars(bars, root=self.root, source=f"{self.source.venue} through ccxt").added
