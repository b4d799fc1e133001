"""The barrier of virtual time: it stands still while any participant works, and moves when all of them wait."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

_MOMENTS_AT_ONCE = 200


@dataclass(eq=False)
class Participant:
    """A client whose work stops the clock.

    Parameters
    ----------
    resume
        Called with (now, woken) when a wait ends.
    until_ms
        Time it waits for; None while it works.
    woken
        Whether something happened since it was last resumed: its next wait then ends at once.
    """

    resume: Callable[[int, bool], None]
    until_ms: int | None = None
    woken: bool = field(default=False)


class TimeBarrier:
    """The participants, and the rule by which time moves.

    Parameters
    ----------
    now
        Returns the exchange's time in epoch milliseconds.
    next_moment
        Returns the time of the exchange's next scheduled call; None is never.
    advance
        Moves the exchange to a time.
    on_work
        Called with whether a participant works, at each change; None of a real clock, which moves by itself and not by waiting.
    """

    def __init__(
        self,
        now: Callable[[], int],
        next_moment: Callable[[], int | None],
        *,
        advance: Callable[[int], None],
        on_work: Callable[[bool], None] | None = None,
    ) -> None:
        self._now, self._next_moment, self._advance, self._on_work = now, next_moment, advance, on_work
        self._participants: list[Participant] = []
        self._scheduled = self._works = False

    @property
    def all_wait(self) -> bool:
        """Whether every participant waits, or there is none."""
        return all(participant.until_ms is not None for participant in self._participants)

    def __len__(self) -> int:
        """Return the number of participants."""
        return len(self._participants)

    def join(self, resume: Callable[[int, bool], None]) -> Participant:
        """Add a participant, which counts as working until it waits."""
        participant = Participant(resume)
        self._participants.append(participant)
        self._tell_work()
        return participant

    def leave(self, participant: Participant) -> None:
        """Remove a participant: time no longer waits for it."""
        if participant in self._participants:
            self._participants.remove(participant)
        self._tell_work()
        self._settle_soon()

    def wait(self, participant: Participant, until_ms: int) -> None:
        """Let a participant wait; a second wait replaces the first, and one in the past ends at once."""
        participant.until_ms = until_ms
        self._tell_work()
        self.release()
        self._settle_soon()

    def wake(self) -> None:
        """End all waits because something happened; the next wait of a working participant ends at once."""
        for participant in self._participants:
            participant.woken = True
        self._settle_soon()

    def release(self) -> None:
        """Resume the participants whose wait is over."""
        now = self._now()
        for participant in list(self._participants):
            if participant.until_ms is not None and (participant.woken or participant.until_ms <= now):
                woken, participant.until_ms, participant.woken = participant.woken, None, False
                participant.resume(now, woken)
        self._tell_work()

    def next_ms(self) -> int | None:
        """Return the earliest time at which a wait ends or the exchange has a scheduled call."""
        times = [participant.until_ms for participant in self._participants if participant.until_ms is not None]
        moment = self._next_moment()
        return min([*times, *([moment] if moment is not None else [])], default=None)

    def _tell_work(self) -> None:
        if self._on_work is not None and self._works == self.all_wait:
            self._works = not self._works
            self._on_work(self._works)

    def _settle_soon(self) -> None:
        # Messages that other connections have already sent are read first: only then is it certain that all wait.
        if self._participants and not self._scheduled:
            self._scheduled = True
            asyncio.get_running_loop().call_soon(self._settle)

    def _settle(self) -> None:
        self._scheduled = False
        self.release()
        for _ in range(_MOMENTS_AT_ONCE):
            if not (self._on_work is not None and self._participants and self.all_wait):
                return
            target = self.next_ms()
            if target is None:
                return
            self._advance(target)
            self.release()
        self._settle_soon()
