"""The parity proof: several executions of the same inputs, compared order by order, show that one set of rules decides.

    kernel      `kernel.run`, the compiled loop that backtests use
    vectorbt    `vectorbt.Portfolio.from_order_func(flexible=True)` executes and accounts for each order with its own
                code; the kernel only decides, and folds back what vectorbt reports
    stepwise    the kernel's three functions called from Python one timestamp at a time, as the live runner does, with the state
                saved and loaded (bytes, then JSON) after every one
    columns     what the kernel reads, computed again at every bar as the live runner does: from the declared warm-up and the bars
                up to it, in a process that knows nothing else (`atb.validation.windows`)

The first three are equal bit by bit: the same orders in every field, the same trades, and the same equity at every close; between
the first and the third also the same refusals and the same final state. Where columns were computed again, the third way trades
those, and the loop on them is its measure; the orders that follow from them must be the backtest's, at the same bars for the same
reasons, and prices and quantities may be apart by a billionth, as the columns may.

vectorbt's accounts know no fee paid in base, no funding and no interest on what a short borrowed, and buy nothing on credit. Where
a problem has such costs, the second way is compared with a kernel run of the same problem without them; where a short must be
bought back for more than the account holds, up to there. The report names what was left out.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from atb.backtest.running import as_slots
from atb.backtest.simulation import simulate
from atb.decimals import counted
from atb.engine import codes, records
from atb.engine.kernel_input import KernelInput, prepare
from atb.engine.policy import AccountPolicy
from atb.engine.records import Records
from atb.engine.slot import Slot
from atb.engine.state import KernelState, dumps
from atb.validation.isolated import NAMES
from atb.validation.trace import Trace
from atb.validation.windows import Checked, WindowsReport, check_windows


@dataclass(frozen=True)
class ParityReport:
    """Whether all ways agree; `ways` says which did, `first_difference` shows where one left the kernel.

    `left_out` names the costs that vectorbt was compared without; `windows` reports the bars whose columns were recomputed.
    """

    equal: bool
    orders: int
    bars: int
    ways: dict[str, bool]
    first_difference: dict[str, Any] | None
    left_out: tuple[str, ...] = ()
    windows: tuple[WindowsReport, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return the report as plain values."""
        return {
            "equal": self.equal,
            "orders": self.orders,
            "bars": self.bars,
            "ways": self.ways,
            "left_out_for_vectorbt": list(self.left_out),
            "columns": [report.to_json() for report in self.windows],
            "first_difference": self.first_difference,
        }

    def __str__(self) -> str:
        """Return the verdict in one line."""
        if not self.equal:
            return (
                f"NOT EQUAL: {', '.join(way for way, same in self.ways.items() if not same)} left the kernel's orders"
            )
        without = f"; vectorbt compared without {', '.join(self.left_out)}" if self.left_out else ""
        ways = len(self.ways) + 1 - ("columns" in self.ways)
        windows = "".join(f"; {report}" for report in self.windows)
        size = f"{counted(self.orders, 'order')} over {counted(self.bars, 'bar')}"
        return f"Equal bit by bit in {ways} ways: {size}{without}{windows}"


def prove(
    slots: Slot | Sequence[Slot],
    *,
    account: AccountPolicy | None = None,
    start: Any = None,
    vectorbt: bool = True,
    most: int | None = None,
) -> ParityReport:
    """Execute the same slots in all ways and compare.

    Parameters
    ----------
    slots, account, start
        Of a backtest.
    vectorbt
        False leaves vectorbt out where it is not installed.
    most
        Bars per slot whose columns are recomputed, spread over all; None: every one.
    """
    inputs = prepare(as_slots(slots), account or AccountPolicy(), start)
    return prove_inputs(inputs, vectorbt=vectorbt, checked=check_windows(inputs, most=most))


def prove_inputs(inputs: KernelInput, *, vectorbt: bool = True, checked: Sequence[Checked] = ()) -> ParityReport:
    """Execute prepared inputs three ways and compare; with recomputed columns, their orders as well."""
    ours = _kernel_trace(inputs)
    found: dict[str, dict[str, Any] | None] = {}
    left_out: tuple[str, ...] = ()
    if vectorbt:
        found["vectorbt"], left_out = _against_vectorbt(inputs, ours)
    recomputed = with_recomputed(inputs, checked)
    theirs = ours if recomputed is inputs else _kernel_trace(recomputed)
    found["stepwise"] = first_difference(recomputed, theirs, stepwise(recomputed))
    if any(slot.report.checked for slot in checked):
        found["columns"] = _other_columns(checked) or _other_orders(recomputed, ours, theirs)
    return ParityReport(
        equal=not any(found.values()),
        orders=len(ours.orders),
        bars=len(inputs.market),
        ways={way: difference is None for way, difference in found.items()},
        first_difference=next((difference for difference in found.values() if difference), None),
        left_out=left_out,
        windows=tuple(slot.report for slot in checked),
    )


