"""The compiled kernel is never stale: its folder is named after what it was compiled from."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from atb.engine import cache

# A stop of 5 % and one of one ATR: the rule in `sizing` asks `matching` which is tighter.
PROBE = """
import numpy as np
from atb.engine import cache, records, sizing
par = np.zeros(1, records.SLOT_PARAMETERS)
par["stop_loss"], par["stop_atr"], par["tick"] = 0.05, 1.0, 1.0
print(sizing.first_stop(1.0, 100.0, 1.0, np.nan, par[0]), cache.kernel_hash())
"""


def probe(root: Path) -> list[str]:
    """Import the package copied to `root` in a new process, run one kernel function, and return what it printed."""
    result = subprocess.run(
        [sys.executable, "-c", PROBE],
        cwd=root,
        capture_output=True,
        text=True,
        check=True,
        env={"PYTHONPATH": str(root)},
    )
    return result.stdout.split()


def test_an_edited_callee_of_equal_size_and_time_stamp_runs_its_new_code(tmp_path):
    """Neither another module nor equal size and time stamp fool the folder's name; each of them fools numba."""
    package = Path(cache.__file__).parents[1]
    shutil.copytree(package, tmp_path / "atb", ignore=shutil.ignore_patterns("__pycache__"))
    source = tmp_path / "atb" / "engine" / "matching.py"
    stamp = source.stat()
    value, before = probe(tmp_path)
    assert value == "99.0"
    edited = source.read_text().replace("(one - other) * side < 0.0", "(one - other) * side > 0.0")
    assert edited != source.read_text()
    source.write_text(edited)
    os.utime(source, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
    value, after = probe(tmp_path)
    assert value == "95.0"
    assert after != before


@pytest.fixture
def sources(tmp_path):
    """A copy of the kernel's sources alone."""
    for name in cache.SOURCES:
        shutil.copy(cache.FOLDER / name, tmp_path / name)
    return tmp_path


@pytest.mark.parametrize("name", cache.SOURCES)
def test_the_hash_covers_every_source(sources, name):
    assert cache.hash_source(sources) == cache.kernel_hash()
    (sources / name).write_text((sources / name).read_text() + "\n# changed\n")
    assert cache.hash_source(sources) != cache.kernel_hash()


def test_nothing_compiled_lies_outside_the_hashed_sources():
    compiled = {file.name for file in cache.FOLDER.glob("*.py") if "\n@jit" in file.read_text()}
    assert compiled | {"records.py"} == set(cache.SOURCES)


def test_a_folder_that_cannot_be_made_falls_back_to_none(sources):
    (sources / "__pycache__").write_text("a file is in the way")
    assert cache.cache_folder(sources) is None


def test_a_kernel_that_has_run_is_known_to_be_compiled():
    from atb.backtest import run
    from tests.problems import random_slots

    slots, account = random_slots(0)
    assert run(slots, account=account).equity.notna().all()
    assert cache.is_compiled()
