"""Adaptive model follower: asks a model for more where the market falls or is wild, and for less where it rises."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from atb.domain.signals import Signals
from atb.errors import InputError
from atb.strategies.components import market_regime, odds_signals

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, slots=True)
class MlAdaptive:
    """Thresholds on the predicted probability of a rise, moved by the regime of trend and volatility.

    Parameters
    ----------
    enter, leave
        Probabilities from which to be long, and down to which to be flat, in a calm market without a trend.
    trend
        By how much both are lower in an uptrend and higher in a downtrend.
    volatility
        By how much more is asked to enter while volatility is high.
    preset
        Timeframe whose thresholds of trend are used: `1h`, `4h` or `1d`.
    """

    name: ClassVar[str] = "ml_adaptive"
    predicts: ClassVar[bool] = True
    question: ClassVar[str] = "Is a model's forecast worth more in some regimes than in others?"
    other_texts: ClassVar[tuple[str, ...]] = ("4h", "1d")
    enter: float = 0.55
    leave: float = 0.50
    trend: float = 0.02
    volatility: float = 0.02
    preset: str = "1h"

    def __post_init__(self) -> None:
        """Refuse thresholds that are no probabilities in some regime, or leave no room between them."""
        market_regime(self.preset)
        moved = self.trend + self.volatility
        sound = self.trend >= 0 and self.volatility >= 0 and self.trend < self.leave and self.enter + moved < 1
        if not (sound and self.leave < self.enter):
            raise InputError(
                "ml_adaptive needs trend < leave < enter < 1 - trend - volatility, neither of them below 0",
                found=f"enter={self.enter} leave={self.leave} trend={self.trend} volatility={self.volatility}",
            )

    @property
    def warmup(self) -> int:
        """Bars before the first regime; the model's warm-up shows as missing predictions."""
        return market_regime(self.preset).warmup

    def features(self, bars: "pd.DataFrame") -> "pd.DataFrame":
        """Return `enter_at` and `leave_at`, probabilities; where the regime is undecided only leaving has one, the plain one."""
        import pandas as pd

        regime = market_regime(self.preset).compute(bars)
        trend, wild = regime["trend"].to_numpy(), regime["volatility"].to_numpy()
        enter = self.enter - self.trend * trend + self.volatility * wild
        leave = self.leave - self.trend * np.nan_to_num(trend, nan=0.0)
        leave[: self.warmup] = np.nan
        return pd.DataFrame({"enter_at": enter, "leave_at": leave}, index=bars.index, copy=False)

    def signals(self, frame: "pd.DataFrame") -> Signals:
        """Return 1 and 0 by the thresholds of each bar, NaN (hold) between them or where there is no prediction."""
        enter, leave = frame["enter_at"].to_numpy(), frame["leave_at"].to_numpy()
        return odds_signals(frame, np.where(np.isnan(leave), np.nan, enter), leave)
