"""Slots that cannot act, each with its reason; reported once when that begins and once when it ends.

Computed from what the desk knows after each round of requests, so that a restart comes to the same answer.
"""

from collections.abc import Set
from typing import Literal, get_args

from atb.live.execution.execution_reports import ExecutionReports
from atb.live.journal.step import Notice, Step

# Worst first: of several reasons a slot has the first.
Reason = Literal[
    "unknown entry",  # it is not known whether an entry was executed: none is sent until it is
    "quarantined",  # the account is not as the books say: no entry is sent
    "refused",  # the venue refuses to protect or close the position: it is tried again, ever more slowly
    "closed market",  # the venue takes no orders in the symbol
    "dust",  # what is held is too small to be sold, and the entry that may add to it still rests
]
REASONS: tuple[str, ...] = get_args(Reason)


class StuckSlots:
    """The slots that cannot act.

    Parameters
    ----------
    reports
        With book, blotter and desk state, of which `DeskState.stuck` is written here alone.
    """

    def __init__(self, reports: ExecutionReports) -> None:
        self._reports, self._desk_state = reports, reports.desk_state

    def tell(self, step: Step, refused: Set[int]) -> None:
        """Note in a step which slots became stuck or act again; nothing is reported twice.

        Parameters
        ----------
        refused
            Slots whose exits or stops the venue refused so often that they are tried again slowly.
        """
        for slot, plan in enumerate(self._reports.book.portfolio.plans):
            found = self.reasons_of(slot, refused=slot in refused)
            reason, before = next(iter(found), None), self._desk_state.stuck.get(slot)
            of = {"slot": slot, "symbol": str(plan.symbol)}
            if before is not None and before != reason:
                step.notices.append(Notice("not_stuck", {**of, "reason": before}))
                del self._desk_state.stuck[slot]
            if reason is not None and before != reason:
                step.notices.append(Notice("stuck", {**of, "reason": reason, "about": found[reason]}, "warning"))
                self._desk_state.stuck[slot] = reason

    def reasons_of(self, slot: int, *, refused: bool) -> dict[str, str]:
        """Return why a slot cannot act, in the order of `REASONS`: reason, and what it is about; empty where it can."""
        symbol = str(self._reports.book.portfolio.plans[slot].symbol)
        unknown = self._reports.blotter.unknown(slot)
        lost = [order.client_id for order in unknown if order.role == "entry" and order.next_look_ms]
        found = {
            "unknown entry": next(iter(lost), None),
            "quarantined": self._desk_state.quarantine.get(symbol),
            "refused": symbol if refused else None,
            "closed market": symbol if slot in self._reports.closed else None,
            "dust": symbol if self._reports.book.holds_dust(slot) else None,
        }
        return {reason: about for reason in REASONS if (about := found[reason])}
