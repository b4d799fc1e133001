"""A trade is shown with what the strategy knew when it decided, and nothing of it is taken from elsewhere."""

import numpy as np
import pandas as pd
import pytest

from atb.backtest import run
from atb.engine.policy import ExecutionModel, RiskPolicy
from atb.engine.prepare import features_of
from atb.engine.slot import Slot
from atb.errors import InputError
from atb.reports import TradeList, trade_detail, trade_detail_figure
from atb.strategies import make_strategy
from tests.bars import bars_of, random_walk
from tests.scenarios import random_slots, scripted_slot


@pytest.fixture(scope="module")
def result():
    policy = RiskPolicy(fraction=0.5, stop_loss=0.02)
    slot = Slot(make_strategy("sma_cross", fast=5, slow=20), bars_of(random_walk(2_000, 3)), policy, ExecutionModel())
    return run(slot, start=slot.bars.frame.index[100])


def test_each_step_shows_the_features_of_the_bar_before_the_fill(result):
    table, _ = features_of(result.slots[0])
    for trade in (0, 3, len(result.trades) - 1):
        detail = trade_detail(result, trade)
        orders = result.orders[result.orders["trade_id"] == trade]
        assert len(detail.steps) == len(orders)
        for (_, step), (_, order) in zip(detail.steps.iterrows(), orders.iterrows(), strict=True):
            before = order["bar"] - pd.Timedelta(hours=1)
            assert step["decided by the bar (UTC)"] == f"{before:%Y-%m-%d %H:%M}"
            assert step["close"] == f"{table.loc[before, 'close']:,.8g}"
            shown = detail.bars.loc[f"{before:%Y-%m-%d %H:%M}"]
            assert "decided" in shown["event"]
            for name in ("sma_fast", "sma_slow"):
                assert shown[name] == f"{table.loc[before, name]:,.8g}"
            assert step["at"] == f"{order['price']:,.8g}"
            assert order["side"] in step["order"]
            assert str(order["reason"]).replace("_", " ") in step["order"]


def test_the_signal_of_the_decision_led_to_the_entry(result):
    first = trade_detail(result, 0).steps.iloc[0]
    assert first["signal"] == {"long": "long", "short": "short"}[result.trades["side"].iloc[0]]


@pytest.mark.parametrize("seed", range(4))
def test_every_trade_of_any_result_can_be_shown(seed):
    slots, account = random_slots(seed)
    result = run(slots, account=account)
    for trade in range(len(result.trades)):
        assert str(result.trades["symbol"].iloc[trade]) in trade_detail(result, trade).headline
    if len(result.trades):
        trade_detail_figure(result, 0).to_json()


def test_a_long_trade_is_shown_at_its_ends_alone():
    result = run(scripted_slot(random_walk(5_000, 1), (1.0,) * 4_000 + (0.0,) * 1_000))
    detail = trade_detail(result, 0)
    assert len(detail.bars) < 20
    assert detail.bars["event"].str.contains("filled").sum() == 2


def test_a_trade_that_is_not_there_is_refused_with_those_that_are(result):
    with pytest.raises(InputError, match=f"numbered 0 to {len(result.trades) - 1}"):
        trade_detail(result, len(result.trades))
    with pytest.raises(InputError, match="made no trade"):
        trade_detail(run(scripted_slot(random_walk(50), ())), 0)


def test_names_are_escaped_and_the_figure_draws_the_features(result):
    figure = trade_detail_figure(result, 1)
    assert {"sma_fast", "sma_slow", "buy", "sell"} <= {trace.name for trace in figure.data}
    assert "<script" not in trade_detail(result, 1).html()


def test_the_list_has_the_newest_the_best_and_the_worst_each_with_its_detail(result):
    rows = TradeList(result, 4, extreme=2)
    pnl = result.trades["pnl"]
    wanted = {*pnl.tail(4).index, *pnl.nlargest(2).index, *pnl.nsmallest(2).index}
    assert set(rows.trade_ids) == wanted
    page = rows._repr_html_()
    assert page.count("<details") == len(wanted)
    assert all(f"trade-{trade}'" in page for trade in wanted)
    assert "No trade was made" in TradeList(run(scripted_slot(random_walk(50), ())))._repr_html_()
    assert np.all(np.diff(rows.trade_ids) < 0)
