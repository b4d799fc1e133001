"""Contents of the catalogue, and proof that they are as stored: for `atb data list` and `atb data verify`."""

from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from atb.data.catalogue.checks import check_bars
from atb.data.catalogue.gaps import Gap
from atb.data.catalogue.reading import check_identity, coverage, join_years, read_series
from atb.data.catalogue.series import Series, all_series, venue_name
from atb.data.catalogue.yearfile import YearFileHeader, read_header, read_year
from atb.domain import Bars, Symbol, Timeframe
from atb.domain.bars import SYNTHETIC
from atb.errors import AtbError, DataError


@dataclass(frozen=True)
class SeriesInfo:
    """One stored series.

    Parameters
    ----------
    symbol, timeframe, venue
        What the bars are of.
    bars, first, last
        Number of bars, and the open times of the first and the last one.
    gaps
        Accepted gaps as (first missing open, first open after it).
    fingerprint
        `load_bars(...).fingerprint` of the whole series; empty if it cannot be read.
    size, files
        Bytes on disk, in how many year files.
    sources, seed
        Where the bars came from, and the generator's seed of synthetic ones.
    problem
        Why the series cannot be read; empty if it can.
    """

    symbol: Symbol
    timeframe: Timeframe
    venue: str
    bars: int = 0
    first: pd.Timestamp | None = None
    last: pd.Timestamp | None = None
    gaps: tuple[Gap, ...] = ()
    fingerprint: str = ""
    size: int = 0
    files: int = 0
    sources: tuple[str, ...] = ()
    seed: int | None = None
    problem: str = ""

    def to_json(self) -> dict[str, object]:
        """Return plain values; times as ISO 8601."""
        return {
            "symbol": str(self.symbol),
            "timeframe": str(self.timeframe),
            "venue": self.venue,
            "synthetic": self.venue == SYNTHETIC,
            "bars": self.bars,
            "first": self.first.isoformat() if self.first is not None else None,
            "last": self.last.isoformat() if self.last is not None else None,
            "gaps": [{"start": start.isoformat(), "end": end.isoformat()} for start, end in self.gaps],
            "fingerprint": self.fingerprint,
            "size": self.size,
            "files": self.files,
            "sources": list(self.sources),
            "seed": self.seed,
            "problem": self.problem,
        }


@dataclass(frozen=True)
class Verification:
    """Result of verifying one series; no problems means that every byte is as it was stored."""

    symbol: Symbol
    timeframe: Timeframe
    venue: str
    bars: int
    problems: tuple[str, ...]

    def to_json(self) -> dict[str, object]:
        """Return plain values."""
        identity = {"symbol": str(self.symbol), "timeframe": str(self.timeframe), "venue": self.venue}
        return identity | {"bars": self.bars, "ok": not self.problems, "problems": list(self.problems)}


def list_series(root: Path) -> list[SeriesInfo]:
    """Return every series under the catalogue's folder, by venue, symbol and duration, each read and verified."""
    return [describe_series(series) for series in all_series(root)]


def describe_series(series: Series) -> SeriesInfo:
    """Read one series and return its figures; a damaged one says why in `problem`."""
    identity = (series.symbol, series.timeframe, series.venue)
    size = sum(path.stat().st_size for path in series.years.values())
    try:
        headers = [read_header(path) for path in series.years.values()]
        bars = read_series(series, sorted(series.years))
        first, last = coverage(series)
    except AtbError as error:
        return SeriesInfo(*identity, size=size, files=len(series.years), problem=str(error))
    return SeriesInfo(
        *identity,
        bars=len(bars),
        first=first,
        last=last,
        gaps=bars.gaps,
        fingerprint=bars.fingerprint,
        size=size,
        files=len(headers),
        sources=tuple(dict.fromkeys(part for header in headers for part in header.source.split("; "))),
        seed=next((header.seed for header in headers if header.seed is not None), None),
    )


def verify(
    root: Path,
    *,
    symbol: str | Symbol | None = None,
    timeframe: str | Timeframe | None = None,
    venue: str | None = None,
) -> list[Verification]:
    """Re-hash every file of the chosen series (all by default) and check order, values, grid and gaps.

    Returns
    -------
    list of Verification
        One per series, with every problem found; empty if no series matches.
    """
    wanted = [
        series
        for series in all_series(root)
        if (symbol is None or series.symbol == Symbol.parse(symbol))
        and (timeframe is None or series.timeframe == Timeframe.parse(timeframe))
        and (venue is None or series.venue == venue_name(venue))
    ]
    return [_verify_series(series) for series in wanted]


def _verify_series(series: Series) -> Verification:
    """Read each file once; what they hold together is checked if each is sound."""
    problems: list[str] = []
    parts: list[tuple[YearFileHeader, pd.DataFrame]] = []
    for _, path in sorted(series.years.items()):
        try:
            parts.append(_verified(series, path))
        except AtbError as error:
            problems.append(f"{path.name}: {error}")
    if not problems:
        try:
            join_years(series, parts)
        except AtbError as error:
            problems.append(str(error))
    rows = sum(len(frame) for _, frame in parts)
    return Verification(series.symbol, series.timeframe, series.venue, rows, tuple(problems))


def _verified(series: Series, path: Path) -> tuple[YearFileHeader, pd.DataFrame]:
    """Read a file and check its bars, its description and its place."""
    header, frame = read_year(path)
    bars = Bars(header.symbol, header.timeframe, frame, header.venue)
    check_bars(bars)
    first, last = frame.index[0], frame.index[-1]
    if (header.rows, header.first, header.last, header.fingerprint) != (len(bars), first, last, bars.fingerprint):
        raise DataError("The file's description does not fit its bars", found=header.fingerprint)
    check_identity(series, header, path)
    return header, frame
