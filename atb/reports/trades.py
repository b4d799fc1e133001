"""Figures of trades: entries and exits on the price, and the excursions (MAE, MFE) of each trade."""

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from atb.backtest import Result
from atb.engine import codes, records
from atb.errors import InputError
from atb.reports import theme
from atb.reports.downsampling import candles, span_text

CANDLES = 1_200
MOST_TRADES = 1_000  # drawn on the price; more would not be legible
MOST_POINTS = 2_500  # drawn excursions
MARGIN = 10  # bars drawn before the first and after the last trade
LEGEND = "Up-triangles buy into a position, down-triangles sell into one; small ones add to it."
SYMBOLS = {
    codes.REASONS[reason]: symbol
    for reason, symbol in {
        records.STOP_LOSS: "x",
        records.TRAILING_STOP: "cross",
        records.BREAK_EVEN: "diamond-tall",
        records.TAKE_PROFIT: "star",
        records.PARTIAL_EXIT: "circle",
        records.SIGNAL_EXIT: "square",
        records.TIME_LIMIT: "hourglass",
        records.SESSION_END: "bowtie",
        records.EARLY_CUT: "diamond",
        records.RISK_LIMIT: "hexagon",
        records.LIQUIDATION: "star-square",
    }.items()
}
"""Markers of exits by reason; circles for all others."""


def trades_figure(result: Result, last: int = 200, *, slot: int = 0) -> go.Figure:
    """Draw the last round trips of one slot on its price: every fill, exits by reason, and a line from entry to exit.

    Parameters
    ----------
    result
        The result of a backtest.
    last
        Number of trades, 1 to 1000; the caption says how many came before.
    slot
        Number of the slot.

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
    orders = result.orders[(result.outcome.orders["slot"] == slot) & result.orders["trade_id"].isin(trades["trade_id"])]
    bars, span = _window(result, slot, trades)
    figure = go.Figure(price_trace(bars))
    _add_trades(figure, trades)
    _add_entries(figure, orders)
    _add_exits(figure, orders, trades)
    caption = " ".join([_shown_text(every, trades), f"The price is drawn as {span}.", LEGEND, result.fill_model])
    theme.style(figure, "Trades", label=result.label, caption=caption, height=520)
    figure.update_yaxes(title_text=f"price ({result.bars[slot].symbol.quote})")
    figure.update_layout(legend={"orientation": "v", "x": 1.01, "xanchor": "left", "y": 1, "yanchor": "top"})
    return figure.update_xaxes(theme.time_axis(rangeslider={"visible": False}))


def trade_ids(trades: "pd.Series[int]") -> dict[str, list[int]]:
    """Return a trace's `meta` that says which trade each of its points belongs to: a click on a point shows that trade."""
    return {"trade_ids": [int(trade) for trade in trades]}


def _trades_of(result: Result, slot: int) -> pd.DataFrame:
    of_slot = np.concatenate([result.outcome.trades["slot"], np.flatnonzero(result.outcome.slots["quantity"] != 0)])
    trades: pd.DataFrame = result.trades[of_slot == slot]
    return trades.sort_values("entry_time", kind="stable")


def _shown_text(every: pd.DataFrame, shown: pd.DataFrame) -> str:
    """Return the number of drawn trades, and the number and profit of those not drawn."""
    won = f"{(shown['pnl'] > 0).sum():,} with a profit after costs"
    if len(shown) == len(every):
        return f"All {len(every):,} trades, {won}."
    left = every.iloc[: len(every) - len(shown)]
    return (
        f"The last {len(shown):,} of {len(every):,} trades, {won}; the {len(left):,} before them are not drawn: "
        f"{(left['pnl'] > 0).sum():,} with a profit, {left['pnl'].sum():+,.2f} in all."
    )


def _window(result: Result, slot: int, trades: pd.DataFrame) -> tuple[pd.DataFrame, str]:
    """Return the candles around the trades (all if there is none), and the description of one candle."""
    bars = result.bars[slot].slice(result.index[0])
    if len(trades):
        margin = pd.Timedelta(seconds=MARGIN * bars.timeframe.seconds)
        bars = bars.slice(trades["entry_time"].min() - margin, trades["exit_time"].max() + margin)
    frame, span = candles(bars, CANDLES)
    return frame, span_text(bars, span)


