"""Order status requests: sweeps of open orders and executions, and look-ups of orders whose answer was lost."""

from collections.abc import Container, Iterable, Mapping
from decimal import Decimal

from atb.domain import Fill, Order, Symbol
from atb.domain.ports import Broker
from atb.domain.venue import Balance, OrderReport
from atb.errors import VenueError
from atb.live.execution import evidence
from atb.live.execution.blotter import Outstanding
from atb.live.execution.drift import drifts, tolerance_of, total
from atb.live.execution.execution_reports import ExecutionReports
from atb.live.execution.timing import DeskTiming
from atb.live.journal.step import Notice, Step
from atb.monitoring import get_logger
from atb.times import DAY_MS

_log = get_logger(__name__)
_AGAIN_MS = 1_000
_RECALL_AGAIN_MS = 60_000


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
        self._listed: dict[Symbol, list[OrderReport]] = {}  # open orders at the last sweep
        # Client ids by the venue's id, of executions that none of ours owned.
        self._identified: dict[tuple[Symbol, str], str] = {}
        self._recalled, self._recall_ms, self._swept_ms = False, 0, 0
        self._began_ms = broker.now_ms()
        self._doubted_ms = -timing.watch_ms  # when a request was last taken for one that was not executed
        self._updated_ms: dict[Symbol, int] = {}  # when the orders of a symbol last had an update

    async def sweep(self, symbols: Iterable[Symbol], step: Step) -> bool:
        """Apply the executions since the last sweep, and look up every order that should be open and is not.

        A symbol is asked for while an order of it is out, or may come after all, and while a position is held: one that was sold by
        an order that counts as cancelled must not stay in the books.

        Returns False where the venue did not answer; what came before that is in the step.
        """
        self.again_ms, self._swept_ms = None, self._broker.now_ms()
        try:
            for symbol in symbols:
                if self._blotter.given_up(symbol) or symbol in self._busy():
                    await self._sweep(symbol, step)
        except VenueError as error:
            self.again_ms = self._broker.now_ms() + max(_AGAIN_MS, error.retry_after_ms or 0)
            _log.warning("the venue cannot be asked", error=str(error))
            return False
        return True

    async def _sweep(self, symbol: Symbol, step: Step) -> list[Fill]:
        """Sweep one symbol; return the executions of which it is not known yet whose they are."""
        reports = {report.client_id: report for report in await self._broker.open_orders(symbol)}
        for report in reports.values():
            self._reports.take_report(report, step)
            if report.state != "pending" and (listed := self._blotter.get(report.client_id)) is not None:
                listed.was_listed = True
        self._listed[symbol] = list(reports.values())
        cursor = self._desk_state.cursors.get(str(symbol))
        fills = await self._broker.trades(symbol, after=cursor, since_ms=self._desk_state.began_ms)
        for fill in fills:
            if self._blotter.owner_of(fill) is not None:
                self._reports.take_fill(fill, step)
        await self._identify(fills, step)
        await self.ask(self._gone(symbol, reports), step)
        self._doubt_unseen()
        nameless: list[Fill] = []
        for fill in fills:
            if self._is_nameless(fill):
                nameless.append(fill)
                continue
            self._reports.take_fill(fill, step)
            if not nameless:  # what is nameless has to come again
                self._desk_state.cursors[str(symbol)] = fill.trade_id
        await self.ask([one for one in self._blotter if one.end_unknown and one.order.symbol == symbol], step)
        return nameless

    def _doubt_unseen(self) -> None:
        """Count the answers of orders as lost that no read has shown since this process began, longer than a read may lag."""
        late = self._broker.now_ms() - self._began_ms > self._timing.silence_ms
        for outstanding in self._blotter if late else ():
            if outstanding.unseen and not outstanding.unknown and not outstanding.ended:
                outstanding.mark_unknown()

    def _gone(self, symbol: Symbol, listed: Container[str]) -> list[Outstanding]:
        """Return the orders that should be listed as open and are not."""
        return [
            outstanding
            for outstanding in self._blotter
            if outstanding.order.symbol == symbol
            and not outstanding.ended
            and outstanding.state != "sent"
            and outstanding.client_id not in listed
        ]

    async def _identify(self, fills: Iterable[Fill], step: Step) -> None:
        """Ask for the orders of executions that none of ours owns: the venue's order gives the client id back."""
        unowned = [fill for fill in fills if self._is_nameless(fill)]
        for symbol, order_id in {(fill.symbol, fill.order_id): None for fill in unowned if fill.order_id}:
            report = await self._broker.find_by_id(symbol, order_id)
            if report is not None:
                self._identified[symbol, order_id] = report.client_id
                self._reports.take_report(report, step)

    def _is_nameless(self, fill: Fill) -> bool:
        """Return whether it is not known yet whose an execution is.

        One whose order cannot be found counts as foreign after a while; one that names no order, once no answer is missing.
        """
        if (
            fill.client_id
            or self._desk_state.has(fill.symbol, fill.trade_id)
            or self._blotter.owner_of(fill) is not None
        ):
            return False
        if not fill.order_id:
            return bool(self._blotter.unknown())
        young = self._broker.now_ms() - fill.time_ms <= self._timing.silence_ms
        return young and (fill.symbol, fill.order_id) not in self._identified

    async def ask(self, orders: Iterable[Outstanding], step: Step) -> None:
        """Look up orders one by one."""
        for outstanding in orders:
            report = await self._broker.find(outstanding.order)
            if report is not None:
                self._reports.take_report(report, step)

    async def ask_how_it_ended(self, group: Iterable[Outstanding], step: Step, *, not_open: bool) -> None:
        """Look up orders that could not be cancelled; if the venue does not answer, their answers count as lost.

        One that the venue calls both not open and open has ended, and the look-up lags: how is to be waited for.
        """
        group = tuple(group)
        try:
            await self.ask(group, step)
        except VenueError:
            for outstanding in group:
                outstanding.mark_unknown()
        for outstanding in group if not_open else ():
            if not outstanding.ended:
                outstanding.mark_unknown()
                outstanding.not_open_ms = self._broker.now_ms()

    async def recall(self, symbols: Iterable[Symbol], step: Step) -> None:
        """At a start, take in every order of the last day: one that was given up may have come while no runner lived."""
        if self._recalled or self._broker.now_ms() < self._recall_ms:
            return
        placed = [outstanding.placed_ms for outstanding in self._blotter.unknown() if outstanding.placed_ms]
        since_ms = min([self._broker.now_ms() - DAY_MS, *(at_ms - self._timing.margin_ms for at_ms in placed)])
        try:
            for symbol in symbols:
                for report in await self._broker.all_orders(symbol, since_ms=max(since_ms, self._desk_state.began_ms)):
                    if report.filled or report.state not in {"cancelled", "expired", "rejected"}:
                        self._reports.take_report(report, step)
            self._recalled = True
        except VenueError as error:
            self._recall_ms = self._broker.now_ms() + max(_RECALL_AGAIN_MS, error.retry_after_ms or 0)
            _log.warning("the venue does not list the orders of the last day", error=str(error))

    async def resolve(self, step: Step) -> None:
        """Look up the orders whose answers were lost, each with its list when one of them is due."""
        now = self._broker.now_ms()
        for group in self._due(now):
            try:
                await self._look_for(group, step)
            except VenueError as error:
                for outstanding in group:
                    outstanding.next_look_ms = now + self._timing.look_ms
                _log.warning("the venue cannot be asked", client_id=group[0].client_id, error=str(error))

    def watch_ms(self) -> int | None:
        """Return when to sweep for requests that seem not to have been executed and may be after all, None where there is none.

        An order that was given up may come, and one that was not cancelled may still be: nothing else would wake this process, if
        the venue's stream is away.
        """
        if self._broker.now_ms() > self._doubted_ms + self._timing.watch_ms:
            return None
        return self._swept_ms + self._timing.watch_pause_ms

    def note_updates(self, symbols: Iterable[Symbol]) -> None:
        """Note that something happened to the orders of symbols; what the venue is asked now may lag behind it.

        It may be what a request did whose answer was lost, and may have left a position bare: its orders are looked up at once,
        but no sooner than the shortest pause allows.
        """
        now, symbols = self._broker.now_ms(), set(symbols)
        self._updated_ms |= dict.fromkeys(symbols, now)
        for outstanding in self._blotter.unknown():
            if outstanding.order.symbol in symbols and now - outstanding.updated_ms >= self._timing.look_ms:
                evidence.note_update(outstanding, now)

    def lagging(self) -> list[Symbol]:
        """Return the busy symbols that had an update so recently that reads may not show it yet."""
        since_ms = self._broker.now_ms() - self._timing.lag_ms
        busy = self._busy()
        self._updated_ms = {symbol: updated for symbol, updated in self._updated_ms.items() if updated >= since_ms}
        return [symbol for symbol in self._updated_ms if symbol in busy]

    def _busy(self) -> set[Symbol]:
        """Return the symbols with orders that are out, or with a position."""
        book = self._reports.book
        held = {plan.symbol for slot, plan in enumerate(book.portfolio.plans) if book.slot(slot)["quantity"] != 0.0}
        return held | {outstanding.order.symbol for outstanding in self._blotter}

    def lag_look_ms(self) -> int | None:
        """Return when to ask for them again, None where there is nothing to ask for."""
        return self._swept_ms + self._timing.watch_pause_ms if self.lagging() else None

    def _due(self, now: int) -> list[list[Outstanding]]:
        groups: dict[str, list[Outstanding]] = {}
        for outstanding in self._blotter.unknown():
            groups.setdefault(outstanding.list_id or outstanding.client_id, []).append(outstanding)
        return [group for group in groups.values() if any(now >= one.next_look_ms for one in group)]

    async def _look_for(self, group: list[Outstanding], step: Step) -> None:
        """Look up the orders of one request by their client ids; for those that are not found, ask for the other evidence.

        It is asked for once the window is over, or earlier if the venue has a leg of the list, or a cancelled order is gone.
        """
        missing = [outstanding for outstanding in group if not await self._found(outstanding, step)]
        asked_ms = self._broker.now_ms()
        known = any((one.traced and one.state == "sent") or self._is_gone(one) for one in missing)
        if known or any(asked_ms > self._over_ms(one) for one in missing):
            await self._weigh(missing, asked_ms, step)
        for outstanding in missing:
            if outstanding.unknown:
                over_ms = self._over_ms(outstanding)
                outstanding.next_look_ms = evidence.next_look_ms(
                    asked_ms, over_ms, self._timing, updated_ms=outstanding.updated_ms
                )

    async def _found(self, outstanding: Outstanding, step: Step) -> bool:
        """Look up one order by its client id; return whether that is enough to know how it stands.

        It is not where a cancellation should have ended an order that is shown as open: the look-up may lag.
        """
        report = await self._broker.find(outstanding.order)
        if report is not None:
            self._reports.take_report(report, step)
        if report is not None and (outstanding.ended or not self._should_have_ended(outstanding)):
            self._resolved(outstanding, step)
            return True
        return False

    def _should_have_ended(self, outstanding: Outstanding) -> bool:
        """Return whether a cancellation was sent without an answer, or refused because the order is not open."""
        return outstanding.cancelling or bool(outstanding.not_open_ms)

    def _settle_by_others(self, outstanding: Outstanding, balances: Mapping[str, Balance], asked_ms: int) -> bool:
        """End an order that a cancellation ended, by the other witnesses; return whether they tell how it stands."""
        over = asked_ms > self._over_ms(outstanding)
        if not outstanding.ended and self._was_cancelled(outstanding, balances):
            outstanding.end("cancelled")
        contradicted = bool(outstanding.not_open_ms) and asked_ms <= outstanding.not_open_ms + self._timing.silence_ms
        listed = self._is_listed(outstanding) and not contradicted
        return outstanding.ended or (listed and (over or not outstanding.cancelling))

    def _was_cancelled(self, outstanding: Outstanding, balances: Mapping[str, Balance]) -> bool:
        """Return whether a sale whose cancellation was sent is cancelled, whatever its look-up says.

        It is not open where the matching engine refused to cancel it as not open, or where it was listed and is not any more: a
        list that lags shows what was open before. Then it is enough that its base is there, and not for two: should it have been
        executed after all, the next sale is refused.
        """
        order = outstanding.order
        if order.side != "sell" or not self._desk_state.surplus or outstanding.exchange_id is None:
            return False
        base, _, _ = self._movement(order.symbol, balances)
        enough_for_two = total(balances, order.symbol.base) >= 2 * outstanding.leaves_quantity
        return self._is_gone(outstanding) and base >= 0 and not enough_for_two

    def _is_gone(self, outstanding: Outstanding) -> bool:
        """Return whether an order that was to be cancelled is open no more: by the venue's refusal, or not listed any more."""
        unlisted = outstanding.was_listed and not self._is_listed(outstanding)
        return bool(outstanding.not_open_ms) or (outstanding.cancelling and unlisted)

    async def _weigh(self, missing: list[Outstanding], asked_ms: int, step: Step) -> None:
        """Ask for the other evidence about orders that were not found, and end those for which there is none."""
        first = missing[0].order
        if missing[0].list_id is not None:
            legs = await self._broker.find_list(first.symbol, missing[0].list_id)
            for outstanding in missing if legs is not None else ():
                evidence.trace([outstanding], asked_ms)
                outstanding.exchange_id = (legs or {}).get(outstanding.client_id, outstanding.exchange_id)
        nameless = await self._sweep(first.symbol, step)
        balances = await self._broker.balances()
        entry = self._is_of_entry(missing[0])
        for outstanding in missing:
            if self._settle_by_others(outstanding, balances, asked_ms):
                self._resolved(outstanding, step)
                continue
            over_ms = self._over_ms(outstanding)
            outstanding.looks += asked_ms > over_ms
            witnesses = self._witnesses(outstanding, nameless, balances)
            found = evidence.Evidence(entry, asked_ms, over_ms, outstanding.looks, frozenset(witnesses))
            if evidence.verdict(found, self._timing) == "absent":
                self._give_up(outstanding, balances, step)
            elif asked_ms > over_ms and not outstanding.waits:
                outstanding.waits = True
                detail = {"client_id": outstanding.client_id, "role": outstanding.role, "evidence": sorted(witnesses)}
                step.notices.append(Notice("answer_unknown", detail, "warning"))

    def _witnesses(
        self, outstanding: Outstanding, nameless: Iterable[Fill], balances: Mapping[str, Balance]
    ) -> set[evidence.Witness]:
        """Return the witnesses that speak for an order that its own look-up did not find."""
        order, since_ms = outstanding.order, outstanding.placed_ms - self._timing.margin_ms
        speaks: dict[evidence.Witness, bool] = {
            "order": outstanding.exchange_id is not None or self._is_listed(outstanding),
            "list": outstanding.traced,
            "execution": any(fill.side == order.side and fill.time_ms >= since_ms for fill in nameless),
            "balance": self._speak(order, balances),
        }
        return {witness for witness, for_it in speaks.items() if for_it}

    def _is_listed(self, outstanding: Outstanding) -> bool:
        """Return whether the last sweep found an order among the open ones."""
        listed = self._listed.get(outstanding.order.symbol, ())
        return any(report.client_id == outstanding.client_id for report in listed)

    def _speak(self, order: Order, balances: Mapping[str, Balance]) -> bool:
        """Return whether balances speak for an order; they do not before the first comparison."""
        if not self._desk_state.surplus:
            return False
        base, quote, locked = self._movement(order.symbol, balances)
        return evidence.moved(order, base=base, quote=quote, locked=locked)

    def _movement(self, symbol: Symbol, balances: Mapping[str, Balance]) -> tuple[Decimal, Decimal, Decimal]:
        """Return how far base and quote moved against the books since they were compared, and base locked by nothing listed."""
        book, noted = self._reports.book, self._desk_state.drift
        found = drifts(book, self._desk_state, balances)
        base, quote = (found[asset][1] - noted.get(asset, Decimal(0)) for asset in (symbol.base, symbol.quote))
        listed = [one for orders in self._listed.values() for one in orders if one.symbol.base == symbol.base]
        groups = {one.list_id or one.exchange_id: one.quantity - one.filled for one in listed if one.side == "sell"}
        known = sum(groups.values(), Decimal(0))
        locked = balances[symbol.base].locked - known if symbol.base in balances else Decimal(0)
        return base, quote, locked if locked > tolerance_of(book, symbol.base, known) else Decimal(0)

    def _over_ms(self, outstanding: Outstanding) -> int:
        """Return the exchange time after which the request can no longer be accepted.

        An entry that was there and is not open any more is asked about from then on: how it ended is in doubt, not whether it was.
        """
        bound, since_ms = self._broker.capabilities.late_bound_ms, outstanding.sent_ms
        if self._is_of_entry(outstanding):
            since_ms = max(since_ms, outstanding.not_open_ms)
        return since_ms + (self._timing.unbounded_ms if bound is None else bound) + self._timing.margin_ms

    def _is_of_entry(self, outstanding: Outstanding) -> bool:
        """Return whether an order is an entry, or in one list with one."""
        return any(one.role == "entry" for one in self._blotter.same_list(outstanding))

    def _resolved(self, outstanding: Outstanding, step: Step) -> None:
        if outstanding.presumed or (outstanding.cancelling and not outstanding.ended):
            self._doubted_ms = self._broker.now_ms()
        outstanding.unknown = outstanding.cancelling = outstanding.waits = False
        outstanding.not_open_ms = 0
        step.changes[outstanding.client_id] = outstanding.change()
        detail = {"client_id": outstanding.client_id, "state": outstanding.state}
        step.notices.append(Notice("resolved", detail))

    def _give_up(self, outstanding: Outstanding, balances: Mapping[str, Balance], step: Step) -> None:
        """End an order of which the venue shows no trace: an entry is wanted no more, nor is a sale that might sell twice.

        One that the venue has shown was there: it is not open any more.
        """
        outstanding.end("absent" if outstanding.state == "sent" else "cancelled")
        outstanding.presumed = True
        self._resolved(outstanding, step)
        if outstanding.role == "entry":
            self._reports.drop_entry(outstanding.slot)
        elif evidence.sells_twice(outstanding.order, total(balances, outstanding.order.symbol.base)):
            self._reports.book.drop_exit(outstanding.slot)
