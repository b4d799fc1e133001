"""`atb strategies`: every strategy with its question, inputs, parameters and defaults; one of them in detail; one clear refusal."""

import json

import pytest
from click.testing import CliRunner

from atb.cli import main
from atb.strategies import STRATEGIES, make_strategy, strategy_params
from tests.strategies.own_files import FADE, write_strategy


def atb(*arguments):
    return CliRunner().invoke(main, ("strategies", *arguments))


def rows(*arguments):
    done = atb(*arguments, "--json")
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)


def test_every_registered_strategy_is_listed_with_its_question_and_defaults():
    found = {row["name"]: row for row in rows()}
    assert list(found) == list(STRATEGIES)
    for name, row in found.items():
        assert row["question"].endswith("?")
        assert {each["name"]: each["default"] for each in row["parameters"]} == strategy_params(make_strategy(name))
        assert all(each["meaning"] for each in row["parameters"]), name
        assert row["warmup"] == make_strategy(name).warmup


def test_it_says_what_a_strategy_reads_and_whether_it_may_sell_short():
    found = {row["name"]: row for row in rows()}
    assert {name for name, row in found.items() if row["shorts"]} == {"bear", "pairs", "rule"}
    assert {name for name, row in found.items() if row["predicts"]} == {"ml_adaptive", "ml_basic", "ml_sentiment"}
    assert found["pairs"]["inputs"]["other"]["symbol"] == "ETH/USDT"
    assert found["ml_sentiment"]["inputs"]["mood"]["source"] == "fear_greed"
    assert found["breakout"]["inputs"] == {}


def test_the_table_has_a_line_for_each():
    lines = atb().stdout.splitlines()
    assert lines[0].split() == ["strategy", "question", "reads", "shorts", "parameters"]
    assert [line.split()[0] for line in lines[1:]] == list(STRATEGIES)
    (breakout,) = (line for line in lines if line.startswith("breakout"))
    assert "enter=120, leave=60" in breakout


def test_one_strategy_is_explained_parameter_by_parameter():
    text = atb("pairs").stdout
    assert text.startswith("pairs: Does the distance")
    assert "ETH/USDT own timeframe bars" in text
    assert "set allow_short" in text
    assert "enter=2.0, leave=0.5, broken=4.0  Distances from the line" in text
    assert "atb backtest pairs" in text
    assert rows("pairs") == next(row for row in rows() if row["name"] == "pairs")
    assert "It has no parameters." in atb("hold").stdout


def test_your_own_are_listed_too_and_one_that_cannot_be_used_is_named_with_its_fault():
    write_strategy("broken", "def f(:\n")
    write_strategy("fade", FADE)
    done = atb()
    assert done.exit_code == 0
    assert "fade (own)" in done.stdout
    assert "broken cannot be used" in done.stderr
    found = {row["name"]: row for row in rows()}
    assert found["fade"]["own"]
    assert found["fade"]["question"] == found["fade"]["text"].partition("\n")[0]
    assert "not Python" in found["broken"]["fault"]
    assert rows("fade") == found["fade"]


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ("return self.window - 1", 'return {}["warm"]', "KeyError: 'warm'"),
        ("return self.window - 1", "return -5", "has the warm-up -5"),
        ("return self.window - 1", "return 2.5", "has the warm-up 2.5"),
        ("window: int = 20", "window: int = 0", "need window above 0"),
        ("return self.window - 1", "raise SystemExit(0)", "SystemExit"),
    ],
)
def test_one_that_fails_with_its_defaults_breaks_only_itself(before, after, message):
    write_strategy("fade", FADE.replace(before, after))
    done = atb()
    assert (done.exit_code, done.exception) == (0, None)
    assert "fade cannot be used" in done.stderr
    assert message in done.stderr
    assert {row["name"] for row in rows()} >= {"fade", "hold"}


@pytest.mark.parametrize(("name", "message"), [("breakut", "Did you mean 'breakout'"), ("broken", "not Python")])
def test_what_cannot_be_shown_is_one_error(name, message):
    write_strategy("broken", "def f(:\n")
    done = atb(name, "--json")
    assert (done.exit_code, done.stdout) == (2, "")
    assert message in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
