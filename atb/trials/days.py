"""Returns by UTC day, and their compressed form: whole multiples of a step, days without a change left out.

Day returns of any timeframe lie on one grid, so trials can be compared. A day's return is the account's value at its last close
over that at the last close before, less one; a bar that closes at midnight belongs to the day that ends. Days without a close
are left out.

Each series is kept as whole numbers of 16 bits times its own step, its largest return over 32,767: an error far below a
trade's costs. Days of exactly no return, such as those without a position, take one bit.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from atb.times import DAY_MS

Floats = NDArray[np.float64]
_LARGEST = 32_767


@dataclass(frozen=True)
class DayGrid:
    """Which closes end a day: `rows` (D,) into the closes of a run, and each one's day (D,) since 1970."""

    rows: NDArray[np.int64]
    days: NDArray[np.int64]

    @classmethod
    def of(cls, closes: NDArray[np.int64]) -> "DayGrid":
        """Return the grid of increasing close times, epoch milliseconds."""
        days = np.arange((closes[0] - 1) // DAY_MS, (closes[-1] - 1) // DAY_MS + 1)
        rows = np.searchsorted(closes, (days + 1) * DAY_MS, side="right") - 1  # a search a day: far fewer than closes
        some = np.append(True, rows[1:] != rows[:-1])
        return cls(rows[some], days[some])


def day_returns(equity: Floats, cash: float) -> Floats:
    """Return the returns of accounts (N, D) from their values at the ends of days; 0 once nothing is left."""
    before = np.empty_like(equity)
    before[:, 0] = cash
    before[:, 1:] = equity[:, :-1]
    with np.errstate(divide="ignore", invalid="ignore"):
        found = equity / before - 1.0
    return np.where(before > 0.0, found, 0.0)


def compress(returns: Floats) -> dict[str, NDArray[Any]]:
    """Return series (N, D) as arrays: the step of each, one bit a day for whether it is a return, and the returns in steps."""
    step = np.abs(returns).max(axis=1, initial=0.0) / _LARGEST
    whole = np.rint(returns / np.where(step > 0.0, step, 1.0)[:, None]).astype(np.int16)
    some = whole != 0
    return {"step": step, "some": np.packbits(some, axis=1), "whole": whole[some]}


def expand(arrays: dict[str, NDArray[Any]], days: int) -> Floats:
    """Return the series (N, D) that `compress` was given, to the step."""
    some = np.unpackbits(arrays["some"], axis=1, count=days).astype(bool)
    found = np.zeros(some.shape)
    found[some] = arrays["whole"]
    return np.asarray(found * arrays["step"][:, None], dtype=np.float64)
