"""Figures of merit computed from an equity curve, independently of the running sums that the package takes them from.

A year is 365 days; ratios are annualised by the square root of bars per year, which `periods_per_year` states beside them.
Drawdowns are positive magnitudes. What cannot be computed is NaN, never zero.
"""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from atb.backtest.metrics import drawdowns

Floats = NDArray[np.floating[Any]]
NAN = float("nan")


def bar_returns(equity: Floats, cash: float) -> Floats:
    """Return each bar's simple return; the first is measured from the starting cash."""
    before = np.concatenate([[cash], equity[:-1]])
    return np.asarray(equity / before - 1.0, dtype=np.float64)


def sharpe(returns: Floats, periods: float) -> float:
    """Return mean over standard deviation (n - 1) of bar returns, annualised, at a risk-free rate of zero."""
    deviation = float(np.std(returns, ddof=1)) if len(returns) > 1 else 0.0
    return float(np.mean(returns)) / deviation * math.sqrt(periods) if deviation > 0 else NAN


def sortino(returns: Floats, periods: float) -> float:
    """Return mean over downside deviation (root mean square of negative returns, all bars counted), annualised."""
    downside = math.sqrt(float(np.mean(np.minimum(returns, 0.0) ** 2))) if len(returns) else 0.0
    return float(np.mean(returns)) / downside * math.sqrt(periods) if downside > 0 else NAN


def longest_drawdown(depth: Floats) -> int:
    """Return the largest number of consecutive bars below an earlier peak."""
    below = np.concatenate([[False], depth > 0, [False]])
    edges = np.flatnonzero(below[1:] != below[:-1])
    return int(np.max(edges[1::2] - edges[::2])) if len(edges) else 0


def _growth(equity: Floats, cash: float, periods: float) -> dict[str, float]:
    final = float(equity[-1])
    years = len(equity) / periods
    # Annualising a few days by compounding says nothing, so less than 30 days has no annual rate.
    annual = (final / cash) ** (1 / years) - 1 if final > 0 and years >= 30 / 365 else NAN
    return {
        "final_equity": final,
        "total_return_pct": 100 * (final / cash - 1),
        "cagr_pct": 100 * annual,
    }


def equity_statistics(equity: Floats, cash: float, periods: float) -> dict[str, float]:
    """Return growth, risk and ratios of an equity curve (one value per bar's close, quote currency)."""
    returns, depth = bar_returns(equity, cash), drawdowns(equity, cash)
    growth = _growth(equity, cash, periods)
    worst = 100 * float(np.max(depth))
    return growth | {
        "volatility_pct": 100 * float(np.std(returns, ddof=1)) * math.sqrt(periods) if len(returns) > 1 else NAN,
        "sharpe": sharpe(returns, periods),
        "sortino": sortino(returns, periods),
        "calmar": growth["cagr_pct"] / worst if worst > 0 else NAN,
        "max_drawdown_pct": worst,
        "max_drawdown_days": longest_drawdown(depth) * 365 / periods,
        "periods_per_year": periods,
        "bars": float(len(equity)),
    }
