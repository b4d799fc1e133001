"""How long a test waits for what must happen: only what never happens is waited for in vain, however busy the machine."""

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from subprocess import Popen

PATIENCE_S = 600.0


def wait_until(happened: Callable[[], Any], process: "Popen[str] | None" = None, *, every_s: float = 0.02) -> None:
    """Look again and again until something happened; a process that ends before that fails the test with its words."""
    until = time.monotonic() + PATIENCE_S
    while not happened():
        assert process is None or process.poll() is None, process.communicate()
        assert time.monotonic() < until, "it never happened"
        time.sleep(every_s)
