"""A session compared with its backtest: equal without faults; with faults equal in its decisions, and differing orders reported."""

import math
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from sqlalchemy import select

from atb.backtest.result import Result
from atb.db import open_database
from atb.db.tables import DecisionRow, FillRow
from atb.domain import BAR_COLUMNS, Timeframe
from atb.engine.codes import REASONS, ROLES, SIDES
from atb.engine.records import SHRUNK_BY_CASH
from atb.live.journal.replay import columns_as_decided
from atb.rehearsal.lots import quantity_spans

OrderKey = tuple[int, int, str, str, float, str]  # bar or time, slot, role, side, price, reason
_COLUMN_TOLERANCE = 1e-9  # relative; recursive indicators keep a trace of where they started
_QUANTITY_ROUNDING = 1e-9  # absolute; parts of an order are summed in binary
_QUANTITY_TOLERANCE = 1e-3  # relative; an earlier order at another price leaves another amount of cash


@dataclass(frozen=True)
class Comparison:
    """Number of decisions and orders compared, and the first difference with both values."""

    decisions: int
    orders: int
    first_difference: dict[str, Any] | None = None

    @property
    def equal(self) -> bool:
        """Whether nothing differs."""
        return self.first_difference is None

    def to_json(self) -> dict[str, Any]:
        """Return plain values."""
        return {
            "decisions": self.decisions,
            "orders": self.orders,
            "equal": self.equal,
            "first_difference": self.first_difference,
        }


@dataclass(frozen=True)
class FaultComparison:
    """A run with faults compared with the backtest: decisions must be the same, orders need not.

    Parameters
    ----------
    decisions, otherwise
        Number of sides decided, and how many of them do not follow from the strategy.
    first_decision
        The first of those, with both sides.
    served_otherwise, by_served
        Number of bars that the exchange served with other values at the time (a frozen candle, or one revised later), and how many
        further sides differ from the backtest's because the strategy was given those values, or an input late.
    orders, differing
        Number of orders in either (by bar, slot, role and side), and how many are missing in one or differ in price, reason or, by
        more than a thousandth, in quantity.
    first_order
        The first of those, with both values and, as `struck`, the faults in its bar or the one before.
    """

    decisions: int
    otherwise: int
    first_decision: dict[str, Any] | None
    served_otherwise: int
    by_served: int
    orders: int
    differing: int
    first_order: dict[str, Any] | None

    @property
    def decided_alike(self) -> bool:
        """Whether every side follows from the strategy and the bars it was given."""
        return not self.otherwise

    def to_json(self) -> dict[str, Any]:
        """Return plain values."""
        return {**vars(self), "decided_alike": self.decided_alike}


def compare_with_faults(
    url: str, result: Result, ledger: Sequence[Mapping[str, Any]], *, end_ms: int, kills: Sequence[tuple[int, int]] = ()
) -> FaultComparison:
    """Compare a run with faults with the backtest of the same bars.

    Parameters
    ----------
    url
        Database of the run.
    ledger
        The exchange's entries, faults among them.
    kills
        When the runner was killed, and how long it was down, in milliseconds.
    """
    decided, fills = _read(url, None)
    sides = {(row.bar_ms, row.slot): row.side for row in decided}
    theirs = _decisions(result)
    differing = sorted(key for key in sides.keys() | theirs.keys() if key not in sides or sides[key] != theirs[key][0])
    served = [row for row in decided if row.bar != theirs[row.bar_ms, row.slot][1]]
    reads = any(slot.declared for slot in result.inputs.slots)
    seen = _sides_as_seen(result, decided if reads else served) if differing and (served or reads) else {}
    others = [key for key in differing if key not in sides or sides[key] != seen.get(key, ...)]
    first = None
    if others:
        first = {"key": list(others[0]), "runner": sides.get(others[0]), "backtest": theirs[others[0]][0]}
    ours = _by_purpose(_fills([fill for fill in fills if fill.time_ms < end_ms], result, paper=False))
    wanted = _by_purpose(_orders(result, None))
    keys = sorted(key for key in ours.keys() | wanted.keys() if not _alike(ours.get(key), wanted.get(key)))
    first_order = None
    if keys:
        frame_ms = result.inputs.slots[keys[0][1]].bars.timeframe.seconds * 1_000
        struck = _faults_between(ledger, kills, begin=keys[0][0] - frame_ms, end=keys[0][0] + frame_ms)
        both = {"runner": ours.get(keys[0]), "backtest": wanted.get(keys[0])}
        first_order = {"key": list(keys[0]), **both, "struck": struck}
    revised = len(differing) - len(others)
    return FaultComparison(
        len(sides), len(others), first, len(served), revised, len(ours.keys() | wanted.keys()), len(keys), first_order
    )


