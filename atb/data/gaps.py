"""Holes in a series of bars: found, described, compared with the ones already known; never filled."""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from atb.data.moments import at_ms, in_ms, short
from atb.domain import Timeframe

if TYPE_CHECKING:
    from numpy.typing import NDArray

Gap = tuple[pd.Timestamp, pd.Timestamp]
"""First missing open and first open after it."""


def find_gaps(opened_ms: "NDArray[np.int64]", closed_ms: "NDArray[np.int64]") -> tuple[Gap, ...]:
    """Return the holes between bars given by their open and close times (epoch ms, ascending)."""
    holes = np.flatnonzero(closed_ms[:-1] != opened_ms[1:])
    return tuple((at_ms(closed_ms[i]), at_ms(opened_ms[i + 1])) for i in holes)


def unknown_gaps(holes: Iterable[Gap], known: Sequence[Gap]) -> list[Gap]:
    """Return the holes that lie inside none of the known ones."""
    if not known:
        return list(holes)
    starts, ends = (np.array([in_ms(gap[side]) for gap in known]) for side in (0, 1))
    exact = set(known)
    new = [hole for hole in holes if hole not in exact]
    return [hole for hole in new if not np.any((starts <= in_ms(hole[0])) & (ends >= in_ms(hole[1])))]


def missing_bars(gap: Gap, timeframe: Timeframe) -> int:
    """Return the number of bars that a gap leaves out."""
    return round((gap[1] - gap[0]).total_seconds() / timeframe.seconds)


def describe_gap(gap: Gap, timeframe: Timeframe) -> str:
    """Return `34 h between 2018-02-08 00:00 and 2018-02-09 10:00 (33 bars missing)`: the bars on both sides."""
    length = pd.Timedelta(timeframe.seconds, "s")
    before = gap[0] - length if timeframe.unit != "M" else (gap[0] - pd.Timedelta(1, "D")).replace(day=1)
    hours = (gap[1] - before).total_seconds() / 3_600
    span = f"{hours / 24:.3g} days" if hours >= 72 else f"{hours:.3g} h" if hours >= 1 else f"{hours * 60:.3g} min"
    missing = missing_bars(gap, timeframe)
    return f"{span} between {short(before)} and {short(gap[1])} ({missing} bar{'s' * (missing != 1)} missing)"


def describe_gaps(gaps: Sequence[Gap], timeframe: Timeframe, *, first: int = 3) -> str:
    """Return the count, the longest gap and the first few."""
    longest = max(gaps, key=lambda gap: gap[1] - gap[0])
    if len(gaps) == 1:
        return f"1 gap: {describe_gap(longest, timeframe)}"
    listed = "; ".join(describe_gap(gap, timeframe) for gap in gaps[:first])
    more = f"; and {len(gaps) - first} more" if len(gaps) > first else ""
    return f"{len(gaps)} gaps, the longest {describe_gap(longest, timeframe)}; in order: {listed}{more}"
