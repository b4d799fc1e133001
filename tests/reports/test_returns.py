"""Returns by day, year, drawdown, cost, symbol and regime: equal to what pandas computes from equity and orders alone."""

import numpy as np
import pandas as pd
import pytest

from atb.backtest import run
from atb.engine.policy import AccountPolicy, ExecutionModel, RiskPolicy
from atb.features.regimes import TrendVolatility
from atb.reports import (
    costs_figure,
    distribution_figure,
    rolling_sharpe_figure,
    symbols_figure,
    worst_drawdowns_figure,
    yearly_returns_figure,
)
from atb.reports.contributions import profits_by_slot, regime_returns
from atb.reports.costs import costs, turnover
from atb.reports.daily import daily_equity, daily_returns, moving_sharpe
from atb.reports.drawdowns import worst_drawdowns
from atb.reports.returns import yearly_returns
from tests.bars import frame_of, random_walk
from tests.scenarios import random_slots, scripted_slot

N = 24 * 500
SIDES = tuple(np.where(np.arange(N) // 30 % 2 == 0, 1.0, 0.0))
# Returns of empyrical's tests, each from the value before; the first from the start.
NEGATIVE = [-0.06, -0.07, -0.01, -0.09, -0.02, -0.06, -0.08, -0.05]


@pytest.fixture(scope="module")
def result():
    policy = RiskPolicy(fraction=0.5, stop_loss=0.04)
    return run(scripted_slot(random_walk(N, 3), SIDES, policy, ExecutionModel(fee=0.001, slippage=0.0005)))


@pytest.fixture(scope="module")
def closed(result):
    """Equity at the last moment of each bar, and the cash before it."""
    at = result.equity.index + pd.Timedelta(hours=1) - pd.Timedelta(milliseconds=1)
    return result.equity.set_axis(at), result.inputs.account.cash


def test_a_day_ends_with_its_last_close_and_returns_what_pandas_computes(result, closed):
    equity, cash = closed
    daily = equity.resample("D").last()
    assert daily_equity(result).tolist() == daily.tolist()
    expected = daily.pct_change()
    expected.iloc[0] = daily.iloc[0] / cash - 1
    np.testing.assert_allclose(daily_returns(result), expected, rtol=1e-12)


def test_a_day_without_a_bar_has_the_equity_of_the_day_before():
    frame = random_walk(24 * 10, 1)
    holed = run(scripted_slot(frame.drop(frame.index[30:100]), (1.0,)))
    daily = daily_equity(holed)
    assert len(daily) == 10
    assert daily.iloc[2] == daily.iloc[1]
    assert daily_returns(holed).iloc[2] == 0.0


def test_the_rolling_sharpe_is_mean_over_sample_deviation_a_year_of_365_days(result):
    own = daily_returns(result)
    ratio, error = moving_sharpe(own.to_numpy(), 90)
    rolling = own.rolling(90)
    np.testing.assert_allclose(ratio, (rolling.mean() / rolling.std(ddof=1) * np.sqrt(365)).dropna(), rtol=1e-9)
    per_day = ratio / np.sqrt(365)
    np.testing.assert_allclose(error, np.sqrt((1 + per_day**2 / 2) / 90 * 365), rtol=1e-12)
    drawn = {trace.name: trace for trace in rolling_sharpe_figure(result).data}
    assert drawn["scripted"].y[-1] == pytest.approx(ratio[-1])


def test_a_ratio_of_returns_that_do_not_vary_is_unknown():
    ratio, _ = moving_sharpe(np.full(40, 0.001), 20)
    assert np.isnan(ratio).all()


def test_the_error_of_the_ratio_is_that_of_many_draws():
    draws = np.random.default_rng(7).normal(0.001, 0.02, (4_000, 90))
    ratios = np.array([moving_sharpe(row, 90)[0][0] for row in draws])
    errors = np.array([moving_sharpe(row, 90)[1][0] for row in draws])
    assert ratios.std() == pytest.approx(errors.mean(), rel=0.05)


def test_years_multiply_to_the_whole(result):
    table = yearly_returns(result)
    assert (1 + table / 100).prod().tolist() == pytest.approx(
        [1 + result.stats["total_return_pct"] / 100, 1 + result.baselines["hold"]["total_return_pct"] / 100]
    )
    assert list(table.index) == [2024, 2025]
    assert yearly_returns_figure(result).data[0].y.tolist() == table["strategy"].tolist()


def test_the_worst_drawdowns_are_those_of_a_plain_loop(result):
    found, peak, start, low = [], result.inputs.account.cash, 0, None
    equity, closes = result.equity.tolist(), result.inputs.closes.tolist()
    for row, value in enumerate(equity):
        if value >= peak:
            if low is not None:
                found.append((low[0], start, low[1], row))
            peak, start, low = value, row, None
        elif low is None or 100 * (1 - value / peak) > low[0]:
            low = (100 * (1 - value / peak), row)
    found += [(low[0], start, low[1], None)] if low is not None else []
    expected = sorted(found, key=lambda one: -one[0])[:5]
    table = worst_drawdowns(result)
    assert table["depth_pct"].tolist() == pytest.approx([one[0] for one in expected])
    assert table["depth_pct"].iloc[0] == pytest.approx(result.stats["max_drawdown_pct"])
    for (_, row), (_, begin, trough, end) in zip(table.iterrows(), expected, strict=True):
        assert row["peak"] == pd.Timestamp(closes[begin], unit="ms", tz="UTC")
        assert row["trough"] == pd.Timestamp(closes[trough], unit="ms", tz="UTC")
        assert (
            pd.isna(row["recovery"])
            if end is None
            else row["recovery"] == pd.Timestamp(closes[end], unit="ms", tz="UTC")
        )
    assert len(worst_drawdowns_figure(result).layout.shapes) == len(table)


def test_a_drawdown_from_the_first_bar_on_begins_at_the_first_open_and_is_as_deep_as_published():
    falling = 100 * np.cumprod(1 + np.array([0.0, *NEGATIVE]))
    account = AccountPolicy(cash=1_000_000.0, reserve=0.0)
    held = run(scripted_slot(frame_of(falling), (1.0,) * 9, RiskPolicy(fraction=1.0)), account=account)
    row = worst_drawdowns(held).iloc[0]
    assert row["depth_pct"] == pytest.approx(36.590730, abs=1e-3)
    assert pd.isna(row["recovery"])
    assert "not recovered" in worst_drawdowns_figure(held).layout.annotations[-1].text.replace("<br>", " ")


@pytest.mark.parametrize("seed", [1, 4, 8])
def test_no_number_of_a_drawdown_is_on_another_or_leaves_the_figure_however_high_it_is_drawn(seed):
    drawn = worst_drawdowns_figure(run(scripted_slot(random_walk(24 * 60, seed), SIDES, RiskPolicy(fraction=0.9))))
    numbers = [note for note in drawn.layout.annotations if note.text.isdigit()]
    assert [note.text for note in numbers] == ["1", "2", "3", "4", "5"]
    (bottom, top), at = drawn.layout.yaxis.range, pd.DatetimeIndex([note.x for note in numbers])
    reach = pd.Timedelta(days=60) * 0.06  # as wide as a number on a narrow page
    for height in (220, 300, 900):  # pixels between the axes
        lines = [(note.y - bottom) / (top - bottom) * height + note.yshift for note in numbers]
        assert min(lines) > 7, "half the height of a number"
        for one in range(5):
            for other in range(one):
                assert abs(at[one] - at[other]) > reach or abs(lines[one] - lines[other]) >= 14


def test_a_caption_counts_days_in_words():
    prices = np.r_[100.0, 99.0, np.full(24, 101.0), np.full(24, 100.0), np.full(30, 103.0)]
    held = run(
        scripted_slot(frame_of(prices), (1.0,) * 80, RiskPolicy(fraction=1.0)), account=AccountPolicy(reserve=0.0)
    )
    caption = worst_drawdowns_figure(held).layout.annotations[-1].text.replace("<br>", " ")
    assert " after 1 day." in caption
    assert " within half a day;" in caption


def test_an_account_that_never_fell_has_no_drawdown():
    assert worst_drawdowns(run(scripted_slot(random_walk(50), ()))).empty


def test_what_costs_took_is_what_the_same_orders_would_have_kept_without_them(result):
    found = costs(result)
    orders = result.orders
    signs = np.where(orders["side"] == "buy", -1.0, 1.0)
    at_reference = float((signs * orders["reference"] * orders["quantity"]).sum())
    held = float(result.positions.iloc[-1, 0] * result.bars[0].frame["close"].iloc[-1])
    assert found["before"] == pytest.approx(at_reference + held)
    assert found["after"] == pytest.approx(result.equity.iloc[-1] - result.inputs.account.cash)
    assert found["fees"] == pytest.approx(orders["fee"].sum())
    bars = costs_figure(result).data[0]
    assert sum(bars.y[:-1]) == pytest.approx(bars.y[-1])
    assert list(bars.x) == ["before costs", "fees", "slippage", "after costs"]


def test_turnover_counts_every_order_once(result):
    table = turnover(result)
    assert table["traded"].sum() == pytest.approx(result.orders["value"].sum())
    assert table["orders"].sum() == len(result.orders)
    assert table["fees"].sum() == pytest.approx(result.orders["fee"].sum())
    march = result.orders[result.orders["time"].dt.strftime("%Y-%m") == "2024-03"]
    assert table.loc["2024-03-01", "orders"] == len(march)


@pytest.mark.parametrize("seed", [4, 7, 11])
def test_the_profits_of_the_symbols_add_up_to_the_account(seed):
    slots, account = random_slots(seed, costs="vectorbt")
    result = run(slots, account=account)
    table = profits_by_slot(result)
    expected = result.equity.to_numpy() - account.cash
    np.testing.assert_allclose(table.sum(axis=1), expected, atol=1e-6 * account.cash)
    assert len(symbols_figure(result).data) == len(slots)


def test_regimes_share_out_the_whole_return_and_none_is_told_by_later_bars(result):
    table = regime_returns(result)
    assert 0 < table["share_pct"].sum() <= 100
    bars = result.bars[0]
    known = TrendVolatility.of_timeframe("1h").compute(bars.frame)["regime"].shift(1)
    returns = np.log(result.equity / result.equity.shift(1))
    for code, label in enumerate(TrendVolatility.labels):
        mine = (known == code).to_numpy()
        if mine.any():
            assert table.loc[label, "strategy_pct"] == pytest.approx(100 * returns[mine].mean() * 8_760)
            assert table.loc[label, "sharpe"] == pytest.approx(
                returns[mine].mean() / returns[mine].std() * np.sqrt(8_760)
            )


def test_the_tail_of_the_distribution_is_that_of_the_days(result):
    own = 100 * daily_returns(result)
    caption = distribution_figure(result).layout.annotations[-1].text.replace("<br>", " ")
    assert f"{np.percentile(own, 5):+.2f} % or worse" in caption
    assert f"at {own[own <= np.percentile(own, 5)].mean():+.2f} % on average" in caption
    assert sum(sum(trace.y) for trace in distribution_figure(result).data if trace.type == "bar") == len(own)
