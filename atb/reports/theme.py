"""The style of figures: one template, one palette, titles that name the data, captions that state assumptions.

Nothing is registered or changed on import: each figure carries its own template. A figure by itself (in JupyterLab, as a PNG) has
no ground of its own, and colours that are legible on a white and on a dark one. A report page redraws it: `DARK` gives each
colour's counterpart on a dark page, and `layout.meta` the changes for narrow pages.
"""

import textwrap
from typing import TYPE_CHECKING, Any

import plotly.graph_objects as go

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

# Okabe and Ito's palette: distinguishable with any colour vision, and by lightness in grey.
BLUE, ORANGE, GREEN, RED = "#0072B2", "#E69F00", "#009E73", "#D55E00"
PURPLE, SKY = "#CC79A7", "#56B4E9"
INK, GREY, SOFT, GRID = "#1F2933", "#6B7684", "#B8C0CA", "#E6EAEE"
PROFIT, LOSS = GREEN, RED
LOSS_TO_PROFIT = [[0.0, "#B34700"], [0.25, "#F0A868"], [0.5, "#FAFAF8"], [0.75, "#7DBBDD"], [1.0, "#00548A"]]
PAPER = "white"
CLEAR, MIDDLE_LINE, MIDDLE_GRID = "rgba(0,0,0,0)", "rgba(128,128,128,0.55)", "rgba(128,128,128,0.2)"
DARK = {
    PAPER: "#14181D", INK: "#E6EAEE", GREY: "#9BA6B2", SOFT: "#56606B", GRID: "#2A3038",
    BLUE: "#4DA3E0", GREEN: "#2DBE93", RED: "#FF7A45", PURPLE: "#E096C0",
    "#B34700": "#FFA45C", "#F0A868": "#8A5023", "#FAFAF8": "#242A31", "#7DBBDD": "#1E5F87", "#00548A": "#7CC4EE",
    "#FFFFFF": "#14181D", "#FFF": "#14181D", "BLACK": "#E6EAEE", "#000": "#E6EAEE", "#000000": "#E6EAEE",
}  # fmt: skip
"""Each colour of the palette on a dark page; orange and sky blue are the same on both."""

FONT = "Inter, 'Helvetica Neue', Arial, sans-serif"
CAPTION = "caption"  # name of the caption's annotation
CAPTION_WIDTH = 84  # characters per line; fits half a screen of JupyterLab
_CAPTION_LINE = 16  # pixels
_CAPTION_SHIFT = -58  # pixels: below tick labels of two lines and the axis title
_TITLE_SPACE, _LEGEND_ROW = 66, 24  # pixels above the plot
_TIME = "%Y-%m-%d %H:%M"


def template(*, dark: bool | None = None) -> go.layout.Template:
    """Return the figure template: few lines, one font.

    Parameters
    ----------
    dark
        False is dark on white, True light on dark. None lets the ground of whatever page it is on show through, with text and lines
        that are legible on both, so that a figure in JupyterLab follows its theme, also when that changes.
    """
    if dark is None:
        paper, ink, grey, soft, grid = CLEAR, GREY, GREY, MIDDLE_LINE, MIDDLE_GRID
    else:
        paper, ink, grey, soft, grid = ((DARK[colour] if dark else colour) for colour in (PAPER, INK, GREY, SOFT, GRID))
    colours = [BLUE, ORANGE, GREEN, RED, PURPLE, SKY]
    axis = {
        "gridcolor": grid,
        "linecolor": soft,
        "zerolinecolor": soft,
        "ticks": "outside",
        "ticklen": 4,
        "tickcolor": soft,
        "title": {"font": {"size": 12, "color": grey}, "standoff": 8},
        "automargin": True,
    }
    return go.layout.Template(
        layout={
            "font": {"family": FONT, "size": 12, "color": ink},
            "paper_bgcolor": paper,
            "plot_bgcolor": paper,
            "colorway": [DARK.get(colour, colour) if dark else colour for colour in colours],
            "xaxis": axis,
            "yaxis": axis,
            "title": {"x": 0, "xref": "paper", "xanchor": "left", "y": 1, "yref": "paper", "yanchor": "bottom",
                      "pad": {"b": 31 + _LEGEND_ROW}, "font": {"size": 17}},
            "legend": {"orientation": "h", "x": 0, "xanchor": "left", "y": 1, "yanchor": "bottom",
                       "font": {"size": 12}, "bgcolor": "rgba(255,255,255,0)"},
            "hoverlabel": {"font": {"family": FONT, "size": 12, "color": INK if dark is None else ink},
                           "bgcolor": PAPER if dark is None else paper, "bordercolor": soft},
            "bargap": 0.05,
        }
    )  # fmt: skip


