"""The kernel's orders as a `vectorbt.Portfolio`: an independent accountant and a library of further statistics.

vectorbt is Apache-2.0 with the Commons Clause and belongs to the research half: nothing live imports this module.
"""

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from atb.backtest.frames import folded_ms
from atb.backtest.span import Span
from atb.engine.prepare import finest
from atb.errors import InputError

if TYPE_CHECKING:
    import vectorbt as vbt
    from numpy.typing import NDArray

    from atb.backtest.result import Result


def closes(result: "Result") -> pd.DataFrame:
    """Return close prices on the result's index, one column per slot, carried forward over missing bars."""
    return _closes_at(result, result.problem.closes, result.index)


def _closes_at(result: "Result", times: "NDArray[np.int64]", index: pd.DatetimeIndex) -> pd.DataFrame:
    columns = {}
    for s, slot in enumerate(result.slots):
        known = pd.Series(slot.bars.frame["close"].to_numpy(), index=slot.bars.closed_ms)
        columns[s] = known.reindex(times, method="ffill").to_numpy()
    frame = pd.DataFrame(columns, index=index)
    frame.columns = pd.Index([f"{slot.strategy.name} {slot.bars.symbol} {s}" for s, slot in enumerate(result.slots)])
    return frame.bfill()


def _clock(result: "Result") -> "tuple[NDArray[np.int64], pd.DatetimeIndex]":
    """Return close times without a hole, and their opens: vectorbt takes rows for time, so each period needs one."""
    timeframe, problem = finest(result.slots), result.problem
    if timeframe.unit == "M" or Span.of(problem).whole:
        return problem.closes, result.index
    step = timeframe.seconds * 1000
    grid = np.arange(int(problem.lanes.opened.min()) + step, int(problem.closes[-1]) + 1, step)
    times = np.union1d(grid, problem.closes)
    return times, pd.DatetimeIndex(pd.to_datetime(times - step, unit="ms", utc=True), name="timestamp")


def order_records(result: "Result", times: "NDArray[np.int64]") -> "NDArray[np.void]":
    """Return the orders in vectorbt's layout, sorted by column and time, numbered within each column.

    `times` are the closes of vectorbt's rows, in epoch milliseconds.
    """
    from vectorbt.portfolio.enums import order_dt

    orders = result.outcome.orders
    rows = np.searchsorted(times, folded_ms(orders, result.problem), side="left")
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


def wrap(result: "Result") -> "vbt.Portfolio":
    """Return the result as a `vectorbt.Portfolio` whose columns share the account's cash.

    It has a row for every period by the clock, those without a bar included, so that its ratios are per time and not per bar.

    Raises
    ------
    InputError
        If fees were paid in base, or borrow or funding was paid: vectorbt knows neither, and its accounts would differ.
    """
    _check(result)
    import vectorbt as vbt
    from vectorbt.base.array_wrapper import ArrayWrapper
    from vectorbt.portfolio.enums import log_dt

    times, index = _clock(result)
    prices = _closes_at(result, times, index)
    freq = pd.Timedelta(seconds=finest(result.slots).seconds)
    wrapper = ArrayWrapper.from_obj(prices, freq=freq, group_by=np.zeros(prices.shape[1], dtype=np.int64))
    cash = np.array([result.problem.account.cash])
    return vbt.Portfolio(wrapper, prices, order_records(result, times), np.zeros(0, log_dt), cash, cash_sharing=True)


def _check(result: "Result") -> None:
    unknown = {
        "fees in the base currency": bool(result.outcome.orders["fee_base"].any()),
        "borrow or funding": bool(result.outcome.account["financing"] != 0),
    }
    for name, paid in unknown.items():
        if paid:
            raise InputError(
                f"vectorbt cannot account for {name}: its equity would not be this result's",
                todo="Use result.equity, result.trades and result.stats, or run once more without these costs to compare",
            )
