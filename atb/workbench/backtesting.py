"""A backtest from the parameters of the backtest notebook, run in this process, before a kernel is started for the notebook.

The command line prints this result at once and runs the notebook afterwards. Both use the same functions on the same bars, so their
figures must be equal; if they are not, `differences` names them, and the command fails.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from atb.config import load_settings
from atb.domain import Symbol
from atb.domain.observed import synthetic_rules
from atb.engine.parameters import slot_parameters
from atb.workbench.market import SAMPLE, ensure_sample, feature_inputs, finer_bars, load_bars
from atb.workbench.portfolio import prepare_slots, traded_parts
from atb.workbench.rules import make_rules, read_rules
from atb.workbench.slots import Period

if TYPE_CHECKING:
    import pandas as pd

    from atb.backtest import Result
    from atb.backtest.sweeping import Progress, Sweep
    from atb.domain import Bars, Strategy
    from atb.engine.policy import AccountPolicy, RiskPolicy
    from atb.engine.slot import Slot

COMMON = ("fraction", "stop_loss", "take_profit", "fee", "slippage", "cash")  # rules that a backtest has as parameters
BACKTEST = {"strategy", "params", "symbol", "timeframe", "start", "end", "days", "venue", *COMMON}
RECIPE = ("feature_set", "horizon", "model", "seed")
TRAINING = {"symbol", "timeframe", "start", "end", "venue", *RECIPE}


@dataclass(frozen=True)
class Prepared:
    """A backtest ready to run: its slots, the first open to trade, account limits, finer bars, and the traded period in words."""

    slots: "tuple[Slot, ...]"
    first: "pd.Timestamp"
    account: "AccountPolicy"
    finer: "list[Bars] | None"
    part: str

    def run(self) -> "Result":
        """Run it as the backtest notebook does."""
        from atb.backtest import run

        return run(self.slots, account=self.account, start=self.first, finer=self.finer)


def prepare_backtest(values: Mapping[str, Any]) -> Prepared:
    """Prepare the backtest that the notebook would run, and refuse whatever the notebook would refuse.

    Parameters
    ----------
    values
        The notebook's parameters, defaults filled in.

    Raises
    ------
    AtbError
        If strategy, parameters, policy, costs, period, bars or model are wrong.
    """
    from atb.strategies import make_strategy

    strategy = make_strategy(values["strategy"], **values["params"])
    rules = make_rules(values.get("policy"), **{name: values[name] for name in COMMON})
    symbols = values.get("symbols") or [values["symbol"]]
    slot_parameters(rules.policy, rules.execution, synthetic_rules(Symbol.parse(symbols[0])))
    period = Period(values["start"], values["end"], values["days"])
    make_sample_for(values)
    slots, first = prepare_slots(
        strategy,
        symbols,
        values["timeframe"],
        period=period,
        venue=values["venue"],
        rules=rules,
        universe=values.get("universe"),
    )
    finer = finer_bars([slot.bars for slot in slots], values.get("finer"), start=first)
    return Prepared(slots, first, rules.account, finer, traded_parts(slots, first, period))


@dataclass(frozen=True)
class PreparedSweep:
    """A sweep ready to run.

    Parameters
    ----------
    backtest
        A backtest with bars enough for every combination.
    strategies, policies
        What is combined. The policies are the account's: of several symbols each gets its `share` of `fraction`.
    refused
        Combinations that the strategy refused.
    share
        A symbol's part of the account's fraction.
    """

    backtest: Prepared
    strategies: "list[Strategy]"
    policies: "list[RiskPolicy]"
    refused: int
    share: float

    def run(
        self, *, workers: int | None = None, progress: "bool | Progress" = False, scheduler: str | None = None
    ) -> "Sweep":
        """Run every combination, here or on a Dask cluster; a `fraction` in the table is the account's.

        `progress` is as for `atb.backtest.sweep`; on a cluster there is no bar, but a function is called.
        """
        from atb.backtest.sweeping import sweep
        from atb.experiments.batch.kernel_sweeps import sweep_on_cluster

        base = self.backtest
        policies = [replace(policy, fraction=policy.fraction * self.share) for policy in self.policies]
        common: dict[str, Any] = {
            "strategies": self.strategies, "policies": policies, "account": base.account, "start": base.first
        }  # fmt: skip
        if scheduler is None:
            done = sweep(base.slots, **common, workers=workers, progress=progress)
        else:
            done = sweep_on_cluster(
                base.slots, **common, scheduler=scheduler, progress=None if isinstance(progress, bool) else progress
            )
        if "fraction" in done.swept:
            done.table["fraction"] = [self.policies[row % len(self.policies)].fraction for row in done.table.index]
        return done


def prepare_sweep(
    values: Mapping[str, Any], params: Mapping[str, list[Any]], rules: Mapping[str, list[Any]]
) -> PreparedSweep:
    """Prepare backtests of every combination of strategy parameters and rules, over the bars of the backtest notebook.

    All begin at the first bar that the longest warm-up allows, so that their figures can be compared.

    Parameters
    ----------
    values
        The backtest notebook's parameters, defaults filled in: what all combinations share.
    params, rules
        Swept values by the strategy's parameter and by the policy's rule.

    Raises
    ------
    AtbError
        As `prepare_backtest`, or if the strategy or the policy refuses every combination.
    """
    from atb.engine import policy
    from atb.engine.slot import warmup_bars
    from atb.strategies import grid, strategy_params

    fixed = {name: [value] for name, value in values["params"].items()}
    strategies = grid(values["strategy"], **fixed, **params)
    base = make_rules(values.get("policy"), **{name: values[name] for name in COMMON})
    policies = policy.grid(base.policy, **rules)
    longest = max(strategies, key=lambda strategy: strategy.warmup)
    widest = max(policies, key=lambda chosen: warmup_bars(longest, chosen, base.execution))
    prepared = prepare_backtest({**values, "params": strategy_params(longest), "policy": _ruled(values, widest, rules)})
    wanted = math.prod(len(axis) for axis in params.values())
    refused = (wanted - len(strategies)) * len(policies)
    return PreparedSweep(prepared, strategies, policies, refused, prepared.slots[0].policy.fraction / widest.fraction)


def sweep_grid(
    strategy: str, grid: Mapping[str, list[Any]], rules: Mapping[str, list[Any]] | None = None, **values: Any
) -> "Sweep":
    """Backtest every combination of a grid of strategy parameters and rules, as `atb sweep` does.

    Parameters
    ----------
    strategy
        A strategy by its name.
    grid, rules
        Values by the strategy's parameter, and by the policy's rule.
    values
        Parameters of the backtest notebook that all combinations share: market, period, costs, sizing.

    Raises
    ------
    AtbError
        As `prepare_sweep`.
    """
    given = {"params": {}, "symbols": [], "universe": None, **values, "strategy": strategy}
    return prepare_sweep(given, grid, rules or {}).run()


def _ruled(values: Mapping[str, Any], chosen: "RiskPolicy", rules: Mapping[str, list[Any]]) -> dict[str, Any]:
    """Return the notebook's `policy` with the swept rules as one policy has them."""
    return {**read_rules(values.get("policy")), **{name: getattr(chosen, name) for name in rules}}


