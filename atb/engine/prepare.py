"""From a slot (a strategy on bars, with its policy) to the kernel's columns.

Research computes `columns` over the whole history at once. A runner computes `latest` at each close, from the newest bar and
exactly as many bars before it as the declared warm-up says, so that its decisions do not depend on when it was started.
`atb.validation.windows` checks that both give the same columns at every bar.
"""

import math
from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np

from atb.domain.bars import BAR_COLUMNS, Bars
from atb.domain.inputs import Known, declared_inputs
from atb.domain.raised import named_errors
from atb.domain.signals import Signals
from atb.domain.universe import tradable
from atb.engine import records
from atb.engine.columns import BarColumns, Columns, SignalColumns, check_bars
from atb.engine.records import Floats
from atb.engine.slot import OF_THE_MODEL, Slot
from atb.errors import InputError
from atb.features.indicators import atr, stddev

if TYPE_CHECKING:
    import pandas as pd


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
    table, prediction = features_of(slot)
    given: object = slot.strategy.signals(table)  # a user's code may return anything
    if not isinstance(given, Signals):
        name = slot.strategy.name
        raise InputError(f"{name} must return signals", found=type(given).__name__, todo="Write return Signals(side)")
    if len(given.side) != len(frame):
        raise InputError(
            f"{slot.strategy.name} must return one signal per bar", found=f"{len(given.side)} for {len(frame)} bars"
        )
    return _wanted(_measured(slot) | _listed(slot, _given(given)), len(frame)), prediction


def features_of(slot: Slot) -> "tuple[pd.DataFrame, Floats | None]":
    """Return the table that a strategy decides by, bars, features and prediction side by side; and the prediction alone."""
    frame = slot.bars.frame
    features = slot.strategy.features(frame.copy(deep=False), *_known(slot, slot.strategy))
    prediction = None
    if slot.strategy.predicts and slot.predictor is not None:
        known = _known(slot, slot.predictor, prefix=OF_THE_MODEL)
        prediction = np.asarray(slot.predictor.predict(frame.copy(deep=False), *known), dtype=np.float64)
    return _joined(frame, features, prediction), prediction


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
