"""What was traded: entries and exits on the price, and how far each trade went for and against before it ended."""

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from atb.backtest import Result
from atb.errors import InputError
from atb.reports import theme
from atb.reports.downsampling import candles, span_text

CANDLES = 1_200
MOST_TRADES = 1_000  # drawn on the price; more are neither legible nor small
MOST_POINTS = 2_500  # of the excursions
MARGIN = 10  # bars drawn before the first and after the last trade


def trades_figure(result: Result, last: int = 200, *, slot: int = 0) -> go.Figure:
    """Draw the last round trips of one slot on its price: entries, exits, and a line from one to the other.

    Parameters
    ----------
    result
        Of a backtest.
    last
        How many trades, 1 to 1000; the picture shows their period.
    slot
        Which of the result's slots.

    Raises
    ------
    InputError
        If `last` is out of range or there is no such slot.
    """
    if not 1 <= last <= MOST_TRADES:
        raise InputError(f"last must be 1 to {MOST_TRADES}", found=last)
    if not 0 <= slot < len(result.slots):
        raise InputError(f"slot must be 0 to {len(result.slots) - 1}", found=slot)
    every = _trades_of(result, slot)
    trades = every.tail(last)
    bars, span = _window(result, slot, trades)
    figure = go.Figure(price_trace(bars))
    _add_markers(figure, trades)
    caption = (
        f"{len(trades)} of {len(every)} trades, {(trades['pnl'] > 0).sum()} with a profit after costs; "
        f"the price is drawn as {span}. Up-triangles open long positions, down-triangles short ones. "
        + result.fill_model
    )
    theme.style(figure, "Trades", label=result.label, caption=caption, height=520)
    figure.update_yaxes(title_text=f"price ({result.bars[slot].symbol.quote})")
    return figure.update_xaxes(theme.time_axis(rangeslider={"visible": False}))


def _trades_of(result: Result, slot: int) -> pd.DataFrame:
    records = np.concatenate([result.outcome.trades["slot"], np.flatnonzero(result.outcome.slots["quantity"] != 0)])
    trades: pd.DataFrame = result.trades[records == slot]
    return trades.sort_values("entry_time", kind="stable")


def _window(result: Result, slot: int, trades: pd.DataFrame) -> tuple[pd.DataFrame, str]:
    """Return the candles around the trades, all of them where there is no trade, and what one candle is."""
    bars = result.bars[slot].slice(result.index[0])
    if len(trades):
        margin = pd.Timedelta(seconds=MARGIN * bars.timeframe.seconds)
        bars = bars.slice(trades["entry_time"].min() - margin, trades["exit_time"].max() + margin)
    frame, span = candles(bars, CANDLES)
    return frame, span_text(bars, span)


def price_trace(frame: pd.DataFrame, *, name: str = "price") -> go.Candlestick:
    """Return candles in greys, hollow when rising: the background on which colour means profit and loss."""
    line = {"color": theme.GREY, "width": 0.8}
    return go.Candlestick(
        x=theme.times(frame.index),
        open=frame["open"].to_numpy(),
        high=frame["high"].to_numpy(),
        low=frame["low"].to_numpy(),
        close=frame["close"].to_numpy(),
        increasing={"line": line, "fillcolor": "white"},
        decreasing={"line": line, "fillcolor": theme.SOFT},
        name=name,
        showlegend=False,
    )


def _add_markers(figure: go.Figure, trades: pd.DataFrame) -> None:
    won = (trades["pnl"] > 0).to_numpy()
    for chosen, colour, name in ((won, theme.PROFIT, "profit"), (~won, theme.LOSS, "loss")):
        _add_lines(figure, trades[chosen], colour=colour, name=name)
    long = (trades["side"] == "long").to_numpy()
    figure.add_scatter(
        x=theme.times(pd.Index(trades["entry_time"])),
        y=trades["entry_price"].to_numpy(),
        mode="markers",
        name="entry",
        marker={"symbol": np.where(long, "triangle-up", "triangle-down"), "size": 9, "color": theme.BLUE,
                "line": {"color": "white", "width": 1}},
        customdata=trades["quantity"].to_numpy(),
        hovertemplate="entry %{x|%Y-%m-%d %H:%M}<br>%{customdata:.6g} at %{y:,.8~g}<extra></extra>",
    )  # fmt: skip
    figure.add_scatter(
        x=theme.times(pd.Index(trades["exit_time"])),
        y=trades["exit_price"].to_numpy(),
        mode="markers",
        name="exit",
        marker={"symbol": np.where(trades["status"] == "open", "circle-open", "circle"), "size": 7,
                "color": np.where(won, theme.PROFIT, theme.LOSS), "line": {"color": "white", "width": 1}},
        text=np.where(trades["status"] == "open", "still open", trades["exit_reason"]),
        customdata=trades[["pnl_pct", "bars_held"]].to_numpy(dtype=np.float64),
        hovertemplate="%{text} %{x|%Y-%m-%d %H:%M} at %{y:,.8~g}<br>%{customdata[0]:+.2f} % in %{customdata[1]:.0f} bars"
        "<extra></extra>",
    )  # fmt: skip


