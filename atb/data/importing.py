"""A stranger's CSV or Parquet file into the catalogue: everything guessed is shown, everything doubtful refused."""

import re
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd

from atb.data.checks import check_grid, check_order, check_values, closes_of, infer_timeframe
from atb.data.columns import guess_columns
from atb.data.gaps import Gap, describe_gaps, missing_bars
from atb.data.moments import at_ms, short
from atb.data.storing import Saved, save_bars
from atb.data.tables import bars_frame, read_table
from atb.data.times import Times
from atb.domain import Bars, Symbol, Timeframe
from atb.errors import DataError, InputError

_FILE_NAME = re.compile(r"([a-z0-9]+)_([A-Za-z0-9-]+)_(\d{1,2}[mhdwM])(?:_.*)?")


@dataclass(frozen=True)
class ImportRules:
    """What an import accepts.

    Parameters
    ----------
    assume_utc
        Whether times without a zone are UTC.
    replace
        Whether bars that differ from stored ones replace them.
    now_ms
        The present in epoch milliseconds; a bar that closes later is dropped. None is the machine's clock.
    """

    assume_utc: bool = False
    replace: bool = False
    now_ms: int | None = None


@dataclass(frozen=True)
class ImportReport:
    """What was read, how it was understood, and what storing it did.

    Parameters
    ----------
    bars
        The file's closed bars as `Bars`, with the accepted gaps.
    columns
        The file's column for each of ours.
    notes
        What was guessed, converted or dropped, one sentence each.
    saved
        Bars added, unchanged and replaced.
    """

    path: Path
    bars: Bars
    columns: dict[str, str]
    notes: tuple[str, ...]
    saved: Saved

    @property
    def unchanged(self) -> bool:
        """Whether the catalogue held all of it already."""
        return not self.saved.added and not self.saved.replaced

    def to_json(self) -> dict[str, object]:
        """Return plain values; times as ISO 8601."""
        bars = self.bars
        return {
            "file": str(self.path),
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
    path: Path | str,
    *,
    root: Path,
    symbol: str | Symbol | None = None,
    timeframe: str | Timeframe | None = None,
    venue: str | None = None,
    gaps: Literal["refuse", "keep"] = "refuse",
    rules: ImportRules | None = None,
) -> ImportReport:
    """Read a file of bars, check it, and merge it into the catalogue; on any doubt nothing is written.

    Parameters
    ----------
    path
        A CSV (also compressed) or Parquet file.
    root
        The folder of the catalogue.
    symbol, timeframe, venue
        What the bars are of. A file name like `binance_BTCUSDT_1h.parquet` says all three; otherwise the symbol is needed,
        the timeframe is the median step between rows, and the venue is `file`.
    gaps
        `keep` accepts and records holes; `refuse` names them.
    rules
        What else to accept; by default nothing doubtful.

    Raises
    ------
    InputError
        If the file is not there, or what it holds is not said.
    DataError
        If the content breaks a rule.
    """
    file, rules = Path(path), rules or ImportRules()
    if not file.is_file():
        raise InputError("No such file", found=str(file), todo="Check the path")
    named = _from_name(file)
    wanted = _symbol(symbol, named, file)
    table, notes = read_table(file)
    columns = guess_columns(table.columns, wanted)
    frame, times = bars_frame(table, columns, assume_utc=rules.assume_utc)
    check_order(times.opened_ms)
    check_values(frame)
    duration = _timeframe(timeframe or named.get("timeframe"), times)
    holes = check_grid(times.opened_ms, duration)
    frame, dropped = _closed_only(frame, times, duration, now_ms=rules.now_ms)
    if holes and gaps == "refuse":
        raise _gap_error(holes, duration)
    kept = tuple(gap for gap in holes if gap[1] <= frame.index[-1])
    bars = Bars(wanted, duration, frame, venue or named.get("venue", "file"), kept)
    saved = save_bars(bars, root=root, source=file.name, replace=rules.replace, accept_gaps=gaps == "keep")
    return ImportReport(file, bars, columns, (*notes, times.note, *dropped), saved)


def _from_name(file: Path) -> dict[str, str]:
    """Return venue, symbol and timeframe from a name like `binance_BTCUSDT_1h.parquet`, as far as they make sense."""
    match = _FILE_NAME.fullmatch(file.name.split(".", maxsplit=1)[0])
    if not match:
        return {}
    try:
        Symbol.parse(match[2])
        Timeframe.parse(match[3])
    except InputError:
        return {}
    return {"venue": match[1], "symbol": match[2], "timeframe": match[3]}


def _symbol(given: str | Symbol | None, named: dict[str, str], file: Path) -> Symbol:
    if given is None and "symbol" not in named:
        raise InputError(
            "The file's name does not say which symbol it holds",
            found=file.name,
            todo="Pass --symbol (and --venue), or name the file like binance_BTCUSDT_1h.csv",
        )
    return Symbol.parse(given if given is not None else named["symbol"])


def _timeframe(given: str | Timeframe | None, times: Times) -> Timeframe:
    """Return the timeframe said, if the rows' median step agrees, or else the inferred one."""
    if given is None:
        return infer_timeframe(times.opened_ms)
    wanted = Timeframe.parse(given)
    if len(times.opened_ms) > 1 and (inferred := infer_timeframe(times.opened_ms)) != wanted:
        raise DataError(f"These are not {wanted} bars: the median step between rows is {inferred}", found=str(inferred))
    return wanted


def _closed_only(
    frame: pd.DataFrame, times: Times, timeframe: Timeframe, *, now_ms: int | None
) -> tuple[pd.DataFrame, tuple[str, ...]]:
    now = int(time.time() * 1_000) if now_ms is None else now_ms
    open_still = closes_of(times.opened_ms, timeframe) > now
    if not open_still.any():
        return frame, ()
    if open_still.all():
        raise DataError("No bar of the file has closed yet", found=short(frame.index[0]))
    first = at_ms(times.opened_ms[int(np.argmax(open_still))])
    count = int(open_still.sum())
    note = f"{count} unclosed bar{'s' * (count > 1)} dropped, from {short(first)} on"
    return frame[~open_still], (note,)


def _gap_error(holes: tuple[Gap, ...], timeframe: Timeframe) -> DataError:
    return DataError(
        f"The file has {describe_gaps(holes, timeframe)}",
        todo="Accept them with --accept-gaps (gaps='keep'): they are recorded and never filled. Nothing was imported",
    )
