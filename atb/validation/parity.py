"""The proof that one set of rules decided: three executions of the same problem, compared bit by bit.

    kernel      `kernel.run`, the compiled loop that backtests use
    vectorbt    `vectorbt.Portfolio.from_order_func(flexible=True)` executes and accounts for each order with its own
                code; the kernel only decides, and folds back what vectorbt reports
    stepwise    the kernel's three functions called from Python one timestamp at a time, as the live runner does, with the state
                saved and loaded (bytes, then JSON) after every one

Equal means: the same orders in every field, the same trades, and the same equity at every close, as bits; between the first and
the third also the same refusals and the same final state.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from atb.backtest.simulation import Outcome, simulate
from atb.engine import codes, records
from atb.engine.policy import AccountPolicy
from atb.engine.prepare import Problem, Slot, prepare
from atb.engine.state import KernelState, dumps

Records = NDArray[np.void]


@dataclass(frozen=True)
class Trace:
    """What one execution did: ORDER and TRADE records, and equity at each close.

    Those that refuse by the kernel's own rules also give REFUSAL records and the state they ended in, as bytes.
    """

    way: str
    orders: Records
    trades: Records
    equity: NDArray[np.float64]
    refusals: Records | None = None
    state: bytes | None = None


@dataclass(frozen=True)
class ParityReport:
    """Whether all ways agree; `ways` says which did, `first_difference` shows where one left the kernel."""

    equal: bool
    orders: int
    bars: int
    ways: dict[str, bool]
    first_difference: dict[str, Any] | None

    def to_json(self) -> dict[str, Any]:
        """Return the report as plain values."""
        return {
            "equal": self.equal,
            "orders": self.orders,
            "bars": self.bars,
            "ways": self.ways,
            "first_difference": self.first_difference,
        }

    def __str__(self) -> str:
        """Return the verdict in one line."""
        if self.equal:
            return f"Equal bit by bit in {len(self.ways) + 1} ways: {self.orders} orders over {self.bars} bars"
        return f"NOT EQUAL: {', '.join(way for way, same in self.ways.items() if not same)} left the kernel's orders"


def prove(
    slots: Slot | Sequence[Slot], *, account: AccountPolicy | None = None, start: Any = None, vectorbt: bool = True
) -> ParityReport:
    """Execute the same slots three ways and compare; `vectorbt=False` leaves the second way out where it is not installed."""
    chosen = (slots,) if isinstance(slots, Slot) else tuple(slots)
    return prove_problem(prepare(chosen, account or AccountPolicy(), start), vectorbt=vectorbt)


def prove_problem(problem: Problem, *, vectorbt: bool = True) -> ParityReport:
    """Execute a prepared problem three ways and compare."""
    outcome = simulate(problem)
    others = [stepwise(problem)]
    if vectorbt:
        from atb.validation.oracle import vectorbt_trace

        others.insert(0, vectorbt_trace(problem))
    found = {other.way: first_difference(problem, _trace(outcome), other) for other in others}
    return ParityReport(
        equal=not any(found.values()),
        orders=len(outcome.orders),
        bars=len(problem.market),
        ways={way: difference is None for way, difference in found.items()},
        first_difference=next((difference for difference in found.values() if difference), None),
    )


def _trace(outcome: Outcome) -> Trace:
    state = outcome.account.tobytes() + outcome.slots.tobytes()
    return Trace("kernel", outcome.orders, outcome.trades, outcome.equity, outcome.refusals, state)


def stepwise(problem: Problem) -> Trace:
    """Call the kernel one timestamp at a time; after each, save the state to bytes and to JSON and load it back."""
    import json

    state = KernelState.fresh(problem.account.cash, limits=problem.limits, parameters=problem.parameters)
    orders: list[Any] = []
    trades: list[Any] = []
    refusals: list[tuple[int, int, int]] = []
    equity: list[float] = []

    def meet(rows: NDArray[np.int64], phase: int, time: int) -> None:
        for order, trade in state.orders(problem.market, rows, phase):
            orders.append(order)
            trades.extend([] if trade is None else [trade])
        note(time)

    def note(time: int) -> None:
        refusals.extend((slot, time, code) for slot, code in state.take_refusals())

    for e, time in enumerate(problem.events.tolist()):
        closing = problem.closing[e]
        meet(closing, records.RANGE, time)
        if (closing >= 0).any():
            state.decide(problem.market, problem.signals, closing)
            equity.append(float(state.account[0]["equity"]))
            note(time)
        meet(problem.opening[e], records.OPEN, time)
        state.load_bytes(state.to_bytes())
        state.load_json(json.loads(dumps(state)))
    tables = (np.array(orders, records.ORDER), np.array(trades, records.TRADE), np.array(equity))
    return Trace("stepwise", *tables, np.array(refusals, records.REFUSAL), state.to_bytes())


def first_difference(problem: Problem, ours: Trace, theirs: Trace) -> dict[str, Any] | None:
    """Return where `theirs` first leaves `ours`, with both sides and the inputs of that bar, or None where they are equal."""
    for table in ("orders", "trades", "refusals"):
        left, right = getattr(ours, table), getattr(theirs, table)
        if left is None or right is None:
            continue
        common = min(len(left), len(right))
        unequal = [i for i in range(common) if left[i].tobytes() != right[i].tobytes()]
        if unequal or len(left) != len(right):
            at = unequal[0] if unequal else common
            return _difference(problem, table, at, sides={ours.way: left, theirs.way: right})
    moved = np.flatnonzero(ours.equity.view(np.int64) != theirs.equity.view(np.int64))
    if len(moved):
        e = int(moved[0])
        values = {ours.way: float(ours.equity[e]), theirs.way: float(theirs.equity[e])}
        return {"table": "equity", "index": e, "time_ms": int(problem.closes[e]), **values}
    if ours.state is not None and theirs.state is not None and ours.state != theirs.state:
        return {"table": "state", "index": 0, **_states(problem, ours, theirs)}
    return None


def _states(problem: Problem, ours: Trace, theirs: Trace) -> dict[str, Any]:
    """Return the fields in which two final states differ, by execution."""
    found: dict[str, Any] = {}
    for trace in (ours, theirs):
        state = KernelState.fresh(problem.account.cash, limits=problem.limits, parameters=problem.parameters)
        state.load_bytes(trace.state or b"")
        found[trace.way] = state.to_json()
    return found


def _difference(problem: Problem, table: str, at: int, *, sides: dict[str, Records]) -> dict[str, Any]:
    named = {way: _named(rows[at]) if at < len(rows) else None for way, rows in sides.items()}
    difference: dict[str, Any] = {"table": table, "index": at, **named}
    shown = next((rows[at] for rows in sides.values() if at < len(rows)), None)
    if table == "orders" and shown is not None:
        row = int(shown["row"])
        first = problem.offsets[int(shown["slot"])]
        difference["bar"] = _named(problem.market[row])
        difference["signal_before"] = _named(problem.signals[max(row - 1, first)])
    return difference


def _named(record: Any) -> dict[str, Any]:
    values = {name: record[name].item() for name in record.dtype.names}
    for name, table in (("role", codes.ROLES), ("reason", codes.REASONS)):
        if name in values:
            values[name] = table.get(values[name], values[name])
    return {name: None if value != value else value for name, value in values.items()}  # noqa: PLR0124  (NaN != NaN)
