"""Run the kernel over a history and keep what it wrote: orders, trades, refusals and equity as raw records."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from atb.engine import kernel, records
from atb.engine.policy import AccountPolicy
from atb.engine.prepare import Problem, Slot, prepare
from atb.engine.state import fresh_account, fresh_slots

if TYPE_CHECKING:
    import pandas as pd

    from atb.backtest.result import Result

Records = NDArray[np.void]


@dataclass(frozen=True)
class Outcome:
    """What the kernel wrote: ORDER, TRADE and REFUSAL records, equity per event (NaN where nothing closed), final state."""

    orders: Records
    trades: Records
    refusals: Records
    equity: NDArray[np.float64]
    account: Any
    slots: Records


def simulate(problem: Problem) -> Outcome:
    """Drive the kernel over a prepared problem.

    Buffers start small and grow to what the first pass counted: the kernel counts what it could not keep.
    """
    sizes = [256, 128, 64]
    while True:
        account, slots = fresh_account(problem.account.cash), fresh_slots(len(problem.slots))
        orders = np.zeros(sizes[0], records.ORDER)
        trades = np.zeros(sizes[1], records.TRADE)
        refusals = np.zeros(sizes[2], records.REFUSAL)
        equity = np.empty(len(problem.events), np.float64)
        refused = kernel.run(
            account,
            problem.limits,
            slots,
            problem.parameters,
            problem.market,
            problem.signals,
            problem.events,
            problem.closing,
            problem.opening,
            orders,
            trades,
            refusals,
            equity,
        )
        counts = [int(account[0]["orders"]), int(account[0]["trades"]), int(refused)]
        if all(count <= size for count, size in zip(counts, sizes, strict=True)):
            return Outcome(
                orders[: counts[0]], trades[: counts[1]], refusals[: counts[2]], equity, account.copy()[0], slots
            )
        sizes = [max(count, size) for count, size in zip(counts, sizes, strict=True)]


def run(
    slots: Slot | Sequence[Slot], *, account: AccountPolicy | None = None, start: "pd.Timestamp | None" = None
) -> "Result":
    """Backtest one slot, or several that share an account.

    Parameters
    ----------
    slots
        What trades. Load their bars with `lead=slot.warmup` extra bars and pass the first traded bar's open as `start`.
    account
        Starting cash and account-wide limits.
    start
        Bars that open before it warm the features up and are not traded; None trades every bar.

    Raises
    ------
    InputError
        If nothing is left to trade, or the slots do not fit on one account.
    """
    from atb.backtest.result import Result

    chosen = (slots,) if isinstance(slots, Slot) else tuple(slots)
    problem = prepare(chosen, account or AccountPolicy(), start)
    return Result(problem, simulate(problem))
