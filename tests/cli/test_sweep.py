"""`atb sweep`: every combination of a grid, ranked; its best row is what `atb backtest` computes with the command it prints."""

import json
import shlex
import time

import pandas as pd
import pytest
from click.testing import CliRunner

from atb.cli import main
from atb.workbench import ensure_sample
from tests.cli.test_run import real_backtest

GRID = ("--grid", "fast=10,20", "--grid", "slow=20,60,100", "--days", "40")


@pytest.fixture
def project(tmp_path):
    real_backtest(tmp_path)
    ensure_sample()
    return tmp_path


def atb(*arguments):
    return CliRunner().invoke(main, list(arguments))


def test_rows_are_ranked_by_the_figure_and_the_count_and_the_warning_are_said(project):
    done = atb("sweep", "sma_cross", *GRID, "--top", "3")
    assert done.exit_code == 0, done.output
    heading, *rows = done.stdout.splitlines()[1:5]
    sharpes = [float(row.split()[heading.split().index("sharpe")]) for row in rows]
    assert sharpes == sorted(sharpes, reverse=True)
    assert "5 of 5 combinations ranked by sharpe. A sweep ranks, it is no evidence" in done.stdout
    assert "5 combinations, 1 more is refused by the strategy" in done.stderr


@pytest.mark.parametrize(
    "symbols",
    [(), ("--symbol", "BTC/USDT", "--symbol", "ETH/USDT"),
     ("--symbol", "BTC/USDT", "--symbol", "ETH/USDT", "--policy", '{"max_positions": 1}')],
)  # fmt: skip
def test_the_command_that_it_prints_computes_the_figures_of_the_best_row(project, symbols):
    options = (*GRID, *symbols, "--grid", "fraction=0.4,0.8", "--grid", "take_profit=none,0.03", "--fee", "0.002")
    best = json.loads(atb("sweep", "sma_cross", *options, "--json").stdout)["rows"][0]
    printed = next(
        line for line in atb("sweep", "sma_cross", *options).stdout.splitlines() if line.startswith("Next: atb ")
    )
    command = shlex.split(printed.removeprefix("Next: atb "))
    alone = json.loads(atb(*command, "--no-report", "--json").stdout)["result"]["stats"]
    figures = ("total_return_pct", "sharpe", "n_trades", "fees_paid", "max_drawdown_pct")
    assert {name: best[name] for name in figures} == {name: alone[name] for name in figures}
    assert best["fraction"] in {0.4, 0.8}  # the account's, as it was given


def test_a_pair_is_swept_over_both_legs_and_the_printed_command_trades_them(project):
    options = ("pairs", "--symbol", "BTC/USDT", "--symbol", "ETH/USDT", "--days", "30", "-p", "window=60", "-p", "percent=10",
               "--grid", "enter=1.2,1.6", "--policy", '{"allow_short": true}')  # fmt: skip
    best = json.loads(atb("sweep", *options, "--json").stdout)["rows"][0]
    printed = next(line for line in atb("sweep", *options).stdout.splitlines() if line.startswith("Next: atb "))
    alone = json.loads(atb(*shlex.split(printed.removeprefix("Next: atb ")), "--no-report", "--json").stdout)
    assert best["total_return_pct"] == alone["result"]["stats"]["total_return_pct"] != 0
    legs = [slot["strategy"]["parameters"] for slot in alone["result"]["slots"]]
    assert [(leg["other"], leg["explained"]) for leg in legs] == [("ETH/USDT", True), ("BTC/USDT", False)]
    assert alone["assumptions"]["other"].startswith("ETH/USDT on BTC/USDT, BTC/USDT on ETH/USDT")


def test_constants_of_a_rule_are_swept_and_the_printed_command_binds_them(project):
    options = (
        "-p",
        "entry=rsi({n}) < {low=40}",
        "-p",
        "exit=rsi({n}) > 60",
        "--grid",
        "n=7,14",
        "--grid",
        "low=30,45",
        "--days",
        "40",
    )
    found = json.loads(atb("sweep", "rule", *options, "--json").stdout)
    assert found["swept"] == ["n", "low"]
    printed = next(line for line in atb("sweep", "rule", *options).stdout.splitlines() if line.startswith("Next: atb "))
    command = shlex.split(printed.removeprefix("Next: atb "))
    alone = json.loads(atb(*command, "--no-report", "--json").stdout)["result"]["stats"]
    assert alone["total_return_pct"] == found["rows"][0]["total_return_pct"]


