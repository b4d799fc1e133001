"""Files that are either whole or absent: atomic replacement and a lock against a second writer."""

import fcntl
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from atb.errors import DataError
from atb.files import private_folder, public, sync_folder


def write_files(contents: Mapping[Path, bytes]) -> None:
    """Write every file beside its target first, then put all in place by renaming, in the given order.

    Raises
    ------
    DataError
        If the disk refuses; no target was changed unless the refusal came between two renames.
    """
    staged: dict[Path, Path] = {}
    try:
        for path, content in contents.items():
            private_folder(path.parent)
            staged[path] = path.with_name(f".{path.name}.{os.getpid()}.tmp")
            _write_through(staged[path], content)
        for path, temporary in staged.items():
            temporary.replace(path)
            sync_folder(path.parent)
    except OSError as error:
        raise DataError("Cannot write market data", found=str(error), todo="Check the disk and its rights") from error
    finally:
        for temporary in staged.values():
            temporary.unlink(missing_ok=True)


@contextmanager
def sole_writer(folder: Path, *, wait_s: float = 10.0) -> Iterator[None]:
    """Hold the folder's write lock; the system frees it when the process ends, however it ends.

    Raises
    ------
    DataError
        If another writer keeps it for longer than `wait_s` seconds, or the folder cannot be made.
    """
    try:
        private_folder(folder)
        lock = open(folder / ".lock", "a", opener=public)  # noqa: SIM115 - Path.open takes no opener; closed below
    except OSError as error:
        raise DataError("Cannot write market data", found=str(error), todo="Check the disk and its rights") from error
    with lock:
        _acquire(lock.fileno(), folder, time.monotonic() + wait_s)
        try:
            yield
        finally:
            # Closing alone would not do: a process forked meanwhile holds the same open file.
            fcntl.flock(lock, fcntl.LOCK_UN)


def _acquire(descriptor: int, folder: Path, deadline: float) -> None:
    while True:
        try:
            return fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            if time.monotonic() >= deadline:
                raise DataError(
                    "Another process is writing this series", found=str(folder), todo="Wait for it, then try again"
                ) from error
            time.sleep(0.02)


def _write_through(path: Path, content: bytes) -> None:
    with open(path, "wb", opener=public) as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
