"""The Parquet catalogue, writing: new bars are merged into their series; a stored bar changes only when asked to.

No bar of a damaged year file can be trusted: new bars of that year take its place, so that importing or downloading again repairs
the series. The damaged file is kept beside it under a name that the catalogue does not read.
"""

from dataclasses import dataclass
from dataclasses import replace as replace_fields
from pathlib import Path
from typing import Literal, TypedDict

import pandas as pd

from atb.data.catalogue.atomic import set_aside, sole_writer, write_files
from atb.data.catalogue.checks import check_bars, check_grid
from atb.data.catalogue.gaps import Gap, describe_gaps, unknown_gaps
from atb.data.catalogue.reading import check_identity, sound_year
from atb.data.catalogue.revisions import differences, with_revisions
from atb.data.catalogue.series import Series, series_at, venue_name
from atb.data.catalogue.yearfile import YearFileHeader, empty_frame, encode, read_header
from atb.domain import BAR_COLUMNS, Bars
from atb.domain.bars import SYNTHETIC
from atb.errors import DataError
from atb.times import short


@dataclass(frozen=True)
class Saved:
    """Numbers of bars that a save added, found stored with equal values, and replaced; the series' gaps.

    `set_aside` are the names under which damaged year files, which the new bars replaced, are kept.
    """

    added: int
    unchanged: int
    replaced: int
    gaps: tuple[Gap, ...]
    set_aside: tuple[Path, ...] = ()


def save_bars(
    bars: Bars,
    *,
    root: Path,
    source: str,
    seed: int | None = None,
    replace: bool = False,
    accept_gaps: bool = False,
    partial: bool = False,
) -> Saved:
    """Merge closed bars into their series: equal bars are kept, different ones refused unless `replace`.

    Parameters
    ----------
    bars
        With a venue; `bars.gaps` are accepted gaps.
    root
        The folder of the catalogue.
    source
        Where the bars come from, kept in the files.
    seed
        The generator's seed, for synthetic bars.
    replace
        Whether the new bars win where stored ones differ; the ledger of revisions keeps both.
    accept_gaps
        Whether every gap is accepted and recorded, also one between stored and new bars.
    partial
        Whether the bars may replace a damaged year that held more: the rest is still to come.

    Raises
    ------
    DataError
        If a bar breaks a rule, differs from a stored one, or leaves a gap that was not accepted; or a year that they belong to is
        damaged and held more. Nothing is written then.
    """
    rules = _Rules("replace" if replace else "refuse", accept_gaps, partial)
    return _store(bars, root, origin=_Origin(source=source, seed=seed), rules=rules)


def recheck_bars(bars: Bars, *, root: Path, source: str, replace: bool = False) -> Saved:
    """Compare bars that came again with the stored ones: those that differ go into the ledger, and missing ones are added.

    Parameters
    ----------
    bars
        Of a stored series, with a venue.
    root, source
        As for `save_bars`.
    replace
        Whether the new values replace the stored ones; otherwise what was stored first stays.

    Returns
    -------
    Saved
        `replaced` counts the bars that differ, whichever value was kept.

    Raises
    ------
    DataError
        As for `save_bars`.
    """
    rules = _Rules("replace" if replace else "keep", accept_gaps=False, partial=True)
    return _store(bars, root, origin=_Origin(source=source, seed=None), rules=rules)


@dataclass(frozen=True)
class _Rules:
    """Decisions of a save: where stored bars differ, whether gaps are accepted, whether it is a part of a damaged year."""

    conflict: Literal["refuse", "replace", "keep"]
    accept_gaps: bool
    partial: bool


def _store(bars: Bars, root: Path, *, origin: "_Origin", rules: _Rules) -> Saved:
    check_bars(bars)
    bars = replace_fields(bars, venue=venue_name(bars.venue))
    folder = series_at(root, venue=bars.venue, symbol=bars.symbol, timeframe=bars.timeframe).folder
    with sole_writer(folder):
        for stale in folder.glob(".*.tmp"):  # a writer that was killed left them
            stale.unlink()
        series = series_at(root, venue=bars.venue, symbol=bars.symbol, timeframe=bars.timeframe)
        stored = _touched(series, bars)
        damaged = _damaged(series, bars, stored, partial=rules.partial)
        return _merge(series, bars, stored, damaged=damaged, origin=origin, rules=rules)


class _Origin(TypedDict):
    source: str
    seed: int | None


_Stored = dict[int, tuple[YearFileHeader, pd.DataFrame]]


def _touched(series: Series, bars: Bars) -> _Stored:
    """Return the years that the bars belong to, as far as they are sound, and the next later one.

    A damaged year after the new bars is left to the import that repairs it.
    """
    first, last = bars.frame.index[0].year, bars.frame.index[-1].year
    years = [year for year in sorted(series.years) if first <= year <= last]
    years += sorted(year for year in series.years if year > last)[:1]
    return {year: sound for year in years if (sound := sound_year(series, year))}


def _damaged(series: Series, bars: Bars, stored: _Stored, *, partial: bool) -> list[int]:
    """Return the years of the bars whose files are damaged.

    Raises
    ------
    DataError
        If such a file held bars, by its description, that the new ones leave out.
    """
    first, last = bars.frame.index[0], bars.frame.index[-1]
    damaged = [year for year in sorted(series.years) if first.year <= year <= last.year and year not in stored]
    for year in damaged if not partial else ():
        held = _described(series, year)
        if held and (held.first < first or held.last > last):
            raise DataError(
                f"The file {series.years[year]} is damaged, and these bars are only a part of what it held",
                found=f"{short(first)} to {short(last)} of {short(held.first)} to {short(held.last)}",
                todo="Import all of it in one command, or delete the file to do without the rest",
            )
    return damaged


