"""Which process did something, in one line that a database can keep, and whether that process is still there."""

import os
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import Self


@dataclass(frozen=True, slots=True)
class Holder:
    """A process: its machine, its id there, and when it started, since ids are used again."""

    host: str
    pid: int
    started: str

    @classmethod
    def here(cls) -> Self:
        """Return this process."""
        return cls(socket.gethostname(), os.getpid(), _started(os.getpid()))

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read what `str` wrote."""
        host, pid, started = text.rsplit(" ", 2)
        return cls(host, int(pid), started)

    def __str__(self) -> str:
        """Return one line, for a row that says who is at work."""
        return f"{self.host} {self.pid} {self.started}"

    def is_dead(self) -> bool:
        """Return True if the process is certainly gone, which can be known only of this machine's processes."""
        if self.host != socket.gethostname():
            return False
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return True
        except PermissionError:  # alive, or its id went to another user's process, which the start time tells
            pass
        return _started(self.pid) != self.started


def _started(pid: int) -> str:
    """Return a process's start in clock ticks since boot, `?` if the system does not provide it, `dead` for a zombie."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return "?"
    state, *rest = stat.rpartition(")")[2].split()
    return "dead" if state in "ZX" else rest[18]
