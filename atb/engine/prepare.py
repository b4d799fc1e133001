"""From slots (a strategy on bars, with its policy) to the kernel's columns and schedule.

Research computes `columns` over the whole history at once. A runner computes `latest` at each close, from the newest bar and
exactly as many bars before it as the declared warm-up says, so that its decisions do not depend on when it was started.
`atb.validation.windows` checks that both give the same columns at every bar.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from atb.domain.bars import BAR_COLUMNS, Bars
from atb.domain.inputs import Known, declared_inputs
from atb.domain.raised import named_errors
from atb.domain.signals import Signals
from atb.domain.timeframe import Timeframe
from atb.domain.universe import tradable
from atb.engine import records
from atb.engine.clusters import clusters
from atb.engine.columns import BarColumns, Columns, SignalColumns, check_bars
from atb.engine.parameters import account_parameters, slot_parameters
from atb.engine.policy import AccountPolicy
from atb.engine.records import Floats, Records
from atb.engine.slot import OF_THE_MODEL, Slot
from atb.errors import InputError
from atb.features.indicators import atr, stddev

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
        if len(self.slots) == 1:
            return self.bar_columns.closed
        return distinct(self.bar_columns.closed)

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


def columns(slot: Slot) -> Columns:
    """Return the kernel's columns for every bar of the slot, in order.

    Raises
    ------
    InputError
        If the strategy raises an error, or returns something else than one signal per bar.
    """
    bar_columns = bar_columns_of(slot)
    with named_errors(slot.strategy, slot.strategy.name):
        return Columns(bar_columns, *signals_of(slot))


def latest(slot: Slot) -> Columns:
    """Return the kernel's columns of the newest bar, from it and the `slot.warmup` bars before it alone."""
    window = replace(slot, bars=slot.bars.last(slot.warmup + 1))
    signal_columns, prediction = signals_of(window)
    return Columns(bar_columns_of(window), signal_columns, prediction).tail(len(window.bars) - 1)


def signals_of(slot: Slot) -> "tuple[SignalColumns, Floats | None]":
    """Return a strategy's signals at every bar, from its own copy of the bars, and the predictions it read (None if it reads none).

    A strategy or predictor that declares inputs is handed these as well, each cut at what was known at the newest bar.

    Raises
    ------
    InputError
        If the strategy returned no signals, or columns of another length.
    """
    frame = slot.bars.frame
    features = slot.strategy.features(frame.copy(deep=False), *_known(slot, slot.strategy))
    prediction = None
    if slot.strategy.predicts and slot.predictor is not None:
        known = _known(slot, slot.predictor, prefix=OF_THE_MODEL)
        prediction = np.asarray(slot.predictor.predict(frame.copy(deep=False), *known), dtype=np.float64)
    given: object = slot.strategy.signals(_joined(frame, features, prediction))  # a user's code may return anything
    if not isinstance(given, Signals):
        name = slot.strategy.name
        raise InputError(f"{name} must return signals", found=type(given).__name__, todo="Write return Signals(side)")
    if len(given.side) != len(frame):
        raise InputError(
            f"{slot.strategy.name} must return one signal per bar", found=f"{len(given.side)} for {len(frame)} bars"
        )
    return _wanted(_measured(slot) | _listed(slot, _given(given)), len(frame)), prediction


def _known(slot: Slot, owner: object, *, prefix: str = "") -> tuple[Mapping[str, Known], ...]:
    """Return the argument with the inputs that a strategy or predictor declares; nothing where it declares none."""
    declared, bars = declared_inputs(owner), slot.bars
    if not declared:
        return ()
    found = {}
    for name, one in declared.items():
        series = slot.inputs[prefix + name].used_as(one.resolved(bars.symbol, bars.timeframe))
        found[name] = series.known(bars.closed_ms)
    return (MappingProxyType(found),)


def _joined(frame: "pd.DataFrame", features: "pd.DataFrame", prediction: "Floats | None") -> "pd.DataFrame":
    """Return bars, features and the prediction, where there is one, side by side."""
    import pandas as pd

    todo = "Write return pd.DataFrame(columns, index=bars.index)"
    if not isinstance(features, pd.DataFrame):
        raise InputError("Features must be a table", found=type(features).__name__, todo=todo)
    parts = [frame]
    if prediction is not None and "prediction" in features.columns:
        features = features.drop(columns="prediction")
    if len(features.columns):
        parts.append(features)
    if prediction is not None:
        parts.append(pd.DataFrame(prediction, frame.index))
    if len(parts) == 1:
        return frame.copy(deep=False)
    table = pd.concat(parts, axis=1, ignore_index=True)
    if len(table) != len(frame):
        raise InputError(
            "Features must be at the times of the bars", found=f"{len(table) - len(frame)} others", todo=todo
        )
    last = () if prediction is None else ("prediction",)
    table.columns = _names(tuple(frame.columns), tuple(features.columns) + last).view()
    return table


@lru_cache(maxsize=64)
def _names(bars: tuple[str, ...], others: tuple[str, ...]) -> "pd.Index[str]":
    """Return the joined names, kept: pandas takes longer to make an index of text than to join a window of bars."""
    import pandas as pd

    return pd.Index([*bars, *others])


