"""Figures of a session from its newest rows: how its trades went, how its orders are filled, how its health is. Pure."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from statistics import mean, median
from typing import Any

Json = dict[str, Any]
HOUR_S = 3_600
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


def day_change(closes: Sequence[tuple[int, float]]) -> float | None:
    """Return the change of the last close in 24 hours, in percent; None without a close a day earlier."""
    known = dict(closes)
    if not closes:
        return None
    last_ms, last = closes[-1]
    before = known.get(last_ms - 24 * HOUR_S * 1_000)
    return None if not before else 100 * (last / before - 1)
