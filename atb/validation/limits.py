"""Limits of a fork that runs a strategy's code: it can neither compute nor wait for ever, and how it ended is a sentence.

Processor time is counted, so a slow or busy machine changes nothing: a piece of work, such as one check or one bar, gets `LEAST_S`
seconds of it, or `TIMES` what the longest piece before it took, whichever is more. What waits uses no processor time; it is given
up after `WAIT_S` seconds by the clock.
"""

import math
import os
import resource
import signal
from collections.abc import Iterator
from contextlib import contextmanager

from atb.validation.walls import Files

LEAST_S = 60
TIMES = 50
WAIT_S = 900
ENDED, FAILED = 79, 78
"""Exit codes of a fork that has done all that it should, and of one that printed an error: a strategy that ends its process gives
another."""
RAISED = "it raised an error"


class Limits:
    """The limits of this process, for one piece of work after another; exceeding one kills it with a signal of its own.

    Parameters
    ----------
    least_s
        Seconds of processor time that a piece gets at least.
    """

    def __init__(self, least_s: int = LEAST_S) -> None:
        self._least, self._longest = least_s, 0.0
        for number in (signal.SIGXCPU, signal.SIGALRM):  # to end the process, whoever handled them before the fork
            signal.signal(number, signal.SIG_DFL)
        with Files.own():
            resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))

    @contextmanager
    def piece(self) -> Iterator[None]:
        """Limit what is done inside."""
        began = _used()
        allowed = max(self._least, math.ceil(TIMES * self._longest))
        hard = resource.getrlimit(resource.RLIMIT_CPU)[1]
        with Files.own():
            resource.setrlimit(resource.RLIMIT_CPU, (_at_most(math.ceil(began) + allowed, hard), hard))
        signal.alarm(WAIT_S)
        try:
            yield
        finally:
            signal.alarm(0)
            self._longest = max(self._longest, _used() - began)


def how_it_ended(status: int, *, least_s: int = LEAST_S) -> str:
    """Return in words how a process ended early, by the status that `os.waitpid` gave and the least seconds of its `Limits`."""
    if os.WIFEXITED(status):
        return (
            RAISED if os.WEXITSTATUS(status) == FAILED else f"it ended its process (exit code {os.WEXITSTATUS(status)})"
        )
    number = os.WTERMSIG(status)
    if number == signal.SIGXCPU:
        return f"it computed without end: it was stopped after {least_s} s of processor time, or {TIMES} times the longest before"
    if number == signal.SIGALRM:
        return f"it waited without end: it was stopped after {WAIT_S} s"
    return f"its process was killed ({signal.Signals(number).name})"


def _used() -> float:
    """Return the processor time of this process so far, in seconds."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def _at_most(seconds: int, hard: int) -> int:
    return seconds if hard == resource.RLIM_INFINITY else min(seconds, hard)
