"""`atb bench` prints rows and promises, and says what it could not measure; its figures are tested with the benchmark."""

import json
from dataclasses import replace

import pytest
from click.testing import CliRunner

from atb.bench import engines
from atb.bench.cases import CASES
from atb.bench.process import TASKS
from atb.cli import bench as command
from atb.cli import main

TARGETS = dict(engines.ENGINES)
SMALL = ("--bars", "2000", "--combos", "4", "--repeat", "1")


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """Let the bare loop stand in for every engine, in this process: what is tested here is the command."""

    def run(job):
        return TASKS[job.task](replace(job, engine="bare loop", budget=1.0))

    monkeypatch.setattr("atb.bench.launch.launch", run)
    for name, listed in engines.ENGINES.items():
        monkeypatch.setitem(engines.ENGINES, name, engines.EngineEntry(listed.place))


def call(*arguments):
    return CliRunner().invoke(main, ["bench", *SMALL, *arguments])


def test_json_is_a_list_of_rows_with_progress_and_promises_beside_it():
    done = call("--case", "single", "--json")
    assert done.exit_code == 0, done.output
    rows = json.loads(done.stdout)
    assert [(row["case"], row["engine"]) for row in rows] == [("single", engine) for engine in engines.ENGINES]
    wanted = {"case", "engine", "bars", "combos", "cpu_s", "ratio_to_atb", "peak_mb", "agrees"}
    assert all(row.keys() >= wanted and row["bars"] == 2_000 and row["agrees"] is True for row in rows)
    assert "[1/5] single: atb, 2,000 bars\n" in done.stderr
    assert "one backtest of 100,000 bars at least 10x vectorbt: " in done.stderr


@pytest.mark.slow
def test_the_table_has_a_line_per_row_then_notes_then_promises():
    done = call("--case", "memory")
    assert done.exit_code == 0, done.output
    lines = done.stdout.splitlines()
    assert lines[0].split()[:4] == ["case", "engine", "bars", "combos"]
    assert [line.split()[:2] for line in lines[1:4]] == [["memory", "atb"]] * 3
    assert lines[-1].partition(":")[0] in {"met", "MISSED"}


@pytest.mark.slow
def test_engines_that_disagree_end_with_exit_code_1(monkeypatch):
    def wrong(job):
        facts = TASKS[job.task](replace(job, engine="bare loop"))
        if job.engine == "atb":
            facts["found"]["trades"][0][2] += 0.25
        return facts

    monkeypatch.setattr("atb.bench.launch.launch", wrong)
    done = call("--case", "single", "--json")
    assert done.exit_code == 1
    assert [row["agrees"] for row in json.loads(done.stdout)] == [False, True, True, True, True]
    assert "results do not agree" in done.stderr


def test_what_is_not_installed_is_named_with_the_way_to_get_it(monkeypatch):
    for name in ("vectorbt rust", "backtesting.py"):
        absent = replace(TARGETS[name], needs=("no_such_package",))
        monkeypatch.setitem(engines.ENGINES, name, absent)
    done = call("--case", "single")
    assert done.exit_code == 0
    assert "vectorbt rust is not installed and is left out: `make setup` adds it\n" in done.stderr
    assert "backtesting.py is not installed and is left out: `make bench-setup` adds it\n" in done.stderr
    assert "backtesting.py" not in done.stdout


@pytest.mark.parametrize("arguments", [("--case", "nonsense"), ("--bars", "3"), ("--combos", "1"), ("--repeat", "0")])
def test_bad_input_gets_one_clear_error(arguments):
    done = CliRunner().invoke(main, ["bench", *arguments])
    assert done.exit_code == 2
    assert "Invalid value" in done.stderr
    assert "Traceback" not in done.output


def test_the_cases_of_the_command_are_those_that_can_be_run():
    assert list(CASES) == list(command.CASES)
    text = CliRunner().invoke(main, ["bench", "--help"]).output
    assert all(f"{name} " in text for name in CASES)


@pytest.mark.slow
def test_kept_ratios_are_compared_with_those_of_the_next_run(monkeypatch, tmp_path):
    monkeypatch.setattr("atb.bench.history.RESULTS", tmp_path / "results")
    first = call("--case", "single", "--keep")
    assert first.exit_code == 0, first.output
    assert f"Kept in {tmp_path / 'results'}" in first.stdout
    again = call("--case", "single", "--json")
    assert isinstance(json.loads(again.stdout), list)
    assert "Ratios to atb, compared with those of " in again.stderr
    assert "single, bare loop: " in again.stderr
