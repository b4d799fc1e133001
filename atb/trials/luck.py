"""The Sharpe ratio that luck alone reaches: expected largest of independent trials without skill, and how many are independent.

The expected maximum of N standard normals is (1 - g) Z(1 - 1/N) + g Z(1 - 1/(N e)), with Euler's constant g and the normal
quantile Z. Times the standard deviation of the trials' Sharpe ratios it is the ratio that the best of N trials without skill is
expected to show (Bailey and Lopez de Prado, "The Deflated Sharpe Ratio", 2014). For one trial it is 0, never the formula.

Trials of one idea are alike, and a thousand of them are not a thousand draws. They are grouped by their day returns: average
linkage on one minus the correlation, groups no further apart than `APART` on average. The number of groups is the number of
independent trials. Where returns are kept of a sample alone, the trials outside it form new groups as often as those inside stand
alone (Good and Turing's estimate). Other estimators give other numbers on the same data; this is the one that atb uses.
"""

import math
from collections.abc import Sequence
from statistics import NormalDist

import numpy as np

from atb.trials.days import Floats

APART = 0.5  # one minus the correlation
GAMMA = 0.5772156649015329
_QUANTILE = NormalDist().inv_cdf


def expected_maximum(trials: float) -> float:
    """Return the expected largest of so many independent standard normals; 0 for one or none."""
    if trials <= 1:
        return 0.0
    found = (1.0 - GAMMA) * _QUANTILE(1.0 - 1.0 / trials) + GAMMA * _QUANTILE(1.0 - 1.0 / (trials * math.e))
    return max(0.0, found)


def lucky_sharpe(sharpes: Floats, independent: float) -> float:
    """Return the Sharpe ratio that the best of the trials is expected to show without any skill; 0 for a single trial.

    Parameters
    ----------
    sharpes
        (N,) of the distinct trials, all of one period length; NaN are left out.
    independent
        How many of them are independent.
    """
    known = sharpes[np.isfinite(sharpes)]
    if len(known) < 2:
        return 0.0
    return expected_maximum(independent) * float(known.std(ddof=1))


def effective_number(returns: Floats, trials: int | None = None) -> int:
    """Return how many of the trials are independent.

    Parameters
    ----------
    returns
        (M, D) day returns of the trials, or of a sample of them, over the same days.
    trials
        How many there are; None: those given.
    """
    total, sample = len(returns) if trials is None else trials, len(returns)
    if not sample:
        return total
    sizes = _group_sizes(1.0 - correlations(returns))
    alone = sum(size == 1 for size in sizes)
    return min(total, len(sizes) + round((total - sample) * alone / sample)) if total > sample else len(sizes)


def correlations(returns: Floats) -> Floats:
    """Return the correlations (M, M); a series without any change is alike to one other such, and unlike all others."""
    centred = returns - returns.mean(axis=1, keepdims=True)
    size = np.sqrt((centred**2).sum(axis=1))
    still = size < 1e-12
    unit = centred / np.where(still, 1.0, size)[:, None]
    found = np.clip(unit @ unit.T, -1.0, 1.0)
    found[np.ix_(still, still)] = 1.0
    return np.asarray(found, dtype=np.float64)


def _group_sizes(distance: Floats, apart: float = APART) -> Sequence[int]:
    """Return the sizes of the groups that average linkage leaves further apart than `apart`."""
    left = distance.copy()
    np.fill_diagonal(left, np.inf)
    sizes = np.ones(len(left))
    while len(left) > 1:
        one, other = divmod(int(left.argmin()), len(left))
        if left[one, other] > apart:
            break
        joined = (sizes[one] * left[one] + sizes[other] * left[other]) / (sizes[one] + sizes[other])
        left[one], left[:, one] = joined, joined
        left[one, one] = np.inf
        sizes[one] += sizes[other]
        rest = np.arange(len(left)) != other
        left, sizes = left[rest][:, rest], sizes[rest]
    return [int(size) for size in sizes]
