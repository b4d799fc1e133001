"""Figures of a session beside the backtest of the same bars: equity, executions on the price, the life of every order."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from atb.backtest import Result
from atb.decimals import counted
from atb.errors import InputError
from atb.reports import theme
from atb.reports.downsampling import candles, extreme_rows, span_text
from atb.reports.trades import price_trace

POINTS = 2_000  # per line
CANDLES = 1_200
MOST_FILLS = 600  # drawn on the price, the newest ones
MOST_ORDERS = 1_000
MARGIN = 10  # bars drawn before the first fill
ROLES = ("entry", "exit", "stop", "target")
STATES = {
    "planned": theme.SKY, "sent": theme.RED, "live": theme.BLUE, "partially_filled": theme.PURPLE, "filled": theme.GREEN,
    "cancelled": theme.SOFT, "expired": theme.SOFT, "absent": theme.ORANGE, "withheld": theme.ORANGE, "rejected": theme.RED,
}  # fmt: skip
"""Colours of order states; the outcome of a `sent` order is unknown."""


@dataclass(frozen=True)
class SessionRecord:
    """A session's journal as tables, and the backtest of the same bars by the same manifests.

    Parameters
    ----------
    name
        The session's id.
    result
        The backtest from the session's first bar to its last; None if the promoted strategy is no longer available.
    equity
        Equity in quote at each bar's close, indexed by the bar's open.
    fills
        Oldest first: `time`, `slot`, `side`, `role`, `price`, `quantity`, `reason`.
    orders
        Oldest first: `placed` and `ended` (exchange time; NaT while the order is open), `slot`, `role`, `state`, `price` (its stop
        or limit price, NaN without one), `why`.
    closes
        Closes of the slot that is drawn, indexed by the bar's open, for a price without a backtest; None without them.
    uncompared
        Why there is no backtest, as a sentence for captions.
    """

    name: str
    result: Result | None
    equity: "pd.Series[float]"
    fills: pd.DataFrame
    orders: pd.DataFrame
    closes: "pd.Series[float] | None" = None
    uncompared: str = "There is no backtest to compare with: the promoted strategy is no longer available."

    @property
    def label(self) -> str:
        """Label of figures: the session and its data."""
        return self.name if self.result is None else f"{self.name} · {self.result.label}"

    @property
    def quote(self) -> str:
        """The currency of the account."""
        if self.result is None:
            return "quote"
        symbol = self.result.bars[0].symbol
        return symbol.settle or symbol.quote

    @property
    def slots(self) -> int:
        """Number of slots, as far as known."""
        if self.result is not None:
            return len(self.result.slots)
        return 1 + int(max((*self.fills["slot"], *self.orders["slot"]), default=0))

    @property
    def first(self) -> pd.Timestamp:
        """Open of the first journalled bar, or of the backtest's first."""
        return self.index[0]

    @property
    def until(self) -> pd.Timestamp:
        """Close of the last bar."""
        index = self.index
        if self.result is not None:
            return index[-1] + pd.Timedelta(seconds=self.result.bars[0].timeframe.seconds)
        return index[-1] + (index[-1] - index[-2] if len(index) > 1 else pd.Timedelta(0))

    @property
    def index(self) -> pd.DatetimeIndex:
        """Opens of the journalled bars, or else of the backtest's."""
        index = self.equity.index if len(self.equity) or self.result is None else self.result.index
        return pd.DatetimeIndex(index)

    @property
    def difference(self) -> "pd.Series[float]":
        """Equity of the runner minus that of the backtest at each common close."""
        if self.result is None:
            return self.equity.iloc[:0]
        both = self.equity.index.intersection(self.result.equity.index)
        return self.equity[both] - self.result.equity[both]


