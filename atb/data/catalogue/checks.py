"""Rules that bars must satisfy before they are stored or trusted, with one clear error for each.

Checks are vectorised and name the first offending row, counted from 1, with its open time.
"""

from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from atb.data.catalogue.gaps import Gap, find_gaps
from atb.domain import BAR_COLUMNS, Bars, Timeframe
from atb.errors import DataError
from atb.times import DAY_MS, at_ms, short

if TYPE_CHECKING:
    from numpy.typing import NDArray

_FIXED = ("1m", "3m", "5m", "15m", "30m", "1h", "2h", "4h", "6h", "8h", "12h", "1d", "3d", "1w")
_PRICES = ("open", "high", "low", "close")


def check_bars(bars: Bars) -> tuple[Gap, ...]:
    """Refuse bars that break a rule; return the gaps between them.

    Raises
    ------
    DataError
        For the first broken rule: columns, time zone, order, duplicates, NaN, prices, ranges, volume, grid.
    """
    frame = bars.frame
    if tuple(frame.columns) != BAR_COLUMNS:
        raise DataError(f"Bars have the columns {', '.join(BAR_COLUMNS)}", found=", ".join(map(str, frame.columns)))
    if not isinstance(frame.index, pd.DatetimeIndex) or str(frame.index.tz) != "UTC":
        raise DataError("Bars are indexed by UTC timestamps", found=str(frame.index.dtype))
    if frame.empty:
        raise DataError("There are no bars", todo="Give at least one")
    check_order(bars.opened_ms)
    check_values(frame)
    return check_grid(bars.opened_ms, bars.timeframe)


def check_order(opened_ms: "NDArray[np.int64]", rows: "NDArray[np.int64] | None" = None) -> None:
    """Refuse duplicate and unordered open times (epoch ms); `rows` as for `check_values`."""
    numbers = np.arange(len(opened_ms)) if rows is None else rows
    steps = np.diff(opened_ms)
    if np.all(steps > 0):
        return
    if len(steps) and np.all(steps < 0):
        raise DataError("The rows run from the newest to the oldest", todo="Sort them by time, oldest first")
    values, counts = np.unique(opened_ms, return_counts=True)
    if (twice := values[counts > 1]).size:
        first, second = sorted(numbers[opened_ms == twice[0]][:2] + 1)
        raise DataError(
            f"{_count(int(twice.size), 'timestamp')} more than once, the first at rows {first} and {second}",
            found=short(at_ms(twice[0])),
            todo="Remove the duplicates; atb will not choose between them",
        )
    row = int(np.argmax(steps < 0)) + 1
    raise DataError(
        f"Rows are not in time order: row {numbers[row] + 1} opens before row {numbers[row - 1] + 1}",
        found=f"{short(at_ms(opened_ms[row]))} after {short(at_ms(opened_ms[row - 1]))}",
        todo="Sort the rows by time, oldest first",
    )


def check_values(frame: pd.DataFrame, rows: "NDArray[np.int64] | None" = None) -> None:
    """Refuse NaN, infinities, prices of 0 or less, ranges that do not hold their prices, negative volume.

    Parameters
    ----------
    frame
        Bars, indexed by their open times.
    rows
        Row numbers for messages, from 0; by default the position.
    """
    refuse = partial(_refuse, frame, numbers=np.arange(len(frame)) if rows is None else rows)
    for name in BAR_COLUMNS:
        refuse(~np.isfinite(frame[name].to_numpy()), f"{name} is no number", shown=(name,))
    for name in _PRICES:
        refuse(frame[name].to_numpy() <= 0, f"{name} must be above 0", shown=(name,))
    low, high = frame["low"].to_numpy(), frame["high"].to_numpy()
    refuse(high < low, "high is below low", shown=("high", "low"))
    for name in ("open", "close"):
        price = frame[name].to_numpy()
        refuse((price > high) | (price < low), f"{name} lies outside low..high", shown=(name, "low", "high"))
    refuse(frame["volume"].to_numpy() < 0, "volume must not be negative", shown=("volume",))


def check_grid(
    opened_ms: "NDArray[np.int64]", timeframe: Timeframe, rows: "NDArray[np.int64] | None" = None
) -> tuple[Gap, ...]:
    """Refuse bars off the timeframe's grid, or closer together than it allows; return the gaps.

    Parameters
    ----------
    opened_ms
        Open times in epoch milliseconds, strictly increasing.
    timeframe
        The duration that every bar must have.
    rows
        As for `check_values`.
    """
    off = ~on_grid(opened_ms, timeframe)
    if off.any():
        row = int(np.argmax(off))
        number = row if rows is None else rows[row]
        raise DataError(
            f"{_count(int(off.sum()), 'bar')} not on the grid of {timeframe}, first in row {number + 1}",
            found=f"{at_ms(opened_ms[row])}",
            todo="Is the timeframe right? A bar is stamped with its open time, in UTC",
        )
    return find_gaps(opened_ms, timeframe.closes_ms(opened_ms))


def infer_timeframe(opened_ms: "NDArray[np.int64]") -> Timeframe:
    """Return the timeframe whose length is the most common step between bars.

    In a thin market most bars may be missing and most steps longer; the single step is still the most common one.

    Raises
    ------
    DataError
        If there are too few bars, or no timeframe has that length.
    """
    if len(opened_ms) < 2:
        raise DataError("One bar does not tell its timeframe", todo="Pass --timeframe")
    lengths, counts = np.unique(np.diff(opened_ms), return_counts=True)
    step = int(lengths[np.argmax(counts)])
    if 28 * DAY_MS <= step <= 31 * DAY_MS:
        return Timeframe.parse("1M")
    for known in map(Timeframe.parse, _FIXED):
        if known.seconds * 1_000 == step:
            return known
    raise DataError(
        "No timeframe has the most common step between these rows", found=f"{step / 1_000:g} s", todo="Pass --timeframe"
    )


def on_grid(opened_ms: "NDArray[np.int64]", timeframe: Timeframe) -> "NDArray[np.bool_]":
    """Return which open times (epoch ms) lie on the timeframe's grid."""
    if timeframe.unit == "M":
        index = pd.DatetimeIndex(opened_ms.astype("datetime64[ms]"))
        return np.asarray((index.day == 1) & (opened_ms % DAY_MS == 0))
    step = timeframe.seconds * 1_000
    if timeframe.unit == "d":
        # Exchanges start multi-day bars on different days: only midnight and the step are common to all.
        return np.asarray((opened_ms % DAY_MS == 0) & ((opened_ms - opened_ms[0]) % step == 0))
    monday = 4 * DAY_MS if timeframe.unit == "w" else 0
    return np.asarray((opened_ms - monday) % step == 0)


def _refuse(
    frame: pd.DataFrame, bad: "NDArray[np.bool_]", wrong: str, *, shown: tuple[str, ...], numbers: "NDArray[np.int64]"
) -> None:
    if not bad.any():
        return
    row = int(np.argmax(bad))
    others = f" (and in {_count(int(bad.sum()) - 1, 'other row')})" if bad.sum() > 1 else ""
    raise DataError(
        f"{wrong} in row {numbers[row] + 1}, {short(frame.index[row])}{others}",
        found=" ".join(f"{name} {frame[name].to_numpy()[row]}" for name in shown),
        todo="Correct or remove the row",
    )


def _count(number: int, noun: str) -> str:
    verb = {"timestamp": ("appears", "appear"), "bar": ("is", "are")}.get(noun)
    words = f"{number} {noun}{'s' * (number != 1)}"
    return f"{words} {verb[number != 1]}" if verb else words
