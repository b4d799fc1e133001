"""Quantities that a session may trade beside its backtest's, where fees are taken in base and both are rounded to lots.

What an entry received, what its stop sells and what the books hold are each rounded to lots on their own: two lots. Beyond them
only dust may differ. An order list sells what its entry received, so dust from before may stay on the account, lot by lot, where a
backtest sells it in whole lots; an exit at the market sells it with the rest. How much that is the session's own executions show:
it is what they left when the position before was closed. It follows that

- the sale that closes a position leaves no more than that dust and two lots, and sells no more than is owned;
- an entry differs by two lots and by what the account's equity differs: the same lots were sold at another price, or not yet. Where
  entries take all the cash there is, what is still held as dust is missing as well;
- what is sold or added in between is a share of what is held, and differs as that does.

So a wrong quantity does not hide among many round trips.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

Key = tuple[Any, ...]  # bar or time, slot, role, side, price (quote), reason
Amounts = Mapping[Key, tuple[float, float]]  # by order: its quantity, and the fee that was taken in base
_LOTS = 2
_NEARLY = 1e-6  # of a lot; sums of decimals leave crumbs in binary


@dataclass
class _Owned:
    """A slot's holdings in base, dust included, by the session's executions and by the backtest's, and its last price (quote).

    `dust` is the session's, from before the present position.
    """

    session: float = 0.0
    backtest: float = 0.0
    dust: float = 0.0
    price: float = 0.0

    @property
    def more(self) -> float:
        """How much more the session owns."""
        return self.session - self.backtest


@dataclass
class _Account:
    """The slots' holdings; how much more cash the session has than the backtest, and the backtest's least equity, in quote."""

    least_equity: float
    slots: dict[int, _Owned] = field(default_factory=dict)
    cash: float = 0.0

    @property
    def equity(self) -> float:
        """How much more equity the session has, in quote."""
        return self.cash + sum(owned.more * owned.price for owned in self.slots.values())

    def moves(self, quantity: float, price: float, *, all_in: bool) -> list[float]:
        """Return by how much the session's equity, and its cash where that bounds it, may move an entry, in base."""
        by_equity = quantity * (self.equity / self.least_equity if self.least_equity > 0.0 else 1.0)
        return [by_equity, self.cash / price] if all_in else [by_equity]

    def apply(self, key: Key, session: tuple[float, float], backtest: tuple[float, float]) -> None:
        """Add an order as it was executed in both."""
        owned, sign = self.slots[key[1]], -1.0 if key[3] == "sell" else 1.0
        owned.session += sign * session[0] - session[1]
        owned.backtest += sign * backtest[0] - backtest[1]
        self.cash -= sign * (session[0] - backtest[0]) * key[4]


def quantity_spans(
    executed: Amounts, orders: Amounts, lots: Mapping[int, float], *, least_equity: float, all_in: Collection[int] = ()
) -> dict[Key, tuple[float, float]]:
    """Return by order the least and the largest quantity that the session may have traded, in base.

    Parameters
    ----------
    executed, orders
        The session's amounts and the backtest's, the latter in the order of their execution.
    lots
        The lot of each slot that pays fees in base; orders of other slots get no span.
    least_equity
        The least equity of the backtest, in quote: an entry is a share of equity.
    all_in
        The slots whose entries were bounded by the cash there was.
    """
    spans: dict[Key, tuple[float, float]] = {}
    account = _Account(least_equity, {slot: _Owned() for slot in lots})
    for key, amounts in orders.items():
        if key[1] in lots:
            account.slots[key[1]].price = key[4]
            spans[key] = _span(account, key, amounts[0], lot=lots[key[1]], all_in=key[1] in all_in)
            account.apply(key, executed.get(key, (0.0, 0.0)), amounts)
    return spans


def _span(account: _Account, key: Key, quantity: float, *, lot: float, all_in: bool) -> tuple[float, float]:
    owned, crumb, whole = account.slots[key[1]], lot * _NEARLY, lot * (1.0 - _NEARLY)
    if key[3] == "sell" and abs(owned.backtest - quantity) < whole:
        return owned.session - owned.dust - _LOTS * lot - crumb, owned.session + crumb
    moves = [0.0, -abs(owned.more), abs(owned.more)]
    if key[3] == "buy" and abs(owned.backtest) < whole:
        owned.dust = max(owned.session, 0.0)
        moves = [0.0, *account.moves(quantity, key[4], all_in=all_in)]
    room = _LOTS * lot + crumb
    return quantity + min(moves) - room, quantity + max(moves) + room
