"""Trading at an exchange: decide at closes, send what is wanted, believe nothing that is not proven, and lose nothing.

One coroutine owns all of this. It commits what it is about to send, sends it, and takes the answer down with the next commit; so
a process that dies at any point leaves `sent` intents, which the next one looks up before it does anything else. An answer that
is not on the whitelist leaves the order *unknown*: its slot waits until the venue shows the order, or until the request cannot
be executed any more.
"""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from atb.domain.ports import Broker
from atb.domain.symbol import Symbol
from atb.errors import VenueError
from atb.live.execution.blotter import Outstanding
from atb.live.execution.book import Book, Newest
from atb.live.execution.execution_reports import ExecutionReports, owned
from atb.live.execution.order_status import OrderStatus
from atb.live.execution.orders import OrderMaker
from atb.live.execution.paper_desk import intent_json
from atb.live.execution.planning import Cancel, Place, Replace, Request, SlotPlanner, list_of
from atb.live.execution.timing import DeskTiming
from atb.live.feed.market import Moment
from atb.live.journal.step import Commit, Decided, Notice, Step, Withheld, Working

_MOST_DOUBLINGS = 5


@dataclass(frozen=True)
class DeskParts:
    """What an exchange desk works with.

    Parameters
    ----------
    broker, reports
        The venue, and what takes in its answers and executions.
    makers
        Who makes each slot's orders.
    commit
        Who writes steps.
    sending
        Called when a request leaves.
    fresh
        Tells whether the lease was renewed so lately that nobody can have taken the account over.
    """

    broker: Broker
    reports: ExecutionReports
    makers: Mapping[int, OrderMaker]
    commit: Commit
    sending: Callable[[], None] = lambda: None
    fresh: Callable[[], bool] = lambda: True


