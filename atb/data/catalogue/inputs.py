"""Inputs from the catalogue: the rows that a strategy declares, for its bars and no more, with the declared warm-up before them.

The same rows are found for the same bars whatever else is stored, so that a promotion can load them again and compare.
"""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from atb.data.catalogue.events import funding_at
from atb.data.catalogue.funding import find_funding, load_funding
from atb.data.catalogue.reading import coverage, load_bars
from atb.data.catalogue.sentiment import load_sentiment
from atb.data.catalogue.series import find_series
from atb.data.catalogue.universes import load_universe
from atb.decimals import counted
from atb.domain import Bars, BarsInput, FundingInput, SentimentInput, Symbol, Timeframe, UniverseInput
from atb.domain.input_series import InputSeries
from atb.domain.inputs import Input
from atb.domain.universe import Universe
from atb.errors import DataError
from atb.times import at_ms, in_ms, short

_SPARE = 20  # rows read beyond the warm-up, since a series may have gaps


def load_inputs(declared: Mapping[str, Input], bars: Bars, *, root: Path, from_row: int = 0) -> dict[str, InputSeries]:
    """Return the rows of inputs by name: what may be known over `bars`, with each input's warm-up before the first.

    Parameters
    ----------
    declared
        As `atb.engine.slot.slot_inputs` gives them, symbol and timeframe filled in.
    bars
        The slot's bars, warm-up included. Bars of other series come from their venue.
    root
        The folder of the catalogue.
    from_row
        First row of the bars that is used; those before it are there for other reasons.

    Raises
    ------
    DataError
        If an input is not stored, begins too late for its warm-up before the first of the bars, or ends before the last of them.
    """
    used = bars.rows(from_row, len(bars))
    return {name: _load(name, one, used, root=root) for name, one in declared.items()} if len(used) else {}


def known_from(declared: Mapping[str, Input], *, root: Path, venue: str | None) -> int | None:
    """Return when every input has its warm-up, epoch milliseconds; None where nothing is declared.

    Raises
    ------
    DataError
        If an input is not stored, or has too few rows.
    """
    found = []
    for name, one in declared.items():
        if isinstance(one, BarsInput):
            symbol, timeframe = _series_of(one)
            first = coverage(find_series(symbol, timeframe, root=root, venue=venue))[0]
            warm = in_ms(first)
            for _ in range(one.warmup + 1):  # months differ in length
                warm = timeframe.next_ms(warm)
            found.append(warm)
            continue
        known = _events(one, root=root, venue=venue).known_ms
        if len(known) <= one.warmup:
            raise _too_few(name, one, len(known), when="and there are no more")
        found.append(int(known[one.warmup]))
    return max(found, default=None)


def stored_input(declared: Input, *, root: Path, venue: str | None, since_ms: int, until_ms: int | None) -> InputSeries:
    """Return the stored rows of one input: of bars those that open from `since_ms` on and close by `until_ms`; of others all.

    Raises
    ------
    DataError
        If nothing is stored.
    """
    if not isinstance(declared, BarsInput):
        return _events(declared, root=root, venue=venue)
    symbol, timeframe = _series_of(declared)
    first, last = coverage(find_series(symbol, timeframe, root=root, venue=venue))
    since = max(first, at_ms(since_ms))
    until = None if until_ms is None else min(_floor(timeframe, until_ms), timeframe.next_ms(in_ms(last)))
    end = None if until is None else at_ms(until)
    return InputSeries.of_bars(declared, load_bars(symbol, timeframe, since, end, root=root, venue=venue))


def _load(name: str, declared: Input, bars: Bars, *, root: Path) -> InputSeries:
    first, last = int(bars.closed_ms[0]), int(bars.closed_ms[-1])
    if isinstance(declared, BarsInput):
        series = _bars_before(declared, first, last, root=root, venue=bars.venue or None)
    else:
        series = _events(declared, root=root, venue=bars.venue or None)
        if len(series) and int(series.known_ms[-1]) <= last and int(series.stale_ms[-1]) <= last:
            end = short(at_ms(int(series.stated_ms[-1])))
            todo = f"Fetch the rest, choose an earlier end, or declare a longer max_age than {declared.max_age}"
            raise DataError(
                f"The rows of {name} ({declared}) end before the bars do, {short(at_ms(last))}", found=end, todo=todo
            )
    before = int(np.searchsorted(series.known_ms, first, side="right"))
    if before <= declared.warmup:
        raise _too_few(name, declared, before, when=f"known by {short(at_ms(first))}")
    return series.cut(bars.closed_ms)


