"""`atb new` and `atb test-strategy`: from nothing to a checked strategy, with exit codes and one JSON value."""

import json

import pytest
from click.testing import CliRunner

from atb.cli import main
from atb.cli.doctor import check_strategies
from atb.config import load_settings
from tests.strategies.own_files import FADE, write_strategy


def atb(*arguments):
    return CliRunner().invoke(main, arguments)


def test_a_new_strategy_passes_its_test():
    made = atb("new", "turtle")
    assert made.exit_code == 0, made.output
    assert "atb test-strategy turtle" in made.stdout
    done = atb("test-strategy", "turtle")
    assert done.exit_code == 0, done.output
    assert "turtle: 15 of 15 checks hold." in done.stdout


def test_json_is_one_value_and_exit_1_says_that_something_is_broken():
    assert set(json.loads(atb("new", "turtle", "--json").stdout)) == {"name", "source", "test", "notebook"}
    write_strategy("fade", "import scipy\n" + FADE.replace(".max().set_axis", ".max().shift(-1).set_axis"))
    done = atb("test-strategy", "fade", "--json")
    found = json.loads(done.stdout)
    broken = {check["name"]: check for check in found["checks"] if check["status"] == "error"}
    assert (done.exit_code, found["strategy"], found["holds"]) == (1, "fade", False)
    assert {"knows nothing of later bars", "decides alike at every bar", "loads what a promotion pins"} <= set(broken)
    assert "scipy" in broken["loads what a promotion pins"]["found"]


@pytest.mark.parametrize(
    ("old", "new", "check"),
    [("fall = 1 -", "__import__('os')._exit(3)\n        fall = 1 -", "returns one signal a bar"),
     ("import numpy as np", "__import__('os')._exit(3)", "loads")],
)  # fmt: skip
def test_a_strategy_that_ends_its_process_is_named_and_ends_nothing(old, new, check):
    write_strategy("fade", FADE.replace(old, new, 1))
    done = atb("test-strategy", "fade", "--json")
    assert done.exit_code == 1
    (broken,) = [one for one in json.loads(done.stdout)["checks"] if one["status"] == "error"]
    assert (broken["name"], broken["found"]) == (check, "it ended its process (exit code 3)")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("new", "sma_cross"), "built-in"),
        (("new", "Big"), "name of its file"),
        (("test-strategy", "nobody_s"), "Unknown strategy"),
        (("test-strategy", "broken"), "not Python"),
        (("backtest", "broken"), "not Python"),
    ],
)
def test_what_is_wrong_is_one_error(arguments, message):
    write_strategy("broken", "def f(:\n")
    done = atb(*arguments)
    assert done.exit_code == 2
    assert message in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


@pytest.mark.parametrize(
    "line", ["raise SystemExit(0)", "frame.nothing()", "return None", "return Signals([1.0] * len(frame))"]
)
def test_an_error_in_ones_own_code_is_one_error_of_the_backtest(line):
    write_strategy("fade", FADE.replace("fall = 1 -", f"{line}\n        fall = 1 -"))
    assert atb("data", "sample").exit_code == 0
    done = atb("backtest", "fade", "--no-report")
    assert (done.exit_code, len(done.stderr.strip().splitlines())) == (2, 1), done.output
    assert "fade" in done.stderr or "side must be" in done.stderr


@pytest.mark.parametrize(("name", "place"), [("x" * 300, ""), ("turtle", "file"), ("turtle", "file/below")])
def test_a_folder_or_name_that_cannot_be_written_is_one_error_and_nothing_is_there(name, place, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    before = sorted(tmp_path.iterdir())
    monkeypatch.setenv("ATB__STRATEGIES__FOLDER", str(tmp_path / place))
    done = atb("new", name)
    assert (done.exit_code, len(done.stderr.strip().splitlines())) == (2, 1), done.output
    assert sorted(tmp_path.iterdir()) == before


def test_the_doctor_names_each_file_that_cannot_be_used():
    write_strategy("broken", "def f(:\n")
    write_strategy("fade", FADE)
    broken, whole = check_strategies(load_settings())
    assert (broken.name, broken.status, "line 1" in broken.found) == ("strategy broken", "warning", True)
    assert (whole.status, whole.found.split()[0]) == ("ok", "1")
