"""Clusters of correlated symbols among the slots, computed each UTC day from the days before it."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from atb.engine.policy import AccountPolicy
from atb.engine.slot import Slot
from atb.times import DAY_MS

_MIN_COMMON_DAYS = 20  # common daily returns before a correlation counts, or as many as the window has


def clusters(
    markets: Sequence[NDArray[np.void]], slots: Sequence[Slot], account: AccountPolicy
) -> list[NDArray[np.float64]]:
    """Return for each slot the number (1 and up) of its cluster at the close of each of its bars.

    Slots belong together when the log returns of their closes from midnight to midnight, over the `cluster_days` days before, have
    a Pearson correlation of at least `cluster_threshold`, directly or through others; slots on one symbol always do. A cluster
    is numbered after its first slot. A close uses only what was known at that UTC day's midnight.
    """
    first = min(int(market["closed"][0]) for market in markets if len(market)) // DAY_MS
    last = max(int(market["closed"][-1]) for market in markets if len(market)) // DAY_MS
    closes = np.column_stack([_midnights(market, first, last) for market in markets])
    returns = np.diff(np.log(closes), axis=0)
    same = np.array([[slot.bars.symbol == other.bars.symbol for other in slots] for slot in slots])
    numbers = np.array(
        [
            _groups(same | _correlated(returns[max(0, day - account.cluster_days) : day], account))
            for day in range(len(closes))
        ]
    )
    return [numbers[market["closed"] // DAY_MS - first, s] for s, market in enumerate(markets)]


def _midnights(market: NDArray[np.void], first: int, last: int) -> NDArray[np.float64]:
    """Return the last close at or before each midnight from day `first` to `last`; NaN before the first."""
    at = np.searchsorted(market["closed"], np.arange(first, last + 1) * DAY_MS, side="right") - 1
    return np.where(at >= 0, market["close"][np.maximum(at, 0)], np.nan) if len(market) else np.full(len(at), np.nan)


def _correlated(returns: NDArray[np.float64], account: AccountPolicy) -> NDArray[np.bool_]:
    """Return which pairs of columns (days, S) correlate enough; pairs with too few common days do not."""
    count = returns.shape[1]
    found = np.eye(count, dtype=bool)
    for i in range(count):
        for j in range(i):
            common = returns[np.isfinite(returns[:, i]) & np.isfinite(returns[:, j])][:, [i, j]]
            if len(common) >= min(_MIN_COMMON_DAYS, account.cluster_days) and (common.std(axis=0) > 0).all():
                found[i, j] = found[j, i] = np.asarray(np.corrcoef(common.T))[0, 1] >= account.cluster_threshold
    return found


def _groups(linked: NDArray[Any]) -> list[float]:
    """Return for each slot 1 + the first slot that it is linked to, directly or through others."""
    names = list(range(len(linked)))
    for i in range(len(linked)):
        for j in range(i):
            if linked[i, j] and names[i] != names[j]:
                old, new = max(names[i], names[j]), min(names[i], names[j])
                names = [new if name == old else name for name in names]
    return [float(1 + name) for name in names]
