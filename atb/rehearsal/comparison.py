"""A rehearsal beside its backtest: without faults they are equal; with faults every decision is, and what orders differ is told."""

import math
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select

from atb.backtest.result import Result
from atb.db import open_database
from atb.db.tables import DecisionRow, FillRow
from atb.domain import BAR_COLUMNS, Timeframe
from atb.engine.codes import REASONS, ROLES, SIDES
from atb.rehearsal.invariants.stop_prices import as_seen

Term = tuple[int, int, str, str, float, str]  # bar or time, slot, role, side, price, reason
_COLUMN = 1e-9  # recursive indicators forget their start to the last bits
_CRUMB = 1e-9  # sums of parts in binary
_CLOSE = 1e-3  # of a quantity: an earlier order at another price leaves another cash


@dataclass(frozen=True)
class Comparison:
    """How many decisions and orders there are, and the first that differs, with both sides' values."""

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
class Beside:
    """A run with faults beside the backtest: what it decided must be the same, what came of it need not.

    Parameters
    ----------
    decisions, otherwise
        Sides decided, and how many of them are not the strategy's.
    first_decision
        The first of those, with both sides.
    served_otherwise, by_served
        Bars that the exchange served with other values when they were decided on (a candle that stood still, or was revised later),
        and how many further sides are not the backtest's, but the strategy's over those.
    orders, differing
        Orders of both (by bar, slot, role and side), and how many of them are in one only or differ in price, reason or, by more
        than a thousandth, in quantity.
    first_order
        The first of those, with both values and, as `struck`, what struck in its bar or the one before.
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
        """Whether every side is the strategy's over the bars that were there."""
        return not self.otherwise

    def to_json(self) -> dict[str, Any]:
        """Return plain values."""
        return {**vars(self), "decided_alike": self.decided_alike}


def lay_beside(
    url: str, result: Result, ledger: Sequence[Mapping[str, Any]], *, end_ms: int, kills: Sequence[tuple[int, int]] = ()
) -> Beside:
    """Lay a run with faults beside the backtest of the same bars.

    Parameters
    ----------
    url
        Database of the run.
    ledger
        The exchange's, where the faults are.
    kills
        When the runner was killed, and for how long.
    """
    decided, fills = _read(url, None)
    sides = {(row.bar_ms, row.slot): row.side for row in decided}
    theirs = _decisions(result)
    differing = sorted(key for key in sides.keys() | theirs.keys() if key not in sides or sides[key] != theirs[key][0])
    served = {(row.bar_ms, row.slot): row.bar for row in decided if row.bar != theirs[row.bar_ms, row.slot][1]}
    seen = _sides_as_seen(result, served) if differing and served else {}
    others = [key for key in differing if key not in sides or sides[key] != seen.get(key, ...)]
    first = None
    if others:
        first = {"key": list(others[0]), "runner": sides.get(others[0]), "backtest": theirs[others[0]][0]}
    ours = _by_purpose(_fills([fill for fill in fills if fill.time_ms < end_ms], result, paper=False))
    wanted = _by_purpose(_orders(result, None))
    keys = sorted(key for key in ours.keys() | wanted.keys() if not _alike(ours.get(key), wanted.get(key)))
    told = None
    if keys:
        frame_ms = result.problem.slots[keys[0][1]].bars.timeframe.seconds * 1_000
        struck = _struck_within(ledger, kills, begin=keys[0][0] - frame_ms, end=keys[0][0] + frame_ms)
        told = {"key": list(keys[0]), "runner": ours.get(keys[0]), "backtest": wanted.get(keys[0]), "struck": struck}
    revised = len(differing) - len(others)
    return Beside(
        len(sides), len(others), first, len(served), revised, len(ours.keys() | wanted.keys()), len(keys), told
    )


