"""Regimes: what kind of market a bar is in, as causal columns that depend on a bounded window and are never repainted."""

from atb.features.regimes.agreement import TimeframeAgreement
from atb.features.regimes.hidden_markov import GaussianHmm
from atb.features.regimes.hysteresis import Hysteresis
from atb.features.regimes.jump import JumpModel
from atb.features.regimes.observations import Scale
from atb.features.regimes.refitted import Fit, Refitted
from atb.features.regimes.trend_volatility import PRESETS, TrendVolatility

__all__ = [
    "PRESETS",
    "Fit",
    "GaussianHmm",
    "Hysteresis",
    "JumpModel",
    "Refitted",
    "Scale",
    "TimeframeAgreement",
    "TrendVolatility",
]
