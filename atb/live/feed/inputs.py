"""Inputs of a live session: rows of other bars from the venue, of funding and sentiment from a source, each given once it is known.

A bar of another series that closes at the same instant as a slot's own is known at that instant. The feed waits for it as for the
slot's own, at most two seconds; then the slot decides without it, a notice says so, and the input is missing by its own rule (see
`atb.domain.inputs`): never is the bar before it taken for it by accident. It is given with the next decision.

Funding, sentiment and universes come from the catalogue, which another process keeps up to date (`atb data`): a runner downloads
nothing but candles. Where their newest row has become too old, a notice says so once.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol

import numpy as np

from atb.domain import BarsInput, Symbol, Timeframe
from atb.domain.input_series import InputSeries
from atb.domain.inputs import Input
from atb.domain.ports import Broker
from atb.errors import AtbError, DataError
from atb.live.journal.step import Notice
from atb.live.portfolio import Portfolio
from atb.monitoring import get_logger
from atb.threads import Call

_log = get_logger(__name__)
_SPARE = 20  # rows fetched beyond the warm-up, since a series may have gaps
_PATIENCE_S = 5.0  # real time that a file of the catalogue is waited for

Rows = dict[str, InputSeries]


class EventSource(Protocol):
    """Source of rows that no exchange's candles have: funding and sentiment."""

    async def rows(self, declared: Input) -> InputSeries | None:
        """Return all rows known so far; None where they cannot be had now."""
        ...


class CatalogueEvents:
    """Funding and sentiment as the catalogue holds them; whoever updates it (`atb data`) brings the new ones.

    Parameters
    ----------
    root
        The folder of the catalogue.
    venue
        The venue of the slots' own bars, whose funding a backtest takes first.
    """

    def __init__(self, root: Path, *, venue: str | None = None) -> None:
        self._root, self._venue = root, venue
        self._hanging: Call[InputSeries] | None = None

    async def rows(self, declared: Input) -> InputSeries | None:
        """Return the stored rows; None where they cannot be read in time."""
        from atb.data.catalogue.inputs import stored_input

        if self._hanging is not None and not self._hanging.done:
            return None
        self._hanging = Call(
            lambda: stored_input(declared, root=self._root, venue=self._venue, since_ms=0, until_ms=None), "inputs"
        )
        if not await self._hanging.finished(_PATIENCE_S):
            return None
        return self._hanging.result()


@dataclass
class _Stream:
    """One series that inputs share: its rows so far, and how many each of its readers was given."""

    rows: InputSeries
    given: dict[tuple[int, str], int] = field(default_factory=dict)


