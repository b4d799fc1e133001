"""Figures of merit from the kernel's running sums, for one run or for thousands at once: the same arithmetic, the same bits.

A year is 365 days. Time goes by the clock: N is the number of periods from the first open to the last close (`atb.backtest.span`),
and a period without a bar has a return of 0. With the bar returns r and P periods a year (`periods_per_year`, stated beside them):

    mean = sum(r) / N            deviation = sqrt((sum(r^2) - N mean^2) / (N - 1))        downside = sqrt(sum(min(r, 0)^2) / N)
    sharpe = mean / deviation sqrt(P)      sortino = mean / downside sqrt(P)      volatility = deviation sqrt(P)
    cagr = (final / cash)^(P / N) - 1      calmar = cagr / max drawdown           time in the market = periods held / N

Without holes N is the number of bars. Drawdowns are positive magnitudes. What cannot be computed is NaN, never zero.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from atb.backtest.span import Span
from atb.engine.records import Records

Columns = dict[str, NDArray[np.float64]]
_SHORTEST = 30 / 365  # years; annualising a few days by compounding says nothing


def metrics(
    summaries: Records, accounts: Records, slots: Records, *, times: NDArray[np.float64], cash: float, span: Span
) -> Columns:
    """Return one column per figure for K runs over the same bars.

    Parameters
    ----------
    summaries, accounts, slots
        SUMMARY (K,), ACCOUNT (K,) and SLOT (K, S) records as the runs ended.
    times
        (K, 2) periods: the longest time below a peak, and the time in the market.
    cash
        What each account started with, quote.
    span
        The time of the runs.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        found = (
            _equity(summaries, times[:, 0], cash=cash, span=span)
            | _trades(summaries, accounts, span)
            | _orders(summaries, accounts, cash)
        )
    found["exposure_time_pct"] = 100.0 * times[:, 1] / span.periods
    found["open_trades"] = (slots["quantity"] != 0).sum(axis=1)
    return {name: np.asarray(column, dtype=np.float64) for name, column in found.items()}


def _equity(sums: Records, longest: NDArray[np.float64], *, cash: float, span: Span) -> Columns:
    final, periods = sums["last"], span.per_year
    years, mean = span.periods / periods, sums["returns"] / span.periods
    # The sum of squares less the square of the mean: bar returns are small and their mean far smaller, so nothing cancels.
    variance = np.maximum(sums["squares"] - span.periods * mean * mean, 0.0) / np.float64(span.periods - 1.0)
    deviation, downside = np.sqrt(variance), np.sqrt(sums["downside"] / span.periods)
    annual = np.where(
        (final > 0) & (years >= _SHORTEST), np.power(np.maximum(final, 0.0) / cash, 1.0 / years) - 1.0, np.nan
    )
    worst = 100.0 * sums["max_drawdown"]
    root = np.sqrt(periods)
    return {
        "final_equity": final,
        "total_return_pct": 100.0 * (final / cash - 1.0),
        "cagr_pct": 100.0 * annual,
        "volatility_pct": np.where(span.periods > 1, 100.0 * deviation * root, np.nan),
        "sharpe": np.where((span.periods > 1) & (deviation > 0), mean / deviation * root, np.nan),
        "sortino": np.where(downside > 0, mean / downside * root, np.nan),
        "calmar": np.where(worst > 0, 100.0 * annual / worst, np.nan),
        "max_drawdown_pct": worst,
        "max_drawdown_days": longest * 365.0 / periods,
        "periods_per_year": np.full(len(sums), periods),
        "bars": sums["bars"],
        "missing_bars": span.periods - sums["bars"],
    }


def _trades(sums: Records, accounts: Records, span: Span) -> Columns:
    count = accounts["trades"].astype(np.float64)
    some = count > 0
    return {
        "n_trades": count,
        "trades_per_day": count / (span.periods * 365.0 / span.per_year),
        "win_rate_pct": np.where(some, 100.0 * sums["wins"] / count, np.nan),
        "profit_factor": np.where(sums["losses"] > 0, sums["gain"] / sums["loss"], np.nan),
        "expectancy": np.where(some, sums["pnl"] / count, np.nan),
        "avg_trade_pct": np.where(some, 100.0 * sums["trade_returns"] / count, np.nan),
        "best_trade_pct": np.where(some, 100.0 * sums["best"], np.nan),
        "worst_trade_pct": np.where(some, 100.0 * sums["worst"], np.nan),
        "avg_bars_held": np.where(some, sums["bars_held"] / count, np.nan),
    }


def _orders(sums: Records, accounts: Records, cash: float) -> Columns:
    return {
        "turnover": sums["turnover"] / cash,
        "fees_paid": accounts["fees"],
        "financing_paid": accounts["financing"],
        "rejected_signals": sums["refused"],
        "shrunk_signals": sums["shrunk"],
        "ambiguous_bars": sums["ambiguous"],
    }


def drawdowns(equity: NDArray[np.floating[Any]], cash: float) -> NDArray[np.float64]:
    """Return the fraction lost since the highest equity so far, starting cash included; values in [0, 1]."""
    peak = np.maximum(np.maximum.accumulate(equity), cash)
    return np.asarray(1.0 - equity / peak, dtype=np.float64)
