"""The newest bar, payment, published value and listing of everything stored that were known at a time.

A bar is known at its close, a payment when it is made, a sentiment value at its publication or when it was first seen here,
whichever is later, a listing at its day. A value that was corrected afterwards is shown as it stood then.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from atb.data.catalogue.events import EventSeries, all_events
from atb.data.catalogue.funding import load_funding
from atb.data.catalogue.reading import read_series
from atb.data.catalogue.revisions import load_revisions
from atb.data.catalogue.sentiment import load_sentiment
from atb.data.catalogue.series import Series, all_series
from atb.data.catalogue.universes import all_universes, load_universe
from atb.domain import BAR_COLUMNS, Symbol
from atb.errors import InputError
from atb.times import Moment, at_ms, in_ms, moment

COLUMNS = ("kind", "what", "stated", "known", "values", "note")


def known_at(time: Moment, *, root: Path, symbol: str | Symbol | None = None) -> pd.DataFrame:
    """Return the newest row of everything stored that was known at a time; one query over bars, funding, sentiment, universes.

    Parameters
    ----------
    time
        UTC where it has no zone.
    root
        The folder of the catalogue.
    symbol
        Only bars and funding of this symbol, and whether a universe lists it; None is everything.

    Returns
    -------
    DataFrame
        `kind` (bars, funding, sentiment, universe), `what` it is of, the time it is about (`stated`) and from when on it was known
        (`known`), its `values` by name, and a `note`: revised since, or reconstructed. What had no row by then has none here.

    Raises
    ------
    DataError
        If a file of the catalogue is damaged.
    InputError
        If the time or the symbol is none.
    """
    at, wanted = moment(time), None if symbol is None else Symbol.parse(symbol)
    if at is None:
        raise InputError("Say at which time", todo="Such as 2022-05-10 or 2022-05-10T12:00")
    query = _Query(root, at, wanted)
    rows = [*query.bars(), *query.events(), *query.universes()]
    return pd.DataFrame(rows, columns=list(COLUMNS))


@dataclass(frozen=True)
class _Query:
    root: Path
    at: pd.Timestamp
    symbol: Symbol | None

    def bars(self) -> Iterator[dict[str, object]]:
        """Yield the newest closed bar of each series."""
        for series in all_series(self.root):
            if self.symbol in {None, series.symbol} and (row := self._newest_bar(series)) is not None:
                yield row

    def events(self) -> Iterator[dict[str, object]]:
        """Yield the newest payment of each perpetual and the newest published value of each index."""
        for series in all_events(self.root):
            row = self._funding(series) if series.kind.name == "funding" else self._sentiment(series)
            if row is not None:
                yield row

    def universes(self) -> Iterator[dict[str, object]]:
        """Yield how many symbols each universe lists, or whether it lists the symbol, since its last change."""
        time = in_ms(self.at)
        for name in all_universes(self.root):
            universe = load_universe(name, root=self.root)
            edges = [edge for one in universe.listings for edge in (one.listed_ms, one.ended_ms) if edge is not None]
            past = [edge for edge in edges if edge <= time]
            if not past:
                continue
            symbols = universe.as_of(time)
            listed = float(len(symbols)) if self.symbol is None else float(self.symbol in symbols)
            changed = at_ms(max(past))
            values = {"symbols" if self.symbol is None else str(self.symbol): listed}
            yield _row("universe", name, (changed, changed), values=values)

    def _newest_bar(self, series: Series) -> dict[str, object] | None:
        for year in sorted((year for year in series.years if year <= self.at.year), reverse=True):
            bars = read_series(series, [year])
            closed = bars.closed_ms <= in_ms(self.at)
            if closed.any():
                last = int(closed.sum()) - 1
                opened = bars.frame.index[last]
                values = {name: float(bars.frame[name].iloc[last]) for name in BAR_COLUMNS}
                values, note = self._as_known(series.years[year].parent, opened, values)
                return _row("bars", str(series), (opened, at_ms(int(bars.closed_ms[last]))), values=values, note=note)
        return None

    def _funding(self, series: EventSeries) -> dict[str, object] | None:
        if self.symbol not in {None, Symbol.parse(series.name)}:
            return None
        frame = load_funding(series.name, root=self.root, venue=series.venue)
        frame = frame[frame.index <= self.at]
        if frame.empty:
            return None
        paid = frame.index[-1]
        values, note = self._as_known(series.folder, paid, {"funding_rate": float(frame["funding_rate"].iloc[-1])})
        return _row("funding", series.subject, (paid, paid), values=values, note=note)

    def _sentiment(self, series: EventSeries) -> dict[str, object] | None:
        frame = load_sentiment(series.subject, root=self.root)
        known = frame[["published", "first_seen"]].max(axis=1)
        frame = frame[known <= self.at]
        if frame.empty:
            return None
        stated, row = frame.index[-1], frame.iloc[-1]
        values, note = self._as_known(series.folder, stated, {"value": float(row["value"])})
        notes = [note, "reconstructed: not seen while it was new" if row["reconstructed"] else ""]
        return _row(
            "sentiment", series.subject, (stated, known[stated]), values=values, note="; ".join(filter(None, notes))
        )

    def _as_known(self, folder: Path, stated: pd.Timestamp, values: dict[str, float]) -> tuple[dict[str, float], str]:
        """Return the values as they stood then: the ledger of revisions has what a later one replaced."""
        found, note = dict(values), ""
        for revision in reversed(load_revisions(folder)):
            if revision.at != stated:
                continue
            later = revision.seen > self.at
            if later and revision.kept == "later":
                found |= {name: value for name, value in revision.first.items() if value is not None and name in found}
            note = f"revised {revision.seen:%Y-%m-%d}, " + ("after this" if later else f"kept: {revision.kept}")
        return found, note


def _row(
    kind: str, what: str, times: tuple[pd.Timestamp, pd.Timestamp], *, values: dict[str, float], note: str = ""
) -> dict[str, object]:
    return dict(zip(COLUMNS, (kind, what, *times, values, note), strict=True))
