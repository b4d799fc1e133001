"""ONNX export: a fitted classifier becomes a graph of probabilities, and held-out rows prove that it is the same model."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from atb.errors import ModelError
from atb.prediction.inference import open_session, predict_rows
from atb.prediction.recipes import Trained

OPSET = {"": 18, "ai.onnx.ml": 3}  # fixed: the same classifier gives the same bytes
TOLERANCE = 1e-5


@dataclass(frozen=True, slots=True)
class Parity:
    """How far the graph is from the classifier it was made of, on rows neither was fitted on.

    Parameters
    ----------
    rows
        Rows compared.
    largest_difference
        Of two probabilities of the same row.
    flipped
        Threshold -> rows that lie on different sides of it.
    """

    rows: int
    largest_difference: float
    flipped: dict[float, int]


def to_onnx(trained: Trained) -> bytes:
    """Return the graph: `features` float32 (rows, columns) in, `probabilities` float32 (rows, 2) out.

    The label output is dropped: its declared shape is wrong for batches, and every consumer sets its own threshold.
    """
    from skl2onnx import convert_sklearn
    from skl2onnx.common.data_types import FloatTensorType

    types = [("features", FloatTensorType([None, trained.inputs.shape[1]]))]
    model = convert_sklearn(
        trained.classifier, trained.recipe.name, types, target_opset=OPSET, options={"zipmap": False}
    )
    graph = _only(model, "probabilities")
    _sort_opsets(graph)
    return graph.SerializeToString(deterministic=True)  # type: ignore[no-any-return] # no types there


def check_parity(trained: Trained, model: bytes, thresholds: Iterable[float] = (0.5,)) -> Parity:
    """Compare graph and classifier on the validation and test rows.

    Raises
    ------
    ModelError
        If any probability differs by more than 1e-5.
    """
    rows = np.concatenate([trained.rows("validation"), trained.rows("test")])
    exported = predict_rows(open_session(model), trained.inputs[rows])
    parity = compare(trained.probabilities(rows), exported, thresholds)
    if not parity.largest_difference <= TOLERANCE:
        raise ModelError(
            f"The exported graph differs from the trained model by more than {TOLERANCE:g}",
            found=parity.largest_difference,
            todo="Do not use it: report the model and the versions of scikit-learn and skl2onnx",
        )
    return parity


def compare(fitted: NDArray[np.float64], exported: NDArray[np.float64], thresholds: Iterable[float]) -> Parity:
    """Return the parity of two columns of probabilities of the same rows."""
    flipped = {float(at): int(np.sum((fitted >= at) != (exported >= at))) for at in thresholds}
    return Parity(len(fitted), float(np.max(np.abs(fitted - exported))), flipped)


def _only(model: Any, output: str) -> Any:
    """Return the model with no graph output but one, and no node that fed only the others."""
    from onnx import checker

    graph = model.graph
    kept = [value for value in graph.output if value.name == output]
    del graph.output[:]
    graph.output.extend(kept)
    wanted = {output}
    for node in reversed(list(graph.node)):  # nodes are sorted: users come after makers
        if wanted.isdisjoint(node.output):
            graph.node.remove(node)
        else:
            wanted.update(node.input)
    checker.check_model(model)
    return model


def _sort_opsets(model: Any) -> None:
    """Put the operator sets in order: the converter lists them as a Python set does, differently in each process."""
    ordered = sorted(((entry.domain, entry.version) for entry in model.opset_import), reverse=True)
    for entry, (domain, version) in zip(model.opset_import, ordered, strict=True):
        entry.domain, entry.version = domain, version