class InputFeed:
    """The inputs of a portfolio at a venue.

    Parameters
    ----------
    broker
        The venue, for bars.
    portfolio
        Whose inputs.
    events
        Where funding and sentiment come from; None where there is no source.
    """

    def __init__(self, broker: Broker, portfolio: Portfolio, events: EventSource | None = None) -> None:
        self._broker, self._portfolio, self._events = broker, portfolio, events
        self._streams: dict[Input, _Stream] = {}
        self._late: set[tuple[int, str, int]] = set()
        self._silent: set[Input] = set()
        self.notices: list[Notice] = []

    async def open(self, known: Mapping[int, tuple[int, int]]) -> dict[int, Rows]:
        """Fetch the rows that are known at the start, with every input's warm-up.

        Parameters
        ----------
        known
            By slot, the closes (epoch milliseconds) of the first bar of its warm-up window and of its newest bar.

        Raises
        ------
        DataError
            If an input cannot be had, or has too few rows.
        VenueError
            If the venue cannot be asked.
        """
        found: dict[int, Rows] = {}
        for slot, (first, last) in known.items():
            plan = self._portfolio.plans[slot]
            for name, declared in plan.inputs.items():
                series = (await self._begun(declared, first)).used_as(declared)
                begin, end = series.span(first, last)
                before = int(np.searchsorted(series.known_ms, first, side="right"))
                if before <= declared.warmup:
                    raise DataError(
                        f"{plan.manifest.name} needs {declared.warmup + 1} rows of {name} ({declared}) to warm up",
                        found=f"{before} rows", todo="Fetch earlier rows: `atb data --help`, or start later",
                    )  # fmt: skip
                found.setdefault(slot, {})[name] = series.part(begin, end)
                self._streams[_key(declared)].given[slot, name] = end
        return found

    async def fetch(self, slots: Iterable[int], time_ms: int) -> None:
        """Fetch what may have become known by `time_ms`; what cannot be had is late."""
        wanted = {_key(one): one for slot in slots for one in self._portfolio.plans[slot].inputs.values()}
        for key, declared in wanted.items():
            stream = self._streams[key]
            if not isinstance(declared, BarsInput) or self._due_ms(stream, declared) <= time_ms:
                try:
                    rows = await self._newer(declared, stream.rows)
                    stream.rows = stream.rows if rows is None else stream.rows.appended(rows)
                except AtbError as error:
                    if key not in self._silent:  # noted once, not at every attempt
                        _log.warning("an input cannot be had", input=str(declared), error=str(error))
                    self._silent.add(key)
                    continue
                self._silent.discard(key)

    def missing(self, slots: Iterable[int], time_ms: int) -> list[tuple[int, str]]:
        """Return slot and name of each input whose bar should be closed by `time_ms`, and is not here."""
        return [
            (slot, name)
            for slot in slots
            for name, declared in self._portfolio.plans[slot].inputs.items()
            if isinstance(declared, BarsInput) and self._due_ms(self._streams[_key(declared)], declared) <= time_ms
        ]

    def take(self, slots: Iterable[int], time_ms: int) -> dict[int, Rows]:
        """Return by slot and name the rows that became known by `time_ms` and were not given yet; a notice names what is late."""
        slots = tuple(slots)
        for slot, name in self.missing(slots, time_ms):
            due = self._due_ms(self._streams[_key(self._portfolio.plans[slot].inputs[name])], self._bars_of(slot, name))
            if (slot, name, due) not in self._late:
                self._late.add((slot, name, due))
                detail = {"slot": slot, "input": name, "of": str(self._bars_of(slot, name)), "due_ms": due}
                self.notices.append(Notice("input_late", detail, "warning"))
        found: dict[int, Rows] = {}
        for slot in slots:
            for name, declared in self._portfolio.plans[slot].inputs.items():
                stream = self._streams[_key(declared)]
                end = int(np.searchsorted(stream.rows.known_ms, time_ms, side="right"))
                self._note_missing(slot, name, stream.rows.part(end - 1, end).used_as(declared), time_ms=time_ms)
                new = stream.rows.part(stream.given[slot, name], end).used_as(declared)
                stream.given[slot, name] = end
                found.setdefault(slot, {})[name] = new
        return found

    def _note_missing(self, slot: int, name: str, newest: InputSeries, *, time_ms: int) -> None:
        """Notice once that the newest row of funding or sentiment is too old: a strategy has no opinion without it."""
        if isinstance(newest.declared, BarsInput) or not len(newest) or int(newest.stale_ms[0]) > time_ms:
            return
        stated = int(newest.stated_ms[0])
        if (slot, name, stated) not in self._late:
            self._late.add((slot, name, stated))
            detail = {"slot": slot, "input": name, "of": str(newest.declared), "newest_ms": stated}
            self.notices.append(Notice("input_too_old", detail, "warning"))

    def take_notices(self) -> list[Notice]:
        """Return the notices since the last call."""
        found, self.notices = self.notices, []
        return found

    def _bars_of(self, slot: int, name: str) -> BarsInput:
        declared = self._portfolio.plans[slot].inputs[name]
        assert isinstance(declared, BarsInput)  # only bars are due at a time that is known before
        return declared

    async def _begun(self, declared: Input, first_ms: int) -> InputSeries:
        """Return the rows from a warm-up before `first_ms` on, of everyone who reads this series."""
        key = _key(declared)
        readers = [one for plan in self._portfolio.plans for one in plan.inputs.values() if _key(one) == key]
        longest = replace(declared, warmup=max(one.warmup for one in readers))
        stream = self._streams.get(key)
        if stream is None:
            rows = await self._first_rows(longest, first_ms)
            if rows is None or not len(rows):
                raise DataError(f"There are no rows of {declared}", todo="Fetch them: `atb data --help`")
            stream = self._streams[key] = _Stream(rows.used_as(key))
        return stream.rows

    async def _first_rows(self, declared: Input, first_ms: int) -> InputSeries | None:
        if not isinstance(declared, BarsInput):
            return await self._event_rows(declared)
        symbol, timeframe = _series_of(declared)
        lead = (declared.warmup + 1 + _SPARE) * timeframe.seconds * 1_000
        longest = max(plan.warmup * plan.timeframe.seconds * 1_000 for plan in self._portfolio.plans)
        bars = await self._broker.bars(symbol, timeframe, since_ms=first_ms - lead - longest)
        return None if bars is None else InputSeries.of_bars(declared, bars)

    async def _newer(self, declared: Input, rows: InputSeries) -> InputSeries | None:
        if not isinstance(declared, BarsInput):
            return await self._event_rows(declared)
        symbol, timeframe = _series_of(declared)
        bars = await self._broker.bars(symbol, timeframe, since_ms=int(rows.stated_ms[-1]) + 1)
        return None if bars is None else InputSeries.of_bars(declared, bars)

    async def _event_rows(self, declared: Input) -> InputSeries | None:
        if self._events is None:
            raise DataError(f"This runner has no source of {declared}")
        return await self._events.rows(declared)

    @staticmethod
    def _due_ms(stream: _Stream, declared: BarsInput) -> int:
        """Return when the next bar of a stream closes."""
        return _series_of(declared)[1].next_ms(int(stream.rows.known_ms[-1]))


def _key(declared: Input) -> Input:
    """Return the declaration without what says how its rows are used."""
    return replace(declared, warmup=0, max_age=None)


def _series_of(declared: BarsInput) -> tuple[Symbol, Timeframe]:
    return Symbol.parse(str(declared.symbol)), Timeframe.parse(str(declared.timeframe))
