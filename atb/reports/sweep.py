"""Figure of a sweep: a plateau of good values can be trusted more than a peak, and both can be seen here."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median
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


@dataclass(frozen=True)
class Plateau:
    """How much of a sweep's best figure its neighbours share.

    Parameters
    ----------
    metric
        The figure.
    table
        One row per combination: `own`, its figure; `near`, the median of the combinations one step away in one parameter.
    """

    metric: str
    table: "pd.DataFrame"

    @property
    def best(self) -> "pd.Series[float]":
        """The row with the highest figure."""
        return self.table.iloc[int(self.table["own"].to_numpy().argmax())]

    @property
    def agreement(self) -> float:
        """Rank correlation of own figures and neighbours': 1 on a smooth surface, 0 where neighbours say nothing."""
        return float(self.table["own"].rank().corr(self.table["near"].rank()))

    @property
    def text(self) -> str:
        """The shape in a sentence."""
        best, above = self.best, int((self.table["own"] > 0).sum())
        return (
            f"the best of {counted(len(self.table), 'combination')} has {self.metric} {best['own']:.2f}, its neighbours "
            f"{best['near']:.2f}; {above:,} are above 0; a combination ranks as its neighbours do with a correlation of "
            f"{self.agreement:.2f}"
        )

    def metrics(self) -> dict[str, float]:
        """Return the figures to publish."""
        own, best = self.table["own"], self.best
        return {
            "combinations": len(own), "best": float(best["own"]), "near_best": float(best["near"]),
            "median": float(own.median()), "above_zero": int((own > 0).sum()), "agreement": self.agreement,
        }  # fmt: skip


def plateau(sweep: Sweep, metric: str = "sharpe") -> Plateau:
    """Return each combination's figure beside that of its neighbours; undefined figures are left out.

    Raises
    ------
    InputError
        If there is no such figure, or nothing was run.
    """
    import pandas as pd

    figures = [str(name) for name in sweep.table if name not in sweep.swept]
    if metric not in figures:
        raise InputError("The sweep has no such column", found=metric, todo=did_you_mean(metric, figures))
    table = sweep.table.dropna(subset=[metric])
    if table.empty:
        raise InputError("The sweep has no combination with this figure", found=metric)
    places = {name: {value: place for place, value in enumerate(_ordered(sweep.table[name]))} for name in sweep.swept}
    at = {tuple(places[name][_key(row[name])] for name in sweep.swept): row[metric] for _, row in table.iterrows()}
    near = {place: _median_beside(place, at) for place in at}
    rows = {"own": list(at.values()), "near": [near[place] for place in at]}
    return Plateau(metric, pd.DataFrame(rows, index=table.index))


def plateau_figure(sweep: Sweep, metric: str = "sharpe") -> go.Figure:
    """Draw each combination's figure over the median of its neighbours; on the line both are alike.

    Raises
    ------
    InputError
        As `plateau`.
    """
    found = plateau(sweep, metric)
    table = found.table.dropna()
    low, high = (float(getattr(table.to_numpy(), name)()) if len(table) else 0.0 for name in ("min", "max"))
    names = [", ".join(f"{name} {_text(sweep.table.loc[row, name])}" for name in sweep.swept) for row in table.index]
    alike = go.Scatter(
        x=[low, high], y=[low, high], mode="lines", name="as its neighbours", line={"color": theme.GREY, "dash": "dash"}
    )
    points = go.Scatter(
        x=table["near"].to_numpy(), y=table["own"].to_numpy(), text=names, mode="markers", name="combination",
        marker={"color": theme.BLUE, "size": 7, "opacity": 0.75},
        hovertemplate="%{text}<br>neighbours %{x:,.3~g}, own %{y:,.3~g}<extra></extra>",
    )  # fmt: skip
    figure = go.Figure([alike, points])
    caption = f"{NOTICE} A point far above the line is a lone peak: its neighbours, one step away in one parameter, are worse."
    theme.style(figure, f"{metric}: own and neighbours'", label=sweep.label, caption=caption, height=440)
    figure.update_xaxes(title_text=f"{metric}, median of the neighbours")
    return figure.update_yaxes(title_text=f"{metric} of the combination")


def _ordered(column: "pd.Series[Any]") -> list[Any]:
    """Return the distinct values of a swept parameter in their order: numbers by size, the rest as they came, none first."""
    values = list(dict.fromkeys(_key(value) for value in column))
    numbers = sorted(value for value in values if isinstance(value, int | float))
    return [*(value for value in values if not isinstance(value, int | float)), *numbers]


def _key(value: Any) -> Any:
    return None if value != value else value  # noqa: PLR0124 - NaN


def _median_beside(place: tuple[int, ...], at: "Mapping[tuple[int, ...], float]") -> float:
    beside = [
        at[other]
        for axis in range(len(place))
        for step in (-1, 1)
        if (other := (*place[:axis], place[axis] + step, *place[axis + 1 :])) in at
    ]
    return median(beside) if beside else float("nan")


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
