"""Funding of perpetuals: payments at their own times, with the interval that the data show; never filled, never put on a grid.

A rate is a fraction of the position's value that longs pay to shorts when it is above 0. Exchanges change the interval of a symbol
(8, 4 and 1 hours on one symbol), so it is read off the payments, or is what the exchange stated with them.
"""

from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from atb.data.catalogue.events import EventSeries, funding_at, read_events, stated_ms
from atb.data.catalogue.gaps import Gap
from atb.domain import Symbol
from atb.domain.bars import SYNTHETIC
from atb.errors import DataError, InputError
from atb.times import Moment, moment, short

if TYPE_CHECKING:
    from numpy.typing import NDArray

LONGEST_HOURS = 8.0
"""Longest usual time between two payments."""


def load_funding(
    symbol: str | Symbol,
    start: Moment | None = None,
    end: Moment | None = None,
    *,
    root: Path,
    venue: str | None = None,
) -> pd.DataFrame:
    """Return the stored payments of a perpetual in [start, end).

    Parameters
    ----------
    symbol
        A perpetual, such as `BTC/USDT:USDT`.
    start, end
        As for `load_bars`. A period in which nothing is stored gives no rows: what is missing is missing (`funding_holes`).
    root
        The folder of the catalogue.
    venue
        Where it was paid; None takes the only venue that has it.

    Returns
    -------
    DataFrame
        Indexed by the time of payment (UTC, named `timestamp`): `funding_rate` (a fraction of the position's value, paid by longs
        to shorts), `mark_price` (quote per base, NaN where not known) and `interval_hours` since the payment before.

    Raises
    ------
    DataError
        If nothing of the symbol is stored, several venues have it, or the file was changed.
    InputError
        If the symbol is no perpetual, or the range makes no sense.
    """
    since, until = moment(start), moment(end)
    if since is not None and until is not None and since >= until:
        raise InputError("start must be before end", found=f"{short(since)} and {short(until)}")
    frame, _ = read_events(find_funding(symbol, root=root, venue=venue))
    frame = frame.drop(columns="fetched").assign(interval_hours=_intervals(frame))
    inside = np.ones(len(frame), dtype=bool)
    if since is not None:
        inside &= np.asarray(frame.index >= since)
    if until is not None:
        inside &= np.asarray(frame.index < until)
    return frame[inside]


def find_funding(symbol: str | Symbol, *, root: Path, venue: str | None = None) -> EventSeries:
    """Return the stored funding that a request means: the named venue's, else the only one.

    Raises
    ------
    DataError
        If there is none, or several venues have it.
    InputError
        If the symbol is no perpetual.
    """
    wanted = Symbol.parse(symbol)
    if venue is not None:
        found = [funding_at(root, symbol=wanted, venue=venue)]
    else:
        folders = sorted(root.glob(f"*/{wanted.slug}/funding"))
        found = [funding_at(root, symbol=wanted, venue=folder.parts[-3]) for folder in folders]
        found = found or [funding_at(root, symbol=wanted, venue=SYNTHETIC)]
    stored = [series for series in found if series.stored]
    if len(stored) > 1:
        names = ", ".join(series.folder.parts[-3] for series in stored)
        raise DataError(f"Several venues have the funding of {wanted}", found=names, todo="Name one")
    if not stored:
        at = f" --venue {venue}" if venue else ""
        raise DataError(
            f"No funding of {wanted} is stored" + (f" for {venue}" if venue else ""),
            found=str(root),
            todo=f"`atb data funding {wanted}{at} --start YYYY-MM-DD` downloads it; --file FILE imports it",
        )
    return stored[0]


def funding_holes(payments: pd.DataFrame, start: pd.Timestamp, end: pd.Timestamp) -> tuple[Gap, ...]:
    """Return the stretches of (start, end] in which payments are missing, as (last payment before, first after); never filled.

    A step is a hole where it is longer than those on both sides of it, or than the longest usual interval: a change of the interval
    is none. Before the first and after the last payment one interval may pass.
    """
    if payments.empty:
        return ((start, end),)
    hours = pd.Timedelta(1, "h")
    index = payments.index
    steps = _steps(index)
    holes = [pair for pair, hole in zip(pairwise(index), _missed(steps), strict=True) if hole]
    usual = payments["interval_hours"].fillna(LONGEST_HOURS)
    if index[0] - start > usual.iloc[0] * hours:
        holes.insert(0, (start, index[0]))
    if end - index[-1] > usual.iloc[-1] * hours:
        holes.append((index[-1], end))
    return tuple((first, last) for first, last in holes if last > start and first < end)


def missing_hours(paid: pd.Index, start: pd.Timestamp, end: pd.Timestamp) -> float:
    """Return the hours of (start, end] for which payments at these times do not account; 0 where none is missing."""
    payments = pd.DataFrame({"interval_hours": np.full(len(paid), np.nan)}, index=paid)
    if len(paid):
        payments = payments.assign(interval_hours=_intervals(payments))
    holes = funding_holes(payments, start, end)
    return float(sum((min(last, end) - max(first, start)).total_seconds() for first, last in holes)) / 3_600


def _intervals(frame: pd.DataFrame) -> "NDArray[np.float64]":
    """Return the hours of each payment's interval: as stated, else the step before it, else that of the payment beside it."""
    steps = _steps(frame.index)
    known = np.where(_missed(steps), np.nan, steps)
    seen = pd.Series(np.concatenate([[np.nan], known])).ffill().bfill()
    stated = frame["interval_hours"].to_numpy()
    return np.asarray(np.where(np.isfinite(stated), stated, seen.to_numpy()), dtype=np.float64)


def _steps(index: pd.Index) -> "NDArray[np.float64]":
    """Return the hours between payments, to the minute: they are stamped some milliseconds late."""
    return np.asarray(np.round(np.diff(stated_ms(index)) / 60_000) / 60, dtype=np.float64)


def _missed(steps: "NDArray[np.float64]") -> "NDArray[np.bool_]":
    """Return which steps between payments leave some out."""
    if not len(steps):
        return np.zeros(0, dtype=bool)
    before, after = np.concatenate([[np.inf], steps[:-1]]), np.concatenate([steps[1:], [np.inf]])
    return np.asarray(((steps > before) & (steps > after)) | (steps > LONGEST_HOURS))
