"""The Parquet catalogue, writing: new bars are merged into their series; a stored bar changes only when asked to."""

from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict

import pandas as pd

from atb.data.atomic import sole_writer, write_files
from atb.data.checks import check_bars, check_grid
from atb.data.gaps import Gap, describe_gaps, unknown_gaps
from atb.data.moments import at_ms, short
from atb.data.series import Series, series_at
from atb.data.yearfile import Header, empty_frame, encode, read_header, read_year
from atb.domain import BAR_COLUMNS, Bars
from atb.errors import DataError


@dataclass(frozen=True)
class Saved:
    """What a save did, in bars: new ones, ones already there with equal content, ones replaced.

    `set_aside` names damaged year files whose place the new bars took: the old bytes are kept there.
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
) -> Saved:
    """Merge closed bars into their series: equal bars are kept, different ones refused unless `replace`.

    Parameters
    ----------
    bars
        With a venue; `bars.gaps` are the holes already accepted.
    root
        The folder of the catalogue.
    source
        Where the bars come from, kept in the files.
    seed
        The generator's seed, for synthetic bars.
    replace
        Whether the new bars win where stored ones differ.
    accept_gaps
        Whether every hole is accepted and recorded, also one between stored and new bars.

    Raises
    ------
    DataError
        If a bar breaks a rule, differs from a stored one, or leaves an unknown hole. Nothing is written then.
    """
    check_bars(bars)
    folder = series_at(root, venue=bars.venue, symbol=bars.symbol, timeframe=bars.timeframe).folder
    with sole_writer(folder):
        for stale in folder.glob(".*.tmp"):  # a writer that was killed left them
            stale.unlink()
        series = series_at(root, venue=bars.venue, symbol=bars.symbol, timeframe=bars.timeframe)
        origin = _Origin(source=source, seed=seed)
        return _merge(series, bars, origin=origin, replace=replace, accept_gaps=accept_gaps)


class _Origin(TypedDict):
    source: str
    seed: int | None


_Stored = dict[int, tuple[Header, pd.DataFrame]]


def _merge(series: Series, bars: Bars, *, origin: _Origin, replace: bool, accept_gaps: bool) -> Saved:
    years = [at_ms(bars.opened_ms[i]).year for i in (0, -1)]
    later = [year for year in series.years if year > years[1]]
    touched = [year for year in sorted(series.years) if years[0] <= year <= years[1]] + ([min(later)] if later else [])
    stored = {year: read_year(series.years[year]) for year in touched}
    old = pd.concat([frame for _, frame in stored.values()]) if stored else empty_frame()
    both = old.index.intersection(bars.frame.index)
    changed = _conflicts(old.loc[both], bars.frame.loc[both])
    if len(changed) and not replace:
        _refuse_conflict(bars, old, changed)
    merged = pd.concat([old.drop(both), bars.frame]).sort_index()
    known = tuple(gap for header, _ in stored.values() for gap in header.gaps) + bars.gaps
    gaps = _holes(series, merged, before=years[0])
    if (unknown := unknown_gaps(gaps, known)) and not accept_gaps:
        raise DataError(
            f"{bars.symbol} {bars.timeframe} would be stored with {describe_gaps(unknown, bars.timeframe)}",
            todo="Fetch what is missing, or accept the gaps with --accept-gaps: they are recorded, never filled",
        )
    whole = Bars(bars.symbol, bars.timeframe, merged, bars.venue, gaps)
    write_files(_changed_files(series, whole, stored, bars=bars, origin=origin))
    return Saved(len(bars) - len(both), len(both) - len(changed), len(changed), gaps)


def _conflicts(old: pd.DataFrame, new: pd.DataFrame) -> pd.DatetimeIndex:
    return pd.DatetimeIndex(old.index[(old.to_numpy() != new.to_numpy()).any(axis=1)])


def _refuse_conflict(bars: Bars, old: pd.DataFrame, changed: pd.DatetimeIndex) -> None:
    there, here = (frame.loc[changed[:1]].iloc[0].to_dict() for frame in (old, bars.frame))
    column = next(name for name in BAR_COLUMNS if there[name] != here[name])
    raise DataError(
        f"{len(changed)} of the new bars differ from stored ones, the first at {short(changed[0])}: "
        f"{column} is {there[column]} in the catalogue",
        found=here[column],
        todo="Keep what is stored, or pass --replace to let the new bars win",
    )


def _holes(series: Series, merged: pd.DataFrame, *, before: int) -> tuple[Gap, ...]:
    """Return the holes inside the merged bars and between them and the last stored bar of an earlier year."""
    earlier = [year for year in series.years if year < before]
    if earlier:
        last = read_header(series.years[max(earlier)]).last
        merged = pd.concat([merged.iloc[:1].set_axis(pd.DatetimeIndex([last])), merged])
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


def _origin(was: tuple[Header, pd.DataFrame] | None, bars: Bars, new: _Origin) -> _Origin:
    """Return where a file's bars come from: both sources where stored bars remain in it."""
    if was is None or was[1].index.isin(bars.frame.index).all():
        return new
    header = was[0]
    sources = dict.fromkeys([*header.source.split("; "), new["source"]])
    return {"source": "; ".join(sources), "seed": header.seed}
