"""Drawdowns of a result: the worst ones with peak, trough and recovery, as a table and as a figure."""

from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from atb.backtest import Result
from atb.backtest.metrics import drawdowns
from atb.decimals import counted, merit
from atb.reports import theme
from atb.reports.downsampling import extreme_rows

WORST = 5
POINTS = 1_200
NEAR = 0.07  # of the drawn time: numbers nearer to each other are written one below the other
FIRST_LINE, LINE = -10, 18  # pixels
PLOT_HEIGHT = 220  # pixels at least between the axes, on a narrow page too
COLUMNS = ("depth_pct", "peak", "trough", "recovery", "days_down", "days_up", "days")


def worst_drawdowns(result: Result, most: int = WORST) -> pd.DataFrame:
    """Return the deepest drawdowns, the deepest first.

    A drawdown begins at the last close at its peak (the first open, if the account was never above its cash before), and ends at
    the first close at or above that peak; `recovery` is NaT and `days_up` NaN while it lasts. `depth_pct` is positive; `days_down`
    from peak to trough, `days_up` from trough to recovery, `days` from peak to recovery or to the last close; by the clock.
    """
    equity, closes = result.equity.to_numpy(), result.inputs.closes
    depth = drawdowns(equity, result.inputs.account.cash)
    below = depth > 0
    edges = np.flatnonzero(np.diff(below, prepend=False, append=False))
    starts, ends = edges[::2], edges[1::2]
    first = int(result.inputs.bar_columns.opened.min())
    rows = []
    for start, end in zip(starts.tolist(), ends.tolist(), strict=True):
        trough = start + int(depth[start:end].argmax())
        peak = int(closes[start - 1]) if start else first
        rows.append(
            (100 * float(depth[trough]), peak, int(closes[trough]), int(closes[end]) if end < len(closes) else None)
        )
    rows = sorted(rows, key=lambda row: -row[0])[:most]
    table = pd.DataFrame(rows, columns=["depth_pct", "peak", "trough", "recovery"], index=range(1, len(rows) + 1))
    for name in ("peak", "trough", "recovery"):
        table[name] = pd.to_datetime(pd.Series(table[name], dtype="Int64"), unit="ms", utc=True)
    last = pd.Timestamp(int(closes[-1]), unit="ms", tz="UTC")
    table["days_down"] = _days(table["trough"] - table["peak"])
    table["days_up"] = _days(table["recovery"] - table["trough"])
    table["days"] = _days(table["recovery"].fillna(last) - table["peak"])
    return table[list(COLUMNS)]


def _days(durations: "pd.Series[pd.Timedelta]") -> "pd.Series[float]":
    return durations.dt.total_seconds() / 86_400


def worst_drawdowns_table(result: Result, most: int = WORST) -> pd.DataFrame:
    """Return the deepest drawdowns as text, times in UTC; `worst_drawdowns` has the exact values."""
    table = worst_drawdowns(result, most)
    columns = {
        "depth (%)": [f"-{value:.2f}" for value in table["depth_pct"]],
        "peak (UTC)": [_moment(value) for value in table["peak"]],
        "trough (UTC)": [_moment(value) for value in table["trough"]],
        "recovery (UTC)": [_moment(value) for value in table["recovery"]],
        "days down": [f"{value:,.1f}" for value in table["days_down"]],
        "days up": ["–" if np.isnan(value) else f"{value:,.1f}" for value in table["days_up"]],
        "days in all": [f"{value:,.1f}" for value in table["days"]],
    }
    return pd.DataFrame(columns, index=table.index)


def _moment(value: pd.Timestamp) -> str:
    return "not yet" if pd.isna(value) else f"{value:%Y-%m-%d %H:%M}"


def worst_drawdowns_figure(result: Result, most: int = WORST) -> go.Figure:
    """Draw how far equity is below its peak, with the worst drawdowns shaded from peak to recovery and numbered."""
    depth = -100 * drawdowns(result.equity.to_numpy(), result.inputs.account.cash)
    kept = extreme_rows(depth, POINTS)
    closed = pd.DatetimeIndex(pd.to_datetime(result.inputs.closes[kept], unit="ms", utc=True))
    drawn = go.Figure(
        go.Scatter(x=theme.times(closed), y=depth[kept], name="below the peak", showlegend=False, fill="tozeroy",
                   line={"color": theme.BLUE, "width": 1}, fillcolor="rgba(0,114,178,0.15)", hovertemplate="%{y:.2f} %")
    )  # fmt: skip
    table = worst_drawdowns(result, most)
    last = closed[-1]
    places = _places(table, closed)
    for (number, row), (level, shift) in zip(table.iterrows(), places, strict=True):
        begin, end = row["peak"], last if pd.isna(row["recovery"]) else row["recovery"]
        drawn.add_vrect(x0=begin.isoformat()[:19], x1=end.isoformat()[:19], fillcolor=theme.ORANGE, opacity=0.18, line_width=0,
                        layer="below")  # fmt: skip
        drawn.add_annotation(x=row["trough"].isoformat()[:19], y=-level, text=str(number), showarrow=False, yshift=shift,
                             font={"size": 12, "color": theme.GREY})  # fmt: skip
    theme.style(drawn, "The worst drawdowns", label=result.label, caption=_caption(table), height=380)
    lowest = float(table["depth_pct"].max()) if len(table) else 1.0
    room = (
        LINE - min((shift for _, shift in places), default=0)
    ) / PLOT_HEIGHT  # below the lowest trough, for the numbers
    drawn.update_yaxes(title_text="below the peak (%)", range=[-max(1.25, 1 / (1 - room)) * lowest, 0.02 * lowest])
    return drawn.update_xaxes(theme.time_axis())


def _places(table: pd.DataFrame, closed: pd.DatetimeIndex) -> list[tuple[float, int]]:
    """Return for each number the depth (%) at which it is written and its shift from there (pixels, negative is down).

    A number alone is written below its trough. One that is near to others in time is written below all of them: from the deepest of
    their depths, a line below the lowest of their shifts. So none is on another, however high the figure is drawn.
    """
    span = (closed[-1] - closed[0]).total_seconds() or 1.0
    found: list[tuple[float, int]] = []
    times = [moment.timestamp() / span for moment in table["trough"]]
    for time, depth in zip(times, table["depth_pct"], strict=True):
        near = [place for place, other in zip(found, times, strict=False) if abs(other - time) < NEAR]
        level = max((level for level, _ in near), default=float(depth))
        found.append((level, min((shift for _, shift in near), default=FIRST_LINE + LINE) - LINE))
    return found


def _caption(table: pd.DataFrame) -> str:
    if table.empty:
        return "Equity was never below its peak at a close."
    parts = [
        f"{number}: -{merit('max_drawdown_pct', row['depth_pct'])}, {row['peak']:%Y-%m-%d} to {_day(row['trough'])}, "
        f"{_recovered(row)}"
        for number, row in table.iterrows()
    ]
    return f"From peak to trough at closes, by the clock. {'; '.join(parts)}."


def _day(value: pd.Timestamp) -> str:
    return f"{value:%Y-%m-%d}"


def _recovered(row: "pd.Series[Any]") -> str:
    if pd.isna(row["recovery"]):
        return "not recovered"
    days = round(row["days"])
    took = f"after {counted(days, 'day')}" if days else "within half a day"
    return f"recovered {_day(row['recovery'])} {took}"
