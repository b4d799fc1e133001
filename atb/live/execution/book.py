"""The account's book: what is known of the market, and the kernel's state, which only the kernel's own rules change.

Nothing here reads a clock, a file or a database, and nothing is sent: paper and live sessions drive the same book.
"""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import numpy as np

from atb.domain import Fill, Order
from atb.domain.input_series import InputSeries
from atb.engine import records
from atb.engine.codes import REASONS, REFUSALS
from atb.engine.columns import Columns
from atb.engine.state import KernelState, execution_record, with_funding
from atb.live.execution.known_inputs import KnownInputs
from atb.live.execution.orders import reason_of
from atb.live.feed.market import History, Moment, newest_columns
from atb.live.journal.step import Execution
from atb.live.portfolio import Portfolio


class Newest:
    """The bars that close (or open) now as kernel input: records, and each slot's row in them, -1 for none."""

    def __init__(
        self, count: int, columns: Mapping[int, Columns], inputs: Mapping[int, dict[str, Any]] | None = None
    ) -> None:
        self.inputs = inputs or {}  # by slot, what the journal records of the inputs that were handed in
        self.slots = tuple(columns)
        self.rows = np.full(count, -1, np.int64)
        self.rows[list(self.slots)] = np.arange(len(self.slots))
        parts = list(columns.values())
        self.market = np.concatenate([part.market for part in parts]) if parts else np.zeros(1, records.MARKET)
        self.signals = np.concatenate([part.signals for part in parts]) if parts else np.zeros(1, records.SIGNAL)
        self.predictions = {
            slot: None if part.prediction is None else float(part.prediction[-1]) for slot, part in columns.items()
        }

    def market_of(self, slot: int) -> np.void:
        """Return the slot's MARKET record."""
        record: np.void = self.market[self.rows[slot]]
        return record

    def signals_of(self, slot: int) -> np.void:
        """Return the slot's SIGNAL record."""
        record: np.void = self.signals[self.rows[slot]]
        return record


