"""Figure of a night: how far each series of bars is behind, and how each notebook's runs ended."""

from typing import TYPE_CHECKING

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from atb.reports import theme

if TYPE_CHECKING:
    import pandas as pd

ENDED = {"succeeded": theme.BLUE, "failed": theme.RED, "interrupted": theme.ORANGE, "running": theme.SOFT}
_ROW = 26  # pixels


def night_figure(behind: "pd.Series[float]", runs: "pd.DataFrame", *, label: str) -> go.Figure:
    """Draw the missing bars of each series, and the runs of each notebook by how they ended.

    Parameters
    ----------
    behind
        Missing closed bars by series.
    runs
        Counts by notebook in the columns `succeeded`, `failed`, `interrupted` and `running`.
    label
        The night in a sentence.
    """
    figure = make_subplots(rows=1, cols=2, horizontal_spacing=0.22)
    figure.add_bar(
        y=list(behind.index), x=behind.to_numpy(), orientation="h", marker={"color": theme.PURPLE}, name="bars behind",
        hovertemplate="%{y}: %{x:,.0f} bars behind<extra></extra>", row=1, col=1,
    )  # fmt: skip
    for status, colour in ENDED.items():
        figure.add_bar(
            y=list(runs.index), x=runs[status].to_numpy(), orientation="h", marker={"color": colour}, name=status,
            hovertemplate=f"%{{y}}: %{{x:,.0f}} {status}<extra></extra>", row=1, col=2,
        )  # fmt: skip
    caption = "Left: closed bars missing at the end of each series. Right: recorded runs by how they ended."
    height = 170 + _ROW * max(4, len(behind), len(runs))
    theme.style(figure, "The night", label=label, caption=caption, height=height)
    figure.update_layout(barmode="stack")
    figure.update_xaxes(title_text="bars behind", tickformat=",d", row=1, col=1)
    figure.update_xaxes(title_text="runs", tickformat=",d", row=1, col=2)
    figure.update_yaxes(title_text="series", row=1, col=1)
    figure.update_yaxes(title_text="notebook", row=1, col=2)
    return theme.stacked_when_narrow(figure, height=2 * height)
