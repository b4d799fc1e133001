"""One step of trading: a closed bar in, and out everything that happened because of it, as one value to be journalled.

Nothing here reads a clock, a file or a database. What decides, fills and accounts is the kernel; the order of events within a
step is the kernel's own: this bar's open meets the intents of the bar before, its range meets what rests, then it is decided on.
"""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from atb.domain import Bars, Fill, Order
from atb.engine import records
from atb.engine.codes import KINDS, REASONS, REFUSALS, ROLES
from atb.engine.columns import Columns
from atb.engine.prepare import columns
from atb.engine.state import KernelState
from atb.live.history import History
from atb.live.orders import PROTECTIVE, ClientIds, OrderMaker, reason_of, same_terms
from atb.live.plan import Plan
from atb.venues.paper import PaperBroker

ROLE_CODES = {name: code for code, name in ROLES.items()}
KIND_CODES = {name: code for code, name in KINDS.items()}
_ROWS = np.zeros(1, np.int64)  # the step's only bar, as the kernel is told of it


@dataclass(frozen=True)
class Working:
    """An order that is out, with the bar (epoch milliseconds of its open) that it was made in."""

    order: Order
    bar_ms: int


@dataclass(frozen=True)
class Execution:
    """A fill with the order it belongs to, its number in the session (from 0) and the kernel's word for why."""

    fill: Fill
    order: Order
    number: int
    reason: str


@dataclass(frozen=True)
class Newest:
    """The newest bar as the kernel reads it: one MARKET and one SIGNAL record, and the prediction if there is one."""

    market: NDArray[np.void]
    signals: NDArray[np.void]
    prediction: float | None

    @classmethod
    def of(cls, known: Columns, funding: float) -> Self:
        """Return the last row of the columns, with the funding that is paid at its close."""
        row = known.tail(len(known.wanted.side) - 1)
        market = row.market.copy()
        market["funding"] = funding
        return cls(market, row.signals, None if row.prediction is None else float(row.prediction[0]))


