"""Timestamps as files hold them, turned into UTC: epochs of any unit, ISO 8601 text, typed columns."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from atb.errors import DataError

if TYPE_CHECKING:
    from numpy.typing import NDArray

_UNITS = (("s", 1), ("ms", 1_000), ("us", 1_000_000), ("ns", 1_000_000_000))
_FIRST, _LAST = 1_230_000_000, 4_102_444_800  # seconds: from 2009, before the first Bitcoin, to 2100
_WRITE = "Write times in UTC as ISO 8601 (2024-01-31T15:00:00Z) or as an epoch"


@dataclass(frozen=True)
class Times:
    """Open times in epoch milliseconds, and one sentence on how they were read."""

    opened_ms: "NDArray[np.int64]"
    note: str


def read_times(column: pd.Series, *, assume_utc: bool = False) -> Times:
    """Read a file's timestamps.

    Parameters
    ----------
    column
        Integers or floats (epoch s, ms, us or ns by size), ISO 8601 text, dates or datetimes.
    assume_utc
        Whether times without a zone are taken as UTC; without it they are refused.

    Raises
    ------
    DataError
        If a time is missing or unreadable, zones are mixed, or there is no zone.
    """
    if (empty := column.isna()).any():
        raise DataError(f"The timestamp is missing in row {int(np.argmax(empty)) + 1}", todo="Fill or remove the row")
    if pd.api.types.is_numeric_dtype(column.dtype):
        return _from_epoch(column.to_numpy())
    stamps = column if isinstance(column.dtype, pd.DatetimeTZDtype) else _parse(column)
    zone = stamps.dt.tz
    if zone is None and not assume_utc:
        raise DataError(
            "The timestamps have no time zone",
            found=str(column.iloc[0]),
            todo="If they are UTC, pass --utc (assume_utc=True); otherwise convert them first",
        )
    note = "times without a zone, taken as UTC as asked" if zone is None else "UTC timestamps"
    if zone is not None and str(zone) != "UTC":
        note = f"times converted from {zone} to UTC"
    utc = stamps.dt.tz_localize("UTC") if zone is None else stamps.dt.tz_convert("UTC")
    index = pd.DatetimeIndex(utc).as_unit("ns")
    return Times(_whole_ms(index.asi8 / 1e6, index.asi8 // 1_000_000), note)


def _from_epoch(values: "NDArray[np.generic]") -> Times:
    numbers = values.astype(np.float64)
    if not np.isfinite(numbers).all():
        raise DataError(f"The timestamp in row {int(np.argmin(np.isfinite(numbers))) + 1} is no number")
    middle = float(np.median(numbers))
    for unit, per_second in _UNITS:
        if _FIRST <= middle / per_second < _LAST:
            exact = values.astype(np.int64) if np.issubdtype(values.dtype, np.integer) else None
            scale = 1_000 / per_second
            whole = np.rint(numbers * scale).astype(np.int64)
            if exact is not None:
                whole = exact * 1_000 // per_second if per_second <= 1_000 else exact // (per_second // 1_000)
            return Times(_whole_ms(numbers * scale, whole), f"epoch in {unit}")
    raise DataError("The timestamps are numbers, but no epoch", found=values[0].item(), todo=_WRITE)


def _whole_ms(fractional: "NDArray[np.float64]", whole: "NDArray[np.int64]") -> "NDArray[np.int64]":
    """Refuse times finer than a millisecond: no bar opens there, and rounding would invent a grid."""
    off = np.abs(fractional - whole) > 0.01
    if off.any():
        row = int(np.argmax(off))
        raise DataError(f"The timestamp in row {row + 1} is not a whole millisecond", found=float(fractional[row]))
    return whole


def _parse(column: pd.Series) -> pd.Series:
    if pd.api.types.is_datetime64_any_dtype(column.dtype):
        return column
    text = column.astype("str").str.replace(r"\s*UTC$", "+00:00", regex=True)
    try:
        return pd.to_datetime(text, format="ISO8601")
    except ValueError as error:
        wrong = "Timestamps of different time zones are mixed" if "Mixed timezones" in str(error) else None
        found = str(column.iloc[0]) if wrong else _first_unreadable(text)
        raise DataError(wrong or "A timestamp cannot be read", found=found, todo=_WRITE) from error


def _first_unreadable(text: pd.Series) -> str:
    read = pd.to_datetime(text, format="ISO8601", errors="coerce", utc=True)
    bad = read.isna().to_numpy()
    row = int(np.argmax(bad))
    return f"{text.iloc[row]} in row {row + 1}"
