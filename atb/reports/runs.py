"""Figures of recorded runs: the equity of several side by side, and how those of a night ended."""

from typing import TYPE_CHECKING

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from atb.errors import InputError
from atb.reports import theme
from atb.reports.downsampling import extreme_rows

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pandas as pd

COLOURS = (theme.BLUE, theme.ORANGE, theme.GREEN, theme.PURPLE, theme.SKY, theme.RED, theme.GREY)
MOST = 2_000  # points of a line
ENDED = {"succeeded": theme.BLUE, "failed": theme.RED, "interrupted": theme.ORANGE, "running": theme.SOFT}
FEW_TICKS = 8
_ROW = 26  # pixels
DASHES = ("solid", "dash", "dot")


def runs_figure(equities: "Mapping[str, pd.Series[float]]", *, label: str, notes: str = "") -> go.Figure:
    """Draw the equity of each run as a change in percent since its own first bar.

    Parameters
    ----------
    equities
        By the run's name, indexed by time (UTC).
    label
        What was run.
    notes
        Why the lines may not be compared; part of the caption.

    Raises
    ------
    InputError
        If there is no equity to draw.
    """
    drawn = {name: equity for name, equity in equities.items() if len(equity)}
    if not drawn:
        raise InputError("No run has an equity to draw", todo="Compare runs that published a result")
    figure = go.Figure()
    for number, (name, equity) in enumerate(drawn.items()):
        change = 100 * (equity / equity.iloc[0] - 1)
        change = change.iloc[extreme_rows(change.to_numpy(), MOST)]
        figure.add_scatter(
            x=theme.times(change.index), y=change.to_numpy(), mode="lines", name=name,
            line={"color": COLOURS[number % len(COLOURS)], "dash": DASHES[number // len(COLOURS) % len(DASHES)], "width": 1.6},
            hovertemplate="%{y:+,.2f} %<extra>%{fullData.name}</extra>",
        )  # fmt: skip
    caption = f"Each line begins at 0 with its own first bar, after costs. {notes}".strip()
    theme.style(figure, "Equity of the runs", label=label, caption=caption, height=440)
    figure.update_xaxes(theme.time_axis())
    return figure.update_yaxes(title_text="change since the start (%)")


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
    most = {
        1: float(behind.max()) if len(behind) else 0.0,
        2: float(runs[list(ENDED)].sum(axis=1).max()) if len(runs) else 0.0,
    }
    for column, title in enumerate(("bars behind", "runs"), start=1):
        whole = {"dtick": 1} if most[column] < FEW_TICKS else {}  # counts have no decimals
        reach = [0, max(1.0, 1.05 * most[column])]
        figure.update_xaxes(title_text=title, tickformat=",d", range=reach, **whole, row=1, col=column)
    figure.update_yaxes(title_text="series", row=1, col=1)
    figure.update_yaxes(title_text="notebook", row=1, col=2)
    return theme.stacked_when_narrow(figure, height=2 * height)
