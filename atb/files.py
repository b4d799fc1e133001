"""Files that are private from their first byte, whole or absent, and on the disk before anybody says so.

Modes are set on what is made here, whatever the umask is. Keys, the database and runs lie in folders that only their owner may
enter, so that what another program writes into them, such as SQLite's log, is closed to other users too.
"""

import os
import stat
from collections.abc import Iterator
from pathlib import Path

PRIVATE_FILE, PRIVATE_FOLDER = 0o600, 0o700
_OTHERS = 0o077
_OTHERS_WRITE = 0o022


def private_folder(path: Path) -> None:
    """Make a folder and those above it that are missing, each closed to other users; one that exists stays as it is.

    Raises
    ------
    OSError
        If one cannot be made.
    """
    missing = []
    for folder in (path, *path.parents):
        if folder.exists():
            break
        missing.append(folder)
    for folder in reversed(missing):
        try:
            folder.mkdir(PRIVATE_FOLDER)
        except FileExistsError:  # another process was first
            continue
        folder.chmod(PRIVATE_FOLDER)
    path.mkdir(exist_ok=True)  # says what is wrong where a file stands in the way


def private_file(path: Path) -> None:
    """Make an empty file that its owner alone may open, unless there is one."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, PRIVATE_FILE)
    except FileExistsError:
        return
    try:
        os.fchmod(descriptor, PRIVATE_FILE)
    finally:
        os.close(descriptor)


def write_private(path: Path, content: bytes) -> None:
    """Write a file in one step, closed to other users: a reader sees all of it or nothing, after a power cut too.

    Raises
    ------
    OSError
        If it cannot be written whole; what was there before stays.
    """
    part = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        part.unlink(missing_ok=True)
        private_file(part)
        with part.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        if part.stat().st_size != len(content):
            raise OSError(f"{part.stat().st_size} of {len(content)} bytes of {path.name} were written")
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
    sync_folder(path.parent)


def sync_folder(path: Path) -> None:
    """Bring a folder's list of names to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def settle(folder: Path) -> None:
    """Bring every file below a folder to the disk, and close each to other users, whoever wrote it.

    Raises
    ------
    OSError
        If the disk refuses one, as a full one may do long after a write seemed to succeed.
    """
    for path in files_below(folder):
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
        try:
            os.fchmod(descriptor, PRIVATE_FILE)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        sync_folder(path.parent)
    sync_folder(folder)


def files_below(folder: Path) -> Iterator[Path]:
    """Yield the regular files below a folder, in order; links are not followed."""
    for parent, folders, names in os.walk(folder):
        folders.sort()
        for name in sorted(names):
            path = Path(parent, name)
            if stat.S_ISREG(path.lstat().st_mode):
                yield path


def exposure(path: Path) -> tuple[str, str] | None:
    """Return why a file with secrets is not safe, and the command that mends it; None if it is, or is not there.

    A key must be a file of this user (or of root), no link, that nobody else may read or write, in a folder in which
    nobody else may replace it.
    """
    try:
        found, folder = path.lstat(), path.parent.stat()
    except OSError:
        return None
    mode = stat.S_IMODE(found.st_mode)
    open_folder = stat.S_IMODE(folder.st_mode) & _OTHERS_WRITE and not folder.st_mode & stat.S_ISVTX
    faults = (
        (stat.S_ISLNK(found.st_mode), "is a link", f"Put the file itself there: rm {path}, then copy it with mode 600"),
        (not stat.S_ISREG(found.st_mode), "is no file", f"Move {path} away"),
        (found.st_uid not in {os.geteuid(), 0}, "belongs to another user", f"chown {os.geteuid()} {path}"),
        (mode & _OTHERS, f"can be used by others (mode {mode:o})", f"chmod 600 {path}"),
        (open_folder, "is in a folder that others can write", f"chmod go-w {path.parent}"),
    )
    return next(((what, todo) for wrong, what, todo in faults if wrong), None)
