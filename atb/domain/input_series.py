"""The rows of one declared input, with when each became known and when it is too old.

Rows are in the order of their stated times, and what is known never falls: a row that became known only after a later-stated one is
left out. A strategy computes columns over the rows, and the later row's value would otherwise contain one that was not known yet; a
runner, which appends what arrives, leaves it out too.
"""

import hashlib
import json
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray

from atb.domain.bars import BAR_COLUMNS, Bars
from atb.domain.inputs import (
    BarsInput,
    FundingInput,
    Input,
    Known,
    SentimentInput,
    UniverseInput,
    duration_ms,
    input_to_json,
    same_rows,
)
from atb.domain.timeframe import Timeframe
from atb.errors import DataError, InputError

if TYPE_CHECKING:
    import pandas as pd

Times = NDArray[np.int64]
FOR_EVER_MS = 2**62
COLUMNS = {"bars": BAR_COLUMNS, "funding": ("funding_rate",), "sentiment": ("value",)}  # a universe's are its symbols
_NOT_A_TIME = np.iinfo(np.int64).min


@dataclass(frozen=True)
class InputSeries:
    """Rows of an input.

    Parameters
    ----------
    declared
        What they are rows of, symbol and timeframe filled in.
    stated_ms
        The time each row is about, epoch milliseconds, increasing; a bar's is its open.
    known_ms
        When each became known; never falling.
    columns, values
        Names, and float64 values (rows x columns).
    venue
        Where the rows come from.
    """

    declared: Input
    stated_ms: Times
    known_ms: Times
    columns: tuple[str, ...]
    values: NDArray[np.float64]
    venue: str = ""

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.stated_ms)

    def __str__(self) -> str:
        """Return the declaration and the venue."""
        return f"{self.declared} ({self.venue or 'unnamed source'})"

    @cached_property
    def stale_ms(self) -> Times:
        """From when on each row is too old to be used, epoch milliseconds."""
        age = self.declared.max_age
        if isinstance(self.declared, BarsInput):
            if age is None:  # due is the bar after it
                return Timeframe.parse(str(self.declared.timeframe)).closes_ms(self.known_ms)
            return self.known_ms + duration_ms(age) + 1
        return np.full(len(self), FOR_EVER_MS) if age is None else self.stated_ms + duration_ms(age) + 1

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 over identity, times and values; another warm-up or age of the same rows is the same content."""
        name = {key: value for key, value in input_to_json(self.declared).items() if key not in {"warmup", "max_age"}}
        digest = hashlib.sha256(json.dumps([name, self.venue, self.columns], sort_keys=True).encode())
        for part in (self.stated_ms, self.known_ms):
            digest.update(np.ascontiguousarray(part, dtype="<i8").tobytes())
        digest.update(np.ascontiguousarray(self.values, dtype="<f8").tobytes())
        return digest.hexdigest()

    def identity(self) -> dict[str, Any]:
        """Return the identity that runs and manifests record: the declaration, the provider, the fingerprint, and which rows."""
        from atb.times import at_ms

        edges = [at_ms(int(self.stated_ms[at])).isoformat() for at in (0, -1)] if len(self) else [None, None]
        return {
            **input_to_json(self.declared),
            "provider": self.venue,
            "fingerprint": self.fingerprint,
            "first": edges[0],
            "last": edges[1],
            "rows": len(self),
        }

    def part(self, first: int, end: int) -> "InputSeries":
        """Return the rows [first, end), counted from 0."""
        rows = slice(first, end)
        return replace(self, stated_ms=self.stated_ms[rows], known_ms=self.known_ms[rows], values=self.values[rows])

    def copied(self) -> "InputSeries":
        """Return the rows in memory of their own: no later row lies behind them."""
        return replace(
            self, stated_ms=self.stated_ms.copy(), known_ms=self.known_ms.copy(), values=self.values.copy(order="C")
        )

    def used_as(self, declared: Input) -> "InputSeries":
        """Return the same rows under a declaration with another warm-up or age.

        Raises
        ------
        InputError
            If it means other rows.
        """
        if declared == self.declared:
            return self
        if not same_rows(declared, self.declared):
            raise InputError(f"Rows of another input than {declared}", found=str(self.declared))
        return replace(self, declared=declared)

    def span(self, first_close_ms: int, last_close_ms: int) -> tuple[int, int]:
        """Return the rows [first, end) that a strategy may have over bars closing from `first_close_ms` to `last_close_ms`.

        They begin the declared warm-up before the row that is newest at the first close, and end with what is known at the last.
        """
        newest, end = np.searchsorted(self.known_ms, [first_close_ms, last_close_ms], side="right").tolist()
        return max(0, newest - 1 - self.declared.warmup), end

    def cut(self, closes_ms: Times) -> "InputSeries":
        """Return the rows that a strategy may have over bars with these closes."""
        if not len(closes_ms):
            return self.part(0, 0)
        return self.part(*self.span(int(closes_ms[0]), int(closes_ms[-1])))

    def known(self, closes_ms: Times) -> Known:
        """Return the input as a strategy is handed it over bars with these closes, epoch milliseconds in order."""
        import pandas as pd

        rows = self.cut(closes_ms)
        if self.declared.kind == "universe":
            rows = rows.listed()
        stated = rows.stated_ms.view("M8[ms]").astype("M8[us]")
        index = pd.DatetimeIndex(stated, name="timestamp").tz_localize("UTC")
        table = _sealed(np.asfortranarray(rows.values))  # each column in one piece, as a catalogue's bars
        frame = pd.DataFrame(table, index, list(rows.columns), copy=False)
        return Known(frame, _sealed(rows.known_ms), stale_ms=rows.stale_ms, closes_ms=closes_ms)

    def listed(self) -> "InputSeries":
        """Return the rows with the columns that have a value in the newest of them."""
        there = np.flatnonzero(~np.isnan(self.values[-1])) if len(self) else np.zeros(0, dtype=np.int64)
        return replace(self, columns=tuple(self.columns[at] for at in there), values=self.values[:, there])

    def appended(self, later: "InputSeries") -> "InputSeries":
        """Return these rows and later ones; what is no later than the newest row here is left out.

        A universe that has changed may have other symbols: the columns are those of both, NaN where a symbol was not in it.

        Raises
        ------
        InputError
            If the others are of another input.
        """
        if later.columns != self.columns and self.declared.kind == later.declared.kind == "universe":
            names = tuple(dict.fromkeys([*later.columns, *self.columns]))
            return self.with_columns(names).appended(later.with_columns(names))
        if not same_rows(later.declared, self.declared) or later.columns != self.columns:
            raise InputError("Rows of another input cannot be added", found=f"{later} to {self}")
        if not len(self):
            return later.used_as(self.declared)
        first = int(np.searchsorted(later.stated_ms, self.stated_ms[-1], side="right"))
        known = np.maximum(later.known_ms[first:], self.known_ms[-1])
        return replace(
            self,
            stated_ms=np.concatenate([self.stated_ms, later.stated_ms[first:]]),
            known_ms=np.concatenate([self.known_ms, known]),
            values=np.concatenate([self.values, later.values[first:]]),
        )

    def with_columns(self, names: tuple[str, ...]) -> "InputSeries":
        """Return the rows with these columns, the own ones among them; the others are NaN."""
        values = np.full((len(self), len(names)), np.nan)
        values[:, [names.index(name) for name in self.columns]] = self.values
        return replace(self, columns=names, values=values)

    @classmethod
    def empty(cls, declared: Input) -> Self:
        """Return an input without rows; a universe has no columns then."""
        none, columns = np.zeros(0, dtype=np.int64), COLUMNS.get(declared.kind, ())
        return cls(declared, none, none, columns, np.empty((0, len(columns))))

    @classmethod
    def of_bars(cls, declared: BarsInput, bars: Bars) -> Self:
        """Return bars as an input, each known at its close.

        Raises
        ------
        InputError
            If they are of another symbol or timeframe.
        """
        if (declared.symbol, declared.timeframe) != (str(bars.symbol), str(bars.timeframe)):
            raise InputError(f"Bars of another series than {declared}", found=f"{bars.symbol} {bars.timeframe}")
        values = np.ascontiguousarray(bars.frame[list(BAR_COLUMNS)].to_numpy(np.float64))
        return cls(declared, bars.opened_ms, bars.closed_ms, BAR_COLUMNS, values, bars.venue)

    @classmethod
    def of_events(
        cls, declared: FundingInput | SentimentInput | UniverseInput, frame: "pd.DataFrame", *, venue: str = ""
    ) -> Self:
        """Return dated rows as an input: funding by payment, sentiment by stated time, a universe by day.

        Parameters
        ----------
        frame
            On an increasing UTC index. Funding has `funding_rate`; sentiment has `value` and `published`, and may have
            `first_seen` (no time where it was not seen live); a universe has a column for each symbol.

        Raises
        ------
        DataError
            If a column is missing, times are not increasing UTC, or a row was published before its stated time.
        """
        stated = _milliseconds(frame.index, f"{declared}")
        if (np.diff(stated) <= 0).any():
            raise DataError(f"Rows of {declared} must be in time order, one for each time")
        names = COLUMNS.get(declared.kind, tuple(str(name) for name in frame.columns))
        known = _published(declared, frame, stated) if declared.kind == "sentiment" else stated
        columns = [_column(declared, frame, name).to_numpy(np.float64) for name in names]
        table = np.column_stack(columns) if columns else np.empty((len(stated), 0))
        kept = known <= np.minimum.accumulate(known[::-1])[::-1]  # the others came after a later-stated one
        return cls(declared, stated[kept], known[kept], names, table[kept], venue)


def _published(declared: Input, frame: "pd.DataFrame", stated: Times) -> Times:
    """Return when each value was known: at its publication, or when it was first seen if that was later."""
    published = _milliseconds(_column(declared, frame, "published"), f"{declared}: published")
    if (early := published < stated).any():
        found = str(frame.index[early][0])
        raise DataError(f"A value of {declared} has no publication, or one before its stated time", found=found)
    if "first_seen" not in frame.columns:
        return published
    return np.maximum(published, _milliseconds(frame["first_seen"], f"{declared}: first_seen"))


def _column(declared: Input, frame: "pd.DataFrame", name: str) -> "pd.Series[Any]":
    if name not in frame.columns:
        raise DataError(f"{declared} lacks a column", found=list(frame.columns), todo=f"It needs {name}")
    return frame[name]


def _milliseconds(times: Any, what: str) -> Times:
    """Return UTC times as epoch milliseconds; no time is the least number."""
    import pandas as pd

    index = pd.DatetimeIndex(times)
    if index.tz is None and not index.isna().all():
        raise DataError(f"Times of {what} must be UTC", found=str(index.dtype))
    found = index.as_unit("ms").asi8.copy()
    found[index.isna()] = _NOT_A_TIME
    return np.asarray(found, dtype=np.int64)


def _sealed(array: "NDArray[Any]") -> "NDArray[Any]":
    """Return a view that cannot be written."""
    view = array.view()
    view.flags.writeable = False
    return view
