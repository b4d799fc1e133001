"""A batch on a real Dask scheduler with workers as processes: nothing lost, nothing done twice, and the bits of a local sweep."""

import os
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pandas as pd
import pytest

from atb.config import load_settings
from atb.db import open_database
from atb.errors import InputError, SetupError
from atb.experiments.batch.cluster import check_address, run_on_cluster
from atb.experiments.batch.plan import make_plan
from atb.experiments.batch.worker import Order
from atb.experiments.registry import list_runs
from tests.database import empty_postgresql, postgres
from tests.experiments.batch.conftest import PARAMETERS, PUBLISHES
from tests.experiments.notebooks import notebook
from tests.timeouts import PATIENCE_S

__all__ = ["postgres"]
SLEEPS = "import time; time.sleep(0.5)"


@pytest.mark.parametrize(
    "address", ["tcp://10.0.0.5:8786", "10.0.0.5:8786", "tcp://example.org:8786", "http://127.0.0.1:8787", "tcp://"]
)
def test_only_loopback_and_tls_are_used(address):
    with pytest.raises(InputError):
        check_address(address)


@pytest.mark.parametrize(
    "address", ["tcp://127.0.0.1:8786", "localhost:8786", "tls://10.0.0.5:8786", "tcp://[::1]:8786"]
)
def test_loopback_and_tls_are_allowed(address):
    check_address(address)


def test_a_scheduler_that_is_not_there_is_one_sentence(world, monkeypatch):
    monkeypatch.setattr("atb.experiments.batch.cluster.CONNECT_SECONDS", 1)
    plan = world.plan(world.notebook(PUBLISHES), {"window": 5})
    with pytest.raises(SetupError, match="No Dask scheduler answers"):
        run_on_cluster(plan.cells, plan, Order(plan.notebook, plan.batch, 60.0), scheduler="tcp://127.0.0.1:1",
                       settings=world.settings, report=print)  # fmt: skip


@contextmanager
def cluster(
    folder: Path, repository: Path, *roots: Path, database: str
) -> Iterator[tuple[str, list[subprocess.Popen]]]:
    """Run a scheduler and one worker for each data root, every one a process of its own."""
    environment = {
        **os.environ,
        "PYTHONPATH": str(repository),
        "ATB__DATABASE__URL": database,
        "DASK_DISTRIBUTED__DASHBOARD__LINK": "",
    }
    log = (folder / "dask.log").open("w+")

    def begin(*words: str, **more: str) -> subprocess.Popen:
        return subprocess.Popen([sys.executable, "-m", "distributed.cli." + words[0], *words[1:]], cwd=folder,
                                env=environment | more, stdout=log, stderr=log)  # fmt: skip

    scheduler = begin("dask_scheduler", "--host", "127.0.0.1", "--port", "0", "--no-dashboard")
    workers: list[subprocess.Popen] = []
    try:
        address = _found(folder / "dask.log", r"Scheduler at:\s+(tcp://127\.0\.0\.1:\d+)", scheduler)
        options = (
            "--nthreads",
            "1",
            "--no-nanny",
            "--no-dashboard",
            "--host",
            "127.0.0.1",
            "--local-directory",
            str(folder / "d"),
        )
        for number, root in enumerate(roots, 1):
            workers.append(begin("dask_worker", address, *options, ATB__DATA__ROOT=str(root)))
            _found(folder / "dask.log", r"(Registered to:(?:.|\n)*){" + str(number) + "}", workers[-1])
        yield address, workers
    finally:
        for process in [*workers, scheduler]:
            process.kill()
            process.wait()
        log.close()


def _found(log: Path, pattern: str, process: subprocess.Popen) -> str:
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        if found := re.search(pattern, log.read_text()):
            return found[1]
        assert process.poll() is None, log.read_text()
        time.sleep(0.2)
    raise AssertionError(log.read_text())


