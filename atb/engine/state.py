"""The kernel's state between two bars: stepped from Python, saved and loaded without losing a bit.

The live runner holds one `KernelState`; the parity proof steps one through a history and saves and loads it at every bar.
"""

import json
from collections.abc import Iterator
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from atb.engine import kernel, records
from atb.engine.records import Records
from atb.errors import InputError


class KernelState:
    """Account and slots with their parameters; each method is one call of the kernel."""

    def __init__(self, account: Records, slots: Records, *, limits: Records, parameters: Records) -> None:
        self.account, self.slots, self.limits, self.parameters = account, slots, limits, parameters
        self._order, self._trade = np.zeros(1, records.ORDER), np.zeros(1, records.TRADE)

    @classmethod
    def fresh(cls, cash: float, *, limits: Records, parameters: Records) -> Self:
        """Return the state of an account that has never traded."""
        return cls(fresh_account(cash), fresh_slots(len(parameters)), limits=limits, parameters=parameters)

    def decide(self, bars: Records, signals: Records, rows: NDArray[np.int64]) -> None:
        """Decide at the close of `bars[rows[s]]`; the intents are then in `slots`."""
        kernel.decide(self.account, self.limits, self.slots, self.parameters, bars, signals, rows)

    def orders(self, bars: Records, rows: NDArray[np.int64], phase: int) -> Iterator[tuple[np.void, np.void | None]]:
        """Fill what meets the bars in this phase, one order at a time; yield each order and the trade it closed, as copies."""
        while kernel.next_order(self._order, self.account, self.slots, self.parameters, bars, rows, phase):
            order = self._order.copy()
            yield order[0], self.apply(order)

    def apply(self, fill: Records) -> np.void | None:
        """Fold one fill (an ORDER record array of length 1); return the trade it closed, if it closed one."""
        if kernel.apply_fill(self.account, self.slots, self.parameters, fill, self._trade):
            return self._trade.copy()[0]  # type: ignore[no-any-return] # a row of a structured array
        return None

    def take_refusals(self) -> list[tuple[int, int]]:
        """Return (slot, refusal code) of what the last step refused or shrunk, and forget it."""
        found = [(s, int(code)) for s, code in enumerate(self.slots["refusal"]) if code]
        self.slots["refusal"] = 0
        return found

    def to_bytes(self) -> bytes:
        """Return account and slots as raw bytes."""
        return self.account.tobytes() + self.slots.tobytes()

    def load_bytes(self, data: bytes) -> None:
        """Replace account and slots by what `to_bytes` wrote."""
        size = records.ACCOUNT.itemsize
        self.account = np.frombuffer(data[:size], records.ACCOUNT).copy()
        self.slots = np.frombuffer(data[size:], records.SLOT).copy()

    def to_json(self) -> dict[str, Any]:
        """Return account and slots by field name; NaN becomes None, so that every JSON column can hold it."""
        return {
            "schema": records.SCHEMA,
            "account": _named(self.account[0]),
            "slots": [_named(slot) for slot in self.slots],
        }

    def load_json(self, values: dict[str, Any]) -> None:
        """Replace account and slots by what `to_json` wrote, bit by bit.

        Raises
        ------
        InputError
            If the state was written by another schema or for another number of slots.
        """
        if values.get("schema") != records.SCHEMA:
            raise InputError(f"The saved state must be of schema {records.SCHEMA}", found=values.get("schema"))
        if len(values["slots"]) != len(self.slots):
            raise InputError(f"The saved state must have {len(self.slots)} slots", found=len(values["slots"]))
        self.account = _records([values["account"]], records.ACCOUNT)
        self.slots = _records(values["slots"], records.SLOT)

    def copy(self) -> "KernelState":
        """Return an independent copy."""
        return KernelState(
            self.account.copy(), self.slots.copy(), limits=self.limits.copy(), parameters=self.parameters.copy()
        )


def _named(record: np.void) -> dict[str, float | int | None]:
    """Return a record's fields as plain numbers; Python prints floats so that they read back to the same bits."""
    values = {name: record[name].item() for name in record.dtype.names or ()}
    return {name: None if value != value else value for name, value in values.items()}  # noqa: PLR0124  (NaN != NaN)


def _records(rows: list[dict[str, Any]], dtype: np.dtype[np.void]) -> Records:
    loaded = np.zeros(len(rows), dtype)
    for record, row in zip(loaded, rows, strict=True):
        if set(row) != set(dtype.names or ()):
            raise InputError(
                "The saved state's fields are not the kernel's", found=sorted(set(row) ^ set(dtype.names or ()))
            )
        for name, value in row.items():
            record[name] = np.nan if value is None else value
    return loaded


def dumps(state: KernelState) -> str:
    """Return the state as strict JSON text."""
    return json.dumps(state.to_json(), allow_nan=False, separators=(",", ":"))


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
