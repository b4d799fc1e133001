"""Recomputation of a run's columns from its pinned inputs, bar by bar as a runner does, without relying on the run's own proof."""

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from atb.config import Settings
    from atb.domain import Predictor
    from atb.engine.slot import Slot


def columns_equal(result: Mapping[str, Any], *, folder: Path | None, settings: "Settings") -> bool | None:
    """Return True if a process that knows only the warm-up and the bars so far computes the same columns at every traded bar.

    Parameters
    ----------
    result
        A run's published result; its bars must be in the catalogue.
    folder
        Model bundle of the run; None without a model.

    Returns
    -------
    bool or None
        None if unknown: more than one slot, or an unregistered strategy.

    Raises
    ------
    DataError, InputError, ModelError
        If bars, strategy or model cannot be loaded.
    """
    import pandas as pd

    from atb.engine.kernel_input import prepare
    from atb.engine.policy import AccountPolicy
    from atb.strategies import strategy_names
    from atb.validation.windows import all_of, check_windows

    slots = result["slots"]
    if len(slots) != 1 or slots[0]["strategy"]["name"] not in strategy_names():
        return None
    slot = _slot(slots[0], settings.bars_root, folder)
    problem = prepare((slot,), AccountPolicy.from_json(result["account"]), pd.Timestamp(result["start"]))
    return all_of(slot.report.everywhere for slot in check_windows(problem))


def _slot(given: Mapping[str, Any], bars_root: Path, folder: Path | None) -> "Slot":
    from atb.data.catalogue import load_bars
    from atb.data.catalogue.inputs import load_inputs
    from atb.domain import Instrument, Timeframe
    from atb.engine.policy import ExecutionModel, RiskPolicy
    from atb.engine.slot import Slot, slot_inputs
    from atb.strategies import make_strategy

    data = given["data"]
    end = Timeframe.parse(data["timeframe"]).next(datetime.fromisoformat(data["last"]))
    bars = load_bars(data["symbol"], data["timeframe"], data["first"], end, root=bars_root, venue=data["venue"] or None)
    strategy = make_strategy(given["strategy"]["name"], **given["strategy"]["parameters"])
    predictor = _predictor(folder)
    declared = slot_inputs(strategy, bars.symbol, bars.timeframe, predictor=predictor if strategy.predicts else None)
    return Slot(
        strategy,
        bars,
        RiskPolicy.from_json(given["policy"]),
        ExecutionModel.from_json(given["execution"]),
        Instrument.from_json(given["instrument"]),
        predictor,
        inputs=load_inputs(declared, bars, root=bars_root),
    )


def _predictor(folder: Path | None) -> "Predictor | None":
    from atb.prediction.bundle import load_bundle
    from atb.prediction.predictor import OnnxPredictor

    return None if folder is None else OnnxPredictor(load_bundle(folder))
