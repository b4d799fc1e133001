"""The workbench: what a notebook needs, under short names and on the loaded settings; every name is imported on first use."""

import importlib
from typing import TYPE_CHECKING, Any

import atb.config  # noqa: F401 - it names the folder of your own strategies to the register
from atb.workbench.display import register_formats

if TYPE_CHECKING:
    from atb.backtest import Result, run
    from atb.engine.composition import Composition, exits, sizers
    from atb.engine.policy import AccountPolicy, ExecutionModel, RiskPolicy
    from atb.engine.slot import Slot
    from atb.experiments import publish
    from atb.experiments.evidence import evidence, proofs
    from atb.experiments.findings import assumptions, findings, fragility, start_spread
    from atb.experiments.run_comparison import RunComparison
    from atb.strategies import make_strategy, strategy_params
    from atb.strategies.components import filters, signals
    from atb.validation.sensitivity import cost_table, shift_table
    from atb.workbench.backtesting import sweep_grid
    from atb.workbench.candle_chart import Chart, chart
    from atb.workbench.clicking import clickable
    from atb.workbench.comparison import Comparison, compare_strategies
    from atb.workbench.explanation import explained, last_rehearsal, rehearsal_table
    from atb.workbench.explorer import Explorer, explore
    from atb.workbench.market import catalogue, ensure_sample, feature_inputs, finer_bars, load_bars
    from atb.workbench.monitor import Monitored, ensure_session, sessions_table, watch_session
    from atb.workbench.night import nightly
    from atb.workbench.own import ensure_strategy, strategy_checks
    from atb.workbench.portfolio import prepare_slots, traded_parts
    from atb.workbench.predictions import ensure_model, ensure_models, predictions_now
    from atb.workbench.rules import BacktestRules, make_rules
    from atb.workbench.run_comparison import compare_runs, recent_runs
    from atb.workbench.runs import evidence_table, judged_run, promote_run, record_backtest, record_run, verdict_table
    from atb.workbench.slots import Period, load_predictor, prepare_slot, traded_part

_HOMES = {
    "RunComparison": "atb.experiments.run_comparison",
    "compare_runs": "atb.workbench.run_comparison",
    "ensure_model": "atb.workbench.predictions",
    "ensure_models": "atb.workbench.predictions",
    "ensure_strategy": "atb.workbench.own",
    "nightly": "atb.workbench.night",
    "predictions_now": "atb.workbench.predictions",
    "recent_runs": "atb.workbench.run_comparison",
    "record_backtest": "atb.workbench.runs",
    "record_run": "atb.workbench.runs",
    "strategy_checks": "atb.workbench.own",
    "sweep_grid": "atb.workbench.backtesting",
    "AccountPolicy": "atb.engine.policy",
    "Chart": "atb.workbench.candle_chart",
    "Comparison": "atb.workbench.comparison",
    "Composition": "atb.engine.composition",
    "ExecutionModel": "atb.engine.policy",
    "Monitored": "atb.workbench.monitor",
    "Period": "atb.workbench.slots",
    "Result": "atb.backtest",
    "RiskPolicy": "atb.engine.policy",
    "BacktestRules": "atb.workbench.rules",
    "Slot": "atb.engine.slot",
    "assumptions": "atb.experiments.findings",
    "catalogue": "atb.workbench.market",
    "chart": "atb.workbench.candle_chart",
    "clickable": "atb.workbench.clicking",
    "compare_strategies": "atb.workbench.comparison",
    "cost_table": "atb.validation.sensitivity",
    "ensure_sample": "atb.workbench.market",
    "ensure_session": "atb.workbench.monitor",
    "Explorer": "atb.workbench.explorer",
    "explore": "atb.workbench.explorer",
    "evidence": "atb.experiments.evidence",
    "evidence_table": "atb.workbench.runs",
    "verdict_table": "atb.workbench.runs",
    "exits": "atb.engine.composition",
    "explained": "atb.workbench.explanation",
    "feature_inputs": "atb.workbench.market",
    "filters": "atb.strategies.components",
    "findings": "atb.experiments.findings",
    "fragility": "atb.experiments.findings",
    "start_spread": "atb.experiments.findings",
    "judged_run": "atb.workbench.runs",
    "last_rehearsal": "atb.workbench.explanation",
    "finer_bars": "atb.workbench.market",
    "load_bars": "atb.workbench.market",
    "load_predictor": "atb.workbench.slots",
    "make_rules": "atb.workbench.rules",
    "make_strategy": "atb.strategies",
    "prepare_slot": "atb.workbench.slots",
    "prepare_slots": "atb.workbench.portfolio",
    "promote_run": "atb.workbench.runs",
    "proofs": "atb.experiments.evidence",
    "publish": "atb.experiments",
    "rehearsal_table": "atb.workbench.explanation",
    "run": "atb.backtest",
    "sessions_table": "atb.workbench.monitor",
    "shift_table": "atb.validation.sensitivity",
    "signals": "atb.strategies.components",
    "sizers": "atb.engine.composition",
    "strategy_params": "atb.strategies",
    "traded_part": "atb.workbench.slots",
    "traded_parts": "atb.workbench.portfolio",
    "watch_session": "atb.workbench.monitor",
}

__all__ = [
    "AccountPolicy",
    "BacktestRules",
    "Chart",
    "Comparison",
    "Composition",
    "ExecutionModel",
    "Explorer",
    "Monitored",
    "Period",
    "Result",
    "RiskPolicy",
    "RunComparison",
    "Slot",
    "assumptions",
    "catalogue",
    "chart",
    "clickable",
    "compare_runs",
    "compare_strategies",
    "cost_table",
    "ensure_model",
    "ensure_models",
    "ensure_sample",
    "ensure_session",
    "ensure_strategy",
    "evidence",
    "evidence_table",
    "exits",
    "explained",
    "explore",
    "feature_inputs",
    "filters",
    "findings",
    "finer_bars",
    "fragility",
    "judged_run",
    "last_rehearsal",
    "load_bars",
    "load_predictor",
    "make_rules",
    "make_strategy",
    "nightly",
    "predictions_now",
    "prepare_slot",
    "prepare_slots",
    "promote_run",
    "proofs",
    "publish",
    "recent_runs",
    "record_backtest",
    "record_run",
    "rehearsal_table",
    "run",
    "sessions_table",
    "shift_table",
    "signals",
    "sizers",
    "start_spread",
    "strategy_checks",
    "strategy_params",
    "sweep_grid",
    "traded_part",
    "traded_parts",
    "verdict_table",
    "watch_session",
]

register_formats()


def __getattr__(name: str) -> Any:
    """Import a public name on first use."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    """Return the public names, imported or not, for completion in a notebook."""
    return sorted(__all__)
