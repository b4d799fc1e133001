"""What may import what, and what a start loads."""

import subprocess
import sys
from pathlib import Path

import pytest

HEAVY = ("pandas", "numpy", "pydantic", "rich", "sqlalchemy", "structlog", "ccxt", "numba", "onnxruntime", "pyarrow")


def loaded_by(code: str, candidates: tuple[str, ...], cwd: Path) -> list[str]:
    """Run code in a new interpreter and return which of the candidates it loaded."""
    asked = f"{code}\nimport sys\nprint(*[name for name in {candidates!r} if name in sys.modules], sep='\\n')"
    done = subprocess.run([sys.executable, "-c", asked], capture_output=True, text=True, cwd=cwd, check=True)
    return done.stdout.split()


@pytest.mark.parametrize("config", ["pyproject.toml", "tests/cycles.toml"])
def test_the_import_contracts_hold(config, repository):
    program = Path(sys.executable).with_name("lint-imports")
    command = [program, "--no-cache", "--config", config]
    done = subprocess.run(command, capture_output=True, text=True, cwd=repository, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("module", ["atb", "atb.errors", "atb.domain", "atb.cli"])
def test_the_light_modules_load_nothing_heavy(module, tmp_path):
    assert loaded_by(f"import {module}", HEAVY, tmp_path) == []


def test_reading_settings_loads_no_data_tools(tmp_path):
    heavy = tuple(name for name in HEAVY if name != "pydantic")
    assert loaded_by("from atb.config import load_settings; load_settings()", heavy, tmp_path) == []


def test_the_check_itself_sees_a_loaded_module(tmp_path):
    assert loaded_by("import pydantic", HEAVY, tmp_path) == ["pydantic"]
