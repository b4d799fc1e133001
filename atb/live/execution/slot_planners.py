"""Makes the planner of a slot, from what book, account and venue say at the moment."""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from atb.decimals import exact
from atb.domain.ports import Broker
from atb.domain.venue import Answer, Capabilities
from atb.engine.records import AT_MARKET
from atb.errors import VenueError
from atb.live.execution.blotter import Outstanding
from atb.live.execution.drift import free, total
from atb.live.execution.execution_reports import ExecutionReports
from atb.live.execution.orders import OrderMaker
from atb.live.execution.planning import SlotPlanner
from atb.live.execution.refusals import meaning_of
from atb.live.execution.timing import DeskTiming

if TYPE_CHECKING:
    from decimal import Decimal


class SlotPlanners:
    """Makes planners.

    Parameters
    ----------
    broker, reports, timing
        The venue, what is known of the slots, and the band of market entries.
    makers
        Order factory per slot.
    """

    def __init__(
        self, broker: Broker, reports: ExecutionReports, makers: Mapping[int, OrderMaker], *, timing: DeskTiming
    ) -> None:
        self._broker, self._reports, self._makers, self._timing = broker, reports, makers, timing
        self._book, self._blotter = reports.book, reports.blotter
        self._quotes: dict[int, Decimal] = {}  # last prices of symbols that are about to be entered
        self._short: set[int] = set()  # slots whose last lot the account has in part only

    def of(self, slot: int) -> SlotPlanner:
        """Return the planner of a slot as things are."""
        reports = self._reports
        return SlotPlanner(
            slot,
            self.available(slot),
            self._book.parameters(slot),
            self._makers[slot],
            reports.desk_state.bars.get(slot, 0),
            self._blotter,
            self._capabilities(slot),
            slot in reports.crossed,
            slot in reports.reached,
            slot in reports.plain,
            self._quotes.get(slot),
            reports.funds.get(slot, exact(self._book.cash)),
            self._timing.entry_band,
            self._stop_limit(slot),
            self._stop_room(slot),
            self._book.holds_dust(slot),
        )

    def available(self, slot: int) -> np.void:
        """Return a slot's record, limited to what the account still has of its position, in whole lots."""
        present, record = self._reports.desk_state.present.get(slot), self._book.slot(slot)
        if not record["quantity"]:
            self._short.discard(slot)
        if present is None and slot in self._short:
            rest = exact(record["quantity"]) - exact(self._book.parameters(slot)["lot"])
            present = rest if rest > 0 else None
        return record if present is None else self._book.limited_to(slot, present)

    async def learn(self, answer: Answer, first: Outstanding) -> None:
        """Ask for facts that a refused placement leaves open: the price, the free balance, what the account has."""
        slot, symbol, reports = first.slot, first.order.symbol, self._reports
        try:
            await self._ask_holding(first, answer)
            if slot in reports.unclear:
                reports.judge_pair(slot, await self._broker.price(symbol))
            if slot in reports.tight and slot not in reports.funds:
                reports.funds[slot] = free(await self._broker.balances(), symbol.quote)
        except VenueError:  # what is not known: the stop rests alone, the entry waits for another bar
            if slot in reports.unclear:
                reports.unclear.discard(slot)
                reports.alone.add(slot)
            elif slot in reports.tight:
                reports.drop_entry(slot)

    async def _ask_holding(self, sale: Outstanding, answer: Answer) -> None:
        """Ask what the account has after a sale was refused for want of it: less than the books, it may be by less than a lot.

        So little is no drift (dust of the books was taken from the account), but it leaves a lot that no order can sell: all but
        that lot is protected and sold, and the lot is dust at last.
        """
        slot, symbol = sale.slot, sale.order.symbol
        if answer.outcome != "rejected" or sale.role == "entry" or meaning_of(answer) != "poor":
            return
        has, lot = total(await self._broker.balances(), symbol.base), exact(self._book.parameters(slot)["lot"])
        held = sum((exact(self._book.slot(other)["quantity"]) for other in self._sharing(slot)), exact(0.0))
        short = 0 < held - has < lot
        (self._short.add if short else self._short.discard)(slot)
        if short and exact(self._book.slot(slot)["quantity"]) <= lot:
            self._reports.unsellable.add(slot)

    async def ask_price(self, slot: int) -> None:
        """Ask for the price of a market entry that brings its stop: one placed by the last close would have to be moved at once."""
        self._quotes.pop(slot, None)
        record = self._book.slot(slot)
        wanted = record["entry"] > 0.0 and record["entry_kind"] == AT_MARKET and not self._blotter.open(slot, "entry")
        if not wanted or "opo" not in self._capabilities(slot).lists:
            return
        with suppress(VenueError):
            self._quotes[slot] = await self._broker.price(self._book.portfolio.plans[slot].symbol)

    def _capabilities(self, slot: int) -> Capabilities:
        can = self._broker.capabilities_of(self._book.portfolio.plans[slot].symbol)
        return replace(can, lists=can.lists - {"oco"}) if slot in self._reports.alone else can

    def _stop_limit(self, slot: int) -> int | None:
        """Return how many stops of a slot may rest: the venue's limit, shared by the slots of a symbol."""
        number = self._capabilities(slot).stops_per_symbol
        return None if number is None else max(1, number // len(self._sharing(slot)))

    def _stop_room(self, slot: int) -> int | None:
        """Return how many further stops of a slot may rest: one is kept for each other slot of the symbol that has none."""
        number = self._capabilities(slot).stops_per_symbol
        used = {other: len(self._blotter.open(other, "stop")) for other in self._sharing(slot)}
        return None if number is None else number - sum(n if other == slot else max(1, n) for other, n in used.items())

    def _sharing(self, slot: int) -> list[int]:
        plans = self._book.portfolio.plans
        return [other for other, plan in enumerate(plans) if plan.symbol == plans[slot].symbol]
