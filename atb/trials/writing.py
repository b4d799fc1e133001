"""Appends frames to this machine's file of the month: one write under a lock, and no backtest fails because the disk does.

A write takes some hundred microseconds, so a lock that is held longer belongs to a process that was stopped. Then this process
appends to a file of its own beside it, which readers merge like any other, and asks for the lock again only after `ASIDE_S`.

What cannot be written is kept in memory, up to `KEPT` bytes, and written with the next frame, or when the process ends. It is said
once, as a warning; frames beyond that are dropped, and a frame of its own says later how many trials were lost.
"""

import atexit
import fcntl
import functools
import os
import platform
import re
import threading
import time
import warnings
from pathlib import Path

from atb import trial_folder
from atb.errors import AtbError
from atb.files import make_private_folder, private_opener
from atb.trials.frames import FORM, LOST, Frame, packed

SUFFIX = ".trials"
KEPT = 16 << 20  # bytes
PATIENCE_S = 0.25  # for the lock, which a stopped process might keep
ASIDE_S = 60.0  # in a file of its own, or without waiting for a writer, before the lock is asked for again


class TrialsNotRecordedWarning(UserWarning):
    """The ledger cannot be written."""


class Writer:
    """Writes frames; what could not be written waits for the next one."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: list[tuple[bytes, int]] = []
        self._warned = False
        self._aside_until = 0.0  # on the monotonic clock
        self.lost = 0  # trials

    def forget(self) -> None:
        """Begin anew in a forked process: what waits is its parent's to write."""
        self._lock, self._waiting, self.lost = threading.Lock(), [], 0

    @property
    def unwritten(self) -> int:
        """Trials that wait to be written."""
        return sum(count for _, count in self._waiting)

    def append(self, frame: Frame, trials: int) -> None:
        """Append a frame of so many trials; errors of the disk are kept, not raised."""
        with self._lock:
            self._waiting.append((packed(frame), trials))
            self._flush()

    def flush(self) -> None:
        """Try once more to write what waits, without a word."""
        with self._lock:
            if self._waiting:
                self._flush(quiet=True)

    def _flush(self, *, quiet: bool = False) -> None:
        pieces = [content for content, _ in self._waiting]
        if self.lost:
            pieces.append(packed(Frame({"form": FORM, "kind": LOST, "lost": self.lost})))
        try:
            self._write(month_file(trial_folder.mounted()), b"".join(pieces))
        except (OSError, AtbError) as error:
            self._keep_some()
            if not quiet:
                self._warn(error)
            return
        self._waiting.clear()
        self.lost, self._warned = 0, False

    def _write(self, shared: Path, content: bytes) -> None:
        if time.monotonic() >= self._aside_until:
            try:
                _append(shared, content)
                return
            except BlockingIOError:
                self._aside_until = time.monotonic() + ASIDE_S
        _append(shared.with_name(f"{shared.stem}-{os.getpid()}{SUFFIX}"), content)

    def _keep_some(self) -> None:
        while self._waiting and sum(len(content) for content, _ in self._waiting) > KEPT:
            self.lost += self._waiting.pop(0)[1]

    def _warn(self, error: Exception) -> None:
        if self._warned:
            return
        self._warned = True
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        text = f"Trials cannot be recorded ({reason}): the ledger will count too few. They are kept until this process ends"
        warnings.warn(text, TrialsNotRecordedWarning, stacklevel=4)


WRITER = Writer()
atexit.register(WRITER.flush)
os.register_at_fork(after_in_child=WRITER.forget)


def month_file(folder: Path) -> Path:
    """Return this machine's file of this month, UTC."""
    now = time.gmtime()
    return folder / _machine() / f"{now.tm_year}-{now.tm_mon:02}{SUFFIX}"


@functools.cache
def _machine() -> str:
    return (re.sub(r"[^A-Za-z0-9._-]+", "-", platform.node()).strip(".-") or "machine")[:64]


def _append(path: Path, content: bytes) -> None:
    """Append bytes whole, or leave the file as it was.

    Raises
    ------
    OSError
        If they cannot be written.
    """
    try:
        file = open(path, "ab", buffering=0, opener=private_opener)  # noqa: SIM115 - closed below
    except FileNotFoundError:
        make_private_folder(path.parent)
        file = open(path, "ab", buffering=0, opener=private_opener)  # noqa: SIM115 - closed below
    with file:
        lock(file.fileno(), fcntl.LOCK_EX)
        before, rest = os.fstat(file.fileno()).st_size, memoryview(content)
        try:
            while rest:
                rest = rest[file.write(rest) or 0 :]
        except OSError:
            os.ftruncate(file.fileno(), before)
            raise


def lock(descriptor: int, kind: int) -> None:
    """Lock a file for this process, `fcntl.LOCK_EX` or `LOCK_SH`, within `PATIENCE_S`; the lock goes when the file is closed.

    Raises
    ------
    OSError
        If another process keeps it, or files here cannot be locked.
    """
    until = time.monotonic() + PATIENCE_S
    while True:
        try:
            fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            if time.monotonic() > until:
                raise
            time.sleep(0.005)
