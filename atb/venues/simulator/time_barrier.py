"""Participants of the virtual clock: time stands still while one of them works, and moves only when all of them wait."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

_MOMENTS_AT_ONCE = 200


@dataclass(eq=False)
class Participant:
    """Somebody whose work stops the clock.

    Parameters
    ----------
    answer
        Called with (now, woken) when a wait ends.
    until_ms
        What it waits for; None while it works.
    missed
        Whether something happened since its last answer: its next wait then ends at once.
    """

    resume: Callable[[int, bool], None]
    until_ms: int | None = None
    woken: bool = field(default=False)


class TimeBarrier:
    """Who takes part, and the rule by which time moves.

    Parameters
    ----------
    now
        The present.
    next_moment
        When the exchange itself does something next; None is never.
    advance
        Moves the exchange to a time.
    drives
        Whether waiting moves the clock: a real one goes by itself.
    """

    def __init__(
        self,
        now: Callable[[], int],
        next_moment: Callable[[], int | None],
        *,
        advance: Callable[[int], None],
        drives: bool = True,
    ) -> None:
        self._now, self._next_moment, self._advance, self._drives = now, next_moment, advance, drives
        self._participants: list[Participant] = []
        self._scheduled = False

    @property
    def all_wait(self) -> bool:
        """Whether nobody works: every participant waits, or there is none."""
        return all(one.until_ms is not None for one in self._participants)

    def __len__(self) -> int:
        """Return the number of participants."""
        return len(self._participants)

    def join(self, resume: Callable[[int, bool], None]) -> Participant:
        """Add a participant, who works until it waits."""
        participant = Participant(resume)
        self._participants.append(participant)
        return participant

    def leave(self, participant: Participant) -> None:
        """Remove a participant: the others need not wait for it any more."""
        if participant in self._participants:
            self._participants.remove(participant)
        self._settle_soon()

    def wait(self, participant: Participant, until_ms: int) -> None:
        """Note that a participant waits; a second wait replaces the first, and one in the past ends at once."""
        participant.until_ms = until_ms
        self.release()
        self._settle_soon()

    def wake(self) -> None:
        """End the waits of all: something happened. Who works is told when it next waits."""
        for one in self._participants:
            one.woken = True
        self._settle_soon()

    def release(self) -> None:
        """Answer those whose wait is over."""
        now = self._now()
        for one in list(self._participants):
            if one.until_ms is not None and (one.woken or one.until_ms <= now):
                woken, one.until_ms, one.woken = one.woken, None, False
                one.resume(now, woken)

    def next_ms(self) -> int | None:
        """Return when a wait ends or the exchange does something, whichever is first."""
        times = [one.until_ms for one in self._participants if one.until_ms is not None]
        moment = self._next_moment()
        return min([*times, *([moment] if moment is not None else [])], default=None)

    def _settle_soon(self) -> None:
        # What other connections have already sent is read first: only then is it known that everybody waits.
        if self._participants and not self._scheduled:
            self._scheduled = True
            asyncio.get_running_loop().call_soon(self._settle)

    def _settle(self) -> None:
        self._scheduled = False
        self.release()
        for _ in range(_MOMENTS_AT_ONCE):
            if not (self._drives and self._participants and self.all_wait):
                return
            target = self.next_ms()
            if target is None:
                return
            self._advance(target)
            self.release()
        self._settle_soon()
