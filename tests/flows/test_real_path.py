"""The whole path on real hourly BTC/USDT candles: import, train, backtest, promote to paper, replay, equal trades."""

import csv
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.timeouts import PATIENCE_S

pytestmark = pytest.mark.slow  # the demo goes the same path in the quick suite, on synthetic bars

SYMBOL = ("--symbol", "BTC/USDT", "--timeframe", "1h")
REPLAYED = ("2024-10-03", "2025-01-01")  # the last 90 days


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return tmp_path_factory.mktemp("real")


def atb(root, *arguments, code=0):
    """Call the command line in a process of its own and return what it printed, as JSON where it is JSON."""
    return call(root, "-m", "atb", "--root", str(root), *arguments, code=code)


def call(root, *arguments, code=0):
    environment = {name: value for name, value in os.environ.items() if not name.startswith("ATB__")}
    done = subprocess.run(
        [sys.executable, *arguments], capture_output=True, text=True, check=False, timeout=PATIENCE_S, env=environment
    )
    assert done.returncode == code, done.stderr
    return json.loads(done.stdout) if "--json" in arguments else done.stdout + done.stderr


@pytest.fixture(scope="module")
def imported(root, real_data):
    file = real_data / "binance_BTCUSDT_1h.parquet"
    refused = atb(root, "data", "import", str(file), code=2)
    assert "34 h" in refused
    return atb(root, "data", "import", str(file), "--accept-gaps", "--json")


@pytest.fixture(scope="module")
def trained(root, imported):
    return atb(root, "train", *SYMBOL, "--end", "2021-01-01", "--json")


@pytest.fixture(scope="module")
def backtest(root, trained):
    """Backtest the model over 2021-2024: years that it has never seen."""
    return atb(root, "backtest", "ml_basic", *SYMBOL, "--start", "2021-01-01", "--end", "2025-01-01", "--json")


def test_the_import_lists_the_holes_it_was_told_to_accept(imported):
    assert len(imported["gaps"]) == 28


def test_the_model_says_whether_it_is_worth_anything(trained):
    assert trained["status"] == "succeeded"
    assert trained["metrics"]["beats_baselines"] in (True, False)


def test_figures_are_reproduced_from_the_exported_orders(backtest, root, real_data):
    """Cash and final equity rebuilt from orders.csv and the last close of the file, with nothing of atb."""
    folder = Path(backtest["path"])
    with (folder / "orders.csv").open() as file:
        orders = list(csv.DictReader(file))
    assert orders
    cash, held = 10_000.0, 0.0
    for order in orders:
        sign = 1 if order["side"] == "buy" else -1
        held += sign * float(order["quantity"])
        cash -= sign * float(order["quantity"]) * float(order["price"]) + float(order["fee"])
    import pandas as pd

    candles = pd.read_parquet(real_data / "binance_BTCUSDT_1h.parquet")
    times = pd.to_datetime(candles["timestamp"], utc=True) if "timestamp" in candles else candles.index
    last = candles["close"][(times < pd.Timestamp("2025-01-01", tz="UTC")).to_numpy()].iloc[-1]
    stats = json.loads((folder / "result.json").read_text())["result"]["stats"]
    assert cash + held * last == pytest.approx(stats["final_equity"], rel=1e-9)
    assert sum(float(order["fee"]) for order in orders) == pytest.approx(stats["fees_paid"], rel=1e-9)


def test_the_runner_trades_the_last_90_days_as_the_backtest_does(backtest, root):
    promoted = atb(root, "promote", backtest["run_id"], "--to", "paper", "--json")
    assert promoted["verdict"]["passed"]
    since, until = REPLAYED
    runner = Path(__file__).parents[2] / "runners" / "live.py"
    call(
        root, str(runner), promoted["path"], "--from", since, "--until", until, "--account", "real", "--root", str(root)
    )
    month = atb(root, "backtest", "ml_basic", *SYMBOL, "--start", since, "--end", until, "--json")
    with (Path(month["path"]) / "trades.csv").open() as file:
        expected = [row for row in csv.DictReader(file) if row["status"] == "closed"]
    from atb.db import open_database
    from atb.live.journal.overview import journalled_trades

    database = open_database(f"sqlite:///{root / 'atb.db'}")
    found = journalled_trades(database, "real")
    database.close()
    assert [(trade[1], trade[3], trade[4], trade[5]) for trade in found] == [
        tuple(float(row[name]) for name in ("entry_price", "exit_price", "quantity", "pnl")) for row in expected
    ]
    (session,) = atb(root, "status", "--json")
    assert session["trades"] == len(expected)
    equity = (Path(month["path"]) / "equity.csv").read_text().splitlines()[-1].split(",")[1]
    assert float(session["equity"]) == float(equity)
