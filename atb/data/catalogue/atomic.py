"""Files of the catalogue that are either whole or absent: replaced atomically, by one writer at a time."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from atb.errors import DataError
from atb.files import PUBLIC_FILE, make_private_folder, public_opener, sync_folder


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
            make_private_folder(path.parent)
            staged[path] = path.with_name(f".{path.name}.{os.getpid()}.tmp")
            _write_through(staged[path], content)
        for path, temporary in staged.items():
            temporary.replace(path)
            sync_folder(path.parent)
    except OSError as error:
        raise _cannot_write(error) from error
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
    from filelock import FileLock, Timeout

    lock = FileLock(folder / ".lock", timeout=wait_s, mode=PUBLIC_FILE, poll_interval=0.02)
    try:
        make_private_folder(folder)
        lock.acquire()
    except Timeout as error:
        raise DataError(
            "Another process is writing this series", found=str(folder), todo="Wait for it, then try again"
        ) from error
    except OSError as error:
        raise _cannot_write(error) from error
    try:
        yield
    finally:
        lock.release()


def set_aside(path: Path) -> Path:
    """Rename a damaged file to a name that the catalogue does not read; return it."""
    names = (path.with_name(f"{path.name}.damaged{number}") for number in ("", *(f"-{n}" for n in range(2, 1_000))))
    aside = next(name for name in names if not name.exists())
    try:
        path.rename(aside)
    except OSError as error:
        raise DataError(
            "Cannot set a damaged file aside", found=str(path), todo="Check the disk and its rights"
        ) from error
    return aside


def _cannot_write(error: OSError) -> DataError:
    return DataError("Cannot write market data", found=str(error), todo="Check the disk and its rights")


def _write_through(path: Path, content: bytes) -> None:
    with open(path, "wb", opener=public_opener) as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