def _wanted(found: dict[str, Any], count: int) -> SignalColumns:
    """Return the signals of `count` rows, as a single record where only the side varies."""
    names = records.SIGNAL.names or ()
    side = np.ascontiguousarray(found["side"], dtype=np.float64)
    columns = [name for name in names if isinstance(found[name], np.ndarray)]
    # All fields are floats, so records are written as rows of a plain table.
    table = np.empty((1 if columns == ["side"] else count, len(names)), np.float64)
    table[:] = [np.nan if name in columns else found[name] for name in names]
    for name in columns if len(table) == count else ():
        table[:, names.index(name)] = found[name]
    return SignalColumns(side, table.view(records.SIGNAL)[:, 0])


def _given(given: Any) -> dict[str, Any]:
    """Return the columns that the strategy gave."""
    names = ("side", "confidence", "atr", "volatility", "stop", "price")
    return {name: np.asarray(getattr(given, name)) for name in names if getattr(given, name) is not None}


def _listed(slot: Slot, given: dict[str, Any]) -> dict[str, Any]:
    """Return the strategy's columns with side 0 where the symbol does not belong to its universe."""
    if slot.listings is None:
        return given
    closed = slot.bars.closed_ms
    belongs = tradable(slot.listings, closed, slot.bars.timeframe.closes_ms(closed))
    return given | {"side": np.where(belongs, given["side"], 0.0)}


def _measured(slot: Slot) -> dict[str, Any]:
    """Return the columns that a strategy need not give; ATR and volatility are computed only if the policy reads them."""
    frame, policy = slot.bars.frame, slot.policy
    found: dict[str, Any] = {
        "confidence": 1.0,
        "atr": np.nan,
        "volatility": np.nan,
        "stop": np.nan,
        "price": np.nan,
        "cluster": 1.0,
    }
    if slot.reads_atr:
        high, low, close = (frame[name].to_numpy() for name in ("high", "low", "close"))
        found["atr"] = atr(high, low, close, policy.atr_window)
    if policy.reads_volatility:
        close = frame["close"].to_numpy()
        returns = np.concatenate([[np.nan], np.log(close[1:] / close[:-1]) / np.sqrt(_bars_between(slot.bars))])
        found["volatility"] = stddev(returns, policy.volatility_window) * math.sqrt(slot.bars.timeframe.bars_per_year)
    return found


def _bars_between(bars: Bars) -> Floats:
    """Return the time from each close to the next in bars: 1, more over a hole."""
    opened, closed = bars.opened_ms, bars.closed_ms
    apart = np.diff(closed) / (closed[1:] - opened[1:])
    return np.asarray(np.where(opened[1:] == closed[:-1], 1.0, apart))


def bar_columns_of(slot: Slot) -> BarColumns:
    """Return the slot's bars as columns.

    Raises
    ------
    InputError
        If the bars are invalid: times that are not UTC, overlap or are not in order, prices that are not above 0, open or close
        outside high and low, a price below a tick, a volume below 0.
    """
    bars, frame = slot.bars, slot.bars.frame
    if frame.index.tz is None:  # type: ignore[attr-defined] # an index of times
        raise InputError("Bars need UTC open times", found=f"an index without a time zone for {bars.symbol}")
    opened, high, low, close, volume = _prices(frame)
    unknown = np.zeros(1, np.int64)
    bar_columns = BarColumns(bars.opened_ms, bars.closed_ms, opened, high, low, close, volume, _funding(slot), unknown)
    check_bars(bar_columns, bars, slot.rules)
    return bar_columns


def _prices(frame: "pd.DataFrame") -> tuple[Floats, ...]:
    """Return open, high, low, close and volume, as views where the frame holds them as one block of columns."""
    whole = tuple(frame.columns) == BAR_COLUMNS
    columns = frame.to_numpy().T if whole else [frame[name].to_numpy() for name in BAR_COLUMNS]
    return tuple(np.ascontiguousarray(column, np.float64) for column in columns)


def _funding(slot: Slot) -> Floats:
    """Return the funding rate paid by longs at each bar's close, (1,) if none; a rate stamped at a close belongs to that bar."""
    if slot.funding is None or slot.funding.empty or not len(slot.bars):
        return np.zeros(1)
    if getattr(slot.funding.index, "tz", None) is None or not np.isfinite(slot.funding.to_numpy()).all():
        raise InputError("Funding rates are numbers at UTC times", found=slot.funding.head(3).to_dict())
    rates = np.zeros(len(slot.bars))
    paid = slot.funding.index.as_unit("ms").asi8  # type: ignore[attr-defined] # an index of times
    row = np.searchsorted(slot.bars.closed_ms, paid)
    inside = (row < len(rates)) & (paid > slot.bars.opened_ms[0])
    np.add.at(rates, row[inside], slot.funding.to_numpy()[inside])
    return rates


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
        parts[0].bar_columns if len(parts) == 1 else BarColumns.of(np.concatenate([part.market for part in parts])),
        _joined_wanted([part.signal_columns for part in parts]),
        np.array([slot_parameters(slot.policy, slot.execution, slot.rules) for slot in slots], records.SLOT_PARAMETERS),
        account_parameters(account),
        tuple(part.prediction for part in parts),
    )


def _joined_wanted(parts: "list[SignalColumns]") -> SignalColumns:
    if len(parts) == 1:
        return parts[0]
    signals = np.concatenate([part.signals for part in parts])
    return SignalColumns(np.ascontiguousarray(signals["side"]), signals)


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
