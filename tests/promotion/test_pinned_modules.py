"""What a running runner has loaded of this package is pinned, in each of its modes, and nothing of research is."""

import json
import os
import signal
import subprocess
import sys
import time
from decimal import Decimal
from importlib import metadata

import pandas as pd
import pytest

from atb.data.catalogue.writing import save_bars
from atb.domain import Bars
from atb.engine.policy import RiskPolicy
from atb.errors import PromotionError
from atb.promotion import provenance
from atb.promotion.closure import imported_names, runner_files
from atb.promotion.manifest import load_manifest
from atb.venues.simulator.configuration import ExchangeConfig
from atb.venues.simulator.server import running_exchange
from tests.instruments import usual
from tests.live.desk import RUNNER, read_journal, warm_result
from tests.live.execution.test_desk import rising
from tests.live.test_exchange_process import BARS, FIRST, WORDS, environment_of, exchange, until_of, wait_for
from tests.promotion.test_live import signed_live
from tests.timeouts import PATIENCE_S

RESEARCH = (
    "backtest",
    "validation",
    "reports",
    "experiments",
    "workbench",
    "cli",
    "venues/simulator",
    "data/importing",
    "bench",
)
# Runs the runner's script as `python runners/live.py ...` does, and says what it had loaded when it ended.
INSPECT = """
import runpy, signal, sys
sys.argv = {arguments!r}
try:
    runpy.run_path(sys.argv[0], run_name="__main__")
except SystemExit as ended:
    code = ended.code
import json
from atb import sources
files = [module.__file__ for name, module in sys.modules.items() if name.split(".")[0] == "atb"]
print("LOADED", json.dumps([code, files, sources.unexplained()]))
"""


@pytest.fixture
def manifest(sqlite_desk):
    bars = rising(BARS)
    save_bars(bars, root=sqlite_desk.bars_root, source="made by hand")
    return sqlite_desk.promote(warm_result(bars, policy=RiskPolicy(fraction=0.5, stop_loss=0.05)))


def started(desk, running, *arguments, **more):
    code = INSPECT.format(arguments=[str(RUNNER), *map(str, arguments)])
    environment = environment_of(desk, running, **more)
    return subprocess.Popen(
        [sys.executable, "-I", "-c", code],
        env=environment,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=desk.root,
    )


def loaded(process, path):
    """Return exit code and the loaded files of the package by their pinned names, each of them pinned."""
    out, said = process.communicate(timeout=PATIENCE_S)
    assert "LOADED" in out, said
    code, files, unexplained = json.loads(out.rpartition("LOADED ")[2])
    names = {str(file).removeprefix(f"{provenance.PACKAGE.parent}/") for file in files}
    assert unexplained == []
    assert names <= set(load_manifest(path).sources), said
    return code, names


def test_paper_over_stored_bars(sqlite_desk, manifest):
    with exchange() as running:
        code, names = loaded(started(sqlite_desk, running, manifest, "--from", until_of(FIRST)), manifest)
    assert code == 0
    assert {"atb/live/execution/paper_desk.py", "atb/engine/kernel.py", "atb/sources.py"} <= names


@pytest.mark.parametrize(
    "way", [pytest.param("--candles", marks=pytest.mark.slow), pytest.param("--rehearse", marks=pytest.mark.slow)]
)
def test_at_a_simulated_exchange(sqlite_desk, manifest, way):
    with exchange() as running:
        code, names = loaded(started(sqlite_desk, running, manifest, way, "--until", until_of(FIRST + 5)), manifest)
    assert code == 0
    assert "atb/venues/broker/binance.py" in names


def around_now():
    """Return bars of the venue that is traded, of the days around the present: the exchange's clock is ours."""
    bars = rising(BARS)
    frame = bars.frame.set_axis(
        pd.date_range(end=pd.Timestamp.now("UTC").ceil("h"), periods=BARS, freq="h", name="timestamp")
    )
    return Bars(bars.symbol, bars.timeframe, frame, "binance")


