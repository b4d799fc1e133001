"""The kernel's state between two bars: stepped from Python, adjusted, saved and loaded without losing a bit.

The live runner holds one `KernelState`; the parity proof steps one through a history and saves and loads it at every bar. It is the
one door to the account: whoever wants a position or an intent changed calls a method here (`atb.engine.adjust` has the rules), and
what is handed out of it is read only or a copy.

Saved states carry a schema. Those of schema 3, in which three fields had other names, are read too.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any, Self

import numpy as np

from atb.domain import Fill
from atb.engine import adjust, kernel, records
from atb.engine.codes import KIND_CODES, ROLE_CODES
from atb.engine.records import Record, Records, Rows, fresh_account, fresh_slots
from atb.errors import InputError

_RENAMED = {"waits": "barred_side", "cool": "cooldown_left", "inside": "entered_inside"}  # since schema 3


class KernelState:
    """Account and slots with their parameters; each method is one call of the kernel."""

    def __init__(self, account: Records, slots: Records, *, limits: Records, parameters: Records) -> None:
        self.account, self.slots, self.limits, self.parameters = account, slots, limits, parameters
        self._order, self._trade = np.zeros(1, records.ORDER), np.zeros(1, records.TRADE)

    @classmethod
    def fresh(cls, cash: float, *, limits: Records, parameters: Records) -> Self:
        """Return the state of an account that has never traded."""
        return cls(fresh_account(cash), fresh_slots(len(parameters)), limits=limits, parameters=parameters)

    def decide(self, bars: Records, signals: Records, rows: Rows) -> None:
        """Decide at the close of `bars[rows[s]]`; the intents are then in `slots`."""
        kernel.decide(self.account, self.limits, self.slots, self.parameters, bars, signals, rows)

    def orders(self, bars: Records, rows: Rows, phase: int) -> Iterator[tuple[np.void, np.void | None]]:
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

    # --- between two bars; the rules are those of `atb.engine.adjust` ----------------------------------------------------------

    def slot(self, number: int) -> Record:
        """Return a slot's record: it shows every change, and cannot be written."""
        return _read_only(self.slots, number)

    def parameters_of(self, number: int) -> Record:
        """Return a slot's parameters: they cannot be written."""
        return _read_only(self.parameters, number)

    def account_record(self) -> Record:
        """Return the account's record: it shows every change, and cannot be written."""
        return _read_only(self.account, 0)

    def drop_entry(self, number: int) -> None:
        """Withdraw a slot's intent to enter."""
        adjust.drop_entry(self.slots[number])

    def drop_exit(self, number: int) -> None:
        """Withdraw a slot's intent to exit."""
        adjust.drop_exit(self.slots[number])

    def close_at_market(self, number: int, reason: int) -> None:
        """Intend to close all that a slot holds, for a reason code."""
        adjust.close_at_market(self.slots[number], reason)

    def enter_at_market(self, number: int) -> None:
        """Turn a slot's resting entry into a market order."""
        adjust.enter_at_market(self.slots[number])

    def set_aside_dust(self, number: int, fill: Fill, *, role: str, leaves: Decimal) -> float:
        """Set aside what an exit's last fill leaves unsellable; return how much (base), below 0 where it sold more than is held.

        Parameters
        ----------
        role, leaves
            Of the fill's order: its role, and the quantity (base) left to be filled after this fill. Nothing is set aside for an
            entry, nor while anything is left of the order and of the position.
        """
        if role == "entry" or (leaves > 0 and float(fill.quantity) <= float(self.slots[number]["quantity"])):
            return 0.0
        filled, price = float(fill.quantity), float(fill.price)
        return adjust.set_aside_dust(self.slots[number], self.parameters[number], filled=filled, price=price)

    def holds_dust(self, number: int) -> bool:
        """Return whether a slot's long position is too small to be sold at the last close."""
        slot = self.slots[number]
        held = float(slot["quantity"])
        return held > 0.0 and not adjust.sellable(self.parameters[number], held, float(slot["mark"]))

    def close_dust(self, fill: Records) -> np.void | None:
        """Close a position of dust by an ORDER record of quantity 0; return the trade that it closed, if anything was sold."""
        number = int(fill[0]["slot"])
        slot, parameters = self.slots[number], self.parameters[number]
        if adjust.close_dust(self.account[0], slot, parameters, fill=fill[0], trade=self._trade[0]):
            return self._trade.copy()[0]  # type: ignore[no-any-return] # a row of a structured array
        return None

    def write_off(self, number: int, quantity: float) -> float:
        """Prepare a slot for losing a base quantity; return how much of its position is to be booked as sold."""
        return adjust.write_off(self.slots[number], quantity)

    def limited_to(self, number: int, present: float) -> Record:
        """Return a copy of a slot that holds at most the `present` base quantity."""
        return adjust.limited_to(self.slots[number], self.parameters[number], present)

    # --- saved and loaded -----------------------------------------------------------------------------------------------------

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

    def load_json(self, values: Mapping[str, Any]) -> None:
        """Replace account and slots by what `to_json` wrote, bit by bit.

        Raises
        ------
        InputError
            If the state has a schema that is not known, or another number of slots.
        """
        schema, slots = values.get("schema"), values["slots"]
        if schema not in {3, records.SCHEMA}:
            raise InputError(
                f"The saved state must be of schema {records.SCHEMA}", found=schema,
                todo="Trade on with the version of atb that wrote it",
            )  # fmt: skip
        if len(slots) != len(self.slots):
            raise InputError(f"The saved state must have {len(self.slots)} slots", found=len(slots))
        if schema == 3:
            slots = [{_RENAMED.get(name, name): value for name, value in slot.items()} for slot in slots]
        self.account = _records([values["account"]], records.ACCOUNT)
        self.slots = _records(slots, records.SLOT)

    def copy(self) -> "KernelState":
        """Return an independent copy."""
        return KernelState(
            self.account.copy(), self.slots.copy(), limits=self.limits.copy(), parameters=self.parameters.copy()
        )


