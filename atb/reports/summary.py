"""A result in numbers: the table of figures beside the baselines, the last trades, and notebook cards."""

from html import escape
from typing import TYPE_CHECKING

import pandas as pd

from atb.backtest import card
from atb.decimals import counted
from atb.domain import Bars

if TYPE_CHECKING:
    from atb.backtest import Result


def summary_table(result: "Result") -> pd.DataFrame:
    """Return the metrics beside the baselines, as rounded text; `result.stats` has the exact values.

    `random entry` is the median of runs that hold the same positions at random times, with the range of nine in ten.
    """
    return pd.DataFrame.from_dict(card.figures(result.card), orient="index", columns=list(card.COLUMNS))


def trades_table(result: "Result", last: int = 10) -> pd.DataFrame:
    """Return the last round trips as rounded text, times in UTC; `result.trades` has the exact values."""
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


def result_html(result: "Result") -> str:
    """Return a result's card for notebooks."""
    return card.html(result.card)


def bars_html(bars: Bars) -> str:
    """Return a series' card for notebooks: label, period, number of bars and gaps, fingerprint."""
    index = bars.frame.index
    period = f"{index[0]:%Y-%m-%d %H:%M} to {index[-1]:%Y-%m-%d %H:%M} UTC (open times)" if len(bars) else "empty"
    gaps = counted(len(bars.gaps), "known gap") if bars.gaps else "no gaps"
    closes = {"close": (bars.frame["close"].to_numpy(), card.BLUE)}
    quote = bars.symbol.settle or bars.symbol.quote
    return card.framed(
        bars.label,
        f"<div>{counted(len(bars), 'closed bar')}, {period}, {gaps}</div>"
        f"{card.picture(closes, quote, 'closes') if len(bars) else ''}"
        f"<div style='font-size:12px;opacity:0.72'>fingerprint {escape(bars.fingerprint)}</div>",
    )
