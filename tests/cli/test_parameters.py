"""One grammar of parameters: `-p NAME=VALUE` means the same in every command, and what is wrong with it is one sentence."""

import io
import json

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from atb.cli import main
from atb.cli.parameters import kind_of, notebook_values, read_pairs, sort_pairs, strategy_values
from atb.errors import AtbError, InputError
from atb.experiments.parameters import parse_parameters
from atb.workbench.rules import make_rules, rule_hints
from tests.cli.test_run import BACKTEST

SPEC = parse_parameters(BACKTEST, "03_backtest.ipynb")
# Commands that take parameters of a strategy and rules; `train` and `run` take those of their notebook.
TRADING = (
    ["backtest", "sma_cross"],
    ["parity", "sma_cross"],
    ["live", "sma_cross", "--symbol", "BTCUSDT", "--paper-trading"],
    ["run", "03_backtest"],
)
EVERY = (*TRADING, ["train"], ["run", "02_train"])


def atb(*arguments):
    return CliRunner().invoke(main, list(arguments))


def refused(arguments, *texts):
    done = atb(*arguments)
    assert done.exit_code == 2, done.output
    for text in texts:
        assert text in done.stderr
    assert len(done.stderr) < 3_000
    assert "Traceback" not in done.output
    return done.stderr


@pytest.mark.parametrize("command", TRADING, ids=lambda words: words[0])
def test_a_strategy_s_parameter_is_named_alike_in_every_command_that_trades(command):
    answers = {refused([*command, "-p", "fats=3"], "There is no such parameter; found 'fats'. Did you mean 'fast'?")}
    answers |= {refused([*command, "-p", "fast=ten"], "Parameter 'fast' is declared int; found 'ten'")}
    refused([*command, "-p", "fast=50", "-p", "slow=10"], "fast=50")
    refused([*command, "-p", "trailing_stop=far"], "Parameter 'trailing_stop' is declared float | None; found 'far'")
    refused([*command, "-p", "trailing_stop=3"], "trailing_stop must be")


@pytest.mark.parametrize("command", EVERY, ids=" ".join)
def test_what_is_wrong_with_the_form_is_said_alike_by_every_command(command):
    assert "A parameter is given as NAME=VALUE; found 'fast'" in refused([*command, "-p", "fast"])
    assert "A parameter is given twice" in refused([*command, "-p", "seed=1", "-p", "seed=2"])
    assert "A secret cannot be a parameter" in refused([*command, "-p", "api_key=x"])
    assert "no such parameter" in refused([*command, "-p", "no_such_thing=1"])


@pytest.mark.parametrize("value", ["1" + "0" * 400, "[" * 50_000 + "]" * 50_000, "NaN", "inf", "1e999", "x" * 100_000])
@pytest.mark.parametrize("name", ["fast", "stop_loss", "params", "policy", "ladder"])
def test_values_that_break_parsers_are_one_sentence(name, value):
    refused(["backtest", "sma_cross", "-p", f"{name}={value}"], "Error: ")


@pytest.mark.parametrize(
    "text",
    ['{"fee": ' + "1" + "0" * 400 + "}", '{"ladder": ' + "[" * 50_000 + "]" * 50_000 + "}", '{"fee": NaN}', '{"cash": 1e999}',
     '{"fee": 0.1, "fee": 0.2}', '{"entry": "' + "x" * 100_000 + '"}', '["fee"]', "x" * 100_000, '{"fee": [0.1]}', "/dev/zero"],
)  # fmt: skip
def test_rules_that_break_parsers_are_one_sentence_in_every_command(text):
    for command in TRADING[:3]:
        refused([*command, "--policy", text], "Error: ")


def test_windows_beyond_all_bars_are_refused_in_words():
    refused(
        ["backtest", "sma_cross", "-p", "slow=9223372036854775807", "--no-report"], "are the warm-up, and none is left"
    )


def test_every_rule_has_a_type_that_can_be_given_and_keeps_its_value():
    for name, hint in rule_hints().items():
        assert kind_of(hint).base in {"int", "float", "bool", "str", "list"}, name
    found = sort_pairs(
        {"ladder": "[[0.02, 0.5]]", "session": '["08:00", "20:00"]', "allow_short": "true", "max_bars": "48", "maker_fee": "None"},
        "sma_cross",
    )  # fmt: skip
    rules = make_rules(found.rules)
    assert rules.policy.ladder == ((0.02, 0.5),)
    assert rules.policy.session == ("08:00", "20:00")
    assert (rules.policy.allow_short, rules.policy.max_bars, rules.execution.maker_fee) == (True, 48, None)


def test_each_name_goes_to_what_it_belongs_to():
    pairs = {"fast": "5", "days": "30", "trailing_stop": "0.03", "fee": "0.002"}
    found = notebook_values(SPEC, {"strategy": "sma_cross"}, pairs)
    assert found == {
        "strategy": "sma_cross", "days": 30, "fee": 0.002, "params": {"fast": 5}, "policy": {"trailing_stop": 0.03},
    }  # fmt: skip
    assert strategy_values("sma_cross", {}, {"fast": "5", "fee": "0.1"}) == {
        "strategy": "sma_cross", "params": {"fast": 5}, "policy": {"fee": 0.1},
    }  # fmt: skip


