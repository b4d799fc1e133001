"""`atb run`, `atb runs`, `atb backtest`, `atb train`: parameters in, a summary or strict JSON out, honest exit codes."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from atb.cli import main
from tests.experiments.notebooks import notebook

BACKTEST = """
strategy: str = "sma_cross"
params: dict = {}
symbol: str = "BTC/USDT"
symbols: list[str] = []
universe: str | None = None
timeframe: str = "1h"
start: str | None = None
end: str | None = None
days: int = 365
cash: float = 10000.0
fraction: float = 0.95
stop_loss: float | None = 0.05
take_profit: float | None = None
fee: float = 0.001
slippage: float = 0.0005
policy: dict = {}
venue: str | None = None
"""
NAMES = ("strategy", "params", "symbol", "symbols", "universe", "timeframe", "start", "end", "days", "cash", "fraction",
         "stop_loss", "take_profit", "fee", "slippage", "policy", "venue")  # fmt: skip
RESULT = f"""
from atb.experiments import publish
from atb.workbench.backtesting import prepare_backtest
from atb.experiments.findings import UNPROVEN, findings
result = prepare_backtest({{name: globals()[name] for name in {NAMES}}}).run()
CHANGE
publish(metrics=result.stats, result=result, findings=[text for text in findings(result) if text != UNPROVEN])
"""


def real_backtest(folder: Path, change: str = "") -> None:
    """Write a backtest notebook of one cell, which runs what the command line runs and, where asked, changes the result."""
    (folder / "notebooks").mkdir(exist_ok=True)
    path = folder / "notebooks" / "03_backtest.ipynb"
    notebook(path, RESULT.replace("CHANGE", change), parameters=BACKTEST)


def atb(*arguments):
    return CliRunner().invoke(main, list(arguments))


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project folder whose notebooks publish at once."""
    real_backtest(tmp_path)
    notebook(tmp_path / "notebooks" / "bad.ipynb", "x = window / 0")
    return tmp_path


def test_backtest_prints_the_headline_the_figures_beside_holding_and_the_files(project):
    done = atb("backtest", "sma_cross", "--symbol", "ethusdt", "--timeframe", "1h", "--days", "90")
    assert done.exit_code == 0, done.output
    assert "sma_cross · ETH/USDT 1h" in done.stdout
    assert any(
        line.split()[0] == "total_return_pct" and len(line.split()) == 3 for line in done.stdout.splitlines() if line
    )
    assert "market orders fill at the next bar's open" in done.stdout
    shown = dict(line.split(maxsplit=1) for line in done.stdout.splitlines() if line.startswith(("orders", "report")))
    assert Path(shown["orders"]).read_text().count("\n") > 2
    assert Path(shown["report"]).is_file()


def test_backtest_as_json_and_the_registry_say_the_same(project):
    done = atb(
        "backtest", "sma_cross", "--start", "2023-01-01", "--end", "2024-01-01", "-p", 'params={"fast": 5}', "--json"
    )
    found = json.loads(done.stdout)
    assert found["status"] == "succeeded"
    assert found["result"]["stats"]["n_trades"] > 5
    assert found["parameters"] == {
        "strategy": "sma_cross", "params": {"fast": 5}, "symbol": "BTC/USDT", "symbols": [], "universe": None, "timeframe": "1h",
        "start": "2023-01-01", "end": "2024-01-01", "days": 365, "venue": None,
        "cash": 10000.0, "fraction": 0.95, "stop_loss": 0.05, "take_profit": None, "fee": 0.001, "slippage": 0.0005,
        "policy": {},
    }  # fmt: skip
    listed = json.loads(atb("runs", "--json").stdout)
    assert [row["run_id"] for row in listed] == [found["run_id"]]
    recorded = json.loads(atb("runs", "show", found["run_id"][:20], "--json").stdout)
    assert recorded == {name: found[name] for name in recorded}
    assert {*found} - {*recorded} == {"policy", "defaults", "assumptions"}
    shown = atb("runs", "show", found["run_id"]).stdout
    assert "parameter strategy" in shown
    assert found["files"]["report"] in shown
    assert "sma_cross BTC/USDT 1h" in atb("runs").stdout


def test_every_rule_reaches_the_notebook_by_flag_or_by_name(project):
    (project / "rules.json").write_text('{"trailing_stop": 0.03, "daily_loss": 0.02}')
    done = atb("backtest", "sma_cross", "--stop-loss", "0", "--fee", "0.002", "--policy", "rules.json", "--json")
    assert done.exit_code == 0, done.output
    parameters = json.loads(done.stdout)["parameters"]
    assert (parameters["stop_loss"], parameters["fee"], parameters["fraction"]) == (None, 0.002, 0.95)
    assert parameters["policy"] == {"trailing_stop": 0.03, "daily_loss": 0.02}


def test_a_failing_notebook_exits_1_and_names_the_cell_and_the_kept_notebook(project):
    done = atb("run", "bad", "-p", "window=5", "--json")
    assert done.exit_code == 1
    found = json.loads(done.stdout)
    assert (found["status"], found["failed_cell"]) == ("failed", 3)
    assert "cell 3, line 1 `x = window / 0`: ZeroDivisionError: division by zero" in done.stderr
    assert found["files"]["notebook"] in done.stderr
    assert "Traceback" not in done.output
    assert "failed" in atb("runs", "--status", "failed").stdout


