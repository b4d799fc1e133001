"""Agreement of timeframes: a trend is one only if enough of the slower timeframes, by weight, go the same way.

Each timeframe's trend is computed on its own closed bars (`atb.domain.inputs`), so a slower bar counts from its close on. A bar at
which any of them is unknown has no regime: half of a vote is no vote.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from atb.domain.inputs import BarsInput, Known
from atb.domain.timeframe import Timeframe
from atb.errors import InputError
from atb.features.indicators import Array
from atb.features.regimes.trend_volatility import TrendVolatility

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, slots=True)
class TimeframeAgreement:
    """Down, mixed or up, by weighted votes of the own and slower timeframes.

    Parameters
    ----------
    own
        Rules of the own timeframe's trend; those of the slower ones are `TrendVolatility.of_timeframe`.
    slower
        Timeframes and their weights; the own one has weight 1.
    share
        Share of the weights that must go one way, above one half and up to 1.

    Raises
    ------
    InputError
        If a weight or the share means nothing.
    """

    name: ClassVar[str] = "timeframe_agreement"
    labels: ClassVar[tuple[str, ...]] = ("down", "mixed", "up")
    own: TrendVolatility = TrendVolatility()  # noqa: RUF009 - it is frozen
    slower: tuple[tuple[str, float], ...] = (("4h", 1.5), ("1d", 2.0))
    share: float = 0.6

    def __post_init__(self) -> None:
        """Refuse votes that mean nothing."""
        if not 0.5 < self.share <= 1:
            raise InputError("The share lies above 0.5 and up to 1, so that not both ways have it", found=self.share)
        names = [str(Timeframe.parse(timeframe)) for timeframe, _ in self.slower]
        if not names or len(set(names)) < len(names):
            raise InputError("Agreement needs other timeframes, each once", found=names)
        if any(not 0 < weight < np.inf for _, weight in self.slower):
            raise InputError("A weight is a finite number above 0", found=self.slower)

    @property
    def inputs(self) -> dict[str, BarsInput]:
        """The slower bars that it reads: a strategy declares them among its own inputs."""
        return {
            _name(timeframe): BarsInput(
                timeframe=timeframe, warmup=TrendVolatility.of_timeframe(timeframe).trend_warmup
            )
            for timeframe, _ in self.slower
        }

    @property
    def warmup(self) -> int:
        """Own bars before the first regime; the inputs have warm-ups of their own."""
        return self.own.trend_warmup

    def compute(self, bars: "pd.DataFrame", inputs: Mapping[str, Known]) -> "pd.DataFrame":
        """Return the columns on the index of `bars`.

        `regime`: index into `labels`, NaN where a timeframe's trend is unknown. `agreement`: the weighted mean of all trends, -1
        all down to 1 all up. `trend_own`, `trend_4h` and so on: each one's trend, -1, 0 or 1.

        Raises
        ------
        InputError
            If an input is missing, or a price.
        """
        import pandas as pd

        trends = {"trend_own": self.own.trends(bars)}
        for timeframe, _ in self.slower:
            trends[f"trend_{timeframe}"] = self._slower_trend(timeframe, inputs)
        weights = [1.0, *(weight for _, weight in self.slower)]
        up, down = (
            _share(weights, [(trend == way).astype(np.float64) for trend in trends.values()]) for way in (1, -1)
        )
        regime = 1.0 + (up >= self.share) - (down >= self.share)
        known = ~np.isnan(np.stack(list(trends.values()))).any(axis=0)
        columns = {"regime": np.where(known, regime, np.nan), "agreement": np.where(known, up - down, np.nan), **trends}
        return pd.DataFrame(columns, index=bars.index, copy=False)

    def _slower_trend(self, timeframe: str, inputs: Mapping[str, Known]) -> Array:
        name = _name(timeframe)
        if name not in inputs:
            raise InputError(
                f"Agreement reads {timeframe} bars", found=sorted(inputs), todo=f"Declare the input {name}"
            )
        return inputs[name].as_of(TrendVolatility.of_timeframe(timeframe).trends(inputs[name].frame))


def _name(timeframe: str) -> str:
    return f"bars_{timeframe}"


def _share(weights: list[float], votes: list[Array]) -> Array:
    """Return the share of the weights whose vote is 1 and not 0, at each bar."""
    counted, total = np.zeros(len(votes[0])), 0.0
    for weight, vote in zip(weights, votes, strict=True):
        counted += weight * vote
        total += weight  # rounded as the votes are: where all agree, the share is exactly 1
    return counted / total
