"""Reconciliation: the account's balances and open orders against the books. Each difference is journalled.

A symbol with a difference in its base asset, or with orders that are not ours, gets no entries. Nothing is ever closed or taken
over because of a difference. The part of a position that is missing, because it was sold or moved by hand, is never sold again,
whatever arrives later; it stays in the books until the account is accepted as it is or everything is closed, and is then written
off at the last close.
"""

from collections.abc import Awaitable, Callable, Mapping
from decimal import Decimal
from typing import Literal

from atb.domain.orders import CLIENT_ID_PREFIX
from atb.domain.ports import Broker
from atb.domain.venue import Balance, OrderReport
from atb.live.execution.blotter import Outstanding
from atb.live.execution.drift import TOLERANCE, Amounts, booked, drifts, tolerance_of, total
from atb.live.execution.execution_reports import ExecutionReports, owned
from atb.live.execution.timing import DeskTiming
from atb.live.journal.step import Notice, Step

Look = Callable[[], Awaitable[None]]
_UNRECORDED = "unrecorded"
_DISAGREE_MS = DeskTiming.silence_ms  # as long as an entry has to leave no trace


class Reconciler:
    """Compares balances and open orders of a venue with the books.

    Parameters
    ----------
    broker, reports
        The venue, and book, blotter and desk state as the execution reports left them.
    tolerance
        Relative tolerance, as a fraction of the booked amount: rounding of fees, small interest.
    accepting
        Whether the first comparison accepts the account as it is: surplus assets are ignored, missing parts of positions written
        off.
    """

    def __init__(
        self,
        broker: Broker,
        reports: ExecutionReports,
        *,
        tolerance: Decimal = TOLERANCE,
        accepting: bool = False,
    ) -> None:
        self._broker, self._reports = broker, reports
        self._book, self._blotter, self._desk_state = reports.book, reports.blotter, reports.desk_state
        self._tolerance, self._accepting = tolerance, accepting
        self.drift: Amounts = reports.desk_state.drift
        self.ours_open = 0  # our open orders at the last comparison
        self.disagree_ms: int | None = None  # since when the venue's reads contradict each other
        self._listed_ms: dict[str, int] = {}  # since when orders of ours are listed as open that ended by the journal

    async def compare(self, step: Step, look: Look | None = None) -> bool:
        """Compare and note differences; returns False, comparing nothing, while an answer or an execution is missing.

        So it does for a minute where the venue's reads contradict each other: some lag, and what seems to be missing was sold.

        Parameters
        ----------
        look
            Fetches executions; called before a difference is believed, since one may just have come.

        Raises
        ------
        VenueError
            If the venue cannot be asked.
        """
        if self._unsettled():
            return False
        await self._list_orders(step)
        balances = await self._broker.balances()
        if self._accepting or not self._desk_state.surplus:
            self.accept(balances, step)
            self._accepting = False
            return True
        if look is not None and any(self._is_news(asset, *found) for asset, found in self._drifts(balances).items()):
            await look()
            if self._unsettled():
                return False
            listed, balances = await self._list_orders(step), await self._broker.balances()
            if self._contradicted(listed, balances):
                return False
        self.disagree_ms = None
        self._balances(balances, step)
        return True

    async def _list_orders(self, step: Step) -> list[OrderReport]:
        """Return the open orders of all symbols; those that are not ours are noted."""
        listed = [
            report for symbol in self._book.portfolio.symbols for report in await self._broker.open_orders(symbol)
        ]
        names = {report.client_id for report in listed}
        self._listed_ms = {name: since_ms for name, since_ms in self._listed_ms.items() if name in names}
        for report in listed:
            self._note_foreign_order(report, step)
        self.ours_open = sum(report.client_id.startswith(CLIENT_ID_PREFIX) for report in listed)
        return listed

    def _contradicted(self, listed: list[OrderReport], balances: Mapping[str, Balance]) -> bool:
        """Return whether listed sales lock more base than balances say, or sales that should rest are not listed."""
        selling = [report for report in listed if report.side == "sell" and report.state != "pending"]
        names = {report.client_id for report in listed}
        open_sales = [
            one
            for one in self._blotter
            if not one.ended and one.order.side == "sell" and not self._waits_for_entry(one)
        ]
        contradicted = any(one.client_id not in names for one in open_sales)
        for asset in {report.symbol.base for report in selling}:
            lists = {report.list_id or report.exchange_id: report for report in selling if report.symbol.base == asset}
            resting = sum((report.quantity - report.filled for report in lists.values()), Decimal(0))
            locked = balances[asset].locked if asset in balances else Decimal(0)
            contradicted = contradicted or resting - locked > self._tolerance_of(asset, resting)
        now = self._broker.now_ms()
        self.disagree_ms = (self.disagree_ms or now) if contradicted else None
        return self.disagree_ms is not None and now - self.disagree_ms <= _DISAGREE_MS

    def _waits_for_entry(self, outstanding: Outstanding) -> bool:
        return any(one.role == "entry" and not one.ended for one in self._blotter.same_list(outstanding))

    def _unsettled(self) -> bool:
        return any(outstanding.unsettled for outstanding in self._blotter)

    def accept(self, balances: Mapping[str, Balance], step: Step) -> None:
        """Accept the account as it is: ignore what it has beyond the books, and lift quarantines.

        At an account's very first comparison, a quarantine stays that an unrecorded order in our own name caused: it points to the
        position of a lost database, and only the user may say that it can be forgotten.
        """
        if self._desk_state.surplus:
            self.write_off(balances, step)
        expected, kept = booked(self._book), {}
        if not self._accepting:
            kept = {symbol: why for symbol, why in self._desk_state.quarantine.items() if why == _UNRECORDED}
        self._desk_state.surplus = {asset: total(balances, asset) - amount for asset, amount in expected.items()}
        self._desk_state.quarantine.clear()
        self._desk_state.quarantine.update(kept)
        self._desk_state.present.clear()
        self.drift.clear()
        surplus = {asset: str(amount) for asset, amount in self._desk_state.surplus.items()}
        short = any(
            amount < -self._tolerance_of(asset, expected[asset]) for asset, amount in self._desk_state.surplus.items()
        )
        severity: Literal["info", "warning", "error"] = "warning" if self._accepting else "error" if short else "info"
        step.notices.append(Notice("accepted", {"surplus": surplus}, severity))

    def write_off(self, balances: Mapping[str, Balance], step: Step) -> None:
        """Book as sold what is missing of positions."""
        for asset in booked(self._book):
            for slot, held, present in self._missing(asset, total(balances, asset)):
                self._reports.write_off(slot, held - present, step)

    def _is_news(self, asset: str, amount: Decimal, drift: Decimal) -> bool:
        """Return whether a drift differs from the one that was last noted."""
        noted = self.drift.get(asset, Decimal(0))
        return bool(drift) != bool(noted) or abs(drift - noted) > self._tolerance_of(asset, amount)

    def _balances(self, balances: Mapping[str, Balance], step: Step) -> None:
        for asset, (amount, drift) in self._drifts(balances).items():
            if not self._is_news(asset, amount, drift):
                continue
            detail = {"asset": asset, "books": str(amount), "account": str(amount + drift), "drift": str(drift)}
            step.notices.append(Notice("drift", detail, "warning" if drift else "info"))
            self._quarantine(asset, drift)
            self.drift[asset] = drift
            for slot, held, present in self._missing(asset, total(balances, asset)):
                self._note_missing(slot, held, present, step=step)

    def _missing(self, asset: str, balance: Decimal) -> list[tuple[int, Decimal, Decimal]]:
        """Return slots with a missing part of their position: slot, booked quantity, quantity that is there; lower slots first.

        Coins on the account count towards positions first, before any surplus. What was missing once stays missing: coins that
        arrive later belong to the account's owner.
        """
        found, remaining = [], max(balance, Decimal(0))
        for slot, plan in enumerate(self._book.portfolio.plans):
            held = owned(self._book.slot(slot)) if plan.symbol.base == asset else Decimal(0)
            has = min(held, remaining, self._desk_state.present.get(slot, held))
            remaining -= has
            if held - has > self._tolerance_of(asset, held):
                found.append((slot, held, has))
        return found

    def _note_missing(self, slot: int, held: Decimal, present: Decimal, *, step: Step) -> None:
        """Note a missing part of a position, so that coins that arrive later are not sold."""
        symbol = str(self._book.portfolio.plans[slot].symbol)
        if self._desk_state.present.get(slot) == present:
            return
        self._desk_state.present[slot] = present
        self._desk_state.quarantine[symbol] = "missing"
        detail = {"slot": slot, "symbol": symbol, "books": str(held), "account": str(present)}
        step.notices.append(Notice("missing", detail, "error"))

    def _tolerance_of(self, asset: str, amount: Decimal) -> Decimal:
        return tolerance_of(self._book, asset, amount, relative=self._tolerance)

    def _drifts(self, balances: Mapping[str, Balance]) -> dict[str, tuple[Decimal, Decimal]]:
        return drifts(self._book, self._desk_state, balances, relative=self._tolerance)

    def _quarantine(self, asset: str, drift: Decimal) -> None:
        """Bar entries where the base asset differs; quote is deposited and withdrawn freely."""
        for symbol in (str(symbol) for symbol in self._book.portfolio.symbols if symbol.base == asset):
            if drift:
                self._desk_state.quarantine.setdefault(symbol, "drift")
            elif self._desk_state.quarantine.get(symbol) == "drift":
                del self._desk_state.quarantine[symbol]

    def _is_ours(self, report: OrderReport) -> bool:
        """Return whether an open order is out by the books, or ended and may be listed by a read that lags: for a minute."""
        name, now = report.client_id, self._broker.now_ms()
        if self._blotter.get(name) is not None:
            return True
        if not name.startswith(CLIENT_ID_PREFIX):
            return False
        recorded = self._blotter.has_seen(name) or self._desk_state.recorded(name) is not None
        return recorded and now - self._listed_ms.setdefault(name, now) <= _DISAGREE_MS

    def _note_foreign_order(self, report: OrderReport, step: Step) -> None:
        """Note an open order that is not ours, once; one with our prefix that is not open by any journal is an error."""
        self._reports.take_report(report, step)
        name = f"{report.symbol}:{report.client_id or report.exchange_id}"
        if name in self._desk_state.foreign or self._is_ours(report):
            return
        self._desk_state.foreign.append(name)
        ours = report.client_id.startswith(CLIENT_ID_PREFIX)
        self._desk_state.quarantine.setdefault(str(report.symbol), _UNRECORDED if ours else "stranger")
        detail = {"client_id": report.client_id, "symbol": str(report.symbol), "side": report.side, "type": report.type}
        step.notices.append(
            Notice("unrecorded_order" if ours else "stranger_order", detail, "error" if ours else "warning")
        )
