"""Where a run came from: hashes, commit, versions, and the process that executes it."""

import hashlib
import json
import os
import platform
import shutil
import socket
import subprocess
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

PACKAGES = (
    "atb-workbench",
    "numpy",
    "pandas",
    "numba",
    "TA-Lib",
    "onnxruntime",
    "scikit-learn",
    "vectorbt",
    "papermill",
    "plotly",
)
GIT_SECONDS = 10


def file_sha256(path: Path) -> str:
    """Return the SHA-256 of a file's bytes."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def json_sha256(value: Mapping[str, Any]) -> str:
    """Return the SHA-256 of a value's canonical JSON: keys sorted, no spaces."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def versions() -> dict[str, str]:
    """Return the versions of Python and of the packages that can change a result; those not installed are left out."""
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found


def commit_of(folder: Path) -> tuple[str | None, bool | None]:
    """Return the commit checked out around `folder` and whether files differ from it; (None, None) without git."""
    head, status = _git(folder, "rev-parse", "HEAD"), _git(folder, "status", "--porcelain")
    if head is None or status is None:
        return None, None
    return head.strip(), bool(status.strip())


def this_process() -> str:
    """Return this process in one line: its machine, its id there, and when it started, since ids are used again."""
    return f"{socket.gethostname()} {os.getpid()} {_started(os.getpid())}"


def is_gone(process: str) -> bool:
    """Tell whether a process that `this_process` named is surely gone; of other machines' processes nothing is known."""
    host, pid, started = process.rsplit(" ", 2)
    if host != socket.gethostname():
        return False
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return True
    except PermissionError:  # alive, or its id went to another user's process, which the start time tells
        pass
    return _started(int(pid)) != started


def _started(pid: int) -> str:
    """Return a process's start in clock ticks since boot, `?` where the system does not tell, `dead` for a remnant."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return "?"
    state, *rest = stat.rpartition(")")[2].split()
    return "dead" if state in "ZX" else rest[18]


def _git(folder: Path, *arguments: str) -> str | None:
    git = shutil.which("git")
    if git is None:
        return None
    try:
        done = subprocess.run(  # noqa: S603 - fixed arguments, no shell
            [git, "-C", str(folder), "--no-optional-locks", *arguments],
            capture_output=True,
            text=True,
            timeout=GIT_SECONDS,
            check=True,
        )
    except (subprocess.SubprocessError, OSError):
        return None
    return done.stdout
