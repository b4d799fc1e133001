"""Figures of a session from its rows: trades, orders, health, equity over time, and its market. Pure."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from itertools import pairwise
from math import sqrt
from statistics import mean, median, stdev
from typing import Any

Json = dict[str, Any]
HOUR_S, YEAR_DAYS = 3_600, 365
LEAST_BARS = 100  # after which averages over 14 and 26 bars have nearly forgotten where they began
LEAST_DAYS = 30  # daily returns, for a figure a year
_ENDED_BADLY = ("rejected", "absent")


def trading(trades: Sequence[Mapping[str, Any]]) -> Json:
    """Return the results of the newest closed trades; amounts in quote, the rate in percent, None where it has no meaning."""
    results = [float(trade["pnl"]) for trade in trades]
    wins, losses = [pnl for pnl in results if pnl > 0], [pnl for pnl in results if pnl <= 0]
    lost = -sum(losses)
    return {
        "trades": len(results),
        "win_rate": 100 * len(wins) / len(results) if results else None,
        "profit_factor": sum(wins) / lost if lost else None,
        "average_win": mean(wins) if wins else None,
        "average_loss": mean(losses) if losses else None,
        "fees": sum(float(trade["fees"]) for trade in trades),
    }


def execution(
    orders: Sequence[Mapping[str, Any]], fills: Sequence[Mapping[str, Any]], decided: Mapping[tuple[int, str], float]
) -> Json:
    """Return how the newest orders fared.

    Parameters
    ----------
    decided
        The close that was decided on, by slot and open of the bar.

    Returns
    -------
    dict
        `filled_entries` (percent of the entries that ended), `failed` (refused or never arrived), `fill_seconds` (median from
        request to fill, in exchange time), `slippage_bp` (mean fill of market orders against the close decided on, in basis points;
        above 0 is worse).
    """
    by_order = {fill["client_id"]: fill for fill in reversed(fills)}  # the first fill of each
    ended = [order for order in orders if order["role"] == "entry" and order["state"] in {"filled", "cancelled", "expired",
                                                                                            *_ENDED_BADLY}]  # fmt: skip
    waits = [
        (by_order[order["client_id"]]["time_ms"] - order["sent_ms"]) / 1_000
        for order in orders
        if order["client_id"] in by_order and order["sent_ms"] and order["type"] == "market"
    ]
    return {
        "filled_entries": 100 * sum(order["state"] == "filled" for order in ended) / len(ended) if ended else None,
        "failed": sum(order["state"] in _ENDED_BADLY for order in orders),
        "fill_seconds": median(waits) if waits else None,
        "slippage_bp": _slippage(orders, by_order, decided),
    }


def _slippage(
    orders: Sequence[Mapping[str, Any]], by_order: Mapping[str, Any], decided: Mapping[tuple[int, str], float]
) -> float | None:
    found = []
    for order in orders:
        close = decided.get((order["slot"], order["bar"]))
        fill = by_order.get(order["client_id"])
        if close and fill is not None and order["type"] == "market":
            found.append(10_000 * (fill["price"] / close - 1) * (1 if order["side"] == "buy" else -1))
    return mean(found) if found else None


def troubles(events: Sequence[Mapping[str, Any]], now_ms: int) -> int:
    """Return how many of the newest events of the last hour are warnings or errors."""
    since = now_ms / 1_000 - HOUR_S
    grave = (event for event in events if event["severity"] != "info")
    return sum(datetime.fromisoformat(event["time"]).timestamp() > since for event in grave)


def decision_lag(decisions: Sequence[Mapping[str, Any]]) -> float | None:
    """Return the median seconds from a bar's close to its decision in the journal; None where the bars are of the past."""
    lags = [
        datetime.fromisoformat(decision["written"]).timestamp() - decision["bar"]["closed"] / 1_000
        for decision in decisions
        if (decision["bar"] or {}).get("closed")
    ]
    found = median(lags) if lags else None
    return found if found is not None and found < HOUR_S else None


def over_time(
    daily: Sequence[tuple[int, float]], points: Sequence[tuple[int, float]], *, equity: float, today: int
) -> Json:
    """Return how equity went.

    Parameters
    ----------
    daily
        UTC day (days since 1970) and equity at its end, as `watch.daily_equity` gives them.
    points
        Equity over the whole session, as `watch.equity_points` gives it.
    equity, today
        The present equity (quote), and the UTC day of the last bar.

    Returns
    -------
    dict
        `day` and `week`: profit since the end of the day before, and of the day seven days before (quote); `drawdown`: the
        largest at the points (percent); `sharpe` a year over `days` daily returns. None where the session is too short.
    """
    known, highest, drawdown = dict(daily), 0.0, 0.0
    for _, value in points:
        highest = max(highest, value)
        drawdown = max(drawdown, 1 - value / highest) if highest > 0 else drawdown
    since = {name: known.get(today - back) for name, back in (("day", 1), ("week", 7))}
    return {
        **{name: None if before is None else equity - before for name, before in since.items()},
        "drawdown": 100 * drawdown if points else None,
        "days": max(0, len(daily) - 1),
        "sharpe": _sharpe(daily),
    }


def _sharpe(daily: Sequence[tuple[int, float]]) -> float | None:
    """Return the Sharpe ratio a year; a day without a close has a return of 0."""
    if len(daily) <= LEAST_DAYS or min(value for _, value in daily) <= 0:
        return None
    returns = [after / before - 1 for (_, before), (_, after) in pairwise(daily)]
    returns += [0.0] * (daily[-1][0] - daily[0][0] - len(returns))
    spread = stdev(returns)
    return mean(returns) / spread * sqrt(YEAR_DAYS) if spread else None


def market(closes: Sequence[tuple[int, float]], timeframe: str) -> Json:
    """Return figures of the market from the last journalled closes of a slot; None where there are too few.

    Returns
    -------
    dict
        `close` (quote), `change` in 24 hours (percent), `rsi` over 14 bars (0 to 100), `trend`: EMA over 12 bars against that over
        26 (percent), `volatility` of the closes a year (percent), `bars` they are taken from.
    """
    found = {"bars": len(closes), "close": closes[-1][1] if closes else None, "change": _day_change(closes)}
    if len(closes) < LEAST_BARS:
        return found | {"rsi": None, "trend": None, "volatility": None}
    import numpy as np

    from atb.domain import Timeframe
    from atb.features.indicators import ema, rsi

    values = np.array([close for _, close in closes], dtype=np.float64)
    a_year = YEAR_DAYS * 24 * HOUR_S / Timeframe.parse(timeframe).seconds
    return found | {
        "rsi": float(rsi(values)[-1]),
        "trend": float(100 * (ema(values, 12)[-1] / ema(values, 26)[-1] - 1)),
        "volatility": float(100 * np.std(np.diff(np.log(values)), ddof=1) * sqrt(a_year)),
    }


def _day_change(closes: Sequence[tuple[int, float]]) -> float | None:
    """Return the change of the last close in 24 hours, in percent; None without a close a day earlier."""
    if not closes:
        return None
    last_ms, last = closes[-1]
    before = dict(closes).get(last_ms - 24 * HOUR_S * 1_000)
    return None if not before else 100 * (last / before - 1)
