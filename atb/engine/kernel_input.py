"""Everything the kernel's loops read: the columns of all slots, laid out flat, and the schedule of their opens and closes."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from atb.domain.timeframe import Timeframe
from atb.engine import records
from atb.engine.clusters import clusters
from atb.engine.columns import BarColumns, Columns, SignalColumns
from atb.engine.parameters import account_parameters, slot_parameters
from atb.engine.policy import AccountPolicy
from atb.engine.prepare import columns
from atb.engine.records import Floats, Records
from atb.engine.slot import Slot
from atb.errors import InputError

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class KernelInput:
    """Everything the kernel's loops read: flat bars and signals of all slots, parameters, and the schedule of opens and closes."""

    slots: tuple[Slot, ...]
    account: AccountPolicy
    offsets: tuple[int, ...]
    bar_columns: BarColumns
    signal_columns: SignalColumns
    parameters: Records
    limits: Records
    predictions: "tuple[NDArray[np.float64] | None, ...]"

    @property
    def signals(self) -> Records:
        """SIGNAL records of every row."""
        return self.signal_columns.signals

    @property
    def market(self) -> Records:
        """MARKET records of every row."""
        return self.bar_columns.records

    def with_market(self, market: Records) -> "KernelInput":
        """Return the same inputs on other bars."""
        return replace(self, bar_columns=BarColumns.of(market))

    def with_signals(self, signals: Records) -> "KernelInput":
        """Return the same inputs with other signals."""
        return replace(self, signal_columns=SignalColumns(np.ascontiguousarray(signals["side"]), signals))

    @cached_property
    def parts(self) -> tuple[slice, ...]:
        """The rows of each slot: slots lie one after another in `market` and `signals`."""
        ends = (*self.offsets[1:], len(self.bar_columns.opened))
        return tuple(slice(first, end) for first, end in zip(self.offsets, ends, strict=True))

    @cached_property
    def funded(self) -> bool:
        """True if any bar pays funding."""
        return bool(self.bar_columns.funding.any())

    @cached_property
    def closes(self) -> NDArray[np.int64]:
        """The times (C,) at which at least one bar closes, in order: those at which equity is known."""
        first, *others = (self.bar_columns.closed[part] for part in self.parts)
        return first if all(np.array_equal(first, other) for other in others) else distinct(self.bar_columns.closed)

    @property
    def events(self) -> NDArray[np.int64]:
        """The times (E,) at which a bar opens or closes."""
        return self._schedule[0]

    @property
    def closing(self) -> NDArray[np.int64]:
        """Rows (E, S) that close at each event, -1 where none does."""
        return self._schedule[1]

    @property
    def opening(self) -> NDArray[np.int64]:
        """Rows (E, S) that open at each event, -1 where none does."""
        return self._schedule[2]

    @cached_property
    def _schedule(self) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
        return schedule([self.market[part] for part in self.parts], self.offsets)


def prepare(slots: "tuple[Slot, ...]", account: AccountPolicy, start: "pd.Timestamp | None" = None) -> KernelInput:
    """Lay out slots for the kernel; bars that open before `start` warm features up and are not traded.

    Raises
    ------
    InputError
        If there is no slot, no bar to trade, or two slots disagree on their quote currency; if an argument is of another type.
    """
    _check(slots, account, start)
    parts = [columns(slot) for slot in slots]
    if account.max_cluster is not None:
        numbers = clusters([part.market for part in parts], slots, account)
        parts = [_clustered(part, number) for part, number in zip(parts, numbers, strict=True)]
    if start is not None:
        first = int(start.timestamp() * 1000)
        parts = [part.tail(int(np.searchsorted(part.bar_columns.opened, first))) for part in parts]
    lengths = [len(part.bar_columns.opened) for part in parts]
    if not sum(lengths):
        raise InputError("No bar to trade", found=f"start={start}", todo="Choose an earlier start")
    return KernelInput(
        slots,
        account,
        tuple(int(offset) for offset in np.cumsum([0, *lengths[:-1]])),
        BarColumns.joined([part.bar_columns for part in parts]),
        SignalColumns.joined([part.signal_columns for part in parts]),
        np.array([slot_parameters(slot.policy, slot.execution, slot.rules) for slot in slots], records.SLOT_PARAMETERS),
        account_parameters(account),
        tuple(part.prediction for part in parts),
    )


def _clustered(part: Columns, numbers: Floats) -> Columns:
    signals = part.signals.copy()
    signals["cluster"] = numbers
    return replace(part, signal_columns=SignalColumns(part.signal_columns.side, signals))


def _check(slots: "tuple[Slot, ...]", account: AccountPolicy, start: "pd.Timestamp | None") -> None:
    if not slots:
        raise InputError("A backtest needs at least one slot")
    if not isinstance(account, AccountPolicy):
        raise InputError(
            "The account must be an AccountPolicy", found=_kind(account), todo="AccountPolicy(cash=10_000)"
        )
    if start is not None and getattr(start, "tzinfo", None) is None:
        raise InputError(
            "The start must be a time with a zone", found=_kind(start), todo='pd.Timestamp("2024-01-02", tz="UTC")'
        )
    quotes = sorted({slot.bars.symbol.settle or slot.bars.symbol.quote for slot in slots})
    if len(quotes) > 1:
        raise InputError("One account holds one quote currency", found=quotes)


def _kind(value: Any) -> str:
    """Return a value's repr and its type."""
    return f"{value!r} ({type(value).__name__})"


def distinct(times: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the distinct values in order; a stable sort is quick on several series that are each sorted."""
    ordered = np.sort(times, kind="stable")
    new = np.concatenate([[True], ordered[1:] != ordered[:-1]])
    return np.asarray(ordered[new])


def schedule(markets: "list[Records]", offsets: Sequence[int]) -> "tuple[NDArray[np.int64], Any, Any]":
    """Return event times (E,) and the flat rows (E, S) that close and that open at each, -1 where none does.

    Slots may differ in timeframe, start late, end early and miss bars; each bar has its own open and close.
    """
    times = [market[edge] for market in markets for edge in ("opened", "closed")]
    events = distinct(np.concatenate(times))
    shape = (len(events), len(markets))
    closing, opening = np.full(shape, -1, np.int64), np.full(shape, -1, np.int64)
    places: list[tuple[Records, Any, Any]] = []
    for s, (market, offset) in enumerate(zip(markets, offsets, strict=True)):
        known = next((place for place in places if np.array_equal(place[0]["opened"], market["opened"])
                      and np.array_equal(place[0]["closed"], market["closed"])), None)  # fmt: skip
        if known is None:
            known = market, np.searchsorted(events, market["closed"]), np.searchsorted(events, market["opened"])
            places.append(known)
        rows = offset + np.arange(len(market))
        closing[known[1], s] = opening[known[2], s] = rows
    return events, closing, opening


def finest(slots: "tuple[Slot, ...]") -> Timeframe:
    """Return the shortest timeframe among the slots: the step of the account's equity."""
    return min((slot.bars.timeframe for slot in slots), key=lambda timeframe: timeframe.seconds)
