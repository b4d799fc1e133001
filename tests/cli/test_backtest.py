"""`atb backtest`: figures and findings at once, one result for notebook and terminal, defaults that fit the data."""

import json
import signal

import numpy as np
import pytest
from click.testing import CliRunner

from atb.cli import main
from atb.cli.backtest import _alone
from atb.data.catalogue.writing import save_bars
from atb.decimals import number
from atb.domain import Bars
from atb.errors import InputError
from atb.experiments.findings import UNPROVEN, findings
from atb.workbench import Period, ensure_sample, load_bars, make_strategy, prepare_slot, prepare_slots, run
from atb.workbench.backtesting import differences
from tests.bars import bars_of, random_walk
from tests.cli.test_run import real_backtest
from tests.strategies.own_files import FADE, write_strategy
from tests.workbench.test_slots import train_model


def atb(*arguments):
    return CliRunner().invoke(main, list(arguments))


def store(tmp_path, number_of_bars: int, *, symbol="BTC/USDT", timeframe="1h", venue="file", skip=()) -> Bars:
    """Put a series into the catalogue, without the bars at the places `skip`."""
    frame = random_walk(number_of_bars)
    if timeframe != "1h":
        frame.index = frame.index[0] + (frame.index - frame.index[0]) * 4
    frame = frame.drop(frame.index[list(skip)])
    bars = bars_of(frame, symbol, timeframe, venue)
    save_bars(bars, root=tmp_path / "bars", source="a file of the test", accept_gaps=True)
    return bars


@pytest.fixture
def stocked_pair():
    """The two slots of a pair on the synthetic market."""
    ensure_sample()
    pair = make_strategy("pairs", window=60)
    return prepare_slots(pair, ["BTC/USDT", "ETH/USDT"], "1h", period=Period(days=5))[0]


def figures(stdout: str) -> dict[str, list[str]]:
    """Return the lines of the table of figures: name, strategy and, where it is compared, hold."""
    lines = stdout.splitlines()
    first = next(i for i, line in enumerate(lines) if line.startswith("figure"))
    return {line.split()[0]: line.split()[1:] for line in lines[first + 1 : lines.index("", first)]}


def test_the_table_on_the_terminal_shows_the_figures_of_the_record(tmp_path):
    real_backtest(tmp_path)
    done = atb("backtest", "sma_cross", "--days", "60", "-p", "fast=8")
    assert done.exit_code == 0, done.output
    (row,) = json.loads(atb("runs", "--json").stdout)
    for name, (strategy, *_) in figures(done.stdout).items():
        assert strategy == number(row["metrics"][name]), name
    assert row["parameters"]["params"] == {"fast": 8}
    assert row["status"] == "succeeded"
    assert f"atb promote {row['run_id']} --to paper" in done.stdout


def test_json_of_the_record_has_the_findings_and_every_rule_that_was_used(tmp_path):
    real_backtest(tmp_path)
    done = atb("backtest", "sma_cross", "--days", "60", "--fee", "0.002", "--json")
    found = json.loads(done.stdout)
    assert found["findings"][0].startswith("The bars are SYNTHETIC")
    assert (found["policy"]["fraction"], found["policy"]["stop_loss"], found["policy"]["fee"]) == (0.95, 0.05, 0.002)
    assert {"fraction", "stop_loss", "cash"} <= {*found["defaults"]}
    assert "fee" not in found["defaults"]
    assert found["assumptions"]["stop_loss"] == "5 % from the entry price (default)"
    assert found["assumptions"]["fee"] == "0.2 % of each order's value"
    assert found["status"] == "succeeded"


def test_progress_goes_to_standard_error_and_json_hears_nothing_of_it(tmp_path):
    real_backtest(tmp_path)
    plain = atb("backtest", "sma_cross", "--days", "60")
    assert "03_backtest.ipynb: 0 of 3 cells" in plain.stderr
    assert "cells" not in plain.stdout
    assert atb("backtest", "sma_cross", "--days", "60", "--json").stderr == ""


