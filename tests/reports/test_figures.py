"""What must be visible in the figures of a result, and true."""

import numpy as np
import pandas as pd
import pytest

from atb.backtest import run
from atb.backtest.baselines import hold
from atb.engine.policy import RiskPolicy
from atb.errors import InputError
from atb.reports import (
    equity_figure,
    excursion_figure,
    exposure_figure,
    monthly_returns_figure,
    result_html,
    summary_table,
    trades_figure,
    trades_table,
)
from atb.reports.equity import exposure, monthly_returns
from atb.reports.market import autocorrelation, log_returns
from tests.bars import bars_of, ramp, random_walk
from tests.problems import random_slots, scripted_slot

SIDES = tuple(np.where(np.arange(3_000) // 24 % 2 == 0, 1.0, 0.0))


@pytest.fixture(scope="module")
def result():
    return run(scripted_slot(random_walk(3_000, 3), SIDES, RiskPolicy(fraction=0.5, stop_loss=0.04)))


def trace(figure, name):
    return next(trace for trace in figure.data if (trace.name or "").startswith(name))


def test_equity_and_hold_end_where_the_accounts_end(result):
    figure = equity_figure(result)
    held = hold(result.problem).equity
    assert trace(figure, "scripted").y[-1] == result.equity.iloc[-1]
    assert trace(figure, "hold").y[-1] == held[~np.isnan(held)][-1]
    assert f"{result.stats['total_return_pct']:+.1f} %" in trace(figure, "scripted").name


def test_the_deepest_drawdown_is_drawn(result):
    drawn = [line for line in equity_figure(result).data if line.name.startswith("scripted")][1]
    assert -min(drawn.y) == pytest.approx(result.stats["max_drawdown_pct"])


def test_the_equity_axis_can_be_logarithmic(result):
    assert equity_figure(result, log=True).layout.yaxis.type == "log"
    assert equity_figure(result).layout.yaxis.type == "linear"


def test_each_trade_is_one_entry_and_one_exit(result):
    figure = trades_figure(result)
    assert len(figure.layout.shapes) == 0
    assert trace(figure, "entry").y.tolist() == result.trades["entry_price"].tolist()
    assert trace(figure, "exit").y.tolist() == result.trades["exit_price"].tolist()
    lines = [trace(figure, name) for name in ("profit", "loss")]
    assert sum(len(line.x) for line in lines) == 3 * len(result.trades)
    won = int((result.trades["pnl"] > 0).sum())
    assert lines[0].name == f"profit ({won})"
    assert np.isnan(lines[0].y[2::3]).all()


def test_trades_can_be_the_last_few(result):
    figure = trades_figure(result, 5)
    assert trace(figure, "entry").x.tolist() == [
        moment.replace(tzinfo=None) for moment in result.trades["entry_time"].tail(5)
    ]
    candles = trace(figure, "price").x
    assert candles[0] >= np.datetime64("2024-01-01")
    assert len(candles) < 5 * 48 + 20


def test_trades_of_another_slot_are_not_drawn():
    slots, account = random_slots(4)
    both = run(slots, account=account)
    for s, slot in enumerate(slots):
        drawn = trace(trades_figure(both, 1_000, slot=s), "entry").y
        mine = both.trades[both.trades["symbol"] == str(slot.bars.symbol)]
        assert sorted(drawn.tolist()) == sorted(mine["entry_price"].tolist())


@pytest.mark.parametrize(("last", "slot"), [(0, 0), (1_001, 0), (10, 1), (10, -1)])
def test_trades_that_do_not_exist_are_refused(result, last, slot):
    with pytest.raises(InputError, match="must be"):
        trades_figure(result, last, slot=slot)


def test_monthly_returns_multiply_to_the_whole(result):
    months = monthly_returns(result)
    whole = np.nanprod(1 + months[list(range(1, 13))].to_numpy() / 100) - 1
    assert 100 * whole == pytest.approx(result.stats["total_return_pct"])
    assert np.nanprod(1 + months["year"].to_numpy() / 100) - 1 == pytest.approx(whole)


def test_a_bar_that_closes_at_midnight_belongs_to_the_month_that_ends():
    frame = random_walk(31 * 24 + 24, 3)  # from 1 January to the end of 1 February
    table = monthly_returns(run(scripted_slot(frame, (1.0,))))
    assert table.columns[table.notna().all()].tolist() == [1, 2, "year"]
    equity = run(scripted_slot(frame, (1.0,))).equity
    assert table.loc[2024, 1] == pytest.approx(100 * (equity.loc["2024-01-31 23:00"] / 10_000 - 1))


def test_a_rising_month_is_coloured_as_a_gain():
    figure = monthly_returns_figure(run(scripted_slot(ramp(up=200), (1.0,))))
    assert figure.data[0].z[0][0] > 0
    assert figure.data[0].zmin == -figure.data[0].zmax


def test_excursions_are_those_of_the_closed_trades(result):
    figure = excursion_figure(result)
    closed = result.trades[result.trades["status"] == "closed"]
    left = [part for part in figure.data if part.xaxis == "x"]
    assert sorted(np.concatenate([part.x for part in left])) == sorted(closed["mae_pct"])
    assert "stop 4 %" in [note.text for note in figure.layout.annotations]


def test_exposure_is_what_is_held_over_equity(result):
    share = exposure(result)[0]
    held = result.positions[0] * result.bars[0].frame["close"]
    assert share.to_numpy() == pytest.approx((100 * held / result.equity).to_numpy())
    assert max(exposure_figure(result).data[0].y) == pytest.approx(share.max())


def test_the_table_shows_the_strategy_beside_hold_and_cash(result):
    table = summary_table(result)
    assert list(table.columns) == ["strategy", "hold", "cash"]
    assert table.loc["Total return (%)", "strategy"] == f"{result.stats['total_return_pct']:+,.2f}"
    assert table.loc["Total return (%)", "hold"] == f"{result.baselines['hold']['total_return_pct']:+,.2f}"
    assert table.loc["Sharpe", "cash"] == "–"
    assert table.loc["Bars a year, for the ratios", "strategy"] == "8,760"
    assert isinstance(table, pd.DataFrame)


def test_the_list_of_trades_shows_the_last_ones(result):
    table = trades_table(result, 3)
    last = result.trades.iloc[-1]
    assert len(table) == 3
    assert table["profit"].iloc[-1] == f"{last['pnl']:+,.2f}"
    assert table["entry (UTC)"].iloc[-1] == f"{last['entry_time']:%Y-%m-%d %H:%M}"
    assert trades_table(run(scripted_slot(random_walk(50), (1.0,))))["ended by"].tolist() == ["still open"]
    assert len(trades_table(run(scripted_slot(random_walk(50), ())))) == 0


def test_the_card_shows_the_headline_and_escapes_what_it_shows(result):
    assert result.headline in result_html(result)
    named = run(scripted_slot(random_walk(50), SIDES, venue="<script>"))
    assert "<script>" not in result_html(named)


def test_returns_leave_out_the_step_across_a_hole():
    frame = random_walk(100, 1)
    assert len(log_returns(bars_of(frame.drop(frame.index[40:60])))) == 78
    assert log_returns(bars_of(frame)).sum() == pytest.approx(np.log(frame["close"].iloc[-1] / frame["close"].iloc[0]))


def test_autocorrelation_is_the_textbook_one():
    values = np.array([1.0, 2.0, 3.0, 4.0])
    # centred -1.5 -0.5 0.5 1.5, sum of squares 5; lag 1: 0.75 - 0.25 + 0.75 = 1.25
    assert autocorrelation(values, 2) == pytest.approx([0.25, -0.3])
