"""Bars and opinions as the kernel's loops read them: a column each, and records made of them only where they are asked for."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from atb.engine import records
from atb.engine.records import Floats, Records


@dataclass(frozen=True)
class Lanes:
    """Bars as one array per column, (N,) each; `funding` and `first` are (1,) where they are 0 in every row.

    A single slot's backtest reads these and makes a record of a bar only where it decides on it.
    """

    opened: NDArray[np.int64]
    closed: NDArray[np.int64]
    open: Floats
    high: Floats
    low: Floats
    close: Floats
    volume: Floats
    funding: Floats
    first: NDArray[np.int64]

    @classmethod
    def of(cls, market: Records) -> "Lanes":
        """Return the columns of MARKET records."""
        lanes = {name: np.ascontiguousarray(market[name]) for name in records.MARKET.names or ()}
        for name in ("funding", "first"):
            lanes[name] = lanes[name] if lanes[name].any() else np.zeros(1, lanes[name].dtype)
        return cls(**lanes)

    @cached_property
    def records(self) -> Records:
        """MARKET records (N,) of every row; made when they are first asked for, and not to be written to."""
        made = np.zeros(len(self.opened), records.MARKET)
        for name in records.MARKET.names or ():
            made[name] = getattr(self, name)
        return made

    def columns(self) -> tuple[Any, ...]:
        """Return the arrays in the order of the kernel's arguments, closed to writing: numba compiles for one kind only."""
        return tuple(_sealed(getattr(self, name)) for name in records.MARKET.names or ())

    def tail(self, first: int) -> "Lanes":
        """Return the rows from `first` on."""
        count = len(self.opened)
        return Lanes(*(lane[first:] if len(lane) == count else lane for lane in self.columns()))


def _sealed(lane: NDArray[Any]) -> NDArray[Any]:
    view = lane.view()
    view.flags.writeable = False
    return view


@dataclass(frozen=True)
class Wanted:
    """What strategies want at each row: the side (N,), and SIGNAL records of the rest, (N,) or (1,) where it is the same at all.

    Most strategies give a side and nothing else; a record for each of their bars would cost more than the backtest.
    """

    side: Floats
    rest: Records

    @cached_property
    def signals(self) -> Records:
        """SIGNAL records (N,) of every row."""
        if len(self.rest) == len(self.side) != 1:  # a single record may stand for all rows, and then lacks their side
            return self.rest
        full = np.repeat(self.rest, len(self.side))
        full["side"] = self.side
        return full

    def with_side(self, side: Floats) -> "Wanted":
        """Return the same with other sides."""
        if len(self.rest) != len(side):
            return Wanted(side, self.rest)
        rest = self.rest.copy()
        rest["side"] = side
        return Wanted(side, rest)

    def tail(self, first: int) -> "Wanted":
        """Return the rows from `first` on."""
        return Wanted(self.side[first:], self.rest[first:] if len(self.rest) == len(self.side) else self.rest)


@dataclass(frozen=True)
class Columns:
    """A slot's rows for the kernel, and the prediction column if there is one."""

    lanes: Lanes
    wanted: Wanted
    prediction: "Floats | None" = None

    @property
    def market(self) -> Records:
        """MARKET records of every row."""
        return self.lanes.records

    @property
    def signals(self) -> Records:
        """SIGNAL records of every row."""
        return self.wanted.signals

    def tail(self, first: int) -> "Columns":
        """Return the rows from `first` on."""
        prediction = None if self.prediction is None else self.prediction[first:]
        return Columns(self.lanes.tail(first), self.wanted.tail(first), prediction)

    def in_cluster(self, number: float) -> "Columns":
        """Return the same rows, all in the cluster of this number."""
        signals = self.signals.copy()
        signals["cluster"] = number
        return Columns(self.lanes, Wanted(self.wanted.side, signals), self.prediction)
