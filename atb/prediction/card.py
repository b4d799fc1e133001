"""The card: what a bundle says about its model, and the checks that hold it to that."""

import contextlib
import hashlib
import json
import platform
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from atb import __version__
from atb.errors import ModelError
from atb.features import indicators, sets
from atb.prediction.inference import open_session, predict_rows

if TYPE_CHECKING:
    from atb.prediction.evaluation import Evaluation
    from atb.prediction.export import Parity
    from atb.prediction.recipes import Trained

SCHEMA = 2  # 1 had neither the version nor the inputs of the feature set
FIXTURES = 8  # rows with known answers that every loading asks again
REPLAY_TOLERANCE = 1e-6  # float32 on another processor; a wrong model is off by far more
LIBRARIES = ("numpy", "pandas", "TA-Lib", "scikit-learn", "skl2onnx", "onnx", "onnxruntime")
FIELDS: dict[str, type | tuple[type, ...]] = {
    "schema": int, "name": str, "version": str, "created": str, "symbol": str, "timeframe": str, "venue": str,
    "synthetic": bool, "inputs": list, "feature_set": str, "feature_set_version": int, "feature_inputs": dict,
    "feature_source_sha256": str, "warmup": int, "window": int, "horizon": int, "output": str, "normalisation": str,
    "recipe": dict, "seed": int, "periods": dict, "data": list,
    "versions": dict, "metrics": dict, "baselines": dict, "beats_baselines": bool, "verdict": str, "parity": dict,
    "fixtures": dict, "model_sha256": str, "content_sha256": str,
}  # fmt: skip
RETRAIN = "Train it again (notebooks/02_train.ipynb) or restore the bundle"


def make_card(
    trained: "Trained", evaluation: "Evaluation", *, model: bytes, parity: "Parity", now: datetime
) -> dict[str, Any]:
    """Return the card of a trained model as plain values, content hash included."""
    recipe, bars = trained.recipe, trained.bars
    digest = hashlib.sha256(model).hexdigest()
    stamp = now.astimezone(UTC).strftime("%Y%m%dT%H%M%S%f")[:-3] + "Z"
    card: dict[str, Any] = {
        "schema": SCHEMA,
        "name": recipe.name,
        "version": f"{stamp}-{digest[:8]}",
        "created": now.astimezone(UTC).isoformat(),
        "symbol": str(bars.symbol),
        "timeframe": str(bars.timeframe),
        "venue": bars.venue,
        "synthetic": bars.synthetic,
        "inputs": list(trained.features.columns),
        "feature_set": recipe.feature_set,
        "feature_set_version": trained.features.version,
        "feature_inputs": {name: rows.identity() for name, rows in trained.given.items()},
        "feature_source_sha256": feature_source_sha256(),
        "warmup": trained.features.warmup,
        "window": trained.features.warmup + 1,
        "horizon": recipe.horizon,
        "output": f"probability that log(close[t+{recipe.horizon}] / close[t]) is above 0, t being the decision bar",
        "normalisation": _normalisation(trained),
        "recipe": recipe.to_json(),
        "seed": recipe.seed,
        "periods": _periods(trained),
        "data": [{"label": bars.label, "fingerprint": bars.fingerprint, "bars": len(bars)}],
        "versions": {name: metadata.version(name) for name in LIBRARIES}
        | {"python": platform.python_version(), "atb": __version__},
        "metrics": evaluation.metrics,
        "baselines": evaluation.baselines,
        "beats_baselines": evaluation.beats_baselines,
        "verdict": evaluation.verdict,
        "parity": {
            "rows": parity.rows,
            "largest_difference": parity.largest_difference,
            "flipped": {f"{at:g}": count for at, count in parity.flipped.items()},
        },
        "fixtures": _fixtures(trained, model),
        "model_sha256": digest,
    }
    return card | {"content_sha256": content_sha256(card)}


def render(card: Mapping[str, Any]) -> bytes:
    """Return the only bytes a card's file may have."""
    return (json.dumps(card, indent=2, sort_keys=True, allow_nan=False, ensure_ascii=False) + "\n").encode()


def content_sha256(card: Mapping[str, Any]) -> str:
    """Return the hash of everything on the card but the hash itself."""
    return hashlib.sha256(render({key: value for key, value in card.items() if key != "content_sha256"})).hexdigest()


def feature_source_sha256() -> str:
    """Return the hash of the source of the features: another source may mean other inputs under the same names."""
    digest = hashlib.sha256()
    for package in (indicators, sets):
        for file in sorted(Path(str(package.__file__)).parent.glob("*.py")):
            digest.update(file.read_bytes().replace(b"\r\n", b"\n"))
    return digest.hexdigest()


def check_card(card: object, raw: bytes, where: Path) -> dict[str, Any]:
    """Return the card if its file is whole, or refuse it.

    Raises
    ------
    ModelError
        If a field is missing, unknown or of another type, or a byte is not the one that was written.
    """
    if not isinstance(card, dict) or card.get("schema") != SCHEMA:
        raise ModelError(f"{where} is no model card of schema {SCHEMA}", todo=RETRAIN)
    if missing := sorted(FIELDS.keys() ^ card.keys()):
        raise ModelError(f"{where} lacks or has too much of: {', '.join(missing)}", todo=RETRAIN)
    for name, kind in FIELDS.items():
        if not isinstance(card[name], kind) or (kind is int and isinstance(card[name], bool)):
            raise ModelError(f"{where}: {name} has the wrong type", found=card[name], todo=RETRAIN)
    if raw != render(card) or card["content_sha256"] != content_sha256(card):
        raise ModelError(f"{where} was changed after it was written: its content hash does not match", todo=RETRAIN)
    return card


