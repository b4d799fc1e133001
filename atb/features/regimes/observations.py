"""Observations: what a fitted model of regimes sees of each bar, causal, from a bounded window, scaled by its training part."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from atb.errors import InputError
from atb.features.indicators import Array, sma

if TYPE_CHECKING:
    import pandas as pd

_SMALLEST = 1e-6  # range or downside of a bar that did not move, as a log return
_LEAST_DOWNSIDE = 0.1  # of the root mean square return: a few bars without a fall would otherwise be worth any number


@dataclass(frozen=True, slots=True)
class Scale:
    """Mean and standard deviation of each observation in the training part, and the deviations beyond which it is cut."""

    mean: tuple[float, ...]
    deviation: tuple[float, ...]
    limit: float

    @classmethod
    def of(cls, observed: Array, *, limit: float) -> "Scale":
        """Return the scale of (rows, observations).

        Raises
        ------
        InputError
            If an observation never varies.
        """
        mean, deviation = observed.mean(axis=0), observed.std(axis=0)
        if not (deviation > 1e-12 * np.abs(mean)).all():
            raise InputError(
                "An observation never varies: there are no regimes to tell apart", found=deviation.tolist()
            )
        return cls(tuple(mean.tolist()), tuple(deviation.tolist()), float(limit))

    def apply(self, observed: Array) -> Array:
        """Return (rows, observations) in deviations from the mean."""
        scaled = (observed - np.array(self.mean)) / np.array(self.deviation)
        return np.asarray(np.clip(scaled, -self.limit, self.limit))


def returns_and_ranges(bars: "pd.DataFrame", window: int) -> Array:
    """Return (rows, 2): mean log return of the last `window` bars, and log of their mean range (log high / low); NaN before.

    The log range is close to normal and measures volatility far better than squared returns do (Alizadeh, Brandt, Diebold 2002).
    """
    high, low, _ = _prices(bars)
    ranges = np.log(np.maximum(sma(np.log(high / low), window), _SMALLEST))
    found = np.column_stack([sma(log_returns(bars), window), ranges])
    found[:window] = np.nan
    return found


def downside_and_sortino(bars: "pd.DataFrame", fast: int, slow: int) -> Array:
    """Return (rows, 3): log downside deviation of `fast` bars, and mean return over downside deviation of `fast` and `slow` bars.

    The observations that Shu, Yu and Mulvey (2024) give their jump models, over windows instead of exponential weights, so that
    they depend on `slow` + 1 bars alone; NaN before.
    """
    returns = log_returns(bars)
    downside = {n: _downside(returns, n) for n in (fast, slow)}
    found = np.column_stack([np.log(downside[fast]), *(sma(returns, n) / downside[n] for n in (fast, slow))])
    found[:slow] = np.nan
    return found


def _downside(returns: Array, n: int) -> Array:
    """Return the downside deviation of the last `n` returns around 0, not below a tenth of their root mean square."""
    falls, squares = sma(np.minimum(returns, 0.0) ** 2, n), sma(returns**2, n)
    return np.asarray(np.sqrt(np.maximum(np.maximum(falls, squares * _LEAST_DOWNSIDE**2), _SMALLEST**2)))


def log_returns(bars: "pd.DataFrame") -> Array:
    """Return the log return of each bar's close from the close before; NaN in the first row."""
    close = _prices(bars)[2]
    found = np.full(len(close), np.nan)
    found[1:] = np.log(close[1:] / close[:-1])
    return found


def _prices(bars: "pd.DataFrame") -> tuple[Array, Array, Array]:
    """Return high, low and close.

    Raises
    ------
    InputError
        If one is missing or not above 0.
    """
    high, low, close = (np.ascontiguousarray(bars[name], dtype=np.float64) for name in ("high", "low", "close"))
    for column in (high, low, close):
        if not (np.isfinite(column).all() and (column > 0).all()):
            raise InputError("A regime needs prices above 0 in each bar", todo="Repair or drop the bar first")
    return high, low, close
