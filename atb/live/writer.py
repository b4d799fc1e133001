"""Writing steps through a database that may go away: each step is written once, in order, before its orders are sent.

While the database is away nothing is sent, and resting orders go on protecting. The kill switch is the exception: a file `HALT`
that says `cancel` or `flatten` is obeyed at once, and its steps are kept until they can be written.

A database that hangs raises no error: a call that has not returned after a third of the grace counts as failed. It is still
running, so no other call begins before it has returned.
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
_SOONEST_S = 5.0  # a call counts as hanging only after this, however short the grace: machines may be busy


class Writer:
    """Commits steps; patient for `grace_s` seconds of real time.

    Parameters
    ----------
    journal
        The session's journal.
    grace_s
        How long a database may be away before the runner gives up (exit code 5).
    level
        Level of the kill switch outside the database.
    threads
        Whether to write in a thread, so that the event loop goes on meanwhile.
    telemetry
        Receives the written steps.
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
        self._away: float | None = None  # since when the database is away (monotonic seconds)
        self._hanging: Call[Any] | None = None
        self._written: tuple[Step, tuple[Withheld, ...]] | None = (
            None  # the last step written, with its withheld orders
        )

    async def commit(self, step: Step) -> tuple[Withheld, ...]:
        """Write a step, after those that could not be written earlier; return its withheld orders.

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
                await self._call(self._write)
            except DatabaseLostError:
                if self._level() >= Level.CANCEL:  # its orders are sent, and written when the database is back
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
        """Renew the lease while nothing happens, and write what is left; a database that is away is waited for.

        Raises
        ------
        DatabaseLostError
            If it stays away for longer than the grace.
        """
        tried = monotonic()
        try:
            await self._call(self._beat)
        except DatabaseLostError:
            if self._too_long(tried) and self._level() < Level.CANCEL:
                raise
        else:
            self._away = None

    async def end(self, status: str, detail: dict[str, Any]) -> None:
        """Write what is left, and how this process ended.

        Raises
        ------
        DatabaseLostError
            If the database stays away for longer than the grace; steps that could not be written are lost then.
        """
        while True:
            tried = monotonic()
            try:
                await self._call(lambda: self._end(status, detail))
            except DatabaseLostError:
                if self._too_long(tried, pause=_RETRY_S):
                    raise
                await asyncio.sleep(_RETRY_S)
            else:
                return

    def _too_long(self, tried: float, *, pause: float = 0.0) -> bool:
        """Note a failed try that began at `tried`; return whether another as long, after a pause, would exceed the grace."""
        self._away, now = tried if self._away is None else self._away, monotonic()
        return (now - self._away) + pause + (now - tried) > self._grace_s

    def _end(self, status: str, detail: dict[str, Any]) -> None:
        self._write()
        self._journal.end(status, detail)

    def _beat(self) -> None:
        self._write()
        self._journal.heartbeat()

    def _write(self) -> None:
        """Write the backlog in order; written steps leave it, so that the rest can be tried again."""
        while self._backlog:
            step = self._backlog[0]
            self._written = step, self._journal.commit(step)
            self._backlog.pop(0)

    def _answer(self, step: Step) -> tuple[Withheld, ...]:
        """Return the withheld orders of the step that was written last."""
        assert self._written is not None
        last, withheld = self._written
        assert last is step  # one coroutine commits, and waits until its step is written
        return withheld

    async def _call(self, act: Callable[[], T]) -> T:
        """Call the journal; a call that hangs is waited for before another begins.

        Raises
        ------
        DatabaseLostError
            If it does not return in time.
        """
        if not self._threads:
            return act()
        if self._hanging is not None:
            await self._finish(self._hanging)
        return await self._finish(Call(act, "journal"))

    async def _finish(self, call: Call[T]) -> T:
        self._hanging = call
        if not await call.finished(self.silence_s):
            raise DatabaseLostError(f"The database has not answered for {self.silence_s:g} s, and reports no error")
        self._hanging = None
        return call.result()

    @property
    def hangs(self) -> bool:
        """Whether a call to the database has not returned in time."""
        return self._hanging is not None and not self._hanging.done

    @property
    def silence_s(self) -> float:
        """Seconds after which a database that has not answered counts as lost."""
        return max(self._grace_s / 3, _SOONEST_S)

    @property
    def behind(self) -> int:
        """Number of steps that wait for the database."""
        return len(self._backlog)
