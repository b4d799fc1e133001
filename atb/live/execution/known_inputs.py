"""The inputs a book knows: by slot the rows handed in at its decisions, and what the journal records of them.

A process records every row that it hands in at its first decision of a slot, and then the new ones. So the journal alone tells what
each decision was handed, and a session can be replayed from it.
"""

from collections.abc import Mapping
from typing import Any

from atb.domain.input_series import InputSeries
from atb.live.feed.market import History, Moment
from atb.live.journal.handed_inputs import record_of
from atb.live.portfolio import Portfolio


class KnownInputs:
    """Rows of inputs by slot and name, no more than the next decision needs.

    Parameters
    ----------
    portfolio
        Whose inputs.
    rows
        Those known at the start.
    """

    def __init__(self, portfolio: Portfolio, rows: Mapping[int, Mapping[str, InputSeries]]) -> None:
        self._portfolio = portfolio
        self.rows: dict[int, dict[str, InputSeries]] = {slot: dict(named) for slot, named in rows.items()}
        self._recorded: set[int] = set()

    def learn(self, moment: Moment, histories: Mapping[int, History]) -> dict[int, dict[str, Any]]:
        """Add the rows that became known; return by slot that closes what the journal records of its inputs."""
        return {
            slot: self._learn(slot, moment, histories[slot])
            for slot in moment.closing
            if self._portfolio.plans[slot].inputs
        }

    def _learn(self, slot: int, moment: Moment, history: History) -> dict[str, Any]:
        plan, known = self._portfolio.plans[slot], self.rows.setdefault(slot, {})
        closes = history.last(plan.warmup + 1).closed_ms
        record = {}
        for name in plan.inputs:
            new = moment.inputs.get(slot, {}).get(name)
            if new is not None:
                known[name] = known[name].appended(new) if name in known else new
            known[name] = known[name].cut(closes)
            record[name] = record_of(known[name], known[name] if slot not in self._recorded else new)
        self._recorded.add(slot)
        return record
