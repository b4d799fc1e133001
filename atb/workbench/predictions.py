"""Each stored model on the newest bar, for notebooks; where none is stored, one is trained."""

from collections.abc import Sequence

from atb.config import load_settings
from atb.decimals import counted
from atb.errors import AtbError, ModelError
from atb.experiments import TRAINING
from atb.experiments.judging import Predictions, judge_models


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


def ensure_models(symbols: Sequence[str], timeframe: str, *, seed: int = 7) -> list[str]:
    """Train a model for each of these markets that has none, and return a sentence on each; a failure is one of them.

    Parameters
    ----------
    symbols, timeframe
        Markets whose bars are stored.
    seed
        Of every random choice in training.
    """
    return [f"Model of {symbol} {timeframe}: {_ensured(symbol, timeframe, seed)}." for symbol in symbols]


def _ensured(symbol: str, timeframe: str, seed: int) -> str:
    from atb.prediction.bundle import find_bundle
    from atb.workbench.runs import record_run

    try:
        return f"stored as {find_bundle(load_settings().models_root, symbol, timeframe).name}"
    except ModelError:
        pass
    try:
        return f"trained by run {record_run(TRAINING, symbol=symbol, timeframe=timeframe, seed=seed)}"
    except AtbError as error:
        return f"none, the training failed ({error.wrong})"
