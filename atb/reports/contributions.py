"""Where a result's profit came from: symbol by symbol over time, and by the market's regime."""

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from numpy.typing import NDArray
from plotly.subplots import make_subplots

from atb.backtest import Result
from atb.backtest.frames import folded_ms
from atb.backtest.portfolio import closes
from atb.backtest.span import Span
from atb.domain import Timeframe
from atb.engine.kernel_input import finest
from atb.features.regimes import PRESETS, TrendVolatility
from atb.reports import theme
from atb.reports.daily import Floats
from atb.reports.downsampling import candles, extreme_rows
from atb.reports.equity import quote_of

MOST_SYMBOLS = 8  # drawn as lines of their own
POINTS = 1_200  # per line
CANDLES = 20_000  # at most; the regimes of a longer series are computed on aggregated candles


def profits_by_slot(result: Result) -> pd.DataFrame:
    """Return each slot's profit so far (quote) at each close: fees deducted, open positions at the close, no borrow or funding."""
    outcome, orders = result.outcome, result.orders
    value = result.positions.to_numpy() * closes(result.slots, result.inputs.closes, result.index).to_numpy()
    when = folded_ms(outcome.orders, result.inputs)
    signs = np.where(orders["side"] == "buy", -1.0, 1.0)
    in_quote = (outcome.orders["fee_base"] == 0) * orders["fee"].to_numpy()  # a fee in base is in the position already
    cash = signs * orders["value"].to_numpy() - in_quote
    made = np.empty_like(value)
    for s in range(len(result.slots)):
        own = outcome.orders["slot"] == s
        paid = np.concatenate([[0.0], np.cumsum(cash[own])])
        made[:, s] = paid[np.searchsorted(when[own], result.inputs.closes, side="right")] + value[:, s]
    return pd.DataFrame(made, index=result.index, columns=_names(result))


def _names(result: Result) -> list[str]:
    """Return the slots' names: their symbols; with the strategy, and if need be the number, where these do not tell them apart."""
    symbols = [str(slot.bars.symbol) for slot in result.slots]
    both = [f"{slot.strategy.name} {symbol}" for slot, symbol in zip(result.slots, symbols, strict=True)]
    for names in (symbols, both):
        if len(set(names)) == len(names):
            return names
    return [f"{name} ({number})" for number, name in enumerate(both)]


def symbols_figure(result: Result) -> go.Figure:
    """Draw each symbol's profit so far; of many the largest gains and losses, and the others together."""
    table = profits_by_slot(result)
    ends = table.iloc[-1]
    largest = list(ends.abs().sort_values(ascending=False, kind="stable").index[:MOST_SYMBOLS])
    others = [name for name in table.columns if name not in largest]
    drawn = go.Figure()
    colours = [theme.BLUE, theme.ORANGE, theme.GREEN, theme.RED, theme.PURPLE, theme.SKY, theme.GREY]
    lines = [(name, table[name].to_numpy()) for name in sorted(largest, key=lambda name: -ends[name])]
    lines += [(f"{len(others)} others", table[others].sum(axis=1).to_numpy())] if others else []
    for place, (name, values) in enumerate(lines):
        kept = extreme_rows(values, POINTS)
        dash = "solid" if place < len(colours) else "dot"
        line = {"color": colours[place % len(colours)], "width": 1.4, "dash": dash}
        drawn.add_scatter(x=theme.times(table.index[kept]), y=values[kept], name=f"{name} {values[-1]:+,.0f}", line=line,
                          hovertemplate="%{y:+,.2f}")  # fmt: skip
    financing = result.stats["financing_paid"]
    paid = f" Borrow and funding, {financing:,.2f} in all, are not in it." if financing else ""
    gained = int((ends > 0).sum())
    caption = f"After fees and slippage, open positions at the close. {gained} of {len(ends)} gained.{paid}"
    theme.style(drawn, "Profit by symbol", label=result.label, caption=caption, height=400)
    drawn.update_yaxes(title_text=f"profit so far ({quote_of(result)})", zeroline=True, zerolinewidth=1.5)
    return drawn.update_xaxes(theme.time_axis()).update_layout(showlegend=True)