def test_without_a_report_nothing_is_recorded_and_that_is_said(tmp_path):
    done = atb("backtest", "sma_cross", "--days", "60", "--no-report")
    assert done.exit_code == 0, done.output
    assert UNPROVEN in done.stdout
    assert "Not recorded, so it cannot be promoted" in done.stdout
    assert not (tmp_path / "runs").exists()
    assert atb("runs").stdout.startswith("No run yet")
    found = json.loads(atb("backtest", "sma_cross", "--days", "60", "--no-report", "--json").stdout)
    assert (found["run_id"], found["status"], found["files"]) == (None, "not recorded", {})
    assert found["findings"][-1] == UNPROVEN
    assert found["metrics"]["n_trades"] == found["result"]["stats"]["n_trades"]
    assert found["policy"]["stop_loss"] == 0.05


def test_no_notebook_machinery_is_loaded_before_the_table(tmp_path):
    import subprocess
    import sys

    atb("data", "sample")
    program = (
        "import sys; from atb.cli import main\n"
        "main(['backtest', 'sma_cross', '--days', '60', '--no-report'], standalone_mode=False)\n"
        "slow = {'nbformat', 'papermill', 'vectorbt', 'plotly', 'sqlalchemy', 'numba', 'ccxt', 'IPython', 'sklearn'}\n"
        "print('LOADED', sorted(slow & {*sys.modules}))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert "LOADED []" in done.stdout


def test_a_notebook_that_finds_other_figures_makes_the_command_fail(tmp_path):
    real_backtest(tmp_path, "result.stats['n_trades'] += 1")
    done = atb("backtest", "sma_cross", "--days", "60")
    assert done.exit_code == 1
    assert "The notebook's figures are not those that this command computed: n_trades" in done.stderr
    assert "do not use run" in done.stderr


def test_figures_that_cannot_be_computed_do_not_differ_from_null(tmp_path):
    atb("data", "sample")
    slot, first = prepare_slot(make_strategy("sma_cross"), "BTC/USDT", "1h", period=Period(days=1))
    result = run(slot, start=first)
    recorded = json.loads(json.dumps(result.to_json()["stats"]))
    assert None in recorded.values()
    assert differences(result, recorded) == {}
    assert differences(result, recorded | {"bars": 1.0}) == {"bars": (24.0, 1.0)}


def test_ctrl_c_while_the_notebook_runs_leaves_the_figures_and_an_honest_record(tmp_path, monkeypatch):
    real_backtest(tmp_path)

    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("atb.experiments.execution.run_notebook", interrupted)
    done = atb("backtest", "sma_cross", "--days", "60")
    assert done.exit_code == 130
    assert figures(done.stdout)
    assert "Traceback" not in done.output
    (row,) = json.loads(atb("runs", "--json").stdout)
    assert row["status"] == "interrupted"


def test_without_dates_what_is_stored_is_traded_and_said(tmp_path):
    store(tmp_path, 600)
    done = atb("backtest", "sma_cross", "--no-report")
    assert done.exit_code == 0, done.output
    assert "551 bars of 1h (23.0 days): all that is stored after a warm-up of 49 bars, not 365 days" in done.stdout
    asked = atb("backtest", "sma_cross", "--symbol", "BTCUSDT", "--timeframe", "1h", "--days", "90", "--no-report")
    assert "not 90 days" in asked.stdout
    assert "all that is stored" not in atb("backtest", "sma_cross", "--days", "20", "--no-report").stdout


def test_holes_are_among_what_was_found(tmp_path):
    store(tmp_path, 600, skip=range(300, 340))
    found = json.loads(atb("backtest", "sma_cross", "--no-report", "--json").stdout)
    assert any("40 of 5" in text and "are missing" in text for text in found["findings"])
    assert "are missing" in atb("backtest", "sma_cross", "--no-report").stdout


def test_bars_that_the_model_has_seen_stand_on_the_terminal(tmp_path):
    bars = store(tmp_path, 3_000)
    train_model(bars, tmp_path / "models")
    done = atb("backtest", "ml_basic", "--no-report")
    assert done.exit_code == 0, done.output
    assert "of the traded bars in training: for them this is no test" in done.stdout
    sentences = json.loads(atb("backtest", "ml_basic", "--no-report", "--json").stdout)["findings"]
    assert any("in training: for them this is no test" in text for text in sentences)


@pytest.mark.parametrize("line", ["while True:\n            pass", "__import__('time').sleep(600)"])
def test_a_strategy_that_never_ends_is_given_up_after_the_time_that_a_run_may_take(tmp_path, line):
    store(tmp_path, 600)
    write_strategy("fade", FADE.replace("fall = 1 -", f"{line}\n        fall = 1 -"))
    before = signal.getsignal(signal.SIGALRM)
    done = atb("backtest", "fade", "--no-report", "--timeout", "2")
    assert (done.exit_code, done.stdout) == (1, "")
    assert "The backtest did not end within 2 s" in done.stderr
    assert "atb test-strategy" in done.stderr
    assert signal.getsignal(signal.SIGALRM) is before


def test_dates_outside_of_the_data_are_refused_with_advice_that_can_be_followed(tmp_path):
    store(tmp_path, 600)
    for command in (["backtest", "sma_cross"], ["train"], ["parity", "sma_cross"]):
        for dates in (["--start", "1999-01-01"], ["--start", "2040-01-01"], ["--end", "2040-01-01"]):
            done = atb(*command, *dates)
            assert done.exit_code == 2, done.output
            assert "is not covered by BTC/USDT 1h (file)" in done.stderr or "No bar to trade" in done.stderr
            assert "--venue file`" not in done.stderr or "atb data import FILE" in done.stderr
            assert "atb data download" not in done.stderr
    assert not (tmp_path / "runs").exists()


def test_training_refuses_dates_outside_of_the_data_as_a_backtest_does(tmp_path):
    store(tmp_path, 600)
    dates = ["--start", "1999-01-01", "--end", "1999-06-01"]
    trained, tested = atb("train", *dates), atb("backtest", "sma_cross", *dates)
    assert (trained.exit_code, trained.stderr.split(";")[0]) == (2, tested.stderr.split(";")[0])


@pytest.mark.parametrize(
    ("bars", "options", "sentence"),
    [
        (600, [], "Too few bars to train, validate and test"),
        (3_000, ["--start", "2024-04-20"], "Too few bars to train, validate and test"),
        (3_000, ["-p", "horizon=2000"], "Too few bars to train, validate and test"),
        ("up", [], "The training part has only rises and no fall"),
        ("up at last", [], "The validation part has only rises and no fall"),
        (3_000, ["-p", "model=forest"], "Unknown model"),
        (3_000, ["-p", "seed=-1"], "A seed is a whole number"),
    ],
)
def test_training_refuses_what_no_model_can_be_made_of_before_a_kernel_starts(tmp_path, bars, options, sentence):
    """One sentence, exit 2, and no run."""
    frame = random_walk(bars if isinstance(bars, int) else 3_000)
    first = {"up": 0, "up at last": 2_000}.get(bars, len(frame))
    for name in ("open", "high", "low", "close"):
        frame.loc[frame.index[first:], name] = 1_000.0 + np.arange(len(frame) - first)
    save_bars(bars_of(frame, venue="file"), root=tmp_path / "bars", source="a file of the test")
    done = atb("train", *options)
    assert (done.exit_code, done.stdout) == (2, ""), done.output
    assert sentence in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "runs").exists()


