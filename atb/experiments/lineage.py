"""The origin of a run: hashes, commit, versions."""

import hashlib
import json
import platform
import shutil
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
    """Return the versions of Python and of installed packages that can change a result."""
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found


def commit_of(folder: Path) -> tuple[str | None, bool | None]:
    """Return the commit checked out at `folder`, and whether there are uncommitted changes; (None, None) without git."""
    head, status = _git(folder, "rev-parse", "HEAD"), _git(folder, "status", "--porcelain")
    if head is None or status is None:
        return None, None
    return head.strip(), bool(status.strip())


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
