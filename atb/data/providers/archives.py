"""Bulk archives of an exchange: monthly and daily zips of CSV without a header, each with its `.CHECKSUM`.

They hold whole years in few requests, where an exchange's own interface needs thousands. A file's unit of time is read off its
values. The exchange replaces files when it corrects them: the checksums of the files that were used are kept beside the series
(`archives.json`), and `revised_archives` asks for them again.
"""

import hashlib
import json
import re
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pandas as pd

from atb.data.catalogue.atomic import write_files
from atb.data.catalogue.events import FUNDING
from atb.data.catalogue.series import MARK, Series, series_at
from atb.data.providers.candle_source import Row, frame_of
from atb.data.providers.ccxt_client import DIRECT, Route
from atb.data.providers.download import DownloadReport
from atb.data.providers.event_files import events_of
from atb.data.providers.files.reading import ImportRules, read_files
from atb.data.providers.files.unpacking import read_contents
from atb.data.providers.http import Http
from atb.domain import Bars, Instrument, Symbol, Timeframe
from atb.errors import DataError, InputError, did_you_mean
from atb.files import write_private
from atb.reading import MIB, read_json
from atb.times import at_ms

ADDRESS = "https://data.binance.vision"
_MARKETS = {"binance": "spot", "binanceusdm": "futures/um", "binancecoinm": "futures/cm"}
_TIMEFRAMES = ("1m", "3m", "5m", "15m", "30m", "1h", "2h", "4h", "6h", "8h", "12h", "1d")
_LATE_DAYS = 40  # the file of a month is there some days after its end
_FIRST_YEAR = 2017
_LEAST = 100  # candles of an answer, where there are so many: the end of a month goes on into the next
FILE = "archives.json"


class Archive:
    """The files of an exchange's archive.

    Parameters
    ----------
    venue
        `binance` for spot, `binanceusdm` and `binancecoinm` for futures.
    route
        How it is reached.
    sleep
        Called to wait that many seconds.

    Raises
    ------
    InputError
        If the venue has no archive that is known.
    """

    def __init__(
        self, venue: str = "binance", *, route: Route = DIRECT, sleep: Callable[[float], None] = time.sleep
    ) -> None:
        venue = venue.strip().lower()
        if venue not in _MARKETS:
            raise InputError("No archive of this venue is known", found=venue, todo=did_you_mean(venue, _MARKETS))
        self.venue, self.folder = venue, f"data/{_MARKETS[venue]}"
        self._http = Http(ADDRESS, route=route, sleep=sleep)
        self.checksums: dict[str, str] = {}
        """SHA-256 of each file that was used, by its path."""

    def name(self, symbol: Symbol) -> str:
        """Return a symbol as the archive spells it."""
        return symbol.joined + ("_PERP" if self.venue == "binancecoinm" else "")

    def checksum(self, path: str) -> str | None:
        """Return a file's SHA-256 as the archive states it, None if there is no such file.

        Raises
        ------
        DataError
            If the archive cannot be reached, or states something else.
        """
        stated = self._http.get(f"{path}.CHECKSUM")
        if stated is None:
            return None
        found = re.match(rb"\s*([0-9a-fA-F]{64})\b", stated[:200])
        if found is None:
            raise DataError("A CHECKSUM file of the archive holds no SHA-256", found=path)
        return found[1].decode().lower()

    def get(self, path: str) -> bytes | None:
        """Return a file that agrees with its checksum, None if there is none.

        Raises
        ------
        DataError
            If it does not agree, also when it is fetched again.
        """
        for _ in range(2):
            stated = self.checksum(path)
            content = self._http.get(path) if stated else None
            if content is None or stated is None:
                return None
            if hashlib.sha256(content).hexdigest() == stated:
                self.checksums[path] = stated
                return content
        raise DataError("A file of the archive is not what its CHECKSUM file says", found=path, todo="Try again later")


