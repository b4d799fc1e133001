"""Times: lengths in milliseconds, and text or dates turned into UTC timestamps and back."""

import re
from datetime import date, datetime
from typing import TYPE_CHECKING

from atb.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

Moment = str | date | datetime  # a pandas Timestamp is a datetime

MINUTE_MS, HOUR_MS, DAY_MS = 60_000, 3_600_000, 86_400_000

_FIRST_YEAR, _LAST_YEAR = 1678, 2261
_TODO = "Write it like 2024-01-31 or 2024-01-31T15:00 (UTC)"


def moment(value: Moment | None) -> "pd.Timestamp | None":
    """Return `value` as a UTC timestamp; a date is its midnight, a moment without a zone is UTC, None stays None.

    Raises
    ------
    InputError
        If the text names no moment, or one outside 1678 to 2261, which nanoseconds do not reach. Words such as `now` are refused
        too: the same call must load the same bars.
    """
    if value is None:
        return None
    import pandas as pd

    if isinstance(value, str) and not re.match(r"\d{4}", value.strip()):
        raise InputError("Not a moment", found=value, todo=_TODO)
    try:
        stamp = pd.Timestamp(value)
    except (ValueError, TypeError) as error:
        raise InputError("Not a moment", found=value, todo=_TODO) from error
    if pd.isna(stamp):
        raise InputError("Not a moment", found=value, todo=_TODO)
    if not _FIRST_YEAR <= stamp.year <= _LAST_YEAR:
        raise InputError(f"A moment lies in the years {_FIRST_YEAR} to {_LAST_YEAR}", found=value, todo=_TODO)
    return stamp.tz_localize("UTC") if stamp.tzinfo is None else stamp.tz_convert("UTC")


def at_ms(epoch_ms: int) -> "pd.Timestamp":
    """Return the UTC timestamp of epoch milliseconds."""
    import pandas as pd

    return pd.Timestamp(int(epoch_ms), unit="ms", tz="UTC")


def in_ms(stamp: "pd.Timestamp") -> int:
    """Return a timestamp as epoch milliseconds."""
    return int(stamp.value) // 1_000_000  # nanoseconds in any unit


def short(stamp: "pd.Timestamp") -> str:
    """Return `2024-01-31 15:00`, the form used in every message and table; seconds only where there are any."""
    return f"{stamp:%Y-%m-%d %H:%M:%S}" if stamp.second else f"{stamp:%Y-%m-%d %H:%M}"
