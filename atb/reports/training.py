"""Figures of a trained model: whether its probabilities are true, and whether they order the returns that followed."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd
    from plotly.graph_objects import Figure

MODEL, TRUTH, MUTED = "#2a6f97", "#9aa5b1", "#c1666b"


def calibration_figure(table: "pd.DataFrame", *, title: str) -> "Figure":
    """Return predicted against observed shares of rises, one point per bin, beside the line of a true model.

    Parameters
    ----------
    table
        Columns `predicted`, `observed` (0 to 1) and `rows`: `atb.prediction.evaluation.calibration_table`.
    title
        Says which rows and whose data: the bars' label belongs in it.
    """
    import plotly.graph_objects as go

    low = float(min(table["predicted"].min(), table["observed"].min()))
    high = float(max(table["predicted"].max(), table["observed"].max()))
    truth = go.Scatter(
        x=[low, high], y=[low, high], mode="lines", name="a true model", line={"color": TRUTH, "dash": "dash"}
    )
    model = go.Scatter(
        x=table["predicted"],
        y=table["observed"],
        customdata=table["rows"],
        mode="lines+markers",
        name="this model",
        line={"color": MODEL},
        hovertemplate="predicted %{x:.1%}<br>observed %{y:.1%}<br>%{customdata} rows<extra></extra>",
    )
    figure = go.Figure([truth, model])
    figure.update_xaxes(title="predicted probability of a rise", tickformat=".0%")
    figure.update_yaxes(title="observed share of rises", tickformat=".0%")
    return figure.update_layout(title=title, template="plotly_white")


def decile_figure(table: "pd.DataFrame", *, horizon: int, title: str) -> "Figure":
    """Return the mean forward return per decile of prediction, in basis points, with one standard error.

    Parameters
    ----------
    table
        Columns `forward_return` and `error` (log returns), index 1 (lowest predictions) upward:
        `atb.prediction.evaluation.decile_table`.
    horizon
        Bars over which the return was taken.
    title
        Says which rows and whose data: the bars' label belongs in it.
    """
    import plotly.graph_objects as go

    basis_points = table["forward_return"] * 10_000
    bars = go.Bar(
        x=table.index,
        y=basis_points,
        error_y={"type": "data", "array": table["error"] * 10_000, "color": TRUTH},
        marker_color=[MODEL if value > 0 else MUTED for value in basis_points],
        customdata=table["rows"],
        hovertemplate="decile %{x}<br>%{y:.1f} bp<br>%{customdata} rows<extra></extra>",
    )
    figure = go.Figure([bars])
    figure.update_xaxes(title="decile of prediction, lowest first", dtick=1)
    figure.update_yaxes(title=f"mean return over the next {horizon} bars, bp")
    return figure.update_layout(title=title, template="plotly_white")