def _sides_as_seen(
    result: Result, served: Mapping[tuple[int, int], Mapping[str, float]]
) -> dict[tuple[int, int], float | None]:
    """Return the strategies' sides over the bars as they were served to the runner."""
    found: dict[tuple[int, int], float | None] = {}
    for number, slot in enumerate(result.problem.slots):
        known = as_seen(slot, {bar_ms: bar for (bar_ms, of), bar in served.items() if of == number})
        for opened, side in zip(known.market["opened"], known.signals["side"], strict=True):
            found[int(opened), number] = None if side != side else float(side)  # noqa: PLR0124 (NaN)
    return found


Purpose = tuple[int, int, str, str]  # bar, slot, role, side
Parts = list[tuple[float, str, float]]  # price, reason, quantity


def _by_purpose(orders: Mapping[Term, float]) -> dict[Purpose, Parts]:
    found: dict[Purpose, Parts] = defaultdict(list)
    for (bar, slot, role, side, price, reason), quantity in sorted(orders.items()):
        found[bar, slot, role, side].append((price, reason, quantity))
    return dict(found)


def _alike(one: Parts | None, other: Parts | None) -> bool:
    if one is None or other is None or len(one) != len(other):
        return False
    return all(
        (price, reason) == (its_price, its_reason) and abs(quantity - its_quantity) <= _CLOSE * its_quantity
        for (price, reason, quantity), (its_price, its_reason, its_quantity) in zip(one, other, strict=True)
    )


def _struck_within(
    ledger: Sequence[Mapping[str, Any]], kills: Sequence[tuple[int, int]], *, begin: int, end: int
) -> dict[str, int]:
    """Count what went wrong within a time, by kind; the runner's deaths as `kill`."""
    faults = [entry for entry in ledger if entry["kind"] == "fault" and "ended" not in entry]
    found = Counter(str(entry["fault"]) for entry in faults if begin <= entry["ms"] < end)
    found["kill"] = sum(at < end and at + dead >= begin for at, dead in kills)
    return dict(+found)


def compare(url: str, result: Result, *, end_ms: int, session_id: str | None = None, paper: bool = False) -> Comparison:
    """Compare a session's journal with the backtest of the same bars.

    An order that an exchange holds in parts (each rung of a ladder with its share of the stop) counts as one: parts that fill in
    one bar at one price for one reason are added up.

    Parameters
    ----------
    url
        Database of the session.
    end_ms
        End of the period: what the last decision led to lies beyond it.
    session_id
        Which session; a rehearsal's database holds no other, and it may be left out.
    paper
        Whether its executions carry the kernel's own times, as those of a paper desk do, instead of an exchange's.
    """
    decided, fills = _read(url, session_id)
    ours = {(row.bar_ms, row.slot): (row.side, row.bar) for row in decided}
    theirs = _decisions(result)
    orders = _orders(result, end_ms if paper else None)
    executed = _fills([fill for fill in fills if fill.time_ms < end_ms], result, paper=paper)
    decision = _earlier(_other_column(decided, result), _first(ours, theirs, "decision"))
    difference = decision or _first(executed, orders, "order")
    return Comparison(len(theirs), len(orders), difference)


def _read(url: str, session_id: str | None) -> tuple[Sequence[DecisionRow], Sequence[FillRow]]:
    """Return decisions and executions of a session, of all where none is named."""
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
    """Return by bar and slot the signal and the bar that it was decided on."""
    problem, found = result.problem, {}
    ends = (*problem.offsets[1:], len(problem.market))
    names = problem.market.dtype.names or ()
    for slot, (first, end) in enumerate(zip(problem.offsets, ends, strict=True)):
        for bar, signal in zip(problem.market[first:end], problem.signals[first:end], strict=True):
            side = float(signal["side"])
            values = {name: bar[name].item() for name in names}
            found[int(bar["opened"]), slot] = (None if side != side else side, values)  # noqa: PLR0124 (NaN)
    return found