@dataclass
class Step:
    """What one closed bar led to; the journal writes all of it or nothing.

    Parameters
    ----------
    bar_ms
        Open of the bar, epoch milliseconds UTC.
    decision
        The decision's columns: bar, signal, prediction, intents, and what was refused or cut.
    placed
        New orders and the bar they belong to.
    outcomes
        What became of orders in this step: client id to (state, refusal).
    fills, trades
        Executions, and TRADE records of the round trips they closed, with their number from 1.
    state
        The kernel's state after the step, as JSON values.
    """

    bar_ms: int
    decision: dict[str, Any] = field(default_factory=dict)
    placed: list[Working] = field(default_factory=list)
    outcomes: dict[str, tuple[str, str | None]] = field(default_factory=dict)
    fills: list[Execution] = field(default_factory=list)
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
    def working(self) -> Sequence[Order]:
        """The orders that are out."""
        return self._broker.working

    @property
    def trades(self) -> int:
        """Round trips closed since the session began."""
        return int(self.state.account[0]["trades"])

    @property
    def equity(self) -> float:
        """Equity at the last close, in the quote currency."""
        return float(self.state.account[0]["equity"])

    def step(self, bar: Bars, funding: float = 0.0) -> Step:
        """Trade one newly closed bar, given as a series of one row; the state moves on.

        Parameters
        ----------
        bar
            The bar, closed.
        funding
            What longs pay to shorts at its close, as a fraction of the position's value.
        """
        bars = self._history.append(bar)
        now = Newest.of(columns(self.plan.slot(bars)), funding)
        step = Step(int(now.market["opened"][0]))
        maker = OrderMaker(self._ids, self.plan.symbol, step.bar_ms)
        self._meet(now, phase=records.OPEN, step=step, maker=maker)
        self._meet(now, phase=records.RANGE, step=step, maker=maker)
        self._decide(now, step, maker)
        account = self.state.account[0]
        step.equity, step.cash = float(account["equity"]), float(account["cash"])
        step.state = self.state.to_json()
        return step

    @property
    def _slot(self) -> np.void:
        """The kernel's record of the slot."""
        slot: np.void = self.state.slots[0]
        return slot

    # --- fills --------------------------------------------------------------------------------------------------------

    def _meet(self, now: Newest, *, phase: int, step: Step, maker: OrderMaker) -> None:
        """Fill what meets the bar in this phase; what rests follows each fill. Then the orders that were refused are closed."""
        for fill, order in self._broker.meet(now.market, _ROWS, phase):
            record = self._fill_record(fill, order)
            trade = self.state.apply(record)
            number, reason = int(record[0]["id"]), REASONS[int(record[0]["reason"])]
            step.fills.append(Execution(fill, order, number, reason))
            step.outcomes[order.client_id] = ("filled", None)
            if trade is not None:
                step.trades.append((self.trades, trade))
            self._rest(step, maker)
        refused = self._take_refusals()
        for order in self._broker.working:
            if order.role == "entry" and self._slot["entry"] == 0.0:
                self._end(order, step, "rejected", refusal=refused)

    def _fill_record(self, fill: Fill, order: Order) -> NDArray[np.void]:
        """Return the kernel's record of an execution: the venue says what was done, the order says what it was for."""
        record = np.zeros(1, records.ORDER)
        in_base = fill.fee_asset == self.plan.symbol.base
        values = {
            "id": self.state.account[0]["orders"],
            "time": fill.time_ms,
            "side": 1 if fill.side == "buy" else -1,
            "quantity": float(fill.quantity),
            "price": float(fill.price),
            "fee": float(fill.fee_value),
            "fee_base": float(fill.fee) if in_base else 0.0,
            "role": ROLE_CODES[order.role],
            "reason": reason_of(order.role, self._slot),
            "kind": KIND_CODES[order.type],
        }
        for name, value in values.items():
            record[0][name] = value
        return record

    def _take_refusals(self) -> str | None:
        """Return what the last phase refused or cut, None where it was nothing."""
        return ", ".join(REFUSALS[code] for _, code in self.state.take_refusals()) or None

    # --- orders -------------------------------------------------------------------------------------------------------

    def _rest(self, step: Step, maker: OrderMaker) -> None:
        """Make the stop and the target that rest at the venue equal to those that the state wants there."""
        wanted = {order.role: order for order in maker.protection(self._slot)}
        for order in self._broker.working:
            if order.role not in PROTECTIVE:
                continue
            if order.role in wanted and same_terms(order, wanted[order.role]):
                del wanted[order.role]
            else:
                self._end(order, step, "cancelled")
        self._place(wanted.values(), step, maker)

    def _place(self, orders: Iterable[Order], step: Step, maker: OrderMaker) -> list[Order]:
        placed = [maker.name(order) for order in orders]
        step.placed += [Working(order, step.bar_ms) for order in placed]
        self._broker.submit(placed)
        return placed

    def _end(self, order: Order, step: Step, state: str, *, refusal: str | None = None) -> None:
        self._broker.cancel([order])
        step.outcomes[order.client_id] = (state, refusal)

    # --- decision -----------------------------------------------------------------------------------------------------

    def _decide(self, now: Newest, step: Step, maker: OrderMaker) -> None:
        """Decide on the bar; then replace what rests, withdraw an entry whose time is over, and send the new intents."""
        left = int(self._slot["entry_bars"])
        side = float(now.signals["side"][0])
        self.state.decide(now.market, now.signals, _ROWS)
        refused = self._take_refusals()
        self._rest(step, maker)
        waiting = [order for order in self._broker.working if order.role == "entry"]
        keeps = self._slot["entry"] != 0.0 and self._slot["entry_bars"] == left - 1  # a new entry has all its bars
        for order in waiting:
            if not keeps:
                self._end(order, step, "expired" if self._expired(order, left, side) else "cancelled")
        asked = maker.intents(self._slot)
        placed = self._place([order for order in asked if order.role == "exit" or not (waiting and keeps)], step, maker)
        step.decision = _decision(now, placed, refused)

    def _expired(self, order: Order, left: int, side: float) -> bool:
        """Tell whether an entry ran out of bars, rather than being called back by its signal or a halt."""
        called_back = not np.isnan(side) and side != (1.0 if order.side == "buy" else -1.0)
        return left <= 1 and not called_back and self.state.account[0]["halt"] == records.HALT_NONE


def _decision(now: Newest, placed: list[Order], refused: str | None) -> dict[str, Any]:
    """Return a decision's columns as the journal keeps them."""
    return {
        "side": _number(now.signals["side"][0]),
        "prediction": None if now.prediction is None else _number(now.prediction),
        "confidence": _number(now.signals["confidence"][0]),
        "bar": {name: now.market[name][0].item() for name in records.MARKET.names or ()},
        "intents": [_intent_json(order) for order in placed],
        "refusal": refused,
    }


def _number(value: float) -> float | None:
    """Return a plain float, None for NaN: databases and JSON have no NaN in common."""
    return None if np.isnan(value) else float(value)


def _intent_json(order: Order) -> dict[str, Any]:
    values = {name: value for name, value in asdict(order).items() if value is not None and name != "symbol"}
    return {name: str(value) for name, value in values.items()}
