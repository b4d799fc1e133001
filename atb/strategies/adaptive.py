"""Adaptive: follows the trend while there is one, trades the range while there is none, stands aside in a downtrend."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from atb.domain.signals import Signals
from atb.errors import InputError
from atb.features.indicators import rsi, sma
from atb.strategies.components import market_regime, settled

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, slots=True)
class Adaptive:
    """The regime of trend and volatility chooses the rules by which a bar is judged.

    In an uptrend it enters above a rising pair of averages and leaves below the slow one; in a range it buys weakness and sells
    strength by RSI (14), more of either while volatility is high; in a downtrend it is flat.

    Parameters
    ----------
    fast, slow
        Windows of the two averages, in bars.
    oversold, overbought
        RSI below which a calm range is bought and above which it is sold.
    wild
        By how much further out both lie while volatility is high.
    preset
        Timeframe whose thresholds of trend are used: `1h`, `4h` or `1d`.
    """

    name: ClassVar[str] = "adaptive"
    predicts: ClassVar[bool] = False
    question: ClassVar[str] = "Do rules that change with the regime earn more than one rule for all of them?"
    other_texts: ClassVar[tuple[str, ...]] = ("4h", "1d")
    fast: int = 8
    slow: int = 50
    oversold: float = 40.0
    overbought: float = 60.0
    wild: float = 10.0
    preset: str = "1h"

    def __post_init__(self) -> None:
        """Refuse averages out of order and thresholds out of range."""
        market_regime(self.preset)
        if not 0 < self.fast < self.slow:
            raise InputError("adaptive needs 0 < fast < slow", found=f"fast={self.fast} slow={self.slow}")
        if not (0 <= self.wild < self.oversold < self.overbought < 100 - self.wild):
            found = f"oversold={self.oversold} overbought={self.overbought} wild={self.wild}"
            raise InputError("adaptive needs 0 <= wild < oversold < overbought < 100 - wild", found=found)

    @property
    def warmup(self) -> int:
        """Bars before the first regime, the slow average and a settled RSI."""
        return max(market_regime(self.preset).warmup, self.slow - 1, settled("rsi"))

    def features(self, bars: "pd.DataFrame") -> "pd.DataFrame":
        """Return `trend` (-1, 0, 1) and `volatility` (0, 1) of the regime, the averages (price units) and RSI (0 to 100)."""
        close = bars["close"].to_numpy()
        frame = market_regime(self.preset).compute(bars)[["trend", "volatility"]]
        frame = frame.assign(fast=sma(close, self.fast), slow=sma(close, self.slow), rsi=rsi(close))
        frame.iloc[: self.warmup] = np.nan
        return frame

    def signals(self, frame: "pd.DataFrame") -> Signals:
        """Return 1 and 0 by the rules of each bar's regime; NaN (hold) where they say nothing or it is undecided."""
        close, fast, slow, strength = (frame[name].to_numpy() for name in ("close", "fast", "slow", "rsi"))
        trend, further = frame["trend"].to_numpy(), self.wild * frame["volatility"].to_numpy()
        known = ~np.isnan(trend + further + fast + slow + strength)
        up, sideways = (trend == 1) & known, (trend == 0) & known
        enter = up & (close > fast) & (fast > slow)
        enter |= sideways & (strength < self.oversold - further)
        leave = up & (close < slow)
        leave |= sideways & (strength > self.overbought + further)
        return Signals(np.select([enter, leave | (trend == -1)], [1.0, 0.0], np.nan))