def regime_returns(result: Result) -> pd.DataFrame:
    """Return the returns of strategy and holding in each regime of the first slot's market, trend times volatility.

    The regime is the one known at the close before (`TrendVolatility` with its usual parameters), so nothing of
    the time it is counted for enters it. Regimes of more than 20,000 bars are those of longer candles.

    Returns
    -------
    pd.DataFrame
        By label, those that occurred: `share_pct` of the time, `strategy_pct` and `hold_pct` (mean return, % a year, log), `sharpe`
        (a year), `bars`. Empty where no regime was known.
    """
    bars = result.bars[0]
    frame, span = candles(bars, CANDLES)
    method = _method(bars.timeframe.seconds * span)
    regime = method.compute(frame)["regime"].to_numpy()
    first = np.searchsorted(bars.frame.index, frame.index)
    known_at = bars.closed_ms[np.append(first[1:], len(bars)) - 1]
    since = np.concatenate([[result.inputs.bar_columns.opened.min()], result.inputs.closes[:-1]])
    place = np.searchsorted(known_at, since, side="right") - 1
    codes = np.where(place >= 0, np.nan_to_num(regime[place], nan=-1.0), -1.0)
    periods = np.diff(Span.of(result.inputs).at, prepend=0.0)
    curves = {
        name: curve.to_numpy(dtype=np.float64)
        for name, curve in (("strategy", result.equity), ("hold", result.benchmark_equity))
    }
    returns = {name: _log_returns(curve, result.inputs.account.cash) for name, curve in curves.items()}
    per_year = finest(result.slots).bars_per_year
    rows = {}
    for code, label in enumerate(method.labels):
        mine = codes == code
        if mine.any():
            rows[label] = _row(mine, periods, returns, per_year=per_year)
    return pd.DataFrame.from_dict(
        rows, orient="index", columns=["share_pct", "strategy_pct", "hold_pct", "sharpe", "bars"]
    )


def _method(seconds: int) -> TrendVolatility:
    """Return the method for candles of this duration: the parameters of the nearest timeframe that has some."""
    nearest = min(PRESETS, key=lambda name: abs(np.log(Timeframe.parse(name).seconds / seconds)))
    return PRESETS[nearest]


def _log_returns(equity: Floats, cash: float) -> Floats:
    """Return the log return of each close from the one before, 0 once nothing is left."""
    before = np.concatenate([[cash], equity[:-1]])
    some = (before > 0) & (equity > 0)
    return np.log(np.where(some, equity, 1.0) / np.where(some, before, 1.0))


def _row(mine: NDArray[np.bool_], periods: Floats, returns: dict[str, Floats], *, per_year: float) -> list[float]:
    time = float(periods[mine].sum())
    own, held = returns["strategy"][mine], returns["hold"][mine]
    mean = own.sum() / time
    variance = max(float((own**2).sum()) - time * mean**2, 0.0) / max(time - 1, 1.0)
    sharpe = float(mean / np.sqrt(variance) * np.sqrt(per_year)) if variance > 0 else np.nan
    yearly = 100 * per_year
    return [100 * time / float(periods.sum()), yearly * mean, yearly * held.sum() / time, sharpe, int(mine.sum())]


def regime_returns_figure(result: Result) -> go.Figure:
    """Draw what strategy and holding made a year in each regime, and how much of the time each took."""
    table = regime_returns(result)
    names = [str(name).replace("_", ", ") for name in table.index]
    drawn = make_subplots(rows=2, shared_xaxes=True, row_heights=[0.72, 0.28], vertical_spacing=0.06)
    for name, colour in (("strategy", theme.BLUE), ("hold", theme.ORANGE)):
        drawn.add_bar(
            x=names, y=table[f"{name}_pct"].to_numpy(), name=name, marker={"color": colour},
            customdata=np.column_stack([table["sharpe"], table["bars"]]),
            hovertemplate="%{x}: %{y:+,.1f} % a year" + ("<br>Sharpe %{customdata[0]:.2f} over %{customdata[1]:,.0f} bars" if
                          name == "strategy" else "") + "<extra></extra>", row=1, col=1,
        )  # fmt: skip
    drawn.add_bar(x=names, y=table["share_pct"].to_numpy(), name="share of the time", marker={"color": theme.SOFT},
                  showlegend=False, hovertemplate="%{x}: %{y:.0f} % of the time<extra></extra>", row=2, col=1)  # fmt: skip
    unknown = 100 - table["share_pct"].sum()
    caption = (
        f"Trend (down, range, up) and volatility (low, high) of {result.bars[0].symbol}, as known at the close before; none was "
        f"known on {unknown:.0f} % of the time. What suits it and what paid by chance look the same here: 08_regimes tests that."
    )
    theme.style(drawn, "Return by regime", label=result.label, caption=caption, height=440)
    drawn.update_yaxes(title_text="mean return (% a year, log)", zeroline=True, zerolinewidth=1.5, row=1, col=1)
    drawn.update_yaxes(title_text="time (%)", rangemode="tozero", row=2, col=1)
    return theme.when_narrow(drawn.update_layout(barmode="group", bargap=0.3), layout={"xaxis2": {"tickangle": -90}})
