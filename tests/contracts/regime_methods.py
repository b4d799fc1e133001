"""The methods of regimes as the contract suite runs them, and a strategy that follows one."""

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pandas as pd

from atb.domain import Signals
from atb.features.regimes import TrendVolatility

METHODS: dict[str, Any] = {
    "trend_volatility": TrendVolatility(slope_window=12, rank_window=40, dwell=5, memory=40),
}
OTHER_VALUES: dict[str, dict[str, Any]] = {
    "trend_volatility": {
        "slope_window": 30, "min_r2": 0.6, "trend_threshold": 0.003, "atr_window": 4, "rank_window": 90, "high": 0.4,
        "confirmations": 1, "dwell": 12, "memory": 10,
    },
}  # fmt: skip


@dataclass(frozen=True)
class Follows:
    """Long in some regimes, flat in others; holds where the regime is undecided."""

    name: ClassVar[str] = "follows"
    predicts: ClassVar[bool] = False
    method: str = "trend_volatility"

    @property
    def warmup(self) -> int:
        return METHODS[self.method].warmup

    def features(self, bars: pd.DataFrame) -> pd.DataFrame:
        return METHODS[self.method].compute(bars)

    def signals(self, frame: pd.DataFrame) -> Signals:
        regime = frame["regime"].to_numpy()
        return Signals(np.where(np.isnan(regime), np.nan, regime % 2), confidence=frame["age"].to_numpy() / 100)
