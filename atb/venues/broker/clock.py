"""Exchange time: the runner's clock and the offset last measured, never ahead of the exchange."""

from collections.abc import Awaitable, Callable

from atb.domain.ports import Clock
from atb.times import DAY_MS

EVERY_MS = 600_000
_SAMPLES = 3
_STILL_EVERY_MS = DAY_MS  # a clock that stands still while we ask is the venue's own, and does not drift


class VenueClock:
    """The venue's present.

    The offset is the venue's time as it was told, less our time when it was heard. The venue's clock has gone on meanwhile, so
    what we take for its present is a little behind it (by the way back of the answer) and never ahead: a bar that is closed
    by this clock is closed, and a request that is too late by this clock is too late.

    Parameters
    ----------
    clock
        The runner's clock. A rehearsal's clock is the simulated exchange's own, which stands still while we ask.
    every_ms
        After how long a measurement is old.
    """

    def __init__(self, clock: Clock, *, every_ms: int = EVERY_MS) -> None:
        self._clock, self._every_ms = clock, every_ms
        self.offset_ms = 0
        self._measured_ms: int | None = None
        self._still = False

    def now_ms(self) -> int:
        """Return the venue's time in epoch milliseconds."""
        return self._clock.now_ms() + self.offset_ms

    @property
    def old(self) -> bool:
        """Whether the offset should be measured (again)."""
        if self._measured_ms is None:
            return True
        every = max(self._every_ms, _STILL_EVERY_MS) if self._still else self._every_ms
        return abs(self._clock.now_ms() - self._measured_ms) >= every

    def forget(self) -> None:
        """Let the next request that is in no hurry measure the offset again."""
        self._measured_ms, self._still = None, False

    async def measure(self, server_time: Callable[[], Awaitable[int]]) -> None:
        """Ask for the venue's time, a few times where asking takes time, and keep the tightest bound."""
        bounds = []
        for _ in range(_SAMPLES):
            asked = self._clock.now_ms()
            told = await server_time()
            heard = self._clock.now_ms()
            bounds.append(told - heard)
            self._still = heard == asked
            if self._still:
                break
        self.offset_ms, self._measured_ms = max(bounds), self._clock.now_ms()
