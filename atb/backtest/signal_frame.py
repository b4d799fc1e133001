"""Sides as one frame: what a screen reads from strategies, signals, frames and arrays."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from atb.domain.bars import Bars
from atb.domain.ports import Strategy
from atb.domain.signals import Signals
from atb.engine.prepare import columns
from atb.engine.slot import Slot
from atb.errors import InputError
from atb.strategies import strategy_params


def sides_frame(given: Any, bars: Bars) -> pd.DataFrame:
    """Return sides as floats, one row per bar and one column per combination.

    Raises
    ------
    InputError
        If they do not fit the bars, hold something that is no side, or two columns have one name.
    """
    frame, index = _frame(given, bars), bars.frame.index
    if not same_times(frame.index, index):
        raise InputError("Sides must have the bars' index, one row per bar", found=f"{len(frame)} for {len(bars)} bars")
    if not len(frame.columns):
        raise InputError("A screen needs at least one column of sides")
    if not frame.columns.is_unique:
        raise InputError("Two columns of sides have one name", found=frame.columns[frame.columns.duplicated()][0])
    if any(dtype == np.bool_ for dtype in frame.dtypes):
        raise InputError(
            "Sides are 1, 0, -1 or NaN, not booleans",
            todo="atb.strategies.from_signals.sides_from(entries, exits) makes sides of entries and exits",
        )
    sides = frame.astype(np.float64).set_axis(index)
    Signals(sides.to_numpy().ravel())
    return sides


def same_times(one: "pd.Index[Any]", other: "pd.Index[Any]") -> bool:
    """Return True if two indices hold the same times in UTC, in any unit."""
    aware = all(isinstance(index, pd.DatetimeIndex) and index.tz is not None for index in (one, other))
    return aware and one.as_unit("ms").equals(other.as_unit("ms"))  # type: ignore[attr-defined] # `aware`: times, both


def _frame(given: Any, bars: Bars) -> pd.DataFrame:
    index = bars.frame.index
    if isinstance(given, pd.DataFrame):
        return given
    if isinstance(given, pd.Series):
        return given.to_frame()
    if isinstance(given, Signals):
        return _of_array(given.side, index, ["signals"])
    if isinstance(given, np.ndarray):
        return _of_array(given, index)
    strategies = [given] if isinstance(given, Strategy) else given
    if isinstance(strategies, Sequence) and all(isinstance(strategy, Strategy) for strategy in strategies):
        found = [_of_strategy(strategy, bars) for strategy in strategies]
        table = np.column_stack(found) if found else np.empty((len(bars), 0))
        return _of_array(table, index, [strategy_label(strategy) for strategy in strategies])
    raise InputError("A screen reads strategies, Signals, or sides as a frame or array", found=type(given).__name__)


def _of_array(values: Any, index: "pd.Index[Any]", names: list[str] | None = None) -> pd.DataFrame:
    if values.ndim > 2 or len(values) != len(index):
        raise InputError("Sides must have one row per bar", found=f"shape {values.shape} for {len(index)} bars")
    return pd.DataFrame(values.reshape(len(index), -1), index=index, columns=names)


def _of_strategy(strategy: Strategy, bars: Bars) -> Any:
    if strategy.predicts:
        raise InputError(
            "A screen has no model to ask", found=strategy.name, todo="Pass its Signals, or use backtest.run"
        )
    return columns(Slot(strategy, bars)).signals["side"]


def strategy_label(strategy: Strategy) -> str:
    """Return a strategy's name and parameters in one line; given sides go by their label."""
    params = strategy_params(strategy)
    if set(params) == {"label", "fingerprint"}:
        return str(params["label"])
    return " ".join([strategy.name, *(f"{name}={value}" for name, value in params.items())])
