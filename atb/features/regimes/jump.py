"""Jump model: the sequence of states whose centres fit what was seen best, where each change of state costs a penalty.

Fitted by `jumpmodels` (`atb.prediction.regime_fitting`); inferred here *online*: at each bar the state in which the cheapest path
up to that bar ends. The path that is cheapest over a whole history, which `predict` of that library returns, changes its past when
bars are added. As in `atb.features.regimes.hidden_markov` the path starts anew for each bar, `memory` bars before it: a bounded
window, to the last bit. A state that is cheaper by more than the penalty erases all that came before, so little depends on where a
path starts.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from atb.errors import InputError
from atb.features.indicators import Array
from atb.features.indicators.register import check_bar_counts, check_spans
from atb.features.regimes.observations import Scale, downside_and_sortino

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, slots=True)
class JumpModel:
    """A fitted model of two states, the one with the lower returns first.

    Parameters
    ----------
    scale
        Of the observations in the training part.
    centres
        Of the scaled observations (columns: log downside deviation, Sortino ratio of `fast` and of `slow` bars) by state (rows).
    penalty
        Cost of a change of state, in units of half a squared distance.
    fast, slow
        Bars of the observations.
    memory
        Bars over which a path is followed.

    Raises
    ------
    InputError
        If the numbers are no such model.
    """

    name: ClassVar[str] = "jump_model"
    labels: ClassVar[tuple[str, ...]] = ("bear", "bull")
    columns: ClassVar[tuple[str, ...]] = ("regime", "lead")
    scale: Scale
    centres: tuple[tuple[float, ...], ...]
    penalty: float
    fast: int = 24
    slow: int = 120
    memory: int = 250

    def __post_init__(self) -> None:
        """Refuse numbers that are no model."""
        if np.shape(self.centres) != (len(self.labels), len(self.scale.mean)) or not np.isfinite(self.centres).all():
            raise InputError("Each of two states has a centre of each observation", found=self.centres)
        if not 0 <= self.penalty < np.inf:
            raise InputError("A penalty is a finite number, 0 or more", found=self.penalty)
        check_bar_counts(self, {"fast": 2, "slow": 2, "memory": 2})
        check_spans("jump_model", self.fast, self.slow)

    @property
    def warmup(self) -> int:
        """Bars before the first regime, which is exact to the last bit."""
        return self.slow + self.memory - 1

    def observed(self, bars: "pd.DataFrame") -> Array:
        """Return the observations of each bar, unscaled: (rows, observations)."""
        return downside_and_sortino(bars, self.fast, self.slow)

    def compute(self, bars: "pd.DataFrame") -> "pd.DataFrame":
        """Return the columns on the index of `bars`; both are NaN before the warm-up.

        `regime`: index into `labels`. `lead`: by how much the path that ends in it is cheaper than the other, in units of the
        penalty and at most 1, where the past is erased.

        Raises
        ------
        InputError
            If a price is missing or not above 0.
        """
        import pandas as pd

        table = np.full((len(bars), 2), np.nan)
        if len(bars) > self.warmup:
            losses = self.losses(self.observed(bars)[self.slow :])
            lanes = losses.shape[1] - self.memory + 1
            cost = losses[:, :lanes]
            for first in range(1, self.memory):
                cost = losses[:, first : first + lanes] + cheapest_before(cost, self.penalty)
            table[self.warmup :, 0] = np.argmin(cost, axis=0)
            lead = np.abs(cost[0] - cost[1])
            table[self.warmup :, 1] = np.minimum(lead / self.penalty, 1.0) if self.penalty else 1.0
        return pd.DataFrame(table, bars.index, list(self.columns), copy=False)

    def losses(self, observed: Array) -> Array:
        """Return half the squared distance of each observation from each state's centre: (states, rows)."""
        seen = self.scale.apply(observed)
        found = np.zeros((len(self.centres), len(seen)))
        for state, centre in enumerate(self.centres):
            for column, value in enumerate(centre):
                found[state] += 0.5 * (seen[:, column] - value) ** 2
        return found


def cheapest_before(cost: Array, penalty: float) -> Array:
    """Return the least cost of coming to each state (rows), less the cheapest: 0 up to the penalty."""
    return np.asarray(np.minimum(cost - cost.min(axis=0), penalty))
