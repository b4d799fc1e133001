"""The methods of regimes as the contract suite runs them, and a strategy that follows one."""

import dataclasses
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pandas as pd

from atb.domain import Signals
from atb.features.regimes import Hysteresis, Refitted, Scale, TrendVolatility
from tests.features.regimes.fitted import HMM, JUMP, fit_of

KNOWN_MS = 1_704_067_200_000  # the open of the first bar of every test market

METHODS: dict[str, Any] = {
    "trend_volatility": TrendVolatility(slope_window=12, rank_window=40, dwell=5, memory=40),
    "gaussian_hmm": dataclasses.replace(HMM, memory=8),  # so short that even its start matters
    "jump_model": JUMP,
    "refitted": Refitted((fit_of(JUMP, KNOWN_MS),), Hysteresis(2, 6, 30)),
}
OTHER_VALUES: dict[str, dict[str, Any]] = {
    "trend_volatility": {
        "slope_window": 30, "min_r2": 0.6, "trend_threshold": 0.003, "atr_window": 4, "rank_window": 90, "high": 0.4,
        "confirmations": 1, "dwell": 12, "memory": 10,
    },
    "gaussian_hmm": {
        "scale": Scale((0.0, -3.0), (0.002, 0.8), 10.0), "start": (0.001, 0.999), "transition": ((0.5, 0.5), (0.5, 0.5)),
        "means": ((0.0, 0.0), (0.0, 0.1)), "deviations": ((0.5, 0.6), (5.0, 0.7)), "window": 3, "memory": 1,
    },
    "jump_model": {
        "scale": Scale((-4.0, 0.1, 0.05), (0.7, 0.5, 0.2), 3.0), "centres": ((0.2, -0.2, -1.5), (-0.2, 0.5, 0.1)),
        "penalty": 0.0, "fast": 4, "slow": 40, "memory": 2,
    },
    "refitted": {
        "fits": (fit_of(dataclasses.replace(JUMP, penalty=0.0), KNOWN_MS),), "hysteresis": None,
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
        return Signals(
            np.where(np.isnan(regime), np.nan, regime % 2), confidence=1 / (1 + np.abs(frame.iloc[:, -1].to_numpy()))
        )
