"""The exchange's clock: a virtual one that stands still until it is moved, or a real one that may run faster than ours."""

import threading
import time


class VirtualClock:
    """A clock in epoch milliseconds that moves only on request; safe to move from another thread."""

    def __init__(self, now_ms: int) -> None:
        self._now_ms = int(now_ms)
        self._lock = threading.Lock()

    def now_ms(self) -> int:
        """Return the time in epoch milliseconds."""
        with self._lock:
            return self._now_ms

    def advance(self, ms: int) -> None:
        """Move the clock forward."""
        with self._lock:
            self._now_ms += int(ms)

    def reach(self, now_ms: int) -> None:
        """Move the clock to a time; a time in the past changes nothing."""
        with self._lock:
            self._now_ms = max(self._now_ms, int(now_ms))


class RealClock:
    """A clock that starts at `now_ms` and runs `speed` times as fast as ours."""

    def __init__(self, now_ms: int, speed: float = 1.0) -> None:
        self._start_ms, self._speed = int(now_ms), speed
        self._began = time.monotonic()

    def now_ms(self) -> int:
        """Return the time in epoch milliseconds."""
        return self._start_ms + int((time.monotonic() - self._began) * 1_000 * self._speed)

    def seconds_until(self, time_ms: int) -> float:
        """Return how many real seconds pass until a time of the exchange; 0 if it has passed."""
        return max(0.0, (time_ms - self.now_ms()) / 1_000 / self._speed)
