"""Figures of the account: equity beside holding, drawdown, monthly returns, exposure."""

from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from numpy.typing import NDArray
from plotly.subplots import make_subplots

from atb.backtest import Result
from atb.backtest.fill_model import BASIS
from atb.backtest.metrics import drawdowns
from atb.backtest.portfolio import closes
from atb.decimals import merit
from atb.reports import theme
from atb.reports.downsampling import extreme_rows

LONG_WHEN_NARROW = 4  # characters that a month has no room for on a telephone
POINTS = 900  # per line: as many as a figure has pixels
BAND = "stop first to target first"
MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]

Floats = NDArray[np.floating[Any]]


def equity_figure(result: Result, *, log: bool = False) -> go.Figure:
    """Draw equity beside buy-and-hold with the same cash and costs, and both drawdowns below.

    If fills depend on the order of prices inside a bar, a light band spans equity with every stop first and every target first.

    Parameters
    ----------
    result
        The result of a backtest.
    log
        Whether the equity axis is logarithmic.
    """
    cash = result.inputs.account.cash
    figure = make_subplots(rows=2, shared_xaxes=True, row_heights=[0.7, 0.3], vertical_spacing=0.05)
    _add_band(figure, result)
    lines = (
        ("hold", result.benchmark_equity.to_numpy(), theme.ORANGE),
        (names_of(result), result.equity.to_numpy(), theme.BLUE),
    )
    for name, equity, colour in lines:
        _add_equity(figure, result.index, equity, name=name, colour=colour, cash=cash)
    figure.add_hline(y=cash, line={"color": theme.SOFT, "width": 1, "dash": "dot"}, row=1, col=1)
    title = "Equity and drawdown" + (" (logarithmic)" if log else "")
    theme.style(figure, title, label=result.label, caption=_equity_caption(result), height=560)
    figure.update_yaxes(title_text=f"equity ({quote_of(result)})", type="log" if log else "linear", row=1, col=1)
    figure.update_yaxes(title_text="below the peak (%)", rangemode="tozero", row=2, col=1)
    figure.update_xaxes(theme.time_axis(title=None), row=1, col=1)
    figure.update_xaxes(theme.time_axis(), row=2, col=1)
    return theme.on_first_screen(figure.update_layout(hovermode="x", legend={"traceorder": "reversed"}))


