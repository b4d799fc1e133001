"""The memory limit of a notebook's kernel, set by the kernel's own process before it runs anything.

`RLIMIT_DATA` counts private writable memory, used or not: heap, mappings, thread stacks. A notebook that uses 0.5 GiB has 1.7 GiB
of that, and 3.0 GiB of addresses (RLIMIT_AS), so the limit is never below `LEAST`. There Python raises MemoryError, and the run
ends with the outputs it has. Showing the error takes memory too, so a reserve is held back until then. Child processes have the
same limit, each its own. Windows has no such limit; macOS does not count everything.
"""

import os
from pathlib import Path
from typing import Any

LEAST = 4 << 30  # bytes
RESERVE = 256 << 20  # bytes of the limit held back for showing the MemoryError, at most an eighth of the limit
_CGROUP = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")


def machine_memory() -> int:
    """Return the memory of this machine or container in bytes; 0 if unknown."""
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
    """Return the limit for a share of the machine's memory, in bytes; 0 (no limit) for a share of 0 or if memory is unknown."""
    return max(LEAST, int(share * machine_memory())) if share and machine_memory() else 0


def limit_memory(most: int) -> None:
    """Set the limit of this process in bytes; do nothing for 0, or if the system has no such limit."""
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
    _release_reserve_for_errors(most)


def _release_reserve_for_errors(most: int) -> None:
    """Release the reserve when IPython shows an error."""
    import resource

    from IPython.core.interactiveshell import InteractiveShell

    original = InteractiveShell.showtraceback

    def showtraceback(self: Any, *arguments: Any, **options: Any) -> None:
        resource.setrlimit(resource.RLIMIT_DATA, (most, most))
        original(self, *arguments, **options)

    InteractiveShell.showtraceback = showtraceback  # type: ignore[method-assign] # the only place where an error is shown
