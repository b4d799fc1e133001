"""Regimes: what kind of market a bar is in, as causal columns that depend on a bounded window and are never repainted."""

from atb.features.regimes.hysteresis import Hysteresis
from atb.features.regimes.trend_volatility import PRESETS, TrendVolatility

__all__ = ["PRESETS", "Hysteresis", "TrendVolatility"]