def price_trace(frame: pd.DataFrame, *, name: str = "price") -> go.Candlestick:
    """Return candles in grey, hollow when rising; colour is reserved for profit and loss."""
    line = {"color": theme.GREY, "width": 0.8}
    return go.Candlestick(
        x=theme.times(frame.index),
        open=frame["open"].to_numpy(),
        high=frame["high"].to_numpy(),
        low=frame["low"].to_numpy(),
        close=frame["close"].to_numpy(),
        increasing={"line": line, "fillcolor": theme.CLEAR},
        decreasing={"line": line, "fillcolor": theme.SOFT},
        name=name,
        showlegend=False,
    )


def _add_trades(figure: go.Figure, trades: pd.DataFrame) -> None:
    """Add two traces, profits and losses, with three points per trade: entry, exit, break.

    A shape per trade would take minutes.
    """
    won = (trades["pnl"] > 0).to_numpy()
    for chosen, colour, name in ((won, theme.PROFIT, "profit"), (~won, theme.LOSS, "loss")):
        part = trades[chosen]
        begins, ends = (theme.times(pd.Index(part[name])) for name in ("entry_time", "exit_time"))
        prices = part["entry_price"].to_numpy(), part["exit_price"].to_numpy(), np.full(len(part), np.nan)
        figure.add_scatter(
            x=np.column_stack([begins, ends, ends]).ravel(),
            y=np.column_stack(prices).ravel(),
            mode="lines",
            name=f"{name} ({len(part):,})",
            line={"color": colour, "width": 1.5},
            hoverinfo="skip",
        )


def _add_entries(figure: go.Figure, orders: pd.DataFrame) -> None:
    """Add every entry fill; those that add to a position are smaller."""
    part = orders[orders["role"] == "entry"]
    added = part.duplicated("trade_id").to_numpy()
    figure.add_scatter(
        x=theme.times(pd.Index(part["time"])),
        y=part["price"].to_numpy(),
        mode="markers",
        name=f"entry ({len(part):,})",
        marker={"symbol": np.where(part["side"] == "buy", "triangle-up", "triangle-down"), "size": np.where(added, 6, 9),
                "color": theme.BLUE, "line": {"color": "white", "width": 1}},
        meta=trade_ids(part["trade_id"]),
        text=np.where(added, "scale-in", "entry"),
        customdata=part["quantity"].to_numpy(),
        hovertemplate="%{text} %{x|%Y-%m-%d %H:%M}<br>%{customdata:.6g} at %{y:,.8~g}<extra></extra>",
    )  # fmt: skip


def _add_exits(figure: go.Figure, orders: pd.DataFrame, trades: pd.DataFrame) -> None:
    """Add every exit fill, one trace per reason, coloured by its trade's profit or loss; then positions still open."""
    of_trade = trades.set_index("trade_id")
    exits = orders[orders["role"] != "entry"]
    for reason, part in exits.groupby("reason", sort=True):
        owner = of_trade.loc[part["trade_id"]]
        figure.add_scatter(
            x=theme.times(pd.Index(part["time"])),
            y=part["price"].to_numpy(),
            mode="markers",
            name=f"{reason} ({len(part):,})",
            marker={"symbol": SYMBOLS.get(str(reason), "circle"), "size": 7,
                    "color": np.where(owner["pnl"] > 0, theme.PROFIT, theme.LOSS), "line": {"color": "white", "width": 1}},
            meta=trade_ids(part["trade_id"]),
            customdata=np.column_stack([part["quantity"], owner["pnl_pct"], owner["bars_held"]]),
            hovertemplate=f"{reason} %{{x|%Y-%m-%d %H:%M}}<br>%{{customdata[0]:.6g}} at %{{y:,.8~g}}<br>"
            "trade %{customdata[1]:+.2f} % in %{customdata[2]:.0f} bars<extra></extra>",
        )  # fmt: skip
    still = trades[trades["status"] == "open"]
    if len(still):
        figure.add_scatter(
            x=theme.times(pd.Index(still["exit_time"])),
            y=still["exit_price"].to_numpy(),
            mode="markers",
            name="still open",
            marker={"symbol": "circle-open", "size": 8, "color": theme.GREY},
            meta=trade_ids(still["trade_id"]),
            customdata=still["pnl_pct"].to_numpy(),
            hovertemplate="still open at %{y:,.8~g}: %{customdata:+.2f} %<extra></extra>",
        )


