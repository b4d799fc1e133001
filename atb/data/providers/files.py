"""Strangers' files of bars into the catalogue: everything guessed is shown, everything doubtful refused.

Each file is read and checked by itself, so that a message names its row; then the rows of all are put together.
"""

import time
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
import pandas as pd

from atb.data.catalogue.checks import check_grid, check_order, check_values, closes_of, infer_timeframe
from atb.data.catalogue.gaps import Gap, describe_gaps, missing_bars
from atb.data.catalogue.series import venue_name
from atb.data.catalogue.writing import Saved, save_bars
from atb.data.providers.file_contents import Content, read_contents
from atb.data.providers.file_names import said_by
from atb.data.providers.file_rows import in_order, of_symbol, opens_of_closes, without_empty_rows
from atb.data.providers.file_table import Table
from atb.data.providers.file_tables import bars_frame, read_table
from atb.data.providers.file_times import check_zone
from atb.domain import Bars, Symbol, Timeframe
from atb.errors import DataError, InputError
from atb.times import at_ms, short

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True)
class ImportRules:
    """What an import accepts.

    Parameters
    ----------
    assume_utc
        Whether times without a zone are UTC.
    zone
        The zone of times without one, such as `Europe/Berlin`; None refuses them unless `assume_utc`.
    replace
        Whether bars that differ from stored ones replace them.
    now_ms
        The present in epoch milliseconds; a bar that closes later is dropped. None is the machine's clock.
    """

    assume_utc: bool = False
    zone: str | None = None
    replace: bool = False
    now_ms: int | None = None


@dataclass(frozen=True)
class ImportReport:
    """What was read, how it was understood, and what storing it did.

    Parameters
    ----------
    path
        What was asked for: the first of several.
    bars
        The file's closed bars as `Bars`, with the accepted gaps.
    columns
        The file's column for each of ours.
    notes
        What was guessed, converted or dropped, one sentence each.
    saved
        Bars added, unchanged and replaced.
    files
        The names of all files read, those inside archives too.
    """

    path: Path
    bars: Bars
    columns: dict[str, str]
    notes: tuple[str, ...]
    saved: Saved
    files: tuple[str, ...] = ()

    @property
    def unchanged(self) -> bool:
        """Whether the catalogue held all of it already."""
        return not self.saved.added and not self.saved.replaced

    def to_json(self) -> dict[str, object]:
        """Return plain values; times as ISO 8601."""
        bars = self.bars
        return {
            "file": str(self.path),
            "files": list(self.files),
            "symbol": str(bars.symbol),
            "timeframe": str(bars.timeframe),
            "venue": bars.venue,
            "bars": len(bars),
            "first": bars.frame.index[0].isoformat(),
            "last": bars.frame.index[-1].isoformat(),
            "added": self.saved.added,
            "unchanged": self.saved.unchanged,
            "replaced": self.saved.replaced,
            "gaps": [
                {"start": gap[0].isoformat(), "end": gap[1].isoformat(), "missing": missing_bars(gap, bars.timeframe)}
                for gap in bars.gaps
            ],
            "columns": self.columns,
            "notes": list(self.notes),
            "fingerprint": bars.fingerprint,
        }