def test_run_shows_the_typed_parameters_with_their_help(project):
    done = atb("run", "notebooks/bad.ipynb", "--list-parameters")
    assert done.exit_code == 0
    assert any(line.split() == ["window", "int", "20", "bars"] for line in done.stdout.splitlines())
    rows = json.loads(atb("run", "bad", "--list-parameters", "--json").stdout)
    assert rows[1] == {"name": "window", "type": "int", "default": 20, "help": "bars"}


WRONG = [
    (["run", "bad", "-p", "windw=5"], "Did you mean 'window'"),
    (["run", "bad", "-p", "window=abc"], "declared int"),
    (["run", "bad", "-p", "window"], "NAME=VALUE"),
    (["run", "bad", "-p", "=5"], "NAME=VALUE"),
    (["run", "bad", "-p", "window=1", "-p", "window=2"], "twice"),
    (["run", "bad", "-p", "window;import os=1"], "no such parameter"),
    (["run", "bad", "-p", "api_key=hunter2"], "environment variable"),
    (["run", "bad", "--timeout", "0"], "time limit"),
    (["run", "bad", "--parameters", "nowhere.json"], "cannot be read"),
    (["run", "bad", "--parameters", "list.json"], "one JSON object"),
    (["run", "bad", "--parameters", "text.json"], "no JSON"),
    (["run", "03_backtst"], "Did you mean '03_backtest.ipynb'"),
    (["run", "/nowhere/x.ipynb"], "no such notebook"),
    (["backtest", "sma_crss"], "Did you mean 'sma_cross'"),
    (["backtest", "sma_cross", "--symbol", "?"], "'?'"),
    (["backtest", "sma_cross", "--timeframe", "7h"], "7h"),
    (["backtest", "sma_cross", "--start", "yesterdayish"], "yesterdayish"),
    (["backtest", "sma_cross", "--start", "2024-01-02", "--end", "2024-01-01"], "before the end"),
    (["backtest", "sma_cross", "--start", "2024-01-02", "--days", "9"], "Use one of them"),
    (["backtest", "sma_cross", "--days", "0"], "0"),
    (["backtest", "sma_cross", "--days", "999999"], "36500"),
    (["backtest", "sma_cross", "-p", 'params={"fats": 3}'], "Did you mean 'fast'"),
    (["backtest", "sma_cross", "-p", 'params={"fast": 50, "slow": 10}'], "fast=50"),
    (["backtest", "sma_cross", "-p", "cash=-5"], "cash must be"),
    (["backtest", "sma_cross", "-p", "fee=2"], "fee must be"),
    (["backtest", "sma_cross", "--policy", '{"trailing_stpo": 0.03}'], "Did you mean 'trailing_stop'"),
    (["backtest", "sma_cross", "-p", 'policy={"dayly_loss": 0.03}'], "Did you mean 'daily_loss'"),
    (["backtest", "sma_cross", "--policy", '{"stop_atr": -1}'], "stop_atr must be"),
    (["backtest", "sma_cross", "--policy", '{"ladder": [[0.1, 0.5]], "take_profit": 0.05}'], "beyond the ladder"),
    (["backtest", "sma_cross", "--policy", '{"fee_in_base": true, "allow_short": true}'], "no short positions"),
    (["backtest", "sma_cross", "--policy", "{"], "not JSON"),
    (["backtest", "sma_cross", "--policy", "nowhere.json"], "cannot be read"),
    (["backtest", "sma_cross", "--policy", '{"fee": 0.1}', "--fee", "0.2"], "given twice"),
    (["backtest", "sma_cross", "--policy", '{"fee": 0.1}', "-p", "fee=0.2"], "given twice"),
    (["run", "03_backtest", "-p", 'policy={"trailing_stpo": 0.03}'], "Did you mean 'trailing_stop'"),
    (["live", "sma_cross", "--symbol", "BTCUSDT", "--paper-trading", "--policy", '{"fe": 0.1}'], "Did you mean 'fee'"),
    (["runs", "show", "nothing"], "no such run"),
    (["runs", "--status", "fail"], "Did you mean 'failed'"),
]


@pytest.mark.parametrize(
    ("arguments", "reason"), WRONG, ids=lambda value: " ".join(value) if isinstance(value, list) else ""
)
def test_wrong_input_is_one_sentence_exit_code_2_and_no_run(project, arguments, reason):
    (project / "list.json").write_text("[1]")
    (project / "text.json").write_text("window: 5")
    done = atb(*arguments)
    assert done.exit_code == 2
    assert reason in done.stderr
    assert done.stdout == ""
    assert "hunter2" not in done.stderr
    assert not (project / "runs").exists()


def test_parameters_come_from_a_file_and_the_command_line_wins(project):
    (project / "given.json").write_text(json.dumps({"window": 3, "symbol": "NAN"}))
    found = json.loads(atb("run", "bad", "--parameters", "given.json", "-p", "window=4", "--json").stdout)
    assert found["parameters"] == {"symbol": "NAN", "window": 4}


def test_an_empty_registry_says_what_to_type():
    assert atb("runs").stdout == "No run yet. Try: atb backtest sma_cross\n"
    assert json.loads(atb("runs", "--json").stdout) == []
