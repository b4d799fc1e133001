"""Figures of returns over time: rolling Sharpe ratio with its uncertainty, distribution of daily returns, calendar years."""

import math

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from atb.backtest import Result
from atb.decimals import counted, figure
from atb.reports import theme
from atb.reports.daily import DAYS_A_YEAR, Floats, daily_equity, daily_returns, moving_sharpe
from atb.reports.downsampling import extreme_rows
from atb.reports.equity import names_of

WINDOW = 90  # days of the rolling Sharpe ratio
SHORTEST = 20  # days below which a ratio says nothing
POINTS = 1_500
BINS = 60
FEW_YEARS = 3  # whose returns have room as text on a narrow page
TAIL = 5  # percent of the days
NORMAL_95 = 1.959964


def rolling_sharpe_figure(result: Result, days: int = WINDOW) -> go.Figure:
    """Draw the Sharpe ratio of the last `days` daily returns with its 95 % interval, beside that of holding.

    Parameters
    ----------
    result
        The result of a backtest.
    days
        Length of the window; halved for results shorter than two windows.
    """
    own = daily_returns(result)
    returns = own.to_numpy(dtype=np.float64)
    window = min(days, max(SHORTEST, len(own) // 2))
    drawn = go.Figure()
    title = f"Sharpe ratio of the last {window} days"
    if len(own) < max(2, window):
        return _too_short(drawn, result, title=title, days=len(own))
    ratio, error = moving_sharpe(returns, window)
    holding = daily_returns(result, result.benchmark_equity.to_numpy(dtype=np.float64))
    held, _ = moving_sharpe(holding.to_numpy(dtype=np.float64), window)
    at = theme.times(own.index[window - 1 :])
    kept = extreme_rows(ratio, POINTS)
    low, high = ratio - NORMAL_95 * error, ratio + NORMAL_95 * error
    for values, fill in ((low, None), (high, "tonexty")):
        drawn.add_scatter(
            x=at[kept], y=values[kept], name="95 % interval", legendgroup="interval", showlegend=fill is not None,
            line={"width": 0}, fill=fill, fillcolor="rgba(86,180,233,0.25)", hoverinfo="skip",
        )  # fmt: skip
    for name, values, colour, width in (("hold", held, theme.ORANGE, 1.2), (names_of(result), ratio, theme.BLUE, 1.8)):
        rows = extreme_rows(values, POINTS)
        drawn.add_scatter(x=at[rows], y=values[rows], name=name, line={"color": colour, "width": width},
                          hovertemplate="%{y:.2f}")  # fmt: skip
    drawn.add_hline(y=0, line={"color": theme.SOFT, "width": 1})
    above = 100 * float((low[~np.isnan(low)] > 0).mean()) if (~np.isnan(low)).any() else 0.0
    caption = (
        f"Daily returns, a year of 365 days, risk-free rate 0. The band is the 95 % interval of each ratio if days were "
        f"independent: with {window} days a ratio is uncertain by {NORMAL_95 * math.sqrt(DAYS_A_YEAR / window):.1f} or more either "
        f"way. The whole band is above 0 on {above:.0f} % of the days."
    )
    theme.style(drawn, title, label=result.label, caption=caption, height=400)
    drawn.update_yaxes(title_text="Sharpe ratio (a year)")
    return drawn.update_xaxes(theme.time_axis()).update_layout(hovermode="x")


def _too_short(drawn: go.Figure, result: Result, *, title: str, days: int) -> go.Figure:
    """Return an empty figure that says why it is empty."""
    caption = f"Too short: {counted(days, 'day')}; a ratio needs {SHORTEST} at least."
    theme.style(drawn, title, label=result.label, caption=caption, height=240)
    drawn.update_yaxes(title_text="Sharpe ratio (a year)")
    return drawn.update_xaxes(theme.time_axis(range=theme.times(result.index[[0, -1]])))


def distribution_figure(result: Result) -> go.Figure:
    """Draw how often daily returns of each size occurred, a normal distribution of equal variance, and the worst 5 % of days."""
    own = 100 * daily_returns(result).to_numpy(dtype=np.float64)
    reach = float(np.abs(own).max()) or 1.0  # of a strategy that never traded there is nothing to spread
    counts, edges = np.histogram(own, bins=BINS, range=(-reach, reach))
    centres, width = (edges[:-1] + edges[1:]) / 2, float(edges[1] - edges[0])
    quantile = float(np.percentile(own, TAIL))
    drawn = go.Figure()
    for name, chosen, colour in (
        ("days", centres >= quantile, theme.BLUE),
        (f"the worst {TAIL} %", centres < quantile, theme.RED),
    ):
        drawn.add_bar(x=centres[chosen], y=counts[chosen], width=width, name=name, marker={"color": colour, "opacity": 0.8},
                      hovertemplate="%{x:+.2f} %: %{y:,} days<extra></extra>")  # fmt: skip
    deviation = float(own.std(ddof=1)) if len(own) > 1 else 0.0
    if deviation > 0:
        mean = float(own.mean())
        normal = (
            len(own) * width * np.exp(-0.5 * ((centres - mean) / deviation) ** 2) / (deviation * math.sqrt(2 * math.pi))
        )
        drawn.add_scatter(
            x=centres, y=normal, name="normal", line={"color": theme.ORANGE, "width": 2}, hoverinfo="skip"
        )
    theme.style(
        drawn, "Distribution of daily returns", label=result.label, caption=_tail_text(own, quantile), height=400
    )
    drawn.update_xaxes(title_text="return of one day (%)")
    return drawn.update_yaxes(title_text="number of days (count)")


def _tail_text(own: Floats, quantile: float) -> str:
    tail = own[own <= quantile]
    deviation = float(own.std(ddof=1)) if len(own) > 1 else math.nan
    skew, kurtosis = _standardised(own, 3), _standardised(own, 4) - 3
    return (
        f"{counted(len(own), 'day')}: mean {own.mean():+.3f} %, standard deviation {figure(deviation, '.3f')} %, "
        f"skewness {figure(skew, '+.2f')}, excess kurtosis {figure(kurtosis, '+.1f')}. One day in {100 // TAIL} ended at "
        f"{quantile:+.2f} % or worse, at {tail.mean():+.2f} % on average (historical value at risk and expected shortfall). "
        f"Worst day {own.min():+.2f} %, best {own.max():+.2f} %."
    )


def _standardised(values: Floats, power: int) -> float:
    """Return the mean of the standardised values to this power; NaN where they do not vary."""
    centred = values - values.mean()
    variance = float((centred**2).mean())
    return float((centred**power).mean()) / variance ** (power / 2) if variance > 0 else math.nan


def yearly_returns(result: Result) -> pd.DataFrame:
    """Return the return of each calendar year (UTC) in percent, of the strategy and of holding; first and last may be parts."""
    cash = result.inputs.account.cash
    columns = {}
    for name, curve in (("strategy", None), ("hold", result.benchmark_equity.to_numpy(dtype=np.float64))):
        equity = daily_equity(result, curve)
        ends = equity.groupby(pd.DatetimeIndex(equity.index).year).last()
        before = ends.shift(1).fillna(cash)
        columns[name] = 100 * (ends / before - 1).where(before > 0, 0.0)
    return pd.DataFrame(columns).rename_axis(index="year")


def yearly_returns_figure(result: Result) -> go.Figure:
    """Draw the return of each calendar year beside that of holding."""
    table = yearly_returns(result)
    years = [str(year) for year in table.index]
    drawn = go.Figure()
    for name, colour in (("strategy", theme.BLUE), ("hold", theme.ORANGE)):
        values = table[name].to_numpy()
        drawn.add_bar(x=years, y=values, name=names_of(result) if name == "strategy" else name, marker={"color": colour},
                      text=[f"{value:+.1f}" for value in values] if len(years) <= 12 else None, textposition="outside",
                      cliponaxis=False, hovertemplate="%{x}: %{y:+.2f} %<extra></extra>")  # fmt: skip
    better = int((table["strategy"] > table["hold"]).sum())
    caption = (
        f"After costs, from the last close of the year before (UTC), the first year from the starting cash. Above holding in "
        f"{better} of {counted(len(years), 'year')}, above zero in {int((table['strategy'] > 0).sum())}. The first and last year "
        "may be incomplete."
    )
    theme.style(drawn, "Yearly returns", label=result.label, caption=caption, height=380)
    drawn.update_xaxes(title_text="year (UTC)", type="category")
    drawn.update_yaxes(title_text="return (%)", zeroline=True, zerolinewidth=1.5).update_layout(
        barmode="group", bargap=0.3
    )
    return theme.when_narrow(drawn, layout={}, trace={"textposition": "none"}) if len(years) > FEW_YEARS else drawn