def session_equity_figure(record: SessionRecord) -> go.Figure:
    """Draw the journalled equity over the backtest's, and their difference below."""
    tested, apart = None if record.result is None else record.result.equity, record.difference
    rows = {"rows": 1} if tested is None else {"rows": 2, "row_heights": [0.7, 0.3], "vertical_spacing": 0.06}
    figure = make_subplots(shared_xaxes=True, **rows)
    lines = (
        (1, tested, "backtest", {"color": theme.ORANGE, "width": 5}),
        (1, record.equity, "runner", {"color": theme.BLUE, "width": 1.6}),
        (2, apart, "runner less backtest", {"color": theme.BLUE, "width": 1}),
    )
    for row, curve, name, line in lines:
        if curve is None or (tested is None and row == 2):
            continue
        values = curve.to_numpy()
        kept = extreme_rows(values, POINTS)
        figure.add_scatter(
            x=theme.times(curve.index[kept]),
            y=values[kept],
            name=name,
            line=line,
            opacity=0.55 if name == "backtest" else 1.0,
            showlegend=row == 1,
            hovertemplate="%{y:,.2f}",
            row=row,
            col=1,
        )
    theme.style(
        figure,
        "Equity of the runner" if tested is None else "The runner and its backtest",
        label=record.label,
        caption=record.uncompared if tested is None else _apart_text(apart),
        height=320 if tested is None else 500,
    )
    figure.update_yaxes(title_text=f"equity ({record.quote})", row=1, col=1)
    if tested is None:
        return figure.update_xaxes(theme.time_axis()).update_layout(hovermode="x")
    figure.update_yaxes(title_text=f"difference ({record.quote})", row=2, col=1)
    figure.update_xaxes(theme.time_axis(title=None), row=1, col=1)
    return figure.update_xaxes(theme.time_axis(), row=2, col=1).update_layout(hovermode="x")


def _apart_text(apart: "pd.Series[float]") -> str:
    if apart.empty:
        return "Runner and backtest have no bar in common."
    largest = float(apart.abs().max())
    if largest == 0:
        return f"Equal to the last digit at each of {len(apart):,} closes: the two lines coincide."
    return (
        f"The largest difference over {len(apart):,} closes is {largest:,.8g}. A real account differs by its fill prices; "
        "a difference that starts with a missing trade has another cause."
    )


def session_fills_figure(record: SessionRecord, *, slot: int = 0) -> go.Figure:
    """Draw one slot's executions on its price, with the backtest's as rings, and its resting stops as lines.

    Raises
    ------
    InputError
        If there is no such slot.
    """
    if not 0 <= slot < record.slots:
        raise InputError(f"slot must be 0 to {record.slots - 1}", found=slot)
    every = record.fills[record.fills["slot"] == slot]
    fills = every.tail(MOST_FILLS)
    figure, first = go.Figure(), record.first
    drawn = "no backtest of the same bars, and no price, could be laid under it"
    if record.result is not None:
        bars = record.result.bars[slot].slice(record.result.index[0])
        if len(every) > len(fills):
            bars = bars.slice(fills["time"].min() - pd.Timedelta(seconds=MARGIN * bars.timeframe.seconds))
        frame, span = candles(bars, CANDLES)
        figure, first = go.Figure(price_trace(frame)), frame.index[0]
        drawn = f"rings are executions of the backtest of the same bars. The price is drawn as {span_text(bars, span)}"
    elif record.closes is not None and len(record.closes):
        first, fills = record.closes.index[0], fills[fills["time"] >= record.closes.index[0]]
        drawn = f"the line is the close of each of the last {counted(len(record.closes), 'bar')}"
        _add_closes(figure, record.closes)
    _add_stops(figure, record, slot=slot, first=first)
    if record.result is not None:
        _add_tested(figure, record.result, slot=slot, first=first)
    _add_fills(figure, fills)
    shown = (
        f"The newest {len(fills):,} of {counted(len(every), 'execution')}"
        if len(every) > len(fills)
        else "Every execution"
    )
    rested = "A line is a stop, from its placement until it filled, was replaced, or its position was closed."
    caption = f"{shown}; {drawn}. {rested}"
    theme.style(figure, "Executions", label=record.label, caption=caption, height=520)
    figure.update_yaxes(title_text=f"price ({record.quote})")
    return figure.update_xaxes(theme.time_axis(rangeslider={"visible": False}))


def _add_closes(figure: go.Figure, closes: "pd.Series[float]") -> None:
    figure.add_scatter(
        x=theme.times(closes.index),
        y=closes.to_numpy(),
        mode="lines",
        name="close",
        line={"color": theme.GREY, "width": 1.4},
        hovertemplate="close %{y:,.8~g}<extra></extra>",
    )


def _add_stops(figure: go.Figure, record: SessionRecord, *, slot: int, first: pd.Timestamp) -> None:
    """Add the stops that rested after `first` as one trace: a line at each stop's price, then a break."""
    orders = _lasting(record)
    at_venue = ~orders["state"].isin(("absent", "withheld", "rejected"))
    stops = orders[(orders["slot"] == slot) & (orders["role"] == "stop") & at_venue & (orders["ended"] >= first)]
    begins, ends = theme.times(pd.Index(stops["placed"])), theme.times(pd.Index(stops["ended"]))
    prices = stops["price"].to_numpy(dtype=float)
    figure.add_scatter(
        x=np.column_stack([begins, ends, ends]).ravel(),
        y=np.column_stack([prices, prices, np.full(len(stops), np.nan)]).ravel(),
        mode="lines",
        name=f"stop ({len(stops):,})",
        line={"color": theme.RED, "width": 1.5},
        hovertemplate="stop at %{y:,.8~g}<extra></extra>",
    )