def _read_only(rows: Records, number: int) -> Record:
    row = rows[number : number + 1].view()
    row.flags.writeable = False
    return row[0]


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


def execution_record(fill: Fill, *, slot: int, number: int, role: str, kind: str, reason: int) -> Records:
    """Return an execution as `KernelState.apply` takes it: an ORDER record array of length 1.

    Parameters
    ----------
    fill
        What was done.
    slot
        Whose execution it is.
    number
        How many came before it.
    role, kind, reason
        What the order was for: role and kind in words, the reason as a code.
    """
    record = np.zeros(1, records.ORDER)
    values = {
        "id": number, "slot": slot, "time": fill.time_ms, "side": 1 if fill.side == "buy" else -1,
        "quantity": float(fill.quantity), "price": float(fill.price), "fee": float(fill.fee_value),
        "fee_base": float(fill.fee) if fill.fee_asset == fill.symbol.base else 0.0,
        "role": ROLE_CODES[role], "reason": reason, "kind": KIND_CODES[kind],
    }  # fmt: skip
    for name, value in values.items():
        record[0][name] = value
    return record


def filled_as(order: Records, *, quantity: float, price: float, fee: float) -> Records:
    """Return a copy of an order as another accountant filled it: its quantity (base), price (quote) and fee (quote)."""
    fill = order.copy()
    fill[0]["quantity"], fill[0]["price"], fill[0]["fee"] = quantity, price, fee
    return fill


def market_records(bars: Sequence[Mapping[str, float]]) -> Records:
    """Return bars, given by field name, as MARKET records; what is not given is 0."""
    made = np.zeros(len(bars), records.MARKET)
    for record, values in zip(made, bars, strict=True):
        for name, value in values.items():
            record[name] = value
    return made


def with_funding(bars: Records, rates: Mapping[int, float]) -> Records:
    """Return MARKET records with the funding paid at their close, by row: a fraction of the position's value, paid by longs."""
    paid = bars.copy()
    for row, rate in rates.items():
        paid[row]["funding"] = rate
    return paid


def dumps(state: KernelState) -> str:
    """Return the state as strict JSON text."""
    return json.dumps(state.to_json(), allow_nan=False, separators=(",", ":"))
