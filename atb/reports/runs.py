"""Figure of several runs: the equity of each, from the same start, over time."""

from typing import TYPE_CHECKING

import plotly.graph_objects as go

from atb.errors import InputError
from atb.reports import theme
from atb.reports.downsampling import extreme_rows

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pandas as pd

COLOURS = (theme.BLUE, theme.ORANGE, theme.GREEN, theme.PURPLE, theme.SKY, theme.RED, theme.GREY)
MOST = 2_000  # points of a line
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
