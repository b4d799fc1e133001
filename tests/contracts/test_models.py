"""Every kind of model: its graph equals the classifier, row by row and in bulk, and its bundle cannot be touched."""

import hashlib
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from atb.errors import ModelError
from atb.prediction.bundle import load_bundle
from atb.prediction.export import check_parity, to_onnx
from atb.prediction.inference import open_session, predict_rows
from atb.prediction.predictor import OnnxPredictor
from atb.prediction.recipes import MODELS, Recipe, Trained, train
from tests.prediction.models import saved, trained
from tests.timeouts import PATIENCE_S


@pytest.fixture(params=MODELS)
def kind(request) -> str:
    return request.param


@cache
def graph(kind: str) -> bytes:
    return to_onnx(trained(kind))


def held_out(model: Trained) -> np.ndarray:
    return model.inputs[model.rows("test")]


def test_the_graph_equals_the_classifier_on_held_out_rows(kind):
    parity = check_parity(trained(kind), graph(kind), thresholds=(0.5, 0.55))
    assert parity.rows > 5_000
    assert parity.largest_difference < 1e-5
    assert sum(parity.flipped.values()) <= 1


def test_another_classifiers_graph_is_refused(kind):
    other = train(trained(kind).bars, Recipe(model=kind, horizon=3))
    with pytest.raises(ModelError, match="differs from the trained model"):
        check_parity(trained(kind), to_onnx(other))


def test_a_lone_row_equals_its_batch_bit_by_bit(kind):
    session, inputs = open_session(graph(kind)), held_out(trained(kind))[:400]
    batch = predict_rows(session, inputs)
    lone = np.concatenate([predict_rows(session, inputs[[row]]) for row in range(len(inputs))])
    assert lone.tobytes() == batch.tobytes()


@pytest.mark.parametrize("size", [2, 3, 7, 64, 1000])
def test_a_row_does_not_know_how_many_are_asked_with_it(kind, size):
    session, inputs = open_session(graph(kind)), held_out(trained(kind))[:3000]
    batch = predict_rows(session, inputs)
    parts = [predict_rows(session, inputs[at : at + size]) for at in range(0, len(inputs), size)]
    assert np.concatenate(parts).tobytes() == batch.tobytes()


def test_training_again_gives_the_same_bytes(kind):
    assert to_onnx(train(trained(kind).bars, Recipe(model=kind))) == graph(kind)


def test_another_process_trains_the_same_bytes(kind):
    program = (
        "import hashlib; from atb.data.providers.sample import sample_bars; from atb.prediction.export import to_onnx;"
        "from atb.prediction.recipes import Recipe, train;"
        f"print(hashlib.sha256(to_onnx(train(sample_bars()[0], Recipe(model={kind!r})))).hexdigest())"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=PATIENCE_S
    )
    assert done.stdout.strip() == hashlib.sha256(graph(kind)).hexdigest()


def test_gives_one_output_and_it_is_a_probability(kind):
    session = open_session(graph(kind))
    assert [output.name for output in session.get_outputs()] == ["probabilities"]
    probabilities = session.run(None, {"features": held_out(trained(kind))})[0]
    assert probabilities.shape[1] == 2
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-6)


def test_predicts_whether_the_price_rises(kind, tmp_path):
    model = trained(kind)
    predictor = OnnxPredictor(load_bundle(saved(kind, tmp_path)))
    predicted = predictor.predict(model.bars.frame)
    rows = model.rows("test")
    hopeful = predicted[rows] > np.median(predicted[rows])
    assert model.forward[rows][hopeful].mean() > model.forward[rows][~hopeful].mean()


@pytest.mark.parametrize("place", [0, 100, -1])
@pytest.mark.parametrize("file", ["model.onnx", "card.json"])
def test_one_changed_byte_is_refused_by_the_files_name(kind, file, place, tmp_path):
    bundle = saved(kind, tmp_path)
    content = bytearray((bundle / file).read_bytes())
    content[place] ^= 1
    (bundle / file).write_bytes(content)
    with pytest.raises(ModelError, match=file):
        load_bundle(bundle)


def test_a_bundle_works_wherever_it_is_copied(kind, tmp_path):
    bundle = saved(kind, tmp_path)
    copy = Path(shutil.copytree(bundle, tmp_path / "elsewhere"))
    assert load_bundle(copy).fingerprint == load_bundle(bundle).fingerprint
