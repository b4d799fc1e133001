"""One data root for all notebooks, each executed once with small parameters, and a browser to look at what came out."""

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from atb.cli.lab import CONFIG, PIPE, _pipe_with, lab_arguments
from atb.config import load_settings
from atb.data.catalogue.writing import save_bars
from atb.data.providers.sample import write_sample
from atb.db import open_database
from atb.db.tables import RunRow
from atb.domain.bars import BAR_COLUMNS
from atb.experiments import execute
from tests.bars import bars_of
from tests.conftest import REPOSITORY
from tests.notebooks.lab import TOKEN, Lab
from tests.timeouts import PATIENCE_S

FOLDER = REPOSITORY / "notebooks"
NOTEBOOKS = tuple(sorted(path.name for path in FOLDER.glob("*.ipynb")))
# Small enough to be quick. A later chapter uses what an earlier one left: the model of 02, the run of 03, the manifest of 05.
PARAMETERS: dict[str, dict[str, object]] = {
    "00_tour.ipynb": {"days": 30},
    "01_data.ipynb": {"symbol": "ETHUSDT", "start": "2024-06-01"},
    "02_train.ipynb": {},
    "03_backtest.ipynb": {"strategy": "ml_basic", "days": 60},
    "04_validate.ipynb": {"params": {"fast": 10, "slow": 40}, "days": 60, "checked": 400, "take_profit": 0.03},
    "05_promote.ipynb": {"write": True},
    "06_screen.ipynb": {"symbol": "ETH/USDT", "days": 60, "windows": [5, 10, 20, 40], "stop_loss": 0.02},
    "07_monitor.ipynb": {"days": 10},
    "09_strategies.ipynb": {"symbols": ["BTC/USDT"], "days": 40, "names": ["sma_cross", "breakout", "random", "bear"]},
    "08_regimes.ipynb": {
        "method": "gaussian_hmm",
        "start": "2024-01-01",
        "every": "60d",
        "span": "120d",
        "write": True,
    },
}
PARAMETERS |= {
    "10_compare.ipynb": {"newest": 2},
    "11_sweep.ipynb": {"grid": {"fast": [5, 10, 20], "slow": [40, 80]}, "days": 60, "merit": "total_return_pct"},
    "12_predictions.ipynb": {"days": 40},
    "13_own_strategy.ipynb": {"name": "dip_60", "days": 60, "write": True},
    "14_nightly.ipynb": {"hours": 2, "days": 20},
}
# Candles of BTC/USDT reach to 2024-12-31, those of ETH/USDT to 2023-06-13.
ON_REAL_CANDLES: dict[str, dict[str, object]] = {
    "01_data.ipynb": {"symbol": "ETHUSDT", "start": "2022-06-01"},
    "08_regimes.ipynb": {"method": "jump_model", "start": "2023-01-01"},
    "09_strategies.ipynb": {"days": 60},
}
NEEDS = {
    "03_backtest.ipynb": "02_train.ipynb",
    "05_promote.ipynb": "03_backtest.ipynb",
    "07_monitor.ipynb": "05_promote.ipynb",
    "12_predictions.ipynb": "02_train.ipynb",
}
TRACKER = "@jupyterlab/notebook-extension/tracker.jupyterlab-settings"
CHROMIUM = ("/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome")
QUIET = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A root that holds the synthetic market."""
    root = tmp_path_factory.mktemp("notebooks")
    write_sample(root=root / "bars")
    return root


@pytest.fixture(scope="session")
def executed(world: Path) -> Iterator[Callable[[str], RunRow]]:
    """Execute a notebook as `atb run` does, once a session, after those whose traces it uses."""
    with executing(world, PARAMETERS) as run:
        yield run


@pytest.fixture(scope="session")
def executed_on_real_candles(
    real_data: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[[str], RunRow]]:
    """Execute a notebook as `executed`, on a catalogue of real candles."""
    root = tmp_path_factory.mktemp("real")
    for symbol in ("BTC/USDT", "ETH/USDT"):
        frame = pd.read_parquet(real_data / f"binance_{symbol.replace('/', '')}_1h.parquet").set_index("timestamp")
        bars = bars_of(frame[list(BAR_COLUMNS)].astype(float), symbol, venue="binance")
        save_bars(bars, root=root / "bars", source="test", accept_gaps=True)
    with executing(root, PARAMETERS | ON_REAL_CANDLES) as run:
        yield run


@contextmanager
def executing(root: Path, parameters: dict[str, dict[str, object]]) -> Iterator[Callable[[str], RunRow]]:
    """Execute notebooks with these parameters in one data root, each once and after those whose traces it uses."""
    settings = load_settings(data={"root": root}, database={"url": f"sqlite:///{root}/atb.db"})
    database = open_database(settings.database.url)

    @cache
    def run(name: str) -> RunRow:
        if name in NEEDS:
            run(NEEDS[name])
        return execute(FOLDER / name, parameters[name], settings=settings, database=database, timeout=PATIENCE_S)

    yield run
    database.close()


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """A headless Chromium of this machine, closed with its module: while it is open, no test after it can start an event loop."""
    found = next((path for path in (os.environ.get("ATB_TEST_CHROMIUM", ""), *CHROMIUM) if shutil.which(path)), None)
    if found is None:
        pytest.skip("needs a Chromium: install one, or set ATB_TEST_CHROMIUM to its program")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=found, args=list(QUIET))
        yield opened
        opened.close()


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory, world: Path, browser: Any) -> Iterator[Lab]:
    """Start JupyterLab as `atb lab` does, on a free port, in a project of its own."""
    home = tmp_path_factory.mktemp("lab")
    (home / "atb.toml").touch()
    folder = home / "notebooks"
    shutil.copytree(FOLDER, folder, ignore=shutil.ignore_patterns(".ipynb_checkpoints"))
    # Off-screen cells are taken out of the page otherwise, and their figures could not be counted.
    settings = home / "settings" / TRACKER
    settings.parent.mkdir(parents=True)
    settings.write_text('{"windowingMode": "none"}', encoding="utf-8")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    own = {name: str(home / name.lower()) for name in ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR")}
    token = _pipe_with(TOKEN)
    environment = {
        **os.environ,
        **own,
        "JUPYTERLAB_SETTINGS_DIR": str(home / "settings"),
        PIPE: str(token),
        "JUPYTER_CONFIG_PATH": str(CONFIG),
        "ATB__DATA__ROOT": str(world),
    }
    with (home / "log.txt").open("wb") as log:
        command = [
            *lab_arguments(sys.executable, folder, workspaces=home / "workspaces", port=port, browser=False),
            "--LabApp.expose_app_in_browser=True",
        ]
        server = subprocess.Popen(command, env=environment, cwd=folder, pass_fds=(token,), stdout=log, stderr=log)
        os.close(token)
        try:
            running = Lab(port, folder)
            _wait_for(running, server, home / "log.txt")
            yield running
        finally:
            server.terminate()
            server.wait(timeout=PATIENCE_S)


def _wait_for(lab: Lab, server: "subprocess.Popen[bytes]", log: Path) -> None:
    for _ in range(int(PATIENCE_S) * 4):
        try:
            lab.get("status")
            return
        except OSError:
            assert server.poll() is None, log.read_text(encoding="utf-8")
            time.sleep(0.25)
    pytest.fail(f"JupyterLab did not answer within {PATIENCE_S:.0f} s: {log.read_text(encoding='utf-8')}")
