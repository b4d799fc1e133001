"""vectorbt as an independent accountant: it executes each order with its own code, and the kernel only decides.

Each event of the schedule is one row of vectorbt's simulation, so slots on different timeframes and with missing bars need no
special case. vectorbt keeps cash and positions itself; what it reports (size, price, fee) is what the kernel folds back, and the
equity compared is computed from vectorbt's cash and positions, the latter as whole lots (sums of decimals leave crumbs in
binary). The simulation runs with `use_numba=False`: vectorbt compiles functions that it takes as arguments anew in every process,
which costs more than a year of bars takes in Python.
"""

from typing import Any

import numpy as np
import vectorbt as vbt
from vectorbt.portfolio.enums import NoOrder, OrderStatus, OrderStatusInfo
from vectorbt.portfolio.nb import order_nb

from atb.engine import kernel, records
from atb.engine.kernel_input import KernelInput
from atb.engine.matching import round_lots
from atb.engine.state import KernelState, filled_as
from atb.validation.trace import Trace


class _RefusedError(Exception):
    """vectorbt would not fill an order; the simulation ends there.

    `on_credit` says that the account's cash cannot pay the order, which only an exit may do.
    """

    def __init__(self, status: str, *, on_credit: bool) -> None:
        super().__init__(f"vectorbt did not fill this order of the kernel: {status}")
        self.on_credit = on_credit


class _Accountant:
    """The callbacks of one simulation, and the orders, trades and equity they collect."""

    def __init__(self, inputs: KernelInput) -> None:
        self.inputs = inputs
        self.state = KernelState.fresh(inputs.account.cash, limits=inputs.limits, parameters=inputs.parameters)
        self.order = np.zeros(1, records.ORDER)
        self.orders: list[Any] = []
        self.trades: list[Any] = []
        self.equity: list[float] = []
        self.phase = records.RANGE

    def next_order(self, context: Any) -> tuple[int, Any]:
        """Return (column, order) of the next order of this event, or column -1 when the event is over."""
        if context.call_idx == 0:
            self.phase = records.RANGE
        closing, opening = self.inputs.closing[context.i], self.inputs.opening[context.i]
        if self.phase == records.RANGE:
            if self._meets(closing):
                return self._send()
            self._decide(context, closing)
            self.phase = records.OPEN
        return self._send() if self._meets(opening) else (-1, NoOrder)

    def _meets(self, rows: Any) -> bool:
        state = self.state
        return bool(
            kernel.next_order(
                self.order, state.account, state.slots, state.parameters, self.inputs.market, rows, self.phase
            )
        )

    def _send(self) -> tuple[int, Any]:
        order = self.order[0]
        parameter = self.inputs.parameters[order["slot"]]
        rate = parameter["maker_fee"] if order["kind"] == records.AT_LIMIT else parameter["taker_fee"]
        signed = float(order["side"] * order["quantity"])
        return int(order["slot"]), order_nb(
            size=signed, price=float(order["price"]), fees=float(rate), allow_partial=False
        )

    def _decide(self, context: Any, closing: Any) -> None:
        if not (closing >= 0).any():
            return
        self.state.decide(self.inputs.market, self.inputs.signals, closing)
        value = context.last_cash[context.group]
        for column in range(len(self.state.slots)):
            held = round_lots(float(context.last_position[column]), self.inputs.parameters[column])
            if held != 0:
                value += held * self.state.slots[column]["mark"]
        self.equity.append(value)

    def after_order(self, context: Any) -> None:
        """Fold vectorbt's fill back into the kernel's state."""
        done = context.order_result
        if done.status != OrderStatus.Filled:
            cost = self.order[0]["quantity"] * self.order[0]["price"] + self.order[0]["fee"]
            on_credit = self.order[0]["role"] != records.ENTRY and cost > self.state.account[0]["cash"]
            raise _RefusedError(OrderStatusInfo._fields[done.status_info], on_credit=bool(on_credit))
        fill = filled_as(self.order, quantity=done.size, price=done.price, fee=done.fees)
        self.orders.append(fill[0])
        trade = self.state.apply(fill)
        if trade is not None:
            self.trades.append(trade)


def vectorbt_trace(inputs: KernelInput) -> Trace:
    """Execute the inputs through `Portfolio.from_order_func(flexible=True)`.

    If vectorbt refuses an order that the kernel considers filled, the trace ends there, with the reason.
    """
    accountant, stopped, on_credit = _Accountant(inputs), "", False
    close = np.ones(
        (len(inputs.events), len(inputs.slots))
    )  # vectorbt values nothing here: the marks are the slots' own
    try:
        vbt.Portfolio.from_order_func(
            close,
            accountant.next_order,
            flexible=True,
            use_numba=False,
            init_cash=inputs.account.cash,
            cash_sharing=True,
            group_by=np.zeros(len(inputs.slots), dtype=np.int64),
            post_order_func_nb=accountant.after_order,
            max_orders=4 * len(inputs.market) + 16,
            max_logs=0,
            update_value=False,
            ffill_val_price=False,
            freq="1h",
        )
    except _RefusedError as refused:
        stopped, on_credit = str(refused), refused.on_credit
    return Trace(
        "vectorbt",
        np.array(accountant.orders, records.ORDER),
        np.array(accountant.trades, records.TRADE),
        np.array(accountant.equity),
        stopped=stopped,
        on_credit=on_credit,
    )