def _bars_before(declared: BarsInput, first_ms: int, last_ms: int, *, root: Path, venue: str | None) -> InputSeries:
    """Return bars up to the last that closes by `last_ms`; at `first_ms` the warm-up is known, if it is stored."""
    symbol, timeframe = _series_of(declared)
    stored = in_ms(coverage(find_series(symbol, timeframe, root=root, venue=venue))[0])
    until, back = _floor(timeframe, last_ms), declared.warmup + 1 + _SPARE
    if until <= stored:
        raise _too_few(str(declared), declared, 0, when=f"known by {short(at_ms(last_ms))}")
    while True:
        since = max(stored, _floor(timeframe, first_ms - back * timeframe.seconds * 1_000))
        found = load_bars(symbol, timeframe, at_ms(since), at_ms(until), root=root, venue=venue)
        series = InputSeries.of_bars(declared, found)
        if since == stored or np.searchsorted(series.known_ms, first_ms, side="right") > declared.warmup:
            return series
        back *= 2


def _events(declared: FundingInput | SentimentInput | UniverseInput, *, root: Path, venue: str | None) -> InputSeries:
    """Return all stored rows of funding, sentiment or a universe."""
    if isinstance(declared, FundingInput):
        symbol = Symbol.parse(str(declared.symbol))
        own = venue is not None and funding_at(root, symbol=symbol, venue=venue).stored
        at = declared.venue or (venue if own else None)
        name = find_funding(symbol, root=root, venue=at).folder.parts[-3]
        return InputSeries.of_events(declared, load_funding(symbol, root=root, venue=at), venue=name)
    if isinstance(declared, SentimentInput):
        return InputSeries.of_events(declared, load_sentiment(declared.source, root=root), venue=declared.source)
    universe = load_universe(declared.name, root=root)
    return InputSeries.of_events(declared, _memberships(universe), venue=declared.name)


def _memberships(universe: Universe) -> pd.DataFrame:
    """Return a row for each change: 1 while a symbol belongs, 0 after it left, NaN before it was listed."""
    ends = [one.ended_ms for one in universe.listings if one.ended_ms is not None]
    times = sorted({one.listed_ms for one in universe.listings} | set(ends))
    index = pd.DatetimeIndex(np.array(times, dtype="datetime64[ms]"), tz="UTC")
    names = list(dict.fromkeys(str(one.symbol) for one in universe.listings))
    table = pd.DataFrame(np.nan, index=index, columns=names)
    for one in universe.listings:  # those of one symbol come in order
        column = table[str(one.symbol)].to_numpy(copy=True)
        row = np.searchsorted(times, one.listed_ms)
        column[row:] = 1.0
        if one.ended_ms is not None:
            column[np.searchsorted(times, one.ended_ms) :] = 0.0
        table[str(one.symbol)] = column
    return table


def _series_of(declared: BarsInput) -> tuple[Symbol, Timeframe]:
    return Symbol.parse(str(declared.symbol)), Timeframe.parse(str(declared.timeframe))


def _floor(timeframe: Timeframe, time_ms: int) -> int:
    """Return the open of the bar that contains a time, epoch milliseconds."""
    return round(timeframe.floor(at_ms(time_ms).to_pydatetime()).timestamp() * 1_000)


def _too_few(name: str, declared: Input, count: int, *, when: str) -> DataError:
    return DataError(
        f"{name} ({declared}) needs {counted(declared.warmup + 1, 'row')} before the first bar, its warm-up included, {when}",
        found=counted(count, "row"),
        todo="Start later, or fetch earlier rows: `atb data --help`",
    )