def style(figure: go.Figure, title: str, *, label: str, caption: str = "", height: int = 480) -> go.Figure:
    """Style a figure: template, title with the data's label below it, caption below the plot.

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
        Height of the plot with its title, in pixels; the caption is added to it.
    """
    lines = textwrap.wrap(caption, CAPTION_WIDTH)
    above = _TITLE_SPACE + _LEGEND_ROW
    figure.update_layout(
        template=template(),
        title={"text": title_text(title, label)},
        margin={"l": 10, "r": 20, "t": above, "b": _TITLE_SPACE + _CAPTION_LINE * len(lines)},
        height=height + _LEGEND_ROW + _CAPTION_LINE * len(lines),
        meta={"atb": {"height": height - _TITLE_SPACE // 2}},
    )
    if lines:
        figure.add_annotation(
            text="<br>".join(lines), name=CAPTION,
            x=0, y=0, xref="paper", yref="paper", xanchor="left", yanchor="top", yshift=_CAPTION_SHIFT,
            align="left", showarrow=False, font={"size": 12, "color": GREY},
        )  # fmt: skip
    return figure


def on_first_screen(figure: go.Figure) -> go.Figure:
    """Mark a styled figure as the picture of a result: a report page shows it at its head."""
    return figure.update_layout(meta={"atb": dict(figure.layout.meta["atb"]) | {"first": True}})


def title_text(title: str, label: str) -> str:
    """Return a figure's title with the data's label below it."""
    return f"<b>{title}</b><br><span style='font-size:12px;color:{GREY}'>{label}</span>"


def when_narrow(figure: go.Figure, *, layout: dict[str, Any], trace: dict[str, Any] | None = None) -> go.Figure:
    """Record the changes that a report page makes to a narrow figure, as on a phone.

    Parameters
    ----------
    figure
        Styled already; changed in place and returned.
    layout
        Put over the layout.
    trace
        Put over every trace.
    """
    own = dict(figure.layout.meta["atb"])
    return figure.update_layout(meta={"atb": own | {"narrow": {"layout": layout, "trace": trace or {}}}})


def stacked_when_narrow(figure: go.Figure, *, height: int = 640) -> go.Figure:
    """Stack the two plots of a row on narrow pages; `height` in pixels for both."""
    second = figure.layout.yaxis2.title.text or figure.layout.yaxis.title.text
    return when_narrow(
        figure,
        layout={
            "height": height,
            "xaxis": {"domain": [0, 1]},
            "xaxis2": {"domain": [0, 1]},
            "yaxis": {"domain": [0.58, 1]},
            "yaxis2": {"domain": [0, 0.42], "showticklabels": True, "title": {"text": second}},
        },
    )


def time_axis(**settings: Any) -> dict[str, Any]:
    """Return the settings of a time axis in UTC."""
    return {"type": "date", "title": {"text": "time (UTC)"}, "hoverformat": _TIME, **settings}


def times(index: "pd.Index[Any]") -> "NDArray[np.datetime64]":
    """Return UTC times to the second without a zone, which plotly draws unchanged."""
    import pandas as pd

    return pd.DatetimeIndex(index).tz_convert("UTC").tz_localize(None).to_numpy().astype("datetime64[s]")
