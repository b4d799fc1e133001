"""The exchange's clock: a virtual one that is moved, and may go on while clients work, or a real one, perhaps faster than ours."""

import threading
import time


class VirtualClock:
    """A clock in epoch milliseconds that moves on request; safe to move from another thread.

    Parameters
    ----------
    now_ms
        Its first time.
    pace
        Milliseconds that pass by themselves per millisecond of ours while a client works, so that work takes time; 0 is none.
    """

    def __init__(self, now_ms: int, pace: float = 0.0) -> None:
        self._now_ms, self._pace = float(now_ms), pace
        self._since: float | None = None  # when it began to run by itself, by our clock
        self._lock = threading.Lock()

    def now_ms(self) -> int:
        """Return the time in epoch milliseconds."""
        with self._lock:
            return int(self._pass_time())

    def advance(self, ms: int) -> None:
        """Move the clock forward."""
        with self._lock:
            self._now_ms = self._pass_time() + int(ms)

    def reach(self, now_ms: int) -> None:
        """Move the clock to a time; a time in the past changes nothing."""
        with self._lock:
            self._now_ms = max(self._pass_time(), float(now_ms))

    def work(self, working: bool) -> None:
        """Let time pass by itself at the clock's pace while a client works, and not while all wait."""
        with self._lock:
            self._pass_time()
            self._since = time.monotonic() if working and self._pace else None

    def _pass_time(self) -> float:
        """Let the time since the last call pass; return the present."""
        if self._since is not None:
            present = time.monotonic()
            self._now_ms, self._since = self._now_ms + (present - self._since) * 1_000 * self._pace, present
        return self._now_ms


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
