"""Events with a time of their own, such as funding and sentiment: stored as they came, with when they came; never put on a grid.

Funding of a perpetual lies beside its bars, `<root>/<venue>/<symbol>/funding/events.parquet`; a sentiment index under
`<root>/_sentiment/<source>/events.parquet`. A stored value changes only when asked to; a different one that comes later is kept in
the ledger of revisions.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from atb.data.catalogue.atomic import set_aside, sole_writer, write_files
from atb.data.catalogue.revisions import differences, with_revisions
from atb.data.catalogue.sealing import sealed, unbroken
from atb.data.catalogue.series import venue_name
from atb.domain import Symbol
from atb.errors import DataError, InputError
from atb.times import short

if TYPE_CHECKING:
    from numpy.typing import NDArray

_FILE, _FORMAT, _SENTIMENT = "events.parquet", "1", "_sentiment"


@dataclass(frozen=True)
class EventKind:
    """A kind of events: its name, its columns of numbers (the first is never missing), its further times."""

    name: str
    numbers: tuple[str, ...]
    times: tuple[str, ...] = ()

    @property
    def columns(self) -> tuple[str, ...]:
        """Return all columns beside `timestamp`."""
        return (*self.numbers, *self.times)


FUNDING = EventKind("funding", ("funding_rate", "mark_price", "interval_hours"))
SENTIMENT = EventKind("sentiment", ("value",), ("published",))


@dataclass(frozen=True)
class EventSeries:
    """The stored events of one kind and subject.

    Parameters
    ----------
    kind
        Its columns.
    subject
        What they are of, in words: `BTC/USDT:USDT (binanceusdm)`, `fear_greed`.
    folder
        Where they lie.
    name, venue
        The perpetual and where it is traded; the index, and no venue.
    """

    kind: EventKind
    subject: str
    folder: Path
    name: str
    venue: str = ""

    @property
    def path(self) -> Path:
        """Return the file, which may not be there."""
        return self.folder / _FILE

    @property
    def stored(self) -> bool:
        """Whether there are any events."""
        return self.path.is_file()

    def __str__(self) -> str:
        """Return the series as messages name it."""
        return f"{self.kind.name} of {self.subject}"


@dataclass(frozen=True)
class SavedEvents:
    """Numbers of events that a save added, found stored with equal values, and found stored with other values."""

    added: int
    unchanged: int
    revised: int


def funding_at(root: Path, *, symbol: Symbol, venue: str) -> EventSeries:
    """Return the funding of a perpetual at a venue, stored or not.

    Raises
    ------
    InputError
        If the symbol is no perpetual, or the venue's name cannot be a folder.
    """
    if not symbol.settle:
        todo = f"Name the perpetual by what it is settled in, like {symbol}:{symbol.quote}"
        raise InputError("Only perpetuals pay funding", found=str(symbol), todo=todo)
    venue = venue_name(venue)
    return EventSeries(FUNDING, f"{symbol} ({venue})", root / venue / symbol.slug / FUNDING.name, str(symbol), venue)


def sentiment_at(root: Path, source: str) -> EventSeries:
    """Return the values of a sentiment index, stored or not.

    Raises
    ------
    InputError
        If the source's name cannot be a folder.
    """
    try:
        source = venue_name(source)
    except InputError as error:
        raise InputError(
            "An index has a name of letters, digits, - and _", found=error.found, todo="Use one like fear_greed"
        ) from None
    return EventSeries(SENTIMENT, source, root / _SENTIMENT / source, source)


def all_events(root: Path) -> list[EventSeries]:
    """Return every stored series of events, funding first."""
    found = []
    for path in [*sorted(root.glob(f"*/*/{FUNDING.name}/{_FILE}")), *sorted((root / _SENTIMENT).glob(f"*/{_FILE}"))]:
        venue, name = path.relative_to(root).parts[:2]
        try:
            one = (
                sentiment_at(root, name)
                if venue == _SENTIMENT
                else funding_at(root, symbol=Symbol(*name.split("-")), venue=venue)
            )
        except (InputError, TypeError):
            continue  # not a folder of the catalogue
        if one.path == path:  # another spelling is not one either
            found.append(one)
    return found


def read_events(series: EventSeries) -> tuple[pd.DataFrame, str]:
    """Return the stored events, verified to the byte, and their sources.

    Returns
    -------
    DataFrame and str
        Indexed by `timestamp` (UTC), the kind's columns and `fetched`, when each event came; the sources joined by `; `.

    Raises
    ------
    DataError
        If the file is missing, damaged or of another series.
    """
    todo = "Import or download it again, or restore the file from a backup"
    try:
        content = series.path.read_bytes()
    except OSError as error:
        raise DataError(f"The {series} cannot be read", found=str(series.path), todo=todo) from error
    if not unbroken(content):
        raise DataError("A file of the catalogue has changed since it was written", found=str(series.path), todo=todo)
    try:
        table = pq.read_table(pa.BufferReader(content), schema=_schema(series.kind))
        pairs = {
            key.decode(): value.decode() for key, value in pq.read_metadata(pa.BufferReader(content)).metadata.items()
        }
        frame, subject, source = _frame(table, series.kind), pairs["atb.subject"], pairs["atb.source"]
    except (pa.ArrowException, ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError("A file of the catalogue cannot be read", found=str(series.path), todo=todo) from error
    if (pairs["atb.format"], subject) != (_FORMAT, str(series)):
        raise DataError(f"A file lies in the wrong folder: {series.path}", found=subject, todo="Move it back")
    return frame, source


def save_events(
    series: EventSeries, events: pd.DataFrame, *, source: str, fetched: pd.Timestamp, replace: bool = False
) -> SavedEvents:
    """Merge events into their series: what is stored stays, what came with other values goes into the ledger.

    Parameters
    ----------
    series
        Where they belong.
    events
        Indexed by UTC time; the kind's columns, of which all but the first may be missing. A value that was missing is completed.
    source
        Where they come from, in words.
    fetched
        When they came, UTC.
    replace
        Whether values that differ replace the stored ones.

    Raises
    ------
    DataError
        If the events break a rule; nothing is written then.
    """
    new = checked(series.kind, events).assign(fetched=fetched.as_unit("ms"))
    with sole_writer(series.folder):
        old, sources = _old(series) or (new.iloc[:0], "")
        names = list(series.kind.columns)
        both = old.index.intersection(new.index)
        stored, came = old.loc[both, names], new.loc[both, names]
        completed, came = stored.combine_first(came), came.combine_first(stored)
        found = differences(
            completed[names], came[names], seen=fetched, kept="later" if replace else "first", source=source
        )
        merged = pd.concat([old, new.drop(both)]).sort_index()
        merged.loc[both, names] = came[names] if replace else completed[names]
        files = with_revisions(series.folder, found)
        if not merged.equals(old):
            known_sources = "; ".join(dict.fromkeys([part for part in (*sources.split("; "), source) if part]))
            files[series.path] = _encode(series, merged, known_sources)
        if files:
            write_files(files)
    return SavedEvents(len(new) - len(both), len(both) - len(found), len(found))


def checked(kind: EventKind, events: pd.DataFrame) -> pd.DataFrame:
    """Return events with all columns of their kind and times in milliseconds.

    Raises
    ------
    DataError
        If there are none, times are not UTC, appear twice or are not in order, or the first column is no number in some row.
    """
    index = events.index
    if events.empty:
        raise DataError(f"There are no events of {kind.name}", todo="Give at least one")
    if not isinstance(index, pd.DatetimeIndex) or str(index.tz) != "UTC":
        raise DataError("Events are indexed by UTC timestamps", found=str(index.dtype))
    if not index.is_monotonic_increasing or index.has_duplicates:
        at = index[1:][index[1:] <= index[:-1]][0]
        raise DataError("Events are in the order of their times, each once", found=short(at), todo="Sort them by time")
    frame = events.reindex(columns=list(kind.columns))
    for name in kind.numbers:
        frame[name] = frame[name].astype("float64")
    for name in kind.times:
        frame[name] = pd.to_datetime(frame[name], utc=True).astype("datetime64[ms, UTC]")
    first = kind.numbers[0]
    if (bad := ~np.isfinite(frame[first].to_numpy())).any():
        row = int(np.argmax(bad))
        raise DataError(f"{first} is no number at {short(index[row])}", found=events[first].iloc[row])
    return frame.set_axis(index.as_unit("ms").rename("timestamp"))


def _old(series: EventSeries) -> tuple[pd.DataFrame, str] | None:
    """Return the stored events; a damaged file is set aside under a name that the catalogue does not read."""
    if not series.stored:
        return None
    try:
        return read_events(series)
    except DataError:
        set_aside(series.path)
        return None


def stated_ms(index: pd.Index) -> "NDArray[np.int64]":
    """Return an index of times in epoch milliseconds."""
    return np.asarray(pd.DatetimeIndex(index).as_unit("ms").asi8, dtype=np.int64)


def held(series: EventSeries) -> pd.DataFrame | None:
    """Return the stored events, None if there are none or the file is damaged: then they are to be fetched again."""
    if not series.stored:
        return None
    try:
        return read_events(series)[0]
    except DataError:
        return None


def _schema(kind: EventKind) -> pa.Schema:
    moment = pa.timestamp("ms", "UTC")
    numbers = [(name, pa.float64()) for name in kind.numbers]
    return pa.schema([("timestamp", moment), *numbers, *((name, moment) for name in (*kind.times, "fetched"))])


def _frame(table: pa.Table, kind: EventKind) -> pd.DataFrame:
    columns = {name: table[name].to_numpy() for name in kind.numbers}
    moments = {
        name: pd.DatetimeIndex(table[name].to_numpy(), tz="UTC").as_unit("ms")
        for name in ("timestamp", *kind.times, "fetched")
    }
    index = moments.pop("timestamp").rename("timestamp")
    return pd.DataFrame({**columns, **moments}, index=index)


def _encode(series: EventSeries, frame: pd.DataFrame, source: str) -> bytes:
    schema = _schema(series.kind)
    columns = [pa.array(frame.index, schema.field("timestamp").type)]
    columns += [
        pa.array(frame[name], schema.field(name).type, from_pandas=name not in series.kind.numbers)
        for name in schema.names[1:]
    ]
    pairs = {"atb.format": _FORMAT, "atb.subject": str(series), "atb.source": source}
    return sealed(pa.Table.from_arrays(columns, schema=schema), pairs)
