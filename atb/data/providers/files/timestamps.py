"""Timestamps as files hold them, turned into UTC: epochs of any unit, text, typed columns.

An epoch's unit follows from its size, row by row: seconds, milliseconds, microseconds and nanoseconds of 2009 to 2100 do not
overlap. A time without a zone is refused unless the user gives the zone.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from atb.data.providers.files.table import plain_row
from atb.errors import DataError, InputError
from atb.times import DAY_MS

if TYPE_CHECKING:
    from numpy.typing import NDArray

_UNITS = (("s", 1), ("ms", 1_000), ("us", 1_000_000), ("ns", 1_000_000_000))
_FIRST, _LAST = 1_230_000_000, 4_102_444_800  # seconds: from 2009, before the first Bitcoin, to 2100
_BOUNDS = np.array([edge * size for _, size in _UNITS for edge in (_FIRST, _LAST)], dtype=np.float64)
_WRITE = "Write times in UTC as ISO 8601 (2024-01-31T15:00:00Z) or as an epoch"
_NUMBER = r"^\s*[+-]?\d+(?:\.\d*)?(?:[eE][+-]?\d+)?\s*$"
_ROUNDED = r"^\s*\d(?:\.\d{0,5})?[eE]\+?\d+\s*$"
_BARE_DAY = r"^\s*(?:19|20)\d{6}\s*$"
_ZONE = r"(?:Z|[+-]\d{2}:?\d{2})$"
# Ways to write a time in which nothing is doubtful, rewritten as ISO 8601. Regular expressions of RE2.
_REWRITTEN = (
    (r"^\s+|\s+$", ""),
    (r"\s*(?:UTC|GMT)$", "Z"),
    (r"\s*(?:UTC|GMT)([+-]\d{2}:?\d{2})$", r"\1"),
    (r"(\.\d{6})0{1,3}(Z|[+-]\d{2}:?\d{2})?$", r"\1\2"),  # nanoseconds that say no more than microseconds
    (r"^(\d{4})[./](\d{2})[./](\d{2})", r"\1-\2-\3"),  # MetaTrader: 2024.01.31
    (r"^(\d{2})\.(\d{2})\.(\d{4})", r"\3-\2-\1"),  # with dots the day comes first
    (r"^(\d{4})(\d{2})(\d{2})(\D|$)", r"\1-\2-\3\4"),
    (r"^(\S{10}) (\d):", r"\1 0\2:"),
    (r"^(\S{10}) (\d{2})(\d{2})$", r"\1 \2:\3"),
    (r"^(\S{10}) (\d{2})(\d{2})(\d{2})$", r"\1 \2:\3:\4"),
)
_FORMATS = ("%Y-%m-%d %I-%p", "%Y-%m-%d %I:%M %p", "%Y-%m-%d %I:%M:%S %p", "%b %d, %Y", "%B %d, %Y")


@dataclass(frozen=True)
class Times:
    """Times in epoch milliseconds, one sentence on how they were read, and whether they are the bars' closes."""

    opened_ms: "NDArray[np.int64]"
    note: str
    closes: bool = False


def read_times(
    column: pd.Series,
    *,
    clock: pd.Series | None = None,
    zone: str | None = None,
    where: Callable[[int], str] = plain_row,
    called: str = "The timestamps",
) -> Times:
    """Read a file's timestamps.

    Parameters
    ----------
    column
        Integers or floats (epoch s, ms, us or ns by size), text, dates or datetimes; its index counts the file's rows.
    clock
        The times of day, where `column` holds dates.
    zone
        The zone of times that name none, such as `UTC` or `Europe/Berlin`; None refuses them.
    where
        Names a row in messages.
    called
        Names the times in messages.

    Raises
    ------
    InputError
        If there is no such zone.
    DataError
        If a time is missing, unreadable or out of range, has no zone, or only some have one.
    """
    rows = _Rows(column, where, called)
    if (empty := column.isna()).any():
        raise DataError(f"The timestamp is missing in {rows.name(empty)}", todo="Fill or remove the row")
    if clock is not None:
        column = _with_clock(column, clock)
        rows = _Rows(column, where, called)
    if pd.api.types.is_bool_dtype(column.dtype):
        raise DataError("The timestamps are true or false", todo=_WRITE)
    if pd.api.types.is_numeric_dtype(column.dtype):
        values = column.to_numpy()
        return _from_days(values, zone, rows) if _are_days(values) else _from_epoch(values, rows)
    if pd.api.types.is_datetime64_any_dtype(column.dtype):
        return _from_stamps(pd.DatetimeIndex(column), zone, rows)
    texts = pa.array(column.astype(str), pa.string())
    return _from_text(texts.combine_chunks() if isinstance(texts, pa.ChunkedArray) else texts, zone, rows)


