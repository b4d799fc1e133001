"""What must be visible in the figures of a result, and true."""

import numpy as np
import pandas as pd
import pytest

from atb.backtest import run
from atb.backtest.fill_model import BASIS
from atb.engine.codes import REASONS as CODES
from atb.engine.policy import RiskPolicy
from atb.errors import InputError
from atb.reports import (
    bars_html,
    equity_figure,
    excursion_figure,
    exposure_figure,
    monthly_returns_figure,
    result_html,
    summary_table,
    trades_figure,
    trades_table,
    volatility_figure,
)
from atb.reports.equity import BAND, exposure, monthly_returns
from atb.reports.market import autocorrelation, log_returns, moving_volatility, volatility
from tests.bars import bars_of, frame_of, ramp, random_walk
from tests.scenarios import random_slots, scripted_slot

REASONS = set(CODES.values())
SIDES = tuple(np.where(np.arange(3_000) // 24 % 2 == 0, 1.0, 0.0))


@pytest.fixture(scope="module")
def result():
    return run(scripted_slot(random_walk(3_000, 3), SIDES, RiskPolicy(fraction=0.5, stop_loss=0.04)))


def caption(figure):
    return figure.layout.annotations[-1].text.replace("<br>", " ")


def trace(figure, name):
    return next(trace for trace in figure.data if (trace.name or "").startswith(name))


def test_equity_and_hold_end_where_the_accounts_end(result):
    figure = equity_figure(result)
    assert trace(figure, "scripted").y[-1] == result.equity.iloc[-1]
    assert trace(figure, "hold").y[-1] == result.benchmark_equity.iloc[-1]
    assert f"{result.stats['total_return_pct']:+.2f} %" in trace(figure, "scripted").name


def test_the_deepest_drawdown_is_drawn(result):
    drawn = [line for line in equity_figure(result).data if line.name.startswith("scripted")][1]
    assert -min(drawn.y) == pytest.approx(result.stats["max_drawdown_pct"])


def test_the_equity_axis_can_be_logarithmic(result):
    assert equity_figure(result, log=True).layout.yaxis.type == "log"
    assert equity_figure(result).layout.yaxis.type == "linear"


def test_a_light_area_spans_both_readings_of_ambiguous_bars():
    policy = RiskPolicy(fraction=0.5, stop_loss=0.01, take_profit=0.01, reenter=True)
    unclear = run(scripted_slot(random_walk(3_000, 3), SIDES, policy))
    low, high = (part for part in equity_figure(unclear).data if part.name == BAND)
    assert (low.fill, high.fill) == (None, "tonexty")
    ends = sorted(curve.iloc[-1] for curve in unclear.band.values())
    assert [low.y[-1], high.y[-1]] == ends
    assert ends[0] < ends[1]
    assert f"{len(unclear.orders[unclear.orders['ambiguous']])} fills depend" in caption(equity_figure(unclear))


def test_no_area_is_drawn_where_nothing_is_ambiguous(result):
    assert BAND not in [part.name for part in equity_figure(result).data]


def exits_of(figure):
    """Return (price, reason) of every exit that is drawn."""
    return sorted(
        (price, part.name.split(" (")[0])
        for part in figure.data
        if part.name.split(" (")[0] in REASONS
        for price in part.y
    )


def test_the_fill_model_is_written_out_below_the_trades_and_in_short_below_the_account(result):
    assert result.fill_model in caption(trades_figure(result))
    assert result.fill_model.startswith(BASIS)
    assert caption(equity_figure(result)).endswith(
        f"{BASIS} How orders fill and what they cost: see the figure Trades."
    )


def test_each_fill_is_drawn_where_it_was_and_exits_by_their_reason(result):
    figure = trades_figure(result)
    orders = result.orders
    entered = orders["role"] == "entry"
    assert len(figure.layout.shapes) == 0
    assert trace(figure, "entry").y.tolist() == orders["price"][entered].tolist()
    assert exits_of(figure) == sorted(zip(orders["price"][~entered], orders["reason"][~entered], strict=True))
    lines = [trace(figure, name) for name in ("profit", "loss")]
    assert sum(len(line.x) for line in lines) == 3 * len(result.trades)
    won = int((result.trades["pnl"] > 0).sum())
    assert lines[0].name == f"profit ({won})"
    assert np.isnan(lines[0].y[2::3]).all()
    assert caption(figure).startswith(f"All {len(result.trades)} trades")


def test_partial_exits_and_additions_are_fills_of_their_own():
    policy = RiskPolicy(fraction=0.3, ladder=((0.01, 0.4),), take_profit=0.03, scale_in=0.01, reenter=True)
    laddered = run(scripted_slot(random_walk(500, 3), SIDES, policy))
    assert laddered.trades["exits"].max() > 1
    assert laddered.trades["additions"].max() > 0
    figure = trades_figure(laddered)
    partial = laddered.orders[laddered.orders["reason"] == "partial_exit"]
    assert sum(reason == "partial_exit" for _, reason in exits_of(figure)) == len(partial) > 0
    sizes = trace(figure, "entry").marker.size
    assert sum(size < max(sizes) for size in sizes) == laddered.trades["additions"].sum()


def test_a_trade_that_is_still_open_is_marked_at_the_last_close():
    going = run(scripted_slot(random_walk(50), (1.0,)))
    assert trace(trades_figure(going), "still open").y.tolist() == [going.bars[0].frame["close"].iloc[-1]]


def test_trades_can_be_the_last_few_and_the_others_are_summed_up(result):
    figure = trades_figure(result, 5)
    assert trace(figure, "entry").x.tolist() == [
        moment.replace(tzinfo=None) for moment in result.trades["entry_time"].tail(5)
    ]
    candles = trace(figure, "price").x
    assert candles[0] >= np.datetime64("2024-01-01")
    assert len(candles) < 5 * 48 + 20
    left = result.trades.iloc[:-5]
    assert f"the {len(left)} before them are not drawn" in caption(figure)
    assert f"{left['pnl'].sum():+,.2f} in all" in caption(figure)


def test_trades_of_another_slot_are_not_drawn():
    slots, account = random_slots(4)
    both = run(slots, account=account)
    for s, slot in enumerate(slots):
        figure = trades_figure(both, 1_000, slot=s)
        mine = both.orders[both.orders["symbol"] == str(slot.bars.symbol)]
        entered = mine["role"] == "entry"
        assert sorted(trace(figure, "entry").y) == sorted(mine["price"][entered])
        assert exits_of(figure) == sorted(zip(mine["price"][~entered], mine["reason"][~entered], strict=True))


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
    figure = exposure_figure(result)
    assert max(figure.data[0].y) == pytest.approx(share.max())
    assert [part.name for part in figure.data] == ["net"]


def test_gross_exposure_is_drawn_beside_net_where_shorts_make_them_differ():
    short = scripted_slot(random_walk(100), (-1.0,), RiskPolicy(fraction=0.3, allow_short=True))
    long = scripted_slot(random_walk(100, 2), (1.0,), RiskPolicy(fraction=0.5), symbol="ETH/USDT")
    hedged = run([short, long])
    net, gross = exposure_figure(hedged).data
    share = exposure(hedged)
    assert net.y[-1] == pytest.approx(share.iloc[-1].sum())
    assert gross.y[-1] == pytest.approx(share.iloc[-1].abs().sum())
    assert gross.y[-1] > 70
    assert abs(net.y[-1]) < 30


def test_the_table_shows_the_strategy_beside_its_baselines(result):
    table = summary_table(result)
    assert list(table.columns) == ["strategy", "hold", "cash", "random entry"]
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


def test_cards_name_their_data_and_escape_it(result):
    assert result.headline in result_html(result)
    bars = bars_of(random_walk(50), venue="<script>")
    assert "&lt;script&gt;" in bars_html(bars)
    assert "<script>" not in bars_html(bars)


def test_returns_leave_out_the_step_across_a_hole():
    frame = random_walk(100, 1)
    assert len(log_returns(bars_of(frame.drop(frame.index[40:60])))) == 78
    assert log_returns(bars_of(frame)).sum() == pytest.approx(np.log(frame["close"].iloc[-1] / frame["close"].iloc[0]))


def thin(missing=0.47, n=4_000):
    """Return a market of 50 % volatility a year, with all of its hours and with so many of them missing."""
    rng = np.random.default_rng(5)
    frame = frame_of(100 * np.exp(np.cumsum(rng.normal(0, 0.5 / np.sqrt(8_760), n))))
    return bars_of(frame), bars_of(frame.iloc[np.sort(rng.choice(n, round(n * (1 - missing)), replace=False))])


def test_volatility_goes_by_the_clock_and_not_by_the_number_of_bars():
    whole, holed = thin()
    assert volatility(whole) == pytest.approx(np.log(whole.frame["close"]).diff().std() * np.sqrt(8_760))
    assert volatility(whole) == pytest.approx(0.5, rel=0.03)
    assert volatility(holed) == pytest.approx(0.5, rel=0.05)


def test_the_moving_volatility_is_of_the_last_days_whatever_bars_are_missing():
    for bars in thin():
        moving, days = moving_volatility(bars)
        assert days == 7
        assert np.median(moving) == pytest.approx(0.5, rel=0.05)
        assert "of the last 7 days" in caption(volatility_figure(bars))


def test_autocorrelation_is_the_textbook_one():
    values = np.array([1.0, 2.0, 3.0, 4.0])
    # centred -1.5 -0.5 0.5 1.5, sum of squares 5; lag 1: 0.75 - 0.25 + 0.75 = 1.25
    assert autocorrelation(values, 2) == pytest.approx([0.25, -0.3])
