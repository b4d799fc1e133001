"""Run the kernel over a history and keep what it wrote: orders, trades, refusals and equity as raw records."""

from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from atb.backtest.frames import held_at_closes
from atb.backtest.span import Span
from atb.engine import native, records
from atb.engine.prepare import Problem
from atb.engine.records import Records, fresh_account, fresh_slots


@dataclass(frozen=True)
class Outcome:
    """What the kernel wrote.

    ORDER, TRADE and REFUSAL records, equity at each of the problem's closes, the account and the slots as they ended, and the
    SUMMARY of running sums that statistics are made of.
    """

    orders: Records
    trades: Records
    refusals: Records
    equity: NDArray[np.float64]
    account: Any
    slots: Records
    summary: Any


def simulate(problem: Problem) -> Outcome:
    """Drive the kernel over a prepared problem.

    Buffers have room for what most strategies do; where the kernel counts more than it could keep, it runs again with enough.
    """
    count = len(problem.lanes.opened)
    sizes = [64 + count // 16, 64 + count // 32, 64 + count // 16]
    while True:
        outcome, counts = _attempt(problem, sizes)
        if all(count <= size for count, size in zip(counts, sizes, strict=True)):
            return outcome
        sizes = [max(count, size) for count, size in zip(counts, sizes, strict=True)]


def step() -> tuple[Any, ...]:
    """Return the records (1,) that a loop works in: the order that is being filled, and the trade that it closes."""
    return np.zeros(1, records.ORDER), np.zeros(1, records.TRADE)


def step_of_one() -> tuple[Any, ...]:
    """Return those of the loop for a single slot, with the bar and the signal at hand, and their row."""
    return *step(), np.zeros(1, records.MARKET), np.zeros(1, records.SIGNAL), np.zeros(1, np.int64)


def drive(problem: Problem, state: tuple[Records, Records, Records, Records], buffers: tuple[Any, ...]) -> None:
    """Run the loop that suits a problem, which writes into everything but the problem.

    Parameters
    ----------
    problem
        Bars and signals.
    state
        ACCOUNT (1,), its parameters (1,), SLOT (S,) and their parameters (S,).
    buffers
        ORDER, TRADE and REFUSAL records, equity at each close, and SUMMARY (1,); all but the last may be empty.
    """
    if len(problem.slots) == 1:
        wanted = problem.wanted
        native.run_one(*state, wanted.rest, wanted.side, *problem.lanes.columns(), *buffers, *step_of_one())
    else:
        from atb.engine import loop  # loads the compiler, for which a single slot does not wait

        run_many: Any = loop.run
        bars = (problem.market, problem.signals, problem.events, problem.closing, problem.opening)
        run_many(*state, *bars, *buffers, *step())


def _attempt(problem: Problem, sizes: list[int]) -> tuple[Outcome, list[int]]:
    """Run once with buffers of these sizes; return what was written, and how much there was to write."""
    account, slots = fresh_account(problem.account.cash), fresh_slots(len(problem.slots))
    orders, trades = np.empty(sizes[0], records.ORDER), np.empty(sizes[1], records.TRADE)
    refusals, summary = np.empty(sizes[2], records.REFUSAL), np.zeros(1, records.SUMMARY)
    equity = np.empty(len(problem.closes), np.float64)
    buffers = (orders, trades, refusals, equity, summary)
    drive(problem, (account, problem.limits, slots, problem.parameters), buffers)
    total = summary[0]
    counts = [int(account[0]["orders"]), int(account[0]["trades"]), int(total["refused"] + total["shrunk"])]
    kept = (orders[: counts[0]], trades[: counts[1]], refusals[: counts[2]])
    return Outcome(*kept, equity, account.copy()[0], slots, total), counts


class Ended(NamedTuple):
    """What statistics need of an outcome: far less than its orders and equity.

    `below` and `exposed` are times in periods of the finest timeframe: the longest below a peak, and in the market.
    """

    summary: Any
    account: Any
    slots: Records
    below: float
    exposed: float

    @classmethod
    def of(cls, outcome: Outcome, problem: Problem) -> "Ended":
        """Keep the end of an outcome; where bars are missing, times are read off equity and orders by the clock."""
        span, total = Span.of(problem), outcome.summary
        below, exposed = float(total["longest"]), float(total["exposed"])
        if not span.whole:
            below = span.longest_below(outcome.equity, problem.account.cash)
            exposed = span.time_in(held_at_closes(outcome.orders, problem))
        return cls(total, outcome.account, outcome.slots, below, exposed)


def only_the_end(problem: Problem, parameters: Records | None = None) -> Ended:
    """Drive the kernel over a problem, or with other slot parameters (S,), without keeping what it writes on the way.

    Where bars are missing, the kernel's counts of bars are no times, and the whole outcome is needed for a moment.
    """
    if not Span.of(problem).whole:
        chosen = problem if parameters is None else replace(problem, parameters=parameters)
        return Ended.of(simulate(chosen), chosen)
    account, slots = fresh_account(problem.account.cash), fresh_slots(len(problem.slots))
    summary = np.zeros(1, records.SUMMARY)
    nothing = (np.zeros(0, records.ORDER), np.zeros(0, records.TRADE), np.zeros(0, records.REFUSAL), np.zeros(0))
    state = (account, problem.limits, slots, problem.parameters if parameters is None else parameters)
    drive(problem, state, (*nothing, summary))
    total = summary[0]
    return Ended(total, account[0], slots, float(total["longest"]), float(total["exposed"]))
