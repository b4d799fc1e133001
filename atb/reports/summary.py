"""A result in words and numbers: the table of figures beside the baselines, and its card in a notebook."""

import html
import math
from typing import TYPE_CHECKING

import pandas as pd

from atb.domain import Bars
from atb.reports.theme import FONT, GREY, GRID, INK

if TYPE_CHECKING:
    from atb.backtest import Result

MISSING = "–"
# Names, keys of `Result.stats` and formats, in reading order.
ROWS = (
    ("Total return (%)", "total_return_pct", "+,.2f"),
    ("Return a year, CAGR (%)", "cagr_pct", "+,.2f"),
    ("Largest drawdown (%)", "max_drawdown_pct", ",.2f"),
    ("Longest drawdown (days)", "max_drawdown_days", ",.1f"),
    ("Volatility a year (%)", "volatility_pct", ",.2f"),
    ("Sharpe", "sharpe", ",.2f"),
    ("Sortino", "sortino", ",.2f"),
    ("Calmar", "calmar", ",.2f"),
    ("Fees paid (quote)", "fees_paid", ",.2f"),
    ("Turnover (times the starting cash)", "turnover", ",.1f"),
    ("Time in the market (%)", "exposure_time_pct", ",.1f"),
    ("Closed trades", "n_trades", ",.0f"),
    ("Trades still open", "open_trades", ",.0f"),
    ("Winning trades (%)", "win_rate_pct", ",.1f"),
    ("Profit factor", "profit_factor", ",.2f"),
    ("Expectancy a trade (quote)", "expectancy", "+,.2f"),
    ("Best trade (%)", "best_trade_pct", "+,.2f"),
    ("Worst trade (%)", "worst_trade_pct", "+,.2f"),
    ("Bars held on average", "avg_bars_held", ",.1f"),
    ("Signals refused", "rejected_signals", ",.0f"),
    ("Signals shrunk", "shrunk_signals", ",.0f"),
    ("Bars that touched stop and target", "ambiguous_bars", ",.0f"),
    ("Bars", "bars", ",.0f"),
    ("Bars a year, for the ratios", "periods_per_year", ",.0f"),
)
CARD_ROWS = 9


def summary_table(result: "Result") -> pd.DataFrame:
    """Return the figures of merit beside holding and cash, as text rounded for reading; `result.stats` has the exact values."""
    columns = {"strategy": result.stats, "hold": result.baselines["hold"], "cash": result.baselines["cash"]}
    rows = {name: [_text(values.get(key), form) for values in columns.values()] for name, key, form in ROWS}
    return pd.DataFrame.from_dict(rows, orient="index", columns=list(columns))


def trades_table(result: "Result", last: int = 10) -> pd.DataFrame:
    """Return the last round trips as text for reading, times in UTC; `result.trades` has the exact values."""
    trades = result.trades.tail(last)
    columns = {
        "symbol": trades["symbol"].to_list(),
        "side": trades["side"].to_list(),
        "entry (UTC)": trades["entry_time"].dt.strftime("%Y-%m-%d %H:%M").to_list(),
        "at": [f"{price:,.8g}" for price in trades["entry_price"]],
        "exit (UTC)": trades["exit_time"].dt.strftime("%Y-%m-%d %H:%M").to_list(),
        "at ": [f"{price:,.8g}" for price in trades["exit_price"]],
        "bars": [f"{bars:,}" for bars in trades["bars_held"]],
        "profit": [f"{pnl:+,.2f}" for pnl in trades["pnl"]],
        "profit (%)": [f"{pnl:+.2f}" for pnl in trades["pnl_pct"]],
        "ended by": [reason or "still open" for reason in trades["exit_reason"]],
    }
    return pd.DataFrame(columns, index=trades["trade_id"].to_list())


def _text(value: float | None, form: str) -> str:
    return MISSING if value is None or not math.isfinite(value) else format(value, form)


def result_html(result: "Result") -> str:
    """Return a result's card for notebooks: label, headline, main figures beside the baselines, fill model."""
    table = summary_table(result).head(CARD_ROWS)
    head = "".join(f"<th style='text-align:right;padding:2px 14px'>{name}</th>" for name in table.columns)
    body = "".join(
        f"<tr><td style='text-align:left;padding:2px 14px 2px 0'>{html.escape(str(name))}</td>"
        + "".join(f"<td style='text-align:right;padding:2px 14px'>{html.escape(str(cell))}</td>" for cell in row)
        + "</tr>"
        for name, row in zip(table.index, table.to_numpy(), strict=True)
    )
    return _card(
        result.label,
        f"<div style='margin:4px 0 8px'>{html.escape(result.headline)}</div>"
        f"<table style='border-collapse:collapse;font-size:13px'><tr><th></th>{head}</tr>{body}</table>"
        f"<div style='margin-top:8px;font-size:12px;color:{GREY}'>{html.escape(result.fill_model)}</div>",
    )


def bars_html(bars: Bars) -> str:
    """Return a series' card for notebooks: label, period, number of bars and gaps, fingerprint."""
    index = bars.frame.index
    period = f"{index[0]:%Y-%m-%d %H:%M} to {index[-1]:%Y-%m-%d %H:%M} UTC (open times)" if len(bars) else "empty"
    gaps = f"{len(bars.gaps)} known gaps" if bars.gaps else "no gaps"
    return _card(
        bars.label,
        f"<div>{len(bars):,} closed bars, {period}, {gaps}</div>"
        f"<div style='font-size:12px;color:{GREY}'>fingerprint {bars.fingerprint}</div>",
    )


def _card(title: str, inner: str) -> str:
    return (
        f'<div style="font-family:{FONT};color:{INK};background:white;border:1px solid {GRID};border-radius:6px;'
        f'padding:12px 16px;max-width:900px"><b>{html.escape(title)}</b>{inner}</div>'
    )
