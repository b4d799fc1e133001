"""Honest scores: a model's probabilities beside simple rules, on the same rows, with a verdict in words."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from atb.errors import InputError
from atb.prediction.inference import Array, open_session, predict_rows
from atb.prediction.recipes import Trained

if TYPE_CHECKING:
    import pandas as pd

Scores = dict[str, float]

BASELINES = {
    "persistence": "the last bar's direction goes on",
    "reversal": "the last bar's direction turns",
    "momentum": "the direction of the last `horizon` bars goes on",
    "hold": "always up",
}
JUDGED = ("validation", "test")


@dataclass(frozen=True)
class Evaluation:
    """Scores of a model and of every baseline on the validation and the test rows.

    `metrics[part]` and `baselines[part][rule]` hold `rows`, `auc`, `accuracy`, `log_loss` and `brier`. `beats_baselines`
    is about the test rows alone; `verdict` says the same in one sentence, with the numbers.
    """

    metrics: dict[str, Scores]
    baselines: dict[str, dict[str, Scores]]
    beats_baselines: bool
    verdict: str

    def table(self, part: str = "test") -> "pd.DataFrame":
        """Return the scores of one part, the model first and a baseline a row."""
        import pandas as pd

        return pd.DataFrame({"model": self.metrics[part]} | self.baselines[part]).T


def evaluate(trained: Trained, model: bytes) -> Evaluation:
    """Score the exported graph, which is what trades, and the baselines.

    A baseline calls each row up or down: its accuracy and AUC are those calls'. Its probability, for log loss and Brier score,
    is the share of rises after such a call among the training rows: the best it could have known.

    The model beats the baselines if on the test rows its AUC and accuracy are above, and its log loss is below, those of each.

    Raises
    ------
    InputError
        If the validation or test rows hold only rises or only falls.
    """
    calls = _calls(trained)
    probability = predict_rows(open_session(model), trained.inputs)
    metrics: dict[str, Scores] = {}
    baselines: dict[str, dict[str, Scores]] = {}
    for part in JUDGED:
        rows = trained.rows(part)
        label = trained.label[rows]
        if len(np.unique(label)) < 2:
            raise InputError(f"The {part} rows hold only rises or only falls", found=f"{len(rows)} rows")
        metrics[part] = score(probability[rows], label)
        baselines[part] = {
            name: score(_known_odds(trained, call)[rows], label, call=call[rows]) for name, call in calls.items()
        }
    beats = _beats(metrics["test"], baselines["test"])
    rows = trained.rows("test")
    errors = {
        name: _margin(probability[rows], calls[name][rows], trained.label[rows], horizon=trained.recipe.horizon)
        for name in calls
    }
    return Evaluation(
        metrics, baselines, beats, _verdict(metrics["test"], baselines["test"], beats=beats, errors=errors)
    )


def score(probability: Array, label: Array, *, call: Array | None = None) -> Scores:
    """Return `rows`, `auc`, `accuracy`, `log_loss` (nats) and `brier` of probabilities against labels 0 and 1.

    With `call` (1 up, -1 down), AUC and accuracy are the calls'; otherwise they are the probabilities', cut at 0.5.
    """
    from sklearn.metrics import brier_score_loss, log_loss, roc_auc_score

    up = probability >= 0.5 if call is None else call > 0
    return {
        "rows": len(label),
        "auc": float(roc_auc_score(label, probability if call is None else call)),
        "accuracy": float(np.mean(up == (label == 1))),
        "log_loss": float(log_loss(label, probability, labels=[0, 1])),
        "brier": float(brier_score_loss(label, probability)),
    }


def calibration_table(probability: Array, label: Array, bins: int = 10) -> "pd.DataFrame":
    """Return, per bin of equally many rows, the mean `predicted` probability, the `observed` share of rises and the `rows`."""
    grouped = _by_rank(bins, probability, predicted=probability, observed=label)
    table: pd.DataFrame = grouped.mean().assign(rows=grouped.size())
    return table


def decile_table(probability: Array, forward: Array, bins: int = 10) -> "pd.DataFrame":
    """Return, per decile of prediction (1 lowest), the mean `forward_return` (log), its standard `error` and the `rows`.

    Forward returns of neighbouring rows overlap, so the standard error, which takes rows as independent, is too small.
    """
    grouped = _by_rank(bins, probability, forward_return=forward)
    table: pd.DataFrame = grouped.mean().assign(error=grouped.sem()["forward_return"], rows=grouped.size())
    return table


def _by_rank(bins: int, by: Array, **columns: Array) -> Any:
    """Group rows by `bin`, 1 to `bins`: equally many rows each, lowest values of `by` first."""
    import pandas as pd

    place = pd.Series(by).rank(method="first").sub(1).mul(bins).floordiv(len(by)).add(1).astype(int)
    return pd.DataFrame(columns).groupby(place.rename("bin"))


def _calls(trained: Trained) -> dict[str, Array]:
    """Return each baseline's call at every bar: 1 up, -1 down; a bar that did not move counts as down, as labels do."""
    log_close = np.log(trained.bars.frame["close"].to_numpy(dtype=np.float64))
    last, past = (np.where(log_close > _shifted(log_close, n), 1.0, -1.0) for n in (1, trained.recipe.horizon))
    return {"persistence": last, "reversal": -last, "momentum": past, "hold": np.ones(len(log_close))}


def _shifted(x: Array, n: int) -> Array:
    return np.concatenate([np.full(min(n, len(x)), np.inf), x[:-n]])


def _known_odds(trained: Trained, call: Array) -> Array:
    """Return at every bar the share of rises among the training rows that had the same call."""
    rows = trained.rows("train")
    label, made = trained.label[rows], call[rows]
    odds = {side: float(np.mean(label[made == side])) if (made == side).any() else 0.5 for side in (-1.0, 1.0)}
    return np.where(call > 0, odds[1.0], odds[-1.0])


def _beats(model: Scores, baselines: dict[str, Scores]) -> bool:
    return all(
        model["auc"] > other["auc"] and model["accuracy"] > other["accuracy"] and model["log_loss"] < other["log_loss"]
        for other in baselines.values()
    )


def _margin(probability: Array, call: Array, label: Array, *, horizon: int) -> float:
    """Return how many standard errors the model's accuracy is above a baseline's.

    Labels of neighbouring rows overlap by all but one bar, so `rows / horizon` of them count as independent.
    """
    gained = ((probability >= 0.5) == (label == 1)).astype(float) - ((call > 0) == (label == 1)).astype(float)
    spread = float(np.std(gained)) / np.sqrt(max(len(gained) / horizon, 1))
    return float(np.mean(gained)) / spread if spread > 0 else 0.0


def _verdict(model: Scores, baselines: dict[str, Scores], *, beats: bool, errors: dict[str, float]) -> str:
    """Return the sentence for the card and the notebook's last line."""
    best = max(baselines, key=lambda name: baselines[name]["accuracy"])
    sigma = errors[best]
    numbers = (
        f"test AUC {model['auc']:.3f}, accuracy {model['accuracy']:.1%} against {baselines[best]['accuracy']:.1%} for "
        f"the best baseline ({best}: {BASELINES[best]})"
    )
    if not beats:
        return f"Does not beat the baselines out of sample: {numbers}."
    weight = "clear of chance" if sigma >= 2 else "which may be chance"
    return f"Beats every baseline out of sample: {numbers}; a margin of {sigma:.1f} standard errors, {weight}."