def with_recomputed(inputs: KernelInput, checked: Sequence[Checked]) -> KernelInput:
    """Return the inputs with the recomputed columns in place; the same object if not a bit differs."""
    signals = inputs.signals.copy()
    for number, slot in enumerate(checked):
        part = inputs.parts[number]
        rows = slot.rows - (slot.report.bars - (part.stop - part.start))  # of what may be the last bars only
        inside = (rows >= 0) & np.isfinite(slot.values[:, 1])
        for column, name in enumerate(NAMES[:-1]):
            signals[name][part.start + rows[inside]] = slot.values[inside, column]
    return inputs if signals.tobytes() == inputs.signals.tobytes() else inputs.with_signals(signals)


def _other_columns(checked: Sequence[Checked]) -> dict[str, Any] | None:
    """Return the first difference of columns from the backtest's, or None."""
    found = [slot.report.first_difference for slot in checked if slot.report.first_difference is not None]
    return (
        {"table": "columns", "index": 0, **min(found, key=lambda difference: str(difference["opened"]))}
        if found
        else None
    )


def _other_orders(inputs: KernelInput, ours: Trace, theirs: Trace) -> dict[str, Any] | None:
    """Return the first order of the backtest that does not follow from a runner's columns, or None."""
    left, right = ours.orders, theirs.orders
    count = min(len(left), len(right))
    same = np.ones(count, bool)
    for name in ("slot", "row", "time", "side", "role", "reason", "kind"):
        as_one: NDArray[np.bool_] = left[name][:count] == right[name][:count]
        same &= as_one
    for name in ("price", "quantity"):
        close: NDArray[np.bool_] = np.isclose(left[name][:count], right[name][:count], rtol=1e-9, atol=0.0)
        same &= close
    unequal = np.flatnonzero(~same)
    if not len(unequal) and len(left) == len(right):
        return None
    at = int(unequal[0]) if len(unequal) else count
    return _difference(inputs, "orders", at, sides={"backtest": left, "runner": right})


def _against_vectorbt(inputs: KernelInput, ours: Trace) -> tuple[dict[str, Any] | None, tuple[str, ...]]:
    """Return vectorbt's first difference from the kernel, or None, and the names of what was left out."""
    from atb.validation.vectorbt_trace import vectorbt_trace

    view, left_out = vectorbt_view(inputs)
    kernel, theirs = _kernel_trace(view) if left_out else ours, vectorbt_trace(view)
    if theirs.on_credit:
        kernel = Trace(
            kernel.way,
            kernel.orders[: len(theirs.orders)],
            kernel.trades[: len(theirs.trades)],
            kernel.equity[: len(theirs.equity)],
        )
        left_out += ("anything after an exit on credit",)
    return first_difference(view, kernel, theirs), left_out


def vectorbt_view(inputs: KernelInput) -> tuple[KernelInput, tuple[str, ...]]:
    """Return the inputs without the costs that vectorbt cannot account for, and the names of these; the same object if none."""
    parameters, market = inputs.parameters.copy(), inputs.market.copy()
    rates = np.maximum(parameters["taker_fee"], parameters["maker_fee"])
    costs = {
        "fees in base": bool((parameters["fee_in_base"] * rates > 0).any()),
        "funding": inputs.funded,
        "borrow interest": bool((parameters["borrow_rate"] > 0).any()),
    }
    left_out = tuple(name for name, found in costs.items() if found)
    if not left_out:
        return inputs, ()
    parameters["fee_in_base"], parameters["borrow_rate"], market["funding"] = 0, 0.0, 0.0
    return replace(inputs, parameters=parameters).with_market(market), left_out


def _kernel_trace(inputs: KernelInput) -> Trace:
    outcome = simulate(inputs)
    state = outcome.account.tobytes() + outcome.slots.tobytes()
    return Trace("kernel", outcome.orders, outcome.trades, outcome.equity, outcome.refusals, state)


def stepwise(inputs: KernelInput) -> Trace:
    """Call the kernel one timestamp at a time; after each, save the state to bytes and to JSON and load it back."""
    import json

    state = KernelState.fresh(inputs.account.cash, limits=inputs.limits, parameters=inputs.parameters)
    orders: list[Any] = []
    trades: list[Any] = []
    refusals: list[tuple[int, int, int]] = []
    equity: list[float] = []

    def meet(rows: NDArray[np.int64], phase: int, time: int) -> None:
        for order, trade in state.orders(inputs.market, rows, phase):
            orders.append(order)
            trades.extend([] if trade is None else [trade])
        note(time)

    def note(time: int) -> None:
        refusals.extend((slot, time, code) for slot, code in state.take_refusals())

    for e, time in enumerate(inputs.events.tolist()):
        closing = inputs.closing[e]
        meet(closing, records.RANGE, time)
        if (closing >= 0).any():
            state.decide(inputs.market, inputs.signals, closing)
            equity.append(float(state.account[0]["equity"]))
            note(time)
        meet(inputs.opening[e], records.OPEN, time)
        state.load_bytes(state.to_bytes())
        state.load_json(json.loads(dumps(state)))
    tables = (np.array(orders, records.ORDER), np.array(trades, records.TRADE), np.array(equity))
    return Trace("stepwise", *tables, np.array(refusals, records.REFUSAL), state.to_bytes())


