"""The fills of a result as marks on a chart: those in the visible window, on the candles that hold them."""

from typing import Any

import numpy as np

from atb.backtest import Result
from atb.decimals import counted
from atb.workbench.candle_windows import Window

MOST = 400  # marks in a window; more would hide the price


class TradeMarks:
    """The fills of one slot in order of time."""

    def __init__(self, result: Result, slot: int) -> None:
        orders = result.orders[result.outcome.orders["slot"] == slot]
        profits = result.trades["pnl"].to_numpy()[orders["trade_id"].to_numpy()] > 0
        opened = result.inputs.market["opened"][result.outcome.orders["row"][result.outcome.orders["slot"] == slot]]
        order = np.argsort(opened, kind="stable")
        self._times = opened[order]  # opens of the bars they filled in
        self._trades = orders["trade_id"].to_numpy()[order]
        self._buys = (orders["side"] == "buy").to_numpy()[order]
        entries = (orders["role"] == "entry").to_numpy()
        self._kinds = np.where(entries, "entry", np.where(profits, "profit", "loss"))[order]
        self._reasons = orders["reason"].to_numpy()[order]

    def within(self, window: Window) -> tuple[list[dict[str, Any]], str]:
        """Return the marks of a window, oldest first, and a sentence on them; none are drawn where there are too many."""
        opened = window.opened_ms
        first = int(np.searchsorted(self._times, opened[0]))
        end = len(self._times) if window.whole[1] else int(np.searchsorted(self._times, opened[-1]))
        count = end - first
        if count > MOST:
            return [], f"{counted(count, 'fill')} here: zoom in to see them."
        places = np.searchsorted(opened, self._times[first:end], side="right") - 1
        marks = [
            {
                "time": float(opened[place]) / 1_000,
                "trade": int(self._trades[k]),
                "buys": bool(self._buys[k]),
                "what": str(self._kinds[k]),
                "text": ""
                if count > MOST // 8 or self._kinds[k] == "entry"
                else str(self._reasons[k]).replace("_", " "),
            }
            for k, place in enumerate(places.tolist(), start=first)
        ]
        return marks, f"{counted(count, 'fill')}: click one to see the trade behind it." if count else "No fill here."

    def nearest(self, time_ms: float, reach_ms: float) -> int | None:
        """Return the trade of the fill nearest to a time (epoch ms), None if none is within `reach_ms`."""
        if not len(self._times):
            return None
        place = int(np.searchsorted(self._times, time_ms))
        near = [k for k in (place - 1, place) if 0 <= k < len(self._times)]
        best = min(near, key=lambda k: abs(self._times[k] - time_ms))
        return int(self._trades[best]) if abs(self._times[best] - time_ms) <= reach_ms else None
