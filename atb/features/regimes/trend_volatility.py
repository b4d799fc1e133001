"""Regimes of trend and volatility: the slope of a rolling regression of log prices, and the percentile of the average range.

Direction comes from the least-squares slope of the log close, weighted by R squared, so that a line that explains nothing has no
direction; volatility from where the mean true range of the last bars, as a fraction of the price, stands in its own past. The six
combinations are the raw labels; `atb.features.regimes.hysteresis` makes regimes of them. All of it depends on a bounded window.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from atb.errors import InputError
from atb.features.indicators import Array
from atb.features.indicators.register import check_bar_counts
from atb.features.regimes.hysteresis import Hysteresis
from atb.features.regimes.rolling import percentile, regression, relative_range, z_score

if TYPE_CHECKING:
    import pandas as pd

_CONFIDENT = 3.0  # standard deviations of the trend score that count as full confidence
_LEAST = {"slope_window": 3, "atr_window": 1, "rank_window": 2}  # bars


@dataclass(frozen=True, slots=True)
class TrendVolatility:
    """Trend (down, range, up) times volatility (low, high).

    Parameters
    ----------
    slope_window
        Bars of the regression of log close.
    min_r2
        R squared below which there is no trend, 0 to 1.
    trend_threshold
        Slope times R squared (log return per bar) beyond which a trend is up or down.
    atr_window
        Bars of the mean true range.
    rank_window
        Bars among which its percentile, and the confidence, are taken.
    high
        Percentile (0 to 1) from which volatility is high.
    confirmations, dwell, memory
        In bars: `Hysteresis`.

    Raises
    ------
    InputError
        If a parameter means nothing.
    """

    name: ClassVar[str] = "trend_volatility"
    labels: ClassVar[tuple[str, ...]] = ("down_low", "down_high", "range_low", "range_high", "up_low", "up_high")
    slope_window: int = 50
    min_r2: float = 0.2
    trend_threshold: float = 0.0
    atr_window: int = 14
    rank_window: int = 252
    high: float = 0.7
    confirmations: int = 3
    dwell: int = 12
    memory: int = 250

    def __post_init__(self) -> None:
        """Refuse windows and thresholds that mean nothing."""
        check_bar_counts(self, _LEAST)
        for name in ("min_r2", "high"):
            if not 0 <= getattr(self, name) <= 1:
                raise InputError(f"{name} lies between 0 and 1", found=getattr(self, name))
        if not 0 <= self.trend_threshold < np.inf:
            raise InputError("trend_threshold is a log return per bar, 0 or more", found=self.trend_threshold)
        Hysteresis(self.confirmations, self.dwell, self.memory)

    @classmethod
    def of_timeframe(cls, timeframe: str) -> "TrendVolatility":
        """Return the parameters that suit a timeframe; those of the nearest of 1h, 4h and 1d for others."""
        from atb.domain.timeframe import Timeframe

        seconds = Timeframe.parse(timeframe).seconds
        nearest = min(PRESETS, key=lambda name: abs(np.log(Timeframe.parse(name).seconds / seconds)))
        return PRESETS[nearest]

    @property
    def hysteresis(self) -> Hysteresis:
        """The rules by which labels become regimes."""
        return Hysteresis(self.confirmations, self.dwell, self.memory)

    @property
    def warmup(self) -> int:
        """Bars before the first regime, which is exact to the last bit."""
        return self._raw_warmup + self.hysteresis.warmup

    @property
    def _raw_warmup(self) -> int:
        return max(self.slope_window - 1, self.atr_window) + self.rank_window - 1

    def compute(self, bars: "pd.DataFrame") -> "pd.DataFrame":
        """Return the columns of the regime on the index of `bars`; all are NaN before the warm-up.

        `regime`: index into `labels`, NaN where undecided. `trend`: -1 down, 0 range, 1 up. `volatility`: 0 low, 1 high.
        `age`: bars it has lasted, counted up to `dwell`. `confidence`: how unusual the trend is by its own past, 0 to 1 (its
        z-score, 3 and more being 1): a rank to compare bars by, no probability.

        Raises
        ------
        InputError
            If a price is missing.
        """
        import pandas as pd

        score, share = self.scores(bars)
        raw = 2 * (self._directions(score) + 1) + (share >= self.high)
        raw[: self._raw_warmup] = np.nan
        regime, age = self.hysteresis.settle(raw, len(self.labels))
        trend, volatility = np.divmod(regime, 2)
        confidence = np.minimum(np.abs(z_score(score, self.rank_window)), _CONFIDENT) / _CONFIDENT
        confidence[: self.warmup] = np.nan
        columns = {"regime": regime, "trend": trend - 1, "volatility": volatility, "age": age, "confidence": confidence}
        return pd.DataFrame(columns, index=bars.index, copy=False)

    @property
    def trend_warmup(self) -> int:
        """Bars before the first value of `trends`."""
        return self.slope_window - 1 + self.hysteresis.warmup

    def trends(self, bars: "pd.DataFrame") -> Array:
        """Return the trend alone at each bar, settled by its own labels: -1 down, 0 range, 1 up; NaN before, or where undecided.

        Raises
        ------
        InputError
            If a price is missing.
        """
        return self.hysteresis.settle(self._directions(self._trend_score(bars)) + 1, 3)[0] - 1

    def scores(self, bars: "pd.DataFrame") -> tuple[Array, Array]:
        """Return the trend score (slope times R squared, log return per bar) and the percentile of the range (0 to 1)."""
        high, low, close = (bars[name].to_numpy(dtype=np.float64) for name in ("high", "low", "close"))
        return self._trend_score(bars), percentile(
            relative_range(high, low, close, n=self.atr_window), self.rank_window
        )

    def _trend_score(self, bars: "pd.DataFrame") -> Array:
        close = bars["close"].to_numpy(dtype=np.float64)
        if not (np.isfinite(close).all() and (close > 0).all()):
            raise InputError("A regime needs a price above 0 in each bar", todo="Repair or drop the bar first")
        slope, fit = regression(np.log(close), self.slope_window)
        score = np.where(fit < self.min_r2, 0.0, slope * fit)
        score[: self.slope_window - 1] = np.nan
        return score

    def _directions(self, score: Array) -> Array:
        """Return the raw trend of each score: -1, 0 or 1."""
        return np.asarray(np.sign(score) * (np.abs(score) > self.trend_threshold))


PRESETS = {
    "1h": TrendVolatility(slope_window=30, trend_threshold=0.001, confirmations=3, dwell=10),
    "4h": TrendVolatility(slope_window=20, trend_threshold=0.002, confirmations=2, dwell=5, memory=120),
    "1d": TrendVolatility(slope_window=15, trend_threshold=0.003, confirmations=2, dwell=3, memory=60),
}
"""Parameters by timeframe; the thresholds mark steep trends only."""