def test_a_longer_warm_up_of_one_combination_moves_the_start_of_all(project):
    found = json.loads(atb("sweep", "sma_cross", "--grid", "slow=60,5000", "--days", "2000", "--json").stdout)
    alone = json.loads(
        atb("backtest", "sma_cross", "-p", "slow=5000", "--days", "2000", "--no-report", "--json").stdout
    )
    assert found["start"] == alone["result"]["start"]


def test_a_figure_of_less_is_better_ranks_upwards_and_few_trades_are_left_out(project):
    found = json.loads(
        atb("sweep", "sma_cross", *GRID, "--by", "max_drawdown_pct", "--least-trades", "9", "--json").stdout
    )
    drawdowns = [row["max_drawdown_pct"] for row in found["rows"]]
    assert drawdowns == sorted(drawdowns)
    assert drawdowns
    assert all(row["n_trades"] >= 9 for row in found["rows"])
    none = atb("sweep", "sma_cross", *GRID, "--least-trades", "1000")
    assert none.exit_code == 0
    assert "No combination has so many closed trades" in none.stdout


@pytest.mark.parametrize("option", ["--csv", "--figure"])
@pytest.mark.parametrize(
    ("target", "said"), [("none/x", "There is no such folder"), ("", "This is a folder"), (".", "directory")]
)
def test_a_file_that_cannot_be_written_is_refused_before_anything_is_tried(project, monkeypatch, option, target, said):
    monkeypatch.chdir(project)
    monkeypatch.setattr("atb.cli.sweep.start", lambda: pytest.fail("it began"))
    done = atb("sweep", "sma_cross", *GRID, option, target)
    assert (done.exit_code, said in done.output) == (2, True), done.output


def test_a_strategy_that_never_ends_is_ended_by_the_time_limit_which_each_combination_has_anew(project, monkeypatch):
    from atb.strategies.sma_cross import SmaCross

    signals, seen = SmaCross.signals, []

    def waits(self, frame):
        seen.append(self.fast)
        while self.fast == 20:
            time.sleep(0.01)
        return signals(self, frame)

    monkeypatch.setattr(SmaCross, "signals", waits)
    done = atb("sweep", "sma_cross", "--grid", "fast=10,20", "--days", "40", "--timeout", "4")
    assert (done.exit_code, done.output.count("Traceback")) == (1, 0), done.output
    assert "A combination of the sweep did not end within 4 s" in done.output
    assert 20 in seen
    nothing = atb("sweep", "sma_cross", *GRID, "--timeout", "0")
    assert (nothing.exit_code, "above 0 seconds" in nothing.output) == (2, True)


def test_table_and_heat_map_are_files(project):
    table, picture = project / "rows.csv", project / "heat.html"
    done = atb("sweep", "sma_cross", *GRID, "--csv", str(table), "--figure", str(picture))
    assert done.exit_code == 0, done.output
    assert len(pd.read_csv(table)) == 5
    page = picture.read_text()
    assert "SYNTHETIC" in page
    assert '"heatmap"' in page
    assert "src=" not in page.split("<body>")[1].split("<script")[0]


def test_a_dry_run_counts_and_runs_nothing(project):
    assert json.loads(atb("sweep", "sma_cross", *GRID, "--dry-run", "--json").stdout) == {
        "combinations": 5,
        "refused": 1,
    }
    assert "nothing was run" in atb("sweep", "sma_cross", *GRID, "--dry-run").stdout


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--grid", "fast=10,20", "-p", "fast=5"), "given twice"),
        (("--grid", "stop_loss=0.01,0.02", "--stop-loss", "0.05"), "given twice"),
        (("--grid", "fast=10,20", "--by", "sharp"), "Did you mean 'sharpe'"),
        (("--grid", "fast=60,70", "-p", "slow=50"), "accepts no combination"),
        (("--grid", "fraction=0.5,-0.5"), "fraction"),
        (("--grid", "fast=10,20", "--axes", "fats", "--figure", "x.html"), "Did you mean 'fast'"),
        (("--grid", "fast=10", "--figure", "x.html"), "several values"),
        (("--grid", "fast=10,20", "--days", "5", "--start", "2024-01-01"), "--days"),
    ],
)
def test_what_does_not_fit_is_one_sentence_and_writes_nothing(project, options, message, monkeypatch):
    monkeypatch.chdir(project)
    done = atb("sweep", "sma_cross", *options)
    assert done.exit_code == 2, done.output
    assert message in done.stderr
    assert not (project / "x.html").exists()


def test_an_unknown_strategy_is_answered_with_the_nearest(project):
    assert "sma_cross" in atb("sweep", "sma_croos", *GRID).stderr