@pytest.mark.slow
def test_real_money_at_an_exchange_that_is_none(sqlite_desk):
    bars = around_now()
    save_bars(bars, root=sqlite_desk.bars_root, source="made by hand")
    paper = sqlite_desk.promote(warm_result(bars, policy=RiskPolicy(fraction=0.5, stop_loss=0.05)))
    path = signed_live(sqlite_desk, load_manifest(paper))
    real = {"ATB__EXCHANGE__CLOCK": "", "ATB__LIVE__ACCOUNT": "main", "ATB__LIVE__MAX_LOSS": "250"}
    config = ExchangeConfig(
        (bars,),
        start_ms=int(time.time() * 1_000),
        instruments=(usual(bars.symbol),),
        balances={"USDT": Decimal(10_000)},
        fee_in="quote",
        clock="real",
    )
    with running_exchange(config) as running:
        process = started(sqlite_desk, running, path, "--live", "--account", "main", "--ack", WORDS, **real)
        wait_for(lambda: running_session(sqlite_desk), process, seconds=240)
        process.send_signal(signal.SIGTERM)
        code, names = loaded(process, path)
    assert code == 0
    assert {
        "atb/live/execution/exchange_desk.py",
        "atb/live/preflight.py",
        "atb/live/execution/reconciliation.py",
    } <= names


def running_session(desk):
    try:
        return bool(read_journal(desk.url)["session"])
    except Exception:  # the database is not there yet
        return False


def test_nothing_of_research_is_pinned_and_all_that_decides_is():
    names = set(runner_files(provenance.PACKAGE, "atb.strategies.sma_cross"))
    assert [name for name in names if name.startswith(tuple(f"atb/{part}" for part in RESEARCH))] == []
    folders = {name.split("/")[1] for name in names if name.count("/") > 1}
    assert {
        "config",
        "db",
        "domain",
        "engine",
        "features",
        "live",
        "monitoring",
        "prediction",
        "promotion",
        "strategies",
        "venues",
    } <= folders


def test_sub_folders_functions_and_relative_imports_are_followed(tmp_path):
    package = tmp_path / "atb"
    files = dict.fromkeys(
        ("atb/__init__.py", "atb/features/__init__.py", "atb/features/tried.py", "atb/research.py", "atb/real.py",
         "atb/strategies/other.py", "atb/live/__init__.py", "atb/moved.py", "atb/db/migrations/x.mako"), ""
    ) | {
        "atb/strategies/__init__.py": "from . import deep",
        "atb/strategies/mine.py": "from atb import late",
        "atb/strategies/deep/__init__.py": "from .inner import x",
        "atb/strategies/deep/inner.py": "from ...features import made\nx = 1",
        "atb/features/made/__init__.py": "def f():\n    try:\n        import atb.features.tried\n    except OSError:\n        pass",
        "atb/late.py": "match 1:\n    case 1:\n        import atb.matched",
        "atb/matched.py": "if TYPE_CHECKING:\n    import atb.research\nelse:\n    import atb.real",
        "runners/live.py": "def main():\n    import atb.live",
        "atb/db/migrations/env.py": "import atb.moved",
    }  # fmt: skip
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    found = set(runner_files(package, "atb.strategies.mine"))
    assert found == set(files) - {"atb/research.py", "atb/strategies/other.py"}


def test_a_source_that_is_no_python_is_a_refusal():
    for text in (b"def (", b"x = " + b"-" * 200_000 + b"1", b"\0"):
        with pytest.raises(PromotionError, match="not Python"):
            imported_names(text, "atb")


@pytest.mark.parametrize("name", ["atb/db/migrations/versions/odd.py", "atb/db/migrations/odd.mako"])
@pytest.mark.parametrize("kind", ["folder", "pipe", "link to nothing", "endless"])
def test_what_is_no_readable_source_is_a_refusal_that_names_it(tmp_path, name, kind):
    """A pipe kept the runner waiting without end, at its start and at its hourly check."""
    package = tmp_path / "atb"
    for source in ("runners/live.py", "atb/__init__.py", "atb/strategies/__init__.py", "atb/strategies/mine.py", name):
        (tmp_path / source).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / source).touch()
    odd = tmp_path / name
    odd.unlink()
    make = {"folder": odd.mkdir, "pipe": lambda: os.mkfifo(odd)}
    make.get(kind, lambda: odd.symlink_to("/dev/zero" if kind == "endless" else tmp_path / "nowhere"))()
    with pytest.raises(PromotionError, match="cannot be read") as refused:
        runner_files(package, "atb.strategies.mine")
    assert str(odd) in str(refused.value)


def test_a_library_that_is_gone_is_another_version(monkeypatch):
    """As while an update installs it anew."""
    pinned = provenance.installed_versions()

    def version(name):
        if name == "ccxt":
            raise metadata.PackageNotFoundError(name)
        return None if name == "numba" else pinned[name]

    monkeypatch.setattr(metadata, "version", version)
    with pytest.raises(PromotionError, match=r"numba none instead of \S+, ccxt none instead of"):
        provenance.check_versions(pinned)