def import_file(
    path: Path | str | Iterable[Path | str],
    *,
    root: Path,
    symbol: str | Symbol | None = None,
    timeframe: str | Timeframe | None = None,
    venue: str | None = None,
    gaps: Literal["refuse", "keep"] = "refuse",
    rules: ImportRules | None = None,
) -> ImportReport:
    """Read files of bars, check them, and merge them into the catalogue; on any doubt nothing is written.

    Parameters
    ----------
    path
        A file, several, or a folder: CSV, JSON, feather or Parquet, alone, compressed or in zip archives. All of one series.
    root
        The folder of the catalogue.
    symbol, timeframe, venue
        What the bars are of. A file name like `binance_BTCUSDT_1h.parquet` says all three; otherwise the symbol is needed,
        the timeframe is the most common step between rows, and the venue is `file`.
    gaps
        `keep` accepts and records holes; `refuse` names them.
    rules
        What else to accept; by default nothing doubtful.

    Raises
    ------
    InputError
        If a file is not there, or what it holds is not said.
    DataError
        If the content breaks a rule.
    """
    rules = rules or ImportRules()
    paths = [Path(path)] if isinstance(path, str | Path) else [Path(one) for one in path]
    zone = "UTC" if rules.assume_utc else rules.zone
    if zone:
        check_zone(zone)
    contents, notes = read_contents(paths)
    named = _from_names([*(one.name for one in paths), *(content.name for content in contents)])
    wanted = _symbol(symbol, named, paths[0])
    parts = [_named_part(content, wanted, zone=zone, several=len(contents) > 1) for content in contents]
    frame, opened, joined = _joined(parts, contents)
    duration = _timeframe(timeframe or named.get("timeframe"), opened)
    opened, moved = opens_of_closes(opened, duration, named=all(part.closes for part in parts))
    holes = check_grid(opened, duration, parts[0].numbers if len(parts) == 1 else None)
    frame = frame.set_axis(pd.DatetimeIndex(opened.astype("datetime64[ms]"), tz="UTC", name="timestamp").as_unit("us"))
    frame, dropped = _closed_only(frame, opened, duration, now_ms=rules.now_ms)
    notes = list(dict.fromkeys([*notes, *(note for part in parts for note in part.notes), *joined, *moved, *dropped]))
    if holes and gaps == "refuse":
        raise _gap_error(holes, duration, notes)
    last = frame.index[-1]
    kept = tuple(gap for gap in holes if gap[1] <= last)
    bars = Bars(wanted, duration, frame, venue_name(venue or named.get("venue", "file")), kept)
    saved = save_bars(bars, root=root, source=_source(contents), replace=rules.replace, accept_gaps=gaps == "keep")
    files = tuple(content.name for content in contents)
    return ImportReport(paths[0], bars, parts[0].table.columns, (*notes, *_saved_notes(saved)), saved, files)


@dataclass(frozen=True)
class _Part:
    """One file's rows, checked and in order, with their numbers in the file (from 0)."""

    table: Table
    frame: pd.DataFrame
    opened_ms: "NDArray[np.int64]"
    numbers: "NDArray[np.int64]"
    closes: bool
    notes: tuple[str, ...]


def _named_part(content: Content, symbol: Symbol, *, zone: str | None, several: bool) -> _Part:
    """Read one file; of several, a refusal names it."""
    try:
        return _part(content, symbol, zone=zone)
    except DataError as error:
        if not several or content.name in str(error):
            raise
        raise DataError(f"{content.name}: {error.wrong}", found=error.found, todo=error.todo) from error


def _part(content: Content, symbol: Symbol, *, zone: str | None) -> _Part:
    table, others = of_symbol(read_table(content, symbol), symbol)
    rows, left_out = without_empty_rows(table)
    frame, times = bars_frame(replace(table, frame=rows), zone=zone)
    check_values(frame, rows.index.to_numpy())
    kept, turned = in_order(frame, times.opened_ms)
    numbers = rows.index.to_numpy()[kept]
    check_order(times.opened_ms[kept], numbers)
    notes = (*table.notes, times.note, *others, *left_out, *turned)
    return _Part(table, frame.iloc[kept], times.opened_ms[kept], numbers, times.closes, notes)


