"""Call every entry point of the kernel once, so that all of it is compiled and on disk."""

from typing import Any

import numpy as np

from atb.engine import kernel, loop, native, records
from atb.engine.columns import BarColumns
from atb.engine.parameters import account_parameters
from atb.engine.policy import AccountPolicy
from atb.engine.state import KernelState


def warm_up() -> None:
    """Compile (or load) the loops and the three functions that the runner calls, on two bars of nothing."""
    market, signals = np.ones(2, records.MARKET), np.ones(2, records.SIGNAL)
    parameters = np.ones(1, records.SLOT_PARAMETERS)
    state = KernelState.fresh(100.0, limits=account_parameters(AccountPolicy()), parameters=parameters)
    rows = np.array([0])
    list(state.orders(market, rows, records.RANGE))
    state.decide(market, signals, rows)
    list(state.orders(market, rows, records.OPEN))
    state.apply(np.zeros(1, records.ORDER))
    kernel.clear(state.slots[0])
    buffers = (np.zeros(1, records.ORDER), np.zeros(1, records.TRADE), np.zeros(1, records.REFUSAL), np.zeros(2))
    order, trade, row = np.zeros(1, records.ORDER), np.zeros(1, records.TRADE), np.zeros(1, np.int64)
    times, ones = np.arange(2, dtype=np.int64), np.ones(2)
    bar_columns = BarColumns(times, times + 1, ones, ones, ones, ones, ones, np.zeros(1), np.zeros(1, np.int64))
    now = (state.account, state.limits, state.slots, parameters, signals, ones, *bar_columns.columns(), *buffers)
    step = (np.zeros(1, records.SUMMARY), order, trade, market[:1].copy(), signals[:1].copy(), row)
    native.run_one(*now, *step, row.copy())
    many: Any = loop.run
    many(*now, *step, np.array([2]), *np.zeros((4, 1), np.int64))
