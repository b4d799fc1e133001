"""A chronological split into train, validation and test rows, purged so that no label of one part sees the next."""

import itertools
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from atb.errors import InputError

PARTS = ("train", "validation", "test")
LEAST = 200  # rows a part needs before its metrics mean anything


@dataclass(frozen=True, slots=True)
class Split:
    """Row ranges of three parts, oldest first.

    Between two parts `horizon` rows are purged, because their labels' windows (t+1 .. t+horizon) reach into the later part,
    and `embargo` more are left out, because neighbouring bars resemble each other. So the last bar that a label of an earlier
    part reads comes before the first bar at which the later part predicts. The features of a later part's first rows do look
    back into the earlier part's bars: these are the past, known when the prediction is made.
    """

    train: range
    validation: range
    test: range
    horizon: int
    embargo: int

    def parts(self) -> dict[str, range]:
        """Return the three ranges by name, oldest first."""
        return {name: getattr(self, name) for name in PARTS}


def chronological_split(
    rows: int,
    *,
    horizon: int,
    embargo: int = 0,
    warmup: int = 0,
    fractions: tuple[float, float, float] = (0.6, 0.2, 0.2),
) -> Split:
    """Cut `rows` bars into train, validation and test.

    Parameters
    ----------
    rows
        Bars in all; the first `warmup` and the last `horizon` (no label yet) are left out before cutting.
    horizon, embargo
        Bars that a label looks ahead, and bars left out beyond them.
    fractions
        Shares of the usable rows, oldest first, summing to 1.

    Raises
    ------
    InputError
        If a part would have fewer than 200 rows; the message has the numbers.
    """
    _check(fractions, horizon=horizon, embargo=embargo, warmup=warmup)
    usable = rows - warmup - horizon - 2 * (horizon + embargo)
    sizes = [int(usable * fraction) for fraction in fractions]
    if min(sizes) < LEAST:
        needed = int(np.ceil(LEAST / min(fractions))) + warmup + 3 * horizon + 2 * embargo + 1
        raise InputError(
            "Too few bars to train, validate and test",
            found=f"{rows} bars: {warmup} to warm up, {3 * horizon + 2 * embargo} purged, {max(usable, 0)} left",
            todo=f"Load at least {needed} bars",
        )
    starts = list(itertools.accumulate(sizes[:-1], lambda at, size: at + size + horizon + embargo, initial=warmup))
    train, validation, test = (range(start, start + size) for start, size in zip(starts, sizes, strict=True))
    return Split(train, validation, test, horizon, embargo)


def usable_rows(part: range, inputs: NDArray[np.float32], label: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return the rows of a part that have a label and every feature (`inputs`: all bars x columns)."""
    rows = np.arange(part.start, part.stop)
    return rows[np.isfinite(inputs[rows]).all(axis=1) & np.isfinite(label[rows])]


def _check(fractions: tuple[float, float, float], **counts: int) -> None:
    if len(fractions) != len(PARTS) or min(fractions) <= 0 or abs(sum(fractions) - 1) > 1e-9:
        raise InputError("Fractions are three shares above 0 that sum to 1", found=fractions)
    for name, count in counts.items():
        if count < (1 if name == "horizon" else 0):
            raise InputError(f"{name} is a number of bars", found=count)
