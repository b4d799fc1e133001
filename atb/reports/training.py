"""Figures of a trained model: calibration of its probabilities, and returns by decile of prediction."""

from typing import TYPE_CHECKING

import plotly.graph_objects as go

from atb.reports import theme

if TYPE_CHECKING:
    import pandas as pd


def calibration_figure(table: "pd.DataFrame", *, title: str) -> go.Figure:
    """Draw predicted against observed shares of rises, one point per bin, beside the line of a calibrated model.

    Parameters
    ----------
    table
        Columns `predicted`, `observed` (0 to 1) and `rows`: `atb.prediction.evaluation.calibration_table`.
    title
        Names the rows and the data; should contain the bars' label.
    """
    low = float(min(table["predicted"].min(), table["observed"].min()))
    high = float(max(table["predicted"].max(), table["observed"].max()))
    truth = go.Scatter(
        x=[low, high], y=[low, high], mode="lines", name="calibrated", line={"color": theme.GREY, "dash": "dash"}
    )
    model = go.Scatter(
        x=table["predicted"],
        y=table["observed"],
        customdata=table["rows"],
        mode="lines+markers",
        name="this model",
        line={"color": theme.BLUE},
        hovertemplate="predicted %{x:.1%}<br>observed %{y:.1%}<br>%{customdata} rows<extra></extra>",
    )
    figure = go.Figure([truth, model])
    caption = (
        "Each point is a tenth of the rows, by prediction. On the dashed line, predicted and observed shares agree."
    )
    theme.style(figure, "Calibration of the probabilities", label=title, caption=caption, height=440)
    figure.update_xaxes(title_text="predicted probability of a rise (%)", tickformat=".0%")
    return figure.update_yaxes(title_text="observed share of rises (%)", tickformat=".0%")


def decile_figure(table: "pd.DataFrame", *, horizon: int, title: str) -> go.Figure:
    """Draw the mean forward return per decile of prediction, in basis points, with one standard error.

    Parameters
    ----------
    table
        Columns `forward_return` and `error` (log returns), index 1 (lowest predictions) upward:
        `atb.prediction.evaluation.decile_table`.
    horizon
        Bars over which the return is measured.
    title
        Names the rows and the data; should contain the bars' label.
    """
    basis_points = table["forward_return"] * 10_000
    bars = go.Bar(
        x=table.index,
        y=basis_points,
        error_y={"type": "data", "array": table["error"] * 10_000, "color": theme.GREY},
        marker_color=[theme.PROFIT if value > 0 else theme.LOSS for value in basis_points],
        customdata=table["rows"],
        hovertemplate="decile %{x}<br>%{y:.1f} bp<br>%{customdata} rows<extra></extra>",
    )
    figure = go.Figure([bars])
    caption = "Error bars are one standard error; they are too short, since returns of neighbouring rows overlap."
    theme.style(figure, "Return by decile of prediction", label=title, caption=caption, height=400)
    figure.update_xaxes(title_text="tenth of the rows, by prediction (1: lowest)", dtick=1)
    return figure.update_yaxes(title_text=f"mean return over the next {horizon} bars (bp)")
