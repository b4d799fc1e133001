"""Writing steps through a database that may go away: a step is written once, in order, before anything it plans is sent.

While the database is away nothing is sent, and what rests at the venue goes on protecting. The kill switch is the exception: a
file that says `cancel` or `flatten` is obeyed at once, and its steps are kept until they can be written.
"""

import asyncio
from collections.abc import Callable
from time import monotonic
from typing import Any

from atb.errors import DatabaseLostError
from atb.live.halt import Level
from atb.live.journal import Journal
from atb.live.step import Step, Withheld
from atb.live.watch import Watch
from atb.monitoring import get_logger

_log = get_logger(__name__)
_RETRY_S = 0.25


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
    watch
        Told what was written.
    """

    def __init__(
        self,
        journal: Journal,
        *,
        grace_s: float,
        level: Callable[[], Level],
        threads: bool = True,
        watch: Watch | None = None,
    ) -> None:
        self._journal, self._grace_s, self._level, self._threads = journal, grace_s, level, threads
        self._watch = watch or Watch()
        self._backlog: list[Step] = []
        self._away: float | None = None  # since when nothing could be written

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
                withheld = await asyncio.to_thread(self._write) if self._threads else self._write()
            except DatabaseLostError:
                if self._level() >= Level.CANCEL:  # what it takes is sent, and written when the database is back
                    _log.exception("trading is halted without a database; its steps are kept")
                    return ()
                if self._too_long(tried, pause=_RETRY_S):
                    raise
                await asyncio.sleep(_RETRY_S)
            else:
                self._away = None
                self._watch.written(step, withheld, monotonic() - began)
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
            await asyncio.to_thread(self._beat) if self._threads else self._beat()
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
                await asyncio.to_thread(self._end, status, detail) if self._threads else self._end(status, detail)
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

    def _write(self) -> tuple[Withheld, ...]:
        """Write the backlog in order; what was written is forgotten, so that the rest can be tried again."""
        withheld: tuple[Withheld, ...] = ()
        while self._backlog:
            withheld = self._journal.commit(self._backlog[0])
            self._backlog.pop(0)
        return withheld

    @property
    def behind(self) -> int:
        """Number of steps that wait for the database."""
        return len(self._backlog)
