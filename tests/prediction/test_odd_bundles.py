"""Bundles whose card agrees with a graph that no runner can use: one ModelError that names the file, whatever the graph is."""

import hashlib
import json
import os

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from atb.errors import ModelError
from atb.features.sets import FEATURE_SETS
from atb.prediction import bundle as bundles
from atb.prediction import card as cards
from atb.prediction.bundle import load_bundle
from tests.prediction.models import saved

COLUMNS = len(FEATURE_SETS["basic"].columns)


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    folder = saved("logistic", tmp_path_factory.mktemp("models"))
    return (folder / "model.onnx").read_bytes(), json.loads((folder / "card.json").read_bytes())


def changed(model, change):
    graph = onnx.load_from_string(model)
    change(graph)
    return graph.SerializeToString()


def tensor(name, kind, shape):
    return helper.make_tensor_value_info(name, kind, shape)


def made(nodes, inputs, outputs, initializers=()):
    graph = helper.make_graph(nodes, "made", inputs, outputs, initializers)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8).SerializeToString()


def weights(rows=COLUMNS, columns=2):
    return numpy_helper.from_array(np.full((rows, columns), 0.5, np.float32), "w")


def product(inputs, outputs, **more):
    return made([helper.make_node("MatMul", ["x", "w"], ["y"])], inputs, outputs, [weights(**more)])


def outside(model):
    """Say that the weights are in a file beside the graph, as exporters do with large ones."""
    graph = onnx.load_from_string(model)
    for tensor in graph.graph.initializer:
        content = tensor.raw_data
        tensor.ClearField("raw_data")
        tensor.data_location = TensorProto.EXTERNAL
        for key, value in (("location", "weights.bin"), ("offset", "0"), ("length", str(len(content)))):
            tensor.external_data.add(key=key, value=value)
    return graph.SerializeToString()


ROWS, PAIR = tensor("x", TensorProto.FLOAT, ["n", COLUMNS]), tensor("y", TensorProto.FLOAT, ["n", 2])


def two_outputs():
    two = [helper.make_node("MatMul", ["x", "w"], ["y"]), helper.make_node("Identity", ["y"], ["z"])]
    return made(two, [ROWS], [PAIR, tensor("z", TensorProto.FLOAT, ["n", 2])], [weights()])


TABLES = {
    "other columns": lambda: product([tensor("x", TensorProto.FLOAT, ["n", 3])], [PAIR], rows=3),
    "one row alone": lambda: product([tensor("x", TensorProto.FLOAT, [1, COLUMNS])], [tensor("y", TensorProto.FLOAT, [1, 2])]),
    "as many rows as there are fixtures": lambda: product(
        [tensor("x", TensorProto.FLOAT, [8, COLUMNS])], [tensor("y", TensorProto.FLOAT, [8, 2])]
    ),
    "no dimension": lambda: made(
        [helper.make_node("Identity", ["x"], ["y"])], [tensor("x", TensorProto.FLOAT, [])], [tensor("y", TensorProto.FLOAT, [])]
    ),
    "three probabilities": lambda: product([ROWS], [tensor("y", TensorProto.FLOAT, ["n", 3])], columns=3),
    "whole numbers": lambda: made(
        [helper.make_node("MatMul", ["x", "w"], ["z"]), helper.make_node("Cast", ["z"], ["y"], to=TensorProto.INT64)],
        [ROWS], [tensor("y", TensorProto.INT64, ["n", 2])], [weights()],
    ),
    "text": lambda: made(
        [helper.make_node("Identity", ["x"], ["y"])], [tensor("x", TensorProto.STRING, ["n", COLUMNS])],
        [tensor("y", TensorProto.STRING, ["n", COLUMNS])],
    ),
    "a sequence": lambda: made(
        [helper.make_node("SequenceConstruct", ["x"], ["y"])], [ROWS],
        [helper.make_tensor_sequence_value_info("y", TensorProto.FLOAT, None)],
    ),
    "a second output": two_outputs,
    "fails when it is asked": lambda: made(
        [helper.make_node("Reshape", ["x", "shape"], ["y"])], [ROWS], [PAIR],
        [numpy_helper.from_array(np.array([7, 2], np.int64), "shape")],
    ),
    "an operator of nobody": lambda: made([helper.make_node("Of_nobody", ["x"], ["y"], domain="x.y")], [ROWS], [PAIR]),
    "no graph": lambda: b"\x08\x08",
    "text instead": lambda: b"<html>not found</html>",
}  # fmt: skip


