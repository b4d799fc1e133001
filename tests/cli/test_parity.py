"""`atb parity` proves a strategy, says so in words and in JSON, and refuses what it does not know."""

import json

import pytest
from click.testing import CliRunner

from atb.cli import main
from atb.data.providers.sample import write_sample

SHORT = ("--start", "2024-06-01", "--end", "2024-06-21")
LONGER = ("--start", "2024-06-01", "--end", "2024-07-01")


@pytest.fixture
def sample(tmp_path):
    write_sample(root=tmp_path / "bars")


def call(*arguments):
    return CliRunner().invoke(main, ["parity", *arguments])


@pytest.mark.usefixtures("sample")
def test_a_strategy_is_proven_and_its_parameters_are_used():
    done = call("sma_cross", "-p", "fast=5", "-p", "slow=20", *SHORT, "--json")
    assert done.exit_code == 0, done.output
    fast = json.loads(done.stdout)
    assert fast["equal"]
    assert fast["orders"] > json.loads(call("sma_cross", *SHORT, "--json").stdout)["orders"] > 0
    assert "SYNTHETIC data" in call("sma_cross", *SHORT).output


@pytest.mark.slow
@pytest.mark.usefixtures("sample")
def test_rules_are_given_as_flags_as_json_and_as_a_file(tmp_path):
    (tmp_path / "rules.json").write_text('{"stop_loss": 0.01}')
    ways = (
        ("--stop-loss", "0.01", "--take-profit", "0"),
        ("--policy", '{"stop_loss": 0.01}'),
        ("--policy", "rules.json"),
    )
    flags, text, file = (json.loads(call("sma_cross", *SHORT, *way, "--json").stdout) for way in ways)
    again = json.loads(call("sma_cross", *SHORT, "--policy", '{"stop_loss": 0.01, "reenter": true}', "--json").stdout)
    assert flags == text == file
    assert again["orders"] > flags["orders"]
    assert (flags["left_out_for_vectorbt"], flags["first_difference"]) == ([], None)


@pytest.mark.slow
@pytest.mark.usefixtures("sample")
def test_costs_that_vectorbt_does_not_know_are_named(tmp_path):
    rules = {
        "fee_in_base": True, "entry": "limit", "entry_bars": 4, "entry_offset": 0.001, "trailing_atr": 3.0, "daily_loss": 0.02,
        "ladder": [[0.02, 0.5]], "scale_in": 0.01,
    }  # fmt: skip
    done = call("sma_cross", *LONGER, "--policy", json.dumps(rules), "--json")
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    assert (found["equal"], found["left_out_for_vectorbt"]) == (True, ["fees in base"])
    assert found["orders"] > 10
    assert "vectorbt compared without fees in base" in call("sma_cross", *SHORT, "--policy", json.dumps(rules)).output


@pytest.mark.usefixtures("sample")
def test_a_pair_is_proven_over_both_of_its_legs():
    rules, pair = '{"allow_short": true}', ("--symbol", "BTC/USDT", "--symbol", "ETH/USDT")
    loose = ("-p", "window=60", "-p", "enter=1.5", "-p", "percent=10")
    done = call("pairs", *pair, *loose, *SHORT, "--policy", rules, "--json")
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    assert found["equal"]
    assert found["orders"] > 3
    assert [*found["instruments"]] == ["BTC/USDT", "ETH/USDT"]
    assert len(found["columns"]) == 2


@pytest.mark.usefixtures("sample")
def test_a_difference_ends_with_exit_code_1_and_shows_both_sides_and_the_inputs(monkeypatch):
    """A vectorbt that rounds one price otherwise."""
    from atb.validation import vectorbt_trace

    true = vectorbt_trace.vectorbt_trace

    def bent(problem):
        trace = true(problem)
        trace.orders["price"][3] += 0.01
        return trace

    monkeypatch.setattr(vectorbt_trace, "vectorbt_trace", bent)
    done = call("sma_cross", *SHORT)
    assert done.exit_code == 1
    assert "NOT EQUAL: vectorbt" in done.output
    assert "First difference: orders, row 3" in done.output
    lines = [line.split() for line in done.output.splitlines()]
    (price,) = [line for line in lines if line[:1] == ["price"] and line[-1:] == ["differs"]]
    assert float(price[2]) == float(price[1]) + 0.01
    assert [line[-1] for line in lines if line[:1] in (["quantity"], ["role"])] != ["differs", "differs"]
    assert {"Bar", "Signal before"} <= set(done.output.splitlines())
    found = json.loads(call("sma_cross", *SHORT, "--json").stdout)
    difference = found["first_difference"]
    assert not found["equal"]
    assert (difference["table"], difference["index"], difference["symbol"]) == ("orders", 3, "BTC/USDT")
    assert difference["time"].endswith("Z")
    assert difference["kernel"]["price"] != difference["vectorbt"]["price"]


@pytest.mark.usefixtures("sample")
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("sma_crss",), "Did you mean 'sma_cross'?"),
        (("sma_cross", "-p", "fats=3"), "Did you mean 'fast'?"),
        (("sma_cross", "-p", "fast=ten"), "declared int"),
        (("sma_cross", "-p", "fast"), "NAME=VALUE"),
        (("sma_cross", "--symbol", "DOGE/USDT"), "No bars of DOGE/USDT"),
        (("sma_cross", "--start", "2031-01-01"), "is not covered"),
        (("sma_cross", "--policy", '{"trailing_stpo": 0.03}'), "Did you mean 'trailing_stop'?"),
        (("sma_cross", "--policy", '{"stop_loss": 3}'), "stop_loss must be"),
        (("sma_cross", "--policy", '{"stop_loss": 0.1}', "--stop-loss", "0.2"), "given twice"),
        (("sma_cross", "--policy", "nowhere.json"), "cannot be read"),
        (("sma_cross", "--policy", '{"fee_in_base": true, "allow_short": true}'), "no short positions"),
        (("ml_basic",), "atb"),
    ],
)
def test_bad_input_gets_one_clear_error(arguments, message):
    done = call(*arguments)
    assert done.exit_code == 2
    assert message in done.stderr
    assert "Traceback" not in done.output


@pytest.mark.slow
@pytest.mark.usefixtures("sample")
def test_the_last_days_are_chosen_as_for_a_backtest():
    short, longer = (json.loads(call("sma_cross", "--days", days, "--json").stdout) for days in ("10", "20"))
    assert longer["bars"] - short["bars"] == 240
    both = call("sma_cross", "--days", "10", "--end", "2024-07-01")
    assert both.exit_code == 2
    assert "cannot be combined with --start or --end" in both.output
