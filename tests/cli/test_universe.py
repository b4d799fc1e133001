"""`atb data universe` and the import of a panel: listings made, shown as of a day, traded by `atb backtest`."""

import json

import pandas as pd
import pytest
from click.testing import CliRunner

from atb.cli import main
from tests.bars import random_walk
from tests.cli.test_run import real_backtest


def atb(*arguments):
    return CliRunner().invoke(main, list(arguments))


@pytest.fixture
def panel(tmp_path):
    """One file of three daily symbols, of which one ends early."""
    real_backtest(tmp_path)
    frames = []
    for number, (name, last) in enumerate((("AAA/USDT", 200), ("BBB/USDT", 120), ("CCC/USDT", 200))):
        frame = random_walk(200, number).iloc[:last]
        frame.index = frame.index[0] + (frame.index - frame.index[0]) * 24
        frames.append(frame.reset_index().assign(symbol=name))
    path = tmp_path / "panel.parquet"
    pd.concat(frames).sort_values("timestamp").to_parquet(path)
    return path


def test_every_symbol_of_a_file_becomes_a_series_and_they_a_universe_that_trades(panel):
    rows = json.loads(
        atb("data", "import", str(panel), "--every-symbol", "--timeframe", "1d", "--venue", "kraken", "--json").stdout
    )
    assert [(row["symbol"], row["bars"]) for row in rows] == [("AAA/USDT", 200), ("BBB/USDT", 120), ("CCC/USDT", 200)]
    made = json.loads(atb("data", "universe", "derive", "all", "--venue", "kraken", "--json").stdout)
    assert (made["symbols"], made["delisted"]) == (3, 1)
    on = json.loads(atb("data", "universe", "show", "all", "--on", "2024-06-01", "--json").stdout)
    assert on["symbols"] == ["AAA/USDT", "CCC/USDT"]
    assert "BBB/USDT" in atb("data", "universe", "show", "all").stdout
    assert "all" in atb("data", "universe", "list").stdout
    done = atb("backtest", "sma_cross", "--universe", "all", "--timeframe", "1d", "-p", "fast=2", "-p", "slow=5",
               "--start", "2024-02-01", "--json")  # fmt: skip
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    assert [slot["symbol"] for slot in found["result"]["slots"]] == ["AAA/USDT", "BBB/USDT", "CCC/USDT"]
    assert "a delisted one at the open of its last bar" in found["result"]["fill_model"]
    refused = atb("promote", found["run_id"], "--to", "paper")
    assert refused.exit_code == 2
    assert "3 slots" in refused.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("backtest", "sma_cross", "--universe", "all", "--symbol", "BTC/USDT"), "cannot be combined"),
        (("backtest", "sma_cross", "--universe", "nowhere"), "no such universe"),
        (("data", "universe", "show", "nowhere"), "no such universe"),
        (("data", "universe", "import", "nowhere.csv"), "cannot be read"),
        (("data", "universe", "derive", "x", "--venue", "nowhere"), "No series of this venue"),
        (("data", "import", "x.csv", "--every-symbol", "--symbol", "BTC/USDT"), "cannot be combined"),
    ],
)
def test_what_cannot_be_is_one_sentence(tmp_path, monkeypatch, arguments, message):
    real_backtest(tmp_path)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "x.csv").write_text("")
    done = atb(*arguments)
    assert done.exit_code == 2, done.output
    assert message in done.stderr


def test_the_name_of_a_panel_says_venue_and_timeframe(panel):
    named = panel.with_name("kraken_ALL_1d_2024.parquet")
    panel.rename(named)
    rows = json.loads(atb("data", "import", str(named), "--every-symbol", "--json").stdout)
    assert {(row["venue"], row["timeframe"]) for row in rows} == {("kraken", "1d")}


def test_a_file_that_names_no_symbols_is_refused_whole(tmp_path):
    path = tmp_path / "one.csv"
    random_walk(50).to_csv(path)
    done = atb("data", "import", str(path), "--every-symbol")
    assert done.exit_code == 2
    assert "No row names its symbol" in done.stderr


@pytest.mark.slow
def test_the_daily_panel_is_a_universe_with_its_dead_symbols(real_data, tmp_path):
    real_backtest(tmp_path)
    path = real_data / "binance_PANEL_1d_2017-2022.parquet"
    assert (
        atb(
            "data", "import", str(path), "--every-symbol", "--accept-gaps", "--timeframe", "1d", "--venue", "binance"
        ).exit_code
        == 0
    )
    made = json.loads(atb("data", "universe", "derive", "panel", "--venue", "binance", "--json").stdout)
    assert (made["symbols"], made["delisted"]) == (111, 4)
    options = (
        "--universe",
        "panel",
        "--timeframe",
        "1d",
        "--start",
        "2018-12-01",
        "--end",
        "2019-06-01",
        "--no-report",
    )
    done = atb("backtest", "sma_cross", *options, "--json")
    assert done.exit_code == 0, done.output
    symbols = [slot["symbol"] for slot in json.loads(done.stdout)["result"]["slots"]]
    assert "BSV/USDT" in symbols
    assert "AAVE/USDT" not in symbols


def test_what_was_known_at_a_time_is_a_table_and_json(panel):
    atb("data", "import", str(panel), "--every-symbol", "--timeframe", "1d", "--venue", "kraken")
    rows = json.loads(atb("data", "known", "2024-02-01T12:00", "--symbol", "AAA/USDT", "--json").stdout)
    assert [(row["kind"], row["stated"][:10]) for row in rows] == [("bars", "2024-01-31")]
    assert "AAA/USDT 1d (kraken)" in atb("data", "known", "2024-02-01").stdout
    assert atb("data", "known", "2001-01-01").stdout == "Nothing stored was known by then.\n"
    assert atb("data", "known", "soon").exit_code == 2
