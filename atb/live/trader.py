"""One step of trading: a closed bar in, and out everything that happened because of it, as one value to be journalled.

Nothing here reads a clock, a file or a database. What decides, fills and accounts is the kernel; the order of events within a
step is the kernel's own: this bar's open meets the intents of the bar before, its range meets what rests, then it is decided on.
"""

from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from atb.domain import Bars, Fill, Order
from atb.engine import records
from atb.engine.codes import REFUSALS
from atb.engine.prepare import Columns, columns
from atb.engine.state import KernelState
from atb.live.history import History
from atb.live.orders import PROTECTIVE, ClientIds, OrderMaker, same_terms
from atb.live.plan import Plan
from atb.venues.paper import PaperBroker

ROLE_CODES = {"entry": records.ENTRY, "exit": records.EXIT, "stop": records.STOP, "target": records.TARGET}
_ROWS = np.zeros(1, np.int64)  # the step's only bar, as the kernel is told of it


@dataclass(frozen=True)
class Working:
    """An order that is out, with the bar (epoch milliseconds of its open) that it was made in."""

    order: Order
    bar_ms: int


@dataclass
class Step:
    """What one closed bar led to; the journal writes all of it or nothing.

    Parameters
    ----------
    bar_ms
        Open of the bar, epoch milliseconds UTC.
    decision
        The decision's columns: bar, signal, prediction, intents, reason of a refusal.
    placed
        New orders and the bar they belong to.
    outcomes
        What became of orders in this step: client id to (state, reason).
    fills, trades
        Executions with their orders, and TRADE records of the round trips they closed, with their number from 1.
    state
        The kernel's state after the step, as JSON values.
    """

    bar_ms: int
    decision: dict[str, Any] = field(default_factory=dict)
    placed: list[Working] = field(default_factory=list)
    outcomes: dict[str, tuple[str, str | None]] = field(default_factory=dict)
    fills: list[tuple[Fill, Order]] = field(default_factory=list)
    trades: list[tuple[int, np.void]] = field(default_factory=list)
    equity: float = 0.0
    cash: float = 0.0
    state: dict[str, Any] = field(default_factory=dict)


class Trader:
    """A plan on its way through time.

    Parameters
    ----------
    plan
        What trades.
    history
        The bars known so far.
    state
        The kernel's state after the last of them.
    working
        The orders that are out.
    identity
        What tells this trader's client ids from all others: account and manifest.
    """

    def __init__(
        self, plan: Plan, history: History, *, state: KernelState, working: Iterable[Order], identity: tuple[str, ...]
    ) -> None:
        self.plan, self.state = plan, state
        self._history = history
        self._broker = PaperBroker(state, plan.symbol)
        self._broker.submit(working)
        self._ids = ClientIds(plan.strategy.name, (*identity, plan.strategy.name, str(plan.symbol)))

    @property
    def trades(self) -> int:
        """Round trips closed since the session began."""
        return int(self.state.account[0]["trades"])

    @property
    def equity(self) -> float:
        """Equity at the last close, in the quote currency."""
        return float(self.state.account[0]["equity"])

    def step(self, bar: Bars) -> Step:
        """Trade one newly closed bar, given as a series of one row; the state moves on."""
        bars = self._history.append(bar)
        now = columns(self.plan.slot(bars)).tail(len(bars) - 1)
        step = Step(int(now.market["opened"][0]))
        maker = OrderMaker(self._ids, self.plan.symbol, step.bar_ms)
        self._meet(now, phase=records.OPEN, step=step, maker=maker)
        self._refuse_unfilled(step)
        self._meet(now, phase=records.RANGE, step=step, maker=maker)
        self.state.decide(now.market, now.signals, _ROWS)
        self._protect(step, maker)
        self._record_decision(step, now, maker)
        account = self.state.account[0]
        step.equity, step.cash = float(account["equity"]), float(account["cash"])
        step.state = self.state.to_json()
        return step

    # --- fills --------------------------------------------------------------------------------------------------------

    def _meet(self, now: Columns, *, phase: int, step: Step, maker: OrderMaker) -> None:
        for fill, order in self._broker.meet(now.market, _ROWS, phase):
            trade = self.state.apply(self._fill_record(fill, order))
            step.fills.append((fill, order))
            step.outcomes[order.client_id] = ("filled", None)
            if trade is not None:
                step.trades.append((self.trades, trade))
            self._protect(step, maker)

    def _fill_record(self, fill: Fill, order: Order) -> NDArray[np.void]:
        """Return the kernel's record of an execution: the venue says what was done, the order says what it was for."""
        record = np.zeros(1, records.ORDER)
        values = {
            "id": self.state.account[0]["orders"],
            "time": fill.time_ms,
            "side": 1 if fill.side == "buy" else -1,
            "quantity": float(fill.quantity),
            "price": float(fill.price),
            "fee": float(fill.fee),
            "role": ROLE_CODES[order.role],
            "reason": self._reason(order),
        }
        for name, value in values.items():
            record[0][name] = value
        return record

    def _reason(self, order: Order) -> int:
        if order.role == "exit":
            return int(self.state.slots[0]["exit_reason"])
        return {"entry": records.SIGNAL_ENTRY, "stop": records.STOP_LOSS, "target": records.TAKE_PROFIT}[order.role]

    def _refuse_unfilled(self, step: Step) -> None:
        """Close the books on market orders that met the open and were refused there."""
        refused = [REFUSALS[code] for _, code in self.state.take_refusals()]
        unfilled = [order for order in self._broker.working if order.role not in PROTECTIVE]
        self._broker.cancel(unfilled)
        step.outcomes |= {order.client_id: ("rejected", ", ".join(refused) or None) for order in unfilled}

    # --- orders -------------------------------------------------------------------------------------------------------

    def _protect(self, step: Step, maker: OrderMaker) -> None:
        """Make what rests at the venue equal to what the state wants to rest there."""
        wanted = {order.role: order for order in maker.protection(self.state.slots[0])}
        for order in self._broker.working:
            if order.role not in PROTECTIVE:
                continue
            if order.role in wanted and same_terms(order, wanted[order.role]):
                del wanted[order.role]
            else:
                self._broker.cancel([order])
                step.outcomes[order.client_id] = ("cancelled", None)
        self._place(wanted.values(), step, maker)

    def _place(self, orders: Iterable[Order], step: Step, maker: OrderMaker) -> list[Order]:
        placed = [maker.name(order) for order in orders]
        step.placed += [Working(order, step.bar_ms) for order in placed]
        self._broker.submit(placed)
        return placed

    # --- decision -----------------------------------------------------------------------------------------------------

    def _record_decision(self, step: Step, now: Columns, maker: OrderMaker) -> None:
        refused = [REFUSALS[code] for _, code in self.state.take_refusals()]
        placed = self._place(maker.intents(self.state.slots[0]), step, maker)
        prediction = None if now.prediction is None else float(now.prediction[0])
        step.decision = {
            "side": _number(now.signals["side"][0]),
            "prediction": None if prediction is None else _number(prediction),
            "confidence": _number(now.signals["confidence"][0]),
            "bar": {name: now.market[name][0].item() for name in records.MARKET.names or ()},
            "intents": [_intent_json(order) for order in placed],
            "reason": ", ".join(refused) or None,
        }


def _number(value: float) -> float | None:
    """Return a plain float, None for NaN: databases and JSON have no NaN in common."""
    return None if np.isnan(value) else float(value)


def _intent_json(order: Order) -> dict[str, Any]:
    values = {name: value for name, value in asdict(order).items() if value is not None and name != "symbol"}
    return {name: str(value) for name, value in values.items()}