@pytest.fixture
def project(tmp_path, postgres, monkeypatch):
    """A project whose registry is PostgreSQL."""
    with empty_postgresql(postgres) as url:
        monkeypatch.setenv("ATB__DATABASE__URL", url)
        monkeypatch.setenv("ATB__DATA__ROOT", str(tmp_path / "data"))
        settings = load_settings()
        database = open_database(settings.database.url)
        yield tmp_path, settings, database, url
        database.close()


@pytest.mark.slow
def test_a_killed_worker_loses_no_run_and_does_none_twice(project, repository):
    folder, settings, database, url = project
    path = notebook(folder / "small.ipynb", SLEEPS, PUBLISHES, parameters=PARAMETERS)
    chosen = [{"window": window} for window in range(1, 13)]
    plan = make_plan(path, chosen, settings=settings, database=database)
    reports = []
    with cluster(folder, repository, folder / "data", folder / "data", database=url) as (address, workers):

        def report(each):
            reports.append(each)
            if len(reports) == 4:
                os.kill(workers[0].pid, signal.SIGKILL)

        order = Order(path, plan.batch, PATIENCE_S)
        assert run_on_cluster(plan.cells, plan, order, scheduler=address, settings=settings, report=report)
    assert Counter(each.status for each in reports) == {"succeeded": 12}
    runs = list_runs(database, 1_000)
    succeeded = [run for run in runs if run.status == "succeeded"]
    assert sorted(run.parameters["window"] for run in succeeded) == list(range(1, 13))
    assert {run.status for run in runs} <= {"succeeded", "interrupted"}
    assert all(Path(run.path, "run.json").exists() for run in succeeded)
    assert not make_plan(path, chosen, settings=settings, database=database).to_run()


@pytest.mark.slow
def test_a_worker_with_other_bars_another_notebook_or_another_registry_is_named(project, repository, tmp_path):
    folder, settings, database, url = project
    path = notebook(folder / "small.ipynb", PUBLISHES, parameters=PARAMETERS)
    plan = make_plan(path, [{"window": 5}], settings=settings, database=database)
    other = tmp_path / "other" / "bars"
    other.mkdir(parents=True)
    (other / "x.parquet").write_bytes(b"x")
    with (
        cluster(folder, repository, tmp_path / "other", database=url) as (address, _),
        pytest.raises(
            SetupError,
            match=r"The worker tcp://127\.0\.0\.1:\d+ has other bars; found 'data root .*data here, .*other there'",
        ),
    ):
        run_on_cluster(
            plan.cells, plan, Order(path, plan.batch, 60.0), scheduler=address, settings=settings, report=print
        )
    assert not list_runs(database)


@pytest.mark.slow
def test_a_kernel_sweep_on_the_cluster_has_the_bits_of_a_local_one(project, repository):
    from atb.workbench import ensure_sample
    from atb.workbench.backtesting import prepare_sweep

    folder, _, _, url = project
    ensure_sample()
    values = {
        "strategy": "sma_cross", "params": {}, "symbol": "BTC/USDT", "symbols": [], "universe": None, "timeframe": "1h",
        "start": None, "end": None, "days": 200, "venue": None, "cash": 10_000.0, "fraction": 0.95, "stop_loss": 0.05,
        "take_profit": None, "fee": 0.001, "slippage": 0.0005, "policy": {},
    }  # fmt: skip
    prepared = prepare_sweep(values, {"fast": [5, 10, 20, 30], "slow": [40, 80, 120]}, {"take_profit": [None, 0.05]})
    local = prepared.run()
    with (
        pytest.MonkeyPatch.context() as patch,
        cluster(folder, repository, folder / "data", database=url) as (address, _),
    ):
        patch.setattr("atb.experiments.batch.kernel_sweeps.BAR_RUNS", 40_000)
        remote = prepared.run(scheduler=address)
    assert remote.complete
    pd.testing.assert_frame_equal(local.table, remote.table, check_exact=True)
    assert local.swept == remote.swept
