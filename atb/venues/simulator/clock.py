"""The exchange's present: a virtual clock that stands until it is moved, or a real one that may run faster than ours."""

import threading
import time


class VirtualClock:
    """The exchange's present, in epoch milliseconds; safe to move from another thread."""

    def __init__(self, now_ms: int) -> None:
        self._now_ms = int(now_ms)
        self._lock = threading.Lock()

    def now_ms(self) -> int:
        """Return the present."""
        with self._lock:
            return self._now_ms

    def advance(self, ms: int) -> None:
        """Move the present forward."""
        with self._lock:
            self._now_ms += int(ms)

    def reach(self, now_ms: int) -> None:
        """Move the present to a time; one that is over changes nothing."""
        with self._lock:
            self._now_ms = max(self._now_ms, int(now_ms))


class RealClock:
    """A clock that starts at a time of its own and then goes by itself, `speed` times as fast as ours."""

    def __init__(self, now_ms: int, speed: float = 1.0) -> None:
        self._start_ms, self._speed = int(now_ms), speed
        self._began = time.monotonic()

    def now_ms(self) -> int:
        """Return the present."""
        return self._start_ms + int((time.monotonic() - self._began) * 1_000 * self._speed)

    def seconds_until(self, time_ms: int) -> float:
        """Return how many of our seconds pass until a time of the exchange, 0 where it is over."""
        return max(0.0, (time_ms - self.now_ms()) / 1_000 / self._speed)
