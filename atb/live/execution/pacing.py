"""When a request may be sent: a venue's pauses, attempts in one bar, and pauses after refusals."""

from collections import Counter
from collections.abc import Callable, Mapping
from typing import Literal

from atb.live.execution.execution_reports import ExecutionReports
from atb.live.execution.orders import OrderMaker, Role
from atb.live.execution.planning import Cancel, Request
from atb.live.execution.timing import DeskTiming
from atb.live.journal.step import Notice, Step

_MOST_DOUBLINGS = 5


class Pacing:
    """Puts requests off, or drops an entry that was refused too often.

    A refusal that says nothing about its order costs no attempt: the price has passed it, the market is closed, too many requests.

    Parameters
    ----------
    reports
        Its pauses and the attempts that cost nothing are read, and entries dropped.
    makers
        Order factory per slot; it counts attempts.
    timing
        Attempts and pauses.
    now
        Exchange time (ms).

    Attributes
    ----------
    put_off
        Exchange times of the requests that were put off.
    """

    def __init__(
        self, reports: ExecutionReports, makers: Mapping[int, OrderMaker], timing: DeskTiming, *, now: Callable[[], int]
    ) -> None:
        self._reports, self._makers, self._timing, self._now = reports, makers, timing, now
        self._cancels: Counter[str] = Counter()  # cancellations of an order since the last close
        # By slot and role: exchange time of the next attempt, and attempts so far.
        self._tried: dict[tuple[int, str], tuple[int, int]] = {}
        self.put_off: list[int] = []

    def begin_bar(self) -> None:
        """Begin a bar: attempts count anew."""
        self._cancels.clear()
        self._tried.clear()

    @property
    def refused(self) -> set[int]:
        """Slots whose exits or stops were refused so often that they are tried again slowly."""
        return {slot for slot, role in self._tried if role != "entry"}

    def waits(self, request: Request, step: Step) -> bool:
        """Return whether a request is put off, or, for an entry that was refused too often, dropped."""
        role, asked = self._asked(request)
        now, again_ms, relaid = self._now(), 0, isinstance(request, Cancel) and request.relaid
        pause = max(self._reports.silent_until_ms, self._reports.paused.get(request.slot, 0))
        if now < pause:
            again_ms = pause
        elif self._reports.doubt and (relaid or role != "cancellation"):
            again_ms = now  # the account is compared before anything more is sold
        elif relaid and self._made(request.slot, "stop") >= self._timing.attempts:
            again_ms = self._after_many(request.slot, "stop", now, step=step, attempt=False)
        elif asked > self._timing.attempts:
            again_ms = self._after_many(request.slot, role, now, step=step)
            if again_ms and role == "entry":
                self._reports.drop_entry(request.slot)
        if again_ms:
            self.put_back(request, again_ms if role != "entry" or now < pause else None)
        return again_ms != 0

    def put_back(self, request: Request, again_ms: int | None) -> None:
        """Put a request off to an exchange time, if there is one; that it was planned costs no attempt."""
        if again_ms is not None:
            self.put_off.append(again_ms)
        for order in () if isinstance(request, Cancel) else request.orders[:1]:
            bar_ms = self._reports.desk_state.bars.get(request.slot, 0)
            self._reports.free_attempts[request.slot, bar_ms, order.role] += 1

    def succeeded(self, slot: int, role: Role) -> None:
        """Note that a request for a role was done: an exit or stop that was refused too often is not any more."""
        self._tried.pop((slot, role), None)

    def _asked(self, request: Request) -> tuple[Role | Literal["cancellation"], int]:
        """Return the role of a request, and its attempts in this bar."""
        if isinstance(request, Cancel):
            name = request.group[0].client_id
            self._cancels[name] += 1
            return "cancellation", self._cancels[name]
        role = request.orders[0].role
        return role, self._made(request.slot, role)

    def _made(self, slot: int, role: Role) -> int:
        """Return the attempts of a slot at a role in this bar, without those that cost nothing."""
        bar_ms = self._reports.desk_state.bars.get(slot, 0)
        return self._makers[slot].made(bar_ms, role) - self._reports.free_attempts[slot, bar_ms, role]

    def _after_many(self, slot: int, role: str, now: int, *, step: Step, attempt: bool = True) -> int:
        """Return when to retry what was refused too often in one bar, 0 for now; the pause doubles with each attempt.

        `attempt`: whether this is one; else the attempt follows at once where it may.
        """
        due, tries = self._tried.get((slot, role), (now + self._timing.retry_ms, 0))
        if not tries:
            detail = {"slot": slot, "role": role, "attempts": self._timing.attempts}
            step.notices.append(Notice("gave_up", detail, "error"))
            self._tried[slot, role] = due, 1
        if now < due or role == "entry":
            return due
        if not attempt:
            return 0
        self._tried[slot, role] = now + self._timing.retry_ms * 2 ** min(tries, _MOST_DOUBLINGS), tries + 1
        return 0