def check_features(card: Mapping[str, Any], where: Path) -> None:
    """Refuse a card whose inputs are not what this program would compute.

    Raises
    ------
    ModelError
        If the feature set is unknown, has another version, other columns or another warm-up, or its source changed since
        the training.
    """
    known = sets.FEATURE_SETS.get(card["feature_set"])
    if known is None:
        raise ModelError(f"{where}: unknown feature set", found=card["feature_set"], todo=RETRAIN)
    if known.version != card["feature_set_version"]:
        raise ModelError(f"{where}: feature set {known.name} has another version now", todo=RETRAIN,
                         found=f"{known.version}, the model read {card['feature_set_version']}")  # fmt: skip
    if list(known.columns) != card["inputs"] or known.warmup != card["warmup"]:
        raise ModelError(f"{where}: feature set {known.name} has other columns or another warm-up now", todo=RETRAIN)
    if card["feature_source_sha256"] != feature_source_sha256():
        raise ModelError(
            f"{where}: the source of the features (atb/features) changed since this model was trained",
            todo="Train it again: the model would read other inputs than it learned from",
        )


def check_graph(card: Mapping[str, Any], model: bytes, where: Path) -> None:
    """Refuse a graph that is not the card's: its hash, its shapes, and its answers to the fixtures.

    Raises
    ------
    ModelError
        Naming `model.onnx`.
    """
    if hashlib.sha256(model).hexdigest() != card["model_sha256"]:
        raise ModelError(f"{where} was changed after it was written: its SHA-256 is not the card's", todo=RETRAIN)
    session = _opened(model, where)
    _check_form(session, len(card["inputs"]), where)
    inputs, expected = _answers(card, where)
    outputs = _fixture_outputs(session, inputs, where)
    worst = float(np.max(np.abs(outputs - expected)))
    if not worst <= REPLAY_TOLERANCE:
        raise ModelError(f"{where} answers its fixtures differently than when it was made", found=worst, todo=RETRAIN)


def _opened(model: bytes, where: Path) -> Any:
    try:
        return open_session(model)
    except Exception as refused:  # noqa: BLE001 - onnxruntime's errors have no base but Exception
        raise ModelError(
            f"{where} is no graph that can be loaded here", found=_first_line(refused), todo=RETRAIN
        ) from None


def _check_form(session: Any, columns: int, where: Path) -> None:
    """Refuse a graph that does not take rows of features alone and give two probabilities for each, any number of rows."""
    inputs, outputs = session.get_inputs(), session.get_outputs()
    if len(inputs) != 1 or len(outputs) != 1 or not (_is_table(inputs[0], columns) and _is_table(outputs[0], 2)):
        found = "; ".join(
            f"{what} {[(node.type, node.shape) for node in nodes]}"
            for what, nodes in (("inputs", inputs), ("outputs", outputs))
        )
        raise ModelError(f"{where} has other shapes than its card says", found=found, todo=RETRAIN)


def _is_table(node: Any, columns: int) -> bool:
    return (
        node.type == "tensor(float)"
        and len(node.shape) == 2
        and not isinstance(node.shape[0], int)
        and node.shape[1] == columns
    )


def _answers(card: Mapping[str, Any], where: Path) -> tuple[Any, Any]:
    """Return the fixtures' inputs (float32, rows x columns) and outputs (one per row)."""
    fixtures = card["fixtures"]
    inputs, expected = np.empty((0, 0), np.float32), np.empty(0)
    with contextlib.suppress(KeyError, TypeError, ValueError, OverflowError):  # then there are none
        inputs, expected = np.array(fixtures["inputs"], np.float32), np.array(fixtures["outputs"], np.float64)
    if not len(expected) or inputs.shape != (len(expected), len(card["inputs"])) or expected.ndim != 1:
        card_file = where.with_name("card.json")
        raise ModelError(f"{card_file}: fixtures are rows of inputs with one output each", todo=RETRAIN)
    return inputs, expected


def _fixture_outputs(session: Any, inputs: Any, where: Path) -> Any:
    try:
        return predict_rows(session, inputs)
    except Exception as refused:  # noqa: BLE001 - as in `_opened`
        raise ModelError(f"{where} fails on its fixtures", found=_first_line(refused), todo=RETRAIN) from None


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:300]


def _fixtures(trained: "Trained", model: bytes) -> dict[str, Any]:
    """Return a few test rows, evenly spread, with the graph's answers."""
    rows = trained.rows("test")
    inputs = trained.inputs[rows[np.linspace(0, len(rows) - 1, FIXTURES).astype(int)]]
    return {"inputs": inputs.astype(float).tolist(), "outputs": predict_rows(open_session(model), inputs).tolist()}


def _periods(trained: "Trained") -> dict[str, Any]:
    """Return the first and last open of each part, in ISO 8601, and how many of its rows were used."""
    index = trained.bars.frame.index
    return {
        name: {
            "first_open": index[part[0]].isoformat(),
            "last_open": index[part[-1]].isoformat(),
            "rows": len(trained.rows(name)),
        }
        for name, part in trained.split.parts().items()
    }


def _normalisation(trained: "Trained") -> str:
    scaled = "standardscaler" in getattr(trained.classifier, "named_steps", {})
    return (
        "inside the graph: mean and deviation of the training rows" if scaled else "none: trees split on raw features"
    )
