"""Export: the comparison finds what it should find."""

import numpy as np
import onnx

from atb.prediction.export import compare
from tests.prediction.models import exported


def test_counts_rows_on_different_sides_of_each_threshold():
    parity = compare(np.array([0.49, 0.51, 0.60]), np.array([0.50, 0.51, 0.54]), (0.5, 0.55))
    assert parity.rows == 3
    assert parity.flipped == {0.5: 1, 0.55: 1}
    assert abs(parity.largest_difference - 0.06) < 1e-12


def test_the_graph_is_valid_and_holds_no_node_without_use():
    model = onnx.load_from_string(exported()[0])
    onnx.checker.check_model(model, full_check=True)
    used = {name for node in model.graph.node for name in node.input} | {"probabilities"}
    assert all(used & set(node.output) for node in model.graph.node)
    assert [(i.name, i.type.tensor_type.elem_type) for i in model.graph.input] == [("features", onnx.TensorProto.FLOAT)]


def test_lists_its_operator_sets_in_an_order_of_its_own():
    """The converter's order changes from process to process, and with it the bytes."""
    model = onnx.load_from_string(exported("gradient_boosting")[0])
    domains = [entry.domain for entry in model.opset_import]
    assert len(domains) == 2
    assert domains == sorted(domains, reverse=True)
