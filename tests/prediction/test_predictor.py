"""The predictor: causal, warm when it says so, the same alone as in bulk, and light to import."""

import subprocess
import sys
from datetime import UTC, datetime

import numpy as np
import pytest

from atb.domain import Predictor
from atb.engine.prepare import signals_of
from atb.engine.slot import OF_THE_MODEL, Slot
from atb.errors import InputError
from atb.features.sets import FEATURE_SETS
from atb.prediction.bundle import load_bundle, save_bundle
from atb.prediction.evaluation import evaluate
from atb.prediction.export import check_parity, to_onnx
from atb.prediction.inference import open_session, predict_rows
from atb.prediction.predictor import OnnxPredictor
from atb.prediction.recipes import Recipe, train
from atb.strategies import make_strategy
from tests.bars import bars_of, random_walk
from tests.contracts.columns import input_rows, prefix_differences
from tests.prediction.models import market, saved, trained
from tests.timeouts import PATIENCE_S


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    return load_bundle(saved("logistic", tmp_path_factory.mktemp("models")))


BARS = market()[0].frame.iloc[-1500:]


def test_is_a_domain_predictor_of_one_symbol_and_timeframe(bundle):
    predictor = OnnxPredictor(bundle)
    assert isinstance(predictor, Predictor)
    assert (str(predictor.symbol), str(predictor.timeframe)) == ("BTC/USDT", "1h")
    assert predictor.fingerprint == bundle.fingerprint
    assert len(predictor.fingerprint) == 64


def test_is_silent_until_warm_and_complete_after(bundle):
    predictor = OnnxPredictor(bundle)
    predictions = predictor.predict(BARS)
    assert predictions.dtype == np.float64
    assert np.isnan(predictions[: predictor.warmup]).all()
    assert ((predictions[predictor.warmup :] > 0) & (predictions[predictor.warmup :] < 1)).all()


def test_the_window_of_a_prediction_ends_at_the_decision_bar(bundle):
    """Whatever comes after bar t, the prediction at t has the same bits."""
    cuts = (600, 601, 777, 1499)
    assert prefix_differences(lambda bars: OnnxPredictor(bundle).predict(bars), BARS, cuts) == []
    predictions = OnnxPredictor(bundle).predict(BARS)
    for cut in cuts:
        future = BARS.copy()
        future.iloc[cut:] = BARS.iloc[cut:] * 2
        assert OnnxPredictor(bundle).predict(future)[:cut].tobytes() == predictions[:cut].tobytes()


def test_the_decision_bar_itself_is_in_the_window(bundle):
    """A forecast of a bar that is known already would not move with it."""
    last = BARS.copy()
    last.iloc[-1, last.columns.get_loc("close")] *= 1.001
    assert OnnxPredictor(bundle).predict(last)[-1] != OnnxPredictor(bundle).predict(BARS)[-1]


def test_the_window_of_a_prediction_starts_at_the_warmup(bundle):
    predictor = OnnxPredictor(bundle)
    whole = predictor.predict(BARS)
    for row in (700, 1100, 1499):
        short = OnnxPredictor(bundle).predict(BARS.iloc[row - predictor.warmup : row + 1])[-1]
        assert short == pytest.approx(whole[row], abs=1e-6)


def test_a_growing_history_gives_the_bits_of_the_whole_one(bundle):
    """One predictor asked bar by bar, as live does, against another asked once."""
    growing = OnnxPredictor(bundle)
    last = [growing.predict(BARS.iloc[:n])[-1] for n in range(1400, 1501)]
    assert np.array(last).tobytes() == OnnxPredictor(bundle).predict(BARS)[1399:].tobytes()


def test_a_growing_history_asks_the_graph_for_its_new_row_only(bundle, monkeypatch):
    from atb.prediction import predictor as module

    predictor, asked = OnnxPredictor(bundle), []
    plain = module.predict_rows
    monkeypatch.setattr(module, "predict_rows", lambda s, rows: asked.append(len(rows)) or plain(s, rows))
    for n in (1400, 1401, 1402, 1402):
        predictor.predict(BARS.iloc[:n])
    assert asked == [1400, 1, 1, 0]


