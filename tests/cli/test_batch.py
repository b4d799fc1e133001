"""`atb sweep NOTEBOOK`: a batch from the command line, with its plan, its table, its files and its exit codes."""

import csv
import json

import pytest
from click.testing import CliRunner

from atb.cli import main
from atb.cli.batch_progress import Tally
from atb.experiments.batch.worker import Report
from tests.experiments.notebooks import notebook
from tests.workbench.conftest import sample, stocked

__all__ = ["sample", "stocked"]
PARAMETERS = """
symbol: str = "BTC/USDT"  # market
window: int = 20  # bars (1..500)
names: list[str] = []  # some names
"""
PUBLISHES = """
from atb.experiments import publish
assert window != 7, "seven"
publish(metrics={"double": 2 * window, "sharpe": -window / 10})
"""


@pytest.fixture
def project(tmp_path, monkeypatch):
    (tmp_path / "notebooks").mkdir()
    notebook(tmp_path / "notebooks" / "small.ipynb", PUBLISHES, parameters=PARAMETERS)
    monkeypatch.setattr("atb.cli.batch._fill_catalogue", lambda _settings: None)
    return tmp_path


def atb(*arguments):
    return CliRunner().invoke(main, list(arguments))


@pytest.mark.slow
def test_a_batch_runs_ranks_and_writes_then_resumes_and_retries(project):
    options = ("sweep", "small", "--grid", "window=5:8:1", "--workers", "1")
    done = atb(*options, "--csv", "rows.csv")
    assert done.exit_code == 1, done.output
    assert "1 run of 4 did not succeed" in done.stderr
    assert "run 3 failed" in done.stdout
    assert "AssertionError: seven" in done.stdout
    lines = [line.split() for line in done.stdout.splitlines() if line.split()[:1] and line.split()[0].isdigit()]
    assert [line[1] for line in lines[:3]] == ["5", "6", "8"]  # by sharpe, the highest first
    with (project / "rows.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["status"] for row in rows] == ["succeeded", "succeeded", "failed", "succeeded"]
    assert rows[0]["double"] == "10"
    plan = json.loads(atb(*options, "--dry-run", "--json").stdout)
    assert (plan["runs"], plan["to_run"], plan["finished"], plan["failed"]) == (4, 0, 3, 1)
    assert plan["seconds"] == 0
    again = json.loads(atb(*options, "--json", "--retry").stdout)
    assert again["counts"] == {"succeeded": 3, "failed": 1}
    listed = json.loads(atb("runs", "--batch", plan["batch"], "--json").stdout)
    assert len(listed) == 5  # four, and the one that was tried again


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("small", "--grid", "windw=1,2"), "Run 1 of the batch: There is no such parameter; found 'windw'. Did you mean 'window'"),
        (("small", "--grid", "window=1,abc"), "Run 2 of the batch: Parameter 'window' is declared int"),
        (("small", "--grid", "window=0,1"), "must be from 1 to 500"),
        (("small", "--grid", "window=5,5"), "given twice"),
        (("small", "--grid", "window=5,6", "-p", "window=7"), "given twice"),
        (("small", "--grid", "window=5,6", "--fee", "0.1"), "'fee'"),
        (("small", "--grid", "window=5,6", "--axes", "window"), "--axes is for sweeps of a strategy"),
        (("small", "--grid", "window=5,6", "--memory", "0.1"), "needs 1 GiB at least"),
        (("small", "--grid", "window=5,6", "--timeout", "0"), "above 0 seconds"),
        (("small", "--grid", "window=5,6", "--scheduler", "tcp://10.0.0.1:1"), "only loopback and TLS"),
        (("small.ipynb",), "A batch needs a grid"),
        (("smal.ipynb", "--grid", "window=5"), "Did you mean 'small.ipynb'"),
        (("smal", "--grid", "window=5"), "no such strategy or notebook; found 'smal'. Did you mean 'small'"),
        (("small", "--grid", "missing.yaml"), "cannot be read"),
        (("small", "--grid", "runs.yaml", "--grid", "window=1"), "In the listed runs, or as an axis"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_one_sentence_and_runs_nothing(project, options, message):
    (project / "runs.yaml").write_text("- {window: 5}\n- {window: 6}\n")
    done = atb("sweep", *options)
    assert done.exit_code == 2, done.output
    assert message in done.stderr
    assert not (project / "runs").exists()


def test_a_file_lists_runs_or_axes_and_lists_are_parted_by_semicolons(project):
    (project / "runs.yaml").write_text("- {window: 5, names: [a, b]}\n- {window: 6}\n")
    (project / "axes.yaml").write_text("window: [5, 6, 7]\nnames: [[a], [a, b]]\n")
    counts = {
        name: json.loads(atb("sweep", "small", "--grid", name, "--dry-run", "--json").stdout)["runs"]
        for name in ("runs.yaml", "axes.yaml", "names=a,b; c")
    }
    assert counts == {"runs.yaml": 2, "axes.yaml": 6, "names=a,b; c": 2}


def test_a_backtest_s_batch_takes_parameters_of_its_strategy_and_rules(stocked):
    from tests.cli.test_run import real_backtest

    real_backtest(stocked)
    found = atb(
        "sweep",
        "03_backtest",
        "--grid",
        "fast=10,20",
        "--grid",
        "stop_loss=0.02,none",
        "--days",
        "30",
        "--dry-run",
        "--json",
    )
    assert found.exit_code == 0, found.output
    assert json.loads(found.stdout)["runs"] == 4
    refused = atb("sweep", "03_backtest", "--grid", "fast=10,200", "-p", "slow=100", "--days", "30")
    assert refused.exit_code == 2
    assert "fast" in refused.stderr


def test_progress_says_pace_failures_and_time_left(monkeypatch):
    clock = iter([60.0, 120.0])
    monkeypatch.setattr("atb.cli.batch_progress.time.monotonic", lambda: next(clock))
    tally = Tally(4, 0.0)
    tally.take(Report(1, "succeeded"))
    assert tally.line() == "1 of 4, 1 a minute, 3 min 0 s left"
    tally.take(Report(2, "failed"))
    assert tally.line() == "2 of 4, 1 failed, 1 a minute, 2 min 0 s left"
    tally.take(Report(3, "interrupted"))
    tally.take(Report(4, "running"))  # in another process
    assert tally.done == 2
