"""Whether a rehearsal without faults is its backtest: every decision, and every order with its price and quantity."""

from collections import defaultdict
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select

from atb.backtest.result import Result
from atb.db import open_database
from atb.db.tables import DecisionRow, FillRow
from atb.domain import Timeframe
from atb.engine.codes import REASONS, ROLES, SIDES

Term = tuple[int, int, str, str, float, str]  # bar or time, slot, role, side, price, reason
_CRUMB = 1e-9  # sums of parts in binary


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
    decisions = select(DecisionRow).order_by(DecisionRow.bar_ms, DecisionRow.slot)
    executions = select(FillRow).order_by(FillRow.fill_no)
    if session_id is not None:
        decisions = decisions.where(DecisionRow.session_id == session_id)
        executions = executions.where(FillRow.session_id == session_id)
    database = open_database(url)
    try:
        with database.session(read_only=True) as session:
            decided = session.scalars(decisions).all()
            fills = session.scalars(executions).all()
    finally:
        database.close()
    ours = {(row.bar_ms, row.slot): (row.side, row.bar) for row in decided}
    theirs = _decisions(result)
    orders = _orders(result, end_ms if paper else None)
    executed = _fills([fill for fill in fills if fill.time_ms < end_ms], result, paper=paper)
    difference = _first(ours, theirs, "decision") or _first(executed, orders, "order")
    return Comparison(len(theirs), len(orders), difference)


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
