"""Figures of a market: candles with volume and gaps, the distribution of returns, volatility clustering."""

import math

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray
from plotly.subplots import make_subplots

from atb.backtest.span import periods_between
from atb.decimals import counted
from atb.domain import Bars
from atb.engine.records import Floats
from atb.errors import InputError
from atb.reports import theme
from atb.reports.downsampling import candles, extreme_rows, span_text
from atb.reports.trades import price_trace

CANDLES = 1_200
GAPS = 40  # longest gaps to mark; each is one shape
BINS = 121
LAGS = 168  # a week of hours
POINTS = 1_500


def bars_figure(bars: Bars) -> go.Figure:
    """Draw candles with volume below; the longest gaps are shaded in both panels."""
    frame, span = candles(bars, CANDLES)
    figure = make_subplots(rows=2, shared_xaxes=True, row_heights=[0.78, 0.22], vertical_spacing=0.04)
    figure.add_trace(price_trace(frame), row=1, col=1)
    figure.add_bar(
        x=theme.times(frame.index),
        y=frame["volume"].to_numpy(),
        name="volume",
        showlegend=False,
        marker={"color": theme.SOFT, "line": {"width": 0}},
        hovertemplate="%{y:,.4~g}<extra></extra>",
        row=2,
        col=1,
    )
    marked = sorted(bars.gaps, key=lambda gap: gap[0] - gap[1])[:GAPS]
    for start, end in marked:
        figure.add_vrect(
            x0=start.isoformat()[:19], x1=end.isoformat()[:19], fillcolor=theme.RED, opacity=0.25, line_width=0
        )
    caption = f"{counted(len(bars), 'closed bar')}, drawn as {span_text(bars, span)}; {_gaps_text(bars, len(marked))}."
    theme.style(figure, "Price and volume", label=bars.label, caption=caption, height=520)
    figure.update_yaxes(title_text=f"price ({bars.symbol.quote})", row=1, col=1)
    figure.update_yaxes(title_text=f"volume ({bars.symbol.base})", row=2, col=1)
    figure.update_xaxes(theme.time_axis(rangeslider={"visible": False}, title=None), row=1, col=1)
    return figure.update_xaxes(theme.time_axis(), row=2, col=1)


def _gaps_text(bars: Bars, marked: int) -> str:
    known = len(bars.gaps)
    if not known:
        return "no gaps"
    which = "shaded" if marked == known else f"the {marked} longest shaded"
    return f"{counted(known, 'known gap')}, never filled, {which}"


def returns_figure(bars: Bars) -> go.Figure:
    """Draw the histogram of bar returns beside a normal distribution of equal variance, on a log scale."""
    returns = 100 * log_returns(bars)
    deviation = float(returns.std())
    reach = max(float(np.abs(returns).max()), 1e-9)
    counts, edges = np.histogram(returns, bins=BINS, range=(-reach, reach))
    centres, width = (edges[:-1] + edges[1:]) / 2, edges[1] - edges[0]
    figure = go.Figure(
        go.Bar(x=centres, y=counts, name="bars", width=width, marker={"color": theme.BLUE, "opacity": 0.75})
    )
    if deviation > 0:
        normal = len(returns) * width * np.exp(-0.5 * (centres / deviation) ** 2) / (deviation * math.sqrt(2 * math.pi))
        drawn = normal >= 0.5
        figure.add_scatter(x=centres[drawn], y=normal[drawn], name="normal", line={"color": theme.ORANGE, "width": 2})
    rare = int((np.abs(returns) > 4 * deviation).sum())
    caption = (
        f"{len(returns):,} log returns (none across a gap), standard deviation {deviation:.3f} %, excess kurtosis "
        f"{_kurtosis(returns):.1f}. {rare} lie beyond four standard deviations, where a normal distribution would have "
        f"{len(returns) * 6.33e-5:.1f}: averages do not show large moves, but a stop must survive them."
    )
    theme.style(figure, "Distribution of returns", label=bars.label, caption=caption, height=400)
    figure.update_xaxes(title_text=f"return of one {bars.timeframe} bar (%, log)")
    return figure.update_yaxes(title_text="number of bars", type="log", dtick=1)


