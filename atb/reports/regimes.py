"""Figures of regimes: where they lie over the price, how long they last, and what followed them."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from atb.decimals import counted
from atb.domain import Bars
from atb.reports import theme
from atb.validation.regime_effect import LEAST_STRETCHES, RegimeEffect

if TYPE_CHECKING:
    import pandas as pd

POINTS = 3_000  # of the price line
COLOURS = {
    "down_low": theme.ORANGE, "down_high": theme.RED, "range_low": theme.SOFT, "range_high": theme.GREY, "up_low": theme.SKY,
    "up_high": theme.BLUE, "down": theme.RED, "mixed": theme.GREY, "up": theme.BLUE, "calm": theme.BLUE, "normal": theme.GREY,
    "volatile": theme.RED, "bear": theme.RED, "bull": theme.BLUE,
}  # fmt: skip
"""The colour of each regime: warm where prices fall or swing, blue where they rise or are calm, grey between."""
_TICKS = [step * 10**power for power in range(7) for step in (1, 2, 5)]
_OTHERS = (theme.BLUE, theme.ORANGE, theme.GREEN, theme.RED, theme.PURPLE, theme.SKY)


def regimes_figure(bars: Bars, regime: "pd.Series[float]", labels: Sequence[str]) -> go.Figure:
    """Draw the close, coloured by the regime known at each bar; dotted where there is none.

    Parameters
    ----------
    bars, regime, labels
        As for `regime_effect`.
    """
    rows = np.unique(np.linspace(0, len(bars) - 1, min(POINTS, len(bars))).astype(np.int64))
    times, close = theme.times(bars.frame.index)[rows], bars.frame["close"].to_numpy()[rows]
    codes = np.nan_to_num(regime.to_numpy(dtype=np.float64)[rows], nan=-1.0)
    figure = go.Figure()
    for code, name in ((-1, "no regime"), *enumerate(labels)):
        mine = codes == code
        if not mine.any():
            continue
        reached = mine | np.concatenate([[False], mine[:-1]])  # up to the next point, so that stretches meet
        figure.add_scatter(
            x=times, y=np.where(reached, close, np.nan), name=name, mode="lines", connectgaps=False,
            line={"color": _colour(labels, code), "width": 2 if code >= 0 else 1, "dash": "solid" if code >= 0 else "dot"},
            hovertemplate=f"%{{y:,.8~g}} {name}<extra></extra>",
        )  # fmt: skip
    step = len(bars) / len(rows)
    drawn = "every bar is drawn" if step <= 1 else f"one bar of {step:.0f} is drawn"
    seen = f"Closes of {counted(len(bars), 'bar')}, {drawn}."
    caption = f"{seen} The colour is the regime known at that close: no later bar has changed it."
    theme.style(figure, "Regimes over the price", label=bars.label, caption=caption, height=440)
    figure.update_yaxes(title_text=f"close ({bars.symbol.quote}, log)", type="log")
    return figure.update_xaxes(theme.time_axis())


def dwell_figure(effect: RegimeEffect) -> go.Figure:
    """Draw how long stretches of each regime last, and how often the regime changes, by calendar year."""
    figure = make_subplots(cols=2, column_widths=[0.6, 0.4], horizontal_spacing=0.12)
    for name, lengths in effect.dwells.items():
        figure.add_box(
            x=lengths, name=name, orientation="h", boxpoints=False, showlegend=False,
            marker={"color": _colour(list(effect.dwells), name)}, row=1, col=1,
        )  # fmt: skip
    switches = effect.switches
    figure.add_bar(
        x=[str(year) for year in switches.index], y=switches.to_numpy(), name="changes", showlegend=False,
        marker={"color": theme.SKY}, hovertemplate="%{x}: %{y:.0f} a year<extra></extra>", row=1, col=2,
    )  # fmt: skip
    undecided = f" {counted(effect.undecided, 'bar has', 'bars have')} no regime." if effect.undecided else ""
    caption = (
        f"Left: length of each stretch in bars; the box is the middle half, with the median. Right: changes per 365 days with a "
        f"regime, {effect.switches_per_year:.0f} over all. Each change that is traded costs fees.{undecided}"
    )
    theme.style(figure, "How long regimes last", label=effect.title, caption=caption, height=400)
    figure.update_xaxes(title_text="length of a stretch (bars, log)", type="log", tickvals=_TICKS, row=1, col=1)
    figure.update_yaxes(autorange="reversed", row=1, col=1)
    figure.update_xaxes(title_text="year", type="category", row=1, col=2)
    figure.update_yaxes(title_text="changes a year", rangemode="tozero", row=1, col=2)
    return theme.stacked_when_narrow(figure, height=680)


def effect_figure(effect: RegimeEffect) -> go.Figure:
    """Draw the mean return and the volatility of the next bar by regime, with 95 % intervals."""
    figure = make_subplots(cols=2, horizontal_spacing=0.14)
    table = effect.table
    colours = [_colour(list(table.index), name) for name in table.index]
    for column, name in ((1, "return_pct"), (2, "volatility_pct")):
        value, low, high = (table[f"{name}{end}"].to_numpy() for end in ("", "_low", "_high"))
        figure.add_scatter(
            x=list(table.index), y=value, mode="markers", showlegend=False, marker={"color": colours, "size": 11},
            error_y={"type": "data", "array": high - value, "arrayminus": value - low, "color": theme.GREY, "thickness": 1.5},
            customdata=np.column_stack([low, high, table["share"] * 100]),
            hovertemplate="%{x}: %{y:.0f} %, 95 % interval %{customdata[0]:.0f} to %{customdata[1]:.0f}<br>"
            "%{customdata[2]:.0f} % of the bars<extra></extra>", row=1, col=column,
        )  # fmt: skip
        figure.update_xaxes(range=[-0.5, len(table) - 0.5], row=1, col=column)
    figure.add_hline(y=0, line={"color": theme.SOFT, "width": 1}, row=1, col=1)
    caption = (
        f"{effect.verdict} p is the share of turns of the labels against the returns that separate them as well; below 0.05 the "
        f"regime matters. Intervals from blocks of bars; none with fewer than {LEAST_STRETCHES} stretches. Before costs."
    )
    theme.style(figure, "What followed each regime", label=effect.title, caption=caption, height=420)
    figure.update_yaxes(title_text="mean return of the next bar (% a year, log)", row=1, col=1)
    figure.update_yaxes(title_text="volatility of the next bar (% a year)", rangemode="tozero", row=1, col=2)
    return theme.stacked_when_narrow(figure, height=720)


def _colour(labels: Sequence[str], which: "int | str") -> str:
    """Return a regime's colour, by its name or else by its place."""
    if which == -1:
        return theme.GREY
    place = which if isinstance(which, int) else list(labels).index(which)
    return COLOURS.get(labels[place], _OTHERS[place % len(_OTHERS)])
