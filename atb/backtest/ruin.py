"""Ruin of an account: when it happened and what was left.

A ruined account refuses every later signal for the same reason, so results, reports and files show those refusals as one row and
say it in their first line.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from atb.backtest.frames import folded_ms
from atb.decimals import counted
from atb.engine import records
from atb.times import at_ms

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    from atb.backtest.simulation import SimulationRecords
    from atb.engine.kernel_input import KernelInput

RUINED = "ruined"
_FOR_WANT_OF_MONEY = (records.TOO_SMALL, records.BELOW_MIN_NOTIONAL, records.NO_CASH, records.LIQUIDATED)
_LITTLE = 0.1  # of the starting cash; an account that was too small from its beginning is not ruined


@dataclass(frozen=True)
class Ruin:
    """The end of an account.

    Parameters
    ----------
    at_ms
        When its last order was filled, epoch milliseconds.
    left, cash
        What was left at the end, and what it had started with, in quote.
    quote
        The asset of both.
    liquidated
        Whether the venue closed its positions.
    missed
        Signals after that which could not be traded.
    """

    at_ms: int
    left: float
    cash: float
    quote: str
    liquidated: bool
    missed: int

    @property
    def at(self) -> "pd.Timestamp":
        """When its last order was filled, UTC."""
        return at_ms(self.at_ms)

    def __str__(self) -> str:
        """Return it as a sentence."""
        how = "liquidated" if self.liquidated else RUINED
        missed = f", and {counted(self.missed, 'signal')} after that could not be traded" * (self.missed > 0)
        return (
            f"The account was {how.upper()} on {self.at:%Y-%m-%d %H:%M} UTC: {self.left:,.2f} of {self.cash:,.2f} {self.quote} "
            f"were left{missed}."
        )

    def to_json(self) -> dict[str, Any]:
        """Return it as plain values; the time as ISO 8601."""
        values = {"left": self.left, "cash": self.cash, "liquidated": self.liquidated, "missed_signals": self.missed}
        return {"at": self.at.isoformat(), **values}


def ruin_of(outcome: "SimulationRecords", inputs: "KernelInput") -> Ruin | None:
    """Return when and how an account was ruined; None if it was not.

    Ruined is an account that was liquidated, or that traded and ended without a position and with too little for any order: less
    than the least one, or under a tenth of its cash and refused for want of money at every signal since its last order.
    """
    orders, left, cash = outcome.orders, float(outcome.summary["last"]), inputs.account.cash
    if not len(orders):
        return None
    liquidated = int(outcome.account["halt"]) == records.HALT_LIQUIDATION
    since = int(folded_ms(orders[-1:], inputs)[0])
    after = outcome.refusals[outcome.refusals["time"] >= since]
    if not liquidated:
        if (outcome.slots["quantity"] != 0.0).any():
            return None
        starved = len(after) > 0 and left < _LITTLE * cash and bool(np.isin(after["reason"], _FOR_WANT_OF_MONEY).all())
        if left >= _least(outcome, inputs) and not starved:
            return None
    symbol = inputs.slots[0].bars.symbol
    return Ruin(since, left, cash, symbol.settle or symbol.quote, liquidated, len(after))


def _least(outcome: "SimulationRecords", inputs: "KernelInput") -> float:
    """Return the least value (quote) of an order that any slot could send at the last price."""
    rules = inputs.parameters
    smallest: NDArray[np.float64] = rules["min_quantity"] * outcome.slots["mark"]
    return float(np.maximum(rules["min_notional"], smallest).min())
