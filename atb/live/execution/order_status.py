"""Asking a venue what became of our orders: sweeps of open orders and executions, and looks for lost answers."""

from collections.abc import Iterable

from atb.domain import Symbol
from atb.domain.ports import Broker
from atb.errors import VenueError
from atb.live.execution.blotter import Outstanding
from atb.live.execution.execution_reports import Hearing
from atb.live.execution.timing import Rules
from atb.live.journal.step import Notice, Step
from atb.monitoring import get_logger

_log = get_logger(__name__)
_AGAIN_MS = 1_000


class Inquiry:
    """Asks; what is answered goes to a `Hearing`.

    Parameters
    ----------
    broker
        The venue.
    hearing
        Who takes it down.
    rules
        Pauses and margins.

    Attributes
    ----------
    again_ms
        When to sweep again because the venue could not be asked, exchange time; None where it could.
    """

    def __init__(self, broker: Broker, hearing: Hearing, rules: Rules) -> None:
        self._broker, self._hearing, self._rules = broker, hearing, rules
        self._blotter, self._memory = hearing.blotter, hearing.memory
        self.again_ms: int | None = None

    async def sweep(self, symbols: Iterable[Symbol], step: Step) -> bool:
        """Fold the executions that came since the last sweep, and ask after every order that should be out and is not.

        Returns False where the venue could not be asked; what was heard until then is in the step.
        """
        self.again_ms = None
        try:
            for symbol in symbols:
                if any(one.order.symbol == symbol for one in self._blotter):
                    await self._sweep(symbol, step)
        except VenueError as silent:
            self.again_ms = self._broker.now_ms() + max(_AGAIN_MS, silent.retry_after_ms or 0)
            _log.warning("the venue cannot be asked", error=str(silent))
            return False
        return True

    async def _sweep(self, symbol: Symbol, step: Step) -> None:
        reports = {report.client_id: report for report in await self._broker.open_orders(symbol)}
        for report in reports.values():
            self._hearing.report(report, step)
        cursor = self._memory.cursors.get(str(symbol))
        fills = await self._broker.trades(symbol, after=cursor, since_ms=self._memory.began_ms)
        for fill in fills:
            if self._blotter.of_fill(fill) is not None:
                self._hearing.fill(fill, step)
        here = [one for one in self._blotter if one.order.symbol == symbol]
        gone = [one for one in here if not one.ended and one.state != "sent" and one.order.client_id not in reports]
        if any(not self._memory.has(symbol, fill.trade_id) and self._blotter.of_fill(fill) is None for fill in fills):
            gone += [one for one in here if one.exchange_id is None and one not in gone]
        await self.ask(gone, step)
        for fill in fills:
            self._hearing.fill(fill, step)
            if not self._blotter.unknown():  # an execution of an order that is not known yet has to be seen again
                self._memory.cursors[str(symbol)] = fill.trade_id

    async def ask(self, orders: Iterable[Outstanding], step: Step) -> None:
        """Ask for orders one by one."""
        for one in orders:
            report = await self._broker.find(one.order)
            if report is not None:
                self._hearing.report(report, step)

    async def resolve(self, step: Step) -> None:
        """Look for the orders whose answers were lost, where it is time to."""
        now = self._broker.now_ms()
        for one in self._blotter.unknown():
            if now < self._hearing.looks.get(one.order.client_id, 0):
                continue
            try:
                await self._look_for(one, step)
            except VenueError as silent:
                self._hearing.looks[one.order.client_id] = now + self._rules.look_ms
                _log.warning("the venue cannot be asked", client_id=one.order.client_id, error=str(silent))

    async def _look_for(self, one: Outstanding, step: Step) -> None:
        """Ask for one of them; "not found" is believed only when the request cannot be executed any more."""
        asked_ms, name = self._broker.now_ms(), one.order.client_id
        over_ms = self._over_ms(one)
        report = await self._broker.find(one.order)
        if report is not None:
            self._hearing.report(report, step)
        if report is not None and (one.ended or not one.cancelling or asked_ms > over_ms):
            one.unknown = one.cancelling = False
        elif report is None and asked_ms > over_ms and not await self._is_open(one):
            self._absent(one)
        else:
            self._hearing.looks[name] = min(max(over_ms, asked_ms) + 1, asked_ms + self._rules.look_ms)
            return
        step.changes[name] = one.change()
        step.notices.append(Notice("resolved", {"client_id": name, "state": one.state}))

    def _over_ms(self, one: Outstanding) -> int:
        """Return the exchange time after which the request cannot be executed any more."""
        bound = self._broker.capabilities.late_bound_ms
        return one.sent_ms + (self._rules.unbounded_ms if bound is None else bound) + self._rules.margin_ms

    async def _is_open(self, one: Outstanding) -> bool:
        """Take a second look, among the open orders: a venue's look-up may lag behind its book."""
        reports = await self._broker.open_orders(one.order.symbol)
        return any(report.client_id == one.order.client_id for report in reports)

    def _absent(self, one: Outstanding) -> None:
        """Let the slot ask again for what the venue never had, unless it is too late for an entry."""
        one.unknown = False
        one.end("absent")
        closed_ms = self._hearing.book.portfolio.plans[one.slot].timeframe.next_ms(one.bar_ms)
        if one.order.role == "entry" and self._broker.now_ms() - closed_ms > self._rules.entry_grace_ms:
            self._hearing.drop_entry(one.slot)
