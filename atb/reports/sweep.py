"""Figure of a sweep: a plateau of good values can be trusted more than a peak, and both can be seen here."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import plotly.graph_objects as go

from atb.backtest.sweeping import Sweep
from atb.decimals import counted
from atb.errors import InputError, did_you_mean
from atb.reports import theme

if TYPE_CHECKING:
    import pandas as pd

NOTICE = "A sweep ranks, it is no evidence: the best of many is partly luck."
_SIGNED = ("sharpe", "sortino", "calmar", "total_return_pct", "cagr_pct")


def sweep_figure(sweep: Sweep, metric: str = "sharpe", axes: Sequence[str] | None = None) -> go.Figure:
    """Draw a figure of merit over one swept parameter as a line, or over two as a heat map.

    Parameters
    ----------
    sweep
        A sweep of at least one parameter.
    metric
        A column of its table, such as `sharpe`.
    axes
        One or two of the swept parameters; by default the first two. Over the others the median is drawn.

    Raises
    ------
    InputError
        If there is no such figure or parameter, nothing was swept, or nothing was run.
    """
    swept = sweep.swept
    chosen = list(axes) if axes is not None else swept[:2]
    figures = [str(name) for name in sweep.table if name not in swept]
    wanted: list[tuple[str, list[str]]] = [(metric, figures), *((axis, swept) for axis in chosen)]
    for name, known in wanted:
        if name not in known:
            raise InputError("The sweep has no such column", found=name, todo=did_you_mean(name, known))
    if not 1 <= len(set(chosen)) == len(chosen) <= 2 or sweep.table.empty:
        raise InputError(
            "A sweep is drawn over one or two parameters that it varies", found=", ".join(chosen) or "none"
        )
    others = [name for name in swept if name not in chosen]
    values = sweep.table.assign(**{name: [_text(value) for value in sweep.table[name]] for name in chosen})
    medians = values.groupby(chosen, sort=False)[metric].median()
    figure = _line(medians, metric) if len(chosen) == 1 else _map(medians.unstack(sort=False), metric)
    over = f" Median over {', '.join(others)}." if others else ""
    title = f"{metric} over {' and '.join(chosen)}"
    caption = f"{NOTICE} {counted(len(sweep), 'combination')}.{over} Look for a plateau; a lone peak seldom lasts."
    theme.style(figure, title, label=sweep.label, caption=caption, height=460)
    figure.update_xaxes(title_text=chosen[0], type="category")
    return figure.update_yaxes(title_text=metric if len(chosen) == 1 else chosen[1])


def _text(value: Any) -> str:
    return "none" if value is None or value != value else f"{value:g}" if isinstance(value, float) else str(value)  # noqa: PLR0124 - NaN


def _line(medians: "pd.Series[float]", metric: str) -> go.Figure:
    line = go.Scatter(
        x=list(medians.index), y=medians.to_numpy(), mode="lines+markers", line={"color": theme.BLUE}, name=metric,
        hovertemplate="%{x}: %{y:,.4~g}<extra></extra>",
    )  # fmt: skip
    return go.Figure(line)


def _map(table: "pd.DataFrame", metric: str) -> go.Figure:
    """Draw a heat map; figures with a sign are white at 0, so that what lost money is seen at once."""
    centre = {"zmid": 0.0} if metric in _SIGNED else {}
    heat = go.Heatmap(
        x=list(table.index), y=list(table.columns), z=table.to_numpy().T, colorscale=theme.LOSS_TO_PROFIT,
        colorbar={"title": {"text": metric}, "thickness": 14}, hoverongaps=False,
        texttemplate="%{z:.3~g}" if table.size <= 150 else None,
        hovertemplate=f"%{{x}}, %{{y}}: {metric} %{{z:,.4~g}}<extra></extra>", **centre,
    )  # fmt: skip
    figure = go.Figure(heat)
    figure.update_yaxes(type="category")
    return figure