def _add_lines(figure: go.Figure, trades: pd.DataFrame, *, colour: str, name: str) -> None:
    """Add one trace for all trades: entry, exit and a break, three points each. A shape per trade would take minutes."""
    moments = theme.times(pd.Index(trades["entry_time"])), theme.times(pd.Index(trades["exit_time"]))
    prices = trades["entry_price"].to_numpy(), trades["exit_price"].to_numpy(), np.full(len(trades), np.nan)
    figure.add_scatter(
        x=np.column_stack([*moments, moments[1]]).ravel(),
        y=np.column_stack(prices).ravel(),
        mode="lines",
        name=f"{name} ({len(trades)})",
        line={"color": colour, "width": 1.5},
        hoverinfo="skip",
    )


def excursion_figure(result: Result) -> go.Figure:
    """Draw every closed trade's outcome against how far it ran against the position (MAE) and in its favour (MFE)."""
    closed = result.trades[result.trades["status"] == "closed"]
    shown = _spread(closed)
    figure = make_subplots(cols=2, horizontal_spacing=0.09, shared_yaxes=True)
    _add_excursions(figure, shown)
    for level, column, name in _levels(result):
        figure.add_vline(x=level, line={"color": theme.GREY, "width": 1, "dash": "dash"}, row=1, col=column,
                         annotation={"text": f"{name} {level:g} %", "font": {"size": 11, "color": theme.GREY}})  # fmt: skip
    theme.style(
        figure, "How far trades ran before they ended", label=result.label, caption=_excursion_text(closed, shown)
    )
    figure.update_xaxes(title_text="farthest against: MAE (% of entry price)", rangemode="tozero", row=1, col=1)
    figure.update_xaxes(title_text="farthest in favour: MFE (% of entry price)", rangemode="tozero", row=1, col=2)
    figure.update_yaxes(title_text="profit after costs (%)", row=1, col=1)
    return figure.update_yaxes(zeroline=True, zerolinewidth=1.5)


def _add_excursions(figure: go.Figure, shown: pd.DataFrame) -> None:
    won = (shown["pnl"] > 0).to_numpy()
    for chosen, colour, name in ((won, theme.PROFIT, "profit"), (~won, theme.LOSS, "loss")):
        part = shown[chosen]
        for column, measure in ((1, "mae_pct"), (2, "mfe_pct")):
            figure.add_scatter(
                x=part[measure].to_numpy(),
                y=part["pnl_pct"].to_numpy(),
                mode="markers",
                name=name,
                legendgroup=name,
                showlegend=column == 1,
                marker={"color": colour, "size": 6, "opacity": 0.65, "symbol": "circle" if name == "profit" else "x-thin",
                        "line": {"color": colour, "width": 1 if name == "loss" else 0}},
                customdata=part["trade_id"].to_numpy().astype(np.float64),
                hovertemplate="trade %{customdata:.0f}: %{x:.2f} % and %{y:+.2f} %<extra></extra>",
                row=1,
                col=column,
            )  # fmt: skip
    reach = float(shown["mfe_pct"].max()) if len(shown) else 1.0
    figure.add_scatter(x=[0, reach], y=[0, reach], mode="lines", name="nothing given back", hoverinfo="skip",
                       line={"color": theme.SOFT, "width": 1, "dash": "dot"}, row=1, col=2)  # fmt: skip


def _spread(closed: pd.DataFrame) -> pd.DataFrame:
    """Return all trades, or evenly many of each outcome, best and worst included."""
    if len(closed) <= MOST_POINTS:
        return closed
    rows = np.linspace(0, len(closed) - 1, MOST_POINTS).astype(np.int64)
    return closed.iloc[np.argsort(closed["pnl_pct"].to_numpy(), kind="stable")[rows]]


def _levels(result: Result) -> list[tuple[float, int, str]]:
    policies = dict.fromkeys(slot.policy for slot in result.slots)
    stops = [(100 * policy.stop_loss, 1, "stop") for policy in policies if policy.stop_loss is not None]
    return stops + [(100 * policy.take_profit, 2, "target") for policy in policies if policy.take_profit is not None]


def _excursion_text(closed: pd.DataFrame, shown: pd.DataFrame) -> str:
    if not len(closed):
        return "No trade was closed."
    some = "" if len(shown) == len(closed) else f"{len(shown)} of {len(closed)} trades drawn, evenly by outcome. "
    winners, losers = closed[closed["pnl"] > 0], closed[closed["pnl"] <= 0]
    spared = f"{winners['mae_pct'].quantile(0.9):.2f} %" if len(winners) else "nothing to say of"
    missed = f"{losers['mfe_pct'].median():.2f} %" if len(losers) else "nothing to say of"
    return (
        f"{some}Nine of ten winning trades never went more than {spared} against the position; half of the losing ones had been "
        f"at least {missed} in profit first. Measured on highs and lows of the bars held. A level that looks good here was "
        "chosen with hindsight: test it on other data before you use it."
    )
