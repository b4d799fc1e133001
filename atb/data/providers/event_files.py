"""Files of events as a provider: dated CSV, JSON and Parquet of funding or of any sentiment index, also compressed or in a zip.

Columns are found by name, as for bars; one that is not known can be named. A time without a zone is refused unless the user says
which zone it is of.
"""

import json
import time
from collections.abc import Iterable, Iterator, Mapping
from io import BytesIO
from pathlib import Path
from typing import Any

import pandas as pd

from atb.data.catalogue.events import FUNDING, EventKind, checked
from atb.data.providers.files.timestamps import read_times
from atb.data.providers.files.unpacking import Content, read_contents
from atb.errors import DataError, InputError, did_you_mean
from atb.times import at_ms

_TIMES = ("timestamp", "time", "date", "datetime", "day", "calc_time", "fundingtime", "funding_time", "stated")
_NAMES: dict[str, tuple[str, ...]] = {
    "funding_rate": ("funding_rate", "fundingrate", "last_funding_rate", "lastfundingrate", "rate", "funding"),
    "mark_price": ("mark_price", "markprice", "mark"),
    "interval_hours": ("interval_hours", "funding_interval_hours", "fundingintervalhours"),
    "value": ("value", "score", "index", "sentiment", "fng", "fear_greed", "mean"),
    "published": ("published", "publication", "published_at", "available", "available_at"),
}


class FileEvents:
    """An `EventSource` over files, read when it is made.

    Parameters
    ----------
    paths
        One or more files, in any order.
    kind
        `FUNDING` or `SENTIMENT`.
    subject
        What the events are of.
    columns
        The file's own names for some of the kind's columns and `timestamp`.
    zone
        The zone of times that name none, such as `UTC`.

    Raises
    ------
    InputError
        If a file is missing, a column cannot be found, or `columns` names none of ours.
    DataError
        If the content breaks a rule.
    """

    def __init__(
        self,
        paths: Path | str | Iterable[Path | str],
        kind: EventKind,
        subject: str,
        *,
        columns: Mapping[str, str] | None = None,
        zone: str | None = None,
    ) -> None:
        given = [Path(paths)] if isinstance(paths, str | Path) else [Path(path) for path in paths]
        contents, _ = read_contents(given)
        self.kind, self.subject = kind, subject
        self.origin = "; ".join(content.name for content in contents)
        parts = [events_of(content, kind, named=columns or {}, zone=zone) for content in contents]
        frame = pd.concat(parts).sort_index(kind="stable")
        self._frame = checked(kind, frame[~_repeated(frame)])

    def now_ms(self) -> int:
        """Return the machine's time, epoch milliseconds: a file does not say when it was made."""
        return int(time.time() * 1_000)

    def pages(self, since_ms: int | None) -> Iterator[pd.DataFrame]:
        """Yield the events at `since_ms` (epoch ms) or later, all by default."""
        frame = self._frame if since_ms is None else self._frame[self._frame.index >= at_ms(since_ms)]
        if len(frame):
            yield frame


def events_of(
    content: Content, kind: EventKind, *, named: Mapping[str, str] | None = None, zone: str | None = None
) -> pd.DataFrame:
    """Return one file's events, not yet checked; `named` and `zone` as for `FileEvents`.

    Raises
    ------
    InputError, DataError
        As for `FileEvents`.
    """
    table = _table(content)
    by_name = {str(name).strip().lower().replace(" ", "_"): name for name in table.columns}
    wanted = {"timestamp": _TIMES, **{name: _NAMES[name] for name in kind.columns}}
    if unknown := [name for name in named or () if name not in wanted]:
        raise InputError(
            f"No column of {kind.name} has this name", found=unknown[0], todo=did_you_mean(unknown[0], wanted)
        )
    found = {}
    for name, usual in wanted.items():
        column = _given(by_name, named[name], content) if named and name in named else _usual(by_name, usual)
        if column is not None:
            found[name] = column
        elif name in {"timestamp", kind.numbers[0]}:
            raise InputError(
                f"{content.name} has no column of {name} that is known",
                found=", ".join(map(str, table.columns)),
                todo=f"Name it: --column {name}=NAME",
            )
    moments = read_times(table[found["timestamp"]], zone=zone, called=f"The times of {content.name}").opened_ms
    if kind == FUNDING:  # exchanges stamp some payments a few milliseconds late
        moments = moments // 1_000 * 1_000
    index = pd.DatetimeIndex(moments.astype("datetime64[ms]"), tz="UTC", name="timestamp")
    columns: dict[str, Any] = {}
    for name in kind.columns:
        if name not in found:
            continue
        if name in kind.times:
            stamps = read_times(table[found[name]], zone=zone, called=f"The {name} times of {content.name}").opened_ms
            columns[name] = pd.DatetimeIndex(stamps.astype("datetime64[ms]"), tz="UTC")
        else:
            columns[name] = _numbers(table[found[name]], name, content)
    return pd.DataFrame(columns, index=index)


def _given(by_name: Mapping[str, Any], wanted: str, content: Content) -> Any:
    name = wanted.strip().lower().replace(" ", "_")
    if name not in by_name:
        raise InputError(f"{content.name} has no such column", found=wanted, todo=did_you_mean(name, by_name))
    return by_name[name]


def _usual(by_name: Mapping[str, Any], usual: Iterable[str]) -> Any:
    return next((by_name[one] for one in usual if one in by_name), None)


def _numbers(column: pd.Series, name: str, content: Content) -> Any:
    try:
        return pd.to_numeric(column).astype("float64").to_numpy()
    except (ValueError, TypeError) as error:
        raise DataError(f"{name} in {content.name} is no number", found=str(error)[:120]) from error


def _table(content: Content) -> pd.DataFrame:
    """Return a file's rows with its own columns, those of a frame's index included."""
    data = content.data
    try:
        if data.startswith(b"PAR1"):
            frame = pd.read_parquet(BytesIO(data))
            return frame if isinstance(frame.index, pd.RangeIndex) else frame.reset_index()
        if data.lstrip()[:1] in {b"[", b"{"}:
            value = json.loads(data)
            rows = value.get("data") if isinstance(value, dict) else value
            return pd.DataFrame(rows)
        table = pd.read_csv(BytesIO(data), sep=None, engine="python", encoding="utf-8-sig", skipinitialspace=True)
    except (ValueError, TypeError, OSError, RecursionError, pd.errors.ParserError) as error:
        raise DataError(f"{content.name} cannot be read as a table", found=str(error)[:160]) from error
    if not isinstance(table.index, pd.RangeIndex):  # pandas takes cells without a heading for an index
        raise DataError(
            f"{content.name} has rows with more cells than headings", found=", ".join(map(str, table.columns))
        )
    return table


def _repeated(frame: pd.DataFrame) -> "pd.Series[bool]":
    """Return which rows repeat the one before with equal values, as where files overlap."""
    return frame.reset_index().duplicated().set_axis(frame.index)