def excursion_figure(result: Result) -> go.Figure:
    """Draw the outcome of every closed trade against its maximum adverse (MAE) and favourable (MFE) excursion."""
    closed = result.trades[result.trades["status"] == "closed"]
    shown = _spread(closed)
    figure = make_subplots(cols=2, horizontal_spacing=0.09, shared_yaxes=True)
    _add_excursions(figure, shown)
    for level, column, name in _levels(result):
        figure.add_vline(x=level, line={"color": theme.GREY, "width": 1, "dash": "dash"}, row=1, col=column,
                         annotation={"text": f"{name} {level:g} %", "font": {"size": 12, "color": theme.GREY}})  # fmt: skip
    theme.style(figure, "Excursions of trades", label=result.label, caption=_excursion_text(closed, shown))
    figure.update_xaxes(title_text="adverse excursion, MAE (% of entry price)", rangemode="tozero", row=1, col=1)
    figure.update_xaxes(title_text="favourable excursion, MFE (% of entry price)", rangemode="tozero", row=1, col=2)
    figure.update_yaxes(title_text="profit after costs (%)", row=1, col=1)
    return theme.stacked_when_narrow(figure.update_yaxes(zeroline=True, zerolinewidth=1.5))


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
                meta=trade_ids(part["trade_id"]),
                hovertemplate="trade %{customdata:.0f}: %{x:.2f} % and %{y:+.2f} %<extra></extra>",
                row=1,
                col=column,
            )  # fmt: skip
    reach = float(shown["mfe_pct"].max()) if len(shown) else 1.0
    figure.add_scatter(x=[0, reach], y=[0, reach], mode="lines", name="exit at the best price", hoverinfo="skip",
                       line={"color": theme.SOFT, "width": 1, "dash": "dot"}, row=1, col=2)  # fmt: skip


def _spread(closed: pd.DataFrame) -> pd.DataFrame:
    """Return all trades, or a sample evenly spread over outcomes, best and worst included."""
    if len(closed) <= MOST_POINTS:
        return closed
    rows = np.linspace(0, len(closed) - 1, MOST_POINTS).astype(np.int64)
    return closed.iloc[np.argsort(closed["pnl_pct"].to_numpy(), kind="stable")[rows]]


def _levels(result: Result) -> list[tuple[float, int, str]]:
    policies = dict.fromkeys(slot.policy for slot in result.slots)
    stops = [(policy.stop_loss, 1, "stop") for policy in policies if policy.stop_loss is not None]
    targets = [(policy.take_profit, 2, "target") for policy in policies if policy.take_profit is not None]
    rungs = [(distance, 2, "partial") for policy in policies for distance, _ in policy.ladder]
    return [(100 * level, column, name) for level, column, name in dict.fromkeys(stops + rungs + targets)]


def _excursion_text(closed: pd.DataFrame, shown: pd.DataFrame) -> str:
    if not len(closed):
        return "No trade was closed."
    some = "" if len(shown) == len(closed) else f"{len(shown):,} of {len(closed):,} trades drawn, evenly by outcome. "
    winners, losers = closed[closed["pnl"] > 0], closed[closed["pnl"] <= 0]
    spared = f"{winners['mae_pct'].quantile(0.9):.2f} %" if len(winners) else "(none)"
    missed = f"{losers['mfe_pct'].median():.2f} %" if len(losers) else "(none)"
    return (
        f"{some}Nine of ten winning trades never went more than {spared} against the position; half of the losing ones were "
        f"at least {missed} in profit first. Measured on the highs and lows of the bars held. A level that looks good here is "
        "chosen with hindsight: test it on other data before you use it."
    )
