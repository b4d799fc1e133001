"""`atb parity` proves a strategy, says so in words and in JSON, and refuses what it does not know."""

import json

import pytest
from click.testing import CliRunner

from atb.cli import main
from atb.data.sample import write_sample
from atb.validation.parity import ParityReport

YEAR = ("--start", "2024-06-01", "--end", "2024-08-01")


@pytest.fixture
def sample(tmp_path):
    write_sample(root=tmp_path / "bars")


def call(*arguments):
    return CliRunner().invoke(main, ["parity", *arguments])


@pytest.mark.usefixtures("sample")
def test_a_strategy_is_proven_and_its_parameters_are_used():
    done = call("sma_cross", "-p", "fast=5", "-p", "slow=20", *YEAR, "--json")
    assert done.exit_code == 0, done.output
    fast = json.loads(done.stdout)
    assert fast["equal"]
    assert fast["orders"] > json.loads(call("sma_cross", *YEAR, "--json").stdout)["orders"] > 0
    assert "SYNTHETIC data" in call("sma_cross", *YEAR).output


@pytest.mark.usefixtures("sample")
def test_a_difference_ends_with_exit_code_1_and_shows_both_sides(monkeypatch):
    broken = ParityReport(
        False, 3, 9, {"vectorbt": False}, {"table": "orders", "kernel": {"price": 1.0}, "vectorbt": None}
    )
    monkeypatch.setattr("atb.validation.parity.prove", lambda *_, **__: broken)
    done = call("sma_cross", *YEAR)
    assert done.exit_code == 1
    assert "NOT EQUAL: vectorbt" in done.output
    assert "'price': 1.0" in done.output


@pytest.mark.usefixtures("sample")
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("sma_crss",), "Did you mean 'sma_cross'?"),
        (("sma_cross", "-p", "fats=3"), "Did you mean 'fast'?"),
        (("sma_cross", "-p", "fast=ten"), "must be a whole number"),
        (("sma_cross", "-p", "fast"), "NAME=VALUE"),
        (("sma_cross", "--symbol", "DOGE/USDT"), "No bars of DOGE/USDT"),
        (("sma_cross", "--start", "2031-01-01"), "No bar to trade"),
        (("ml_basic",), "atb"),
    ],
)
def test_bad_input_gets_one_clear_error(arguments, message):
    done = call(*arguments)
    assert done.exit_code == 2
    assert message in done.stderr
    assert "Traceback" not in done.output