def _add_band(figure: go.Figure, result: Result) -> None:
    """Add the band between equity with every stop first and with every target first, if they differ."""
    if not result.band:
        return
    curves = np.column_stack([curve.to_numpy() for curve in result.band.values()])
    low, high = curves.min(axis=1), curves.max(axis=1)
    if (low == high).all():
        return
    kept = np.union1d(extreme_rows(low, POINTS // 2), extreme_rows(high, POINTS // 2))
    at = theme.times(result.index[kept])
    for values, fill in ((low, None), (high, "tonexty")):
        figure.add_scatter(
            x=at,
            y=values[kept],
            name=BAND,
            legendgroup=BAND,
            showlegend=fill is not None,
            line={"width": 0},
            fill=fill,
            fillcolor="rgba(86,180,233,0.35)",
            hoverinfo="skip",
            row=1,
            col=1,
        )


def _add_equity(
    figure: go.Figure, index: pd.DatetimeIndex, equity: Floats, /, *, name: str, colour: str, cash: float
) -> None:
    """Add equity to the upper panel and drawdown to the lower one, each downsampled by its own extremes."""
    depth = -100 * drawdowns(equity, cash)
    gain = 100 * (equity[-1] / cash - 1)
    width = 1.8 if colour == theme.BLUE else 1.2
    at = theme.times(index)
    for row, values, unit, digits in ((1, equity, "", ",.2f"), (2, depth, " %", ".2f")):
        kept = extreme_rows(values, POINTS)
        figure.add_scatter(
            x=at[kept],
            y=values[kept],
            name=f"{name} {merit('total_return_pct', gain)}",
            legendgroup=name,
            showlegend=row == 1,
            line={"color": colour, "width": width if row == 1 else 1},
            fill="tozeroy" if row == 2 and colour == theme.BLUE else None,
            fillcolor="rgba(0,114,178,0.15)",
            hovertemplate=f"%{{y:{digits}}}{unit}",
            row=row,
            col=1,
        )


def _equity_caption(result: Result) -> str:
    stats, held = result.stats, result.baselines["hold"]
    (ours, deepest), (theirs, of_holding) = (
        [merit(name, values[name]) for name in ("sharpe", "max_drawdown_pct")] for values in (stats, held)
    )
    figures = (
        f"Sharpe {ours} (hold {theirs}) at {stats['periods_per_year']:,.0f} bars a year; largest "
        f"drawdown {deepest} (hold {of_holding}); fees {merit('fees_paid', stats['fees_paid'])} "
        f"{quote_of(result)}; in the market {merit('exposure_time_pct', stats['exposure_time_pct'])} of the time. "
    )
    return f"{figures}{result.ambiguity} {BASIS} How orders fill and what they cost: see the figure Trades."


def monthly_returns_figure(result: Result) -> go.Figure:
    """Draw monthly returns as a heat map, one row per year, with the year's return at the right."""
    table = monthly_returns(result)
    values = table.to_numpy()
    top = max(1.0, float(np.nanmax(np.abs(values[:, :12]))))
    text = np.where(np.isnan(values), "", np.char.mod("%+.1f", np.nan_to_num(values)))
    years = [str(year) for year in table.index]
    figure = go.Figure(
        go.Heatmap(
            z=values,
            x=[*MONTHS, "year"],
            y=years,
            text=text,
            texttemplate="%{text}",
            textfont={"size": 12},
            colorscale=theme.LOSS_TO_PROFIT,
            zmin=-top,
            zmax=top,
            xgap=2,
            ygap=2,
            showscale=False,
            hovertemplate="%{x} %{y}: %{z:+.2f} %<extra></extra>",
        )
    )
    positive = int((values[:, :12] > 0).sum())
    counted = int((~np.isnan(values[:, :12])).sum())
    caption = (
        f"{positive} of {counted} months above zero. The first and last month may be incomplete. A month's return is measured "
        "from the last close of the month before (UTC) to its own last close, the first month's from the starting cash."
    )
    theme.style(figure, "Monthly returns (%)", label=result.label, caption=caption, height=150 + 34 * len(years))
    figure.update_yaxes(type="category", autorange="reversed", showgrid=False, ticks="")
    figure.add_vline(x=11.5, line={"color": theme.GREY, "width": 1})
    figure.update_xaxes(side="bottom", showgrid=False, ticks="")
    letters = {"tickvals": [*MONTHS, "year"], "ticktext": [*(month[0] for month in MONTHS), "all"], "tickangle": 0}
    longest = max(len(f"{value:+.0f}") for value in values[~np.isnan(values)])
    numbers = "%{z:+.0f}" if longest < LONG_WHEN_NARROW else ""  # where they have no room the colour says it
    return theme.when_narrow(figure, layout={"xaxis": letters}, trace={"texttemplate": numbers})


def monthly_returns(result: Result) -> pd.DataFrame:
    """Return monthly returns in percent: one row per year, columns 1 to 12 and `year`; NaN for a month without bars."""
    closed = result.equity.set_axis(_close_times(result))
    grouped = closed.groupby([closed.index.year, closed.index.month])  # type: ignore[attr-defined] # an index of times
    last = grouped.last()
    before = last.shift(1).fillna(result.inputs.account.cash)
    months = (100 * (last / before - 1)).unstack().reindex(columns=range(1, 13))
    ends = last.groupby(level=0).last()
    begins = ends.shift(1).fillna(result.inputs.account.cash)
    table = months.assign(year=100 * (ends / begins - 1))
    table.index.name = "year"
    return table


def _close_times(result: Result) -> pd.DatetimeIndex:
    """Return the last millisecond of each bar: one that closes at midnight belongs to the day that ends."""
    return pd.DatetimeIndex(pd.to_datetime(result.inputs.closes - 1, unit="ms", utc=True))


def exposure_figure(result: Result) -> go.Figure:
    """Draw exposure at each close in percent of equity: net, and gross if shorts make it differ."""
    share = exposure(result)
    net, gross = share.sum(axis=1).to_numpy(), share.abs().sum(axis=1).to_numpy()
    figure = go.Figure()
    series = [("net", net, theme.BLUE)] + ([("gross", gross, theme.ORANGE)] if _differ(gross, net) else [])
    for name, values, colour in series:
        kept = extreme_rows(values, POINTS)
        figure.add_scatter(
            x=theme.times(result.index[kept]),
            y=values[kept],
            name=name,
            line={"color": colour, "width": 1, "shape": "hv"},
            fill="tozeroy" if name == "net" else None,
            fillcolor="rgba(0,114,178,0.15)",
            hovertemplate="%{y:.1f} %",
        )
    theme.style(figure, "Exposure", label=result.label, caption=_exposure_caption(result, net, gross), height=320)
    figure.update_yaxes(title_text="position value / equity (%)")
    return figure.update_xaxes(theme.time_axis()).update_layout(hovermode="x", showlegend=len(series) > 1)


def _differ(gross: Floats, net: Floats) -> bool:
    return not np.allclose(gross, net, rtol=1e-9, atol=1e-9)


def _exposure_caption(result: Result, net: Floats, gross: Floats) -> str:
    sides = (
        "Shorts count as negative in net exposure and as positive in gross exposure. " if _differ(gross, net) else ""
    )
    exposed, turned = (merit(name, result.stats[name]) for name in ("exposure_time_pct", "turnover"))
    return (
        f"{sides}In the market {exposed} of the bars; on average {gross.mean():.1f} % gross, at most {gross.max():.1f} %; "
        f"{turned} times the starting cash was traded."
    )


def exposure(result: Result) -> pd.DataFrame:
    """Return each slot's position value at each close, in percent of the account's equity."""
    value = result.positions.to_numpy() * closes(result.slots, result.inputs.closes, result.index).to_numpy()
    return pd.DataFrame(100 * value / result.equity.to_numpy()[:, None], index=result.index)


def names_of(result: Result) -> str:
    """Return the names of the strategies, for a legend."""
    return ", ".join(dict.fromkeys(slot.strategy.name for slot in result.slots))


def quote_of(result: Result) -> str:
    """Return the currency of the account."""
    symbol = result.bars[0].symbol
    return symbol.settle or symbol.quote