def test_remembers_nothing_of_another_history(bundle):
    predictor = OnnxPredictor(bundle)
    predictor.predict(BARS)
    other = market()[1].frame.iloc[-1501:]
    assert predictor.predict(other).tobytes() == OnnxPredictor(bundle).predict(other).tobytes()


def test_what_it_returned_can_be_changed_without_harm(bundle):
    predictor = OnnxPredictor(bundle)
    predictions = predictor.predict(BARS)
    kept = predictions.copy()
    predictions[:] = 0
    assert predictor.predict(BARS).tobytes() == kept.tobytes()


def test_an_empty_history_gives_an_empty_column(bundle):
    assert len(OnnxPredictor(bundle).predict(BARS.iloc[:0])) == 0


def test_ml_basic_trades_on_it_out_of_sample(bundle):
    model, strategy = trained(), make_strategy("ml_basic")
    frame = model.bars.frame.assign(prediction=OnnxPredictor(bundle).predict(model.bars.frame))
    side = strategy.signals(frame).side[model.split.test.start :]
    said = side[~np.isnan(side)]
    entries = int(((said[1:] == 1) & (said[:-1] == 0)).sum())
    assert entries > 10


def test_loading_a_model_loads_no_training_library(bundle):
    program = (
        "import sys; from pathlib import Path; from atb.prediction.bundle import find_bundle, load_bundle;"
        "from atb.prediction.predictor import OnnxPredictor;"
        f"OnnxPredictor(load_bundle(Path({str(bundle.path)!r})));"
        "heavy = ('sklearn', 'skl2onnx', 'onnx', 'scipy', 'plotly', 'vectorbt', 'papermill', 'IPython');"
        "print([name for name in heavy if name in sys.modules])"
    )
    predictions = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=PATIENCE_S
    )
    assert predictions.stdout.strip() == "[]"


def test_a_set_with_an_input_trains_a_model_that_declares_it_and_reads_it_again(tmp_path):
    bars, rows = bars_of(random_walk(2_000, seed=5), symbol="ETH/USDT"), input_rows("sentiment")
    with pytest.raises(InputError, match="feature set sentiment needs an input that was not given; found 'mood"):
        train(bars, Recipe(feature_set="sentiment"))
    model = train(bars, Recipe(name="moody", feature_set="sentiment"), rows)
    graph = to_onnx(model)
    parity, evaluation = check_parity(model, graph), evaluate(model, graph)
    folder = save_bundle(
        model, evaluation, model=graph, parity=parity, root=tmp_path, now=datetime(2025, 1, 1, tzinfo=UTC)
    )
    moody = load_bundle(folder)
    assert moody.card["feature_set_version"] == 1
    assert moody.card["feature_inputs"]["mood"]["fingerprint"] == rows["mood"].fingerprint
    predictor = OnnxPredictor(moody)
    assert predictor.inputs == FEATURE_SETS["sentiment"].inputs
    slot = Slot(make_strategy("ml_basic"), bars, predictor=predictor, inputs={OF_THE_MODEL + "mood": rows["mood"]})
    _, prediction = signals_of(slot)
    np.testing.assert_array_equal(prediction, predict_rows(open_session(graph), model.inputs))


def test_rows_without_an_input_are_not_learned_from():
    bars = bars_of(random_walk(2_000, seed=5), symbol="ETH/USDT")
    rows = input_rows("sentiment")["mood"]
    ended = rows.part(0, int(np.searchsorted(rows.known_ms, bars.closed_ms[1_900])))
    model = train(bars, Recipe(feature_set="sentiment"), {"mood": ended})
    assert np.isnan(model.inputs[-1]).any()
    assert 1_850 < max(model.rows("test")) < 1_980
