"""The Sharpe ratio that luck alone reaches: expected largest of independent trials without skill, and how many are independent.

The expected maximum of N standard normals is (1 - g) Z(1 - 1/N) + g Z(1 - 1/(N e)), with Euler's constant g and the normal
quantile Z. Times the standard deviation of the trials' Sharpe ratios it is the ratio that the best of N trials without skill is
expected to show (Bailey and Lopez de Prado, "The Deflated Sharpe Ratio", 2014). For one trial it is 0, never the formula.

That formula is for trials over one length of time. A ratio over a short period scatters more: without skill its standard deviation
goes with one over the root of the length (Lo, "The Statistics of Sharpe Ratios", 2002). So trials of different lengths are first
made alike, each ratio times the root of its years, and the outcome is divided by the root of the years of the period that is
asked about. For trials of one length this changes nothing.

Trials of one idea are alike, and a thousand of them are not a thousand draws. They are grouped by their day returns: average
linkage on one minus the correlation, groups no further apart than `APART` on average. Two trials are compared on the days that
both have; with fewer than `FEW` of them in common they count as unlike, unless they are all that either has. The number of groups
is the number of independent trials. Where returns are kept of a sample alone, the trials outside it form new groups as often as
those inside stand alone (Good and Turing's estimate). Other estimators give other numbers on the same data; this is the one that
atb uses.
"""

import math
from collections.abc import Sequence
from statistics import NormalDist

import numpy as np

from atb.trials.days import Floats

APART = 0.5  # one minus the correlation
FEW = 20  # days
GAMMA = 0.5772156649015329
STILL = 1e-12  # of a series without any change: root of the sum of squares
_QUANTILE = NormalDist().inv_cdf


def expected_maximum(trials: float) -> float:
    """Return the expected largest of so many independent standard normals; 0 for one or none."""
    if trials <= 1:
        return 0.0
    found = (1.0 - GAMMA) * _QUANTILE(1.0 - 1.0 / trials) + GAMMA * _QUANTILE(1.0 - 1.0 / (trials * math.e))
    return max(0.0, found)


def lucky_sharpe(sharpes: Floats, independent: float, *, years: Floats | None = None, period: float = 1.0) -> float:
    """Return the Sharpe ratio that the best of the trials is expected to show without any skill; 0 for a single trial.

    Parameters
    ----------
    sharpes
        (N,) of the distinct trials, annualised; NaN are left out.
    independent
        How many of them are independent.
    years, period
        (N,) lengths of the trials' periods, and that of the period asked about, in years; None where all are of one length.
    """
    alike = sharpes if years is None else sharpes * np.sqrt(years)
    known = alike[np.isfinite(alike)]
    if len(known) < 2:
        return 0.0
    scale = 1.0 if years is None else math.sqrt(period)
    return expected_maximum(independent) * float(known.std(ddof=1)) / scale


def effective_number(returns: Floats, trials: int | None = None) -> int:
    """Return how many of the trials are independent.

    Parameters
    ----------
    returns
        (M, D) day returns of the trials, or of a sample of them; NaN on the days that a trial does not have.
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
    own = np.isfinite(returns)
    return _on_all_days(returns) if own.all() else _on_shared_days(np.where(own, returns, 0.0), own.astype(np.float64))


def _on_shared_days(returns: Floats, own: Floats) -> Floats:
    """Return the correlations of each two on the days that both have: `own` (M, D) is 1 on those of a trial, 0 on others."""
    centred = (returns - (returns.sum(axis=1) / own.sum(axis=1))[:, None]) * own
    days = own @ own.T
    total, product = centred @ own.T, centred @ centred.T  # [i, j]: of i, on the days that it shares with j
    with np.errstate(divide="ignore", invalid="ignore"):
        size = np.sqrt(np.maximum(centred**2 @ own.T - total**2 / days, 0.0))
        found = (product - total * total.T / days) / (size * size.T)
    still, count = size < STILL, own.sum(axis=1)
    found = np.where(still | still.T, (still & still.T).astype(np.float64), np.clip(found, -1.0, 1.0))
    enough = (days >= FEW) | ((days == count) & (days == count[:, None]))
    return np.where(enough, found, 0.0)


def _on_all_days(returns: Floats) -> Floats:
    centred = returns - returns.mean(axis=1, keepdims=True)
    size = np.sqrt((centred**2).sum(axis=1))
    still = size < STILL
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
