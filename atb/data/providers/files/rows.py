"""Rows of a file in time order: empty and repeated ones dropped, newest-first reversed; no value is made up."""

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from atb.data.catalogue.checks import on_grid
from atb.data.providers.files.identity import parsed_symbol
from atb.data.providers.files.table import Table
from atb.decimals import counted
from atb.domain import BAR_COLUMNS, Symbol, Timeframe
from atb.errors import DataError
from atb.times import at_ms, short

if TYPE_CHECKING:
    from numpy.typing import NDArray

_PRICES = list(BAR_COLUMNS[:4])


def of_symbol(table: Table, wanted: Symbol, *, either: bool = False) -> tuple[Table, list[str]]:
    """Return the rows of the wanted symbol where the file names each row's, and a note on the others.

    With `either` rows of the same pair's spot market or perpetual are taken where there is none of the symbol itself.

    Raises
    ------
    DataError
        If the file names other base assets only.
    """
    if table.symbols is None:
        return table, []
    names = [str(name) for name in table.symbols.dropna().unique()]
    parsed = {name: parsed_symbol(name) for name in names}
    if len(names) == 1:
        only = parsed[names[0]]
        if only is None or only == wanted:
            return table, []
        if only.base == wanted.base:
            return table, [f"the file itself calls its symbol {names[0]}"]
    mine = [name for name in names if parsed[name] == wanted]
    if either and not mine:
        pair = (wanted.base, wanted.quote)
        mine = [name for name, one in parsed.items() if one is not None and (one.base, one.quote) == pair]
    if names and not mine:
        raise DataError(
            f"{table.name} holds no row of {wanted}",
            found=", ".join(names[:8]),
            todo="Pass --symbol as the file says it",
        )
    if len(mine) == len(names):
        return table, []
    kept = table.symbols.isin(mine)
    return replace(table, frame=table.frame[kept]), [f"{counted(int((~kept).sum()), 'row')} of other symbols left out"]


def without_empty_rows(table: Table) -> tuple[pd.DataFrame, list[str]]:
    """Return the rows that have a price or a volume, under their numbers in the file, and a note on the others.

    Raises
    ------
    DataError
        If no row has a price, or no row has a volume.
    """
    frame = table.frame
    empty = (frame[_PRICES].isna().all(axis=1) & ~(frame["volume"] > 0)).to_numpy()
    if empty.all():
        raise DataError(f"No row of {table.name} has a price", todo="Export or download it again")
    kept = frame[~empty] if empty.any() else frame
    if kept["volume"].isna().all():
        raise DataError(
            f"The volume is missing in every row of {table.name} (column {table.columns['volume']!r} is empty)",
            todo="Export it with the volume; where there was no trade, write 0",
        )
    missing = kept["volume"].isna().to_numpy()
    if missing.any():
        raise DataError(
            f"The volume is missing in {table.where(int(kept.index[int(np.argmax(missing))]))} of {table.name}",
            todo="Write the volume; where there was no trade, write 0",
        )
    count = int(empty.sum())
    notes = [f"{counted(count, 'row')} without prices left out"] if count else []
    if not kept["volume"].any():
        notes.append(f"the volume is 0 in every row (column {table.columns['volume']!r})")
    return kept, notes


def in_order(
    frame: pd.DataFrame, opened_ms: "NDArray[np.int64]", *, several: bool = False
) -> tuple["NDArray[np.int64]", list[str]]:
    """Return which rows to keep, from the oldest to the newest and each time once, and notes.

    Rows repeated with equal numbers are kept once. A file that runs from the newest to the oldest is reversed; rows of several
    files are sorted. Anything else is left as it is, for `check_order` to refuse.
    """
    notes: list[str] = []
    kept = np.arange(len(opened_ms))
    steps = np.diff(opened_ms)
    if several and (steps < 0).any():
        kept = np.argsort(opened_ms, kind="stable")
    elif len(steps) and (steps <= 0).all() and (steps < 0).any():
        kept = kept[::-1]
        notes.append("rows from the newest to the oldest, turned round")
    if (np.diff(opened_ms[kept]) > 0).all():
        return kept, notes
    again = frame.iloc[kept].reset_index(drop=True).assign(opened=opened_ms[kept]).duplicated().to_numpy()
    if count := int(again.sum()):
        notes.append(f"{counted(count, 'repeated row')} left out, equal to the first")
    return kept[~again], notes


def opens_of_closes(
    times_ms: "NDArray[np.int64]", timeframe: Timeframe, *, named: bool
) -> tuple["NDArray[np.int64]", list[str]]:
    """Return the opens of bars whose times are their closes, and a note; times that are opens as they are.

    Parameters
    ----------
    times_ms
        Epoch milliseconds, ascending.
    timeframe
        The bars' duration.
    named
        Whether the file says that they are closes. If not, they are taken for closes only where every one lies a millisecond
        or a second before the grid, as Binance's do: no bar opens there.
    """
    late = next((shift for shift in (1, 1_000) if on_grid(times_ms + shift, timeframe).all()), 0)
    if not (named or late):
        return times_ms, []
    ends = times_ms + late
    if timeframe.unit == "M":
        month_earlier = pd.DatetimeIndex(ends.astype("datetime64[ms]")) - pd.DateOffset(months=1)
        opened = month_earlier.as_unit("ms").asi8
    else:
        opened = ends - timeframe.seconds * 1_000
    first = f"{short(at_ms(times_ms[0]))} is the close of {short(at_ms(opened[0]))}"
    return opened, [f"times are closes, taken back by one bar of {timeframe}: {first}"]
