"""Start one measuring process and return what it measured."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import Any

import atb
from atb.bench.process import BenchJob

COMMAND = (sys.executable, "-m", "atb.bench.process")
PACKAGE = Path(atb.__file__).parent


def launch(job: BenchJob) -> dict[str, Any]:
    """Run a job in a new process; if it fails, `error` has the last line of its standard error.

    The wall time of `start` includes interpreter and imports. `cold` runs a copy of atb with an empty kernel cache.
    """
    place: AbstractContextManager[str | None] = tempfile.TemporaryDirectory() if job.task == "cold" else nullcontext()
    with place as folder:
        if folder is not None:
            shutil.copytree(PACKAGE, Path(folder) / "atb", ignore=shutil.ignore_patterns("kernel-*"))
        begun = time.time()
        done = subprocess.run(  # noqa: S603 - this very interpreter, no shell, no argument from outside
            COMMAND,
            input=json.dumps(asdict(job)),
            capture_output=True,
            text=True,
            cwd=folder,
            env=_environment(folder),
            check=False,
        )
    lines = done.stdout.strip().splitlines()
    if done.returncode or not lines:
        words = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
        return {"error": words[-1]}
    facts: dict[str, Any] = json.loads(lines[-1])
    if "at" in facts:
        facts["wall_s"] = facts["at"] - begun
    return facts


def _environment(folder: str | None) -> dict[str, str]:
    """Return this environment with byte code allowed: without it every start would compile all packages again."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return environment if folder is None else environment | {"PYTHONPATH": folder}
