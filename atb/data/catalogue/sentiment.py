"""Sentiment indices: a value, the time it states, when it was published and when it was first seen here.

A value is used one publication late. An index for a day is published during that day or after it, and its makers correct its
history without saying so; a value is therefore taken as published when the next one is due, unless the source states the moment.
Values that were not seen while they were new are labelled `reconstructed`: the source may have said something else then.
"""

from pathlib import Path

import numpy as np
import pandas as pd

from atb.data.catalogue.events import all_events, read_events, sentiment_at, stated_ms
from atb.errors import DataError, InputError, did_you_mean
from atb.times import Moment, moment, short


def load_sentiment(source: str, start: Moment | None = None, end: Moment | None = None, *, root: Path) -> pd.DataFrame:
    """Return the stored values of an index whose stated times lie in [start, end).

    Parameters
    ----------
    source
        Its name, such as `fear_greed`.
    start, end
        As for `load_bars`. Days without a value are not there: what is missing is missing.
    root
        The folder of the catalogue.

    Returns
    -------
    DataFrame
        Indexed by the time that a value states (UTC, named `timestamp`): `value`; `published`, from when on it could be known;
        `first_seen`, when it first came here, NaT for history that was not seen while it was new; and `reconstructed`, which says
        so. What a decision may use is known at the later of `published` and `first_seen`.

    Raises
    ------
    DataError
        If nothing of the source is stored, or its file was changed.
    InputError
        If the range makes no sense.
    """
    since, until = moment(start), moment(end)
    if since is not None and until is not None and since >= until:
        raise InputError("start must be before end", found=f"{short(since)} and {short(until)}")
    series = sentiment_at(root, source)
    if not series.stored:
        known = [one.subject for one in all_events(root) if one.kind.name == "sentiment"]
        near = did_you_mean(source, known) if known else ""
        todo = "`atb data sentiment` downloads the Fear & Greed index, `atb data sentiment NAME --file FILE` imports another"
        raise DataError(f"No sentiment of {source} is stored", found=str(root), todo=f"{near} {todo}".strip())
    frame, _ = read_events(series)
    interval = usual_step(frame.index)
    due = (pd.DatetimeIndex(frame.index) + interval).to_series(index=frame.index)
    published = frame["published"].where(frame["published"].notna(), due)
    reconstructed = frame["fetched"] > published + interval
    found = pd.DataFrame(
        {
            "value": frame["value"],
            "published": published,
            "first_seen": frame["fetched"].where(~reconstructed),
            "reconstructed": reconstructed,
        }
    )
    inside = np.ones(len(found), dtype=bool)
    if since is not None:
        inside &= np.asarray(found.index >= since)
    if until is not None:
        inside &= np.asarray(found.index < until)
    return found[inside]


def usual_step(index: pd.Index) -> pd.Timedelta:
    """Return the most common time between the values of an index; a day where there are too few."""
    if len(index) < 3:
        return pd.Timedelta(1, "D").as_unit("ms")
    steps, counts = np.unique(np.diff(stated_ms(index)), return_counts=True)
    return pd.Timedelta(int(steps[np.argmax(counts)]), "ms").as_unit("ms")
