"""One trade beside what led to it: the bars, the strategy's features, the decision, the order and the fill of each of its orders.

Features are computed again for the bars of the trade alone, from the declared warm-up before them, as a runner does. A bar's
decision was made at its close; what it ordered met the next bar.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from html import escape
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from atb.backtest import Result
from atb.backtest.card import framed
from atb.decimals import counted, figure
from atb.domain.bars import BAR_COLUMNS
from atb.engine.prepare import features_of
from atb.errors import InputError
from atb.reports import theme
from atb.reports.trades import price_trace

AROUND = 3  # bars shown before the decision and after the fill
APART = 500  # bars between orders from which features are computed for each alone
MARGIN = 20  # bars drawn before the first and after the last fill
MOST_DRAWN = 400  # bars of the figure
MOST_LINES = 6  # features drawn
MOST_STEPS = 40  # orders of one trade that are shown
_TABLE = "border-collapse:collapse;border:0;font-size:12px;font-variant-numeric:tabular-nums;text-align:right;white-space:nowrap"


@dataclass(frozen=True)
class TradeDetail:
    """One round trip, step by step.

    Parameters
    ----------
    trade_id
        As in `result.trades`.
    headline
        The trade in one sentence.
    steps
        One row per order: when it was decided, the signal then, what was ordered, and how it was filled.
    bars
        The bars around each decision and fill, with the strategy's features; gaps between the rows are left out.
    label
        Of which data.
    """

    trade_id: int
    headline: str
    steps: pd.DataFrame
    bars: pd.DataFrame
    label: str

    def html(self) -> str:
        """Return it as HTML: two tables, every name escaped, in the colours of the page."""
        parts = [("Decision, order and fill", self.steps), ("Bars and features around them", self.bars)]
        tables = "".join(f"<div style='margin-top:8px'><b>{title}</b></div>{_table(table)}" for title, table in parts)
        return framed(f"Trade {self.trade_id}", f"<div>{escape(self.headline)}</div>{tables}")

    def _repr_html_(self) -> str:
        """Return the card that a notebook shows."""
        return self.html()

    def __str__(self) -> str:
        """Return it as text."""
        return f"{self.headline}\n\n{self.steps.to_string()}\n\n{self.bars.to_string()}"


def trade_detail(result: Result, trade_id: int) -> TradeDetail:
    """Return one trade of a result beside what led to it.

    Parameters
    ----------
    result
        The result of a backtest.
    trade_id
        As in `result.trades`.

    Raises
    ------
    InputError
        If there is no such trade.
    """
    orders = _orders_of(result, trade_id)
    number = int(orders["slot"].iloc[0])
    rows = _rows_in_bars(result, orders, number)
    near = sorted({row + shift for row in rows for shift in range(-1 - AROUND, AROUND + 1)})
    table = _features_at(result, number, [row for row in near if 0 <= row < len(result.bars[number])])
    opens = table.droplevel("row")
    places = np.searchsorted(table.index.get_level_values("row"), [row - 1 for row in rows])
    decided = [opens.iloc[place] if row > 0 else None for row, place in zip(rows, places, strict=True)]
    return TradeDetail(
        trade_id,
        _headline(result.trades.iloc[trade_id]),
        _steps(result, orders, decided),
        _bars(table, rows),
        result.label,
    )


def _orders_of(result: Result, trade_id: int) -> pd.DataFrame:
    count = len(result.trades)
    if not 0 <= trade_id < count:
        todo = f"Trades are numbered 0 to {count - 1}" if count else "The backtest made no trade"
        raise InputError("There is no such trade", found=trade_id, todo=todo)
    orders = result.orders
    mine = np.flatnonzero(orders["trade_id"].to_numpy() == trade_id)
    mine = np.concatenate([mine[: MOST_STEPS // 2], mine[MOST_STEPS // 2 :][-MOST_STEPS // 2 :]])
    given = result.outcome.orders
    return orders.iloc[mine].assign(slot=given["slot"][mine], row=given["row"][mine])


def _rows_in_bars(result: Result, orders: pd.DataFrame, number: int) -> list[int]:
    """Return for each order the row, in the slot's own bars, of the bar in which it filled."""
    part, bars = result.inputs.parts[number], result.bars[number]
    before = len(bars) - (part.stop - part.start)  # warm-up bars, which are not traded
    return [int(row) - part.start + before for row in orders["row"]]


