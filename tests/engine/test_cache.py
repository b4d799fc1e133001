"""The compiled kernel is never stale: its folder is named after what it was compiled from."""

import shutil
import subprocess
import sys
from pathlib import Path

from atb.engine import cache

PROBE = """
import numpy as np
from atb.engine import kernel, records, cache
bar = np.zeros(1, records.MARKET); bar["open"], bar["high"], bar["low"] = 100.0, 110.0, 90.0
print(kernel.stop_trigger(-1.0, 95.0, bar[0]), cache.kernel_hash())
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


def test_an_edited_kernel_of_equal_size_and_time_stamp_runs_its_new_code(tmp_path):
    package = Path(cache.__file__).parents[1]
    shutil.copytree(package, tmp_path / "atb", ignore=shutil.ignore_patterns("__pycache__"))
    source = tmp_path / "atb" / "engine" / "kernel.py"
    stamp = source.stat()
    value, before = probe(tmp_path)
    assert value == "95.0"
    edited = source.read_text().replace(
        'return stop if bar["low"] <= stop else', 'return stop if bar["low"] >= stop else'
    )
    assert edited != source.read_text()
    source.write_text(edited)
    import os

    os.utime(source, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
    value, after = probe(tmp_path)
    assert value == "nan"
    assert after != before


def test_the_hash_covers_the_records_too(tmp_path):
    for name in ("kernel.py", "records.py"):
        shutil.copy(cache.KERNEL.with_name(name), tmp_path / name)
    copy = tmp_path / "kernel.py"
    assert cache.hash_source(copy) == cache.kernel_hash()
    (tmp_path / "records.py").write_text((tmp_path / "records.py").read_text() + "\n# changed\n")
    assert cache.hash_source(copy) != cache.kernel_hash()


def test_a_folder_that_cannot_be_made_falls_back_to_none(tmp_path):
    for name in ("kernel.py", "records.py"):
        shutil.copy(cache.KERNEL.with_name(name), tmp_path / name)
    (tmp_path / "__pycache__").write_text("a file is in the way")
    assert cache.cache_folder(tmp_path / "kernel.py") is None


def test_a_kernel_that_has_run_is_known_to_be_compiled():
    from atb.backtest import run
    from tests.problems import random_slots

    slots, account = random_slots(0)
    assert run(slots, account=account).equity.notna().all()
    assert cache.is_compiled()
