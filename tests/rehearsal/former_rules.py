"""Former rules of the runner, put back for the length of a block: the judge has to find what they do."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest.mock import patch

from atb.domain import Fill
from atb.live.execution.blotter import Outstanding
from atb.live.execution.execution_reports import ExecutionReports
from atb.live.execution.order_status import OrderStatus
from atb.live.journal.step import Step


async def _believe_not_found(self: OrderStatus, missing: list[Outstanding], asked_ms: int, step: Step) -> None:
    """End what is neither found nor listed once its window is over, and send an entry again while there is time."""
    listed = {report.client_id for report in await self._broker.open_orders(missing[0].order.symbol)}
    for one in missing:
        if asked_ms <= self._over_ms(one) or one.client_id in listed:
            continue
        one.end("absent")
        self._resolved(one, step)
        closed_ms = self._reports.book.portfolio.plans[one.slot].timeframe.next_ms(one.bar_ms)
        if one.role == "entry" and asked_ms - closed_ms > self._timing.entry_grace_ms:
            self._reports.drop_entry(one.slot)


async def _identify_nothing(*_: Any) -> None:
    """Ask for no order of an execution."""


def _is_nameless(self: OrderStatus, fill: Fill) -> bool:
    """Take an execution without a client id for ours only while an answer is missing."""
    return not fill.client_id and self._blotter.owner_of(fill) is None and bool(self._blotter.unknown())


@contextmanager
def not_found_is_absent() -> Iterator[None]:
    """Let "not found" after the window outweigh everything that speaks for an order, and forget what was given up."""
    former: dict[tuple[type, str], Any] = {
        (OrderStatus, "_weigh"): _believe_not_found,
        (OrderStatus, "_identify"): _identify_nothing,
        (OrderStatus, "_is_nameless"): _is_nameless,
        (ExecutionReports, "_restore"): lambda *_: None,
    }
    with ExitStack() as stack:
        for (owner, name), rule in former.items():
            stack.enter_context(patch.object(owner, name, rule))
        yield