def test_an_exchange_s_series_is_completed_from_the_exchange(tmp_path):
    store(tmp_path, 600, venue="kraken")
    assert "`atb data download BTC/USDT --timeframe 1h --venue kraken" in atb("train", "--start", "1999-01-01").stderr


def test_too_few_bars_for_the_warm_up_say_how_many_there_are(tmp_path):
    store(tmp_path, 40)
    done = atb("backtest", "sma_cross", "--no-report")
    assert done.exit_code == 2
    assert "the first 49 are the warm-up, and none is left to trade; found '40 bars'" in done.stderr


def test_the_only_series_that_is_stored_needs_no_options_and_is_named(tmp_path):
    store(tmp_path, 600, symbol="DOGE/EUR", timeframe="4h")
    done = atb("backtest", "sma_cross", "--no-report")
    assert done.exit_code == 0, done.output
    assert "Using DOGE/EUR 4h (file), the only stored series that fits." in done.stderr
    assert "DOGE/EUR 4h" in done.stdout
    assert atb("backtest", "sma_cross", "--symbol", "DOGEEUR", "--no-report").exit_code == 0


def test_among_several_series_the_usual_one_is_taken_or_all_are_named(tmp_path):
    store(tmp_path, 600, symbol="DOGE/EUR")
    store(tmp_path, 600, symbol="ETH/EUR")
    done = atb("backtest", "sma_cross", "--no-report")
    assert done.exit_code == 2
    assert "DOGE/EUR 1h (file), ETH/EUR 1h (file)" in done.stderr
    store(tmp_path, 600)
    assert "BTC/USDT 1h" in atb("backtest", "sma_cross", "--no-report").stdout