class ExchangeDesk:
    """A book with a broker.

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
        self._cancels: Counter[str] = Counter()  # requests to withdraw an order since the last close
        # By slot and role: when to try again, and how often it was tried.
        self._tried: dict[tuple[int, str], tuple[int, int]] = {}
        self._put_off: list[int] = []  # when it is to be tried again
        self._looked_ms = 0
        self._order_status = OrderStatus(parts.broker, parts.reports, self.timing)

    @property
    def book(self) -> Book:
        """Market and state so far."""
        return self.reports.book

    # --- moments ------------------------------------------------------------------------------------------------------

    async def on_moment(self, moment: Moment, *, barred: str | None = None) -> None:
        """Decide on the bars that closed and send what follows.

        Parameters
        ----------
        moment
            What closed.
        barred
            Why no entry may be sent now, None where it may.
        """
        await self._sweep()
        self._cancels.clear()
        self._tried.clear()
        step = self._step(moment.bar_ms)
        now = self.book.learn(moment.closing)
        refused = self.book.decide(now)
        for slot in now.slots:
            self.desk_state.bars[slot] = int(now.market_of(slot)["opened"])
            self.reports.begin_bar(slot)
            why = self._bar(slot, barred or self._barrier(slot, moment))
            refusal = ", ".join(filter(None, (refused[slot], why))) or None
            step.decided.append(self._decided(now, slot, refusal))
        step.equity, step.cash = self.book.equity, self.book.cash
        await self.settle(step)

    async def look(self) -> None:
        """Ask the venue what happened, and act on it; this is all that a restart needs."""
        step, self._looked_ms = self._step(), self.broker.now_ms()
        await self._order_status.resolve(step)
        if step.changes or step.notices:
            await self.write(step)
        await self._sweep()
        await self.settle()

    def due_ms(self) -> int | None:
        """Return when to look next, exchange time.

        For a lost answer, for executions that the venue counts and does not list yet, after a sweep that failed, to try again what
        was refused too often, or at once where the account may hold less than the books.
        """
        looks = [outstanding.next_look_ms for outstanding in self.blotter.unknown()]
        if self._order_status.again_ms is not None:
            looks.append(self._order_status.again_ms)
        looks += self._put_off
        if self.reports.doubt:
            looks.append(0)
        if any(outstanding.owed for outstanding in self.blotter):
            looks.append(self._looked_ms + self.timing.look_ms)
        return min(looks) if looks else None

    def stop_entries(self, *, keep_resting: bool) -> None:
        """Drop the entries that are wanted; those that rest already may be kept."""
        for slot in self._makers:
            if not (keep_resting and self.blotter.open(slot, "entry")):
                self.reports.drop_entry(slot)

    def flatten(self) -> None:
        """Want every position closed at the market."""
        self.stop_entries(keep_resting=False)
        for slot in self._makers:
            self.book.close_at_market(slot)

    @property
    def clear(self) -> bool:
        """Whether nothing is held that could be sold, and nothing is out."""
        held = any(self._available(slot)["quantity"] != 0.0 for slot in self._makers)
        return not held and not any(self.blotter.open(slot) for slot in self._makers)

    async def write_off(self) -> None:
        """Book as sold what the books still hold when all that could be sold is sold; crumbs may be left on the account."""
        step = self._step()
        for slot in tuple(self.desk_state.present):
            self.reports.write_off(slot, owned(self.book.slot(slot)), step)
        if step.fills or step.notices:
            await self.write(step)

    def bare(self) -> set[Symbol]:
        """Return the symbols in which something is held that no resting stop covers."""
        plans = self.book.portfolio.plans
        return {plans[slot].symbol for slot in self._makers if not self._planner(slot).covered}

    # --- what is barred -----------------------------------------------------------------------------------------------

    def _bar(self, slot: int, why: str | None) -> str | None:
        """Drop the entry of a decision where there is a reason to; return the reason where it acted."""
        if why is None or self.book.slot(slot)["entry"] == 0.0 or self.blotter.open(slot, "entry"):
            return None
        self.reports.drop_entry(slot)
        return why

    def _barrier(self, slot: int, moment: Moment) -> str | None:
        """Return why a slot's entry may not be sent: too late, something there is not ours, or an entry that may be out.

        An entry whose answer was lost counts as if it had taken all the room there is.
        """
        if self.broker.now_ms() - moment.time_ms > self.timing.entry_grace_ms:
            return "late"
        if str(self.book.portfolio.plans[slot].symbol) in self.desk_state.quarantine:
            return "quarantined"
        return (
            "unknown_exposure"
            if any(outstanding.order.role == "entry" for outstanding in self.blotter.unknown())
            else None
        )

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
        """Send requests until nothing is left to ask for; then commit what the last answer told."""
        self._put_off.clear()
        for wish in (SlotPlanner.leave, SlotPlanner.protect, SlotPlanner.enter):
            for slot in self._makers:
                while (request := wish(self._planner(slot))) is not None:
                    step = step or self._step()
                    if self._exhausted(request, step):
                        break
                    step = await self._after_fills(await self._perform(request, step))
        if step is not None:
            await self.write(step)
        self.blotter.drop_finished()

    async def _after_fills(self, step: Step) -> Step:
        """Protect what was just bought before anything else is sent."""
        for slot in {done.slot for done in step.fills}:
            while (request := self._planner(slot).protect()) is not None and not self._exhausted(request, step):
                step = await self._perform(request, step)
        return step

    def _planner(self, slot: int) -> SlotPlanner:
        return SlotPlanner(
            slot,
            self._available(slot),
            self.book.parameters(slot),
            self._makers[slot],
            self.desk_state.bars.get(slot, 0),
            self.blotter,
            self.broker.capabilities,
            slot in self.reports.crossed,
            slot in self.reports.reached,
            slot in self.reports.plain | self.reports.tight,
            self.timing.entry_band,
            self._stop_limit(slot),
        )

    def _available(self, slot: int) -> np.void:
        """Return a slot's record, but of its position only what the account still has."""
        present = self.desk_state.present.get(slot)
        return self.book.slot(slot) if present is None else self.book.limited_to(slot, present)

    def _stop_limit(self, slot: int) -> int | None:
        """Return how many stops of a slot may rest: the venue's number, shared by the slots of one symbol."""
        number = self.broker.capabilities.stops_per_symbol
        plans = self.book.portfolio.plans
        sharing = sum(plan.symbol == plans[slot].symbol for plan in plans)
        return None if number is None else max(1, number // sharing)

    def _exhausted(self, request: Request, step: Step) -> bool:
        """Tell whether a request has to wait, and until when, or, if it is an entry, is not made at all."""
        role, asked = self._asked(request)
        now, again_ms = self.broker.now_ms(), 0
        if now < self.reports.silent_until_ms:
            again_ms = self.reports.silent_until_ms
        elif self.reports.doubt and role != "cancellation":
            again_ms = now  # the account is compared before anything more is sold
        elif asked > self.timing.attempts:
            again_ms = self._after_many(request.slot, role, now, step=step)
        if again_ms == 0:
            return False
        if role == "entry":
            self.reports.drop_entry(request.slot)
        else:
            self._put_off.append(again_ms)
        return True

    def _asked(self, request: Request) -> tuple[str, int]:
        """Return what a request is for, and how often that was asked for in one bar."""
        if isinstance(request, Cancel):
            name = request.group[0].order.client_id
            self._cancels[name] += 1
            return "cancellation", self._cancels[name]
        role = request.orders[0].role if isinstance(request, Place) else request.order.role
        return role, self._makers[request.slot].made(self.desk_state.bars.get(request.slot, 0), role)

    def _after_many(self, slot: int, role: str, now: int, *, step: Step) -> int:
        """Return when to try again what was refused too often in one bar, 0 for now.

        A market that is closed opens again without notice, and a position waits for it; all else is tried ever more rarely.
        """
        due, tries = self._tried.get((slot, role), (now + self.timing.retry_ms, 0))
        if not tries:
            detail = {"slot": slot, "role": role, "attempts": self.timing.attempts}
            step.notices.append(Notice("gave_up", detail, "error"))
            self._tried[slot, role] = due, 1
        if now < due or role == "entry":
            return due
        pause = self.timing.retry_ms * (1 if slot in self.reports.closed else 2 ** min(tries, _MOST_DOUBLINGS))
        self._tried[slot, role] = now + pause, tries + 1
        return 0

    async def _perform(self, request: Request, step: Step) -> Step:
        """Commit a request's intents together with `step`, send it, and return the step that its answer begins."""
        if isinstance(request, Cancel):
            return await self._cancel(request, step)
        sent = [request.order] if isinstance(request, Replace) else list(request.orders)
        list_id = request.list_id if isinstance(request, Place) else None
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
            request.old.cancelling = True
            answer = await self.broker.replace(request.old.order, request.order)
            self.reports.take_answer(answer, after, new=new, old=(request.old,))
            if answer.outcome == "rejected":
                await self._ask((request.old,), after)
        else:
            self.reports.take_answer(await self.broker.place(request.order), after, new=new)
        if any(
            outstanding.owed for outstanding in new
        ):  # a list's answer tells what was executed, but not the executions
            await self._order_status.sweep(self.book.portfolio.symbols, after)
        return after

    async def _check_lease(self) -> None:
        """Prove once more that the account is held where this process slept between a commit and its request."""
        if not self._fresh():
            await self.write(self._step())

    async def _cancel(self, request: Cancel, step: Step) -> Step:
        """Withdraw a group; where the venue has no such open order it ended by itself, and how is asked."""
        await self.write(step)
        after = self._step()
        for outstanding in request.group:
            outstanding.cancelling = True
        answer = await self.broker.cancel(list_of(request.group))
        self.reports.take_answer(answer, after, old=request.group)
        if answer.outcome == "rejected":
            await self._ask(request.group, after)
        if any(outstanding.owed for outstanding in request.group):
            await self._order_status.sweep(self.book.portfolio.symbols, after)
        return after

    # --- asking -------------------------------------------------------------------------------------------------------

    async def _sweep(self) -> None:
        """Hear what happened since the last sweep, and commit it before anything is decided on it."""
        step = self._step()
        await self._order_status.sweep(self.book.portfolio.symbols, step)
        if step.fills or step.changes or step.notices:
            await self.write(step)

    async def _ask(self, group: tuple[Outstanding, ...], step: Step) -> None:
        """Ask after orders that could not be withdrawn; where the venue is silent, their answers count as lost."""
        try:
            await self._order_status.ask(group, step)
        except VenueError:
            for outstanding in group:
                outstanding.mark_unknown()

    # --- writing ------------------------------------------------------------------------------------------------------

    def _step(self, bar_ms: int | None = None) -> Step:
        return Step(self.broker.now_ms(), bar_ms)

    async def write(self, step: Step) -> tuple[Withheld, ...]:
        """Commit a step with the state as it is."""
        step.cursors = dict(self.desk_state.cursors)
        step.state = {**self.book.state.to_json(), "desk": self.desk_state.to_json()}
        return await self._write(step)