def first_difference(inputs: KernelInput, ours: Trace, theirs: Trace) -> dict[str, Any] | None:
    """Return the first difference of `theirs` from `ours` with both sides and the inputs of that bar, or None."""
    for table in ("orders", "trades", "refusals"):
        left, right = getattr(ours, table), getattr(theirs, table)
        if left is None or right is None:
            continue
        common = min(len(left), len(right))
        unequal = [i for i in range(common) if left[i].tobytes() != right[i].tobytes()]
        if unequal or len(left) != len(right):
            found = _difference(
                inputs, table, unequal[0] if unequal else common, sides={ours.way: left, theirs.way: right}
            )
            return found | ({"stopped": theirs.stopped} if theirs.stopped else {})
    return _moved_equity(inputs, ours, theirs) or _other_state(inputs, ours, theirs)


def _difference(inputs: KernelInput, table: str, at: int, *, sides: dict[str, Records]) -> dict[str, Any]:
    """Return one row of a table on both sides (None where a side has no such row), its position, and the inputs behind it."""
    shown = next(rows[at] for rows in sides.values() if at < len(rows))
    named = {way: _named(rows[at], table) if at < len(rows) else None for way, rows in sides.items()}
    time, row = int(shown["exit_time" if table == "trades" else "time"]), shown["row"] if table == "orders" else None
    return {"table": table, "index": at, **named, **_inputs(inputs, int(shown["slot"]), time, row=row)}


def _inputs(inputs: KernelInput, s: int, time: int, *, row: int | None = None) -> dict[str, Any]:
    """Return the slot, the time, the bar that an order met or that closed then, and the signal of the bar before it."""
    first, last = inputs.parts[s].start, inputs.parts[s].stop
    if row is None:
        row = first + min(int(np.searchsorted(inputs.market["closed"][first:last], time)), last - first - 1)
    slot = inputs.slots[s]
    return {
        "slot": s,
        "symbol": str(slot.bars.symbol),
        "strategy": slot.strategy.name,
        "time": _moment(time),
        "bar": _named(inputs.market[row], "bar") | {"opened": _moment(int(inputs.market["opened"][row]))},
        "signal_before": _named(inputs.signals[row - 1], "signal") if row > first else None,
    }


def _moment(time: int) -> str:
    return str(np.datetime64(time, "ms")) + "Z"


def _moved_equity(inputs: KernelInput, ours: Trace, theirs: Trace) -> dict[str, Any] | None:
    common = min(len(ours.equity), len(theirs.equity))
    bits = [trace.equity[:common].view(np.int64) for trace in (ours, theirs)]
    moved = np.flatnonzero(bits[0] != bits[1])
    if not len(moved) and len(ours.equity) == len(theirs.equity):
        return None
    at = int(moved[0]) if len(moved) else common
    values = {trace.way: float(trace.equity[at]) if at < len(trace.equity) else None for trace in (ours, theirs)}
    time = int(inputs.closes[min(at, len(inputs.closes) - 1)])
    return {"table": "equity", "index": at, **values, **_inputs(inputs, 0, time)}


def _other_state(inputs: KernelInput, ours: Trace, theirs: Trace) -> dict[str, Any] | None:
    """Return the fields in which two final states differ, by execution."""
    if ours.state is None or theirs.state is None or ours.state == theirs.state:
        return None
    fields = [_fields(inputs, trace.state or b"") for trace in (ours, theirs)]
    other = [name for name in fields[0] if repr(fields[0][name]) != repr(fields[1][name])]
    sides = {trace.way: {name: of[name] for name in other} for trace, of in zip((ours, theirs), fields, strict=True)}
    return {"table": "state", "index": 0, **sides}


def _fields(inputs: KernelInput, saved: bytes) -> dict[str, Any]:
    """Return a saved state as flat fields, such as `account.cash` and `slot 0.stop`."""
    state = KernelState.fresh(inputs.account.cash, limits=inputs.limits, parameters=inputs.parameters)
    state.load_bytes(saved)
    plain = state.to_json()
    parts = {"account": plain["account"], **{f"slot {s}": slot for s, slot in enumerate(plain["slots"])}}
    return {f"{part}.{name}": value for part, values in parts.items() for name, value in values.items()}


def _named(record: Any, table: str) -> dict[str, Any]:
    """Return a record as plain values; codes by their names, NaN as None."""
    values = {name: record[name].item() for name in record.dtype.names}
    reasons = codes.REFUSALS if table == "refusals" else codes.REASONS
    for name, names in (("role", codes.ROLES), ("kind", codes.KINDS), ("reason", reasons)):
        if name in values:
            values[name] = names.get(values[name], values[name])
    return {name: None if value != value else value for name, value in values.items()}  # noqa: PLR0124  (NaN != NaN)
