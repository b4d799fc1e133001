"""Run the kernel over a history and keep its orders, trades, refusals and equity as raw records."""

from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from atb.backtest.frames import held_at_closes
from atb.backtest.span import Span
from atb.engine import native, records
from atb.engine.kernel_input import KernelInput
from atb.engine.records import Records, fresh_account, fresh_slots


@dataclass(frozen=True)
class SimulationRecords:
    """The records of one run.

    ORDER, TRADE and REFUSAL records, equity (quote) at each close, the account and the slots as they ended, and the SUMMARY of
    running sums that metrics are computed from.
    """

    orders: Records
    trades: Records
    refusals: Records
    equity: NDArray[np.float64]
    account: Any
    slots: Records
    summary: Any


def simulate(inputs: KernelInput) -> SimulationRecords:
    """Run the kernel over its inputs.

    Buffers are sized for most strategies; if the kernel counts more records than fit, it runs again with buffers that are large
    enough.
    """
    count = len(inputs.bar_columns.opened)
    sizes = [64 + count // 16, 64 + count // 32, 64 + count // 16]
    while True:
        outcome, counts = _attempt(inputs, sizes)
        if all(count <= size for count, size in zip(counts, sizes, strict=True)):
            return outcome
        sizes = [max(count, size) for count, size in zip(counts, sizes, strict=True)]


def scratch(inputs: KernelInput) -> tuple[Any, ...]:
    """Return the records that a loop works in: the order being filled, its trade, and each slot's bar, signal and rows."""
    count = len(inputs.slots)
    counts = {records.ORDER: 1, records.TRADE: 1, records.MARKET: count, records.SIGNAL: count}
    step = (*(np.zeros(number, kind) for kind, number in counts.items()), np.zeros(count, np.int64))
    if count == 1:
        return *step, np.zeros(1, np.int64)
    firsts, ends = ([getattr(part, edge) for part in inputs.parts] for edge in ("start", "stop"))
    return *step, np.array(ends), np.array(firsts), *np.zeros((3, count), np.int64)


def run_loop(inputs: KernelInput, state: tuple[Records, Records, Records, Records], buffers: tuple[Any, ...]) -> None:
    """Run the loop for one slot or for several; it writes into state and buffers.

    Parameters
    ----------
    inputs
        Bars and signals.
    state
        ACCOUNT (1,), its parameters (1,), SLOT (S,) and their parameters (S,).
    buffers
        ORDER, TRADE and REFUSAL records, equity at each close, and SUMMARY (1,); all but the last may be empty.
    """
    signals = inputs.signal_columns
    run: Any = native.run_one
    if len(inputs.slots) > 1:
        from atb.engine import loop  # loads the compiler, for which a single slot does not wait

        run = loop.run
    run(*state, signals.fields, signals.side, *inputs.bar_columns.columns(), *buffers, *scratch(inputs))


def _attempt(inputs: KernelInput, sizes: list[int]) -> tuple[SimulationRecords, list[int]]:
    """Run once with buffers of these sizes; return the outcome and how many records there were in all."""
    account, slots = fresh_account(inputs.account.cash), fresh_slots(len(inputs.slots))
    orders, trades = np.empty(sizes[0], records.ORDER), np.empty(sizes[1], records.TRADE)
    refusals, summary = np.empty(sizes[2], records.REFUSAL), np.zeros(1, records.SUMMARY)
    equity = np.empty(len(inputs.closes), np.float64)
    buffers = (orders, trades, refusals, equity, summary)
    run_loop(inputs, (account, inputs.limits, slots, inputs.parameters), buffers)
    total = summary[0]
    counts = [int(account[0]["orders"]), int(account[0]["trades"]), int(total["refused"] + total["shrunk"])]
    kept = (orders[: counts[0]], trades[: counts[1]], refusals[: counts[2]])
    return SimulationRecords(*kept, equity, account.copy()[0], slots, total), counts


class RunSummary(NamedTuple):
    """The part of an outcome that metrics need: far less than its orders and equity.

    `below` and `exposed` are in periods of the finest timeframe: the longest time below a peak, and the time in the market.
    """

    summary: Any
    account: Any
    slots: Records
    below: float
    exposed: float

    @classmethod
    def of(cls, outcome: SimulationRecords, inputs: KernelInput) -> "RunSummary":
        """Summarise an outcome; where bars are missing, times are taken from equity and orders by the clock."""
        total = outcome.summary
        below, exposed = float(total["longest"]), float(total["exposed"])
        if not Span.is_whole(inputs):
            span = Span.of(inputs)
            below = span.longest_below(outcome.equity, inputs.account.cash)
            exposed = span.time_in(held_at_closes(outcome.orders, inputs))
        return cls(total, outcome.account, outcome.slots, below, exposed)


def summarise(
    inputs: KernelInput, parameters: Records | None = None, *, equity: NDArray[np.float64] | None = None
) -> RunSummary:
    """Run the kernel, optionally with other slot parameters (S,), and keep only the summary; `equity` (C,) is written if given.

    Where bars are missing, the kernel's counts of bars are not times, so the whole outcome is computed first.
    """
    if not Span.is_whole(inputs):
        chosen = inputs if parameters is None else replace(inputs, parameters=parameters)
        outcome = simulate(chosen)
        if equity is not None:
            equity[:] = outcome.equity
        return RunSummary.of(outcome, chosen)
    account, slots = fresh_account(inputs.account.cash), fresh_slots(len(inputs.slots))
    summary = np.zeros(1, records.SUMMARY)
    curve = np.zeros(0) if equity is None else equity
    nothing = (np.zeros(0, records.ORDER), np.zeros(0, records.TRADE), np.zeros(0, records.REFUSAL), curve)
    state = (account, inputs.limits, slots, inputs.parameters if parameters is None else parameters)
    run_loop(inputs, state, (*nothing, summary))
    total = summary[0]
    return RunSummary(total, account[0], slots, float(total["longest"]), float(total["exposed"]))
