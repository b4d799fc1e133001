"""Figure of strategies side by side: each return beside holding and beside the same positions at random times."""

from collections.abc import Collection
from typing import TYPE_CHECKING

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from atb.errors import InputError
from atb.reports import theme

if TYPE_CHECKING:
    import pandas as pd

_ROW = 30  # pixels


def comparison_figure(table: "pd.DataFrame", *, label: str, left_out: Collection[tuple[str, str]] = ()) -> go.Figure:
    """Draw a dot per strategy and symbol, a bar for the middle 90 % of random entries, and a line for holding.

    Parameters
    ----------
    table
        As `atb.workbench.comparison.Comparison.table`.
    label
        Of which bars.
    left_out
        Strategies and symbols that could not be run: each has its row, which says so.

    Raises
    ------
    InputError
        If there is no row.
    """
    symbols = list(dict.fromkeys([*table["symbol"], *(symbol for _, symbol in left_out)]))
    if table.empty:
        raise InputError("There is no result to draw", todo="See why each was left out")
    names = sorted(dict.fromkeys([*table["strategy"], *(name for name, _ in left_out)]), reverse=True)
    figure = make_subplots(rows=len(symbols), shared_xaxes=False, vertical_spacing=0.1 / len(symbols) + 0.02)
    for row, symbol in enumerate(symbols, start=1):
        mine = table[table["symbol"] == symbol].set_index("strategy").reindex(names)
        _draw(figure, mine, row=row)
        missing = [name for name, where in left_out if where == symbol]
        for name in missing:
            figure.add_annotation(x=0, xref="x domain", xanchor="left", xshift=6, y=name, text="left out", showarrow=False,
                                  font={"size": 11, "color": theme.GREY}, row=row, col=1)  # fmt: skip
    caption = (
        "Dot: total return after costs. Bar: the middle 90 % of runs with the same positions at random times; a dot beyond its bar "
        "has a timing that chance seldom has. Dashed: buying at the start and holding. Many strategies were tried on the same bars."
    )
    height = 150 + len(symbols) * (70 + _ROW * len(names))
    theme.style(figure, "Strategies beside holding and chance", label=label, caption=caption, height=height)
    figure.update_xaxes(title_text="total return (%)", row=len(symbols), col=1)
    for row, symbol in enumerate(symbols, start=1):
        figure.update_yaxes(title_text=symbol, row=row, col=1)
    return figure.update_yaxes(type="category", categoryorder="array", categoryarray=names)


def _draw(figure: go.Figure, mine: "pd.DataFrame", *, row: int) -> None:
    low, high = mine["random_p5_pct"], mine["random_p95_pct"]
    figure.add_bar(
        y=mine.index, x=(high - low).to_numpy(), base=low.to_numpy(), orientation="h", width=0.55, name="random entries, 90 %",
        marker={"color": theme.GRID, "line": {"color": theme.SOFT, "width": 1}}, showlegend=row == 1, legendgroup="random",
        hovertemplate="%{y}, random entries: %{base:+,.0f} to %{x:+,.0f} %<extra></extra>", row=row, col=1,
    )  # fmt: skip
    above = (mine["total_return_pct"] > mine["hold_return_pct"]).to_numpy()
    for better, colour, name in ((True, theme.BLUE, "more than holding"), (False, theme.ORANGE, "less than holding")):
        chosen = mine[above == better].dropna(subset=["total_return_pct"])
        shown = bool(len(chosen)) and not any(trace.name == name and trace.showlegend for trace in figure.data)
        figure.add_scatter(
            x=chosen["total_return_pct"].to_numpy(), y=chosen.index, mode="markers", name=name, legendgroup=name,
            showlegend=shown, marker={"color": colour, "size": 11, "line": {"color": theme.PAPER, "width": 1}},
            customdata=chosen[["sharpe", "max_drawdown_pct", "n_trades"]].to_numpy(),
            hovertemplate="%{y}: %{x:+,.2f} %, Sharpe %{customdata[0]:.2f}, drawdown %{customdata[1]:.2f} %, "
                          "%{customdata[2]:,.0f} trades<extra></extra>",
            row=row, col=1,
        )  # fmt: skip
    dashed = {"color": theme.GREY, "dash": "dash", "width": 1.5}
    if mine["hold_return_pct"].notna().any():
        figure.add_vline(x=float(mine["hold_return_pct"].max()), line=dashed, row=row, col=1)
