"""The compiled kernel is never stale: its folder is named after what it was compiled from."""

import os
import shutil
import stat
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
    assert compiled | {"records.py", "adjust.py"} == set(cache.SOURCES)


def test_a_folder_that_cannot_be_made_is_one_of_the_users_own_cache_or_none(sources, tmp_path, monkeypatch):
    (sources / "__pycache__").write_text("a file stands where the folder should be")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "own"))
    assert cache.cache_folder(sources) == tmp_path / "own" / "atb" / f"kernel-{cache.cache_key(sources)}"
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    cache.cache_folder.cache_clear()
    assert cache.cache_folder(sources) is None


@pytest.mark.parametrize("umask", [0o000, 0o022])
def test_the_folder_is_its_owners_alone_whatever_the_umask_is(sources, umask):
    before = os.umask(umask)
    try:
        made = cache.cache_folder(sources)
    finally:
        os.umask(before)
    assert stat.S_IMODE(made.stat().st_mode) == 0o700


@pytest.mark.parametrize(("inner", "kept"), [(0o777, False), (0o755, True)])
def test_what_others_could_have_put_there_never_runs(sources, inner, kept):
    place = sources / "__pycache__" / f"kernel-{cache.cache_key(sources)}"
    (place / "engine").mkdir(parents=True)
    (place / "engine").chmod(inner)
    (place / "engine" / "kernel.decide-1.py311.1.nbc").touch(0o644)
    place.chmod(0o755)
    assert cache.cache_folder(sources) == place
    assert stat.S_IMODE(place.stat().st_mode) == 0o700
    assert (place / "engine").exists() == kept


def test_a_link_in_the_folders_place_is_not_followed(sources, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "own"))
    (tmp_path / "planted").mkdir()
    (sources / "__pycache__").mkdir()
    (sources / "__pycache__" / f"kernel-{cache.cache_key(sources)}").symlink_to(tmp_path / "planted")
    assert cache.cache_folder(sources).is_relative_to(tmp_path / "own")


def test_a_kernel_that_has_run_is_known_to_be_compiled():
    from atb.backtest import run
    from tests.scenarios import random_slots

    slots, account = random_slots(0)
    assert run(slots, account=account).equity.notna().all()
    assert cache.is_compiled()
