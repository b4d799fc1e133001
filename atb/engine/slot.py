"""A slot: one strategy on one symbol, a column of the kernel, with the bars and inputs that it reads."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

from atb.domain.bars import Bars
from atb.domain.declaration import refuse_other_than_strategy
from atb.domain.input_series import InputSeries
from atb.domain.inputs import Input, declared_inputs, same_rows
from atb.domain.instrument import Instrument
from atb.domain.observed import observed_rules
from atb.domain.ports import Predictor, Strategy
from atb.domain.symbol import Symbol
from atb.domain.timeframe import Timeframe
from atb.domain.universe import Listing
from atb.engine.policy import ExecutionModel, RiskPolicy
from atb.errors import InputError
from atb.features.indicators import INDICATORS

if TYPE_CHECKING:
    import pandas as pd

OF_THE_MODEL = "model."  # before the name of an input that the predictor declares


@dataclass(frozen=True)
class Slot:
    """One strategy on one symbol: a column of the kernel.

    `funding` holds a perpetual's funding rates (fractions of the position's value, paid by longs to shorts) by time; each is paid
    at the close of the bar it falls in. `inputs` holds the rows of what strategy and predictor declare, by name; a name of the
    predictor's begins with `model.`. Rows that are not declared are not handed in. `listings` holds the times in
    which the symbol belongs to a universe: outside them the side is 0; None is always.
    """

    strategy: Strategy
    bars: Bars
    policy: RiskPolicy = field(default_factory=RiskPolicy)
    execution: ExecutionModel = field(default_factory=ExecutionModel)
    instrument: Instrument | None = None
    predictor: Predictor | None = None
    funding: "pd.Series[float] | None" = None
    inputs: Mapping[str, InputSeries] = field(default_factory=dict)
    listings: tuple[Listing, ...] | None = None

    def __post_init__(self) -> None:
        """Refuse missing predictors and inputs, an instrument of another symbol, and a policy that cannot leave a universe."""
        refuse_other_than_strategy(self.strategy)
        if self.strategy.predicts and self.predictor is None:
            raise InputError(
                f"{self.strategy.name} needs a prediction, and no predictor was given",
                todo="Train a model (atb train) and pass its predictor",
            )
        if self.instrument is not None and self.instrument.symbol != self.bars.symbol:
            raise InputError("The instrument is of another symbol", found=str(self.instrument.symbol))
        if self.listings is not None and not self.policy.signal_exit:
            raise InputError(
                "The policy holds a position when the side is 0, so a symbol that leaves its universe would not be sold",
                found="signal_exit=False", todo="Write signal_exit=True, or trade without a universe",
            )  # fmt: skip
        _check_inputs(self.strategy.name, self.declared, self.inputs)

    @property
    def declared(self) -> dict[str, Input]:
        """The inputs of strategy and predictor by name, with the slot's own symbol and timeframe where they name none."""
        predictor = self.predictor if self.strategy.predicts else None
        return slot_inputs(self.strategy, self.bars.symbol, self.bars.timeframe, predictor=predictor)

    @property
    def handed(self) -> dict[str, InputSeries]:
        """The rows of each declared input that may be known over these bars, with its warm-up before them."""
        closes = self.bars.closed_ms
        return {name: self.inputs[name].used_as(one).cut(closes) for name, one in self.declared.items()}

    @cached_property
    def rules(self) -> Instrument:
        """The instrument's trading rules as given, or else those observed in the bars."""
        return self.instrument or observed_rules(self.bars)

    @property
    def warmup(self) -> int:
        """Bars needed before the first signal that is exact to the last bit, for the strategy and the policy's own columns."""
        return warmup_bars(self.strategy, self.policy, self.execution, predictor=self.predictor)

    @property
    def reads_atr(self) -> bool:
        """True if policy or costs use the ATR."""
        return _reads_atr(self.policy, self.execution)


def slot_inputs(
    strategy: Strategy, symbol: Symbol, timeframe: Timeframe, *, predictor: Predictor | None = None
) -> dict[str, Input]:
    """Return the inputs that a slot needs, by name, symbol and timeframe filled in.

    Raises
    ------
    InputError
        If what strategy or predictor declare is no mapping from names to inputs.
    """
    named = declared_inputs(strategy) | {OF_THE_MODEL + name: one for name, one in declared_inputs(predictor).items()}
    return {name: one.resolved(symbol, timeframe) for name, one in named.items()}


def _check_inputs(name: str, declared: Mapping[str, Input], given: Mapping[str, InputSeries]) -> None:
    for key, one in declared.items():
        if key not in given:
            raise InputError(
                f"{name} reads an input that was not given: {key} ({one})", found=sorted(given) or "no inputs",
                todo="`prepare_slot` loads the inputs that a strategy declares; by hand: Slot(..., inputs={...})",
            )  # fmt: skip
        if not same_rows(given[key].declared, one):
            raise InputError(f"{name} reads {one} as {key}, and was given another input", found=str(given[key]))


def warmup_bars(
    strategy: Strategy, policy: RiskPolicy, execution: ExecutionModel, *, predictor: Predictor | None = None
) -> int:
    """Return the warm-up of a slot: how many bars to load ahead of the first traded one."""
    ranges = INDICATORS["atr"].warmup(n=policy.atr_window) if _reads_atr(policy, execution) else 0
    calm = policy.volatility_window if policy.reads_volatility else 0
    return max(strategy.warmup, predictor.warmup if predictor else 0, ranges, calm)


def _reads_atr(policy: RiskPolicy, execution: ExecutionModel) -> bool:
    return policy.reads_atr or execution.slippage_atr > 0
