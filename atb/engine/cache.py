"""Where the compiled kernel is kept, and the hash that says which kernel it is.

numba notices a changed source file by its time stamp and size, and does not notice a changed numba option or a changed
callee in another module. A kernel that trades must never be stale, so its machine code lives in a folder named after the
hash of all its sources (seven modules that call each other and nothing else), its compile options, numba's and numpy's versions
and the processor; another kernel is another folder.

Two hashes, on purpose: `kernel_hash` (source, options, numba) says *which rules* decide, is written into every run and manifest,
and the runner refuses another one. `cache_key` adds the processor and numpy, because machine code does not travel.

A backtest of one slot does not wait for numba: the object code of its loop is kept in the same folder, see `atb.engine.native`.

The folder stands beside the byte code of this package (`__pycache__`), not under the data root: it is compiled code, and
a second data root must not pay for a second compilation. Where the package folder cannot be written, a folder of the user's
own cache takes its place (`~/.cache/atb`). This module is the one place of the core that touches the file system.

Machine code and what numba keeps of it (pickles) run as they are read, so the folder is its owner's alone, whatever the umask is:
one of another user is not used, and one into which others could write is emptied first.
"""

import contextlib
import functools
import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any, TypeVar

F = TypeVar("F", bound=Callable[..., Any])
FOLDER = Path(__file__).parent
SOURCES = (
    "records.py",
    "matching.py",
    "sizing.py",
    "kernel.py",
    "adjust.py",
    "summary.py",
    "loop.py",
)  # the kernel is all of these, hashed as one
# No fastmath: reassociated sums would differ between the loop and the bar-by-bar call. numpy's error model keeps 0/0 a NaN.
# The interpreter's lock is let go: sweeps run on threads. The kernel makes no array, so numba's run time (NRT) is left out:
# to count references to arrays by locked instructions took half of the time. Nobody calls a function of the kernel from C.
OPTIONS: dict[str, Any] = {
    "cache": True,
    "error_model": "numpy",
    "fastmath": False,
    "boundscheck": False,
    "nogil": True,
    "forceinline": True,
    "_nrt": False,
    "no_cfunc_wrapper": True,
}


def hash_source(folder: Path = FOLDER) -> str:
    """Return the SHA-256 (hex) of the kernel in a folder: its sources, the compile options and numba's version."""
    digest = hashlib.sha256()
    for name in SOURCES:
        digest.update(f"{name} {hashlib.sha256((folder / name).read_bytes()).hexdigest()}\n".encode())
    digest.update(f"{sorted(OPTIONS.items())} numba {version('numba')}".encode())
    return digest.hexdigest()


@functools.cache
def kernel_hash() -> str:
    """Return the hash of the rules: what runs and manifests record."""
    return hash_source()


def cache_key(folder: Path = FOLDER) -> str:
    """Return the key under which the machine code of the kernel in `folder` is cached for this processor."""
    import llvmlite.binding
    import numpy as np

    target = f"{llvmlite.binding.get_host_cpu_name()} numpy {np.__version__}"
    return hashlib.sha256(f"{hash_source(folder)} {target}".encode()).hexdigest()[:24]


@functools.cache
def cache_folder(folder: Path = FOLDER) -> Path | None:
    """Return the folder for the compiled functions of the kernel in `folder`, or None where no place can be written."""
    name = f"kernel-{cache_key(folder)}"
    user = Path(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"), "atb")  # noqa: PTH111 - raises nothing
    return next((place / name for place in (folder / "__pycache__", user) if _is_ours(place / name)), None)


def _is_ours(place: Path) -> bool:
    """Make a folder that this user alone may enter, and tell whether it is one: a real one of this user, which can be written."""
    if not place.is_absolute():
        return False  # a user without a home
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        place.mkdir(0o700, exist_ok=True)
        if place.is_symlink() or place.stat().st_uid != os.geteuid():
            return False
        if place.stat().st_mode & 0o077:
            if any(path.lstat().st_mode & 0o022 for path in (place, *place.rglob("*"))):
                shutil.rmtree(place)
                place.mkdir(0o700)
            place.chmod(0o700)
    except OSError:
        return False
    return os.access(place, os.W_OK)


def is_compiled() -> bool:
    """Tell whether machine code of this very kernel is on disk."""
    folder = cache_folder()
    return folder is not None and any(folder.rglob("kernel.decide-*.nbi")) and kept("run_one") is not None


def is_interpreted() -> bool:
    """Tell whether the kernel is to run as plain Python, which is how it is debugged: numba's own switch."""
    return os.environ.get("NUMBA_DISABLE_JIT", "0") not in {"", "0"}


def keep(name: str, data: bytes) -> None:
    """Keep `data` in the kernel's folder, whole or not at all; where that cannot be written, keep nothing."""
    folder = cache_folder()
    if folder is None:
        return
    with contextlib.suppress(OSError):  # a full disk costs the next process a compilation, this one nothing
        with tempfile.NamedTemporaryFile(dir=folder, delete=False) as file:
            file.write(hashlib.sha256(data).digest() + data)
        Path(file.name).replace(folder / f"{name}.kept")


def kept(name: str) -> bytes | None:
    """Return the content given to `keep`, or None if there is none or it was altered."""
    folder = cache_folder()
    try:
        found = (folder / f"{name}.kept").read_bytes() if folder else b""
    except OSError:
        return None
    data = found[32:]
    return data if data and hashlib.sha256(data).digest() == found[:32] else None


def jit(function: F) -> F:
    """Compile a kernel function with the project's options, cached in the kernel's own folder.

    Its byte code is that of the source, as everywhere in this package (`atb.sources`).
    """
    folder = cache_folder(Path(function.__code__.co_filename).parent)
    import numba
    from numba.core import config

    before = config.CACHE_DIR
    # numba reads this setting when it decorates; restoring it leaves other libraries' caches where they are.
    config.CACHE_DIR = str(folder) if folder else before
    try:
        return numba.njit(**OPTIONS)(function)  # type: ignore[no-any-return] # numba has no types
    finally:
        config.CACHE_DIR = before
