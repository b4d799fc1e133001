"""`atb runs`: filters, comparison, and a run as a file."""

import json
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pandas as pd
import pytest
from click.testing import CliRunner

from atb.cli import main
from atb.config import load_settings
from atb.db import open_database
from atb.experiments.publication import to_json
from atb.experiments.registry import add_run, run_json
from tests.experiments.test_registry import row


def atb(*arguments):
    return CliRunner().invoke(main, list(arguments))


@pytest.fixture
def runs(tmp_path) -> list[str]:
    """Three runs: two backtests of two symbols, and an old training."""
    database = open_database(load_settings().database.url)
    made = []
    for number, (notebook, symbol, strategy, days) in enumerate(
        [
            ("03_backtest.ipynb", "BTC/USDT", "sma_cross", 0),
            ("03_backtest.ipynb", "ETH/USDT", "breakout", 1),
            ("02_train.ipynb", "BTC/USDT", None, 30),
        ]
    ):
        folder = tmp_path / "runs" / f"run-{number}"
        folder.mkdir(parents=True)
        run = row(
            f"run-{number}", notebook=notebook, status="succeeded", path=str(folder), seconds=1.0,
            parameters={"symbol": symbol, "timeframe": "1h", "fast": 10 + number} | ({"strategy": strategy} if strategy else {}),
            metrics={"sharpe": 1.0 + number, "n_trades": 5}, started_at=datetime.now(UTC) - timedelta(days=days, minutes=number),
            data=[{"symbol": symbol, "timeframe": "1h", "venue": "binance", "fingerprint": symbol, "bars": 10}],
        )  # fmt: skip
        add_run(database, run)
        (folder / "run.json").write_text(to_json(run_json(run)))
        index = pd.date_range("2024-01-01", periods=3, freq="h", tz="UTC", name="time")
        pd.DataFrame({"equity": [100.0, 101.0, 99.0]}, index=index).to_csv(folder / "equity.csv")
        made.append(run.run_id)
    database.close()
    return made


@pytest.mark.parametrize(
    ("options", "found"),
    [
        ((), ["run-0", "run-1", "run-2"]),
        (("--symbol", "BTCUSDT"), ["run-0", "run-2"]),
        (("--strategy", "breakout"), ["run-1"]),
        (("--since", "7d"), ["run-0", "run-1"]),
        (("--since", "2h", "--status", "succeeded"), ["run-0"]),
        (("--notebook", "02_train"), ["run-2"]),
        (("--batch", "none"), []),
        (("--symbol", "BTC/USDT", "--limit", "1"), ["run-0"]),
    ],
)
def test_runs_are_filtered(runs, options, found):
    assert [run["run_id"] for run in json.loads(atb("runs", *options, "--json").stdout)] == found


@pytest.mark.parametrize(
    ("options", "meant"),
    [
        (("--strategy", "smacross"), "sma_cross"),
        (("--strategy", "breakot"), "breakout"),
        (("--notebook", "02_trian"), "02_train"),
    ],
)
def test_a_mistyped_name_is_answered_with_the_nearest_and_a_known_one_without_runs_is_not(runs, options, meant):
    done = atb("runs", *options)
    assert (done.exit_code, f"Did you mean '{meant}'?" in done.output) == (2, True), done.output
    assert atb("runs", "--strategy", "hold").exit_code == 0


def test_runs_stand_side_by_side_with_a_warning_about_other_bars(runs):
    done = atb("runs", "compare", "run-0", "run-1")
    assert done.exit_code == 0, done.output
    assert "They used different bars" in done.stdout
    assert re.search(r"sharpe +1\.00 +2\.00", done.stdout)
    table = json.loads(atb("runs", "compare", "run-0", "run-1", "--json").stdout)
    assert table["metrics"]["sharpe"] == [1.0, 2.0]
    assert table["parameters"]["symbol"] == ["BTC/USDT", "ETH/USDT"]
    assert "timeframe" not in table["parameters"]


def test_equities_are_read_for_the_figure_from_either_form(runs, tmp_path):
    from atb.reports.runs import runs_figure
    from atb.workbench import compare_runs

    csv = tmp_path / "runs" / "run-1" / "equity.csv"
    pd.read_csv(csv, parse_dates=["time"]).to_parquet(csv.with_suffix(".parquet"), index=False)
    csv.unlink()
    compared = compare_runs(["run-0", "run-1"])
    figure = runs_figure(compared.equity, label=compared.label)
    assert [list(trace.y) for trace in figure.data] == [pytest.approx([0.0, 1.0, -1.0])] * 2


@pytest.mark.parametrize("ids", [("run-0",), ("run-0", "run-0"), ("run-0", "run-9")])
def test_a_comparison_that_is_none_is_one_sentence(runs, ids):
    done = atb("runs", "compare", *ids)
    assert (done.exit_code, "Traceback" in done.output) == (2, False)


def test_a_run_goes_to_another_machine_as_a_file(runs, tmp_path, monkeypatch):
    assert atb("runs", "export", "run-0", "--to", "best.zip").exit_code == 0
    monkeypatch.setenv("ATB__DATA__ROOT", str(tmp_path / "there"))
    done = atb("runs", "import", "best.zip", "--json")
    assert done.exit_code == 0, done.output
    found = json.loads(atb("runs", "--json").stdout)
    assert [run["run_id"] for run in found] == ["run-0"]
    assert Path(found[0]["path"]) == tmp_path / "there" / "runs" / "run-0"


def test_a_folder_to_export_to_is_made_and_a_target_that_can_be_none_is_one_sentence(runs, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for target, file in (
        ("share/", "share/run-0.zip"),
        ("deep/er/best.zip", "deep/er/best.zip"),
        ("share", "share/run-0.zip"),
    ):
        (tmp_path / file).unlink(missing_ok=True)
        done = atb("runs", "export", "run-0", "--to", target)
        assert (done.exit_code, (tmp_path / file).is_file()) == (0, True), done.output
    done = atb("runs", "export", "run-0", "--to", "share/run-0.zip/x/")
    assert (done.exit_code, "There can be no such folder" in done.output) == (2, True)


def test_a_schedule_is_checked_like_the_command_that_it_runs(tmp_path, monkeypatch):
    from tests.experiments.notebooks import notebook

    (tmp_path / "notebooks").mkdir()
    notebook(tmp_path / "notebooks" / "small.ipynb", "1")
    done = atb("schedule", "--daily", "02:30", "run", "small", "-p", "window=5")
    assert done.exit_code == 0, done.output
    assert "OnCalendar=*-*-* 02:30:00 UTC" in done.stdout
    assert "run small -p window=5" in done.stdout.replace('"', "")
    for words in (
        ["run", "small", "-p", "windw=5"],
        ["run", "smal.ipynb"],
        ["backtst"],
        ["run"],
        ["status", "--bogus"],
    ):
        refused = atb("schedule", "--daily", "02:30", *words)
        assert (refused.exit_code, "Traceback" in refused.output) == (2, False), words
