"""The house style of figures: one template, one palette, titles that name the data, a caption that says what is assumed.

Nothing is registered or changed on import: a figure gets the template as its own, wherever it is drawn.
"""

import textwrap
from typing import TYPE_CHECKING, Any

import plotly.graph_objects as go

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

# Okabe and Ito's palette: told apart with any colour vision, and in grey by their lightness.
BLUE, ORANGE, GREEN, RED = "#0072B2", "#E69F00", "#009E73", "#D55E00"
PURPLE, SKY = "#CC79A7", "#56B4E9"
INK, GREY, SOFT, GRID = "#1F2933", "#6B7684", "#B8C0CA", "#E6EAEE"
PROFIT, LOSS = GREEN, RED
LOSS_TO_PROFIT = [[0.0, "#B34700"], [0.25, "#F0A868"], [0.5, "#FAFAF8"], [0.75, "#7DBBDD"], [1.0, "#00548A"]]

FONT = "Inter, 'Helvetica Neue', Arial, sans-serif"
CAPTION_WIDTH = 160  # characters a line
_CAPTION_LINE = 15  # pixels
_CAPTION_SHIFT = -58  # pixels: below tick labels of two lines and the axis title
_TIME = "%Y-%m-%d %H:%M"


def template() -> go.layout.Template:
    """Return the house template: light, few lines, one font."""
    axis = {
        "gridcolor": GRID,
        "linecolor": SOFT,
        "zerolinecolor": SOFT,
        "ticks": "outside",
        "ticklen": 4,
        "tickcolor": SOFT,
        "title": {"font": {"size": 12, "color": GREY}, "standoff": 8},
        "automargin": True,
    }
    return go.layout.Template(
        layout={
            "font": {"family": FONT, "size": 12, "color": INK},
            "paper_bgcolor": "white",
            "plot_bgcolor": "white",
            "colorway": [BLUE, ORANGE, GREEN, RED, PURPLE, SKY],
            "xaxis": axis,
            "yaxis": axis,
            "title": {"x": 0, "xref": "paper", "xanchor": "left", "y": 1, "yref": "paper", "yanchor": "bottom",
                      "pad": {"b": 31}, "font": {"size": 17}},
            "legend": {"orientation": "h", "x": 1, "xanchor": "right", "y": 1, "yanchor": "bottom",
                       "font": {"size": 12}, "bgcolor": "rgba(255,255,255,0)"},
            "hoverlabel": {"font": {"family": FONT, "size": 12}, "bgcolor": "white", "bordercolor": SOFT},
            "bargap": 0.05,
        }
    )  # fmt: skip


def style(figure: go.Figure, title: str, *, label: str, caption: str = "", height: int = 480) -> go.Figure:
    """Give a figure the template, a title with the data's label under it, and a caption under the plot.

    Parameters
    ----------
    figure
        Changed in place and returned.
    title
        What is shown, in a few words.
    label
        Of which data: a result's or a series' label, so that synthetic data is named as such on every picture.
    caption
        How to read it and what it rests on; wrapped.
    height
        Of the plot with its title, in pixels; the caption's lines are added to it.
    """
    lines = textwrap.wrap(caption, CAPTION_WIDTH)
    figure.update_layout(
        template=template(),
        title={"text": f"<b>{title}</b><br><span style='font-size:12px;color:{GREY}'>{label}</span>"},
        margin={"l": 10, "r": 20, "t": 66, "b": 66 + _CAPTION_LINE * len(lines)},
        height=height + _CAPTION_LINE * len(lines),
    )
    if lines:
        figure.add_annotation(
            text="<br>".join(lines),
            x=0, y=0, xref="paper", yref="paper", xanchor="left", yanchor="top", yshift=_CAPTION_SHIFT,
            align="left", showarrow=False, font={"size": 11, "color": GREY},
        )  # fmt: skip
    return figure


def time_axis(**settings: Any) -> dict[str, Any]:
    """Return the settings of a time axis in UTC."""
    return {"type": "date", "title": {"text": "time (UTC)"}, "hoverformat": _TIME, **settings}


def times(index: "pd.Index[Any]") -> "NDArray[np.datetime64]":
    """Return UTC times to the second, without a zone: plotly draws them as they are."""
    import pandas as pd

    return pd.DatetimeIndex(index).tz_convert("UTC").tz_localize(None).to_numpy().astype("datetime64[s]")
