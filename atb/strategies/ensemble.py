"""Ensemble: a weighted vote of five measures of the trend, long by a clear majority."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from atb.domain.signals import Signals
from atb.errors import InputError
from atb.features.indicators import macd_histogram, midprice, roc, rsi, sma
from atb.strategies.components import settled

if TYPE_CHECKING:
    import pandas as pd

_VOTERS = ("average", "momentum", "channel", "strength", "macd")
_EVEN = 50.0  # RSI of a market without a side


@dataclass(frozen=True, slots=True)
class Ensemble:
    """Each measure votes up (1), down (-1) or not at all (0); the vote is their weighted mean.

    Parameters
    ----------
    average, momentum, channel, strength, macd
        Weights, 0 or more: of the fast average above the slow one, of the rise over `fast` bars, of the close above the middle of
        the last `slow` bars' range, of RSI (14) above 50, and of MACD above its signal line.
    fast, slow
        Windows, in bars.
    enter, leave
        Vote, -1 to 1, from which to be long, and down to which to be flat; between the two what is held is held.
    """

    name: ClassVar[str] = "ensemble"
    predicts: ClassVar[bool] = False
    question: ClassVar[str] = "Are several weak opinions of the trend better than one?"
    average: float = 0.3
    momentum: float = 0.25
    channel: float = 0.2
    strength: float = 0.15
    macd: float = 0.1
    fast: int = 24
    slow: int = 120
    enter: float = 0.55
    leave: float = 0.15

    def __post_init__(self) -> None:
        """Refuse weights below 0 or all 0, windows out of order, and thresholds without room."""
        weights = self._weights()
        if min(weights) < 0 or sum(weights) <= 0:
            raise InputError("ensemble needs weights of 0 or more, one above 0", found=weights)
        if not 1 < self.fast < self.slow:
            raise InputError("ensemble needs 1 < fast < slow", found=f"fast={self.fast} slow={self.slow}")
        if not -1 <= self.leave < self.enter <= 1:
            raise InputError("ensemble needs -1 <= leave < enter <= 1", found=f"leave={self.leave} enter={self.enter}")

    def _weights(self) -> tuple[float, ...]:
        return tuple(getattr(self, name) for name in _VOTERS)

    @property
    def warmup(self) -> int:
        """Bars before the longest window is full and MACD and RSI are settled."""
        return max(self.slow - 1, settled("macd_histogram", "rsi"))

    def features(self, bars: "pd.DataFrame") -> "pd.DataFrame":
        """Return the measures, each above 0 where it votes up: prices, percent or points, by its name."""
        import pandas as pd

        high, low, close = (bars[name].to_numpy() for name in ("high", "low", "close"))
        measures = {
            "average": sma(close, self.fast) - sma(close, self.slow),
            "momentum": roc(close, self.fast),
            "channel": close - midprice(high, low, self.slow),
            "strength": rsi(close) - _EVEN,
            "macd": macd_histogram(close),
        }
        frame = pd.DataFrame(measures, index=bars.index)
        frame.iloc[: self.warmup] = np.nan
        return frame

    def signals(self, frame: "pd.DataFrame") -> Signals:
        """Return 1 from a vote of `enter` up, 0 from `leave` down, NaN (hold) between or while a measure is missing.

        Confidence is the size of the vote, 0 where it is not known.
        """
        vote, total = np.zeros(len(frame)), 0.0
        for name, weight in zip(_VOTERS, self._weights(), strict=True):
            vote += weight * np.sign(frame[name].to_numpy())
            total += weight  # rounded as the votes are: where all agree, the vote is exactly 1
        vote /= total
        side = np.select([vote >= self.enter, vote <= self.leave], [1.0, 0.0], np.nan)
        return Signals(side, confidence=np.clip(np.nan_to_num(np.abs(vote), nan=0.0), 0.0, 1.0))