CHANGES = {
    "operators of tomorrow": lambda graph: setattr(graph.opset_import[0], "version", 99),
    "a format of tomorrow": lambda graph: setattr(graph, "ir_version", 99),
    "doubles": lambda graph: setattr(graph.graph.input[0].type.tensor_type, "elem_type", TensorProto.DOUBLE),
    "a second input": lambda graph: graph.graph.input.append(tensor("extra", TensorProto.FLOAT, [None, 1])),
    "no input": lambda graph: graph.graph.ClearField("input"),
    "no output": lambda graph: graph.graph.ClearField("output"),
    "no node": lambda graph: graph.graph.ClearField("node"),
}


def agreed(card, model, folder, **changes):
    """Write a bundle whose card is whole and agrees with the graph's bytes."""
    card = {**card, "model_sha256": hashlib.sha256(model).hexdigest(), **changes}
    card["content_sha256"] = cards.content_sha256(card)
    folder.mkdir(exist_ok=True)
    (folder / "model.onnx").write_bytes(model)
    (folder / "card.json").write_bytes(cards.render(card))
    return folder


@pytest.mark.parametrize("what", [*TABLES, *CHANGES, "half a file", "no bytes"])
def test_a_graph_that_its_card_agrees_with_and_no_runner_can_use_is_refused_by_name(good, tmp_path, what, capfd):
    model, card = good
    if what in TABLES:
        content = TABLES[what]()
    elif what in CHANGES:
        content = changed(model, CHANGES[what])
    else:
        content = model[: len(model) // 2] if what == "half a file" else b""
    with pytest.raises(ModelError, match=r"model\.onnx"):
        load_bundle(agreed(card, content, tmp_path / "odd"))
    assert capfd.readouterr().err == "", "onnxruntime keeps its own words to itself"


def test_weights_outside_the_graph_are_refused_even_where_they_are(good, tmp_path, monkeypatch):
    content = product([ROWS], [PAIR])
    folder = agreed(good[1], outside(content), tmp_path / "odd")
    for place in (folder, tmp_path):
        (place / "weights.bin").write_bytes(onnx.load_from_string(content).graph.initializer[0].raw_data)
        monkeypatch.chdir(place)
        with pytest.raises(ModelError, match=r"model\.onnx is no graph that can be loaded"):
            load_bundle(folder)


@pytest.mark.parametrize(
    "fixtures",
    [{}, {"inputs": [], "outputs": []}, {"inputs": "x", "outputs": [1.0]}, {"inputs": [[1.0]], "outputs": [0.5]},
     {"inputs": [[0.0] * COLUMNS], "outputs": [[0.5, 0.5]]}, {"inputs": [[0.0] * COLUMNS] * 2, "outputs": [0.5]},
     {"inputs": [[{}] * COLUMNS], "outputs": [0.5]}, {"inputs": [[0.0], [0.0, 1.0]], "outputs": [0.5, 0.5]},
     {"inputs": [[2**62] * COLUMNS], "outputs": [None]}],
)  # fmt: skip
def test_fixtures_of_another_form_are_refused(good, tmp_path, fixtures):
    with pytest.raises(ModelError, match=r"card\.json: fixtures|answers its fixtures"):
        load_bundle(agreed(good[1], good[0], tmp_path / "odd", fixtures=fixtures))


@pytest.mark.parametrize(
    "text", [b"[" * 50_000 + b"]" * 50_000, b'{"schema": 1' + b"0" * 400 + b"}", b'{"seed": 1e999}', b"\xff"]
)
def test_a_card_that_is_made_to_hurt_is_no_json(good, tmp_path, text):
    folder = agreed(good[1], good[0], tmp_path / "odd")
    (folder / "card.json").write_bytes(text)
    with pytest.raises(ModelError, match=r"card\.json is no JSON"):
        load_bundle(folder)


@pytest.mark.parametrize("name", ["card.json", "model.onnx"])
def test_a_file_that_is_too_large_is_not_read(good, tmp_path, name):
    folder = agreed(good[1], good[0], tmp_path / "odd")
    os.truncate(folder / name, bundles.LARGEST[name] + 1)
    with pytest.raises(ModelError, match=f"{name} cannot be read: it is larger than"):
        load_bundle(folder)