def make_sample_for(values: Mapping[str, Any]) -> None:
    """Write the synthetic market if the catalogue is empty and one of its series is wanted, as the notebooks do."""
    from atb.data.catalogue.series import all_series

    if (str(Symbol.parse(values["symbol"])), str(values["timeframe"])) in SAMPLE and not all_series(
        load_settings().bars_root
    ):
        ensure_sample()


def check_training(values: Mapping[str, Any]) -> None:
    """Refuse what the training notebook would refuse: missing bars, and bars that no model can be trained on.

    Raises
    ------
    DataError
        As `load_bars` and `feature_inputs`; the message names what is stored.
    InputError
        As `atb.prediction.recipes.lay_out`.
    """
    from atb.prediction.recipes import Recipe, lay_out

    recipe = Recipe(**{name: values[name] for name in RECIPE})
    make_sample_for(values)
    bars = load_bars(values["symbol"], values["timeframe"], values["start"], values["end"], venue=values["venue"])
    lay_out(bars, recipe, feature_inputs(recipe.feature_set, bars))


def differences(result: "Result", metrics: Mapping[str, Any]) -> dict[str, tuple[float | None, Any]]:
    """Return the figures that differ between a result and a recorded run, with both values."""
    ours = {name: value if math.isfinite(value) else None for name, value in result.stats.items()}
    return {name: (ours[name], metrics[name]) for name in ours if name in metrics and ours[name] != metrics[name]}