def _features_at(result: Result, number: int, rows: Sequence[int]) -> pd.DataFrame:
    """Return bars, features and prediction at these rows (ascending) of a slot's bars, indexed by row and open time."""
    slot, parts = result.slots[number], []
    for few in np.split(np.array(rows), np.flatnonzero(np.diff(rows) > APART) + 1):
        begin, end = max(0, int(few[0]) - slot.warmup), int(few[-1]) + 1
        table, _ = features_of(replace(slot, bars=slot.bars.rows(begin, end)))
        parts.append(table.iloc[few - begin].set_index(pd.Index(few, name="row"), append=True))
    return pd.concat(parts)


def _headline(trade: "pd.Series[Any]") -> str:
    how = f"ended by {str(trade['exit_reason']).replace('_', ' ')}" if trade["status"] == "closed" else "still open"
    return (
        f"{trade['strategy']}: {trade['side']} {trade['symbol']}, {trade['pnl']:+,.2f} ({trade['pnl_pct']:+.2f} %) after costs, "
        f"{how} after {counted(trade['bars_held'], 'bar')}; fees {trade['fees_paid']:,.2f}, "
        f"best {trade['mfe_pct']:.2f} % and worst -{trade['mae_pct']:.2f} % on the way."
    )


def _steps(result: Result, orders: pd.DataFrame, decided: "Sequence[pd.Series[Any] | None]") -> pd.DataFrame:
    """Return one row per order as text, times in UTC."""
    rows = []
    for (_, order), known in zip(orders.iterrows(), decided, strict=True):
        row = int(order["row"])
        signal = result.inputs.signals[row - 1] if row > result.inputs.parts[int(order["slot"])].start else None
        rows.append({**_decision(known, signal), **_order(order), **_fill(order)})
    return pd.DataFrame(rows, index=[f"order {int(number)}" for number in orders["order_id"]])


def _decision(known: "pd.Series[Any] | None", signal: Any) -> dict[str, str]:
    """Return the bar (by its open) at whose close an order was decided, and the signal then."""
    if known is None or signal is None:
        return {"decided by the bar (UTC)": "", "close": "", "signal": ""}
    side = float(signal["side"])
    said = "none" if np.isnan(side) else {1.0: "long", 0.0: "flat", -1.0: "short"}.get(side, f"{side:g}")
    if "prediction" in known and not np.isnan(known["prediction"]):
        said += f", prediction {known['prediction']:.3f}"
    if signal["confidence"] != 1.0:
        said += f", confidence {signal['confidence']:.3f}"
    return {
        "decided by the bar (UTC)": f"{known.name:%Y-%m-%d %H:%M}",
        "close": _price(known["close"]),
        "signal": said,
    }


def _order(order: "pd.Series[Any]") -> dict[str, str]:
    reason = str(order["reason"]).replace("_", " ")
    return {"order": f"{order['side']} {order['quantity']:,.8g}, {order['kind']} ({order['role']}: {reason})"}


def _fill(order: "pd.Series[Any]") -> dict[str, str]:
    worse = (order["price"] - order["reference"]) * (1 if order["side"] == "buy" else -1) * order["quantity"]
    return {
        "filled (UTC)": f"{order['time']:%Y-%m-%d %H:%M}",
        "at": _price(order["price"]),
        "met": _price(order["reference"]),
        "slippage": f"{worse + 0.0:,.2f}",
        "fee": f"{order['fee']:,.2f}",
        "value": f"{order['value']:,.2f}",
    }