def _joined(parts: list[_Part], contents: list[Content]) -> tuple[pd.DataFrame, "NDArray[np.int64]", list[str]]:
    """Return the rows of all files by time, and a note on rows that two files hold alike: they are kept once."""
    if len(parts) == 1:
        return parts[0].frame, parts[0].opened_ms, []
    if len({part.closes for part in parts}) > 1:
        raise DataError("Some of the files hold opening times, some closing times", todo="Import them one by one")
    frame = pd.concat([part.frame for part in parts])
    opened = np.concatenate([part.opened_ms for part in parts])
    kept, notes = in_order(frame, opened, several=True)
    frame, opened = frame.iloc[kept], opened[kept]
    if (twice := np.flatnonzero(np.diff(opened) == 0)).size:
        moment = opened[twice[0]]
        holders = [content.name for content, part in zip(contents, parts, strict=True) if moment in part.opened_ms]
        raise DataError(
            f"{len(twice)} bar{'s' * (len(twice) > 1)} differ between files, the first at {short(at_ms(moment))}",
            found=" and ".join(holders),
            todo="Import the files one by one, with --replace for the one that is right",
        )
    return frame, opened, notes


def _source(contents: list[Content]) -> str:
    if len(contents) <= 3:
        return "; ".join(content.name for content in contents)
    return f"{len(contents)} files from {contents[0].name} to {contents[-1].name}"


def _from_names(names: list[str]) -> dict[str, str]:
    """Return what the files' names say of all of them.

    Raises
    ------
    InputError
        If two names say different things: one import is one series.
    """
    said: dict[str, str] = {}
    for name in names:
        for key, value in said_by(name).items():
            known = said.setdefault(key, value)
            if (Symbol.parse(known) != Symbol.parse(value)) if key == "symbol" else known != value:
                raise InputError(
                    f"These files are not of one series: their names say different things ({key})",
                    found=f"{known} and {value}",
                    todo="Import the files of each series by themselves",
                )
    return said


def _symbol(given: str | Symbol | None, named: dict[str, str], file: Path) -> Symbol:
    if given is None and "symbol" not in named:
        raise InputError(
            "The file's name does not say which symbol it holds",
            found=file.name,
            todo="Pass --symbol (and --venue), or name the file like binance_BTCUSDT_1h.csv",
        )
    return Symbol.parse(given if given is not None else named["symbol"])


def _timeframe(given: str | Timeframe | None, opened_ms: "NDArray[np.int64]") -> Timeframe:
    """Return the timeframe said, if the steps between rows allow it, or else the inferred one."""
    if given is None:
        return infer_timeframe(opened_ms)
    wanted = Timeframe.parse(given)
    steps = np.unique(np.diff(opened_ms))
    if not len(steps) or wanted.unit == "M" or int(np.gcd.reduce(steps)) == wanted.seconds * 1_000:
        return wanted  # also of a market so thin that hardly two bars follow each other
    if (inferred := infer_timeframe(opened_ms)) != wanted:
        raise DataError(
            f"These are not {wanted} bars: the most common step between rows is {inferred}", found=str(inferred)
        )
    return wanted


def _closed_only(
    frame: pd.DataFrame, opened_ms: "NDArray[np.int64]", timeframe: Timeframe, *, now_ms: int | None
) -> tuple[pd.DataFrame, tuple[str, ...]]:
    now = int(time.time() * 1_000) if now_ms is None else now_ms
    open_still = closes_of(opened_ms, timeframe) > now
    if not open_still.any():
        return frame, ()
    if open_still.all():
        raise DataError("No bar of the file has closed yet", found=short(frame.index[0]))
    first = at_ms(opened_ms[int(np.argmax(open_still))])
    count = int(open_still.sum())
    note = f"{count} unclosed bar{'s' * (count > 1)} dropped, from {short(first)} on"
    return frame[~open_still], (note,)


def _gap_error(holes: tuple[Gap, ...], timeframe: Timeframe, notes: list[str]) -> DataError:
    empty = next((f" ({note})" for note in notes if "without prices" in note), "")
    return DataError(
        f"The file has {describe_gaps(holes, timeframe)}{empty}",
        todo="Accept them with `--accept-gaps` on the command line, `gaps='keep'` in Python: they are recorded and never filled. "
        "Nothing was imported",
    )


def _saved_notes(saved: Saved) -> tuple[str, ...]:
    return tuple(f"a damaged file of the catalogue was replaced; it is kept as {path}" for path in saved.set_aside)
