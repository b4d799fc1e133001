"""Figures whose trades can be clicked: below them appears the trade with its bars, features, decision, order and fill."""

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from atb.backtest import Result
from atb.errors import InputError
from atb.reports.trade_detail import trade_detail
from atb.reports.trades import trades_figure

if TYPE_CHECKING:
    import ipywidgets
    import plotly.graph_objects as go

HINT = "Click a trade to see its bars, features, decision, order and fill."


def clickable(result: Result, figure: "go.Figure | None" = None) -> "ipywidgets.VBox":
    """Return a figure of a result as a widget, with the trade that was clicked last below it.

    A point that belongs to a trade shows that trade; on a curve over time it is the trade that was open then, or the next one.

    Parameters
    ----------
    result
        The result of a backtest.
    figure
        One of its figures (`atb.reports`); by default the trades on the price.

    Raises
    ------
    InputError
        If it is not a plotly figure.
    """
    import ipywidgets
    import plotly.graph_objects as go

    shown = trades_figure(result) if figure is None else figure
    if not isinstance(shown, go.Figure):
        raise InputError("Only a plotly figure can be clicked", found=type(shown).__name__)
    widget, detail = go.FigureWidget(shown), ipywidgets.HTML(HINT)

    def clicked(trace: Any, points: Any, _state: object) -> None:
        if points.point_inds and (found := trade_of(result, trace, int(points.point_inds[0]))) is not None:
            detail.value = trade_detail(result, found).html()

    for trace in widget.data:
        trace.on_click(clicked)
    return ipywidgets.VBox([widget, detail])


def trade_of(result: Result, trace: Any, point: int) -> int | None:
    """Return the trade behind a point of a trace; None if there is none.

    Parameters
    ----------
    trace
        Of one of the result's figures.
    point
        Number of the point within the trace.
    """
    known = (trace.meta or {}).get("trade_ids") if isinstance(trace.meta, dict) else None
    if known is not None:
        return int(known[point]) if point < len(known) else None
    if trace.x is None or not np.issubdtype(np.asarray(trace.x).dtype, np.datetime64):
        return None
    return trade_at(result, pd.Timestamp(np.asarray(trace.x)[point]).tz_localize("UTC"))


def trade_at(result: Result, moment: pd.Timestamp) -> int | None:
    """Return the trade that was open at a time (UTC), the last to begin of several; else the next one, else the last."""
    trades = result.trades
    if trades.empty:
        return None
    around = trades[(trades["entry_time"] <= moment) & (trades["exit_time"] >= moment)]
    after = trades[trades["entry_time"] >= moment]
    if len(around):
        return _trade_id(around, int(around["entry_time"].to_numpy().argmax()))
    if len(after):
        return _trade_id(after, int(after["entry_time"].to_numpy().argmin()))
    return _trade_id(trades, int(trades["entry_time"].to_numpy().argmax()))


def _trade_id(trades: pd.DataFrame, place: int) -> int:
    return int(trades["trade_id"].to_numpy()[place])