class ArchiveCandles:
    """A `CandleSource` over an exchange's archive; it publishes no trading rules.

    Parameters
    ----------
    venue, route, sleep
        As for `Archive`.
    price
        `trade`, or `mark` for a perpetual's mark prices.
    clock
        Returns the present, epoch milliseconds.
    """

    page = 44_640  # minutes of a month

    def __init__(
        self,
        venue: str = "binance",
        *,
        route: Route = DIRECT,
        sleep: Callable[[float], None] = time.sleep,
        price: str = "trade",
        clock: Callable[[], int] = lambda: int(time.time() * 1_000),
    ) -> None:
        self.archive = Archive(venue, route=route, sleep=sleep)
        if price == "mark" and self.archive.venue == "binance":
            raise InputError("Only perpetuals have mark prices", found=venue, todo="Name binanceusdm")
        self._kind = "markPriceKlines" if price == "mark" else "klines"
        self._clock, self._held = clock, dict[str, list[Row]]()
        self.venue = self.archive.venue + (MARK if price == "mark" else "")
        self.origin = f"{self.archive.venue}'s archive" + (", mark prices" if price == "mark" else "")

    def now_ms(self) -> int:
        """Return the present, epoch milliseconds."""
        return self._clock()

    def instrument(self, symbol: Symbol, timeframe: Timeframe) -> Instrument | None:
        """Return None: an archive publishes no trading rules.

        Raises
        ------
        InputError
            If it has no such timeframe, or no file of the symbol, or the symbol is of another market: a spot pair where there are
            perpetuals, or the other way round.
        """
        _refuse_other_market(self.archive.venue, symbol)
        if str(timeframe) not in _TIMEFRAMES:
            known = f"It has {' '.join(_TIMEFRAMES)}"
            raise InputError(
                f"{self.venue}'s archive has no candles of this duration", found=str(timeframe), todo=known
            )
        if not any(self.archive.checksum(self._path(symbol, timeframe, date)) for date in self._dates()):
            raise InputError(f"{self.venue}'s archive has no such symbol", found=str(symbol), todo="Check its spelling")
        return None

    def candles(self, symbol: Symbol, timeframe: Timeframe, since_ms: int) -> list[Row]:
        """Return up to `page` candles that open at `since_ms` (epoch ms) or later, oldest first: of a month, or of two.

        Raises
        ------
        DataError
            If the archive cannot be reached, or a file is not what its checksum says.
        """
        day = max(datetime.fromtimestamp(since_ms / 1_000, UTC), datetime(_FIRST_YEAR, 1, 1, tzinfo=UTC))
        today = datetime.fromtimestamp(self.now_ms() / 1_000, UTC)
        rows: list[Row] = []
        while day <= today and len(rows) < _LEAST:
            rows += [row for row in self._month(symbol, timeframe, day) if row[0] >= since_ms]
            day = (day.replace(day=1) + timedelta(32)).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
        return rows[: self.page]

    def _dates(self) -> Iterator[str]:
        """Yield the dates of all files that may be there, the newest first."""
        today = datetime.fromtimestamp(self.now_ms() / 1_000, UTC)
        yield from (f"{today - timedelta(days):%Y-%m-%d}" for days in (1, 2))
        months = range(today.year * 12 + today.month - 2, _FIRST_YEAR * 12 - 1, -1)
        yield from (f"{count // 12}-{count % 12 + 1:02}" for count in months)

    def _month(self, symbol: Symbol, timeframe: Timeframe, day: datetime) -> list[Row]:
        """Return the candles of a month, of its days where its own file is not there yet; each file is fetched once."""
        name = f"{symbol.slug} {timeframe} {day:%Y-%m}"
        if name not in self._held:
            rows = self._rows(symbol, timeframe, f"{day:%Y-%m}")
            if rows is None:
                rows = self._days(symbol, timeframe, day)
            kept = list(self._held.items())[-1:]
            self._held = {**dict(kept), name: rows}
        return self._held[name]

    def _days(self, symbol: Symbol, timeframe: Timeframe, day: datetime) -> list[Row]:
        today = datetime.fromtimestamp(self.now_ms() / 1_000, UTC)
        first = day.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
        if today - first > timedelta(days=31 + _LATE_DAYS):
            return []
        rows: list[Row] = []
        while first <= today and first.month == day.month:
            rows += self._rows(symbol, timeframe, f"{first:%Y-%m-%d}") or []
            first += timedelta(1)
        return rows

    def _rows(self, symbol: Symbol, timeframe: Timeframe, date: str) -> list[Row] | None:
        path = self._path(symbol, timeframe, date)
        content = self.archive.get(path)
        return (
            None if content is None else _read(path, content, symbol=symbol, timeframe=timeframe, now_ms=self.now_ms())
        )

    def _path(self, symbol: Symbol, timeframe: Timeframe, date: str) -> str:
        period = "daily" if date.count("-") == 2 else "monthly"
        name = self.archive.name(symbol)
        return f"{self.archive.folder}/{period}/{self._kind}/{name}/{timeframe}/{name}-{timeframe}-{date}.zip"


def _refuse_other_market(venue: str, symbol: Symbol) -> None:
    """Refuse a symbol that is not of a venue's market: what is stored under a wrong name would never meet its funding."""
    settled = {"binance": "", "binanceusdm": symbol.quote, "binancecoinm": symbol.base}[venue]
    if symbol.settle != settled:
        right = f"{symbol.base}/{symbol.quote}" + (f":{settled}" if settled else "")
        kind = (
            "spot pairs"
            if not settled
            else f"perpetuals settled in their {'quote' if settled == symbol.quote else 'base'} asset"
        )
        raise InputError(f"{venue} has {kind}", found=str(symbol), todo=f"Name it {right}, or another venue")


