"""Random: long at random times, drawn by a seed from the clock; the baseline for timing."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from atb.domain.signals import Signals
from atb.errors import InputError

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

_HOUR_NS = 3_600_000_000_000
_LARGEST = 2**32


@dataclass(frozen=True, slots=True)
class Random:
    """Splits time into blocks of equal length and is long in a random share of them.

    A block's draw is a function of seed and time alone, so it is the same wherever a history begins.

    Parameters
    ----------
    seed
        Of the draws.
    hours
        Length of a block.
    share
        Share of blocks in which it is long.
    """

    name: ClassVar[str] = "random"
    predicts: ClassVar[bool] = False
    question: ClassVar[str] = "What would the same time in the market have earned by chance?"
    seed: int = 7
    hours: int = 24
    share: float = 0.5

    def __post_init__(self) -> None:
        """Refuse what cannot be drawn."""
        if not (0 <= self.seed < _LARGEST and self.hours >= 1 and 0 <= self.share <= 1):
            raise InputError("random needs a seed of 0 or more, blocks of 1 hour or more and a share in [0, 1]",
                             found=f"seed={self.seed} hours={self.hours} share={self.share}")  # fmt: skip

    @property
    def warmup(self) -> int:
        """0: it looks at the clock alone."""
        return 0

    def features(self, bars: "pd.DataFrame") -> "pd.DataFrame":
        """Return each bar's draw in [0, 1) as `draw`."""
        import pandas as pd

        opened: NDArray[np.int64] = bars.index.as_unit("ns").asi8  # type: ignore[attr-defined] # an index of times
        blocks = (opened // _HOUR_NS // self.hours).astype(np.uint64)
        return pd.DataFrame({"draw": _draws(blocks, self.seed)}, index=bars.index)

    def signals(self, frame: "pd.DataFrame") -> Signals:
        """Return 1 in the chosen blocks, 0 in the others."""
        return Signals((frame["draw"].to_numpy() < self.share).astype(np.float64))


def _draws(blocks: "NDArray[np.uint64]", seed: int) -> "NDArray[np.float64]":
    """Return a number in [0, 1) for each block by the finaliser of SplitMix64 (Steele, Lea and Flood 2014)."""
    with np.errstate(over="ignore"):
        mixed = (blocks + np.uint64(seed) * np.uint64(0x9E3779B97F4A7C15)) * np.uint64(0xD1342543DE82EF95)
        for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
            mixed = (mixed ^ (mixed >> np.uint64(shift))) * np.uint64(factor)
        mixed ^= mixed >> np.uint64(31)
    return np.asarray((mixed >> np.uint64(11)).astype(np.float64) / 2**53)
