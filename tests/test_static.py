"""Style, format, types and security, checked by the tools whose settings stand in pyproject.toml; quickly by `make check`."""

import subprocess
import sys
from pathlib import Path

import pytest

CHECKS = {
    "style": ("ruff", "check", "--no-cache"),
    "format": ("ruff", "format", "--check", "--no-cache"),
    "types": ("mypy",),
    "security": ("bandit", "--quiet", "--configfile", "pyproject.toml", "--recursive", "atb", "runners"),
}


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow if name in {"types", "security"} else ()) for name in CHECKS]
)
def test_the_code_passes(name, repository):
    program, *arguments = CHECKS[name]
    command = [Path(sys.executable).with_name(program), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, cwd=repository, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
