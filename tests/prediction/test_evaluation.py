"""Scores against numbers worked out by hand, and a verdict that follows from them."""

import numpy as np
import pytest

from atb.errors import InputError
from atb.prediction.evaluation import BASELINES, calibration_table, decile_table, evaluate, score
from atb.prediction.export import to_onnx
from atb.prediction.recipes import train
from tests.bars import bars_of, random_walk
from tests.prediction.models import exported, trained


def test_scores_by_hand():
    """Rises got 0.8 and 0.4, falls 0.6 and 0.2: three of four pairs are in order, two of four calls are right."""
    scores = score(np.array([0.8, 0.6, 0.4, 0.2]), np.array([1.0, 0.0, 1.0, 0.0]))
    assert scores["auc"] == 0.75
    assert scores["accuracy"] == 0.5
    assert scores["brier"] == pytest.approx((0.04 + 0.36 + 0.36 + 0.04) / 4)
    assert scores["log_loss"] == pytest.approx(-(2 * np.log(0.8) + 2 * np.log(0.4)) / 4)


def test_a_call_is_scored_by_its_direction():
    scores = score(np.full(4, 0.4), np.array([1.0, 0.0, 1.0, 0.0]), call=np.array([1.0, -1.0, 1.0, 1.0]))
    assert scores["accuracy"] == 0.75
    assert scores["auc"] == 0.75


def test_baselines_are_the_simple_rules_on_the_same_rows():
    model = trained()
    evaluation = exported()[2]
    rows = model.rows("test")
    close = model.bars.frame["close"].to_numpy()
    rises = close[rows + 12] > close[rows]
    went_up = close[rows] > close[rows - 1]
    table = evaluation.table("test")
    assert list(table.index) == ["model", *BASELINES]
    assert (table["rows"] == len(rows)).all()
    assert table.loc["hold", "accuracy"] == rises.mean()
    assert table.loc["persistence", "accuracy"] == (went_up == rises).mean()
    assert table.loc["reversal", "accuracy"] == (went_up != rises).mean()
    assert table.loc["momentum", "accuracy"] == ((close[rows] > close[rows - 12]) == rises).mean()
    assert table.loc["hold", "auc"] == 0.5


def test_a_baselines_odds_come_from_the_training_rows():
    model = trained()
    share = model.label[model.rows("train")].mean()
    rises = model.label[model.rows("test")]
    assert exported()[2].baselines["test"]["hold"]["brier"] == pytest.approx(np.mean((rises - share) ** 2))


def test_a_model_of_the_synthetic_edge_beats_them_and_says_by_how_much():
    evaluation = exported()[2]
    assert evaluation.beats_baselines
    assert evaluation.verdict.startswith("Beats every baseline out of sample: test AUC 0.5")
    assert "standard errors" in evaluation.verdict


def test_a_model_of_noise_says_that_it_does_not():
    model = train(bars_of(random_walk(6_000, seed=11)))
    evaluation = evaluate(model, to_onnx(model))
    assert not evaluation.beats_baselines
    assert evaluation.verdict.startswith("Does not beat the baselines out of sample")


def test_a_part_that_only_rises_is_refused_before_anything_is_trained():
    frame = random_walk(6_000, seed=3)
    rising = frame.copy()
    steps = np.where(np.arange(6_000) < 3_600, 1.0, np.arange(6_000) - 3_598.0)
    for name in ("open", "high", "low", "close"):
        rising[name] = frame[name].iloc[:3_600].reindex(frame.index).ffill() * steps
    with pytest.raises(InputError, match="only rises and no fall"):
        train(bars_of(rising))


def test_deciles_order_rows_by_prediction_with_equal_counts():
    forward = np.arange(100.0)
    table = decile_table(forward[::-1] / 100, forward)
    assert list(table.index) == list(range(1, 11))
    assert (table["rows"] == 10).all()
    assert table["forward_return"].is_monotonic_decreasing
    assert table.loc[1, "forward_return"] == 94.5
    assert table.loc[1, "error"] == pytest.approx(np.std(np.arange(10), ddof=1) / 10**0.5)


def test_calibration_sets_predicted_beside_observed():
    probability = np.repeat([0.2, 0.7], 50)
    label = np.concatenate([np.arange(50) < 10, np.arange(50) < 40]).astype(float)
    table = calibration_table(probability, label, bins=2)
    np.testing.assert_allclose(table["predicted"], [0.2, 0.7])
    np.testing.assert_allclose(table["observed"], [0.2, 0.8])
