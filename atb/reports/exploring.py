"""The explorer's figure: equity beside holding and both drawdowns, few enough points to follow a hand."""

from typing import Any

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray
from plotly.subplots import make_subplots

from atb.backtest import Result
from atb.backtest.metrics import drawdowns
from atb.reports import theme
from atb.reports.downsampling import extreme_rows
from atb.reports.equity import quote_of

POINTS = 600  # per line
TITLE = "Equity and drawdown"
Curve = tuple[NDArray[np.datetime64], NDArray[np.floating[Any]]]


def explorer_curves(result: Result) -> list[Curve]:
    """Return the lines of the figure as (times, values): equity of holding and of the strategy (quote), then drawdowns (%)."""
    cash, at = result.inputs.account.cash, theme.times(result.index)
    equities = result.benchmark_equity.to_numpy(), result.equity.to_numpy()
    lines = [*equities, *(-100 * drawdowns(equity, cash) for equity in equities)]
    rows = [extreme_rows(values, POINTS) for values in lines]
    return [(at[kept], values[kept]) for values, kept in zip(lines, rows, strict=True)]


def explorer_figure(result: Result) -> go.Figure:
    """Draw equity beside holding with the same cash and costs, and both drawdowns below."""
    figure = make_subplots(rows=2, shared_xaxes=True, row_heights=[0.72, 0.28], vertical_spacing=0.06)
    for number, (times, values) in enumerate(explorer_curves(result)):
        row, held = 1 + number // 2, number % 2 == 0
        figure.add_scatter(
            x=times,
            y=values,
            name="hold" if held else "strategy",
            legendgroup="hold" if held else "strategy",
            showlegend=row == 1,
            line={"color": theme.ORANGE if held else theme.BLUE, "width": 1.2 if held else 1.8},
            hovertemplate="%{y:,.2f}" + " %" * (row == 2),
            row=row,
            col=1,
        )
    theme.style(figure, TITLE, label=result.label, height=460)
    figure.update_yaxes(title_text=f"equity ({quote_of(result)})", row=1, col=1)
    figure.update_yaxes(title_text="below the peak (%)", rangemode="tozero", row=2, col=1)
    figure.update_xaxes(theme.time_axis(title=None), row=1, col=1)
    figure.update_xaxes(theme.time_axis(), row=2, col=1)
    return figure.update_layout(hovermode="x")
