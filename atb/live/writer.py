"""Writing steps through a database that may go away: a step is written once, in order, before anything it plans is sent.

While the database is away nothing is sent, and what rests at the venue goes on protecting. The kill switch is the exception: a
file that says `cancel` or `flatten` is obeyed at once, and its steps are kept until they can be written.

A database that hangs tells no error: a call that has not come back after a third of the grace counts as one that failed. It is
still on its way, so no other begins before it has come back.
"""

import asyncio
from collections.abc import Callable
from time import monotonic
from typing import Any, TypeVar

from atb.errors import DatabaseLostError
from atb.live.journal.journal import Journal
from atb.live.journal.kill_switch import Level
from atb.live.journal.step import Step, Withheld
from atb.live.telemetry import Telemetry
from atb.monitoring import get_logger
from atb.threads import Call

T = TypeVar("T")
_log = get_logger(__name__)
_RETRY_S = 0.25
_SOONEST_S = 5.0  # no call hangs before that, however short the grace is: machines are busy at times


class Writer:
    """Commits steps; patient for `grace_s` seconds of real time.

    Parameters
    ----------
    journal
        Where to.
    grace_s
        How long a database may be away before the runner gives up (exit code 5).
    level
        Tells what the kill switch says past the database.
    threads
        Whether to write in a thread, so that streams are heard meanwhile.
    telemetry
        Told what was written.
    """

    def __init__(
        self,
        journal: Journal,
        *,
        grace_s: float,
        level: Callable[[], Level],
        threads: bool = True,
        telemetry: Telemetry | None = None,
    ) -> None:
        self._journal, self._grace_s, self._level, self._threads = journal, grace_s, level, threads
        self._telemetry = telemetry or Telemetry()
        self._backlog: list[Step] = []
        self._away: float | None = None  # since when nothing could be written
        self._hanging: Call[Any] | None = None
        self._written: tuple[Step, tuple[Withheld, ...]] | None = None  # the last one, with its answer

    async def commit(self, step: Step) -> tuple[Withheld, ...]:
        """Write a step, and before it what could not be written earlier.

        Raises
        ------
        DatabaseLostError
            If the database stays away for longer than the grace.
        """
        began = monotonic()
        self._backlog.append(step)
        while True:
            tried = monotonic()
            try:
                await self._try(self._write)
            except DatabaseLostError:
                if self._level() >= Level.CANCEL:  # what it takes is sent, and written when the database is back
                    _log.exception("trading is halted without a database; its steps are kept")
                    return ()
                if self._too_long(tried, pause=_RETRY_S):
                    raise
                await asyncio.sleep(_RETRY_S)
            else:
                self._away = None
                withheld = self._answer(step)
                self._telemetry.written(step, withheld, monotonic() - began)
                return withheld

    async def beat(self) -> None:
        """Keep the lease while nothing happens, and catch up; a database that is away is waited for.

        Raises
        ------
        DatabaseLostError
            If it stays away for longer than the grace.
        """
        tried = monotonic()
        try:
            await self._try(self._beat)
        except DatabaseLostError:
            if self._too_long(tried) and self._level() < Level.CANCEL:
                raise
        else:
            self._away = None

    async def end(self, status: str, detail: dict[str, Any]) -> None:
        """Write what is left, and how this process leaves the session.

        Raises
        ------
        DatabaseLostError
            If the database stays away for longer than the grace; steps that could not be written are lost then.
        """
        while True:
            tried = monotonic()
            try:
                await self._try(lambda: self._end(status, detail))
            except DatabaseLostError:
                if self._too_long(tried, pause=_RETRY_S):
                    raise
                await asyncio.sleep(_RETRY_S)
            else:
                return

    def _too_long(self, tried: float, *, pause: float = 0.0) -> bool:
        """Note that a try failed which began then; tell whether one more of that length, after a pause, would outlast the grace."""
        self._away, now = tried if self._away is None else self._away, monotonic()
        return (now - self._away) + pause + (now - tried) > self._grace_s

    def _end(self, status: str, detail: dict[str, Any]) -> None:
        self._write()
        self._journal.end(status, detail)

    def _beat(self) -> None:
        self._write()
        self._journal.heartbeat()

    def _write(self) -> None:
        """Write the backlog in order; what was written is forgotten, so that the rest can be tried again."""
        while self._backlog:
            step = self._backlog[0]
            self._written = step, self._journal.commit(step)
            self._backlog.pop(0)

    def _answer(self, step: Step) -> tuple[Withheld, ...]:
        """Return what was withheld of the step that was written last, by whichever call."""
        assert self._written is not None
        last, withheld = self._written
        assert last is step  # one coroutine commits, and waits until its step is written
        return withheld

    async def _try(self, act: Callable[[], T]) -> T:
        """Call the journal; one that hangs is left alone, and waited for before there is another call.

        Raises
        ------
        DatabaseLostError
            If it does not come back.
        """
        if not self._threads:
            return act()
        if self._hanging is not None:
            await self._come_back(self._hanging)
        return await self._come_back(Call(act, "journal"))

    async def _come_back(self, call: Call[T]) -> T:
        self._hanging = call
        if not await call.finished(self.silence_s):
            raise DatabaseLostError(f"The database has not answered for {self.silence_s:g} s, and tells no error")
        self._hanging = None
        return call.result()

    @property
    def hangs(self) -> bool:
        """Whether a call to the database has not come back in time."""
        return self._hanging is not None and not self._hanging.done

    @property
    def silence_s(self) -> float:
        """Seconds after which a database that has not answered counts as lost."""
        return max(self._grace_s / 3, _SOONEST_S)

    @property
    def behind(self) -> int:
        """Number of steps that wait for the database."""
        return len(self._backlog)
