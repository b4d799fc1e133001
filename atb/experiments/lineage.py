"""The origin of a run: hashes, commit, versions."""

import hashlib
import json
import platform
import re
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
_VERSION = re.compile(r"^Version:(.+)$", re.MULTILINE)
_NO_COMMIT = "(initial)"


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
            found[package] = _version(metadata.distribution(package))
        except metadata.PackageNotFoundError:
            continue
    return found


def _version(package: metadata.Distribution) -> str:
    """Return a package's version; parsing all of its metadata, its description included, would take ten times as long."""
    found = _VERSION.search(package.read_text("METADATA") or "")
    return found[1].strip() if found else package.version


def commit_of(folder: Path) -> tuple[str | None, bool | None]:
    """Return the commit checked out at `folder`, and whether there are uncommitted changes; (None, None) without git."""
    status = _git_status(folder)
    head = re.search(r"^# branch\.oid (\S+)$", status or "", re.MULTILINE)
    if status is None or head is None or head[1] == _NO_COMMIT:
        return None, None
    return head[1], any(not line.startswith("#") for line in status.splitlines())


def _git_status(folder: Path) -> str | None:
    """Return the commit and whether there are changes, by one call of git; None without git or outside of a repository."""
    git = shutil.which("git")
    if git is None:
        return None
    try:
        done = subprocess.run(  # noqa: S603 - fixed arguments, no shell
            [
                git,
                "-C",
                str(folder),
                "--no-optional-locks",
                "status",
                "--porcelain=v2",
                "--branch",
                "--no-ahead-behind",
            ],
            capture_output=True,
            text=True,
            timeout=GIT_SECONDS,
            check=True,
        )
    except (subprocess.SubprocessError, OSError):
        return None
    return done.stdout