class _Rows:
    """The rows of a column, to be named and shown."""

    def __init__(self, column: pd.Series, where: Callable[[int], str], called: str) -> None:
        self._column, self._where, self.called = column, where, called

    def name(self, bad: Any) -> str:
        """Return the name of the first row marked as bad."""
        return self._where(int(self._column.index[int(np.argmax(np.asarray(bad)))]))

    def cell(self, bad: Any) -> str:
        """Return the first bad cell, cut to a line."""
        cell = self._column.iloc[int(np.argmax(np.asarray(bad)))]
        try:
            return str(cell)[:40]
        except (ValueError, RuntimeError):  # a typed time of a year that pandas cannot write
            return "a year beyond 9999"

    def shown(self, bad: Any) -> str:
        """Return the first bad cell and its row."""
        return f"{self.cell(bad)} in {self.name(bad)}"


def _from_epoch(values: "NDArray[Any]", rows: _Rows) -> Times:
    """Return epochs in milliseconds, each row read in the unit that its size implies."""
    numbers = values.astype(np.float64)
    if not np.isfinite(numbers).all():
        raise DataError(f"The timestamp in {rows.name(~np.isfinite(numbers))} is no number")
    unit = np.searchsorted(_BOUNDS, numbers, side="right")
    if (bad := unit % 2 == 0).any():
        raise DataError(
            f"The timestamps are numbers, but no epoch of 2009 to 2100 in {rows.name(bad)}",
            found=rows.cell(bad),
            todo=_WRITE,
        )
    found = np.unique(unit // 2)
    opened = np.empty(len(values), dtype=np.int64)
    for at in found:
        here = unit // 2 == at if len(found) > 1 else np.ones(len(values), dtype=bool)
        opened[here] = _in_ms(values[here], _UNITS[at][1], rows=rows, here=here)
    if len(found) == 1:
        return Times(opened, f"epoch in {_UNITS[found[0]][0]}")
    counts = [f"{int((unit // 2 == at).sum())} in {_UNITS[at][0]} from {rows.name(unit // 2 == at)}" for at in found]
    return Times(opened, f"epochs of different units, each row read in its own: {', '.join(counts)}")


def _in_ms(values: "NDArray[Any]", per_second: int, *, rows: _Rows, here: "NDArray[np.bool_]") -> "NDArray[np.int64]":
    """Refuse times finer than a millisecond: no bar opens there, and rounding would invent a grid."""
    if np.issubdtype(values.dtype, np.integer):
        exact = values.astype(np.int64)
        whole = exact * (1_000 // per_second) if per_second <= 1_000 else exact // (per_second // 1_000)
        off = np.zeros(len(exact), bool) if per_second <= 1_000 else exact % (per_second // 1_000) != 0
    else:
        scaled = values.astype(np.float64) * (1_000 / per_second)
        whole = np.rint(scaled).astype(np.int64)
        off = np.abs(scaled - whole) > 0.01
    if off.any():
        bad = np.zeros(len(here), bool)
        bad[np.flatnonzero(here)[off]] = True
        raise DataError(
            f"The timestamp in {rows.name(bad)} is not a whole millisecond", found=rows.cell(bad), todo=_WRITE
        )
    return whole


def _are_days(values: "NDArray[Any]") -> bool:
    """Whether numbers are days written as 20240131."""
    return bool(np.all((values >= 19_700_101) & (values < 21_000_101) & (values == np.floor(values))))


def _from_days(values: "NDArray[Any]", zone: str | None, rows: _Rows) -> Times:
    return _from_text(pa.array(values.astype(np.int64)).cast(pa.string()), zone, rows)


def _with_clock(days: pd.Series, clock: pd.Series) -> pd.Series:
    """Return dates and times of day as one text."""
    hours = clock.astype(str).str.strip()
    bare = hours.str.fullmatch(r"\d{1,6}")
    hours = hours.mask(bare, hours.where(hours.str.len() <= 4, hours.str.zfill(6)))
    return days.astype(str).str.strip().str.replace(r" 00:00:00$", "", regex=True) + " " + hours


def _from_text(texts: Any, zone: str | None, rows: _Rows) -> Times:
    numbers = pc.match_substring_regex(texts, _NUMBER)
    if _all(numbers) and not _all(pc.match_substring_regex(texts, _BARE_DAY)):
        if _all(pc.match_substring_regex(texts, _ROUNDED)):
            raise DataError(
                "The timestamps are rounded, as spreadsheets show long numbers", found=rows.cell([True]), todo=_WRITE
            )
        return _from_epoch(pc.cast(pc.utf8_trim_whitespace(texts), pa.float64()).to_numpy(), rows)
    for attempt in (_cast, _rewritten, _by_format):
        if (stamps := attempt(texts)) is not None:
            times = _from_stamps(stamps, zone, rows)
            return times if stamps.tz is None else Times(times.opened_ms, _offsets_note(texts))
    if numbers[0].as_py() and not _all(pc.match_substring_regex(texts[:1], _BARE_DAY)):
        raise DataError("A timestamp cannot be read", found=rows.shown(pc.invert(numbers)), todo=_WRITE)
    raise _unreadable(texts, rows)


def _all(mask: Any) -> bool:
    return pc.all(mask).as_py() is True


def _cast(texts: Any) -> pd.DatetimeIndex | None:
    """Read ISO 8601, with a zone in every text or in none."""
    for kind in (pa.timestamp("us", "UTC"), pa.timestamp("us")):
        try:
            stamps = pc.cast(texts, kind)
        except pa.ArrowException:
            continue
        return pd.DatetimeIndex(stamps.cast(pa.timestamp("us")).to_numpy(zero_copy_only=False), tz=kind.tz)
    return None


def _rewritten(texts: Any) -> pd.DatetimeIndex | None:
    return _cast(_as_iso(texts))


def _as_iso(texts: Any) -> Any:
    for pattern, replacement in _REWRITTEN:
        texts = pc.replace_substring_regex(texts, pattern, replacement)
    return texts


def _by_format(texts: Any) -> pd.DatetimeIndex | None:
    column = texts.to_pandas()
    for form in _FORMATS:
        try:
            return pd.DatetimeIndex(pd.to_datetime(column, format=form))
        except ValueError:
            continue
    return None


def _unreadable(texts: Any, rows: _Rows) -> DataError:
    """Return the error for the first text that is no time, or that has a zone where the first has none."""
    iso = _as_iso(texts)
    zoned = pc.match_substring_regex(iso, _ZONE).to_numpy(zero_copy_only=False)
    read = pd.to_datetime(iso.to_pandas(), format="ISO8601", errors="coerce", utc=True)
    if (bad := read.isna().to_numpy()).any():
        swapped = " (day and month cannot be told apart)" if "/" in rows.cell(bad) else ""
        return DataError(f"A timestamp cannot be read{swapped}", found=rows.shown(bad), todo=_WRITE)
    if (other := zoned != zoned[0]).any():
        wrong = "Timestamps of different time zones are mixed: some name a zone, some do not"
        return DataError(wrong, found=rows.shown(other), todo=_WRITE)
    return DataError("The timestamps are written in more than one way", found=rows.cell([True]), todo=_WRITE)


def _offsets_note(texts: Any) -> str:
    if _all(pc.ends_with(texts, "Z")):
        return "UTC timestamps"
    offsets = pc.unique(pc.extract_regex(_as_iso(texts), r"(?P<zone>Z|[+-]\d{2}:?\d{2})$").field("zone")).to_pylist()
    others = sorted({f"UTC{offset}" for offset in map(str, offsets) if offset.strip("Z+-0:")})
    return f"times converted from {' and '.join(others[:4])} to UTC" if others else "UTC timestamps"


def _from_stamps(stamps: pd.DatetimeIndex, zone: str | None, rows: _Rows) -> Times:
    """Return typed times as epoch milliseconds; refuse years that cannot be meant."""
    if stamps.tz is None:
        stamps, note = _localised(stamps, zone, rows)
    else:
        note = "UTC timestamps" if str(stamps.tz) == "UTC" else f"times converted from {stamps.tz} to UTC"
    per_ms = {"s": 0, "ms": 1, "us": 1_000, "ns": 1_000_000}[stamps.unit]
    values = stamps.asi8
    if per_ms > 1 and (off := values % per_ms != 0).any():
        raise DataError(
            f"The timestamp in {rows.name(off)} is not a whole millisecond", found=rows.cell(off), todo=_WRITE
        )
    opened = values * 1_000 if not per_ms else values // per_ms
    low, high = (DAY_MS, _LAST * 1_000) if per_ms else (DAY_MS // 1_000, _LAST)
    checked = values if not per_ms else opened
    if (bad := (checked < low) | (checked >= high)).any():
        raise DataError("A timestamp is not between 1970 and 2100", found=rows.shown(bad), todo=_WRITE)
    return Times(opened, note)


def _localised(stamps: pd.DatetimeIndex, zone: str | None, rows: _Rows) -> tuple[pd.DatetimeIndex, str]:
    """Return times without a zone as times of the given zone."""
    if zone is None:
        raise DataError(
            f"{rows.called} have no time zone",
            found=rows.cell([True]),
            todo="If they are UTC, pass `--utc` on the command line, `ImportRules(assume_utc=True)` in Python; if not, say where "
            "they are from: `--tz Europe/Berlin`, `ImportRules(zone='Europe/Berlin')`",
        )
    if zone == "UTC":
        return stamps.tz_localize("UTC"), "times without a zone, taken as UTC as asked"
    check_zone(zone)
    try:
        return stamps.tz_localize(zone, ambiguous="infer"), f"times without a zone, taken as {zone} as asked"
    except (ValueError, OverflowError) as error:
        raise DataError(
            f"A clock change of {zone} leaves times in doubt: an hour is missing or repeated",
            todo=_WRITE,
        ) from error


def check_zone(zone: str) -> None:
    """Refuse an unknown time zone.

    Raises
    ------
    InputError
        If the name is none of the IANA database's.
    """
    from zoneinfo import ZoneInfo

    try:
        ZoneInfo(zone)
    except (KeyError, ValueError, OSError) as error:
        raise InputError("Unknown time zone", found=zone, todo="Write one like UTC or Europe/Berlin") from error
