"""Figures of merit from the kernel's running sums, for one run or for thousands at once: the same arithmetic, the same bits.

A year is 365 days; ratios are annualised by the square root of bars per year, which `periods_per_year` states beside them.
Drawdowns are positive magnitudes. What cannot be computed is NaN, never zero.
"""

import numpy as np
from numpy.typing import NDArray

Records = NDArray[np.void]
Columns = dict[str, NDArray[np.float64]]
_SHORTEST = 30 / 365  # years; annualising a few days by compounding says nothing


def metrics(summaries: Records, accounts: Records, slots: Records, *, cash: float, periods: float) -> Columns:
    """Return one column per figure for K runs.

    Parameters
    ----------
    summaries, accounts, slots
        SUMMARY (K,), ACCOUNT (K,) and SLOT (K, S) records as the runs ended.
    cash
        What each account started with, quote.
    periods
        Bars per year of the finest timeframe.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        found = (
            _equity(summaries, cash, periods)
            | _trades(summaries, accounts, periods)
            | _orders(summaries, accounts, cash)
        )
    found["open_trades"] = (slots["quantity"] != 0).sum(axis=1)
    return {name: np.asarray(column, dtype=np.float64) for name, column in found.items()}


def _equity(sums: Records, cash: float, periods: float) -> Columns:
    bars, final = sums["bars"].astype(np.float64), sums["last"]
    years, mean = bars / periods, sums["returns"] / bars
    # The sum of squares less the square of the mean: bar returns are small and their mean far smaller, so nothing cancels.
    variance = np.maximum(sums["squares"] - bars * mean * mean, 0.0) / (bars - 1.0)
    deviation, downside = np.sqrt(variance), np.sqrt(sums["downside"] / bars)
    annual = np.where(
        (final > 0) & (years >= _SHORTEST), np.power(np.maximum(final, 0.0) / cash, 1.0 / years) - 1.0, np.nan
    )
    worst = 100.0 * sums["max_drawdown"]
    root = np.sqrt(periods)
    return {
        "final_equity": final,
        "total_return_pct": 100.0 * (final / cash - 1.0),
        "cagr_pct": 100.0 * annual,
        "volatility_pct": np.where(bars > 1, 100.0 * deviation * root, np.nan),
        "sharpe": np.where((bars > 1) & (deviation > 0), mean / deviation * root, np.nan),
        "sortino": np.where(downside > 0, mean / downside * root, np.nan),
        "calmar": np.where(worst > 0, 100.0 * annual / worst, np.nan),
        "max_drawdown_pct": worst,
        "max_drawdown_days": sums["longest"] * 365.0 / periods,
        "periods_per_year": np.full(len(sums), periods),
        "bars": bars,
    }


def _trades(sums: Records, accounts: Records, periods: float) -> Columns:
    count = accounts["trades"].astype(np.float64)
    some = count > 0
    return {
        "n_trades": count,
        "trades_per_day": count / (sums["bars"] * 365.0 / periods),
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
        "exposure_time_pct": 100.0 * sums["exposed"] / sums["bars"],
        "turnover": sums["turnover"] / cash,
        "fees_paid": accounts["fees"],
        "financing_paid": accounts["financing"],
        "rejected_signals": sums["refused"],
        "shrunk_signals": sums["shrunk"],
        "ambiguous_bars": sums["ambiguous"],
    }
