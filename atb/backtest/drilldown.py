"""Which of stop and target came first inside an ambiguous bar, looked up in bars of a finer timeframe.

Only bars that decide something are looked up: those in which a run met both. A finer bar that holds both in its turn settles
nothing, and neither does a bar inside which the position was entered; there the policy's assumption stands. What one answer
changes may lead to other ambiguous bars, so the search runs the kernel again until no question is left.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from atb.backtest.simulation import Outcome, simulate
from atb.domain.bars import Bars
from atb.engine import records
from atb.engine.prepare import Problem
from atb.engine.records import Records
from atb.errors import InputError


@dataclass(frozen=True)
class DrillDown:
    """How many ambiguous fills a finer timeframe settled, and how many it could not."""

    timeframe: str
    settled: int
    open: int

    def __str__(self) -> str:
        """Return the figures in a sentence."""
        return f"{self.settled} of {self.settled + self.open} ambiguous bars settled by {self.timeframe} bars"


def drill_down(problem: Problem, finer: Sequence[Bars]) -> tuple[Problem, Outcome, DrillDown]:
    """Run a problem with its ambiguous bars settled by finer bars.

    Parameters
    ----------
    problem
        What to run; it is not changed.
    finer
        Series of shorter timeframes on the problem's symbols; one for each symbol at most.

    Returns
    -------
    tuple
        The problem with `first` marked in its bars, what the kernel made of it, and the counts.

    Raises
    ------
    InputError
        If a series is of a symbol that is not traded, or is no finer than the bars.
    """
    if not finer:
        raise InputError("Drilling down needs at least one series of finer bars")
    lanes = {s: _Lane(bars) for bars in finer for s in _slots_of(problem, bars)}
    first = np.zeros(len(problem.lanes.opened), np.int64)
    asked: dict[int, int] = {}
    while True:
        marked = replace(problem, lanes=replace(problem.lanes, first=first.copy()))
        outcome = simulate(marked)
        news = _answers(marked, outcome, lanes=lanes, asked=asked)
        if not news:
            break
        for row, (known, slot) in news.items():
            asked[row] = first[row] = known
            assumed = records.FIRST_TARGET if marked.parameters["target_first"][slot] else records.FIRST_STOP
            if known not in {0, assumed}:
                break  # from here on it may be another story
    settled = sum(known != 0 for known in asked.values())
    return marked, outcome, DrillDown(str(finer[0].timeframe), settled, len(asked) - settled)


def _slots_of(problem: Problem, bars: Bars) -> list[int]:
    found = [s for s, slot in enumerate(problem.slots) if slot.bars.symbol == bars.symbol]
    if not found:
        raise InputError("The finer bars are of a symbol that is not traded", found=str(bars.symbol))
    for s in found:
        if bars.timeframe.seconds >= problem.slots[s].bars.timeframe.seconds:
            raise InputError(
                "Drilling down needs a finer timeframe", found=f"{bars.timeframe} for {problem.slots[s].bars.timeframe}"
            )
    return found


class _Lane:
    """The finer bars of one symbol as arrays."""

    def __init__(self, bars: Bars) -> None:
        self.opened, self.closed = bars.opened_ms, bars.closed_ms
        self.highs, self.lows = bars.frame["high"].to_numpy(), bars.frame["low"].to_numpy()

    def first(self, bar: Any, *, side: int, stop: float, target: float) -> int:
        """Return what a position's exit of `side` met first within a bar: FIRST_STOP, FIRST_TARGET, or 0 for not known."""
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
    problem: Problem, outcome: Outcome, *, lanes: dict[int, _Lane], asked: dict[int, int]
) -> dict[int, tuple[int, int]]:
    """Return what the finer bars say of each ambiguous row not asked about before, in the order the run met them."""
    orders, found = outcome.orders, {}
    inside = {int(row) for row in orders["row"][_entered_inside(problem, orders)]}
    for order in orders[(orders["ambiguous"] != 0) & np.isfinite(orders["other"])]:
        row, slot = int(order["row"]), int(order["slot"])
        if row in asked or row in found or slot not in lanes:
            continue
        levels = float(order["reference"]), float(order["other"])
        stop, target = levels if order["role"] == records.STOP else levels[::-1]
        known = (
            0
            if row in inside
            else lanes[slot].first(problem.market[row], side=int(order["side"]), stop=stop, target=target)
        )
        found[row] = (known, slot)
    return found


def _entered_inside(problem: Problem, orders: Records) -> NDArray[np.bool_]:
    entered = orders["role"] == records.ENTRY
    inside: NDArray[np.bool_] = orders["time"] != problem.market["opened"][orders["row"]]
    return np.asarray(entered & inside)
