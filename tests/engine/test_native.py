"""The loop as object code: the same bits as through numba, loaded without it, refusing what it was not compiled for."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from atb.backtest.simulation import simulate
from atb.engine import cache, kernel, loop, native, records
from atb.engine.kernel_input import prepare
from atb.engine.records import fresh_account, fresh_slots
from tests.scenarios import random_slots
from tests.seeds import seeds

REPOSITORY = Path(__file__).parents[2]
SCRIPT = """
import sys
from atb.backtest import run
from atb.engine.slot import Slot
from atb.strategies import make_strategy
from tests.bars import bars_of, random_walk
result = run(Slot(make_strategy("sma_cross"), bars_of(random_walk(300, seed=1))))
print(len(result.equity), result.stats["bars"], "numba" in sys.modules)
"""


def written(outcome):
    """Everything a run wrote, as bytes."""
    parts = (
        outcome.orders,
        outcome.trades,
        outcome.refusals,
        outcome.equity,
        outcome.account,
        outcome.slots,
        outcome.summary,
    )
    return [part.tobytes() for part in parts]


@pytest.mark.parametrize("seed", seeds(25))
def test_object_code_and_numba_write_the_same_bits(seed, monkeypatch):
    slots, money = random_slots(seed)
    problem = prepare(slots[:1], money)
    alone = written(simulate(problem))
    monkeypatch.setattr(native, "run_one", loop.run_one)
    assert written(simulate(problem)) == alone


def test_a_backtest_of_one_slot_does_not_load_numba():
    native._entry()
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("NUMBA", "COV"))}
    command = [sys.executable, "-c", SCRIPT]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment, cwd=REPOSITORY)
    assert not done.returncode, done.stderr
    assert done.stdout.split() == ["300", "300.0", "False"]


def test_it_is_the_object_code_that_runs():
    assert native._entry().func is native._call


def test_without_a_folder_the_object_code_is_made_anew(monkeypatch):
    monkeypatch.setattr(cache, "cache_folder", lambda: None)
    native._entry.cache_clear()
    try:
        assert native._entry().func is native._call
    finally:
        native._entry.cache_clear()


def test_numba_itself_runs_what_gave_no_object_code(monkeypatch):
    monkeypatch.setattr(cache, "kept", lambda _name: None)
    monkeypatch.setattr(native, "_compiled", lambda: None)
    native._entry.cache_clear()
    try:
        assert native._entry() is loop.run_one
    finally:
        native._entry.cache_clear()


def test_plain_python_is_run_where_numba_is_switched_off(monkeypatch):
    monkeypatch.setenv("NUMBA_DISABLE_JIT", "1")
    native._entry.cache_clear()
    try:
        assert native._entry() is loop.run_one
    finally:
        native._entry.cache_clear()


def test_object_code_that_needs_more_than_the_c_library_is_not_kept(monkeypatch):
    monkeypatch.setattr(native, "_RESOLVED", frozenset())
    assert native._compiled() is None


def test_an_array_of_another_kind_is_refused():
    arrays = [np.zeros(1, dtype) for dtype in native.TAKES]
    arrays[5] = np.zeros(1, np.float32)
    with pytest.raises(TypeError, match="float64"):
        native.run_one(*arrays)
    arrays[5] = np.zeros(8)[::2]
    with pytest.raises(TypeError, match="without gaps"):
        native.run_one(*arrays)
    with pytest.raises(ValueError, match="longer"):
        native.run_one(*arrays[:5])


def test_the_address_of_an_array_is_where_its_numbers_lie():
    table = np.zeros(10)
    for array in (table, table[3:], np.zeros(4, records.SLOT)[1:]):
        assert native._address(array) == array.ctypes.data


def test_a_fresh_slot_is_what_the_kernel_leaves_of_a_closed_one():
    cleared = np.zeros(3, records.SLOT)
    for name in ("entry_at", "entry_atr", "entry_stop", "atr"):
        cleared[name] = np.nan
    for slot in cleared:
        kernel.clear(slot)
    assert fresh_slots(3).tobytes() == cleared.tobytes()
    assert fresh_account(5.0)[0].item()[:3] == (5.0, 5.0, 5.0)


def test_what_is_kept_is_given_back_whole_or_not_at_all(tmp_path, monkeypatch):
    monkeypatch.setattr(cache, "cache_folder", lambda: tmp_path)
    assert cache.kept("thing") is None
    cache.keep("thing", b"machine code")
    assert cache.kept("thing") == b"machine code"
    (tmp_path / "thing.kept").write_bytes((tmp_path / "thing.kept").read_bytes()[:-1])
    assert cache.kept("thing") is None
    assert not list(tmp_path.glob("tmp*"))