def remember(series: Series, checksums: Mapping[str, str]) -> None:
    """Keep beside a series which files of an archive it was made of."""
    if checksums:
        known = _remembered(series) | dict(checksums)
        write_files({series.folder / FILE: (json.dumps(known, indent=1, sort_keys=True) + "\n").encode()})


def remember_download(report: DownloadReport, source: Any, *, root: Path) -> None:
    """Keep beside the series of a download which files of the archive it was made of."""
    series = series_at(root, venue=report.venue, symbol=report.symbol, timeframe=report.timeframe)
    if series.years:
        remember(series, source.archive.checksums)


def is_archived(series: Series) -> bool:
    """Return whether a series was made of an archive's files."""
    return (series.folder / FILE).is_file()


def revised_archives(series: Series, source: ArchiveCandles) -> list[str]:
    """Return the files that a series was made of and that the archive has replaced since."""
    known = _remembered(series)
    return [path for path, sha in known.items() if (stated := source.archive.checksum(path)) and stated != sha]


def candles_of(path: str, source: ArchiveCandles, series: Series) -> Bars:
    """Return the candles of one file of the archive as it is now.

    Raises
    ------
    DataError
        If it is gone, or holds none.
    """
    content = source.archive.get(path)
    now = source.now_ms()
    rows = _read(path, content, symbol=series.symbol, timeframe=series.timeframe, now_ms=now) if content else []
    if not rows:
        raise DataError("A file of the archive is gone", found=path)
    return Bars(series.symbol, series.timeframe, frame_of(rows), series.venue)


def _remembered(series: Series) -> dict[str, str]:
    try:
        known: Any = read_json(series.folder / FILE, max_bytes=16 * MIB)
        return {str(path): str(sha) for path, sha in known.items()}
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, AttributeError) as error:
        raise DataError("The list of archive files cannot be read", found=str(series.folder / FILE)) from error


def _read(path: str, content: bytes, *, symbol: Symbol, timeframe: Timeframe, now_ms: int) -> list[Row]:
    """Return the candles of a zip, read as any imported file is: its gaps stay gaps."""
    with tempfile.TemporaryDirectory(prefix="atb-archive-") as folder:
        file = Path(folder) / path.rsplit("/", 1)[-1]
        write_private(file, content)
        bars = read_files(
            file, symbol=symbol, timeframe=timeframe, venue="file", gaps="keep", rules=ImportRules(now_ms=now_ms)
        ).bars
    values = bars.frame.to_numpy().tolist()
    return [[opened, *row] for opened, row in zip(bars.opened_ms.tolist(), values, strict=True)]


class ArchiveFunding:
    """An `EventSource` of a perpetual's funding from an exchange's archive.

    Parameters
    ----------
    venue, route, sleep
        As for `Archive`, futures only.
    symbol
        The perpetual.
    clock
        Returns the present, epoch milliseconds.
    """

    kind = FUNDING

    def __init__(
        self,
        venue: str,
        symbol: str | Symbol,
        *,
        route: Route = DIRECT,
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], int] = lambda: int(time.time() * 1_000),
    ) -> None:
        self.archive, self.symbol, self._clock = Archive(venue, route=route, sleep=sleep), Symbol.parse(symbol), clock
        if self.archive.venue == "binance" or not self.symbol.settle:
            raise InputError("Only perpetuals pay funding", found=f"{symbol} at {venue}", todo="Name binanceusdm")
        self.venue, self.subject, self.origin = venue, str(self.symbol), f"{self.archive.venue}'s archive"

    def now_ms(self) -> int:
        """Return the present, epoch milliseconds."""
        return self._clock()

    def pages(self, since_ms: int | None) -> Iterator[pd.DataFrame]:
        """Yield the payments at `since_ms` (epoch ms) or later, all by default, month by month.

        Raises
        ------
        DataError
            If the archive cannot be reached, or a file is not what its checksum says.
        """
        first = datetime(2019, 1, 1, tzinfo=UTC)  # the archive's first funding is of that year
        month = max(first, datetime.fromtimestamp((since_ms or 0) / 1_000, UTC)).replace(day=1)
        today = datetime.fromtimestamp(self.now_ms() / 1_000, UTC)
        while month <= today:
            name = self.archive.name(self.symbol)
            path = f"{self.archive.folder}/monthly/fundingRate/{name}/{name}-fundingRate-{month:%Y-%m}.zip"
            if content := self.archive.get(path):
                frame = _payments(path, content)
                frame = frame if since_ms is None else frame[frame.index >= at_ms(since_ms)]
                if len(frame):
                    yield frame
            month = (month + timedelta(32)).replace(day=1)


def _payments(path: str, content: bytes) -> pd.DataFrame:
    with tempfile.TemporaryDirectory(prefix="atb-archive-") as folder:
        file = Path(folder) / path.rsplit("/", 1)[-1]
        write_private(file, content)
        (inside,), _ = read_contents([file])
        return events_of(inside, FUNDING)
