"""Recipes: what training looks at, and what it refuses."""

import json
import time

import numpy as np
import pandas as pd
import pytest

from atb.domain import Bars
from atb.errors import InputError
from atb.prediction.recipes import MODELS, Recipe, train
from tests.bars import bars_of, ramp, random_walk
from tests.prediction.models import market, trained


@pytest.mark.parametrize("kind", MODELS)
def test_looks_at_nothing_after_the_training_rows_and_their_labels(kind):
    """Another future gives the same model: not even the scaler has seen it."""
    model = trained(kind)
    known = model.split.train[-1] + model.split.horizon + 1
    frame = model.bars.frame.copy()
    frame.iloc[known:] = frame.iloc[known:] * 3.0
    other = train(Bars(model.bars.symbol, model.bars.timeframe, frame, "test"), Recipe(model=kind))
    rows = model.rows("train")
    assert other.probabilities(rows).tobytes() == model.probabilities(rows).tobytes()


def test_finds_the_edge_that_the_synthetic_market_hides():
    from sklearn.metrics import roc_auc_score

    for which in (0, 1):
        model = trained("logistic", which)
        rows = model.rows("test")
        assert roc_auc_score(model.label[rows], model.probabilities(rows)) > 0.54


def test_finds_no_edge_where_there_is_none():
    from sklearn.metrics import roc_auc_score

    model = train(bars_of(random_walk(12_000, seed=2)))
    rows = model.rows("test")
    assert roc_auc_score(model.label[rows], model.probabilities(rows)) == pytest.approx(0.5, abs=0.05)


@pytest.mark.parametrize("kind", MODELS)
def test_three_years_of_hours_take_a_few_seconds(kind):
    began = time.process_time()
    train(market()[0], Recipe(model=kind))
    assert time.process_time() - began < 8


def test_inputs_are_what_the_graph_will_read():
    model = trained()
    assert model.inputs.dtype == np.float32
    assert model.inputs.shape == (len(model.bars), len(model.features.columns))


def test_uses_no_row_across_a_hole():
    frame = random_walk(6_000, seed=4)
    holed = frame.drop(frame.index[2_000:2_050])
    model = train(bars_of(holed))
    assert not set(model.rows("train")) & set(range(2_000 - model.recipe.horizon, 2_000))


def test_a_recipe_is_plain_json():
    plain = json.loads(json.dumps(Recipe().to_json()))
    assert Recipe(**{**plain, "fractions": tuple(plain["fractions"])}) == Recipe()


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"model": "logistics"}, "Did you mean 'logistic'"),
        ({"feature_set": "basics"}, "Did you mean 'basic'"),
        ({"seed": -1}, "A seed is"),
        ({"seed": True}, "A seed is"),
    ],
)
def test_refuses_what_is_not_registered(wrong, message):
    with pytest.raises(InputError, match=message):
        Recipe(**wrong)


def test_refuses_a_market_that_only_rises():
    with pytest.raises(InputError, match="only rises and no fall"):
        train(bars_of(ramp(up=3_000)))


def test_refuses_too_few_bars_with_the_number_needed():
    with pytest.raises(InputError, match="Load at least"):
        train(bars_of(random_walk(900)))


def test_a_horizon_in_days_works_too():
    days = pd.date_range("2015-01-01", periods=3_000, freq="1D", tz="UTC", name="timestamp")
    model = train(bars_of(random_walk(3_000, seed=6).set_axis(days), timeframe="1d"), Recipe(horizon=3))
    assert len(model.rows("test")) > 200
