"""Strategies side by side: each beside holding and chance, and one that cannot run left out with its reason."""

import numpy as np
import plotly.graph_objects as go
import pytest

from atb.errors import InputError, RunError
from atb.reports.comparison import comparison_figure
from atb.workbench import (
    Comparison,
    Period,
    compare_strategies,
    ensure_models,
    make_rules,
    make_strategy,
    prepare_slot,
    run,
)  # fmt: skip

PERIOD = Period(days=40)


@pytest.fixture
def compared(stocked):
    names = ("sma_cross", "bear", "hold", "ml_basic")
    strategies = [make_strategy(name) for name in names]
    return compare_strategies(
        strategies, ["BTC/USDT", "ETH/USDT"], "1h", period=PERIOD, rules=make_rules(stop_loss=0.05)
    )


def test_each_row_is_the_backtest_of_its_strategy_alone(compared):
    slot, start = prepare_slot(
        make_strategy("sma_cross"), "ETH/USDT", "1h", period=PERIOD, policy=make_rules(stop_loss=0.05).policy
    )
    alone = run(slot, start=start)
    row = compared.table.query("strategy == 'sma_cross' and symbol == 'ETH/USDT'").iloc[0]
    assert row["total_return_pct"] == alone.stats["total_return_pct"]
    assert row["hold_return_pct"] == alone.baselines["hold"]["total_return_pct"]
    assert row["random_beaten_pct"] == 100 * alone.random_entry.beaten / alone.random_entry.runs


def test_the_table_is_ranked_within_each_symbol_and_what_cannot_move_in_time_has_no_chance(compared):
    table = compared.table
    assert list(table["symbol"].unique()) == ["BTC/USDT", "ETH/USDT"]
    for _, rows in table.groupby("symbol"):
        assert (np.diff(rows["total_return_pct"]) <= 0).all()
    assert "5" not in table.dtypes["n_trades"].name
    assert "SYNTHETIC" in compared.label
    assert compared.verdict.startswith("Of 6 results ")


def test_a_strategy_without_its_model_is_left_out_with_the_reason_and_one_that_shorts_may(compared):
    assert set(compared.left_out) == {("ml_basic", "BTC/USDT"), ("ml_basic", "ETH/USDT")}
    assert all("No model" in reason for reason in compared.left_out.values())
    assert (compared.results["bear", "BTC/USDT"].trades["side"] == "short").all()


def test_strategies_of_one_name_are_told_apart_by_the_parameters_in_which_they_differ(stocked):
    strategies = [make_strategy("sma_cross", fast=5), make_strategy("sma_cross", fast=9), make_strategy("hold")]
    compared = compare_strategies(strategies, ["BTC/USDT"], "1h", period=PERIOD)
    assert [name for name, _ in compared.results] == ["sma_cross fast=5", "sma_cross fast=9", "hold"]
    returns = compared.table.set_index("strategy")["total_return_pct"]
    assert returns["sma_cross fast=5"] != returns["sma_cross fast=9"]


def test_holding_cannot_be_timed_and_is_not_counted_where_chance_is(compared):
    timed, held = compared.results["sma_cross", "BTC/USDT"], compared.results["hold", "BTC/USDT"]
    ten = {(f"timed {number}", "BTC/USDT"): timed for number in range(10)}
    assert Comparison(ten | {("hold", "BTC/USDT"): held}, {}).verdict.endswith("chance alone gives about 0")


def test_of_two_symbols_a_pair_reads_the_other_one(stocked):
    compared = compare_strategies([make_strategy("pairs", window=60)], ["BTC/USDT", "ETH/USDT"], "1h", period=PERIOD)
    assert compared.left_out == {}
    read = {symbol: result.slots[0].strategy.other for (_, symbol), result in compared.results.items()}
    assert read == {"BTC/USDT": "ETH/USDT", "ETH/USDT": "BTC/USDT"}


def test_a_strategy_that_was_left_out_has_its_row_which_says_so(compared):
    figure = comparison_figure(compared.table, label=compared.label, left_out=compared.left_out)
    said = [note.y for note in figure.layout.annotations if note.text == "left out"]
    assert said == ["ml_basic", "ml_basic"]
    assert "ml_basic" in figure.layout.yaxis.categoryarray


def test_a_market_without_a_model_gets_one_and_a_failure_is_said(stocked, monkeypatch):
    def failing(*_, symbol, **__):
        if symbol == "ETH/USDT":
            raise RunError("02_train.ipynb failed: too few bars")
        return "the-run"

    monkeypatch.setattr("atb.workbench.runs.record_run", failing)
    said = ensure_models(["BTC/USDT", "ETH/USDT"], "1h")
    assert said[0] == "Model of BTC/USDT 1h: trained by run the-run."
    assert "the training failed (02_train.ipynb failed: too few bars)" in said[1]


def test_the_figure_has_a_dot_a_bar_and_a_line_for_each(compared):
    figure = comparison_figure(compared.table, label=compared.label)
    dots = [trace for trace in figure.data if isinstance(trace, go.Scatter)]
    assert sum(len(trace.x) for trace in dots) == len(compared.table)
    assert [axis.title.text for axis in figure.select_yaxes()] == ["BTC/USDT", "ETH/USDT"]
    assert len(figure.layout.shapes) == 2
    with pytest.raises(InputError, match="no result to draw"):
        comparison_figure(compared.table.iloc[:0], label="none")
