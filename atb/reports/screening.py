"""Figures of a screen beside the kernel: agreement of returns, and one trade with different exits."""

from typing import Any

import pandas as pd
import plotly.graph_objects as go

from atb.backtest.screening import NOTICE, Screen
from atb.domain import Bars
from atb.errors import InputError
from atb.reports import theme
from atb.reports.downsampling import candles, span_text
from atb.reports.trades import price_trace

BEFORE, AFTER = 8, 12  # bars drawn around a trade
CANDLES = 300


def agreement_figure(screen: Screen, returns: "pd.Series[float]") -> go.Figure:
    """Draw the kernel's total return of each combination against the screen's; on the diagonal they agree.

    Parameters
    ----------
    screen
        A screen of several combinations.
    returns
        The kernel's total return (%) of each, indexed by the screen's columns.

    Raises
    ------
    InputError
        If the returns are not those of the screen's columns.
    """
    seen = screen.ranking["total_return_pct"]
    if not (returns.index.is_unique and len(returns) == len(seen) and returns.index.isin(seen.index).all()):
        raise InputError(
            "One return of the kernel is needed for each column of the screen", found=f"{len(returns)} returns"
        )
    kernel = returns.reindex(seen.index)
    ends = [float(min(seen.min(), kernel.min())), float(max(seen.max(), kernel.max()))]
    figure = go.Figure()
    figure.add_scatter(x=ends, y=ends, mode="lines", name="the same", line={"color": theme.GREY, "width": 1, "dash": "dash"},
                       hoverinfo="skip")  # fmt: skip
    for flattered, colour, name in (
        (True, theme.ORANGE, "the screen says more"),
        (False, theme.BLUE, "the kernel says as much or more"),
    ):
        chosen = (seen > kernel).to_numpy() == flattered
        figure.add_scatter(
            x=seen[chosen].to_numpy(), y=kernel[chosen].to_numpy(), mode="markers", name=f"{name} ({chosen.sum()})",
            text=[_text(seen.index, column) for column in seen.index[chosen]], marker={"color": colour, "size": 8},
            hovertemplate="%{text}<br>screen %{x:+.2f} %, kernel %{y:+.2f} %<extra></extra>",
        )  # fmt: skip
    caption = f"{NOTICE} Ranks correlate by {rank_correlation(screen, returns):.2f}. " + " ".join(screen.fill_rules[:2])
    theme.style(figure, "Total return: screen against kernel", label=screen.label, caption=caption, height=520)
    figure.update_xaxes(title_text="total return by the screen (%)")
    return figure.update_yaxes(title_text="total return by the kernel (%)")


def rank_correlation(screen: Screen, returns: "pd.Series[float]") -> float:
    """Return Spearman's rank correlation of the kernel's and the screen's returns."""
    ranks = screen.ranking["total_return_pct"].rank()
    return float(ranks.corr(returns.reindex(ranks.index).rank()))


def _text(index: "pd.Index[Any]", column: Any) -> str:
    values = column if isinstance(column, tuple) else (column,)
    return ", ".join(f"{name}={value}" if name else str(value) for name, value in zip(index.names, values, strict=True))


def difference_figure(bars: Bars, trade: "pd.Series[Any]") -> go.Figure:
    """Draw one round trip with the same entry in kernel and screen and different exits, bar by bar.

    Parameters
    ----------
    bars
        The traded bars.
    trade
        A row of `Screen.compare`.

    Raises
    ------
    InputError
        If only one of the two entered.
    """
    if trade[["entry_price", "entry_price_screen"]].isna().any():
        raise InputError("Only one of kernel and screen entered this trade", found=str(trade["entry_bar"]))
    around = _around(bars, trade)
    frame, span = candles(around, CANDLES)
    figure = go.Figure(price_trace(frame))
    kinds = (
        (
            "entry of both",
            "entry_bar",
            "entry_price",
            theme.BLUE,
            "triangle-up" if trade["side"] == "long" else "triangle-down",
        ),
        (f"kernel: {trade['exit_reason'] or 'still open'}", "exit_bar", "exit_price", theme.RED, "circle"),
        ("screen: exit", "exit_bar_screen", "exit_price_screen", theme.ORANGE, "diamond"),
    )
    for name, bar, price, colour, symbol in kinds:
        if pd.notna(trade[bar]):
            figure.add_scatter(
                x=theme.times(pd.DatetimeIndex([trade[bar]])), y=[trade[price]], mode="markers", name=name,
                marker={"color": colour, "size": 12, "symbol": symbol, "line": {"color": "white", "width": 1}},
                hovertemplate=f"{name}<br>bar of %{{x|%Y-%m-%d %H:%M}} at %{{y:,.8~g}}<extra></extra>",
            )  # fmt: skip
    label = f"{bars.label}, entered {trade['entry_bar']:%Y-%m-%d %H:%M} UTC"
    theme.style(
        figure, "One trade, two exits", label=label, caption=_reason(trade, span_text(around, span)), height=460
    )
    figure.update_yaxes(title_text=f"price ({bars.symbol.quote})")
    return figure.update_xaxes(theme.time_axis(title=None, rangeslider={"visible": False}))


def _around(bars: Bars, trade: "pd.Series[Any]") -> Bars:
    """Return the bars from before the entry to after the later exit, or to the last bar if one is still open."""
    index = bars.frame.index
    first, last = int(index.searchsorted(trade["entry_bar"])), len(index)
    ends = [trade["exit_bar"], trade["exit_bar_screen"]]
    if not any(pd.isna(moment) for moment in ends):
        last = int(index.searchsorted(max(ends))) + AFTER
    return Bars(bars.symbol, bars.timeframe, bars.frame.iloc[max(0, first - BEFORE) : last], bars.venue)


def _reason(trade: "pd.Series[Any]", span: str) -> str:
    reason = trade["difference"] or "both agree"
    return f"Reason: {reason}. Times in UTC; the price is drawn as {span}; each mark is at the open of the bar of its fill."
