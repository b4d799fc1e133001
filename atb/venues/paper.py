"""Fills for paper trading: orders meet bars by the kernel's own rules, so paper trades exactly what the backtest traded."""

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from atb.decimals import exact
from atb.domain import Fill, Order, Symbol
from atb.engine import kernel, records
from atb.engine.codes import ROLES, SIDES
from atb.engine.state import KernelState


class PaperFills:
    """Simulated fills of whole orders; nothing is sent anywhere.

    The kernel's `next_order` says which order fills in a bar, and at what price, on the state that the runner decides with. Each
    fill gets the identity of the submitted order that it fills.

    Parameters
    ----------
    state
        The runner's kernel state: read here; the runner changes it when it applies a fill.
    symbols
        Symbol of each slot; fees are paid in quote, or out of the bought base if the costs say so.
    """

    def __init__(self, state: KernelState, symbols: Sequence[Symbol]) -> None:
        self._state, self._symbols = state, symbols
        self._orders: list[dict[str, Order]] = [{} for _ in symbols]
        self._order = np.zeros(1, records.ORDER)

    def working(self, slot: int) -> Sequence[Order]:
        """Return the slot's working orders: submitted, not yet filled or cancelled."""
        return tuple(self._orders[slot].values())

    def submit(self, slot: int, orders: Iterable[Order]) -> None:
        """Submit orders of a slot; a new order replaces the working one of its role."""
        for order in orders:
            self._orders[slot][order.role] = order

    def cancel(self, slot: int, orders: Iterable[Order]) -> None:
        """Cancel orders; those that are not working are ignored."""
        for order in orders:
            if self._orders[slot].get(order.role) == order:
                del self._orders[slot][order.role]

    def meet(self, bars: NDArray[np.void], rows: NDArray[np.int64], phase: int) -> Iterator[tuple[int, Fill, Order]]:
        """Yield (slot, fill, order) for each fill in this phase of the bars; apply each one before taking the next.

        Parameters
        ----------
        bars, rows, phase
            As `kernel.next_order` takes them.
        """
        state = self._state
        while kernel.next_order(self._order, state.account, state.slots, state.parameters, bars, rows, phase):
            met = self._order[0]
            slot = int(met["slot"])
            order = self._orders[slot].pop(ROLES[int(met["role"])])
            yield slot, self._fill(met, order), order

    def _fill(self, met: np.void, order: Order) -> Fill:
        symbol, in_base = self._symbols[int(met["slot"])], met["fee_base"] > 0
        return Fill(
            trade_id=f"{order.client_id}.0",
            client_id=order.client_id,
            symbol=symbol,
            side=SIDES[int(met["side"])],  # type: ignore[arg-type] # the table holds "buy" and "sell"
            price=exact(met["price"]),
            quantity=exact(met["quantity"]),
            fee=exact(met["fee_base"] if in_base else met["fee"]),
            fee_asset=symbol.base if in_base else symbol.settle or symbol.quote,
            fee_value=exact(met["fee"]),
            time_ms=int(met["time"]),
        )
