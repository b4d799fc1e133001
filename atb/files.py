"""Atomic, durable file writes with safe modes: no other user can write a file, and none can read one that holds secrets.

Modes are set here whatever the umask is. Keys, the database and runs lie in folders that only their owner may enter, so that files
which another program adds, such as SQLite's log, are private too. Models, manifests, public keys and exported tables may be read
by others but not changed: `PUBLIC_FILE`, `PUBLIC_FOLDER`. The programs (`atb`, the runner) start with `owner_only_writes`, which
covers files that libraries write on their own.
"""

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from atb.errors import InputError

PRIVATE_FILE, PRIVATE_FOLDER = 0o600, 0o700
PUBLIC_FILE, PUBLIC_FOLDER = 0o644, 0o755  # of which the umask may take more away
_OTHERS = 0o077
_OTHERS_WRITE = 0o022


@contextmanager
def owner_only_writes() -> Iterator[None]:
    """Set the umask for a block so that other users cannot write what this process and its children create.

    The umask belongs to the whole process: use this at the start of a program, before it has threads.
    """
    previous = os.umask(PRIVATE_FOLDER ^ 0o777)
    os.umask(previous | _OTHERS_WRITE)
    try:
        yield
    finally:
        os.umask(previous)


def make_private_folder(path: Path) -> None:
    """Make a folder and its missing parents, each closed to other users; existing ones stay as they are.

    Raises
    ------
    OSError
        If one cannot be made.
    """
    _make_folder(path, PRIVATE_FOLDER)


def make_public_folder(path: Path) -> None:
    """Make a folder and its missing parents, none writable by others; existing ones stay as they are.

    Raises
    ------
    OSError
        If one cannot be made.
    """
    _make_folder(path, PUBLIC_FOLDER)


def _make_folder(path: Path, mode: int) -> None:
    missing = []
    for folder in (path, *path.parents):
        if folder.exists():
            break
        missing.append(folder)
    for folder in reversed(missing):
        try:
            folder.mkdir(mode)
        except FileExistsError:  # another process was first
            continue
        if mode == PRIVATE_FOLDER:
            folder.chmod(mode)  # a umask that removes the owner's own rights would lock us out
    path.mkdir(exist_ok=True)  # raises if a file of this name is in the way


def make_private_file(path: Path) -> None:
    """Make an empty file that only its owner may open, unless it exists."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, PRIVATE_FILE)
    except FileExistsError:
        return
    try:
        os.fchmod(descriptor, PRIVATE_FILE)
    finally:
        os.close(descriptor)


def private_opener(name: str, flags: int) -> int:
    """Opener for `open(..., opener=private_opener)`: a file it creates can be opened by its owner only."""
    return os.open(name, flags, PRIVATE_FILE)


def open_private_log(path: Path) -> BinaryIO:
    """Open a file for appending; if it is missing it is created for its owner only."""
    return open(path, "ab", opener=private_opener)


def public_opener(name: str, flags: int) -> int:
    """Opener for `open(..., opener=public_opener)`: others may read a file it creates, and not write it."""
    return os.open(name, flags, PUBLIC_FILE)


def write_private(path: Path, content: bytes, *, new: bool = False, synced: bool = True) -> None:
    """Write a file atomically, closed to other users: a reader sees all of it or none of it, after a power cut too.

    Parameters
    ----------
    new
        Refuse to replace a file.
    synced
        Flush it to the disk; False where `secure_folder` does that for a whole folder.

    Raises
    ------
    OSError
        If it cannot be written whole, `FileExistsError` if `new` and it is there; what was there before stays.
    """
    _write(path, content, PRIVATE_FILE, new=new, synced=synced)


def write_public(path: Path, content: bytes, *, new: bool = False) -> None:
    """Write a file atomically that others may read and not write; otherwise as `write_private`.

    Raises
    ------
    OSError
        If it cannot be written whole, `FileExistsError` if `new` and it is there; what was there before stays.
    """
    _write(path, content, PUBLIC_FILE, new=new)


def _write(path: Path, content: bytes, mode: int, *, new: bool, synced: bool = True) -> None:
    """Write and sync a draft beside the target, then rename it."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        draft.unlink(missing_ok=True)
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
        with os.fdopen(descriptor, "wb") as file:
            if mode == PRIVATE_FILE:
                os.fchmod(descriptor, mode)
            file.write(content)
            file.flush()
            if synced:
                os.fsync(descriptor)
        if draft.stat().st_size != len(content):
            raise OSError(f"{draft.stat().st_size} of {len(content)} bytes of {path.name} were written")
        if new:
            path.hardlink_to(draft)
        else:
            draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)
    if synced:
        sync_folder(path.parent)


def cannot_be_written(path: Path, error: OSError) -> InputError:
    """Return the refusal of a file that a user named, with the system's reason."""
    todo = "Name a file elsewhere, or make room and rights there"
    return InputError("The file cannot be written", found=f"{path} ({error.strerror or error})", todo=todo)


def sync_folder(path: Path) -> None:
    """Sync a folder's list of names to disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def secure_folder(folder: Path) -> None:
    """Sync every file below a folder to disk and close it to other users, whoever wrote it.

    Raises
    ------
    OSError
        If a file cannot be synced: a full disk may report that long after the write.
    """
    parents = {folder: None}
    for path in files_below(folder):
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
        try:
            os.fchmod(descriptor, PRIVATE_FILE)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        parents[path.parent] = None
    for parent in parents:
        sync_folder(parent)


def files_below(folder: Path) -> Iterator[Path]:
    """Yield the regular files below a folder in sorted order; links are not followed."""
    for parent, folders, names in os.walk(folder):
        folders.sort()
        for name in sorted(names):
            path = Path(parent, name)
            if stat.S_ISREG(path.lstat().st_mode):
                yield path


def exposure(path: Path) -> tuple[str, str] | None:
    """Return why a file with secrets is exposed, and the command that fixes it; None if it is safe or missing.

    A key must be a regular file (no link) of this user or of root, unreadable and unwritable for others, in a folder where
    others cannot replace it.
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
