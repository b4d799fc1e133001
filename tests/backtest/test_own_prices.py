"""Coins of every size trade at their own prices: no step, lot or least order of another coin's market."""

import numpy as np
import pandas as pd
import pytest

from atb.backtest import run
from atb.engine.policy import AccountPolicy, ExecutionModel, RiskPolicy
from atb.engine.slot import Slot
from atb.errors import InputError
from tests.bars import bars_of, frame_of
from tests.instruments import usual
from tests.scenarios import Scripted

FREE = ExecutionModel(fee=0.0, slippage=0.0)
COINS = [("DOGE/USDT", 0.08, 5, 0), ("SHIB/USDT", 0.0000123, 8, 0), ("ETH/BTC", 0.052, 5, 4), ("XRP/USDT", 0.55, 4, 0),
         ("ADA/USDT", 0.35, 4, 1), ("TRX/USDT", 0.11, 5, 1), ("XLM/USDT", 0.12, 5, 0), ("PEPE/USDT", 0.00000123, 10, 0),
         ("XRP/BTC", 0.0000123, 8, 0), ("BTC/JPY", 7_000_000.0, 0, 5), ("BTC/IDR", 1_100_000_000.0, 0, 6)]  # fmt: skip


def market(price: float, decimals: int, lots: int) -> pd.DataFrame:
    """Return bars written with so many decimals of price and volume, whose every number is a file's."""
    rng = np.random.default_rng(6)
    close = np.round(price * np.exp(np.cumsum(rng.normal(0, 0.01, 600))), decimals)
    return frame_of(close).assign(volume=np.round(rng.uniform(1e3, 1e6, 600), lots))


@pytest.mark.parametrize(("symbol", "price", "decimals", "lots"), COINS)
def test_without_costs_every_fill_is_at_a_candles_own_price_to_the_last_digit(symbol, price, decimals, lots):
    bars = bars_of(market(price, decimals, lots), symbol)
    cash = {"BTC": 1.0, "JPY": 1e7, "IDR": 1e10}.get(bars.symbol.quote, 10_000.0)
    sides = tuple((np.arange(600) // 7 % 2).astype(float))
    slot = Slot(Scripted(sides), bars, RiskPolicy(fraction=0.9), FREE)
    result = run(slot, account=AccountPolicy(cash=cash))
    assert result.stats["n_trades"] > 40
    assert result.refusal_counts == {}
    opens = bars.frame["open"].reindex(result.orders["bar"]).to_numpy()
    np.testing.assert_array_equal(result.orders["price"].to_numpy(), opens)
    moved = 1 + result.trades["pnl_pct"].iloc[0] / 100
    assert moved == pytest.approx(result.trades["exit_price"].iloc[0] / result.trades["entry_price"].iloc[0])


def test_rules_and_source_stand_in_the_result_and_in_its_words():
    bars = bars_of(market(0.08, 5, 0), "DOGE/USDT")
    result = run(Slot(Scripted((1.0,)), bars, RiskPolicy(), FREE))
    assert "Trading rules of DOGE/USDT (from the data, 600 bars" in result.fill_model
    kept = result.to_json()["slots"][0]["instrument"]
    assert (kept["tick"], kept["source"][:13]) == ("0.00001", "from the data")


def test_a_step_that_is_coarser_than_a_price_blames_the_rules_and_not_the_data():
    bars = bars_of(market(0.0000123, 8, 0), "SHIB/USDT")
    with pytest.raises(InputError, match=r"one price step, 0\.01: these rules \(given by hand\) do not fit its prices"):
        run(Slot(Scripted((1.0,)), bars, RiskPolicy(), FREE, usual("SHIB/USDT")))
