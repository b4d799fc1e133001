"""Order status requests: sweeps of open orders and executions, and look-ups of orders whose answer was lost."""

from collections.abc import Iterable

from atb.domain import Symbol
from atb.domain.ports import Broker
from atb.errors import VenueError
from atb.live.execution.blotter import Outstanding
from atb.live.execution.execution_reports import ExecutionReports
from atb.live.execution.timing import DeskTiming
from atb.live.journal.step import Notice, Step
from atb.monitoring import get_logger

_log = get_logger(__name__)
_AGAIN_MS = 1_000


class OrderStatus:
    """Asks the venue; `ExecutionReports` takes in what it answers.

    Parameters
    ----------
    broker
        The venue.
    reports
        Takes in the answers.
    timing
        Pauses and margins.

    Attributes
    ----------
    again_ms
        Exchange time of the next sweep, after one that failed; None after one that did not.
    """

    def __init__(self, broker: Broker, reports: ExecutionReports, timing: DeskTiming) -> None:
        self._broker, self._reports, self._timing = broker, reports, timing
        self._blotter, self._desk_state = reports.blotter, reports.desk_state
        self.again_ms: int | None = None

    async def sweep(self, symbols: Iterable[Symbol], step: Step) -> bool:
        """Apply the executions since the last sweep, and look up every order that should be open and is not.

        Returns False where the venue did not answer; what came before that is in the step.
        """
        self.again_ms = None
        try:
            for symbol in symbols:
                if any(outstanding.order.symbol == symbol for outstanding in self._blotter):
                    await self._sweep(symbol, step)
        except VenueError as error:
            self.again_ms = self._broker.now_ms() + max(_AGAIN_MS, error.retry_after_ms or 0)
            _log.warning("the venue cannot be asked", error=str(error))
            return False
        return True

    async def _sweep(self, symbol: Symbol, step: Step) -> None:
        reports = {report.client_id: report for report in await self._broker.open_orders(symbol)}
        for report in reports.values():
            self._reports.take_report(report, step)
        cursor = self._desk_state.cursors.get(str(symbol))
        fills = await self._broker.trades(symbol, after=cursor, since_ms=self._desk_state.began_ms)
        for fill in fills:
            if self._blotter.owner_of(fill) is not None:
                self._reports.take_fill(fill, step)
        here = [outstanding for outstanding in self._blotter if outstanding.order.symbol == symbol]
        gone = [
            outstanding
            for outstanding in here
            if not outstanding.ended and outstanding.state != "sent" and outstanding.client_id not in reports
        ]
        if any(
            not self._desk_state.has(symbol, fill.trade_id) and self._blotter.owner_of(fill) is None for fill in fills
        ):
            gone += [outstanding for outstanding in here if outstanding.exchange_id is None and outstanding not in gone]
        await self.ask(gone, step)
        for fill in fills:
            self._reports.take_fill(fill, step)
            if not self._blotter.unknown():  # it may belong to an order that is not known yet: it has to come again
                self._desk_state.cursors[str(symbol)] = fill.trade_id

    async def ask(self, orders: Iterable[Outstanding], step: Step) -> None:
        """Look up orders one by one."""
        for outstanding in orders:
            report = await self._broker.find(outstanding.order)
            if report is not None:
                self._reports.take_report(report, step)

    async def resolve(self, step: Step) -> None:
        """Look up the orders whose answers were lost, each when it is due."""
        now = self._broker.now_ms()
        for outstanding in self._blotter.unknown():
            if now < outstanding.next_look_ms:
                continue
            try:
                await self._look_for(outstanding, step)
            except VenueError as error:
                outstanding.next_look_ms = now + self._timing.look_ms
                _log.warning("the venue cannot be asked", client_id=outstanding.client_id, error=str(error))

    async def _look_for(self, outstanding: Outstanding, step: Step) -> None:
        """Look up one order; "not found" is believed only once its request can no longer be executed."""
        asked_ms, name = self._broker.now_ms(), outstanding.client_id
        over_ms = self._over_ms(outstanding)
        report = await self._broker.find(outstanding.order)
        if report is not None:
            self._reports.take_report(report, step)
        if report is not None and (outstanding.ended or not outstanding.cancelling or asked_ms > over_ms):
            outstanding.unknown = outstanding.cancelling = False
        elif report is None and asked_ms > over_ms and not await self._is_open(outstanding):
            self._absent(outstanding)
        else:
            outstanding.next_look_ms = min(max(over_ms, asked_ms) + 1, asked_ms + self._timing.look_ms)
            return
        step.changes[name] = outstanding.change()
        step.notices.append(Notice("resolved", {"client_id": name, "state": outstanding.state}))

    def _over_ms(self, outstanding: Outstanding) -> int:
        """Return the exchange time after which the request can no longer be executed."""
        bound = self._broker.capabilities.late_bound_ms
        return outstanding.sent_ms + (self._timing.unbounded_ms if bound is None else bound) + self._timing.margin_ms

    async def _is_open(self, outstanding: Outstanding) -> bool:
        """Look among the open orders too: a venue's look-up may lag behind its order book."""
        reports = await self._broker.open_orders(outstanding.order.symbol)
        return any(report.client_id == outstanding.client_id for report in reports)

    def _absent(self, outstanding: Outstanding) -> None:
        """End an order that the venue never had; its slot may send it again, unless it is an entry and too late."""
        outstanding.unknown = False
        outstanding.end("absent")
        closed_ms = self._reports.book.portfolio.plans[outstanding.slot].timeframe.next_ms(outstanding.bar_ms)
        if outstanding.role == "entry" and self._broker.now_ms() - closed_ms > self._timing.entry_grace_ms:
            self._reports.drop_entry(outstanding.slot)
