"""Trading at an exchange: decide at closes, send requests until the venue equals the book, and lose no order.

One coroutine does all of it. It commits what it is about to send, sends it, and commits the answer with the next step; so a process
that dies at any point leaves `sent` intents, which the next one looks up before anything else. An answer that is not known to be
final leaves the order *unknown*: its slot waits until the venue shows the order, or until the request can no longer be executed.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from atb.domain.ports import Broker
from atb.domain.symbol import Symbol
from atb.live.execution.book import Book, Newest
from atb.live.execution.execution_reports import ExecutionReports, owned
from atb.live.execution.order_status import OrderStatus
from atb.live.execution.orders import OrderMaker, intent_json
from atb.live.execution.pacing import Pacing
from atb.live.execution.planning import Cancel, Place, Replace, Request, SlotPlanner, list_of
from atb.live.execution.slot_planners import SlotPlanners
from atb.live.execution.stuck import StuckSlots
from atb.live.execution.symbol_terms import SymbolTerms, moves_protection
from atb.live.execution.timing import DeskTiming
from atb.live.feed.market import Moment
from atb.live.journal.step import Commit, Decided, Notice, Step, Withheld, Working

_Plan = Callable[[SlotPlanner], Request | None]
# A stop that cannot rest, since the price has passed it, is found while protecting: then the position is left.
_PLANS = (SlotPlanner.leave, SlotPlanner.protect, SlotPlanner.leave, SlotPlanner.enter)
_NOT_OPEN = "-2011"  # code of a replacement that is refused because what it replaces is not open


@dataclass(frozen=True)
class DeskParts:
    """The parts that an exchange desk works with.

    Parameters
    ----------
    broker, reports
        The venue, and what takes in its answers and executions.
    makers
        Order factory per slot.
    commit
        Writes steps.
    sending
        Called when a request leaves.
    fresh
        Whether the lease was renewed so recently that no other process can hold the account.
    """

    broker: Broker
    reports: ExecutionReports
    makers: Mapping[int, OrderMaker]
    commit: Commit
    sending: Callable[[], None] = lambda: None
    fresh: Callable[[], bool] = lambda: True


class ExchangeDesk:
    """Keeps the orders at a venue equal to what the book wants.

    Parameters
    ----------
    parts
        What it works with.
    timing
        Pauses, time-outs and retries.
    """

    def __init__(self, parts: DeskParts, timing: DeskTiming | None = None) -> None:
        self.timing = timing or DeskTiming()
        self.reports, self.broker = parts.reports, parts.broker
        self.blotter, self.desk_state = parts.reports.blotter, parts.reports.desk_state
        self._makers, self._write, self._sending, self._fresh = parts.makers, parts.commit, parts.sending, parts.fresh
        self._pacing = Pacing(parts.reports, parts.makers, self.timing, now=parts.broker.now_ms)
        self._terms = SymbolTerms(parts.broker, self.timing)
        self._planners = SlotPlanners(parts.broker, parts.reports, parts.makers, timing=self.timing)
        self._looked_ms = 0
        self.may_enter: Callable[[], bool] = lambda: True  # whether account and books were compared
        self._stuck = StuckSlots(parts.reports)
        self._order_status = OrderStatus(parts.broker, parts.reports, self.timing)

    @property
    def book(self) -> Book:
        """Market and state so far."""
        return self.reports.book

    # --- moments ------------------------------------------------------------------------------------------------------

    async def on_moment(self, moment: Moment, *, barred: str | None = None) -> None:
        """Decide on the bars that closed, and send what follows.

        Parameters
        ----------
        moment
            What closed.
        barred
            Why no entry may be sent now, None if it may.
        """
        await self._sweep()
        self._pacing.begin_bar()
        step = self._step(moment.bar_ms)
        now = self.book.learn(moment)
        refused = self.book.decide(now)
        for slot in now.slots:
            self.desk_state.bars[slot] = int(now.market_of(slot)["opened"])
            self.reports.begin_bar(slot)
            why = self._bar(slot, barred or self._barrier(slot, moment.time_ms) or self._exposure())
            refusal = ", ".join(filter(None, (refused[slot], why))) or None
            step.decided.append(self._decided(now, slot, refusal))
        step.equity, step.cash = self.book.equity, self.book.cash
        await self.settle(step)
        await self._terms.keep(self.book.portfolio.symbols)

    async def look(self, updated: Iterable[Symbol] | None = None) -> None:
        """Fetch what happened at the venue, and act on it; this is all the recovery that a restart needs.

        The symbols with updates (`updated`) are asked for again until reads cannot lag behind any more; None where none did.
        """
        symbols = self._symbols_to_sweep() if updated is None else self.book.portfolio.symbols
        self._order_status.note_updates(updated or ())
        step, self._looked_ms = self._step(), self.broker.now_ms()
        await self._order_status.recall(self.book.portfolio.symbols, step)
        await self._order_status.resolve(step)
        if step.changes or step.notices:
            await self.write(step)
        await self._sweep(symbols)
        await self.settle()

    def _symbols_to_sweep(self) -> Sequence[Symbol]:
        """Return the symbols that just had an update if nothing else is due, otherwise all."""
        pending, lagging = self._pending_ms(), self._order_status.lagging()
        only = lagging and (pending is None or pending > self.broker.now_ms())
        return lagging if only else self.book.portfolio.symbols

    def due_ms(self) -> int | None:
        """Return when `look` is due next (exchange time, ms), None if nothing is pending."""
        looks = [due for due in (self._pending_ms(), self._order_status.lag_look_ms()) if due is not None]
        return min(looks) if looks else None

    def _pending_ms(self) -> int | None:
        """Return when the next of what is pending is due, None where nothing is.

        Pending are: lost answers, orders that were given up and may come after all, executions that a report counts and the venue
        does not list yet, legs of an entry that is over, a sweep that failed, requests that were put off, and at once a comparison
        where the account may hold less than the books.
        """
        looks = [outstanding.next_look_ms for outstanding in self.blotter.unknown()]
        if self._order_status.again_ms is not None:
            looks.append(self._order_status.again_ms)
        looks += self._pacing.put_off
        if (watched_ms := self._order_status.watch_ms()) is not None:
            looks.append(watched_ms)
        if self.reports.doubt:
            looks.append(0)
        if any(one.owed or one.unseen or self.blotter.unconfirmed(one) for one in self.blotter):
            looks.append(self._looked_ms + self.timing.look_ms)
        return min(looks) if looks else None

    def stop_entries(self, *, keep_resting: bool) -> None:
        """Drop the intents to enter; entries that rest already may be kept."""
        for slot in self._makers:
            if not (keep_resting and self.blotter.open(slot, "entry")):
                self.reports.drop_entry(slot)

    def flatten(self) -> None:
        """Close every position at the market."""
        self.stop_entries(keep_resting=False)
        for slot in self._makers:
            self.book.close_at_market(slot)

    @property
    def clear(self) -> bool:
        """Whether nothing sellable is held and no order is open."""
        held = any(self._planners.available(slot)["quantity"] != 0.0 for slot in self._makers)
        return not held and not any(self.blotter.open(slot) for slot in self._makers)

    async def write_off(self) -> None:
        """Book as sold what is missing on the account, once all that could be sold is sold."""
        step = self._step()
        for slot in tuple(self.desk_state.present):
            self.reports.write_off(slot, owned(self.book.slot(slot)), step)
        if step.fills or step.notices:
            await self.write(step)

    def bare(self) -> set[Symbol]:
        """Return the symbols with a position that no resting stop covers."""
        plans = self.book.portfolio.plans
        return {plans[slot].symbol for slot in self._makers if not self._planners.of(slot).covered}

    # --- what is barred -----------------------------------------------------------------------------------------------

    def _bar(self, slot: int, why: str | None) -> str | None:
        """Drop a decision's entry for a reason, if there is one; return the reason if an entry was dropped."""
        if why is None or self.book.slot(slot)["entry"] == 0.0 or self.blotter.open(slot, "entry"):
            return None
        self.reports.drop_entry(slot)
        return why

    def _barrier(self, slot: int, closed_ms: int) -> str | None:
        """Return why an entry that was decided at a close may not be sent: too late, or the symbol is quarantined."""
        plan = self.book.portfolio.plans[slot]
        if self.broker.now_ms() - closed_ms > self.timing.entry_grace_ms:
            return "late"
        return "quarantined" if str(plan.symbol) in self.desk_state.quarantine else None

    def _exposure(self) -> str | None:
        """Return why no entry may be decided: one whose answer was lost counts as if it used up every limit."""
        return "unknown_exposure" if any(order.role == "entry" for order in self.blotter.unknown()) else None

    def _barred(self, request: Request, step: Step) -> bool:
        """Return whether an entry must not be sent, whatever led to it: it waits for the first comparison, or is dropped."""
        if not isinstance(request, Place) or request.orders[0].role != "entry":
            return False
        closed_ms = self.book.portfolio.plans[request.slot].timeframe.next_ms(self.desk_state.bars[request.slot])
        if request.orders[0].type == "limit" and self.book.slot(request.slot)["quantity"] != 0.0:
            closed_ms = self.broker.now_ms()  # the rest of one that was met in part rests again, at its price
        why = self._barrier(request.slot, closed_ms)
        if why is not None:
            self.reports.drop_entry(request.slot)
            step.notices.append(Notice("entry_barred", {"slot": request.slot, "why": why}, "warning"))
        return why is not None or not self.may_enter()

    def _decided(self, now: Newest, slot: int, refusal: str | None) -> Decided:
        orders = [] if self.blotter.open(slot, "entry") else self._makers[slot].intents(self.book.slot(slot))
        values = {
            **self.book.decision(now, slot),
            "intents": [intent_json(order) for order in orders],
            "refusal": refusal,
        }
        return Decided(slot, self.desk_state.bars[slot], values)

    # --- making the venue equal to the book ---------------------------------------------------------------------------

    async def settle(self, step: Step | None = None) -> None:
        """Send requests until the venue equals the book; then commit the last answer."""
        self._pacing.put_off.clear()
        step = self._close_dust(step)
        for plan in _PLANS:
            for slot in self._makers:
                while (request := await self._next(plan, slot)) is not None:
                    step = step or self._step()
                    if not await self._sendable(request, step):
                        break
                    step = await self._after_fills(await self._perform(request, step))
                    self._close_dust(step)
        if (step := self.tell_stuck(self._close_dust(step))) is not None:
            await self.write(step)
        self.blotter.drop_finished()

    def _close_dust(self, step: Step | None) -> Step | None:
        """Close positions that nothing can sell any more; return the step with them."""
        booked = step or self._step()
        return booked if [slot for slot in self._makers if self.reports.close_dust(slot, booked)] else step

    def tell_stuck(self, step: Step | None = None) -> Step | None:
        """Note which slots cannot act and which can again; return the step with the notices, None where there is nothing."""
        noted = step or self._step()
        self._stuck.tell(noted, self._pacing.refused)
        return noted if step is not None or noted.notices else None

    async def _after_fills(self, step: Step) -> Step:
        """Protect new positions before anything else is sent."""
        for slot in {done.slot for done in step.fills}:
            while (request := await self._next(SlotPlanner.protect, slot)) is not None and await self._sendable(
                request, step
            ):
                step = await self._perform(request, step)
        return step

    async def _next(self, plan: _Plan, slot: int) -> Request | None:
        """Return a slot's next request; where it leaves a position bare, by what its symbol allows now and not an hour ago."""
        request, silent = await self._planned(plan, slot), self.broker.now_ms() < self.reports.silent_until_ms
        symbol = self.book.portfolio.plans[slot].symbol
        if request is None or silent or await self._terms.planned_by(request, symbol):
            return request
        self._pacing.put_back(request, None)
        return await self._planned(plan, slot)

    async def _planned(self, plan: _Plan, slot: int) -> Request | None:
        """Return a slot's next request; an entry by the last price, asked for each time: one at a stop may have become another."""
        if plan is SlotPlanner.enter:
            await self._planners.ask_price(slot)
        return plan(self._planners.of(slot))

    async def _sendable(self, request: Request, step: Step) -> bool:
        """Return whether a request may be sent now; otherwise it was put off or, for some entries, dropped."""
        if self._pacing.waits(request, step) or self._barred(request, step):
            return False
        moving = moves_protection(request)
        symbol = self.book.portfolio.plans[request.slot].symbol
        if (isinstance(request, Cancel) and not moving) or await self._terms.is_open(symbol, moving=moving):
            return True
        self.reports.closed.add(request.slot)
        self._pacing.put_back(request, self.broker.now_ms() + self.timing.retry_ms)
        return False

    async def _perform(self, request: Request, step: Step) -> Step:
        """Commit a request's intents with `step`, send it, and return a new step with its answer."""
        if isinstance(request, Cancel):
            return await self._cancel(request, step)
        sent, list_id = request.orders, request.list_id
        bar_ms, now = self.desk_state.bars[request.slot], self.broker.now_ms()
        working = [Working(order, bar_ms, request.slot, "sent", list_id, now) for order in sent]
        step.placed += working
        withheld = await self.write(step)
        after = self._step()
        if withheld:
            self.reports.drop_entry(request.slot)
            return after
        new = [self.blotter.add(order) for order in working]
        await self._check_lease()
        self._sending()
        if isinstance(request, Replace):
            for outstanding in request.group:
                outstanding.cancelling = True
            answer = await self.broker.replace(request.old.order, request.order)
            self.reports.take_answer(answer, after, new=new, old=request.group)
            if answer.outcome == "rejected":
                await self._order_status.ask_how_it_ended(request.group, after, not_open=answer.code == _NOT_OPEN)
        else:
            answer = await self.broker.place(request.order)
            self.reports.take_answer(answer, after, new=new)
        self._terms.note(new[0].order.symbol, answer)
        if answer.outcome == "done":
            self._pacing.succeeded(new[0].slot, new[0].order.role)
        await self._planners.learn(answer, new[0])
        if any(outstanding.owed for outstanding in new):  # a list's answer has filled quantities, but no executions
            await self._order_status.sweep(self.book.portfolio.symbols, after)
        return after

    async def _check_lease(self) -> None:
        """Prove that the lease is still held, if this process slept between a commit and its request."""
        if not self._fresh():
            await self.write(self._step())

    async def _cancel(self, request: Cancel, step: Step) -> Step:
        """Cancel a group; if the venue has no such open order, look up how it ended."""
        await self.write(step)
        after = self._step()
        for outstanding in request.group:
            outstanding.cancelling = True
        answer = await self.broker.cancel(list_of(request.group))
        self.reports.take_answer(answer, after, old=request.group)
        if answer.outcome == "rejected":
            await self._order_status.ask_how_it_ended(request.group, after, not_open=True)
        if any(outstanding.owed for outstanding in request.group):
            await self._order_status.sweep(self.book.portfolio.symbols, after)
        return after

    # --- asking -------------------------------------------------------------------------------------------------------

    async def _sweep(self, symbols: Sequence[Symbol] | None = None) -> None:
        """Apply what happened since the last sweep, of some symbols or all, and commit it before anything is decided on it."""
        step = self._step()
        await self._order_status.sweep(self.book.portfolio.symbols if symbols is None else symbols, step)
        if step.fills or step.changes or step.notices:
            await self.write(step)

    # --- writing ------------------------------------------------------------------------------------------------------

    def _step(self, bar_ms: int | None = None) -> Step:
        return Step(self.broker.now_ms(), bar_ms)

    async def write(self, step: Step) -> tuple[Withheld, ...]:
        """Commit a step with the state as it is."""
        step.cursors = dict(self.desk_state.cursors)
        step.state = {**self.book.state.to_json(), "desk": self.desk_state.to_json()}
        return await self._write(step)
