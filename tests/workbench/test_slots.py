"""A prepared slot: the period asked for is traded whole, with the warm-up before it."""

import pandas as pd
import pytest

from atb.errors import DataError, InputError, ModelError
from atb.prediction.bundle import save_bundle
from atb.prediction.evaluation import evaluate
from atb.prediction.export import check_parity, to_onnx
from atb.prediction.recipes import Recipe, train
from atb.workbench import (
    ExecutionModel,
    Period,
    RiskPolicy,
    load_bars,
    make_strategy,
    prepare_slot,
    run,
)
from tests.bars import bars_of, random_walk

CROSS = make_strategy("sma_cross", fast=10, slow=40)


def train_model(bars, root):
    """Write a small model of these bars and return its folder."""
    trained = train(bars, Recipe())
    graph = to_onnx(trained)
    parity = check_parity(trained, graph, thresholds=(0.5,))
    return save_bundle(trained, evaluate(trained, graph), model=graph, parity=parity, root=root)


def test_days_count_back_from_the_last_stored_bar(stocked):
    slot, start = prepare_slot(CROSS, "BTCUSDT", "1h", period=Period(days=30))
    result = run(slot, start=start)
    assert str(result.index[0]) == "2024-12-02 00:00:00+00:00"
    assert len(result.index) == 30 * 24


def test_days_count_back_from_the_end_and_a_start_overrules_them(stocked):
    _, start = prepare_slot(CROSS, "BTCUSDT", "1h", period=Period(end="2024-06-01", days=10))
    assert start == pd.Timestamp("2024-05-22", tz="UTC")
    slot, start = prepare_slot(CROSS, "BTCUSDT", "1h", period=Period("2024-05-01", "2024-06-01", 10))
    assert start == pd.Timestamp("2024-05-01", tz="UTC")
    assert len(run(slot, start=start).index) == 31 * 24


def test_the_bars_begin_one_warm_up_before_the_first_traded_one(stocked):
    slot, start = prepare_slot(CROSS, "BTCUSDT", "1h", period=Period(days=30))
    assert slot.warmup == 39
    assert slot.bars.frame.index.searchsorted(start) == 39


def test_a_period_without_its_warm_up_is_refused(stocked):
    with pytest.raises(DataError, match="39 bars"):
        prepare_slot(CROSS, "BTCUSDT", "1h", period=Period("2022-01-01", "2022-02-01"))


def test_policies_and_the_venues_rules_reach_the_slot(stocked):
    policy, execution = RiskPolicy(fraction=0.3, stop_loss=0.02), ExecutionModel(fee=0.002)
    slot, _ = prepare_slot(CROSS, "ETH/USDT", "1h", policy=policy, execution=execution)
    assert (slot.policy, slot.execution) == (policy, execution)
    assert str(slot.rules.symbol) == "ETH/USDT"


@pytest.mark.parametrize("days", [0, -1, True, 1.5])
def test_a_period_has_a_length(days):
    with pytest.raises(InputError, match="days must be"):
        Period(days=days)


def test_a_predicting_strategy_without_a_model_says_how_to_make_one(stocked):
    with pytest.raises(ModelError, match="02_train"):
        prepare_slot(make_strategy("ml_basic"), "BTC/USDT", "1h")


def test_a_predicting_strategy_gets_the_model_of_its_symbol(stocked):
    folder = train_model(load_bars("BTC/USDT", "1h", end="2022-07-01"), stocked / "models")
    slot, start = prepare_slot(make_strategy("ml_basic"), "BTC/USDT", "1h", period=Period(days=30))
    assert slot.predictor.bundle.path == folder
    assert slot.bars.frame.index.searchsorted(start) == slot.predictor.warmup
    with pytest.raises(ModelError, match="ETH/USDT"):
        prepare_slot(make_strategy("ml_basic"), "ETH/USDT", "1h")


def test_a_model_of_made_up_bars_is_not_asked_about_a_market(stocked):
    from atb.data.catalogue.writing import save_bars

    train_model(load_bars("BTC/USDT", "1h", end="2022-07-01"), stocked / "models")
    save_bars(bars_of(random_walk(3_000), venue="mine"), root=stocked / "bars", source="test")
    with pytest.raises(ModelError, match="trained on SYNTHETIC data"):
        prepare_slot(make_strategy("ml_basic"), "BTC/USDT", "1h", period=Period(days=10))


@pytest.mark.parametrize("days", [0, -1, 36_501, 999_999, 1.5, True])
def test_a_period_of_no_length_or_beyond_the_calendar_is_refused(days):
    with pytest.raises(InputError, match="days must be"):
        Period(days=days)
