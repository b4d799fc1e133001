"""The Parquet catalogue, reading: `<root>/<venue>/<symbol>/<timeframe>/<year>.parquet`, verified at every read.

Each year is one file that describes itself (`yearfile`). `load_bars` fails on missing bars, on a gap that was not accepted and on
a changed byte; accepted gaps come back in `Bars.gaps` and are never filled.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from atb.data.catalogue.gaps import Gap, describe_gap, gaps_of, uncovered
from atb.data.catalogue.resampling import resample
from atb.data.catalogue.series import Series, find_series
from atb.data.catalogue.yearfile import (
    Group,
    YearFileHeader,
    empty_frame,
    read_header,
    read_year,
    read_years,
    whole_file,
)
from atb.decimals import counted
from atb.domain import Bars, Symbol, Timeframe
from atb.domain.bars import SYNTHETIC
from atb.errors import DataError, InputError
from atb.times import Moment, at_ms, in_ms, moment, short


def load_bars(  # noqa: PLR0917 - the everyday call of every notebook reads well without names
    symbol: str | Symbol,
    timeframe: str | Timeframe,
    start: Moment | None = None,
    end: Moment | None = None,
    *,
    root: Path,
    venue: str | None = None,
    lead: int = 0,
) -> Bars:
    """Return the stored bars that open in [start, end), all closed, every byte that is read verified.

    If a timeframe is not stored and a shorter one that divides it is, its bars are made of those; see `resample`.

    Parameters
    ----------
    symbol, timeframe
        In any accepted spelling: `BTC/USDT`, `BTCUSDT`; `1h`.
    start, end
        Text, date, datetime or Timestamp; without a zone it is UTC. A date means its midnight, so an `end` of
        2025-01-01 excludes that day. None means all there is.
    root
        The folder of the catalogue (`Settings.bars_root`).
    venue
        Where the bars come from; None takes the only venue that has them, a real one before a synthetic one.
    lead
        Number of bars wanted before `start`, for warm-up. Without a `start` the first bars are the warm-up.

    Returns
    -------
    Bars
        With the accepted gaps in `gaps`; nothing is filled.

    Raises
    ------
    DataError
        If the series, a part of the range or the lead is missing, a gap was not accepted, or a file was changed.
    InputError
        If symbol, timeframe or range make no sense.
    """
    series = find_series(Symbol.parse(symbol), Timeframe.parse(timeframe), root=root, venue=venue)
    since, until = moment(start), moment(end)
    if since is not None and until is not None and since >= until:
        raise InputError("start must be before end", found=f"{short(since)} and {short(until)}")
    if lead < 0:
        raise InputError("lead must be at least 0", found=lead)
    if series.base:
        bars = _made(series)
        _check_coverage(series, since, until, stored=_ends(bars))
    else:
        _check_coverage(series, since, until, stored=coverage(series))
        years = _needed_years(series, since, until, lead=lead)
        bars = read_series(series, years, since_ms=_first_needed(series, years, since, lead=lead), until=until)
    if since is not None and lead:
        since = _lead_start(series, bars, since, lead=lead)
    part = bars.slice(since, until)
    if not len(part):
        raise DataError(f"No bar of {series} opens in this range", found=f"{start} to {end}")
    return part


def coverage(series: Series) -> tuple[pd.Timestamp, pd.Timestamp]:
    """Return the open times of the first and the last stored bar."""
    if series.base:
        return _ends(_made(series))
    paths = [series.years[year] for year in (min(series.years), max(series.years))]
    return read_header(paths[0]).first, read_header(paths[1]).last


def recorded_gaps(series: Series) -> list[Gap]:
    """Return the accepted gaps of all stored bars, each from the first missing open to the first open after it."""
    return [gap for path in series.years.values() for gap in read_header(path).gaps]


def earliest_start(series: Series, wanted: pd.Timestamp, *, lead: int) -> pd.Timestamp:
    """Return `wanted`, or the first open with `lead` bars before it if that is later.

    Raises
    ------
    DataError
        If no stored bar has so many before it.
    """
    bars = _made(series) if series.base else _up_to(series, wanted, lead=lead)
    if bars is None:
        return wanted
    if len(bars) <= lead:
        raise DataError(
            f"There are too few bars of {series}: the first {lead:,} are the warm-up, and none is left to trade",
            found=counted(len(bars), "bar"),
            todo="Choose parameters that look back less, a finer timeframe, or fetch more bars: " + series.advice,
        )
    return max(wanted, at_ms(bars.opened_ms[lead]))


def _up_to(series: Series, wanted: pd.Timestamp, *, lead: int) -> Bars | None:
    """Return the first years, with more than `lead` bars if there are so many; None if those before `wanted` hold the lead."""
    earlier = [year for year in sorted(series.years) if year < wanted.year]
    if sum(read_header(series.years[year]).rows for year in earlier) >= lead and earlier:
        return None
    needed, rows = [], 0
    for year in sorted(series.years):
        needed.append(year)
        rows += read_header(series.years[year]).rows
        if rows > lead and year >= wanted.year:
            break
    return read_series(series, needed)


def _made(series: Series) -> Bars:
    """Return all bars of a series that is resampled from a stored one.

    Raises
    ------
    DataError
        If not one of them is whole.
    """
    base = series.base
    assert base is not None
    bars = resample(read_series(base, sorted(base.years)), series.timeframe)
    if not len(bars):
        raise DataError(
            f"No whole bar of {series.timeframe} can be made of the bars of {base}", todo=f"Fetch more: {base.advice}"
        )
    return bars


def _ends(bars: Bars) -> tuple[pd.Timestamp, pd.Timestamp]:
    return at_ms(bars.opened_ms[0]), at_ms(bars.opened_ms[-1])


def _check_coverage(
    series: Series, since: pd.Timestamp | None, until: pd.Timestamp | None, *, stored: tuple[pd.Timestamp, pd.Timestamp]
) -> None:
    first, last = stored
    covered_to = at_ms(series.timeframe.next_ms(in_ms(last)))
    # A bar opens in each step of the grid: those before `first` are missing only if one of them opens after `since`.
    covered_from = first - (covered_to - last)
    if (since is None or covered_from < since < covered_to) and (until is None or until <= covered_to):
        return
    todo = "Choose dates inside it, or leave them out"
    if series.venue != SYNTHETIC:
        todo += f"; or fetch the rest: {series.advice}"
    raise DataError(
        f"The range is not covered by {series}, stored from {short(first)} up to {short(covered_to)}",
        found=f"{'the beginning' if since is None else short(since)} to {'the end' if until is None else short(until)}",
        todo=todo,
    )


def _needed_years(series: Series, since: pd.Timestamp | None, until: pd.Timestamp | None, *, lead: int) -> list[int]:
    years = sorted(series.years)
    if until is not None:
        years = [year for year in years if year <= (until - pd.Timedelta(1, "ms")).year]
    if since is None:
        return years
    needed = [year for year in years if year >= since.year]
    rows = 0
    for year in sorted(set(years) - set(needed), reverse=True):
        if rows >= lead:
            break
        needed.insert(0, year)
        rows += read_header(series.years[year]).rows
    return needed


def _first_needed(series: Series, years: list[int], since: pd.Timestamp | None, *, lead: int) -> int | None:
    """Return the first open (epoch ms) of the group of rows with which to begin: `lead` bars lie before `since`; None for all."""
    if since is None:
        return None
    headers = [read_header(series.years[year]) for year in years if year <= since.year]
    groups = [group for header in headers for group in header.groups or (whole_file(header),)]
    before = [group for group in groups if group.first_ms <= in_ms(since)]
    rows, at = 0, max(len(before) - 1, 0)
    while at > 0 and rows < lead:
        at -= 1
        rows += before[at].rows
    return before[at].first_ms if before else None


def _lead_start(series: Series, bars: Bars, since: pd.Timestamp, *, lead: int) -> pd.Timestamp:
    available = int(bars.frame.index.searchsorted(since))
    if available < lead:
        earliest = f"the earliest start is {short(bars.frame.index[lead])}" if lead < len(bars) else "there are too few"
        raise DataError(
            f"{lead} bars of {bars.symbol} {bars.timeframe} are needed before {short(since)} for warm-up; {earliest}",
            found=counted(available, "bar"),
            todo=f"Start later, or fetch earlier bars: {series.advice}",
        )
    return at_ms(bars.opened_ms[available - lead])


def read_series(
    series: Series, years: list[int], *, since_ms: int | None = None, until: pd.Timestamp | None = None
) -> Bars:
    """Read years, or of them the groups of rows that reach into [since, until), verified; refuse a gap that was not accepted."""
    loaded = read_years([series.years[year] for year in years], since_ms, None if until is None else in_ms(until))
    for year, header in zip(years, loaded.headers, strict=True):
        check_identity(series, header, series.years[year])
    partly = since_ms is not None or until is not None
    return _joined(series, loaded.headers, loaded.frame, groups=loaded.groups, partly=partly)


def join_years(series: Series, parts: Sequence[tuple[YearFileHeader, pd.DataFrame]]) -> Bars:
    """Return years that were read as one series, and refuse a gap that was not accepted."""
    frame = pd.concat([frame for _, frame in parts]) if parts else empty_frame()
    return _joined(series, [header for header, _ in parts], frame)


def _joined(
    series: Series,
    headers: Sequence[YearFileHeader],
    frame: pd.DataFrame,
    *,
    groups: Sequence[Group] = (),
    partly: bool = False,
) -> Bars:
    """Return bars with their accepted gaps; of a part of the files only those between two of its bars."""
    bars = Bars(series.symbol, series.timeframe, frame, series.venue)
    known = np.array([edge for header in headers for edge in header.edges], dtype=np.int64).reshape(-1, 2)
    if len(unknown := uncovered(_holes(bars, groups), known)):
        raise DataError(
            f"Bars of {series} are missing that were never accepted as missing",
            found=describe_gap(gaps_of(*unknown[:1].T)[0], series.timeframe),
            todo=f"Fetch them: {series.advice}, or run `atb data verify`",
        )
    if len(bars) and partly:
        known = known[(known[:, 0] > bars.opened_ms[0]) & (known[:, 1] <= bars.opened_ms[-1])]
    return Bars(series.symbol, series.timeframe, frame, series.venue, gaps_of(*known.T))


def _holes(bars: Bars, groups: Sequence[Group]) -> np.ndarray[tuple[int, int], np.dtype[np.int64]]:
    """Return the edges (N, 2), epoch milliseconds, of each time between two bars: a bar's close and the later open of the next.

    Where the bars of each group are known to follow each other, only the groups' ends are looked at.
    """
    step = 0 if bars.timeframe.unit == "M" else bars.timeframe.seconds * 1_000
    if step and groups and all(group.step == step or group.rows == 1 for group in groups):
        opened = np.array([group.first_ms for group in groups[1:]], dtype=np.int64)
        closed = np.array([group.first_ms + group.rows * step for group in groups[:-1]], dtype=np.int64)
    else:
        opened, closed = bars.opened_ms[1:], bars.closed_ms[:-1]
    at = np.flatnonzero(closed != opened)
    return np.stack([closed[at], opened[at]], axis=1)


def _identified_year(series: Series, year: int) -> tuple[YearFileHeader, pd.DataFrame]:
    """Read a year, verified, and refuse the file of another series or of another year."""
    header, frame = read_year(series.years[year])
    check_identity(series, header, series.years[year])
    return header, frame


def sound_year(series: Series, year: int) -> tuple[YearFileHeader, pd.DataFrame] | None:
    """Return a stored year, or None if its file is damaged, of another series or of another year."""
    try:
        return _identified_year(series, year)
    except DataError:
        return None


def check_identity(series: Series, header: YearFileHeader, path: Path) -> None:
    """Refuse a file that is of another series than its folder, or of another year than its name."""
    if (header.symbol, header.timeframe, header.venue) != (series.symbol, series.timeframe, series.venue):
        raise DataError(
            f"A file lies in the wrong folder: {path}",
            found=f"{header.venue} {header.symbol} {header.timeframe}",
            todo="Move it back, or import the series again",
        )
    if path.stem.isdecimal() and {header.first.year, header.last.year} != {int(path.stem)}:
        raise DataError(
            f"A file holds another year than its name says: {path}",
            found=f"{short(header.first)} to {short(header.last)}",
            todo="Import or download the series again",
        )
