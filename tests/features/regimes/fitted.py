"""Regime models with parameters written by hand, and a market that changes between calm and volatile, for tests without a fit."""

import numpy as np
import pandas as pd

from atb.features.regimes import Fit, GaussianHmm, JumpModel, Scale
from tests.bars import frame_of

HOUR_MS = 3_600_000
HMM = GaussianHmm(
    scale=Scale((0.0, -4.0), (0.002, 0.8), 10.0), start=(0.6, 0.4), transition=((0.98, 0.02), (0.03, 0.97)),
    means=((0.0, -0.7), (0.0, 0.8)), deviations=((0.5, 0.6), (1.4, 0.7)), window=6, memory=60,
)  # fmt: skip
JUMP = JumpModel(
    scale=Scale((-4.5, 0.1, 0.05), (0.7, 0.5, 0.2), 3.0), centres=((0.2, -0.2, -0.5), (-0.2, 0.5, 1.1)), penalty=4.0,
    fast=8, slow=20, memory=60,
)  # fmt: skip


def changing_market(n: int, seed: int = 0, *, lasts: int = 80) -> tuple[pd.DataFrame, np.ndarray]:
    """Return bars that are calm and volatile in turn, and which they are: 0 or 1."""
    rng = np.random.default_rng(seed)
    state = (np.arange(n) // lasts) % 2
    sigma = np.where(state == 0, 0.002, 0.015)
    close = 100 * np.exp(np.cumsum(rng.normal(np.where(state == 0, 0.0004, -0.0004), sigma)))
    bars = frame_of(close)
    width = sigma * np.exp(rng.normal(0, 0.3, n))
    return bars.assign(high=bars["high"] * (1 + width / 2), low=bars["low"] * (1 - width / 2)), state


def fit_of(model: GaussianHmm | JumpModel, known_ms: int) -> Fit:
    """Return a fit that counts from `known_ms` on."""
    return Fit(model, known_ms - 1_000 * HOUR_MS, known_ms, 1_000, "0" * 64)
