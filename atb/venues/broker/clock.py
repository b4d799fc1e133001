"""Exchange time: the runner's clock and the offset last measured, never ahead of the exchange."""

from collections.abc import Awaitable, Callable

from atb.domain.ports import Clock
from atb.times import DAY_MS

EVERY_MS = 600_000
_SAMPLES = 3
_STILL_EVERY_MS = DAY_MS  # a clock that stands still during the request is the venue's own, and does not drift


class VenueClock:
    """The venue's time.

    The offset is the venue's reported time minus our time when the response arrived. The venue's clock has moved on meanwhile, so
    this time is a little behind the venue's (by the response's travel time) and never ahead: a bar that is closed by this clock
    is closed at the venue, and a request that is too late by this clock is too late there.

    Parameters
    ----------
    clock
        The runner's clock. In a rehearsal it is the simulated exchange's own, which stands still during requests.
    every_ms
        Age at which a measurement is old, in milliseconds.
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
        """Discard the measurement, so that the next read request measures the offset again."""
        self._measured_ms, self._still = None, False

    async def measure(self, server_time: Callable[[], Awaitable[int]]) -> None:
        """Request the venue's time, several times unless it takes no time, and keep the tightest bound."""
        bounds = []
        for _ in range(_SAMPLES):
            sent_ms = self._clock.now_ms()
            server_ms = await server_time()
            received_ms = self._clock.now_ms()
            bounds.append(server_ms - received_ms)
            self._still = received_ms == sent_ms
            if self._still:
                break
        self.offset_ms, self._measured_ms = max(bounds), self._clock.now_ms()
