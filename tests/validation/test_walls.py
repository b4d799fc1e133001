"""What a strategy is not told it cannot learn in the process of the columns check, by whatever way it goes out."""

import shutil
import subprocess
import sys

import numpy as np
import pytest

from atb.validation.isolated import NAMES
from tests.validation.sandbox_escapes import MEMORY, SCALE, WAYS, GoesOut, Searches, found_by, make_files, named
from tests.validation.test_windows import BARS, checked

CONFIDENCE = NAMES.index("confidence")


@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
def test_no_way_leads_out_of_the_process_that_leads_out_of_any_other(tmp_path):
    make_files(tmp_path)
    assert named(found_by(WAYS, tmp_path) / SCALE, WAYS) == list(WAYS)
    seen = checked(GoesOut(folder=str(tmp_path)), BARS.last(26))
    assert (seen.report.checked, seen.report.equal) == (6, False)
    assert [named(found, WAYS) for found in seen.values[:, CONFIDENCE]] == [[]] * 6, seen.report


def test_no_later_bar_is_in_the_memory_the_frames_or_the_pipes_of_the_process():
    seen = checked(Searches(), BARS.last(24))
    assert seen.report.equal, [named(found, MEMORY) for found in seen.values[:, CONFIDENCE] if np.isfinite(found)][:3]


def test_later_bars_would_be_found_where_they_are():
    whole = BARS.frame
    found = found_by({name: MEMORY[name] for name in ("gc", "sys._getframe")}, whole.iloc[:30].copy())
    assert found == 3


READS = """
from pathlib import Path
from atb.strategies.sma_cross import SmaCross

KNOWN = Path({path!r}).read_text()

class Reads(SmaCross):
    name = "reads"
"""
PROGRAM = """
from atb.strategies import STRATEGIES
from tests.validation.test_windows import BARS, checked
for name in ("sma_cross", "reads"):
    report = checked(STRATEGIES[name](fast=3, slow=9), BARS.last(40)).report
    print(report.equal, (report.first_difference or {}).get("runner"))
"""


def test_a_file_that_one_registered_strategy_reads_is_its_own_fault_alone(tmp_path, repository):
    """The register imports every strategy; what one of them reads while it is loaded makes no other one fail."""
    for name in ("atb", "tests"):
        shutil.copytree(
            repository / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__", "flows", "*.json")
        )
    register = tmp_path / "atb" / "strategies" / "__init__.py"
    text, line = register.read_text(), "STRATEGIES: dict[str, type[Strategy]] = {"
    assert text.count(line) == 1
    imported = "from atb.strategies.reads import Reads\n\n"
    register.write_text(text.replace(line, f'{imported}{line}\n    "reads": Reads,'))
    (tmp_path / "closes").write_text("1 2 3")
    (register.parent / "reads.py").write_text(READS.format(path=str(tmp_path / "closes")))
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, cwd=tmp_path, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr
    honest, reads = done.stdout.splitlines()
    assert honest == "True None"
    assert reads.startswith("False PermissionError: a strategy has no business with the file")
    assert f"{register.parent / 'reads.py'}:5" in reads
