"""From slots (a strategy on bars, with its policy) to the kernel's columns and schedule.

The same `columns` runs in research, over the whole history at once, and live, over the history up to the newest bar: since
features and signals are causal, the last row of one equals the same row of the other, which the contract tests prove.
"""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from atb.domain.bars import Bars
from atb.domain.instrument import Instrument
from atb.domain.ports import Predictor, Strategy
from atb.domain.timeframe import Timeframe
from atb.engine import records
from atb.engine.policy import AccountPolicy, ExecutionModel, RiskPolicy, slot_parameters
from atb.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

Records = NDArray[np.void]


@dataclass(frozen=True)
class Slot:
    """One strategy on one symbol: a column of the kernel."""

    strategy: Strategy
    bars: Bars
    policy: RiskPolicy = field(default_factory=RiskPolicy)
    execution: ExecutionModel = field(default_factory=ExecutionModel)
    instrument: Instrument | None = None
    predictor: Predictor | None = None

    def __post_init__(self) -> None:
        """Refuse a predicting strategy without a predictor, and an instrument of another symbol."""
        if self.strategy.predicts and self.predictor is None:
            raise InputError(
                f"{self.strategy.name} needs a prediction, and no predictor was given",
                todo="Train a model (atb train) and pass its predictor",
            )
        if self.instrument is not None and self.instrument.symbol != self.bars.symbol:
            raise InputError("The instrument is of another symbol", found=str(self.instrument.symbol))

    @property
    def rules(self) -> Instrument:
        """The instrument's rules, or the default ones for this symbol."""
        return self.instrument or Instrument(self.bars.symbol)

    @property
    def warmup(self) -> int:
        """Bars before the first signal that can be trusted to the last bit."""
        return max(self.strategy.warmup, self.predictor.warmup if self.predictor else 0)


@dataclass(frozen=True)
class Columns:
    """A slot's rows for the kernel: MARKET and SIGNAL records of equal length, and the prediction column if there is one."""

    market: Records
    signals: Records
    prediction: "NDArray[np.float64] | None" = None

    def tail(self, first: int) -> "Columns":
        """Return the rows from `first` on."""
        prediction = None if self.prediction is None else self.prediction[first:]
        return Columns(self.market[first:].copy(), self.signals[first:].copy(), prediction)


@dataclass(frozen=True)
class Problem:
    """Everything `kernel.run` reads, laid out: flat bars and signals of all slots, and the schedule over them."""

    slots: tuple[Slot, ...]
    account: AccountPolicy
    offsets: tuple[int, ...]
    market: Records
    signals: Records
    events: NDArray[np.int64]
    closing: NDArray[np.int64]
    opening: NDArray[np.int64]
    parameters: Records
    limits: Records
    predictions: "tuple[NDArray[np.float64] | None, ...]"


def columns(slot: Slot) -> Columns:
    """Return the kernel's columns for every bar of the slot, in order.

    Raises
    ------
    InputError
        If the strategy returned columns of another length.
    """
    frame = slot.bars.frame
    table = frame.join(slot.strategy.features(frame))
    prediction = None
    if slot.strategy.predicts and slot.predictor is not None:
        prediction = np.asarray(slot.predictor.predict(frame), dtype=np.float64)
        table = table.assign(prediction=prediction)
    given = slot.strategy.signals(table)
    if len(given.side) != len(frame):
        raise InputError(
            f"{slot.strategy.name} must return one signal per bar", found=f"{len(given.side)} for {len(frame)} bars"
        )
    signals = np.zeros(len(frame), records.SIGNAL)
    for name in records.SIGNAL.names or ():
        column = getattr(given, name)
        signals[name] = (1.0 if name == "confidence" else np.nan) if column is None else column
    return Columns(_market(slot.bars), signals, prediction)


def _market(bars: Bars) -> Records:
    market = np.zeros(len(bars), records.MARKET)
    market["opened"], market["closed"] = bars.opened_ms, bars.closed_ms
    for name in ("open", "high", "low", "close", "volume"):
        market[name] = bars.frame[name].to_numpy()
    return market


def prepare(slots: "tuple[Slot, ...]", account: AccountPolicy, start: "pd.Timestamp | None" = None) -> Problem:
    """Lay out slots for the kernel; bars that open before `start` warm features up and are not traded.

    Raises
    ------
    InputError
        If there is no slot, no bar to trade, or two slots disagree on their quote currency.
    """
    _check(slots)
    parts, offsets, total = [], [], 0
    for slot in slots:
        part = columns(slot)
        if start is not None:
            part = part.tail(int(np.searchsorted(part.market["opened"], int(start.timestamp() * 1000))))
        offsets.append(total)
        total += len(part.market)
        parts.append(part)
    if not total:
        raise InputError("No bar to trade", found=f"start={start}", todo="Choose an earlier start")
    events, closing, opening = schedule([part.market for part in parts], offsets)
    return Problem(
        slots,
        account,
        tuple(offsets),
        np.concatenate([part.market for part in parts]),
        np.concatenate([part.signals for part in parts]),
        events,
        closing,
        opening,
        np.array([slot_parameters(slot.policy, slot.execution, slot.rules) for slot in slots], records.SLOT_PARAMETERS),
        account.record(),
        tuple(part.prediction for part in parts),
    )


def _check(slots: "tuple[Slot, ...]") -> None:
    if not slots:
        raise InputError("A backtest needs at least one slot")
    quotes = sorted({slot.bars.symbol.settle or slot.bars.symbol.quote for slot in slots})
    if len(quotes) > 1:
        raise InputError("One account holds one quote currency", found=quotes)


def schedule(markets: "list[Records]", offsets: "list[int]") -> "tuple[NDArray[np.int64], Any, Any]":
    """Return event times (E,) and the flat rows (E, S) that close and that open at each, -1 where none does.

    Slots may differ in timeframe, start late, end early and miss bars: a bar opens and closes when it says so.
    """
    times = [market[edge] for market in markets for edge in ("opened", "closed")]
    events = np.unique(np.concatenate(times))
    shape = (len(events), len(markets))
    closing, opening = np.full(shape, -1, np.int64), np.full(shape, -1, np.int64)
    for s, (market, offset) in enumerate(zip(markets, offsets, strict=True)):
        rows = offset + np.arange(len(market))
        closing[np.searchsorted(events, market["closed"]), s] = rows
        opening[np.searchsorted(events, market["opened"]), s] = rows
    return events, closing, opening


def finest(slots: "tuple[Slot, ...]") -> Timeframe:
    """Return the shortest timeframe among the slots: the step of the account's equity."""
    return min((slot.bars.timeframe for slot in slots), key=lambda timeframe: timeframe.seconds)
