"""A slot: one strategy on one symbol, a column of the kernel, and the bars it needs before its first signal."""

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

from atb.domain.bars import Bars
from atb.domain.instrument import Instrument
from atb.domain.observed import observed_rules
from atb.domain.ports import Predictor, Strategy
from atb.engine.policy import ExecutionModel, RiskPolicy
from atb.errors import InputError
from atb.features.indicators import INDICATORS

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Slot:
    """One strategy on one symbol: a column of the kernel.

    `funding` holds a perpetual's funding rates (fractions of the position's value, paid by longs to shorts) by time; each is paid
    at the close of the bar it falls in.
    """

    strategy: Strategy
    bars: Bars
    policy: RiskPolicy = field(default_factory=RiskPolicy)
    execution: ExecutionModel = field(default_factory=ExecutionModel)
    instrument: Instrument | None = None
    predictor: Predictor | None = None
    funding: "pd.Series[float] | None" = None

    def __post_init__(self) -> None:
        """Refuse a predicting strategy without a predictor, and an instrument of another symbol."""
        if self.strategy.predicts and self.predictor is None:
            raise InputError(
                f"{self.strategy.name} needs a prediction, and no predictor was given",
                todo="Train a model (atb train) and pass its predictor",
            )
        if self.instrument is not None and self.instrument.symbol != self.bars.symbol:
            raise InputError("The instrument is of another symbol", found=str(self.instrument.symbol))

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


def warmup_bars(
    strategy: Strategy, policy: RiskPolicy, execution: ExecutionModel, *, predictor: Predictor | None = None
) -> int:
    """Return the warm-up of a slot: how many bars to load ahead of the first traded one."""
    ranges = INDICATORS["atr"].warmup(n=policy.atr_window) if _reads_atr(policy, execution) else 0
    calm = policy.volatility_window if policy.reads_volatility else 0
    return max(strategy.warmup, predictor.warmup if predictor else 0, ranges, calm)


def _reads_atr(policy: RiskPolicy, execution: ExecutionModel) -> bool:
    return policy.reads_atr or execution.slippage_atr > 0
