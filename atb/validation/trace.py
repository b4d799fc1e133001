"""What one execution of a problem did, in the form in which executions are compared."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from atb.engine.records import Records


@dataclass(frozen=True)
class Trace:
    """What one execution did: ORDER and TRADE records, and equity at each close.

    Those that refuse by the kernel's own rules also give REFUSAL records and the state they ended in, as bytes; one that could not
    go on says why in `stopped`, and in `on_credit` whether an exit that the account cannot pay was the reason.
    """

    way: str
    orders: Records
    trades: Records
    equity: NDArray[np.float64]
    refusals: Records | None = None
    state: bytes | None = None
    stopped: str = ""
    on_credit: bool = False
