"""Each stored model on the newest bar, for notebooks; a model is trained if none is stored."""

from atb.config import load_settings
from atb.decimals import counted
from atb.experiments.judging import Predictions, judge_models

TRAINING = "02_train.ipynb"


def predictions_now(*, days: int = 60, newest_only: bool = True) -> Predictions:
    """Ask every stored model about the newest bars of its market; as `atb.experiments.judging.judge_models`."""
    return judge_models(load_settings(), days=days, newest_only=newest_only)


def ensure_model(*, seed: int = 7) -> str:
    """Train a model with the training notebook if none is stored; return a sentence on what there is.

    Raises
    ------
    RunError
        If the training failed.
    """
    from atb.prediction.bundle import list_bundles
    from atb.workbench.runs import record_run

    found = list_bundles(load_settings().models_root)
    if found:
        return f"{counted(len(found), 'model')} stored."
    return f"There was no model, so one was trained: run {record_run(TRAINING, seed=seed)}."
