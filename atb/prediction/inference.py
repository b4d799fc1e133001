"""Running a graph: an onnxruntime session that answers the same on every machine, and probabilities for rows of features."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
FeatureRows = NDArray[np.float32]
_NOWHERE = "/dev/null/no-folder"  # the folder for external weights of a graph: there is none


def open_session(model: bytes) -> Any:
    """Return an onnxruntime session on one thread: sums are taken in one order, on every machine with the same kernels.

    A graph that reads other files is refused: no hash covers them.
    """
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
    options.log_severity_level = 4
    options.add_session_config_entry("session.model_external_initializers_file_folder_path", _NOWHERE)
    return ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def predict_rows(session: Any, inputs: FeatureRows) -> Array:
    """Return the probability of a rise for each row of features (float32, rows x columns); NaN where a feature is missing.

    A lone row is doubled: a matrix of one row takes another path through the linear algebra, and its last bits differ.
    """
    predictions = np.full(len(inputs), np.nan)
    complete = np.flatnonzero(np.isfinite(inputs).all(axis=1))
    if len(complete):
        rows = inputs[complete if len(complete) > 1 else np.repeat(complete, 2)]
        probabilities = session.run(None, {session.get_inputs()[0].name: rows})[0]
        predictions[complete] = probabilities[: len(complete), 1]
    return predictions
