"""Reports over the whole catalogue: every gap with how much is missing, every revision, the age of what is stored."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from atb.data.catalogue.events import FUNDING, EventSeries, all_events, read_events, stated_ms
from atb.data.catalogue.funding import LONGEST_HOURS, funding_holes, load_funding
from atb.data.catalogue.gaps import missing_bars
from atb.data.catalogue.reading import coverage, recorded_gaps
from atb.data.catalogue.revisions import load_revisions
from atb.data.catalogue.sentiment import usual_step
from atb.data.catalogue.series import Series, all_series, venue_name
from atb.domain import Symbol, Timeframe
from atb.errors import DataError
from atb.times import in_ms


def gap_report(
    root: Path, *, symbol: str | None = None, timeframe: str | None = None, venue: str | None = None
) -> list[dict[str, Any]]:
    """Return a row for each recorded gap of bars and each hole in funding or sentiment.

    Parameters
    ----------
    root
        The folder of the catalogue.
    symbol, timeframe, venue
        Only these.

    Returns
    -------
    list of dict
        `series`; `start` and `end`, ISO 8601: first missing open and first open after it, or the events on both sides; `missing`,
        the number of bars or events.

    Raises
    ------
    DataError
        If nothing of that symbol, timeframe or venue is stored, or a file cannot be read.
    """
    rows: list[dict[str, Any]] = []
    for series in _meant(root, symbol=symbol, timeframe=timeframe, venue=venue):
        if isinstance(series, Series):
            rows += [_gap(str(series), gap, missing_bars(gap, series.timeframe)) for gap in recorded_gaps(series)]
        else:
            rows += _event_holes(root, series)
    return rows


def revision_report(root: Path, *, symbol: str | None = None, venue: str | None = None) -> list[dict[str, Any]]:
    """Return a row for each value that came again and differed: the series and `Revision.to_json`.

    Raises
    ------
    DataError
        If nothing of that symbol or venue is stored, or a ledger cannot be read.
    """
    meant = _meant(root, symbol=symbol, venue=venue)
    return [{"series": str(one), **revision.to_json()} for one in meant for revision in load_revisions(one.folder)]


def newest(series: Series | EventSeries) -> int:
    """Return when the newest row became known: the last bar's close, the last event's time; epoch milliseconds.

    Raises
    ------
    DataError
        If the series cannot be read.
    """
    if isinstance(series, Series):
        return series.timeframe.next_ms(in_ms(coverage(series)[1]))
    return int(stated_ms(read_events(series)[0].index)[-1])


def _meant(
    root: Path, *, symbol: str | None, venue: str | None, timeframe: str | None = None
) -> list[Series | EventSeries]:
    """Return the stored series of a symbol, venue and timeframe, bars first; refuse what names none."""
    name = None if symbol is None else str(Symbol.parse(symbol))
    duration = None if timeframe is None else Timeframe.parse(timeframe)
    venue = None if venue is None else venue_name(venue)
    found: list[Series | EventSeries] = [
        one for one in all_series(root) if duration in {None, one.timeframe} and name in {None, str(one.symbol)}
    ]
    found += [one for one in all_events(root) if duration is None and name in {None, one.name}]
    found = [one for one in found if venue in {None, one.venue}]
    if wanted := [text for text in (name, timeframe, venue) if text and not found]:
        raise DataError("No stored series matches", found=" ".join(wanted), todo="`atb data list` shows all")
    return found


def _event_holes(root: Path, events: EventSeries) -> list[dict[str, Any]]:
    if events.kind == FUNDING:
        payments = load_funding(events.name, root=root, venue=events.venue)
        holes = funding_holes(payments, payments.index[0], payments.index[-1])
        hours = payments["interval_hours"].fillna(LONGEST_HOURS)
        return [
            _gap(str(events), hole, round((hole[1] - hole[0]) / pd.Timedelta(hours[hole[1]], "h")) - 1)
            for hole in holes
        ]
    index = pd.DatetimeIndex(read_events(events)[0].index)
    step = usual_step(index)
    steps = np.diff(stated_ms(index)) / (step.total_seconds() * 1_000)
    at = np.flatnonzero(steps >= 1.5)
    return [_gap(str(events), (index[row] + step, index[row + 1]), round(steps[row]) - 1) for row in at.tolist()]


def _gap(name: str, gap: tuple[pd.Timestamp, pd.Timestamp], missing: int) -> dict[str, Any]:
    return {"series": name, "start": gap[0].isoformat(), "end": gap[1].isoformat(), "missing": missing}
