"""The runner and its kill switch work where nothing is installed but what `requirements-live.lock` names."""

import importlib.metadata
import os
import subprocess
import sysconfig
import venv
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from atb.data.catalogue.writing import save_bars
from atb.engine.policy import RiskPolicy
from atb.prediction.bundle import load_bundle
from atb.prediction.predictor import OnnxPredictor
from atb.strategies import make_strategy
from tests.live.desk import BUSY, REPOSITORY, RUNNER, first_open, read_journal, warm_result
from tests.live.execution.test_desk import rising
from tests.live.test_exchange_process import BARS, environment_of, exchange, until_of
from tests.prediction import models

LOCK = REPOSITORY / "requirements-live.lock"


@pytest.fixture(scope="module")
def runners_place(tmp_path_factory):
    """An environment whose packages are links to what the lock file names: the only ones there are, in isolated mode too."""
    place = tmp_path_factory.mktemp("venv")
    venv.create(place, symlinks=True)
    for line in LOCK.read_text(encoding="utf-8").splitlines():
        if line[:1].isalnum() and applies(Requirement(line.rstrip(" \\"))):
            link(importlib.metadata.distribution(Requirement(line.rstrip(" \\")).name), packages_of(place))
    link(importlib.metadata.distribution("atb-workbench"), packages_of(place), only=".dist-info")
    return place


def packages_of(place: Path) -> Path:
    """Return the folder of an environment's packages."""
    return Path(sysconfig.get_path("purelib", "venv", vars={"base": str(place), "installed_base": str(place)}))


def applies(pin: Requirement) -> bool:
    return pin.marker is None or pin.marker.evaluate()


def link(package: importlib.metadata.Distribution, place: Path, *, only: str = "") -> None:
    for top in {file.parts[0] for file in package.files or [] if file.parts[0] not in {"..", "__pycache__"}}:
        here = place / top
        if top.endswith(only) and not here.exists():
            here.symlink_to(Path(package.locate_file(top)))


def alone(place, desk, *arguments, **more):
    """Run code of this repository with the packages of an environment, and return what it said."""
    environment = {
        "PATH": os.environ["PATH"], "PYTHONPATH": str(REPOSITORY),
        "ATB__DATA__ROOT": str(desk.root), "ATB__DATABASE__URL": desk.url, **more,
    }  # fmt: skip
    command = [str(place / "bin/python"), *map(str, arguments)]
    return subprocess.run(command, env=environment, capture_output=True, text=True, cwd=desk.root, check=False)


def modelled(desk):
    """Return a promoted manifest with a model, and the open of its first bar."""
    folder = models.saved("logistic", desk.models_root)
    market = models.market()[0].slice(end=models.market()[0].frame.index[900])
    save_bars(market, root=desk.bars_root, source="the synthetic market")
    strategy, predictor = make_strategy("ml_basic", enter=0.505, leave=0.5), OnnxPredictor(load_bundle(folder))
    result = warm_result(market, strategy=strategy, policy=BUSY, predictor=predictor)
    return desk.promote(result, model=folder), first_open(result)


def test_what_the_lock_file_does_not_name_is_not_there(runners_place, sqlite_desk):
    for module in ("plotly", "vectorbt", "jupyterlab", "sklearn", "papermill", "rich", "trustme", "pytest"):
        done = alone(runners_place, sqlite_desk, "-c", f"import {module}")
        assert f"No module named '{module}'" in done.stderr


@pytest.mark.slow
def test_paper_trading_and_the_kill_switch_need_the_lock_file_of_the_runner_alone(runners_place, sqlite_desk):
    manifest, first = modelled(sqlite_desk)
    page = {"ATB__LIVE__HEALTH_PORT": "0"}
    done = alone(runners_place, sqlite_desk, RUNNER, manifest, "--from", first, **page)
    assert done.returncode == 0, done.stderr
    assert read_journal(sqlite_desk.url)["fill"]
    for command in (
        ("halt", "--reason", "a test"),
        ("resume", "--reason", "a test"),
        ("status",),
        ("orders",),
        ("trades",),
    ):
        done = alone(runners_place, sqlite_desk, "-m", "atb", *command)
        assert done.returncode == 0, (command, done.stdout + done.stderr)


def test_trading_at_an_exchange_needs_the_lock_file_of_the_runner_alone(runners_place, sqlite_desk):
    save_bars(rising(BARS), root=sqlite_desk.bars_root, source="made by hand")
    manifest = sqlite_desk.promote(warm_result(rising(BARS), policy=RiskPolicy(fraction=0.5, stop_loss=0.05)))
    with exchange() as running:
        arguments = (RUNNER, manifest, "--rehearse", "--account", "main", "--until", until_of(30))
        done = alone(runners_place, sqlite_desk, *arguments, **environment_of(sqlite_desk, running))
    assert (done.returncode, "finished:" in done.stdout) == (0, True), done.stderr
    assert [row["role"] for row in read_journal(sqlite_desk.url)["fill"]] == ["entry"]


@pytest.mark.slow
def test_a_fresh_environment_with_the_lock_file_of_the_runner_trades(sqlite_desk, tmp_path):
    place = tmp_path / "venv"
    venv.create(place, with_pip=True)
    command = [place / "bin/python", "-m", "pip", "install", "--quiet", "--require-hashes", "--no-deps"]
    command += ["--only-binary", ":all:", "-r", LOCK]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode and "No matching distribution" in done.stderr:
        pytest.skip("no package index can be reached here")
    assert done.returncode == 0, done.stderr
    assert subprocess.run([place / "bin/python", "-m", "pip", "check"], check=False).returncode == 0
    link(importlib.metadata.distribution("atb-workbench"), packages_of(place), only=".dist-info")
    manifest, first = modelled(sqlite_desk)
    done = alone(place, sqlite_desk, RUNNER, manifest, "--from", first)
    assert done.returncode == 0, done.stderr
    assert read_journal(sqlite_desk.url)["fill"]