def _described(series: Series, year: int) -> YearFileHeader | None:
    """Return a year file's header, or None if it cannot be read or is of another series."""
    try:
        header = read_header(series.years[year])
        check_identity(series, header, series.years[year])
    except DataError:
        return None
    return header


def _merge(series: Series, bars: Bars, stored: _Stored, *, damaged: list[int], origin: _Origin, rules: _Rules) -> Saved:
    old = pd.concat([frame for _, frame in stored.values()]) if stored else empty_frame()
    both = old.index.intersection(bars.frame.index)
    changed = _conflicts(old.loc[both], bars.frame.loc[both])
    if len(changed) and rules.conflict == "refuse":
        _refuse_conflict(bars, old, changed)
    ledger = _ledger(series, old.loc[changed], bars.frame.loc[changed], origin=origin, kept=rules.conflict)
    new = bars.frame.drop(changed) if rules.conflict == "keep" else bars.frame
    merged = pd.concat([old.drop(new.index.intersection(old.index)), new]).sort_index()
    known = tuple(gap for header, _ in stored.values() for gap in header.gaps) + bars.gaps
    gaps = _gaps(series, merged, before_year=bars.frame.index[0].year)
    if (unknown := unknown_gaps(gaps, known)) and not rules.accept_gaps:
        raise DataError(
            f"{bars.symbol} {bars.timeframe} would be stored with {describe_gaps(unknown, bars.timeframe)}",
            todo="Fetch what is missing, or accept the gaps with --accept-gaps: they are recorded, never filled",
        )
    whole = Bars(bars.symbol, bars.timeframe, merged, bars.venue, gaps)
    files = ledger | _changed_files(series, whole, stored, bars=bars, origin=origin)
    aside = tuple(set_aside(series.years[year]) for year in damaged)
    write_files(files)
    return Saved(len(bars) - len(both), len(both) - len(changed), len(changed), gaps, aside)


def _ledger(
    series: Series, stored: pd.DataFrame, came: pd.DataFrame, *, origin: _Origin, kept: str
) -> dict[Path, bytes]:
    """Return the series' ledger with the bars that came with other values."""
    if not len(stored) or series.venue == SYNTHETIC:  # another seed is another market, and no revision
        return {}
    now = pd.Timestamp.now(tz="UTC").floor("ms")
    which = "first" if kept == "keep" else "later"
    return with_revisions(series.folder, differences(stored, came, seen=now, kept=which, source=origin["source"]))


def _conflicts(old: pd.DataFrame, new: pd.DataFrame) -> pd.DatetimeIndex:
    return pd.DatetimeIndex(old.index[(old.to_numpy() != new.to_numpy()).any(axis=1)])


def _refuse_conflict(bars: Bars, old: pd.DataFrame, changed: pd.DatetimeIndex) -> None:
    stored, new = (frame.loc[changed[:1]].iloc[0].to_dict() for frame in (old, bars.frame))
    column = next(name for name in BAR_COLUMNS if stored[name] != new[name])
    raise DataError(
        f"{len(changed)} of the new bars differ from stored ones, the first at {short(changed[0])}: "
        f"{column} is {stored[column]} in the catalogue",
        found=new[column],
        todo="Keep what is stored, or pass --replace to let the new bars win",
    )


def _gaps(series: Series, merged: pd.DataFrame, *, before_year: int) -> tuple[Gap, ...]:
    """Return the gaps inside the merged bars and between them and the last stored bar of an earlier year."""
    earlier = [year for year in series.years if year < before_year]
    previous = _described(series, max(earlier)) if earlier else None
    if previous is not None:
        merged = pd.concat([merged.iloc[:1].set_axis(pd.DatetimeIndex([previous.last])), merged])
    return check_grid(Bars(series.symbol, series.timeframe, merged, series.venue).opened_ms, series.timeframe)


def _changed_files(
    series: Series, whole: Bars, stored: _Stored, /, *, bars: Bars, origin: _Origin
) -> dict[Path, bytes]:
    """Return the bytes of each year whose bars or gaps differ from what is stored."""
    files: dict[Path, bytes] = {}
    years = whole.frame.index.year.to_numpy()  # type: ignore[attr-defined] # an index of times
    for year in map(int, dict.fromkeys(years)):
        gaps = tuple(gap for gap in whole.gaps if gap[1].year == year)
        part = Bars(bars.symbol, bars.timeframe, whole.frame[years == year], bars.venue, gaps)
        was = stored.get(year)
        if was is None or (was[0].fingerprint, was[0].gaps) != (part.fingerprint, gaps):
            files[series.folder / f"{year}.parquet"] = encode(part, **_origin(was, bars, origin))
    return files


def _origin(was: tuple[YearFileHeader, pd.DataFrame] | None, bars: Bars, new: _Origin) -> _Origin:
    """Return where a file's bars come from: both sources where stored bars remain in it."""
    if was is None or was[1].index.isin(bars.frame.index).all():
        return new
    header = was[0]
    sources = dict.fromkeys([*header.source.split("; "), new["source"]])
    return {"source": "; ".join(sources), "seed": header.seed}
