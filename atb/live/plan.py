"""A plan: a verified manifest as objects of the domain, ready to trade."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from atb.domain import Bars, Instrument, Predictor, Strategy, Symbol, Timeframe
from atb.domain.input_series import InputSeries
from atb.domain.inputs import Input, identified_input
from atb.engine.policy import AccountPolicy, ExecutionModel, RiskPolicy
from atb.engine.slot import Slot, slot_inputs, warmup_bars
from atb.errors import PromotionError
from atb.promotion.manifest import Manifest

if TYPE_CHECKING:
    from atb.prediction.predictor import OnnxPredictor


@dataclass(frozen=True)
class Plan:
    """A manifest's values as objects of the domain."""

    manifest: Manifest
    strategy: Strategy
    symbol: Symbol
    timeframe: Timeframe
    policy: RiskPolicy
    execution: ExecutionModel
    account: AccountPolicy
    instrument: Instrument
    predictor: Predictor | None

    @property
    def warmup(self) -> int:
        """Bars before the first traded one."""
        return self.manifest.warmup

    @cached_property
    def inputs(self) -> dict[str, Input]:
        """The inputs that strategy and model read beside the slot's own bars, by name."""
        predictor = self.predictor if self.strategy.predicts else None
        return slot_inputs(self.strategy, self.symbol, self.timeframe, predictor=predictor)

    def slot(self, bars: Bars, inputs: Mapping[str, InputSeries] | None = None) -> Slot:
        """Return the kernel's slot over the bars and rows of inputs known so far."""
        return Slot(
            self.strategy, bars, self.policy, self.execution, self.instrument, self.predictor, inputs=inputs or {}
        )


def make_plan(manifest: Manifest, models_root: Path) -> Plan:
    """Return the plan of a verified manifest; its model is loaded and replays its fixtures.

    Raises
    ------
    PromotionError
        If the strategy's register, its warm-up or the model's fingerprint are not the promoted ones.
    """
    from atb.strategies import make_strategy, strategy_module

    chosen = manifest.strategy
    if strategy_module(chosen["name"]) != chosen["module"]:
        found = strategy_module(chosen["name"])
        raise PromotionError(f"{chosen['name']} is another module than {chosen['module']}", found=found)
    plan = Plan(
        manifest,
        make_strategy(chosen["name"], **chosen["parameters"]),
        Symbol.parse(manifest.symbol),
        Timeframe.parse(manifest.timeframe),
        RiskPolicy.from_json(manifest.policy),
        ExecutionModel.from_json(manifest.execution),
        AccountPolicy.from_json(manifest.account),
        Instrument.from_json(manifest.instrument),
        _predictor(manifest, models_root),
    )
    for rules in ("policy", "execution", "account", "instrument"):
        _refuse_defaults(rules, getattr(manifest, rules), getattr(plan, rules).to_json())
    needed = warmup_bars(plan.strategy, plan.policy, plan.execution, predictor=plan.predictor)
    if needed != plan.warmup:
        raise PromotionError(f"The promoted warm-up is {plan.warmup} bars, the strategy's is another", found=needed)
    _check_inputs(plan)
    return plan


def _check_inputs(plan: Plan) -> None:
    """Refuse other inputs than the backtest was handed."""
    pinned = {str(one["input"]): identified_input(one) for one in plan.manifest.data if "input" in one}
    if plan.inputs != pinned:
        found = {name: str(one) for name, one in plan.inputs.items()}
        wanted = {name: str(one) for name, one in pinned.items()}
        raise PromotionError(f"The promoted strategy reads {wanted or 'no inputs'}, this one others", found=found)


def _refuse_defaults(rules: str, given: dict[str, Any], read: dict[str, Any]) -> None:
    """Refuse a manifest that leaves rules to defaults: today's default may differ from the tested one."""
    if other := [name for name in read if json.dumps(read[name]) != json.dumps(given.get(name))]:
        todo = "Promote the run again: atb promote RUN_ID"
        raise PromotionError(f"The manifest's {rules} does not say every rule", found=", ".join(other), todo=todo)


def _predictor(manifest: Manifest, models_root: Path) -> "OnnxPredictor | None":
    if manifest.model is None:
        return None
    from atb.prediction.bundle import load_bundle
    from atb.prediction.predictor import OnnxPredictor

    bundle = load_bundle(models_root / manifest.model["path"])
    if bundle.fingerprint != manifest.model["fingerprint"]:
        found = bundle.fingerprint[:12]
        raise PromotionError(f"The model is not the promoted one, {manifest.model['fingerprint'][:12]}", found=found)
    return OnnxPredictor(bundle)
