"""Gaussian hidden Markov model: how likely the market is calm or volatile at each bar, by what was seen up to it.

Probabilities are *filtered*: of the state at a bar given the bars up to and including it. A smoothed probability, which is what the
`predict_proba` of most libraries returns, and the best path (Viterbi) also use the bars that come later: both repaint, and a
backtest on them knows the future. So the forward pass is written here, and no library is asked for more than parameters
(`atb.prediction.regime_fitting`).

A filter has an infinite memory. Here it starts anew for each bar, `memory` bars before it, from the stationary distribution: the
value is a function of a bounded window, to the last bit, and a runner computes the backtest's. Where it started is soon forgotten:
with models fitted on BTC/USDT 1h the probabilities of a year are those of an unbounded filter, bit by bit.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from atb.errors import InputError
from atb.features.indicators import Array
from atb.features.indicators.register import check_bar_counts
from atb.features.regimes.observations import Scale, returns_and_ranges

if TYPE_CHECKING:
    import pandas as pd

STATES = {2: ("calm", "volatile"), 3: ("calm", "normal", "volatile")}
Rows = tuple[tuple[float, ...], ...]


def filtered(densities: Iterable[Array], start: tuple[float, ...], transition: Rows) -> Iterator[Array]:
    """Yield the filtered probabilities of the states after each step: the forward pass, normalised at each step.

    Parameters
    ----------
    densities
        For each step the density (or probability) of what was seen in each state, up to a common factor: (states, lanes). Lanes
        are independent series that are filtered side by side.
    start
        Probability of each state before the first step.
    transition
        Probability of each next state (columns) by state (rows).
    """
    states = range(len(start))
    prior: list[Array | float] = list(start)
    for density in densities:
        joint = np.stack([prior[state] * density[state] for state in states])
        belief = joint / _added(joint)
        yield belief
        prior = [_added([belief[before] * transition[before][state] for before in states]) for state in states]


def _added(parts: "Array | list[Array]") -> Array:
    """Return the sum over states in their order, so that its bits do not depend on the number of lanes."""
    total = parts[0]
    for part in parts[1:]:
        total = total + part
    return total


@dataclass(frozen=True, slots=True)
class GaussianHmm:
    """A fitted model; states are in order of volatility.

    Parameters
    ----------
    scale
        Of the observations in the training part.
    start
        Stationary probability of each state.
    transition
        Probability of each next state (columns) by state (rows), above 0.
    means, deviations
        Of the scaled observations (columns: mean log return, log of mean range) by state (rows).
    window
        Bars that an observation is taken over: a day of hours tells the day's mood from its nights.
    memory
        Bars that a probability is filtered from.

    Raises
    ------
    InputError
        If the numbers are no such model.
    """

    name: ClassVar[str] = "gaussian_hmm"
    scale: Scale
    start: tuple[float, ...]
    transition: Rows
    means: Rows
    deviations: Rows
    window: int = 24
    memory: int = 250

    def __post_init__(self) -> None:
        """Refuse numbers that are no model."""
        states = len(self.start)
        if states not in STATES:
            raise InputError("A hidden Markov model has 2 or 3 states", found=states)
        rows = np.array([self.start, *self.transition])
        if rows.shape != (states + 1, states) or not (rows > 0).all() or not np.allclose(rows.sum(axis=1), 1):
            raise InputError("Probabilities are above 0 and each row adds up to 1", found=rows.tolist())
        shape = (states, len(self.scale.mean))
        if (
            np.shape(self.means) != shape
            or np.shape(self.deviations) != shape
            or not (np.array(self.deviations) > 0).all()
        ):
            raise InputError("Each state has a mean and a deviation above 0 of each observation", found=self.deviations)
        check_bar_counts(self, {"window": 1, "memory": 1})

    @property
    def labels(self) -> tuple[str, ...]:
        """Names of the states."""
        return STATES[len(self.start)]

    @property
    def warmup(self) -> int:
        """Bars before the first probability, which is exact to the last bit."""
        return self.window + self.memory - 1

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the columns that `compute` returns."""
        return ("regime", *(f"p_{label}" for label in self.labels))

    def observed(self, bars: "pd.DataFrame") -> Array:
        """Return the observations of each bar, unscaled: (rows, observations)."""
        return returns_and_ranges(bars, self.window)

    def compute(self, bars: "pd.DataFrame") -> "pd.DataFrame":
        """Return the columns on the index of `bars`; all are NaN before the warm-up.

        `regime`: index into `labels` of the most probable state. `p_calm` and so on: its filtered probability.

        Raises
        ------
        InputError
            If a price is missing or not above 0.
        """
        import pandas as pd

        table = np.full((len(bars), 1 + len(self.start)), np.nan)
        if len(bars) > self.warmup:
            belief = self.beliefs(self.observed(bars)[self.window :])
            table[self.warmup :, 0] = np.argmax(belief, axis=0)
            table[self.warmup :, 1:] = belief.T
        return pd.DataFrame(table, bars.index, list(self.columns), copy=False)

    def beliefs(self, observed: Array) -> Array:
        """Return the filtered probabilities (states, windows) at the end of each window of `memory` observations."""
        density, lanes = self.densities(observed), len(observed) - self.memory + 1
        steps = (density[:, first : first + lanes] for first in range(self.memory))
        belief = np.empty((len(self.start), lanes))
        for belief in filtered(steps, self.start, self.transition):  # noqa: B007 - the last one is wanted
            pass
        return belief

    def densities(self, observed: Array) -> Array:
        """Return the density of each observation by state, in units of the largest: (states, rows)."""
        seen = self.scale.apply(observed)
        logs = np.zeros((len(self.start), len(seen)))
        for state, (means, deviations) in enumerate(zip(self.means, self.deviations, strict=True)):
            for column, (mean, deviation) in enumerate(zip(means, deviations, strict=True)):
                logs[state] -= 0.5 * ((seen[:, column] - mean) / deviation) ** 2 + np.log(deviation)
        return np.asarray(np.exp(logs - logs.max(axis=0)))
