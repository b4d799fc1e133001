"""The paper broker: orders meet closed bars by the kernel's own rules, so paper trades what the backtest traded."""

from collections.abc import Iterable, Iterator, Sequence
from decimal import Decimal

import numpy as np
from numpy.typing import NDArray

from atb.domain import Fill, Order, Symbol
from atb.engine import kernel, records
from atb.engine.codes import ROLES, SIDES
from atb.engine.state import KernelState


def exact(number: float) -> Decimal:
    """Return the shortest decimal that reads back to the same float: `float(exact(x)) == x`, bit by bit."""
    return Decimal(repr(float(number)))


class PaperBroker:
    """A venue for one slot that fills whole orders; it sends nothing anywhere.

    Which order meets a bar, and at what price, is the kernel's `next_order` on the state that the runner decides with. The
    broker gives each execution the identity of the order it fills.

    Parameters
    ----------
    state
        The runner's kernel state: read here, changed by the runner when it applies a fill.
    symbol
        What is traded; fees are paid in its quote asset, or out of what is bought where the costs say so.
    """

    def __init__(self, state: KernelState, symbol: Symbol) -> None:
        self._state, self._symbol = state, symbol
        self._orders: dict[str, Order] = {}
        self._order = np.zeros(1, records.ORDER)

    @property
    def working(self) -> Sequence[Order]:
        """The orders that were submitted and are neither filled nor cancelled."""
        return tuple(self._orders.values())

    def submit(self, orders: Iterable[Order]) -> None:
        """Take orders; one per role works at a time."""
        for order in orders:
            self._orders[order.role] = order

    def cancel(self, orders: Iterable[Order]) -> None:
        """Withdraw orders; one that is not working is passed over."""
        for order in orders:
            if self._orders.get(order.role) == order:
                del self._orders[order.role]

    def meet(self, bars: NDArray[np.void], rows: NDArray[np.int64], phase: int) -> Iterator[tuple[Fill, Order]]:
        """Yield each execution of this phase of the bars with its order; the caller applies one before it asks for the next.

        Parameters
        ----------
        bars, rows, phase
            As `kernel.next_order` takes them.
        """
        state = self._state
        while kernel.next_order(self._order, state.account, state.slots, state.parameters, bars, rows, phase):
            met = self._order[0]
            order = self._orders.pop(ROLES[int(met["role"])])
            yield self._fill(met, order), order

    def _fill(self, met: np.void, order: Order) -> Fill:
        in_base = met["fee_base"] > 0
        return Fill(
            trade_id=f"{order.client_id}.0",
            client_id=order.client_id,
            symbol=self._symbol,
            side=SIDES[int(met["side"])],  # type: ignore[arg-type] # the table holds "buy" and "sell"
            price=exact(met["price"]),
            quantity=exact(met["quantity"]),
            fee=exact(met["fee_base"] if in_base else met["fee"]),
            fee_asset=self._symbol.base if in_base else self._symbol.settle or self._symbol.quote,
            fee_value=exact(met["fee"]),
            time_ms=int(met["time"]),
        )
