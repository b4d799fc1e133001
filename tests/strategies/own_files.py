"""Strategies as their users write them: files in the folder that the settings name."""

from pathlib import Path

FADE = '''"""Fade: long after a fall, flat once the price is back."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from atb.domain.signals import Signals

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Fade:
    """Long while the close is more than `depth` (a fraction) below its highest of `window` bars, flat at a new high."""

    name: ClassVar[str] = "fade"
    predicts: ClassVar[bool] = False
    window: int = 20
    depth: float = 0.02

    def __post_init__(self) -> None:
        """Refuse a window that holds nothing."""
        if self.window < 1:
            raise ValueError("need window above 0")

    @property
    def warmup(self) -> int:
        """Bars before the first highest close."""
        return self.window - 1

    def features(self, bars: "pd.DataFrame") -> "pd.DataFrame":
        """Return the highest close of the window."""
        return bars[["close"]].rolling(self.window).max().set_axis(["highest"], axis=1)

    def signals(self, frame: "pd.DataFrame") -> Signals:
        """Return 1 below the highest close by `depth`, 0 at it, NaN (hold) between."""
        fall = 1 - frame["close"].to_numpy() / frame["highest"].to_numpy()
        return Signals(np.select([fall > self.depth, fall <= 0], [1.0, 0.0], np.nan))
'''


def write_strategy(name: str, text: str) -> Path:
    """Write a file of the folder of own strategies, and return its path."""
    from atb.config import load_settings

    path = load_settings().strategies_root / f"{name}.py"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path