def _sides_as_seen(result: Result, decided: Sequence[DecisionRow]) -> dict[tuple[int, int], float | None]:
    """Return the strategies' sides over the bars and inputs that the runner was given at these decisions."""
    found: dict[tuple[int, int], float | None] = {}
    for number, slot in enumerate(result.inputs.slots):
        seen = {row.bar_ms: {"bar": row.bar, "inputs": row.inputs} for row in decided if row.slot == number}
        known = columns_as_decided(slot, seen)
        for opened, side in zip(known.market["opened"], known.signals["side"], strict=True):
            found[int(opened), number] = None if side != side else float(side)  # noqa: PLR0124 (NaN)
    return found


Purpose = tuple[int, int, str, str]  # bar, slot, role, side
Parts = list[tuple[float, str, float]]  # price, reason, quantity


def _by_purpose(orders: Mapping[OrderKey, float]) -> dict[Purpose, Parts]:
    found: dict[Purpose, Parts] = defaultdict(list)
    for (bar, slot, role, side, price, reason), quantity in sorted(orders.items()):
        found[bar, slot, role, side].append((price, reason, quantity))
    return dict(found)


def _alike(ours: Parts | None, theirs: Parts | None) -> bool:
    if ours is None or theirs is None or len(ours) != len(theirs):
        return False
    return all(
        (price, reason) == (its_price, its_reason)
        and abs(quantity - its_quantity) <= _QUANTITY_TOLERANCE * its_quantity
        for (price, reason, quantity), (its_price, its_reason, its_quantity) in zip(ours, theirs, strict=True)
    )


def _faults_between(
    ledger: Sequence[Mapping[str, Any]], kills: Sequence[tuple[int, int]], *, begin: int, end: int
) -> dict[str, int]:
    """Count the faults within a span by kind; kills of the runner count as `kill`."""
    faults = [entry for entry in ledger if entry["kind"] == "fault" and "ended" not in entry]
    found = Counter(str(entry["fault"]) for entry in faults if begin <= entry["ms"] < end)
    found["kill"] = sum(at < end and at + dead >= begin for at, dead in kills)
    return dict(+found)


def compare(url: str, result: Result, *, end_ms: int, session_id: str | None = None, paper: bool = False) -> Comparison:
    """Compare a session's journal with the backtest of the same bars.

    An order held in parts at an exchange (each rung of a ladder with its share of the stop) counts as one: parts that fill in one
    bar at one price for one reason are summed. Where an exchange takes fees in base, quantities may differ by two lots, and by the
    dust that the session's own executions show (`atb.rehearsal.lots`).

    Parameters
    ----------
    url
        Database of the session.
    end_ms
        End of the period; fills of the last decision come later and are ignored.
    session_id
        Session to compare; None takes all rows, as in a rehearsal's own database.
    paper
        Whether fills carry the kernel's times (paper trading) instead of an exchange's.
    """
    decided, fills = _read(url, session_id)
    ours = {(row.bar_ms, row.slot): (row.side, row.bar) for row in decided}
    theirs = _decisions(result)
    orders = _orders(result, end_ms if paper else None)
    before = [fill for fill in fills if fill.time_ms < end_ms]
    executed = _fills(before, result, paper=paper)
    decision = _earlier(_differing_column(decided, result), _first_difference(ours, theirs, "decision"))
    spans = {} if paper else _spans(executed, orders, before, result=result)
    difference = decision or _first_difference(executed, orders, "order", spans=spans)
    return Comparison(len(theirs), len(orders), difference)


def _spans(
    executed: Mapping[OrderKey, float], orders: Mapping[OrderKey, float], fills: Sequence[FillRow], *, result: Result
) -> dict[OrderKey, tuple[float, float]]:
    """Return the quantities that a session may have traded, of the slots that pay their fees in base."""
    lots = {
        number: float(slot.instrument.lot)
        for number, slot in enumerate(result.inputs.slots)
        if slot.execution.fee_in_base and slot.instrument
    }
    in_base = [fill for fill in fills if fill.fee_asset == fill.symbol.partition("/")[0]]
    paid, paid_there = _fills(in_base, result, paper=False, of="fee"), _orders(result, None, of="fee_base")
    return quantity_spans(
        {key: (quantity, paid.get(key, 0.0)) for key, quantity in executed.items()},
        {key: (quantity, paid_there[key]) for key, quantity in orders.items()},
        lots,
        least_equity=float(result.outcome.equity.min()),
        all_in={int(row["slot"]) for row in result.outcome.refusals if int(row["reason"]) == SHRUNK_BY_CASH},
    )


def _read(url: str, session_id: str | None) -> tuple[Sequence[DecisionRow], Sequence[FillRow]]:
    """Return decisions and fills of a session, or of all sessions if none is given."""
    decisions = select(DecisionRow).order_by(DecisionRow.bar_ms, DecisionRow.slot)
    executions = select(FillRow).order_by(FillRow.fill_no)
    if session_id is not None:
        decisions = decisions.where(DecisionRow.session_id == session_id)
        executions = executions.where(FillRow.session_id == session_id)
    database = open_database(url)
    try:
        with database.session(read_only=True) as session:
            return session.scalars(decisions).all(), session.scalars(executions).all()
    finally:
        database.close()


