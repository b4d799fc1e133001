"""The kernel's orders as a `vectorbt.Portfolio`: an independent accountant and a library of further statistics.

vectorbt is Apache-2.0 with the Commons Clause and belongs to the research half: nothing live imports this module.
"""

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from atb.backtest.frames import folded_ms
from atb.backtest.simulation import SimulationRecords
from atb.backtest.span import Span
from atb.engine.kernel_input import KernelInput, finest
from atb.engine.slot import Slot
from atb.errors import InputError

if TYPE_CHECKING:
    import vectorbt as vbt
    from numpy.typing import NDArray


def closes(slots: tuple[Slot, ...], times: "NDArray[np.int64]", index: pd.DatetimeIndex) -> pd.DataFrame:
    """Close prices at `times` (bar closes, epoch ms) on `index`, one column per slot, carried forward over missing bars."""
    columns = {}
    for s, slot in enumerate(slots):
        known = pd.Series(slot.bars.frame["close"].to_numpy(), index=slot.bars.closed_ms)
        columns[s] = known.reindex(times, method="ffill").to_numpy()
    frame = pd.DataFrame(columns, index=index)
    frame.columns = pd.Index([f"{slot.strategy.name} {slot.bars.symbol} {s}" for s, slot in enumerate(slots)])
    return frame.bfill()


def _clock(inputs: KernelInput, index: pd.DatetimeIndex) -> "tuple[NDArray[np.int64], pd.DatetimeIndex]":
    """Close times without a hole, and their opens: vectorbt reads rows as time, so each period needs one."""
    timeframe = finest(inputs.slots)
    if timeframe.unit == "M" or Span.of(inputs).whole:
        return inputs.closes, index
    step = timeframe.seconds * 1000
    grid = np.arange(int(inputs.bar_columns.opened.min()) + step, int(inputs.closes[-1]) + 1, step)
    times = np.union1d(grid, inputs.closes)
    return times, pd.DatetimeIndex(pd.to_datetime(times - step, unit="ms", utc=True), name="timestamp")


def order_records(inputs: KernelInput, orders: "NDArray[np.void]", times: "NDArray[np.int64]") -> "NDArray[np.void]":
    """ORDER records in vectorbt's layout, sorted by column and time, numbered within each column.

    `times` are the closes of vectorbt's rows, in epoch milliseconds.
    """
    from vectorbt.portfolio.enums import order_dt

    rows = np.searchsorted(times, folded_ms(orders, inputs), side="left")
    by_column = np.lexsort((orders["id"], orders["slot"]))
    records = np.zeros(len(orders), order_dt)
    chosen = orders[by_column]
    for ours, theirs in (("slot", "col"), ("quantity", "size"), ("price", "price"), ("fee", "fees")):
        records[theirs] = chosen[ours]
    records["idx"], records["side"] = rows[by_column], (chosen["side"] < 0).astype(np.int64)
    for column in np.unique(records["col"]):
        own = records["col"] == column
        records["id"][own] = np.arange(own.sum())
    return records


def wrap(inputs: KernelInput, outcome: SimulationRecords, index: pd.DatetimeIndex) -> "vbt.Portfolio":
    """Wrap a run's orders as a `vectorbt.Portfolio` whose columns share the account's cash.

    It has a row for every period of the clock, also where a bar is missing, so that its ratios are per time and not per bar.

    Parameters
    ----------
    inputs, outcome
        The run.
    index
        Open times (UTC) of the bars at whose closes equity is known.

    Raises
    ------
    InputError
        If fees were paid in base, or borrow or funding was paid: vectorbt knows neither, and its accounts would differ.
    """
    _check(outcome)
    import vectorbt as vbt
    from vectorbt.base.array_wrapper import ArrayWrapper
    from vectorbt.portfolio.enums import log_dt

    times, index = _clock(inputs, index)
    prices = closes(inputs.slots, times, index)
    freq = pd.Timedelta(seconds=finest(inputs.slots).seconds)
    wrapper = ArrayWrapper.from_obj(prices, freq=freq, group_by=np.zeros(prices.shape[1], dtype=np.int64))
    cash = np.array([inputs.account.cash])
    return vbt.Portfolio(
        wrapper, prices, order_records(inputs, outcome.orders, times), np.zeros(0, log_dt), cash, cash_sharing=True
    )


def _check(outcome: SimulationRecords) -> None:
    unknown = {
        "fees in the base currency": bool(outcome.orders["fee_base"].any()),
        "borrow or funding": bool(outcome.account["financing"] != 0),
    }
    for name, paid in unknown.items():
        if paid:
            raise InputError(
                f"vectorbt cannot account for {name}: its equity would not be this result's",
                todo="Use result.equity, result.trades and result.stats, or run once more without these costs to compare",
            )
