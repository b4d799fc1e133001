"""A stream whose writer never waits: a thread writes the lines, and if its reader stalls they are dropped and counted.

A log goes to a pipe, a terminal or a file on a network disk. Each of them can stall, and a full pipe blocks its writer. A runner
that looks after positions must not be blocked by its own log.
"""

import atexit
import io
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from queue import Full, Queue
from typing import IO, cast

MOST = 10_000  # lines that wait
_PARTING_S = 2.0  # a process that ends waits no longer for its last lines


class Outlet(io.TextIOBase):
    """Text that another thread writes, in order; `lost` counts what it could not write.

    Parameters
    ----------
    stream
        Where to. One with a file descriptor is written to past its own buffer, whose lock would be held at the end of the process.
    most
        Lines that may wait.
    """

    def __init__(self, stream: IO[str], most: int = MOST) -> None:
        self._stream, self.lost = stream, 0
        self._lines: Queue[str] = Queue(most)
        threading.Thread(target=self._run, name="log", daemon=True).start()

    def write(self, text: str) -> int:
        """Hand a line over.

        Raises
        ------
        OSError
            If as many wait already as may.
        """
        try:
            self._lines.put_nowait(text)
        except Full:
            raise OSError("whoever reads the log stands still") from None
        return len(text)

    def isatty(self) -> bool:
        """Return True if the stream is a terminal."""
        return self._stream.isatty()

    def drain(self, seconds: float = _PARTING_S) -> bool:
        """Wait for at most this long until everything is written; return True if it is."""
        with self._lines.all_tasks_done:
            return self._lines.all_tasks_done.wait_for(lambda: not self._lines.unfinished_tasks, seconds)

    def _run(self) -> None:
        while True:
            text = self._lines.get()
            try:
                self._put(text)
            except Exception:  # noqa: BLE001 - a full disk, a reader that is gone: it costs the line
                self.lost += 1
            finally:
                self._lines.task_done()

    def _put(self, text: str) -> None:
        try:
            descriptor = self._stream.fileno()
        except (OSError, ValueError):  # text that is kept in memory
            self._stream.write(text)
            return
        left = text.encode(getattr(self._stream, "encoding", None) or "utf-8", "backslashreplace")
        while left:
            left = left[os.write(descriptor, left) :]


@contextmanager
def unhurried(stream: IO[str]) -> Iterator[IO[str]]:
    """Give an outlet to a stream, and wait a moment for its last lines at the end of the block and of the process."""
    outlet = Outlet(stream)
    atexit.register(outlet.drain)
    try:
        yield cast("IO[str]", outlet)  # all of it that a handler of logs asks for
    finally:
        outlet.drain()