def _decisions(result: Result) -> dict[tuple[int, int], tuple[float | None, dict[str, float]]]:
    """Return by bar and slot the side and the bar it was decided on."""
    problem, found = result.inputs, {}
    names = problem.market.dtype.names or ()
    for slot, part in enumerate(problem.parts):
        for bar, signal in zip(problem.market[part], problem.signals[part], strict=True):
            side = float(signal["side"])
            values = {name: bar[name].item() for name in names}
            found[int(bar["opened"]), slot] = (None if side != side else side, values)  # noqa: PLR0124 (NaN)
    return found


def _differing_column(decided: Sequence[DecisionRow], result: Result) -> dict[str, Any] | None:
    """Return the first column that the runner and the backtest computed differently over the same bar, with both values.

    Sides must be equal; confidence and prediction may differ by a billionth, since the runner computes them from fewer bars.
    """
    problem, found = result.inputs, {(row.bar_ms, row.slot): row for row in decided}
    for (bar_ms, slot), row in sorted(found.items()):
        at = _row(result, bar_ms, slot)
        if at is None or any(row.bar.get(name) != problem.market[name][at].item() for name in BAR_COLUMNS):
            continue
        signal, predictions = problem.signals[at], problem.predictions[slot]
        prediction = math.nan if predictions is None else float(predictions[at - problem.parts[slot].start])
        theirs = {"side": float(signal["side"]), "confidence": float(signal["confidence"]), "prediction": prediction}
        for name, value in theirs.items():
            ours = getattr(row, name)
            if not _same(ours, value, 0.0 if name == "side" else _COLUMN_TOLERANCE):
                key = [str(bar_ms), str(slot)]
                return {"what": f"column {name}", "key": key, "runner": str(ours), "backtest": str(value)}
    return None


def _row(result: Result, bar_ms: int, slot: int) -> int | None:
    """Return the backtest's row of a slot's bar, None if it has none."""
    part = result.inputs.parts[slot]
    opened = result.inputs.market["opened"][part]
    at = int(opened.searchsorted(bar_ms))
    return part.start + at if at < len(opened) and opened[at] == bar_ms else None


def _earlier(first: dict[str, Any] | None, second: dict[str, Any] | None) -> dict[str, Any] | None:
    """Return the difference at the earlier bar, the first one if both are at the same bar."""
    if first is None or second is None:
        return first or second
    return first if int(first["key"][0]) <= int(second["key"][0]) else second


def _same(ours: float | None, theirs: float, tolerance: float) -> bool:
    if ours is None or math.isnan(theirs):
        return ours is None and math.isnan(theirs)
    return math.isclose(ours, theirs, rel_tol=tolerance, abs_tol=tolerance)


def _orders(
    result: Result, until_ms: int | None, *, of: Literal["quantity", "fee_base"] = "quantity"
) -> dict[OrderKey, float]:
    """Return quantities (or fees in base) by the bar of the fill; with `until_ms` by the kernel's time instead, up to it."""
    found: dict[OrderKey, float] = defaultdict(float)
    for order in result.outcome.orders:
        opened = int(result.inputs.market["opened"][int(order["row"])])
        if until_ms is not None:
            opened = int(order["time"])
            if opened >= until_ms:
                continue
        key = (
            ROLES[int(order["role"])],
            SIDES[int(order["side"])],
            float(order["price"]),
            REASONS[int(order["reason"])],
        )
        found[opened, int(order["slot"]), *key] += float(order[of])
    return found


def _fills(
    fills: Sequence[FillRow], result: Result, *, paper: bool, of: Literal["quantity", "fee"] = "quantity"
) -> dict[OrderKey, float]:
    frames = [slot.bars.timeframe for slot in result.inputs.slots]
    found: dict[OrderKey, float] = defaultdict(float)
    for fill in fills:
        opened = fill.time_ms if paper else _opened(fill.time_ms, frames[fill.slot])
        found[opened, fill.slot, fill.role, fill.side, float(fill.price), fill.reason or ""] += float(getattr(fill, of))
    return found


def _opened(time_ms: int, timeframe: Timeframe) -> int:
    """Return the open of the bar that contains a time."""
    from datetime import UTC, datetime

    opened = timeframe.floor(datetime.fromtimestamp(time_ms / 1_000, UTC))
    return int(opened.timestamp() * 1_000)


def _first_difference(
    ours: dict[Any, Any], theirs: dict[Any, Any], what: str, *, spans: Mapping[Any, tuple[float, float]] | None = None
) -> dict[str, Any] | None:
    """Return the smallest key whose values differ, with both values; values within their key's span count as equal."""
    for key in sorted(set(ours) | set(theirs)):
        mine, other = ours.get(key), theirs.get(key)
        alike = mine == other
        if isinstance(mine, float) and isinstance(other, float):
            least, most = (spans or {}).get(key, (other - _QUANTITY_ROUNDING, other + _QUANTITY_ROUNDING))
            alike = least <= mine <= most
        if not alike:
            return {"what": what, "key": [str(part) for part in key], "runner": str(mine), "backtest": str(other)}
    return None