class Book:
    """Bar histories and the kernel's state.

    Parameters
    ----------
    portfolio
        What trades.
    histories
        The bars known so far, one series per slot.
    state
        The kernel's state after the last of them.
    inputs
        By slot and name, the rows of inputs known so far.
    """

    def __init__(
        self, portfolio: Portfolio, histories: Mapping[int, History], state: KernelState, *,
        inputs: Mapping[int, Mapping[str, InputSeries]] | None = None,
    ) -> None:  # fmt: skip
        self.portfolio, self.state = portfolio, state
        self._histories = histories
        self._inputs = KnownInputs(portfolio, inputs or {})

    @property
    def account(self) -> np.void:
        """The kernel's record of the account: it shows every change, and cannot be written."""
        record: np.void = self.state.account_record()
        return record

    def slot(self, number: int) -> np.void:
        """Return the kernel's record of a slot: it shows every change, and cannot be written."""
        record: np.void = self.state.slot(number)
        return record

    def parameters(self, number: int) -> np.void:
        """Return the kernel's parameters of a slot; they cannot be written."""
        record: np.void = self.state.parameters_of(number)
        return record

    @property
    def trades(self) -> int:
        """Round trips closed since the session began."""
        return int(self.account["trades"])

    @property
    def equity(self) -> float:
        """Equity at the last close, in the quote currency."""
        return float(self.account["equity"])

    @property
    def cash(self) -> float:
        """Cash, in the quote currency."""
        return float(self.account["cash"])

    @property
    def flat(self) -> bool:
        """Whether no slot holds anything."""
        return not self.state.slots["quantity"].any()

    def learn(self, moment: Moment, funding: Mapping[int, float] | None = None) -> Newest:
        """Add what became known; return the bars that close as kernel input, with the funding paid at their close."""
        for slot, bar in moment.closing.items():
            self._histories[slot].append(bar)
        handed = self._inputs.learn(moment, self._histories)
        closing = sorted(moment.closing)
        columns = newest_columns(self.portfolio, self._histories, closing, inputs=self._inputs.rows)
        now = Newest(len(self.portfolio.plans), columns, handed)
        if funding:
            now.market = with_funding(now.market, {int(now.rows[slot]): rate for slot, rate in funding.items()})
        return now

    def decide(self, now: Newest) -> dict[int, str | None]:
        """Decide at the close of the bars; return for each of their slots what was refused or cut, None where nothing was."""
        self.state.decide(now.market, now.signals, now.rows)
        refused = self.take_refusals()
        return {slot: refused.get(slot) for slot in now.slots}

    def take_refusals(self) -> dict[int, str]:
        """Return by slot what was refused or cut since the last call."""
        found: dict[int, list[str]] = {}
        for slot, code in self.state.take_refusals():
            found.setdefault(slot, []).append(REFUSALS[code])
        return {slot: ", ".join(words) for slot, words in found.items()}

    def fold(self, fill: Fill, order: Order, slot: int) -> tuple[Execution, np.void | None]:
        """Apply an execution to the state; return it with its number and reason, and the trade that it closed, if any.

        A fill of quantity 0 closes a position of dust.
        """
        record = execution_record(
            fill, slot=slot, number=int(self.account["orders"]), role=order.role, kind=order.type,
            reason=reason_of(order.role, self.slot(slot), placed_for=order.reason),
        )  # fmt: skip
        trade = self.state.apply(record) if fill.quantity else self.state.close_dust(record)
        return Execution(fill, order, int(record[0]["id"]), REASONS[int(record[0]["reason"])], slot), trade

    # --- between two bars: `atb.engine.adjust` has the rules ----------------------------------------------------------

    def drop_entry(self, slot: int) -> None:
        """Withdraw a slot's intent to enter."""
        self.state.drop_entry(slot)

    def drop_exit(self, slot: int) -> None:
        """Withdraw a slot's intent to exit."""
        self.state.drop_exit(slot)

    def close_at_market(self, slot: int) -> None:
        """Intend to close all that a slot holds, because of a limit of risk or the kill switch."""
        self.state.close_at_market(slot, records.RISK_LIMIT)

    def enter_at_market(self, slot: int) -> None:
        """Turn a slot's resting entry into a market order."""
        self.state.enter_at_market(slot)

    def set_aside_dust(self, slot: int, fill: Fill, *, role: str, leaves: Decimal) -> float:
        """Set aside what an exit's last fill leaves unsellable; return how much (base), 0 where nothing."""
        return self.state.set_aside_dust(slot, fill, role=role, leaves=leaves)

    def holds_dust(self, slot: int) -> bool:
        """Return whether a slot's position is too small to be sold at the last close."""
        return self.state.holds_dust(slot)

    def write_off(self, slot: int, quantity: Decimal) -> float:
        """Prepare a slot for losing a base quantity; return how much of its position is to be booked as sold."""
        return self.state.write_off(slot, float(quantity))

    def limited_to(self, slot: int, present: Decimal) -> np.void:
        """Return a copy of a slot's record that holds at most the `present` base quantity."""
        record: np.void = self.state.limited_to(slot, float(present))
        return record

    def decision(self, now: Newest, slot: int) -> dict[str, Any]:
        """Return the journal's columns of a slot's decision, without its intents and refusals."""
        market, signals = now.market_of(slot), now.signals_of(slot)
        prediction = now.predictions[slot]
        return {
            "side": number(signals["side"]),
            "prediction": None if prediction is None else number(prediction),
            "confidence": number(signals["confidence"]),
            "bar": {name: market[name].item() for name in records.MARKET.names or ()},
            "inputs": now.inputs.get(slot),
        }


def number(value: float) -> float | None:
    """Return a plain float, None for NaN: databases and JSON have no NaN in common."""
    return None if np.isnan(value) else float(value)
