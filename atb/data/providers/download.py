"""Candles of a provider into the catalogue: page by page, closed ones only, resumable at any point."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

import pandas as pd

from atb.data.catalogue.gaps import Gap, missing_bars, unknown_gaps
from atb.data.catalogue.instruments import save_instruments
from atb.data.catalogue.reading import sound_year
from atb.data.catalogue.series import Series, series_at
from atb.data.catalogue.writing import save_bars
from atb.data.catalogue.yearfile import YearFileHeader
from atb.data.providers.candle_source import CandleSource, Row, frame_of
from atb.domain import Bars, Symbol, Timeframe
from atb.errors import DataError, InputError
from atb.times import DAY_MS, Moment, at_ms, in_ms, moment, short

PAGES_PER_SAVE = 5
_LEAST_PAGE = 100  # candles that every exchange gives in one answer
_DAY = Timeframe.parse("1d")

Progress = Callable[[int, int], None]
"""Called with a download's progress: milliseconds of market time done, and in all."""


@dataclass(frozen=True)
class DownloadReport:
    """Result of a download.

    Parameters
    ----------
    symbol, timeframe, venue
        What was downloaded.
    added
        New bars stored.
    first, last
        Open times of the first and last stored bar of the whole series; None if there is none.
    gaps
        Gaps that this download met and confirmed by a second request; recorded, not filled.
    interrupted
        Whether the user stopped it; the bars fetched until then are stored.
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

    A series with bars goes on after its last one, and before its first one if `start` lies there; years that are damaged or
    gone are fetched again. The venue's trading rules for the symbol are stored too. Pages are stored as they arrive: an
    interrupted download loses little.

    Parameters
    ----------
    symbol, timeframe
        In any accepted spelling.
    start, end
        As for `load_bars`. `start` may be left out only if bars are stored; `end` is the present by default.
    root
        The folder of the catalogue.
    source
        The provider, such as `open_provider("ccxt", "binance")`.
    progress
        Called after each page.

    Raises
    ------
    InputError
        If the provider has no such symbol or timeframe, or the range makes no sense.
    DataError
        If the provider cannot be reached or refuses; the bars fetched until then are stored.
    """
    job = _Job(Symbol.parse(symbol), Timeframe.parse(timeframe), root, source, progress or (lambda _done, _all: None))
    since, until = moment(start), moment(end)
    if since is not None and until is not None and since >= until:
        raise InputError("start must be before end", found=f"{short(since)} and {short(until)}")
    rules = source.instrument(job.symbol, job.timeframe)
    job.now_ms = source.now_ms()
    stop = job.now_ms if until is None else min(job.now_ms, in_ms(until))
    spans = job.spans(in_ms(since) if since is not None else None, stop)
    if rules is not None:
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
    """Open times still to fetch, epoch ms: [start, stop).

    It follows a stored bar, leads back from the first one, or lies between two: then it is stored `whole`, since a part would leave
    a gap that was not accepted.
    """

    start: int
    stop: int
    follows: bool = False
    backward: bool = False
    whole: bool = False


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
    most: int = 0  # candles in the fullest answer so far
    reached: int = 0  # open (epoch ms) of the last candle in the latest answer
    days: bool = True  # whether daily candles show where the provider has any

    def spans(self, since: int | None, stop: int) -> list[_Span]:
        """Return the missing spans of [since, stop), the latest first: a returning user waits for that."""
        series = self._series()
        sound = [header for year in sorted(series.years) if (header := self._sound(series, year))]
        lost = self._lost_before(series, sound)
        since = min(lost if since is None else [since, *lost], default=None)
        if not sound:
            if since is None:
                raise InputError(
                    f"Nothing of {self.symbol} is stored yet", todo="Say where to begin: --start 2022-01-01"
                )
            return [_Span(since, stop)] if since < stop else []
        first, after = in_ms(sound[0].first), self.timeframe.next_ms(in_ms(sound[-1].last))
        spans = [_Span(after, stop, follows=True)] if after < stop else []
        spans += [_Span(start, end, follows=True, whole=True) for start, end in self._lost_between(sound)]
        if since is not None and since < first:
            spans.append(_Span(since, first, backward=True))
        return spans

    def fetch(self, span: _Span) -> None:
        """Fetch and store a span; if it ends early, the pages fetched are stored first, unless it must be stored whole."""
        pages = self._backward(span) if span.backward else self._forward(span)
        pending: list[Row] = []
        done_all = False
        try:
            for count, (page, done) in enumerate(pages, 1):
                pending += page
                if count % PAGES_PER_SAVE == 0 and not span.whole:
                    self._save(pending)
                    pending = []
                self.progress(done, span.stop - span.start)
            done_all = True
        finally:
            if done_all or not span.whole:
                self._save(pending)

    def _series(self) -> Series:
        return series_at(self.root, venue=self.source.venue, symbol=self.symbol, timeframe=self.timeframe)

    @staticmethod
    def _sound(series: Series, year: int) -> YearFileHeader | None:
        stored = sound_year(series, year)
        return stored[0] if stored else None

    @staticmethod
    def _lost_before(series: Series, sound: list[YearFileHeader]) -> list[int]:
        """Return the start (epoch ms) of each damaged year before the first sound bar."""
        first = sound[0].first.year if sound else max(series.years, default=0) + 1
        return [in_ms(pd.Timestamp(year, 1, 1, tz="UTC")) for year in series.years if year < first]

    def _lost_between(self, sound: list[YearFileHeader]) -> list[tuple[int, int]]:
        """Return the gaps between sound years that were not accepted: a year's file is damaged or missing."""
        edges = [(self.timeframe.next_ms(in_ms(earlier.last)), later) for earlier, later in pairwise(sound)]
        gaps = [(start, later) for start, later in edges if start < in_ms(later.first)]
        lost = [(start, later) for start, later in gaps if unknown_gaps([(at_ms(start), later.first)], later.gaps)]
        return [(start, in_ms(later.first)) for start, later in lost]

    def report(self, *, interrupted: bool) -> DownloadReport:
        """Return the result so far."""
        first, last = self._stored() or (None, None)
        identity = (self.symbol, self.timeframe, self.source.venue)
        return DownloadReport(*identity, self.added, first, last, tuple(sorted(self.gaps)), interrupted)

    def _stored(self) -> tuple[pd.Timestamp, pd.Timestamp] | None:
        series = self._series()
        sound = [header for year in sorted(series.years) if (header := self._sound(series, year))]
        return (sound[0].first, sound[-1].last) if sound else None

    def _forward(self, span: _Span) -> Iterator[tuple[list[Row], int]]:
        """Yield pages from the oldest on, each with the market time (ms) covered so far."""
        at, after = span.start, span.start if span.follows else None
        while at < span.stop and self.timeframe.next_ms(at) <= self.now_ms:
            page = self._page(at, span.stop)
            if page:
                page = self._checked(page, after=after, stop=span.stop)
                at = after = self._next(page[-1])
            else:
                at = self._beyond(at, span.stop)
            yield page, min(at, span.stop) - span.start
        if span.whole and after is not None and after < span.stop:
            self._confirm(after, span.stop)

    def _backward(self, span: _Span) -> Iterator[tuple[list[Row], int]]:
        """Yield pages from the newest on, so that each one adjoins stored bars; the last reaches the start."""
        earliest = self._page(span.start, span.stop)[:1]
        floor = int(earliest[0][0]) if earliest else span.start
        stop = edge = span.stop
        while stop > floor:
            at = max(floor, stop - self.source.page * self._bar_ms)
            if page := self._window(at, edge):
                edge = int(page[0][0])
            stop = at
            yield page, span.stop - stop

    def _window(self, start: int, end: int) -> list[Row]:
        """Return all candles in [start, end), in as many pages as it takes; a gap at the end is noted too."""
        found: list[Row] = []
        at, after = start, None
        while at < end:
            if page := self._page(at, end):
                found += self._checked(page, after=after, stop=end)
                at = after = self._next(found[-1])
            else:
                at = self._beyond(at, end)
        if after is not None and after < end:
            self._confirm(after, end)
        return found

    def _page(self, at: int, stop: int) -> list[Row]:
        """Return closed candles from `at` on that open before `stop`, oldest first, each time once.

        The request starts one bar earlier: some exchanges leave out the candle that opens exactly at the start.
        """
        rows = self.source.candles(self.symbol, self.timeframe, at - self._bar_ms)
        closed = {int(row[0]): row for row in rows if at <= row[0] < stop and self._next(row) <= self.now_ms}
        self.most = max(self.most, len(rows))
        self.reached = max((int(row[0]) for row in rows), default=0)
        return [closed[opened] for opened in sorted(closed)]

    def _beyond(self, at: int, stop: int) -> int:
        """Return the time (epoch ms) up to which an empty page at `at` proves that there are no candles.

        Some exchanges answer for the time of one page only. Days without a daily candle are skipped, so that a market that begins
        years after the start is found in a few requests.
        """
        if self.reached >= at:
            return max(self.reached, at + self._bar_ms)
        step = at + (min(self.source.page, max(self.most, _LEAST_PAGE)) - 1) * self._bar_ms
        if not self.days or self._bar_ms >= DAY_MS or step >= stop:
            return step
        for day in range(at - at % DAY_MS - DAY_MS, stop, _LEAST_PAGE * DAY_MS):
            try:
                rows = self.source.candles(self.symbol, _DAY, day)
            except DataError:
                break
            opened = [int(row[0]) for row in rows if row[0] > at - DAY_MS]
            if opened:
                return max(min(opened), at + self._bar_ms) if min(opened) > at else step
        self.days = False
        return step

    @property
    def _bar_ms(self) -> int:
        return self.timeframe.seconds * 1_000

    def _next(self, row: Row) -> int:
        return self.timeframe.next_ms(int(row[0]))

    def _checked(self, page: list[Row], *, after: int | None, stop: int) -> list[Row]:
        """Return a page after one more request for its gaps, including the one before its first bar, all together."""
        gaps = self._gaps_in(page, after)
        if not gaps:
            return page
        last = min(stop, int(page[-1][0]))
        again = self._page(gaps[0][0], last)
        if not self.reached and len(gaps) > 1:  # the answer ended inside the first gap
            again = self._page(gaps[1][0], last)
        first = int(page[0][0]) if after is None else after
        both = {int(row[0]): row for row in (*again, *page) if row[0] >= first}
        page = [both[opened] for opened in sorted(both)]
        self.gaps += [(at_ms(start), at_ms(end)) for start, end in self._gaps_in(page, after)]
        return page

    def _gaps_in(self, page: list[Row], after: int | None) -> list[tuple[int, int]]:
        """Return the gaps inside a page, and between it and the previous close (epoch ms)."""
        opened = [int(row[0]) for row in page]
        closes = [opened[0] if after is None else after, *map(self._next, page[:-1])]
        return [(close, following) for close, following in zip(closes, opened, strict=True) if close < following]

    def _confirm(self, start: int, end: int) -> None:
        """Record [start, end) as a gap: the provider has no candle in it."""
        self.gaps.append((at_ms(start), at_ms(end)))

    def _save(self, rows: list[Row]) -> None:
        if not rows:
            return
        bars = Bars(self.symbol, self.timeframe, frame_of(sorted(rows)), self.source.venue, tuple(self.gaps))
        self.added += save_bars(bars, root=self.root, source=self.source.origin, partial=True).added
