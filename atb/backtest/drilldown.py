"""Drill-down: bars of a finer timeframe settle whether stop or target came first inside an ambiguous bar.

Only bars in which a run met both are looked up. A finer bar that holds both as well settles nothing, nor does a bar inside which
the position was entered; there the policy's assumption stands. One answer can lead to other ambiguous bars, so the kernel runs
again until none is left unanswered.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from atb.backtest.simulation import SimulationRecords, simulate
from atb.domain.bars import Bars
from atb.engine import records
from atb.engine.kernel_input import KernelInput
from atb.engine.records import Records
from atb.errors import InputError


@dataclass(frozen=True)
class DrillDown:
    """Number of ambiguous fills that a finer timeframe settled, and of those it could not."""

    timeframe: str
    settled: int
    open: int

    def __str__(self) -> str:
        """Return both counts as a sentence."""
        return f"{self.settled} of {self.settled + self.open} ambiguous bars settled by {self.timeframe} bars"


def drill_down(inputs: KernelInput, finer: Sequence[Bars]) -> tuple[KernelInput, SimulationRecords, DrillDown]:
    """Run the kernel with ambiguous bars settled by finer bars.

    Parameters
    ----------
    inputs
        The run; not changed.
    finer
        Series of shorter timeframes on the traded symbols; at most one per symbol.

    Returns
    -------
    tuple
        The inputs with `first` set in their bars, the outcome, and the counts.

    Raises
    ------
    InputError
        If a series is of a symbol that is not traded, or is no finer than the bars.
    """
    if not finer:
        raise InputError("Drilling down needs at least one series of finer bars")
    by_slot = {s: _FinerBars(bars) for bars in finer for s in _slots_of(inputs, bars)}
    first = np.zeros(len(inputs.bar_columns.opened), np.int64)
    answered: dict[int, int] = {}
    while True:
        marked = replace(inputs, bar_columns=replace(inputs.bar_columns, first=first.copy()))
        outcome = simulate(marked)
        news = _answers(marked, outcome, finer=by_slot, answered=answered)
        if not news:
            break
        for row, (known, slot) in news.items():
            answered[row] = first[row] = known
            assumed = records.FIRST_TARGET if marked.parameters["target_first"][slot] else records.FIRST_STOP
            if known not in {0, assumed}:
                break  # later bars may differ from here on
    settled = sum(known != 0 for known in answered.values())
    return marked, outcome, DrillDown(str(finer[0].timeframe), settled, len(answered) - settled)


def _slots_of(inputs: KernelInput, bars: Bars) -> list[int]:
    found = [s for s, slot in enumerate(inputs.slots) if slot.bars.symbol == bars.symbol]
    if not found:
        raise InputError("The finer bars are of a symbol that is not traded", found=str(bars.symbol))
    for s in found:
        if bars.timeframe.seconds >= inputs.slots[s].bars.timeframe.seconds:
            raise InputError(
                "Drilling down needs a finer timeframe", found=f"{bars.timeframe} for {inputs.slots[s].bars.timeframe}"
            )
    return found


class _FinerBars:
    """The finer bars of one symbol as arrays."""

    def __init__(self, bars: Bars) -> None:
        self.opened, self.closed = bars.opened_ms, bars.closed_ms
        self.highs, self.lows = bars.frame["high"].to_numpy(), bars.frame["low"].to_numpy()

    def first(self, bar: Any, *, side: int, stop: float, target: float) -> int:
        """Return the first level that an exit of `side` met within a bar: FIRST_STOP, FIRST_TARGET, or 0 if unknown."""
        begin, end = (
            np.searchsorted(self.opened, bar["opened"]),
            np.searchsorted(self.closed, bar["closed"], side="right"),
        )
        if (self.closed[begin:end] - self.opened[begin:end]).sum() != bar["closed"] - bar["opened"]:
            return 0  # a hole may hide the answer
        highs, lows = self.highs[begin:end], self.lows[begin:end]
        stopped = np.flatnonzero(lows <= stop if side < 0 else highs >= stop)
        paid = np.flatnonzero(highs >= target if side < 0 else lows <= target)
        if not len(stopped) or not len(paid) or stopped[0] == paid[0]:
            return 0  # the finer bars disagree with this one, or are themselves ambiguous
        return records.FIRST_STOP if stopped[0] < paid[0] else records.FIRST_TARGET


def _answers(
    inputs: KernelInput, outcome: SimulationRecords, *, finer: dict[int, _FinerBars], answered: dict[int, int]
) -> dict[int, tuple[int, int]]:
    """Return (answer, slot) of each ambiguous row not looked up before, in the order the run met them."""
    orders, found = outcome.orders, {}
    inside = {int(row) for row in orders["row"][_entered_inside(inputs, orders)]}
    for order in orders[(orders["ambiguous"] != 0) & np.isfinite(orders["other"])]:
        row, slot = int(order["row"]), int(order["slot"])
        if row in answered or row in found or slot not in finer:
            continue
        levels = float(order["reference"]), float(order["other"])
        stop, target = levels if order["role"] == records.STOP else levels[::-1]
        known = (
            0
            if row in inside
            else finer[slot].first(inputs.market[row], side=int(order["side"]), stop=stop, target=target)
        )
        found[row] = (known, slot)
    return found


def _entered_inside(inputs: KernelInput, orders: Records) -> NDArray[np.bool_]:
    entered = orders["role"] == records.ENTRY
    inside: NDArray[np.bool_] = orders["time"] != inputs.market["opened"][orders["row"]]
    return np.asarray(entered & inside)
