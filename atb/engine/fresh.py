"""Account and slots before the first bar."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from atb.engine import records

Records = NDArray[np.void]

# What is NaN in a slot that never traded, as `kernel.clear` leaves it; all else is 0.
_NONE = (
    "entry_price",
    "stop",
    "target",
    "added_price",
    "highest",
    "lowest",
    "entry_at",
    "entry_atr",
    "entry_stop",
    "atr",
)


def _flat() -> Any:
    slot = np.zeros(1, records.SLOT)
    for name in _NONE:
        slot[name] = np.nan
    return slot


_FLAT = _flat()


def fresh_account(cash: float) -> Records:
    """Return the account record of an account that has never traded."""
    account = np.zeros(1, records.ACCOUNT)
    account["cash"] = account["equity"] = account["peak"] = cash
    return account


def fresh_slots(count: int) -> Records:
    """Return `count` flat slot records."""
    return np.repeat(_FLAT, count)
