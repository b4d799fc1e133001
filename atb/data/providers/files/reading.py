"""Files of bars to checked bars: all files of one series, read one by one and put together; nothing is written.

Each file is checked by itself, so that a message can name its row. What is guessed is noted; what is doubtful is refused.
"""

import re
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
import pandas as pd

from atb.data.catalogue.checks import check_grid, check_order, check_values
from atb.data.catalogue.gaps import Gap, describe_gaps
from atb.data.catalogue.series import venue_name
from atb.data.providers.files.columns import CLOCK, CLOSE_TIMES, names_utc, normal_name
from atb.data.providers.files.contracts import as_perpetual, perpetual_by_content, perpetual_by_place, taken_for
from atb.data.providers.files.csv_reader import read_csv
from atb.data.providers.files.frame_reader import read_columnar, read_json
from atb.data.providers.files.identity import identity_of_names, parsed_symbol, symbol_of, timeframe_of
from atb.data.providers.files.rows import in_order, of_symbol, opens_of_closes, without_empty_rows
from atb.data.providers.files.table import Table
from atb.data.providers.files.timestamps import Times, check_zone, read_times
from atb.data.providers.files.unpacking import Content, read_contents
from atb.decimals import counted
from atb.domain import BAR_COLUMNS, Bars, Symbol, Timeframe
from atb.domain.bars import bar_index
from atb.errors import DataError, InputError
from atb.times import at_ms, short

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True)
class ImportRules:
    """Options of an import: what it accepts.

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
class FileBars:
    """Bars read from files.

    Parameters
    ----------
    bars
        The closed bars, with the accepted gaps.
    columns
        The first file's column for each of ours.
    notes
        What was guessed, converted or dropped, one sentence each.
    files
        The names of all files read, also of those inside archives.
    """

    bars: Bars
    columns: dict[str, str]
    notes: tuple[str, ...]
    files: tuple[str, ...]

    @property
    def origin(self) -> str:
        """The files' names, for the catalogue: all of them, or the number, first and last."""
        if len(self.files) <= 3:
            return "; ".join(self.files)
        return f"{len(self.files)} files from {self.files[0]} to {self.files[-1]}"


def read_files(
    path: Path | str | Iterable[Path | str],
    *,
    symbol: str | Symbol | None = None,
    timeframe: str | Timeframe | None = None,
    venue: str | None = None,
    gaps: Literal["refuse", "keep"] = "refuse",
    rules: ImportRules | None = None,
) -> FileBars:
    """Read files as the bars of one series, checked against every rule.

    Parameters are those of `import_file`, without the catalogue.

    Raises
    ------
    InputError
        If a file is missing, or symbol, timeframe or venue cannot be known.
    DataError
        If the content breaks a rule.
    """
    rules = rules or ImportRules()
    paths = [Path(path)] if isinstance(path, str | Path) else [Path(item) for item in path]
    zone = "UTC" if rules.assume_utc else rules.zone
    if zone:
        check_zone(zone)
    contents, notes = read_contents(paths)
    files = tuple(content.name for content in contents)
    named = identity_of_names([*(item.name for item in paths), *files])
    pair = symbol_of(symbol, named, paths[0])
    either = symbol is None or bool(pair.settle)
    parts = [_named_part(content, pair, zone=zone, several=len(contents) > 1, either=either) for content in contents]
    place = perpetual_by_place(paths, files, venue or named.get("venue"), spelt=named.get("symbol", ""))
    wanted, taken = _contract(
        pair, place or perpetual_by_content((part.table for part in parts), pair), asked=bool(symbol)
    )
    frame, opened, joined = _joined(parts, contents)
    duration = timeframe_of(timeframe or named.get("timeframe"), opened)
    opened, moved = opens_of_closes(opened, duration, named=all(part.closes for part in parts))
    found_gaps = check_grid(opened, duration, parts[0].numbers if len(parts) == 1 else None)
    frame = frame.set_axis(bar_index(opened))
    frame, dropped = _closed_only(frame, opened, duration, now_ms=rules.now_ms)
    notes = list(
        dict.fromkeys([*notes, *(note for part in parts for note in part.notes), *joined, *moved, *dropped, *taken])
    )
    if found_gaps and gaps == "refuse":
        raise _gap_error(found_gaps, duration, notes)
    last = frame.index[-1]
    kept = tuple(gap for gap in found_gaps if gap[1] <= last)
    bars = Bars(wanted, duration, frame, venue_name(venue or named.get("venue", "file")), kept)
    return FileBars(bars, parts[0].table.columns, tuple(notes), files)


def _contract(pair: Symbol, evidence: str | None, *, asked: bool) -> tuple[Symbol, list[str]]:
    """Return the symbol that files are of, a pair or its perpetual, and a note on what was not asked for."""
    if asked:
        doubt = evidence and not pair.settle
        return pair, [f"taken for the spot pair {pair} as asked, but of a perpetual, as {evidence}"] if doubt else []
    symbol = as_perpetual(pair, evidence) if evidence and not pair.settle else pair
    return symbol, [taken_for(symbol, pair, evidence)]


