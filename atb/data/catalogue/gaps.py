"""Gaps in a series of bars: found, described, compared with the accepted ones; never filled."""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from atb.decimals import counted
from atb.domain import Timeframe
from atb.times import in_ms, short

if TYPE_CHECKING:
    from numpy.typing import NDArray

Gap = tuple[pd.Timestamp, pd.Timestamp]
"""First missing open and first open after it."""


def find_gaps(opened_ms: "NDArray[np.int64]", closed_ms: "NDArray[np.int64]") -> tuple[Gap, ...]:
    """Return the gaps between bars given by their open and close times (epoch ms, ascending)."""
    at = np.flatnonzero(closed_ms[:-1] != opened_ms[1:])
    return gaps_of(closed_ms[at], opened_ms[at + 1])


def gaps_of(starts_ms: "NDArray[np.int64]", ends_ms: "NDArray[np.int64]") -> tuple[Gap, ...]:
    """Return gaps from their edges (epoch ms); vectorised, since a thin market has hundreds of thousands."""
    starts, ends = (
        pd.DatetimeIndex(np.asarray(edge, dtype=np.int64).astype("datetime64[ms]"), tz="UTC")
        for edge in (starts_ms, ends_ms)
    )
    return tuple(zip(starts, ends, strict=True))


def edges_of(gaps: Sequence[Gap]) -> "NDArray[np.int64]":
    """Return a row of first missing open and first open after it, in epoch milliseconds, for each gap."""
    return np.array([(in_ms(start), in_ms(end)) for start, end in gaps], dtype=np.int64).reshape(-1, 2)


def unknown_gaps(gaps: Iterable[Gap], known: Sequence[Gap]) -> list[Gap]:
    """Return the gaps that lie inside none of the known ones."""
    found = list(gaps)
    if not known or not found:
        return found
    return list(gaps_of(*uncovered(edges_of(found), edges_of(known)).T))


def uncovered(found: "NDArray[np.int64]", known: "NDArray[np.int64]") -> "NDArray[np.int64]":
    """Return the gaps that lie inside none of the known ones; rows of first missing open and first open after it, epoch ms."""
    if not len(known) or not len(found):
        return found
    known = known[np.argsort(known[:, 0], kind="stable")]
    furthest = np.maximum.accumulate(known[:, 1])  # the latest end of all known gaps that begin at or before this one
    preceding = np.searchsorted(known[:, 0], found[:, 0], side="right") - 1
    inside = (preceding >= 0) & (furthest[preceding] >= found[:, 1])
    return np.asarray(found[~inside])


def missing_bars(gap: Gap, timeframe: Timeframe) -> int:
    """Return the number of bars that a gap leaves out."""
    return round((gap[1] - gap[0]).total_seconds() / timeframe.seconds)


def describe_gap(gap: Gap, timeframe: Timeframe) -> str:
    """Return `34 h between 2018-02-08 00:00 and 2018-02-09 10:00 (33 bars missing)`: the bars on both sides."""
    length = pd.Timedelta(timeframe.seconds, "s")
    last_bar = gap[0] - length if timeframe.unit != "M" else (gap[0] - pd.Timedelta(1, "D")).replace(day=1)
    hours = (gap[1] - last_bar).total_seconds() / 3_600
    span = f"{hours / 24:.3g} days" if hours >= 72 else f"{hours:.3g} h" if hours >= 1 else f"{hours * 60:.3g} min"
    missing = missing_bars(gap, timeframe)
    return f"{span} between {short(last_bar)} and {short(gap[1])} ({counted(missing, 'bar')} missing)"


def describe_gaps(gaps: Sequence[Gap], timeframe: Timeframe, *, first: int = 3) -> str:
    """Return the count, the longest gap and the first few."""
    longest = max(gaps, key=lambda gap: gap[1] - gap[0])
    if len(gaps) == 1:
        return f"1 gap: {describe_gap(longest, timeframe)}"
    listed = "; ".join(describe_gap(gap, timeframe) for gap in gaps[:first])
    more = f"; and {len(gaps) - first} more" if len(gaps) > first else ""
    return f"{len(gaps)} gaps, the longest {describe_gap(longest, timeframe)}; in order: {listed}{more}"
