"""A result's trades as rows that unfold to what led to each: the newest, the best and the worst."""

from html import escape

import numpy as np

from atb.backtest import Result
from atb.decimals import counted, merit
from atb.reports.trade_detail import trade_detail

# Rows line up in a notebook too, which has no style sheet of ours.
_LEFT, _RIGHT = "display:inline-block;min-width:{}em", "display:inline-block;min-width:{}em;text-align:right"
_COLUMNS = (_RIGHT.format(2.5), _LEFT.format(9), _LEFT.format(9), _RIGHT.format(5), _RIGHT.format(6), "")


class TradeList:
    """A result's newest, best and worst trades as rows that unfold to their details, for notebooks and reports.

    Parameters
    ----------
    result
        The result of a backtest.
    last, extreme
        How many of the newest trades, and how many of the best and of the worst.
    """

    def __init__(self, result: Result, last: int = 20, *, extreme: int = 5) -> None:
        self.result, trades = result, result.trades
        order = trades["pnl"].to_numpy().argsort(kind="stable")
        ends = np.concatenate([order[:extreme], order[len(order) - extreme :]]) if extreme else order[:0]
        newest = np.arange(len(trades))[-last:] if last else order[:0]
        self.trade_ids = np.union1d(newest, ends).astype(np.int64)[::-1]

    def _repr_html_(self) -> str:
        """Return the rows, the newest first."""
        trades = self.result.trades
        if trades.empty:
            return "<div class='trades'>No trade was made.</div>"
        rows = "".join(self._row(int(trade)) for trade in self.trade_ids)
        shown = f"{counted(len(self.trade_ids), 'trade')} of {len(trades):,}, the newest, the best and the worst."
        return f"<div class='trades'><div class='soft'>{shown} Open one to see why it was made.</div>{rows}</div>"

    def _row(self, trade_id: int) -> str:
        trade = self.result.trades.iloc[trade_id]
        won = "gained" if trade["pnl"] > 0 else "lost"
        ended = str(trade["exit_reason"]).replace("_", " ") or "still open"
        cells = (
            ("soft", f"{trade_id}"),
            ("", f"{trade['entry_time']:%Y-%m-%d %H:%M}"),
            ("", f"{trade['side']} {trade['symbol']}"),
            (won, merit("worst_trade_pct", trade["pnl_pct"])),
            (won, f"{trade['pnl']:+,.2f}"),
            ("soft", f"{counted(trade['bars_held'], 'bar')}, {ended}"),
        )
        row = " ".join(
            f"<span class='{kind}' style='{style}'>{escape(text)}</span>"
            for (kind, text), style in zip(cells, _COLUMNS, strict=True)
        )
        detail = trade_detail(self.result, trade_id).html()
        return f"<details class='trade trade-{trade_id}'><summary>{row}</summary><div>{detail}</div></details>"

    def __repr__(self) -> str:
        """Return it as text."""
        return f"<{counted(len(self.trade_ids), 'trade')} of {self.result.label}>"
