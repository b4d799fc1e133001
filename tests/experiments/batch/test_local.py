"""A batch by worker processes: every cell once, whatever dies; and kernels that are forked leave the artefacts of new ones."""

import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from atb.experiments.batch.local import run_local
from atb.experiments.batch.worker import Order
from atb.experiments.registry import list_runs
from tests.experiments.batch.conftest import PUBLISHES, STATE
from tests.experiments.test_fork_server import gone
from tests.timeouts import PATIENCE_S


def run(world, path, *chosen, workers=1, **limits):
    """Run what a plan leaves to do; return whether it was finished, and the reports by cell."""
    plan = world.plan(path, *chosen)
    reports = {}
    order = Order(path, plan.batch, limits.pop("timeout", PATIENCE_S), settings=world.settings, **limits)
    done = run_local(plan.to_run(), order, workers=workers, report=lambda each: reports.setdefault(each.number, each))
    return done, reports


def outputs(run):
    """Return a run's outputs without what differs by nature."""
    node = json.loads((Path(run.path) / run.notebook).read_text())
    return [(cell["source"], cell.get("outputs"), cell.get("execution_count")) for cell in node["cells"]], run.metrics


def test_a_batch_records_every_cell_and_lists_what_failed(world):
    path = world.notebook("assert window != 7, 'seven'", PUBLISHES)
    done, reports = run(world, path, {"window": 6}, {"window": 7})
    assert done
    assert [reports[number].status for number in (1, 2)] == ["succeeded", "failed"]
    assert "AssertionError: seven" in reports[2].error
    again = world.plan(path, {"window": 6}, {"window": 7})
    assert (again.to_run(), [cell.number for cell in again.to_run(retry=True)]) == ([], [2])
    assert {run.metrics.get("double") for run in list_runs(world.database)} == {12, None}


@pytest.mark.slow
@pytest.mark.parametrize("count", [5, 100])
def test_forked_kernels_leave_the_artefacts_of_new_ones_in_any_order(world, count):
    path = world.notebook(STATE, PUBLISHES)
    chosen = [{"window": 5 + number} for number in range(count)]
    shuffled = random.Random(7).sample(chosen, count)
    warm_done, warm = run(world, path, *shuffled, workers=2)
    kept = {run.parameters["window"]: outputs(run) for run in list_runs(world.database, 1_000)}
    assert warm_done
    assert {report.status for report in warm.values()} == {"succeeded"}, warm
    cold_world = type(world)(world.folder / "cold")
    cold_path = cold_world.notebook(STATE, PUBLISHES)
    (cold_world.folder / "cold").mkdir(exist_ok=True)
    run(cold_world, cold_path, *chosen, workers=2, warm=False)
    cold = {run.parameters["window"]: outputs(run) for run in list_runs(cold_world.database, 1_000)}
    cold_world.database.close()
    assert len(cold) == count
    same = json.dumps(kept, sort_keys=True).replace(world.folder.name, "HERE")
    assert same == json.dumps(cold, sort_keys=True).replace("'cold'", "HERE").replace(" cold ", " HERE ")


@pytest.mark.slow
def test_a_cell_that_kills_its_worker_is_tried_twice_and_the_others_are_finished(world):
    kills = (
        "import os, pathlib, signal\nserver = pathlib.Path(f'/proc/{os.getppid()}/stat').read_text().rpartition(')')[2]\n"
        "if window == 7: os.kill(int(server.split()[1]), signal.SIGKILL)"
    )
    path = world.notebook(kills, PUBLISHES)
    done, reports = run(world, path, {"window": 7}, {"window": 8})
    assert done
    assert reports[1].status == "failed"
    assert reports[1].error == "its worker ended with signal 9, 2 times"
    assert reports[2].status == "succeeded"


@pytest.mark.slow
def test_a_time_limit_and_a_memory_limit_end_a_cell_and_not_the_batch(world, monkeypatch):
    monkeypatch.setattr("atb.experiments.ceiling.LEAST", 0)
    waits = (
        "import time\nif window == 7: time.sleep(600)\ngrown = []\nwhile window == 8: grown.append(list(range(1_000)))"
    )
    path = world.notebook(waits, PUBLISHES)
    _, reports = run(world, path, *({"window": window} for window in (7, 8, 9)), timeout=25.0, memory=2 << 30)
    assert "longer than 25 s" in reports[1].error
    assert "MemoryError" in reports[2].error
    assert reports[3].status == "succeeded"


@pytest.mark.slow
def test_ctrl_c_leaves_runs_that_the_same_command_goes_on_with(world):
    path = world.notebook("import time; time.sleep(3 if window < 8 else 0)", PUBLISHES)
    chosen = [{"window": window} for window in (6, 7, 8)]

    def interrupt() -> None:
        while not list_runs(world.database, status="running"):
            time.sleep(0.05)
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=interrupt).start()
    done, reports = run(world, path, *chosen)
    assert not done
    assert reports[1].status == "interrupted"
    assert [run.status for run in list_runs(world.database)] == ["interrupted"]
    done, reports = run(world, path, *chosen)
    assert (done, {report.status for report in reports.values()}) == (True, {"succeeded"})


@pytest.mark.slow
def test_a_killed_owner_leaves_no_worker_and_no_kernel(world, repository):
    path = world.notebook("import os, pathlib, time\npathlib.Path('pid').write_text(str(os.getpid())); time.sleep(600)")
    script = (
        "import sys; from pathlib import Path\nfrom tests.experiments.batch.conftest import World\n"
        "from tests.experiments.batch.test_local import run\nrun(World(Path(sys.argv[1])), Path(sys.argv[2]), {})"
    )
    owner = subprocess.Popen(
        [sys.executable, "-c", script, str(world.folder), str(path)], env=os.environ | {"PYTHONPATH": str(repository)}
    )
    deadline = time.monotonic() + PATIENCE_S
    while not (world.folder / "pid").exists() or not (world.folder / "pid").read_text():
        assert time.monotonic() < deadline
        time.sleep(0.1)
    owner.kill()
    owner.wait()
    while not gone(int((world.folder / "pid").read_text())):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    while list_runs(world.database, status="running"):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert [run.status for run in list_runs(world.database)] == ["interrupted"]
