"""`make floors` fails when a package that trades is tested below its floor: on small packages with a measurement of their own."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.test_packaging import make

TRADES = ("engine", "promotion", "live", "venues", "db")
# Five lines and two branches; a call with True alone reaches four lines and one branch.
MODULE = "def sign(up):\n    if up:\n        return 1\n    return -1\n"


@pytest.fixture
def measured(repository: Path, tmp_path: Path) -> Path:
    """A checkout whose packages hold one function each; that of `venues` is called one way only."""
    for name in ("Makefile", "pyproject.toml"):
        shutil.copy(repository / name, tmp_path / name)
    for package in TRADES:
        folder = tmp_path / "atb" / package
        folder.mkdir(parents=True)
        (folder / "__init__.py").write_text(f"{MODULE}sign(True)\n{'sign(False)' if package != 'venues' else ''}\n")
    (tmp_path / "all.py").write_text("".join(f"import atb.{package}\n" for package in TRADES))
    coverage(tmp_path, "run", "all.py")
    coverage(tmp_path, "combine")
    return tmp_path


def coverage(folder: Path, *arguments: str) -> None:
    """Call coverage as a process of its own: the test run may be measured too."""
    own = {name: value for name, value in os.environ.items() if not name.startswith(("COV_", "COVERAGE_"))}
    command = [sys.executable, "-m", "coverage", *arguments]
    subprocess.run(command, cwd=folder, check=True, env=own | {"PYTHONPATH": str(folder)}, capture_output=True)


def floors(folder: Path, *more: str) -> subprocess.CompletedProcess[str]:
    return make(folder, "floors", f"BIN={Path(sys.executable).parent}", *more, without=("COV_", "COVERAGE_"))


def test_a_package_below_the_floor_is_named_and_fails(measured):
    done = floors(measured)
    assert done.returncode != 0
    assert re.findall(r"^atb/(\w+): ", done.stderr, re.MULTILINE) == ["venues"]
    assert "venues: below the floor of 95 % of lines and branches: 7" in done.stderr
    assert re.findall(r"^atb/(\w+): 100", done.stdout, re.MULTILINE) == ["engine", "promotion", "live", "db"]


def test_packages_at_the_floor_pass(measured):
    assert floors(measured, "FLOORED=engine db").returncode == 0
    assert floors(measured, "FLOORED=venues", "FLOOR=70").returncode == 0


def test_a_package_that_was_not_measured_fails(measured):
    done = floors(measured, "FLOORED=backtest")
    assert done.returncode != 0
    assert re.search(r"^atb/backtest: below the floor .* No data", done.stderr, re.MULTILINE)


def test_the_floor_is_95_for_all_that_trades_and_every_full_run_asks_for_it(repository):
    text = (repository / "Makefile").read_text(encoding="utf-8")
    assert re.search(r"^FLOOR := 95$", text, re.MULTILINE)
    named = re.search(r"^FLOORED := (.*)$", text, re.MULTILINE)
    assert named is not None
    assert set(TRADES) <= set(named[1].split())
    rule = text[text.index("\ntest-all: ") : text.index("\nfloors: ")]
    assert "--cov" in rule
    assert "floors" in rule
