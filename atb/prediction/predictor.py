"""The predictor: a verified bundle's graph behind the domain's port, one ONNX call for a whole history."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from atb.domain import Symbol, Timeframe
from atb.domain.inputs import Input, Known
from atb.features.sets import feature_set
from atb.prediction.bundle import Bundle
from atb.prediction.inference import Array, FeatureRows, open_session, predict_rows

if TYPE_CHECKING:
    import pandas as pd


class OnnxPredictor:
    """A domain `Predictor`: the probability, 0 to 1, that the log return over the card's horizon is above 0.

    A row's prediction does not depend, to the last bit, on the other rows of the call (a contract test proves it for each kind).
    So predictions of the call before are kept, and a history that grew by one bar costs one row.
    """

    def __init__(self, bundle: Bundle) -> None:
        self.bundle = bundle
        self._features = feature_set(bundle.card["feature_set"])
        self._session = open_session(bundle.model)
        self._seen: FeatureRows = np.empty((0, len(self._features.columns)), np.float32)
        self._predictions: Array = np.empty(0)

    def __reduce__(self) -> tuple[type["OnnxPredictor"], tuple[Bundle]]:
        """Go to another process as the bundle alone: what was predicted stays behind."""
        return OnnxPredictor, (self.bundle,)

    @property
    def symbol(self) -> Symbol:
        """The only symbol this model may predict."""
        return self.bundle.symbol

    @property
    def timeframe(self) -> Timeframe:
        """The only timeframe this model may predict."""
        return self.bundle.timeframe

    @property
    def warmup(self) -> int:
        """Bars needed before the first prediction."""
        return self._features.warmup

    @property
    def inputs(self) -> Mapping[str, Input]:
        """The inputs that the model reads beside the bars; empty for most."""
        return self._features.inputs

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the model's bytes and card."""
        return self.bundle.fingerprint

    def predict(self, bars: "pd.DataFrame", inputs: Mapping[str, Known] | None = None) -> Array:
        """Return one probability per row; NaN while warming up, and where an input is missing.

        Row t uses bars up to and including t, and what was known at its close.
        """
        rows = self._features.values(bars, inputs).astype(np.float32)
        known = _common_rows(self._seen, rows)
        predictions = np.concatenate([self._predictions[:known], predict_rows(self._session, rows[known:])])
        self._seen, self._predictions = rows, predictions
        return predictions.copy()


def _common_rows(old: FeatureRows, new: FeatureRows) -> int:
    """Return how many leading rows are the same, bit by bit: all of `old`, or none."""
    return len(old) if len(old) <= len(new) and old.tobytes() == new[: len(old)].tobytes() else 0
