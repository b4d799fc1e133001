"""Backtest one slot or several: the entry to everything else here."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from atb.backtest.recording import record_run
from atb.backtest.result import Result
from atb.backtest.simulation import simulate
from atb.domain.bars import Bars
from atb.engine.kernel_input import prepare
from atb.engine.policy import AccountPolicy
from atb.engine.slot import Slot
from atb.errors import InputError

if TYPE_CHECKING:
    import pandas as pd


def as_slots(slots: Slot | Sequence[Slot]) -> tuple[Slot, ...]:
    """Return one slot or several as a tuple.

    Raises
    ------
    InputError
        If it is neither.
    """
    if isinstance(slots, Slot):
        return (slots,)
    if not isinstance(slots, Sequence) or not all(isinstance(slot, Slot) for slot in slots):
        raise InputError("What trades must be a Slot or a list of them", found=type(slots).__name__)
    return tuple(slots)


def run(
    slots: Slot | Sequence[Slot],
    *,
    account: AccountPolicy | None = None,
    start: "pd.Timestamp | None" = None,
    finer: "Bars | Sequence[Bars] | None" = None,
) -> Result:
    """Backtest one slot, or several that share an account. The trials ledger counts it (`atb.trials`).

    Parameters
    ----------
    slots
        What trades. Load their bars with `lead=slot.warmup` extra bars and pass the first traded bar's open as `start`.
    account
        Starting cash and account-wide limits.
    start
        Bars that open before it warm the features up and are not traded; None trades every bar.
    finer
        Bars of a finer timeframe that settle, for exactly the bars in which a run meets both stop and target, which came first.

    Raises
    ------
    InputError
        If nothing is left to trade, or the slots do not fit on one account.
    """
    inputs = prepare(as_slots(slots), AccountPolicy() if account is None else account, start)
    if finer is None:
        outcome, drilled = simulate(inputs), None
    else:
        from atb.backtest.drilldown import drill_down

        inputs, outcome, drilled = drill_down(inputs, (finer,) if isinstance(finer, Bars) else tuple(finer))
    result = Result(inputs, outcome, drilled=drilled)
    record_run(result)
    return result