def volatility_figure(bars: Bars) -> go.Figure:
    """Draw volatility over time, and the autocorrelation of returns and of their size by lag."""
    returns = log_returns(bars)
    moving, days = moving_volatility(bars)
    lags = max(1, min(LAGS, len(returns) // 3))
    figure = make_subplots(cols=2, column_widths=[0.6, 0.4], horizontal_spacing=0.1)
    kept = extreme_rows(moving, POINTS)
    figure.add_scatter(
        x=theme.times(bars.frame.index[len(bars) - len(moving) :])[kept],
        y=100 * moving[kept],
        name=f"volatility of the last {days:.3g} days",
        showlegend=False,
        line={"color": theme.BLUE, "width": 1.3},
        hovertemplate="%{y:.1f} %",
        row=1,
        col=1,
    )
    for name, series, colour in (("size of returns", np.abs(returns), theme.BLUE), ("returns", returns, theme.ORANGE)):
        figure.add_scatter(
            x=np.arange(1, lags + 1),
            y=autocorrelation(series, lags),
            name=name,
            line={"color": colour, "width": 1.5},
            row=1,
            col=2,
        )
    bound = 1.96 / math.sqrt(len(returns))
    figure.add_hrect(y0=-bound, y1=bound, fillcolor=theme.SOFT, opacity=0.4, line_width=0, row=1, col=2)
    caption = (
        f"Left: standard deviation of the returns of the last {days:.3g} days, gaps included, annualised to 365 days. "
        "Right: uncorrelated values would be inside the grey band 95 % of the time. While the blue line is above it, the size of "
        "moves is autocorrelated, so risk can be forecast; direction could be forecast only if the orange line left the band."
    )
    theme.style(figure, "Volatility and autocorrelation", label=bars.label, caption=caption, height=400)
    figure.update_yaxes(title_text="volatility (% a year)", rangemode="tozero", row=1, col=1)
    figure.update_yaxes(title_text="autocorrelation", row=1, col=2)
    figure.update_xaxes(theme.time_axis(), row=1, col=1)
    return theme.stacked_when_narrow(figure.update_xaxes(title_text="lag (bars)", row=1, col=2))


def log_returns(bars: Bars) -> Floats:
    """Return ln(close / previous close) of each bar that follows its predecessor without a gap, in order.

    Raises
    ------
    InputError
        If there are fewer than two returns: nothing can be said about their size.
    """
    returns = np.diff(np.log(bars.frame["close"].to_numpy(dtype=np.float64)))[_follows(bars)]
    if len(returns) < 2:
        raise InputError("Too few bars for their returns", found=len(bars), todo="Load at least three")
    return np.asarray(returns)


def _follows(bars: Bars) -> NDArray[np.bool_]:
    """Return, for each bar but the first, whether it opens when the previous one closes."""
    return np.asarray(bars.opened_ms[1:] == bars.closed_ms[:-1])


def autocorrelation(values: Floats, lags: int) -> Floats:
    """Return the autocorrelation at lags 1 to `lags`: lagged covariance over variance, both divided by n."""
    centred = values - values.mean()
    variance = float(centred @ centred)
    if variance == 0:
        return np.full(lags, np.nan)
    return np.array([float(centred[:-lag] @ centred[lag:]) / variance for lag in range(1, lags + 1)])


def volatility(bars: Bars) -> float:
    """Return the standard deviation of log returns over 365 days, as a fraction: by clock time, moves across gaps included.

    A period without a bar has a return of 0, as in the figures of a backtest (`atb.backtest.metrics`).
    """
    returns, at = _moves(bars)
    periods = float(at[-1])
    variance = (float(returns @ returns) - float(returns.sum()) ** 2 / periods) / max(periods - 1, 1.0)
    return math.sqrt(max(variance, 0.0) * bars.timeframe.bars_per_year)


def moving_volatility(bars: Bars) -> tuple[Floats, float]:
    """Return the volatility (a year, fraction) of the last week, or of a quarter of shorter bars, at the newest bars; and its days.

    Returns are taken around zero: drift is negligible within a week.
    """
    returns, at = _moves(bars)
    window = max(2.0, min(round(7 * 86_400 / bars.timeframe.seconds), at[-1] // 4))
    squares = np.concatenate([[0.0], np.cumsum(returns**2)])
    first = np.searchsorted(at, at - window, side="right")
    moving = np.sqrt((squares[1:] - squares[first]) / window * bars.timeframe.bars_per_year)
    return np.asarray(moving[at >= window]), window * bars.timeframe.seconds / 86_400


def _moves(bars: Bars) -> tuple[Floats, Floats]:
    """Return the log return from each close to the next, and its time in periods after the first close."""
    returns = np.diff(np.log(bars.frame["close"].to_numpy(dtype=np.float64)))
    return returns, periods_between(int(bars.closed_ms[0]), bars.closed_ms[1:], bars.timeframe)


def _kurtosis(values: Floats) -> float:
    centred = values - values.mean()
    variance = float((centred**2).mean())
    return float((centred**4).mean()) / variance**2 - 3 if variance > 0 else math.nan
