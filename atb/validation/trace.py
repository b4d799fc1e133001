"""The trace of one execution: the form in which executions are compared."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from atb.engine.records import Records


@dataclass(frozen=True)
class Trace:
    """One execution: ORDER and TRADE records, and equity (quote) at each close.

    Executions that apply the kernel's own refusals also have REFUSAL records and the final state, as bytes. `stopped` is the reason
    of one that ended early; `on_credit` is True if that was an exit that the account cannot pay.
    """

    way: str
    orders: Records
    trades: Records
    equity: NDArray[np.float64]
    refusals: Records | None = None
    state: bytes | None = None
    stopped: str = ""
    on_credit: bool = False