def symbols_named(paths: Sequence[Path]) -> list[Symbol]:
    """Return the symbols that the rows of files name, in alphabetical order.

    Raises
    ------
    InputError
        If no row names a symbol, or one names something else.
    """
    names: set[str] = set()
    for content in read_contents(paths)[0]:
        table = _read_table(content, Symbol("BTC", "USDT"))
        names |= set() if table.symbols is None else {str(name) for name in table.symbols.dropna().unique()}
    if not names:
        raise InputError(
            "No row names its symbol", found=str(paths[0]), todo="Pass --symbol, and import one file at a time"
        )
    parsed = {name: parsed_symbol(name) for name in sorted(names)}
    if unknown := [name for name, symbol in parsed.items() if symbol is None]:
        raise InputError(
            "A row names no symbol", found=unknown[0][:40], todo="Import each with --symbol, as the file says it"
        )
    return sorted({symbol for symbol in parsed.values() if symbol is not None}, key=str)


@dataclass(frozen=True)
class _Part:
    """One file's rows, checked and in order, with their numbers in the file (from 0)."""

    table: Table
    frame: pd.DataFrame
    opened_ms: "NDArray[np.int64]"
    numbers: "NDArray[np.int64]"
    closes: bool
    notes: tuple[str, ...]


def _named_part(content: Content, symbol: Symbol, *, zone: str | None, several: bool, either: bool) -> _Part:
    """Read one file; of several, a refusal names it."""
    try:
        return _part(content, symbol, zone=zone, either=either)
    except DataError as error:
        if not several or content.name in str(error):
            raise
        raise DataError(f"{content.name}: {error.wrong}", found=error.found, todo=error.todo) from error


def _part(content: Content, symbol: Symbol, *, zone: str | None, either: bool) -> _Part:
    table, others = of_symbol(_read_table(content, symbol), symbol, either=either)
    rows, left_out = without_empty_rows(table)
    frame, times = _bars_frame(replace(table, frame=rows), zone=zone)
    check_values(frame, rows.index.to_numpy())
    kept, turned = in_order(frame, times.opened_ms)
    numbers = rows.index.to_numpy()[kept]
    check_order(times.opened_ms[kept], numbers)
    notes = (*table.notes, times.note, *others, *left_out, *turned)
    return _Part(table, frame.iloc[kept], times.opened_ms[kept], numbers, times.closes, notes)


def _read_table(content: Content, symbol: Symbol) -> Table:
    """Return a file's columns of bars; what kind of file it is, its first bytes say.

    Raises
    ------
    DataError
        If it cannot be read, or a column is missing.
    """
    if content.data.startswith((b"PAR1", b"ARROW1", b"FEA1")):
        return read_columnar(content.data, content.name, symbol)
    if re.match(rb"(?:\xef\xbb\xbf)?\s*[\[{]", content.data[:4_096]):
        return read_json(content.data, content.name, symbol)
    return read_csv(content.data, content.name, symbol)


def _bars_frame(table: Table, *, zone: str | None) -> tuple[pd.DataFrame, Times]:
    """Return the table as bars in the file's order, not yet checked, with its times and how they were read.

    Parameters
    ----------
    table
        The file's table.
    zone
        The time zone of times that name none; None refuses them.

    Raises
    ------
    DataError
        If a time cannot be read as UTC.
    """
    column = table.columns["timestamp"]
    zone = "UTC" if (named := names_utc(column)) else zone
    clock = table.columns.get(CLOCK)
    called = f"The times in columns {column!r} and {clock!r}" if clock else "The timestamps"
    times = read_times(
        table.frame["timestamp"], clock=table.frame.get(CLOCK), zone=zone, where=table.where, called=called
    )
    note = times.note.replace("as asked", f"as the column's name {column!r} says") if named else times.note
    times = Times(times.opened_ms, note, closes=normal_name(column) in CLOSE_TIMES)
    index = bar_index(times.opened_ms)
    return table.frame[list(BAR_COLUMNS)].set_axis(index), times


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
            f"{counted(len(twice), 'bar differs', 'bars differ')} between files, the first at {short(at_ms(moment))}",
            found=" and ".join(holders),
            todo="Import the files one by one, with --replace for the one that is right",
        )
    return frame, opened, notes


def _closed_only(
    frame: pd.DataFrame, opened_ms: "NDArray[np.int64]", timeframe: Timeframe, *, now_ms: int | None
) -> tuple[pd.DataFrame, tuple[str, ...]]:
    now = int(time.time() * 1_000) if now_ms is None else now_ms
    open_still = timeframe.closes_ms(opened_ms) > now
    if not open_still.any():
        return frame, ()
    if open_still.all():
        raise DataError("No bar of the file has closed yet", found=short(frame.index[0]))
    first = at_ms(opened_ms[int(np.argmax(open_still))])
    count = int(open_still.sum())
    note = f"{counted(count, 'unclosed bar')} dropped, from {short(first)} on"
    return frame[~open_still], (note,)


def _gap_error(gaps: tuple[Gap, ...], timeframe: Timeframe, notes: list[str]) -> DataError:
    empty = next((f" ({note})" for note in notes if "without prices" in note), "")
    return DataError(
        f"The file has {describe_gaps(gaps, timeframe)}{empty}",
        todo="Accept them with `--accept-gaps` on the command line, `gaps='keep'` in Python: they are recorded and never filled. "
        "Nothing was imported",
    )
