"""What you tested is what trades: the real runner's journal against the backtest over the same bars, bit by bit."""

import pandas as pd
import pytest
from click.testing import CliRunner

from atb.backtest import run as backtest
from atb.cli import main
from atb.data.catalogue import load_bars
from atb.data.catalogue.writing import save_bars
from atb.domain import Bars, Symbol, Timeframe
from atb.engine.policy import AccountPolicy, ExecutionModel, RiskPolicy
from atb.engine.slot import Slot
from atb.strategies import make_strategy
from tests.experiments.notebooks import notebook
from tests.live.desk import first_open, read_journal
from tests.live.test_runner import assert_equal_to_backtest
from tests.timeouts import PATIENCE_S


@pytest.mark.parametrize("days", [15, pytest.param(90, marks=pytest.mark.slow)])
def test_real_days_through_the_runner_equal_their_backtest(sqlite_desk, real_data, days):
    frame = pd.read_parquet(real_data / "binance_BTCUSDT_1h.parquet").set_index("timestamp")
    frame = frame[frame.index >= pd.Timestamp("2024-09-01", tz="UTC")][["open", "high", "low", "close", "volume"]]
    bars = Bars(Symbol.parse("BTC/USDT"), Timeframe.parse("1h"), frame.astype("float64"), "binance")
    save_bars(bars, root=sqlite_desk.bars_root, source="binance_BTCUSDT_1h.parquet")
    start = pd.Timestamp("2025-01-01", tz="UTC") - pd.Timedelta(days=days)
    strategy = make_strategy("sma_cross")
    traded = load_bars("BTCUSDT", "1h", start, root=sqlite_desk.bars_root, lead=strategy.warmup)
    policy = RiskPolicy(stop_loss=0.03, take_profit=0.06)
    result = backtest(Slot(strategy, traded, policy, ExecutionModel()), account=AccountPolicy(), start=start)
    process = sqlite_desk.start(sqlite_desk.promote(result), "--from", first_open(result))
    out, err = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 0, err
    assert f"finished: {days * 24} bars" in out
    assert len(result.outcome.trades) > days // 5
    assert_equal_to_backtest(read_journal(sqlite_desk.url), result)


BACKTEST = """
from atb.backtest import run
from atb.config import load_settings
from atb.data.catalogue import load_bars
from atb.engine.slot import Slot
from atb.experiments import publish
from atb.strategies import make_strategy
import pandas as pd
chosen, root = make_strategy(strategy), load_settings().bars_root
whole = load_bars(symbol, timeframe, root=root)
start = whole.frame.index[-1] + pd.Timedelta(hours=1) - pd.Timedelta(days=days)
bars = load_bars(symbol, timeframe, start, root=root, lead=chosen.warmup)
result = run(Slot(chosen, bars), start=start)
publish(metrics=result.stats, result=result)
"""


def test_one_word_backtests_promotes_and_runs(sqlite_desk, tmp_path, monkeypatch):
    (tmp_path / "atb.toml").write_text("")  # a project of its own, whose backtest notebook is a small one
    (tmp_path / "notebooks").mkdir()
    parameters = 'strategy: str = "sma_cross"\nsymbol: str = "BTC/USDT"\ntimeframe: str = "1h"\ndays: int = 30'
    notebook(tmp_path / "notebooks" / "03_backtest.ipynb", BACKTEST, parameters=parameters)
    sqlite_desk.stock(400, 6)
    asked = ["live", "sma_cross", "--symbol", "BTCUSDT", "--days", "10", "--paper-trading", "--account", "word"]
    done = CliRunner().invoke(main, asked)
    assert done.exit_code == 0, done.output
    assert "Promoted to paper" in done.output
    journal = read_journal(sqlite_desk.url)
    (session,), (slot,) = journal["session"], journal["slot"]
    assert (session["status"], session["account"], slot["strategy"]) == ("finished", "word", "sma_cross")
    whole = load_bars("BTCUSDT", "1h", root=sqlite_desk.bars_root)
    start = whole.frame.index[-240]
    bars = load_bars("BTCUSDT", "1h", start, root=sqlite_desk.bars_root, lead=49)
    assert_equal_to_backtest(
        read_journal(sqlite_desk.url), backtest(Slot(make_strategy("sma_cross"), bars), start=start)
    )
