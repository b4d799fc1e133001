"""Every figure of merit against literal numbers, an independent calculation, and vectorbt."""

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from atb.backtest import run
from atb.backtest.metrics import drawdowns
from atb.engine.kernel_input import finest
from atb.engine.policy import ExecutionModel, RiskPolicy
from atb.engine.slot import Slot
from atb.strategies import make_strategy
from tests.backtest import curves
from tests.bars import bars_of, random_walk
from tests.instruments import usual
from tests.scenarios import random_slots

EQUITY = np.array([100.0, 110.0, 99.0, 99.0, 120.0])


def test_returns_start_from_the_cash():
    np.testing.assert_allclose(curves.bar_returns(EQUITY, 80.0), [0.25, 0.1, -0.1, 0.0, 21 / 99])


def test_drawdowns_are_positive_and_count_the_starting_cash_as_a_peak():
    np.testing.assert_allclose(drawdowns(EQUITY, 100.0), [0, 0, 0.1, 0.1, 0])
    np.testing.assert_allclose(drawdowns(EQUITY, 200.0), [0.5, 0.45, 0.505, 0.505, 0.4])


def test_the_longest_drawdown_counts_bars_below_a_peak():
    assert curves.longest_drawdown(np.array([0, 0.1, 0.1, 0, 0.2, 0])) == 2
    assert curves.longest_drawdown(np.array([0.0, 0.0])) == 0
    assert curves.longest_drawdown(np.array([0.1, 0.1, 0.1])) == 3


def test_ratios_by_hand():
    returns = np.array([0.02, -0.01, 0.03, 0.0])
    assert curves.sharpe(returns, 365) == pytest.approx(0.01 / np.std(returns, ddof=1) * math.sqrt(365))
    assert curves.sortino(returns, 365) == pytest.approx(0.01 / math.sqrt(0.0001 / 4) * math.sqrt(365))
    assert math.isnan(curves.sharpe(np.zeros(5), 365))
    assert math.isnan(curves.sortino(np.array([0.1]), 365))


def test_a_short_period_has_no_annual_rate():
    assert math.isnan(curves.equity_statistics(EQUITY, 100.0, 8760)["cagr_pct"])
    yearly = curves.equity_statistics(np.linspace(100, 110, 365), 100.0, 365)
    assert yearly["cagr_pct"] == pytest.approx(10.0)


@pytest.fixture(scope="module")
def result():
    bars = bars_of(random_walk(4000, seed=11, sigma=0.006, price=2000.0))
    return run(
        Slot(make_strategy("sma_cross"), bars, RiskPolicy(stop_loss=0.03, take_profit=0.06), ExecutionModel(), usual())
    )


def test_figures_agree_with_vectorbt(result):
    portfolio = result.portfolio
    np.testing.assert_array_equal(portfolio.value().to_numpy(), result.equity.to_numpy())
    assert portfolio.sharpe_ratio() == pytest.approx(result.stats["sharpe"], rel=1e-9)
    assert -100 * portfolio.max_drawdown() == pytest.approx(result.stats["max_drawdown_pct"], rel=1e-9)
    assert portfolio.sortino_ratio() == pytest.approx(result.stats["sortino"], rel=1e-9)
    closed = portfolio.trades.closed
    assert closed.count() == result.stats["n_trades"]
    np.testing.assert_allclose(closed.pnl.values, result.outcome.trades["pnl"], rtol=1e-9, atol=1e-9)
    assert 100 * closed.win_rate() == pytest.approx(result.stats["win_rate_pct"])
    assert closed.profit_factor() == pytest.approx(result.stats["profit_factor"])


@given(st.integers(0, 60))
def test_running_sums_give_what_the_curve_gives(seed):
    """On the clock's own grid, with equity carried over every hole: random problems have holes and mixed timeframes."""
    slots, account = random_slots(seed)
    result = run(slots, account=account)
    step = finest(slots).seconds * 1000
    grid = np.arange(result.inputs.bar_columns.opened.min() + step, result.inputs.closes[-1] + step, step)
    known = pd.Series(result.equity.to_numpy(), result.inputs.closes).reindex(grid, method="ffill").fillna(account.cash)
    expected = curves.equity_statistics(known.to_numpy(), account.cash, finest(slots).bars_per_year)
    assert result.stats["bars"] + result.stats["missing_bars"] == expected.pop("bars")
    # Of a hole at either end of the longest drawdown the curve says nothing: is it still the peak, or below it already?
    hole = np.diff(result.inputs.closes).max(initial=step) - step
    days = expected.pop("max_drawdown_days")
    assert result.stats["max_drawdown_days"] == pytest.approx(days, abs=1e-9 + hole / 86_400_000)
    for name, value in expected.items():
        assert result.stats[name] == pytest.approx(value, rel=1e-6, abs=1e-9, nan_ok=True), name


def test_figures_are_reproduced_from_the_exported_orders_alone(result, tmp_path):
    """Cash, equity and return rebuilt from orders.csv and the closes, with nothing of atb."""
    import csv

    result.export(tmp_path)
    closes = dict(zip(result.bars[0].frame.index, result.bars[0].frame["close"], strict=True))
    with (tmp_path / "orders.csv").open() as file:
        orders = list(csv.DictReader(file))
    cash, held, peak, deepest = 10_000.0, 0.0, 10_000.0, 0.0
    waiting = list(orders)
    for opened, close in closes.items():
        while waiting and waiting[0]["bar"] == str(opened):
            order = waiting.pop(0)
            sign = 1 if order["side"] == "buy" else -1
            held += sign * float(order["quantity"])
            cash -= sign * float(order["quantity"]) * float(order["price"]) + float(order["fee"])
        equity = cash + held * close
        peak = max(peak, equity)
        deepest = max(deepest, 1 - equity / peak)
    assert not waiting
    assert 100 * (equity / 10_000 - 1) == pytest.approx(result.stats["total_return_pct"], abs=1e-9)
    assert 100 * deepest == pytest.approx(result.stats["max_drawdown_pct"], abs=1e-9)
    assert sum(float(order["fee"]) for order in orders) == pytest.approx(result.stats["fees_paid"])


def test_holding_is_what_buying_at_the_second_open_gives(result):
    frame = result.bars[0].frame
    price = math.ceil(frame["open"].iloc[1] * 1.0005 * 100 - 1e-6) / 100
    decided_at = math.ceil(frame["close"].iloc[0] * 1.0005 * 100 - 1e-6) / 100
    quantity = math.floor(9_900 / 1.001 / decided_at * 1e5) / 1e5
    cash = 10_000 - quantity * price * 1.001
    expected = 100 * ((cash + quantity * frame["close"].iloc[-1]) / 10_000 - 1)
    assert result.baselines["hold"]["total_return_pct"] == pytest.approx(expected, abs=1e-9)
    assert result.baselines["cash"]["total_return_pct"] == 0.0
