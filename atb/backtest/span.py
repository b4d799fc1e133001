"""The time a run spans, by the clock: periods from the first open to the last close, and the holes between its bars.

Every figure that speaks of time (years, days of drawdown, trades a day, time in the market, annualised ratios) counts the periods
of the finest timeframe between the first open and the last close, with or without a bar. In a period without a bar equity does not
change and the return is 0. So a series with half of its hours missing has half as many bars in the same time; it is not a faster
market. Without holes, periods and bars are the same.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from atb.decimals import counted, percent
from atb.domain.bars import Bars
from atb.domain.timeframe import Timeframe
from atb.engine.kernel_input import finest
from atb.engine.records import Floats
from atb.times import at_ms

if TYPE_CHECKING:
    import pandas as pd

    from atb.engine.kernel_input import KernelInput


@dataclass(frozen=True)
class Span:
    """The time of a run in periods of its finest timeframe.

    Parameters
    ----------
    at
        (C,) periods from the first open to each close at which equity is known: 1, 2, 3 ... where no bar is missing.
    per_year
        Periods in 365 days.
    """

    at: Floats
    per_year: float

    @classmethod
    def of(cls, inputs: "KernelInput") -> "Span":
        """Return the span of the traded bars."""
        timeframe = finest(inputs.slots)
        at = periods_between(int(inputs.bar_columns.opened.min()), inputs.closes, timeframe)
        return cls(at, timeframe.bars_per_year)

    @property
    def periods(self) -> float:
        """All periods from the first open to the last close."""
        return float(self.at[-1])

    @staticmethod
    def is_whole(inputs: "KernelInput") -> bool:
        """Return whether every period of the traded bars has one, as `whole`, without the time of each close."""
        first, last = int(inputs.bar_columns.opened.min()), inputs.closes[-1:]
        return bool(periods_between(first, last, finest(inputs.slots))[0] == len(inputs.closes))

    @cached_property
    def whole(self) -> bool:
        """True if every period has a bar, so that counting bars is counting time."""
        return self.periods == len(self.at)

    def longest_below(self, equity: Floats, cash: float) -> float:
        """Return the longest time in periods from a peak of equity (C,) to a later close below it; starting cash is a peak."""
        below = equity < np.maximum(np.maximum.accumulate(equity), cash)
        last_peak = np.maximum.accumulate(np.where(below, 0.0, self.at))
        return float(np.where(below, self.at - last_peak, 0.0).max(initial=0.0))

    def time_in(self, held: NDArray[np.bool_]) -> float:
        """Return the periods in the market; a position held at a close (C,) is held until the next close."""
        return float(np.diff(self.at, append=self.at[-1] + 1.0)[held].sum())


def periods_between(first_ms: int, times_ms: NDArray[np.int64], timeframe: Timeframe) -> Floats:
    """Return how many bars of a timeframe fit between a moment and later ones (epoch ms); months are calendar months."""
    if timeframe.unit != "M":
        return np.asarray((times_ms - first_ms) / (timeframe.seconds * 1000), dtype=np.float64)
    months = np.asarray(times_ms, "M8[ms]").astype("M8[M]") - np.datetime64(int(first_ms), "ms").astype("M8[M]")
    return np.asarray(months.astype(np.int64), dtype=np.float64)


@dataclass(frozen=True)
class Holes:
    """Where the traded bars of one slot are missing: how many, out of how many, and the longest hole [start, end)."""

    label: str
    timeframe: str
    count: int
    missing: int
    periods: int
    longest: int
    start: "pd.Timestamp"
    end: "pd.Timestamp"

    @property
    def share(self) -> float:
        """Fraction of the bars that are missing."""
        return self.missing / self.periods

    @classmethod
    def of(cls, bars: Bars, first_ms: int) -> "Holes | None":
        """Return the holes of the bars that open at `first_ms` (epoch ms) or later, or None."""
        opened, closed = (times[bars.opened_ms >= first_ms] for times in (bars.opened_ms, bars.closed_ms))
        at = np.flatnonzero(opened[1:] > closed[:-1])
        if not len(at):
            return None
        sizes = [round(periods_between(int(closed[k]), opened[k + 1 : k + 2], bars.timeframe)[0]) for k in at]
        worst = int(np.argmax(sizes))
        start, end = at_ms(closed[at[worst]]), at_ms(opened[at[worst] + 1])
        missing = sum(sizes)
        return cls(bars.label, str(bars.timeframe), len(at), missing, len(opened) + missing, sizes[worst], start, end)

    def __str__(self) -> str:
        """Return the holes as a sentence."""
        return (
            f"{self.label}: {self.missing:,} of {counted(self.periods, 'bar')} ({percent(100 * self.share)}) "
            f"{'is' if self.missing == 1 else 'are'} missing, in {counted(self.count, 'hole')}, "
            f"the longest of {self.longest:,} from {self.start:%Y-%m-%d %H:%M} to "
            f"{self.end:%Y-%m-%d %H:%M} UTC; years, days and ratios go by the clock"
        )

    def to_json(self) -> dict[str, Any]:
        """Return plain values; times as ISO 8601."""
        return {
            "series": self.label,
            "count": self.count,
            "missing": self.missing,
            "periods": self.periods,
            "longest": self.longest,
            "longest_start": self.start.isoformat(),
            "longest_end": self.end.isoformat(),
        }
