"""Former rules of the runner, put back for the length of a block: the judge has to find what they do."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from decimal import Decimal
from typing import Any
from unittest.mock import patch

from atb.decimals import exact
from atb.domain import Fill, Order
from atb.engine.matching import round_price
from atb.live.execution import exchange_desk, execution_reports
from atb.live.execution.blotter import Outstanding
from atb.live.execution.book import Book
from atb.live.execution.exchange_desk import ExchangeDesk
from atb.live.execution.execution_reports import ExecutionReports
from atb.live.execution.order_status import OrderStatus
from atb.live.execution.planning import Cancel, Place, SlotPlanner
from atb.live.execution.protection import Arrangement
from atb.live.execution.symbol_terms import SymbolTerms
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


# --- protection -----------------------------------------------------------------------------------------------------------

Rules = dict[tuple[Any, str], Any]


def _keep_part_locked(withdraw: Any) -> Any:
    def rule(self: SlotPlanner) -> Any:
        request = withdraw(self)
        return None if request is not None and request.group[0].filled > 0 else request

    return rule


def _make_plain(self: ExecutionReports, outstanding: Outstanding, _meaning: str, *, listed: bool) -> None:
    """Send an entry without its stop whatever its list was refused for."""
    if listed:
        self.plain.add(outstanding.slot)
    else:
        self.drop_entry(outstanding.slot)


def _bounded_by_the_band(self: SlotPlanner, order: Order) -> Order:
    """Give an entry its worst price by the band, whatever the account can pay."""
    return replace(order, price=exact(round_price(1, float(self._quoted["mark"]) * (1.0 + self.band), self.parameters)))


def _cancel_then_leave(self: SlotPlanner) -> Any:
    """Cancel what rests, and sell with the next request."""
    rests = self.blotter.open(self.slot)
    if not self.settled or not self.leaving or any(order.order.type == "market" for order in rests):
        return None
    groups = self._groups(rests)
    return Cancel(self.slot, groups[0]) if groups else Place(self.slot, self._exit(exact(self.record["quantity"])))


def _judge_unasked(update: Any) -> Any:
    """Take no quantity that a leg got after its list was answered."""
    return lambda self, report: update(self, replace(report, quantity=Decimal(0)))


def _fees_are_surplus(*_: Any) -> Decimal:
    """Count the fee of an entry, where its legs sell all that it bought, as quantity beyond what is wanted."""
    return Decimal(0)


def _judge_pair_as_stop(unprotected: Any) -> Any:
    """Count a pair that is refused for no reason of prices as a stop that is refused."""
    return lambda self, outstanding, meaning: unprotected(self, replace(outstanding, list_id=None), meaning)


async def _open_unasked(*_: Any, **__: Any) -> bool:
    """Take every market for open."""
    return True


PROTECTION: dict[str, Rules] = {
    "a part is left locked": {(SlotPlanner, "_withdraw"): _keep_part_locked(SlotPlanner._withdraw)},
    "any refusal makes entries bare": {(ExecutionReports, "_entry_refused"): _make_plain},
    "legs are judged unasked": {
        (Outstanding, "update"): _judge_unasked(Outstanding.update),
        (Arrangement, "_fee_of"): _fees_are_surplus,
    },
    "an exit first cancels": {
        (exchange_desk, "_PLANS"): (_cancel_then_leave, SlotPlanner.protect, _cancel_then_leave, SlotPlanner.enter)
    },
    "the worst price is not bounded": {
        (ExecutionReports, "_entry_refused"): _make_plain,
        (SlotPlanner, "_bounded"): _bounded_by_the_band,
    },
    "the market's status is not read": {(SymbolTerms, "is_open"): _open_unasked},
    "words about prices are not read": {
        (execution_reports, "meaning_of"): lambda _: "other",
        (ExecutionReports, "_unprotected"): _judge_pair_as_stop(ExecutionReports._unprotected),
    },
}


@contextmanager
def former(name: str) -> Iterator[None]:
    """Put a former rule of protection back."""
    with ExitStack() as stack:
        for (owner, attribute), rule in PROTECTION[name].items():
            stack.enter_context(patch.object(owner, attribute, rule))
        yield


@contextmanager
def quarantine_bars_decisions_alone() -> Iterator[None]:
    """Ask whether a symbol is quarantined at closes, and not before what is sent between them."""

    def barred(self: ExchangeDesk, request: Any, _step: Step) -> bool:
        return isinstance(request, Place) and request.orders[0].role == "entry" and not self.may_enter()

    with patch.object(ExchangeDesk, "_barred", barred):
        yield


@contextmanager
def dust_stays_a_position() -> Iterator[None]:
    """Let what no order can sell stay a position, which is to be protected and closed for ever."""
    with (
        patch.object(ExecutionReports, "close_dust", lambda *_: False),
        patch.object(Book, "holds_dust", lambda *_: False),
        patch.object(Book, "set_aside_dust", lambda *_, **__: 0.0),
    ):
        yield