def test_several_venues_of_one_symbol_are_named(tmp_path):
    store(tmp_path, 600, venue="kraken")
    store(tmp_path, 600, venue="binance")
    done = atb("backtest", "sma_cross", "--no-report")
    assert done.exit_code == 2
    assert "Several venues have BTC/USDT 1h; found 'binance, kraken'. Name one" in done.stderr
    assert atb("backtest", "sma_cross", "--venue", "kraken", "--no-report").exit_code == 0


def test_a_period_is_cut_to_what_is_stored_in_notebooks_too(tmp_path):
    store(tmp_path, 600)
    slot, first = prepare_slot(make_strategy("sma_cross"), "BTC/USDT", "1h")
    assert first == load_bars("BTC/USDT", "1h").frame.index[49]
    assert len(run(slot, start=first).index) == 551
    with pytest.raises(InputError, match="No bar to trade"):
        prepare_slot(
            make_strategy("sma_cross"),
            "BTC/USDT",
            "1h",
            period=Period(end=str(load_bars("BTC/USDT", "1h").frame.index[20])),
        )


def test_findings_without_proofs_end_in_saying_so(tmp_path):
    store(tmp_path, 600)
    slot, first = prepare_slot(make_strategy("sma_cross"), "BTC/USDT", "1h")
    assert findings(run(slot, start=first))[-1] == UNPROVEN


@pytest.mark.slow
@pytest.mark.parametrize(
    ("strategy", "options"),
    [("sma_cross", ()), ("ml_basic", ()), ("sma_cross", ("--symbol", "BTC/USDT", "--symbol", "ETH/USDT"))],
)
def test_the_backtest_chapter_finds_what_the_command_printed(tmp_path, strategy, options):
    atb("data", "sample")
    if strategy == "ml_basic":
        assert atb("train").exit_code == 0
    done = atb("backtest", strategy, "--days", "90", *options, "--json")
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    alone = json.loads(atb("backtest", strategy, "--days", "90", *options, "--no-report", "--json").stdout)
    assert found["result"]["stats"] == alone["result"]["stats"]
    assert [text for text in alone["findings"] if text != UNPROVEN] == found["findings"]


def test_two_symbols_share_the_account_in_one_recorded_run(tmp_path):
    real_backtest(tmp_path)
    done = atb("backtest", "sma_cross", "--symbol", "BTCUSDT", "--symbol", "ETH/USDT", "--days", "40", "--json")
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    assert [slot["symbol"] for slot in found["result"]["slots"]] == ["BTC/USDT", "ETH/USDT"]
    assert [series["symbol"] for series in found["data"]] == ["BTC/USDT", "ETH/USDT"]
    assert "of 2 that share the account" in found["assumptions"]["fraction"]


def test_two_symbols_are_shown_line_by_line_and_the_way_to_promote_them_is_said(tmp_path):
    ensure_sample()
    options = ("--symbol", "BTC/USDT", "--symbol", "ETH/USDT", "--days", "20", "--no-report")
    done = atb("backtest", "sma_cross", *options)
    assert done.exit_code == 0, done.output
    assert "BTC/USDT: 2024-12-12" in done.stdout
    assert "ETH/USDT: 2024-12-12" in done.stdout


def test_a_pair_is_promoted_leg_by_leg_with_the_parameters_of_each(stocked_pair):
    assert _alone(stocked_pair) == [
        "--symbol BTC/USDT -p other=ETH/USDT -p explained=True",
        "--symbol ETH/USDT -p other=BTC/USDT -p explained=False",
    ]
    assert _alone([stocked_pair[0], stocked_pair[0]]) == []
