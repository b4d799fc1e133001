"""Figure of a model's predictions: how sure it was at each bar, and whether it was right."""

from typing import TYPE_CHECKING

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from atb.errors import InputError
from atb.reports import theme

if TYPE_CHECKING:
    import pandas as pd

MOST = 2_000  # points drawn, the newest


def predictions_figure(table: "pd.DataFrame", *, label: str, horizon: int) -> go.Figure:
    """Draw closes, and below them each bar's probability of a rise, coloured by what followed.

    Parameters
    ----------
    table
        Indexed by open: `close`, `probability` (0 to 1), `rose` (1, 0, NaN while open): `atb.experiments.judging.Judged.table`.
    label
        Model and market.
    horizon
        Bars that the prediction looks ahead.

    Raises
    ------
    InputError
        If there is no row.
    """
    shown = table.tail(MOST)
    if shown.empty:
        raise InputError("There is no prediction to draw", todo="Wait for bars after those the model was trained on")
    figure = make_subplots(rows=2, shared_xaxes=True, vertical_spacing=0.06, row_heights=[0.55, 0.45])
    times = theme.times(shown.index)
    figure.add_scatter(
        x=times,
        y=shown["close"].to_numpy(),
        mode="lines",
        name="close",
        line={"color": theme.GREY, "width": 1.2},
        row=1,
        col=1,
    )
    right = (shown["probability"] >= 0.5) == (shown["rose"] == 1)
    still = shown["rose"].isna()
    for name, rows, colour, symbol in (
        ("right", right & ~still, theme.BLUE, "circle"),
        ("wrong", ~right & ~still, theme.ORANGE, "x"),
        ("not over yet", still, theme.GREY, "circle-open"),
    ):
        figure.add_scatter(
            x=times[rows.to_numpy()], y=100 * shown.loc[rows, "probability"].to_numpy(), mode="markers", name=name,
            marker={"color": colour, "symbol": symbol, "size": 5}, hovertemplate="%{y:.1f} %<extra></extra>", row=2, col=1,
        )  # fmt: skip
    figure.add_hline(y=50, line={"color": theme.GREY, "dash": "dash", "width": 1}, row=2, col=1)
    caption = (
        f"Each point is what the model said at a bar's close of the next {horizon} bars, on bars it was not trained on. A model "
        "that knows something is right more often the further a point lies from the dashed line."
    )
    theme.style(figure, "Predictions and what followed", label=label, caption=caption, height=520)
    figure.update_xaxes(theme.time_axis(), row=2, col=1)
    figure.update_yaxes(title_text="close (quote currency)", row=1, col=1)
    return figure.update_yaxes(title_text="says it rises (%)", row=2, col=1)
