"""Files that no other user can write, private where they hold secrets, whole or absent, and on the disk before anybody says so.

Modes are given to what is made here, whatever the umask is. Keys, the database and runs lie in folders that only their owner may
enter, so that what another program writes into them, such as SQLite's log, is closed to other users too. Models, manifests, public
keys and exported tables may be read by others, who cannot change them: `PUBLIC_FILE`, `PUBLIC_FOLDER`. The programs (`atb`, the
runner) begin with `write_for_us_alone`, for what libraries write past this module.
"""

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

PRIVATE_FILE, PRIVATE_FOLDER = 0o600, 0o700
PUBLIC_FILE, PUBLIC_FOLDER = 0o644, 0o755  # of which the umask may take more away
_OTHERS = 0o077
_OTHERS_WRITE = 0o022


@contextmanager
def write_for_us_alone() -> Iterator[None]:
    """Take from the umask, for the length of a block, that others may write what this process and its children make.

    The umask is the whole process's: this is for the beginning of a program, before it has threads.
    """
    before = os.umask(PRIVATE_FOLDER ^ 0o777)
    os.umask(before | _OTHERS_WRITE)
    try:
        yield
    finally:
        os.umask(before)


def private_folder(path: Path) -> None:
    """Make a folder and those above it that are missing, each closed to other users; one that exists stays as it is.

    Raises
    ------
    OSError
        If one cannot be made.
    """
    _make_folder(path, PRIVATE_FOLDER)


def public_folder(path: Path) -> None:
    """Make a folder and those above it that are missing, none of which others can write; one that exists stays as it is.

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
            folder.chmod(mode)  # an umask that takes the owner's own rights away would lock us out
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


def private(name: str, flags: int) -> int:
    """Open a file as `open(..., opener=private)` does: one that is made is its owner's alone."""
    return os.open(name, flags, PRIVATE_FILE)


def private_log(path: Path) -> BinaryIO:
    """Open a file to write at its end, made for its owner alone where it is missing."""
    return open(path, "ab", opener=private)


def public(name: str, flags: int) -> int:
    """Open a file as `open(..., opener=public)` does: one that is made others may read and never write."""
    return os.open(name, flags, PUBLIC_FILE)


def write_private(path: Path, content: bytes, *, new: bool = False) -> None:
    """Write a file in one step, closed to other users: a reader sees all of it or nothing, after a power cut too.

    Raises
    ------
    OSError
        If it cannot be written whole, `FileExistsError` if `new` and it is there; what was there before stays.
    """
    _write(path, content, PRIVATE_FILE, new=new)


def write_public(path: Path, content: bytes, *, new: bool = False) -> None:
    """Write a file in one step that others may read and not write; otherwise as `write_private`.

    Raises
    ------
    OSError
        If it cannot be written whole, `FileExistsError` if `new` and it is there; what was there before stays.
    """
    _write(path, content, PUBLIC_FILE, new=new)


def _write(path: Path, content: bytes, mode: int, *, new: bool) -> None:
    """Write the content beside its place, wholly and to the disk, then give it its name."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        draft.unlink(missing_ok=True)
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
        with os.fdopen(descriptor, "wb") as file:
            if mode == PRIVATE_FILE:
                os.fchmod(descriptor, mode)
            file.write(content)
            file.flush()
            os.fsync(descriptor)
        if draft.stat().st_size != len(content):
            raise OSError(f"{draft.stat().st_size} of {len(content)} bytes of {path.name} were written")
        if new:
            path.hardlink_to(draft)
        else:
            draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)
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
