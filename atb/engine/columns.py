"""Bars and signals as columns, checked, the form that the kernel's loops read; records are made from them at first use."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from atb.domain.bars import Bars
from atb.domain.instrument import Instrument
from atb.engine import records
from atb.engine.records import Floats, Records
from atb.errors import InputError

_NEARLY = 1 - 1e-9  # of a price step
ROW_COLUMNS = ("opened", "closed", "open", "high", "low", "close", "volume")


@dataclass(frozen=True)
class BarColumns:
    """Bars as one array per column, (N,) each; `funding` and `first` are (1,) if 0 in every row.

    The loop for a single slot reads these and makes a record only of bars it decides on.
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
    def of(cls, market: Records) -> "BarColumns":
        """Return the columns of MARKET records."""
        bar_columns = {name: np.ascontiguousarray(market[name]) for name in records.MARKET.names or ()}
        for name in ("funding", "first"):
            bar_columns[name] = bar_columns[name] if bar_columns[name].any() else np.zeros(1, bar_columns[name].dtype)
        return cls(**bar_columns)

    @classmethod
    def joined(cls, parts: Sequence["BarColumns"]) -> "BarColumns":
        """Return the columns of several slots, one slot after another."""
        if len(parts) == 1:
            return parts[0]
        whole = {name: np.concatenate([getattr(part, name) for part in parts]) for name in ROW_COLUMNS}
        for name in ("funding", "first"):
            lanes = [getattr(part, name) for part in parts]
            if any(lane.any() for lane in lanes):
                counts = [len(part.opened) for part in parts]
                full = [np.broadcast_to(lane, count) for lane, count in zip(lanes, counts, strict=True)]
                whole[name] = np.concatenate(full)
            else:
                whole[name] = np.zeros(1, lanes[0].dtype)
        return cls(**whole)

    @cached_property
    def records(self) -> Records:
        """MARKET records (N,), made at first use; do not write to them."""
        made = np.zeros(len(self.opened), records.MARKET)
        for name in records.MARKET.names or ():
            made[name] = getattr(self, name)
        return made

    def columns(self) -> tuple[Any, ...]:
        """Return the arrays in the order of the kernel's arguments, read-only: numba compiles for one kind only."""
        return tuple(_read_only(getattr(self, name)) for name in records.MARKET.names or ())

    def tail(self, first: int) -> "BarColumns":
        """Return the rows from `first` on."""
        count = len(self.opened)
        return BarColumns(*(lane[first:] if len(lane) == count else lane for lane in self.columns()))


def _read_only(lane: NDArray[Any]) -> NDArray[Any]:
    view = lane.view()
    view.flags.writeable = False
    return view


@dataclass(frozen=True)
class SignalColumns:
    """Signals: the side (N,), and SIGNAL records with the other fields, (N,), or fewer where these are the same in many rows.

    Most strategies give only a side; a record for each of their bars would cost more than the backtest.

    Parameters
    ----------
    side
        The sides.
    fields
        (N,); or (1,) if the same in every row; or one for each slot, whose numbers of rows are then `lengths`.
    """

    side: Floats
    fields: Records
    lengths: tuple[int, ...] = ()

    @classmethod
    def joined(cls, parts: Sequence["SignalColumns"]) -> "SignalColumns":
        """Return the signals of several slots, one slot after another."""
        if len(parts) == 1:
            return parts[0]
        side = np.concatenate([part.side for part in parts])
        if all(len(part.fields) == 1 for part in parts):
            fields = np.concatenate([part.fields for part in parts])
            return cls(side, fields, tuple(len(part.side) for part in parts))
        return cls(side, np.concatenate([part.signals for part in parts]))

    @cached_property
    def signals(self) -> Records:
        """SIGNAL records (N,) of every row."""
        if len(self.fields) == len(self.side) != 1 and not self.lengths:  # a single record has no side
            return self.fields
        full = np.repeat(self.fields, self.lengths or len(self.side))
        full["side"] = self.side
        return full

    def with_side(self, side: Floats) -> "SignalColumns":
        """Return the same signals with other sides."""
        if self.lengths or len(self.fields) != len(side):
            return replace(self, side=side)
        fields = self.fields.copy()
        fields["side"] = side
        return SignalColumns(side, fields)

    def tail(self, first: int) -> "SignalColumns":
        """Return one slot's rows from `first` on."""
        return SignalColumns(
            self.side[first:], self.fields[first:] if len(self.fields) == len(self.side) else self.fields
        )


@dataclass(frozen=True)
class Columns:
    """A slot's rows for the kernel, and the prediction column if there is one."""

    bar_columns: BarColumns
    signal_columns: SignalColumns
    prediction: "Floats | None" = None

    @property
    def market(self) -> Records:
        """MARKET records of every row."""
        return self.bar_columns.records

    @property
    def signals(self) -> Records:
        """SIGNAL records of every row."""
        return self.signal_columns.signals

    def tail(self, first: int) -> "Columns":
        """Return the rows from `first` on."""
        prediction = None if self.prediction is None else self.prediction[first:]
        return Columns(self.bar_columns.tail(first), self.signal_columns.tail(first), prediction)

    def in_cluster(self, number: float) -> "Columns":
        """Return the same rows, all in the cluster of this number."""
        signals = self.signals.copy()
        signals["cluster"] = number
        return Columns(self.bar_columns, SignalColumns(self.signal_columns.side, signals), self.prediction)


def check_bars(columns: BarColumns, bars: Bars, rules: Instrument) -> None:
    """Refuse rows that are not bars, naming the first one and its values.

    Raises
    ------
    InputError
        If times overlap or are not in order, a price is no number above 0 or less than one price step, a high or low does not hold
        open and close, or a volume is below 0.
    """
    if _all_valid(columns, float(rules.tick)):
        return
    sound = (columns.low >= float(rules.tick) * _NEARLY) & (columns.high < np.inf) & (columns.volume >= 0)
    sound &= (columns.low <= np.minimum(columns.open, columns.close)) & (
        columns.high >= np.maximum(columns.open, columns.close)
    )
    sound[1:] &= columns.opened[1:] >= columns.closed[:-1]
    at = int(np.argmin(sound))
    name, opened, low = f"Bar {at} of {bars.symbol} {bars.timeframe}", bars.frame.index[at], float(columns.low[at])
    if 0 < low < float(rules.tick) * _NEARLY:
        raise InputError(
            f"{name} costs less than one price step, {rules.tick:f}: these rules ({rules.source}) do not fit its prices",
            found=f"a low of {low} at {opened}",
            todo="Give the slot the venue's rules, or none: they are then read off the bars",
        )
    raise InputError(
        f"{name} has a wrong price, volume or time, or overlaps the one before it",
        found=f"{opened} {bars.frame.iloc[at].to_dict()}",
        todo="Repair the data; atb data import names what is wrong with a file",
    )


def _all_valid(columns: BarColumns, tick: float) -> bool:
    """True if every row is a valid bar; every comparison with a NaN is false."""
    low, high = columns.low, columns.high
    within = (low <= columns.open).all() and (low <= columns.close).all()
    within = within and (high >= columns.open).all() and (high >= columns.close).all()
    apart = (columns.opened[1:] >= columns.closed[:-1]).all()
    least = low.min(initial=np.inf) >= tick * _NEARLY  # below a step there is no price to sell at
    return bool(within and apart and least and high.max(initial=0.0) < np.inf and columns.volume.min(initial=0.0) >= 0)