@pytest.mark.parametrize(
    ("options", "pairs"),
    [
        ({"fee": 0.1}, {"fee": "0.2"}),
        ({"policy": {"fee": 0.1}}, {"fee": "0.2"}),
        ({"policy": {"trailing_stop": 0.1}}, {"trailing_stop": "0.2"}),
        ({"fee": 0.1}, {"policy": '{"fee": 0.2}'}),
        ({"policy": {"daily_loss": 0.1}}, {"policy": '{"daily_loss": 0.2}'}),
        ({"days": 9}, {"days": "10"}),
        ({}, {"fast": "5", "params": '{"fast": 6}'}),
        ({}, {"trailing_stop": "0.1", "policy": '{"trailing_stop": 0.2}'}),
    ],
)
def test_what_is_given_in_two_ways_is_refused_and_not_decided(options, pairs):
    with pytest.raises(InputError, match="given twice"):
        notebook_values(SPEC, {"strategy": "sma_cross", **options}, pairs)


def test_different_rules_in_different_ways_are_joined():
    found = notebook_values(
        SPEC,
        {"strategy": "sma_cross", "policy": {"daily_loss": 0.1}},
        {"policy": '{"max_bars": 9}', "cooldown": "3", "params": '{"slow": 60}', "fast": "5"},
    )
    assert found["policy"] == {"daily_loss": 0.1, "max_bars": 9, "cooldown": 3}
    assert found["params"] == {"slow": 60, "fast": 5}


def test_a_name_of_both_strategy_and_rules_is_asked_about(monkeypatch):
    monkeypatch.setattr("atb.strategies.parameter_types", lambda *_: {"fast": int, "fraction": float, "cooldown": int})
    for name in ("fraction", "cooldown"):
        with pytest.raises(InputError, match=rf"Both sma_cross and the rules have .* '{name}'"):
            notebook_values(SPEC, {"strategy": "sma_cross"}, {name: "1"})
        assert notebook_values(SPEC, {"strategy": "sma_cross"}, {"params": f'{{"{name}": 1}}'})["params"] == {name: 1}


def test_a_text_under_the_name_of_a_rule_of_few_words_means_the_strategy_unless_it_is_such_a_word():
    texts = {"entry": "rsi({n}) < {low=30}", "exit": "rsi({n}) > 70", "n": "7"}
    found = notebook_values(SPEC, {"strategy": "rule"}, texts)
    assert found["params"] == {"entry": "rsi({n}) < {low=30}", "exit": "rsi({n}) > 70", "n": 7}
    assert notebook_values(SPEC, {"strategy": "rule"}, {"entry": "limit"})["policy"] == {"entry": "limit"}
    with pytest.raises(InputError, match="Did you mean 'low'"):
        notebook_values(SPEC, {"strategy": "rule"}, {**texts, "lov": "3"})


@pytest.mark.parametrize("command", EVERY, ids=" ".join)
def test_every_command_takes_parameters_from_a_file_whose_values_no_argument_shows(command, tmp_path):
    file = tmp_path / "mine.json"
    file.write_text('{"no_such_thing": "kNrY0q7Xw2Lm9"}', encoding="utf-8")
    refused([*command, "-p", f"@{file}"], "no such parameter; found 'no_such_thing'")
    answer = refused([*command, "-p", f"@{file}", "-p", "no_such_thing=2"], "given twice")
    assert "kNrY0" not in answer
    refused([*command, "-p", f"@{tmp_path}/other.json"], "The parameter file cannot be read (No such file")
    file.write_text('{"api_key": "kNrY0q7Xw2Lm9"}', encoding="utf-8")
    refused([*command, "-p", f"@{file}"], "A secret cannot be a parameter")
    file.write_text("[1]", encoding="utf-8")
    refused([*command, "-p", f"@{file}"], "must hold one JSON object")


def test_parameters_come_from_standard_input(monkeypatch, tmp_path):
    (tmp_path / "mine.json").write_text('{"slow": 40, "params": {}}', encoding="utf-8")
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b'{"fast": 10, "ladder": [[0.02, 0.5]]}')))
    pairs = read_pairs(["@-", f"@{tmp_path}/mine.json", "stop_loss=0.03"])
    assert pairs == {"fast": 10, "ladder": [[0.02, 0.5]], "slow": 40, "params": {}, "stop_loss": "0.03"}
    found = notebook_values(SPEC, {"strategy": "sma_cross"}, pairs)
    assert (found["params"], found["stop_loss"]) == ({"fast": 10, "slow": 40}, 0.03)
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b" " * 2_000_000)))
    with pytest.raises(InputError, match="larger than 1 MiB"):
        read_pairs(["@-"])


def test_help_tells_the_way_that_other_users_of_the_machine_cannot_read():
    assert "others can read arguments" in " ".join(atb("backtest", "--help").output.split())


@given(
    st.dictionaries(
        st.sampled_from(["fast", "fee", "days", "ladder", "policy", "params", "x"]), st.text(max_size=30), max_size=3
    )
)
def test_no_text_is_more_than_a_refusal(pairs):
    try:
        found = notebook_values(SPEC, {"strategy": "sma_cross"}, pairs)
    except AtbError:
        return
    assert json.loads(json.dumps(found)) == found
