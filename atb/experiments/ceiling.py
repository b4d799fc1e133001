"""The most memory that a notebook's kernel may take, set by its own process before it runs anything.

`RLIMIT_DATA` counts what a process may write to and nobody else shares: heap, own mappings, stacks of threads, touched or not. A
chapter that touches 0.5 GiB has 1.7 GiB of that, and 3.0 GiB of addresses (RLIMIT_AS), so the ceiling is never below `LEAST`.
There Python raises MemoryError, and the run ends with the outputs it has. To say so takes some memory itself, which is kept back
until the error is shown. Children have the same ceiling, each for itself. Windows has no such limit; macOS does not count all.
"""

import os
from pathlib import Path
from typing import Any

LEAST = 4 << 30  # bytes
RESERVE = 256 << 20  # bytes of the ceiling that are left for the error that tells of it, at most an eighth of it
_CGROUP = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")


def machine_memory() -> int:
    """Return the bytes of memory that this machine, or this container, has; 0 where the system does not tell."""
    try:
        found = [os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")]
    except (AttributeError, OSError, ValueError):
        return 0
    for path in _CGROUP:
        try:
            found.append(int(Path(path).read_text(encoding="ascii")))
        except (OSError, ValueError):  # no such file, or `max`
            continue
    return max(0, min(found))


def kernel_memory(share: float) -> int:
    """Return the ceiling for a share of the machine's memory, bytes; 0, no ceiling, for a share of 0 or where nothing is known."""
    return max(LEAST, int(share * machine_memory())) if share and machine_memory() else 0


def limit_memory(most: int) -> None:
    """Set the ceiling of this process, bytes; 0 sets none, nor does a system that knows no such limit."""
    try:
        import resource
    except ImportError:
        return
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    if hard != resource.RLIM_INFINITY:
        most = min(most or hard, hard)
    if not most:
        return
    resource.setrlimit(resource.RLIMIT_DATA, (most - min(RESERVE, most // 8), most))
    _tell_in_spite_of_it(most)


def _tell_in_spite_of_it(most: int) -> None:
    """Let IPython have the reserve when it shows an error for want of memory."""
    import resource

    from IPython.core.interactiveshell import InteractiveShell

    shows = InteractiveShell.showtraceback

    def showtraceback(self: Any, *arguments: Any, **options: Any) -> None:
        resource.setrlimit(resource.RLIMIT_DATA, (most, most))
        shows(self, *arguments, **options)

    InteractiveShell.showtraceback = showtraceback  # type: ignore[method-assign] # the reserve is let go in no other place