def _add_tested(figure: go.Figure, result: Result, *, slot: int, first: pd.Timestamp) -> None:
    of_slot = result.outcome.orders["slot"] == slot
    orders = result.orders[of_slot]
    orders = orders[orders["time"] >= first]
    figure.add_scatter(
        x=theme.times(pd.Index(orders["time"])),
        y=orders["price"].to_numpy(),
        mode="markers",
        name=f"backtest ({len(orders):,})",
        marker={"symbol": "circle-open", "size": 15, "color": theme.ORANGE, "line": {"width": 2}},
        hovertemplate="backtest at %{y:,.8~g}<extra></extra>",
    )


def _add_fills(figure: go.Figure, fills: pd.DataFrame) -> None:
    for side, symbol, colour in (("buy", "triangle-up", theme.BLUE), ("sell", "triangle-down", theme.INK)):
        part = fills[fills["side"] == side]
        figure.add_scatter(
            x=theme.times(pd.Index(part["time"])),
            y=part["price"].to_numpy(dtype=float),
            mode="markers",
            name=f"{side} ({len(part):,})",
            marker={"symbol": symbol, "size": 9, "color": colour, "line": {"color": "white", "width": 1}},
            customdata=part["quantity"].to_numpy(dtype=float),
            text=part["reason"].to_numpy(),
            hovertemplate="%{text} %{x|%Y-%m-%d %H:%M}<br>%{customdata:.6g} at %{y:,.8~g}<extra></extra>",
        )


def session_orders_figure(record: SessionRecord) -> go.Figure:
    """Draw the life of every order from its commit to the journal, one lane per role, coloured by its current state."""
    every = _lasting(record)
    orders = every.tail(MOST_ORDERS)
    lanes = [role for role in ROLES if role in set(orders["role"])] or ["entry"]
    figure = go.Figure()
    for state, colour in STATES.items():
        part = orders[orders["state"] == state]
        if len(part):
            _add_lives(figure, part, lanes, name=f"{state} ({len(part):,})", colour=colour)
    theme.style(figure, "Orders and their states", label=record.label, caption=_orders_text(every, orders),
                height=170 + 60 * len(lanes))  # fmt: skip
    if every.empty:  # plotly would draw the year 2000
        figure.update_xaxes(range=theme.times(record.index[[0, -1]]))
    height = {"tickvals": list(range(len(lanes))), "ticktext": lanes, "range": [len(lanes) - 0.5, -0.5]}
    return figure.update_yaxes(**height, showgrid=False).update_xaxes(theme.time_axis())


def _add_lives(figure: go.Figure, part: pd.DataFrame, lanes: list[str], *, name: str, colour: str) -> None:
    """Add orders of one state as one trace of three points each: placed, ended, break."""
    begins, ends = theme.times(pd.Index(part["placed"])), theme.times(pd.Index(part["ended"]))
    lane = part["role"].map(lanes.index).to_numpy(dtype=float)
    figure.add_scatter(
        x=np.column_stack([begins, ends, ends]).ravel(),
        y=np.column_stack([lane, lane, np.full(len(part), np.nan)]).ravel(),
        text=np.repeat(part["why"].to_numpy(dtype=object), 3),
        mode="lines+markers",
        name=name,
        line={"color": colour, "width": 5},
        marker={"symbol": "line-ns", "size": 14, "line": {"color": colour, "width": 2}},
        hovertemplate="%{text} %{x|%Y-%m-%d %H:%M}<extra></extra>",
    )


def _lasting(record: SessionRecord) -> pd.DataFrame:
    """Return the orders; those still open end at the session's last close."""
    return record.orders.assign(ended=record.orders["ended"].fillna(record.until))


def _orders_text(every: pd.DataFrame, shown: pd.DataFrame) -> str:
    counts = every["state"].value_counts()
    states = ", ".join(f"{counts[state]:,} {state}" for state in STATES if state in counts.index) or "none"
    newest = f" The newest {len(shown):,} are drawn." if len(shown) < len(every) else ""
    unknown = int(counts.get("sent", 0))
    outcome = f" The outcome of {unknown:,} is unknown." if unknown else " Every outcome is known."
    count = counted(len(every), "order")
    return f"{count}: {states}.{newest}{outcome} Each was committed before it was sent; times are the exchange's."
