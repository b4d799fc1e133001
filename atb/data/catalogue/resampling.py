"""Longer bars from shorter ones: only whole ones, each from all the bars that it spans; what is missing stays missing."""

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from atb.data.catalogue.checks import check_grid
from atb.data.catalogue.series import divides
from atb.domain import BAR_COLUMNS, Bars, Timeframe
from atb.domain.bars import bar_index
from atb.errors import InputError
from atb.times import DAY_MS

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Whole = NDArray[np.int64]
    Floats = NDArray[np.float64]

_MONDAY = 4 * DAY_MS


def resample(bars: Bars, timeframe: Timeframe) -> Bars:
    """Return bars of a longer timeframe.

    Parameters
    ----------
    bars
        Closed bars.
    timeframe
        A multiple of theirs: `4h` of `1h`, `1d` of `4h`, `1w` and `1M` of `1d`.

    Returns
    -------
    Bars
        First open, highest high, lowest low, last close, sum of the volumes. A bar of which a part is missing is left out; between
        two others that is a gap, which is recorded.

    Raises
    ------
    InputError
        If the timeframe is no multiple of the bars' own.
    """
    if not divides(bars.timeframe, timeframe):
        raise InputError(
            f"Bars of {bars.timeframe} cannot be resampled to {timeframe}",
            todo="Ask for a longer timeframe that begins and ends with theirs",
        )
    opened = bars.opened_ms
    starts = opens_of(opened, timeframe)
    first = np.flatnonzero(np.diff(starts, prepend=np.iinfo(np.int64).min) != 0)
    counts = np.diff(np.append(first, len(opened)))
    buckets = starts[first]
    whole = counts * (bars.timeframe.seconds * 1_000) == timeframe.closes_ms(buckets) - buckets
    values = {name: bars.frame[name].to_numpy() for name in BAR_COLUMNS}
    made = {
        "open": values["open"][first],
        "high": _reduced(np.maximum, values["high"], first),
        "low": _reduced(np.minimum, values["low"], first),
        "close": values["close"][first + counts - 1],
        "volume": _reduced(np.add, values["volume"], first),
    }
    frame = pd.DataFrame({name: column[whole] for name, column in made.items()}, index=bar_index(buckets[whole]))
    gaps = check_grid(buckets[whole], timeframe) if whole.any() else ()
    return Bars(bars.symbol, timeframe, frame, bars.venue, gaps)


def opens_of(opened_ms: "Whole", timeframe: Timeframe) -> "Whole":
    """Return the open (epoch ms) of the bar of this timeframe in which each moment (epoch ms) lies."""
    if timeframe.unit == "M":
        months = opened_ms.astype("datetime64[ms]").astype("datetime64[M]")
        return np.asarray(months.astype("datetime64[ms]").astype(np.int64))
    step = timeframe.seconds * 1_000
    shift = _MONDAY if timeframe.unit == "w" else 0
    return np.asarray((opened_ms - shift) // step * step + shift)


def _reduced(ufunc: np.ufunc, values: "Floats", first: "Whole") -> "Floats":
    return np.asarray(ufunc.reduceat(values, first)) if len(values) else values
