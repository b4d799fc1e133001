"""A backtest from the parameters of the backtest notebook, run in this process, before a kernel is started for the notebook.

The command line prints this result at once and runs the notebook afterwards. Both use the same functions on the same bars, so their
figures must be equal; if they are not, `differences` names them, and the command fails.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from atb.config import load_settings
from atb.domain import Symbol
from atb.domain.observed import synthetic_rules
from atb.engine.parameters import slot_parameters
from atb.workbench.market import SAMPLE, ensure_sample, finer_bars, load_bars
from atb.workbench.rules import make_rules
from atb.workbench.slots import Period, prepare_slots, traded_part

if TYPE_CHECKING:
    import pandas as pd

    from atb.backtest import Result
    from atb.domain import Bars
    from atb.engine.policy import AccountPolicy
    from atb.engine.slot import Slot

COMMON = ("fraction", "stop_loss", "take_profit", "fee", "slippage", "cash")  # rules that a backtest has as parameters
BACKTEST = {"strategy", "params", "symbol", "timeframe", "start", "end", "days", "venue", *COMMON}
RECIPE = ("horizon", "model", "seed")
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
        policy=rules.policy,
        execution=rules.execution,
    )
    finer = finer_bars([slot.bars for slot in slots], values.get("finer"), start=first)
    return Prepared(slots, first, rules.account, finer, traded_part(slots, first, period))


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
        As `load_bars`; the message names what is stored.
    InputError
        As `atb.prediction.recipes.lay_out`.
    """
    from atb.prediction.recipes import Recipe, lay_out

    recipe = Recipe(**{name: values[name] for name in RECIPE})
    make_sample_for(values)
    bars = load_bars(values["symbol"], values["timeframe"], values["start"], values["end"], venue=values["venue"])
    lay_out(bars, recipe)


def differences(result: "Result", metrics: Mapping[str, Any]) -> dict[str, tuple[float | None, Any]]:
    """Return the figures that differ between a result and a recorded run, with both values."""
    ours = {name: value if math.isfinite(value) else None for name, value in result.stats.items()}
    return {name: (ours[name], metrics[name]) for name in ours if name in metrics and ours[name] != metrics[name]}
