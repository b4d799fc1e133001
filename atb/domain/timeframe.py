"""A bar's duration in ccxt's spelling, with its arithmetic in UTC."""

import math
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Self

from atb.errors import InputError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_SECONDS = {"m": 60, "h": 3_600, "d": 86_400, "w": 604_800}
_YEAR = 365 * 86_400  # crypto trades every day: a year is 365 days in every ratio
_COUNTS = {"m": (1, 3, 5, 15, 30), "h": (1, 2, 4, 6, 8, 12), "d": (1, 3), "w": (1,), "M": (1,)}
_ALIASES = {"1H": "1h", "2H": "2h", "4H": "4h", "6H": "6h", "8H": "8h", "12H": "12h", "1D": "1d", "3D": "3d",
            "1W": "1w", "60m": "1h", "1mo": "1M", "1min": "1m"}  # fmt: skip
_MONDAY = 4 * 86_400  # 1970-01-05, the first Monday after the epoch: weekly bars open on Mondays


@dataclass(frozen=True, slots=True)
class Timeframe:
    """A bar's duration: a count of minutes, hours, days, weeks or months (`m h d w M`)."""

    count: int
    unit: str

    def __post_init__(self) -> None:
        """Refuse durations that no exchange offers."""
        if self.count not in _COUNTS.get(self.unit, ()):
            raise InputError("Not a timeframe", found=f"{self.count}{self.unit}", todo=f"Use one of {_choices()}")

    @classmethod
    def parse(cls, text: "str | Timeframe") -> Self:
        """Read `1m 3m 5m 15m 30m 1h 2h 4h 6h 8h 12h 1d 3d 1w 1M`; `1m` is a minute and `1M` a month.

        Raises
        ------
        InputError
            If the text is none of these.
        """
        if isinstance(text, Timeframe):
            return cls(text.count, text.unit)
        known = _ALIASES.get(text, text) if isinstance(text, str) else ""
        match = re.fullmatch(r"(\d{1,2})([mhdwM])", known)
        if match and match[1][0] != "0" and int(match[1]) in _COUNTS[match[2]]:
            return cls(int(match[1]), match[2])
        raise InputError("Not a timeframe", found=text, todo=f"Use one of {_choices()}")

    def __str__(self) -> str:
        """Return ccxt's spelling, such as `1h`."""
        return f"{self.count}{self.unit}"

    @property
    def seconds(self) -> int:
        """Length in seconds; a month counts as a twelfth of 365 days."""
        return _YEAR // 12 if self.unit == "M" else self.count * _SECONDS[self.unit]

    @property
    def bars_per_year(self) -> float:
        """Bars in 365 days: 8760 for `1h`, 365 for `1d`, 12 for `1M`."""
        return _YEAR / self.seconds

    def closes_ms(self, opened_ms: "NDArray[np.int64]") -> "NDArray[np.int64]":
        """Return the close times of bars by their open times, both epoch milliseconds."""
        import numpy as np

        if self.unit != "M":
            return opened_ms + self.seconds * 1_000
        return np.array([self.next_ms(int(ms)) for ms in opened_ms], dtype=np.int64)

    def floor(self, moment: datetime) -> datetime:
        """Return the open time (UTC) of the bar that contains `moment`.

        Raises
        ------
        InputError
            If `moment` has no time zone: it would be read as the machine's local time.
        """
        if moment.tzinfo is None:
            raise InputError("A moment needs a time zone", found=moment.isoformat(), todo="Give it as UTC")
        utc = moment.astimezone(UTC)
        if self.unit == "M":
            return utc.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
        shift = _MONDAY if self.unit == "w" else 0
        epoch = math.floor(utc.timestamp()) - shift
        return datetime.fromtimestamp(epoch - epoch % self.seconds + shift, UTC)

    def next(self, opened: datetime) -> datetime:
        """Return the open time of the bar after the one that opened at `opened`: also that bar's close."""
        if self.unit == "M":
            return (opened.replace(day=1) + timedelta(days=32)).replace(day=1)
        return opened + timedelta(seconds=self.seconds)

    def next_ms(self, opened_ms: int) -> int:
        """Return `next` for epoch milliseconds."""
        if self.unit != "M":
            return opened_ms + self.seconds * 1_000
        return int(self.next(datetime.fromtimestamp(opened_ms / 1_000, UTC)).timestamp() * 1_000)


def _choices() -> str:
    """Return every known timeframe, for messages."""
    return " ".join(f"{count}{unit}" for unit, counts in _COUNTS.items() for count in counts)
