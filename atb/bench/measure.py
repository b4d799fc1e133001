"""Time and memory of the process it runs in: CPU seconds, wall seconds, and the most memory used since a mark."""

import contextlib
import gc
import os
import resource
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

MEGABYTE = 1024 * 1024
STATUS = Path("/proc/self/status")
RESET = Path("/proc/self/clear_refs")


@dataclass(frozen=True)
class Timing:
    """Duration of one call in seconds; CPU counts every thread of this process."""

    cpu: float
    wall: float


def timed(action: Callable[[], Any], *, before: Callable[[], Any] | None = None) -> tuple[Any, Timing]:
    """Call `action` and return what it returned and what it took.

    Garbage is collected before the clock starts and not while it runs, as in `timeit`. `before` is then called untimed, since
    collecting garbage leaves the processor's caches in another state than a running program does.
    """
    gc.collect()
    collects = gc.isenabled()
    gc.disable()
    try:
        if before is not None:
            before()
        cpu, wall = time.process_time(), time.perf_counter()
        value = action()
        return value, Timing(time.process_time() - cpu, time.perf_counter() - wall)
    finally:
        if collects:
            gc.enable()


class PeakMemory:
    """Peak resident memory since this object was made, above what was resident then."""

    def __init__(self) -> None:
        gc.collect()
        # Reset the peak if the system allows it: imports may have peaked above what they left.
        with contextlib.suppress(OSError):
            RESET.write_text("5", encoding="ascii")
        self.before = _resident()

    def megabytes(self) -> float:
        """Return the growth so far in MB (2**20 bytes), at least 0."""
        return max(0.0, _peak() - self.before) / MEGABYTE


def busy() -> str | None:
    """Return a warning if other processes use the cores, since wall times then measure them too; None otherwise."""
    waiting, cores = os.getloadavg()[0], os.cpu_count() or 1
    if waiting < cores / 2:
        return None
    return f"The machine is busy (load {waiting:.1f} on {cores} cores): wall times, and so `cores`, `start` and `cold`, say little"


def _resident() -> int:
    """Return the resident bytes, or the peak if only that is known."""
    return _status("VmRSS") or _peak()


def _peak() -> int:
    """Return the peak of resident bytes.

    `getrusage` is the second choice: on Linux its peak is inherited from the process that started this one.
    """
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return _status("VmHWM") or peak * (1 if sys.platform == "darwin" else 1024)


def _status(name: str) -> int:
    """Return a value of Linux's process status in bytes, 0 if there is none."""
    with contextlib.suppress(OSError):
        for line in STATUS.read_text(encoding="ascii").splitlines():
            if line.startswith(f"{name}:"):
                return int(line.split()[1]) * 1024
    return 0