def _other_column(decided: Sequence[DecisionRow], result: Result) -> dict[str, Any] | None:
    """Return the earliest column of the same bar that the runner computed otherwise than the backtest, with both values.

    A side differs by anything, confidence and prediction by more than a billionth: they are of fewer bars.
    """
    problem, found = result.problem, {(row.bar_ms, row.slot): row for row in decided}
    for (bar_ms, slot), row in sorted(found.items()):
        at = _row(result, bar_ms, slot)
        if at is None or any(row.bar.get(name) != problem.market[name][at].item() for name in BAR_COLUMNS):
            continue
        signal, predictions = problem.signals[at], problem.predictions[slot]
        prediction = math.nan if predictions is None else float(predictions[at - problem.offsets[slot]])
        theirs = {"side": float(signal["side"]), "confidence": float(signal["confidence"]), "prediction": prediction}
        for name, value in theirs.items():
            ours = getattr(row, name)
            if not _same(ours, value, 0.0 if name == "side" else _COLUMN):
                told = {"runner": str(ours), "backtest": str(value)}
                return {"what": f"column {name}", "key": [str(bar_ms), str(slot)], **told}
    return None


def _row(result: Result, bar_ms: int, slot: int) -> int | None:
    """Return the backtest's row of a slot's bar, None where it has none."""
    first, *after = result.problem.offsets[slot:]
    opened = result.problem.market["opened"][first : after[0] if after else None]
    at = int(opened.searchsorted(bar_ms))
    return first + at if at < len(opened) and opened[at] == bar_ms else None


def _earlier(one: dict[str, Any] | None, other: dict[str, Any] | None) -> dict[str, Any] | None:
    """Return the difference at the earlier bar, the first at the same."""
    if one is None or other is None:
        return one or other
    return one if int(one["key"][0]) <= int(other["key"][0]) else other


def _same(ours: float | None, theirs: float, tolerance: float) -> bool:
    if ours is None or math.isnan(theirs):
        return ours is None and math.isnan(theirs)
    return math.isclose(ours, theirs, rel_tol=tolerance, abs_tol=tolerance)


def _orders(result: Result, until_ms: int | None) -> dict[Term, float]:
    """Return quantities by the bar they filled in, or by the kernel's time where that is before `until_ms`."""
    found: dict[Term, float] = defaultdict(float)
    for order in result.outcome.orders:
        opened = int(result.problem.market["opened"][int(order["row"])])
        if until_ms is not None:
            opened = int(order["time"])
            if opened >= until_ms:
                continue
        what = (
            ROLES[int(order["role"])],
            SIDES[int(order["side"])],
            float(order["price"]),
            REASONS[int(order["reason"])],
        )
        found[opened, int(order["slot"]), *what] += float(order["quantity"])
    return found


def _fills(fills: list[FillRow], result: Result, *, paper: bool) -> dict[Term, float]:
    frames = [slot.bars.timeframe for slot in result.problem.slots]
    found: dict[Term, float] = defaultdict(float)
    for fill in fills:
        opened = fill.time_ms if paper else _opened(fill.time_ms, frames[fill.slot])
        found[opened, fill.slot, fill.role, fill.side, float(fill.price), fill.reason or ""] += float(fill.quantity)
    return found


def _opened(time_ms: int, timeframe: Timeframe) -> int:
    """Return the open of the bar that a moment lies in."""
    from datetime import UTC, datetime

    opened = timeframe.floor(datetime.fromtimestamp(time_ms / 1_000, UTC))
    return int(opened.timestamp() * 1_000)


def _first(ours: dict[Any, Any], theirs: dict[Any, Any], what: str) -> dict[str, Any] | None:
    """Return the earliest key whose values differ, with both."""
    for key in sorted(set(ours) | set(theirs)):
        one, other = ours.get(key), theirs.get(key)
        if one != other and not (isinstance(one, float) and isinstance(other, float) and abs(one - other) <= _CRUMB):
            return {"what": what, "key": [str(part) for part in key], "runner": str(one), "backtest": str(other)}
    return None