def _bars(table: pd.DataFrame, rows: Sequence[int]) -> pd.DataFrame:
    """Return the bars as text; `event` marks those of decisions and fills."""
    events: dict[int, list[str]] = {}
    for row in dict.fromkeys(rows):
        events.setdefault(row, []).append("filled")
        events.setdefault(row - 1, []).append("decided")
    named = [", ".join(events.get(int(row), [])) for row in table.index.get_level_values("row")]
    columns = {str(name): [_price(value) for value in table[name]] for name in table.columns}
    opens = pd.DatetimeIndex(table.index.get_level_values(0))
    index = pd.Index([f"{moment:%Y-%m-%d %H:%M}" for moment in opens], name="open (UTC)")
    return pd.DataFrame({"event": named, **columns}, index=index)


def _price(value: Any) -> str:
    if isinstance(value, bool | np.bool_):
        return "yes" if value else "no"
    return figure(float(value), ",.8g") if isinstance(value, int | float | np.number) else str(value)


def _table(table: pd.DataFrame) -> str:
    """Return a table as HTML; looks are set once for all cells, since a report holds dozens of these."""
    head = "".join(f"<th>{escape(str(name))}</th>" for name in ("", *table.columns))
    body = "".join(
        f"<tr><th scope='row'>{escape(str(name))}</th>{''.join(f'<td>{escape(str(cell))}</td>' for cell in cells)}</tr>"
        for name, cells in zip(table.index, table.to_numpy(), strict=True)
    )
    return f"<table style='{_TABLE}'><tr>{head}</tr>{body}</table>"


def trade_detail_figure(result: Result, trade_id: int) -> go.Figure:
    """Draw one trade on its bars, with those features that are in the range of the price as lines.

    Raises
    ------
    InputError
        If there is no such trade.
    """
    orders = _orders_of(result, trade_id)
    number = int(orders["slot"].iloc[0])
    rows, last = _rows_in_bars(result, orders, number), len(result.bars[number]) - 1
    drawn = range(max(0, min(rows) - MARGIN), min(last, max(rows) + MARGIN) + 1)[-MOST_DRAWN:]
    table = _features_at(result, number, drawn).droplevel("row")
    figure = go.Figure(price_trace(table))
    _add_features(figure, table)
    _add_fills(figure, orders[orders["time"] >= table.index[0]])
    caption = (
        f"{_headline(result.trades.iloc[trade_id])} Features outside the range of the price are in the table only."
    )
    theme.style(figure, f"Trade {trade_id}", label=result.label, caption=caption, height=420)
    figure.update_yaxes(title_text=f"price ({result.bars[number].symbol.quote})")
    return figure.update_xaxes(theme.time_axis(rangeslider={"visible": False}))


def _add_features(figure: go.Figure, table: pd.DataFrame) -> None:
    low, high = float(table["low"].min()), float(table["high"].max())
    own = [name for name in table.columns if name not in BAR_COLUMNS]
    inside = [
        name
        for name in own
        if pd.api.types.is_numeric_dtype(table[name]) and table[name].between(0.5 * low, 2 * high).any()
    ]
    for name in inside[:MOST_LINES]:
        figure.add_scatter(
            x=theme.times(table.index), y=table[name].to_numpy(dtype=float), name=str(name), mode="lines", line={"width": 1.3},
            hovertemplate="%{y:,.8~g}",
        )  # fmt: skip


def _add_fills(figure: go.Figure, orders: pd.DataFrame) -> None:
    for side, symbol, colour in (("buy", "triangle-up", theme.BLUE), ("sell", "triangle-down", theme.RED)):
        part = orders[orders["side"] == side]
        figure.add_scatter(
            x=theme.times(pd.Index(part["time"])), y=part["price"].to_numpy(), mode="markers", name=side,
            marker={"symbol": symbol, "size": 12, "color": colour, "line": {"color": theme.PAPER, "width": 1}},
            text=part["reason"].to_numpy(), hovertemplate="%{text} at %{y:,.8~g}<extra></extra>",
        )  # fmt: skip
