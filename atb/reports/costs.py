"""Figures of what trading cost: from profit before costs to what was left, and how much was traded, month by month."""

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from atb.backtest import Result
from atb.decimals import counted, merit
from atb.reports import theme
from atb.reports.equity import quote_of

if TYPE_CHECKING:
    from numpy.typing import NDArray


def costs(result: Result) -> dict[str, float]:
    """Return profit before costs, fees, slippage, financing (borrow and funding), and profit after them, in quote.

    Slippage is what fills were worse than the price they met, rounding to ticks included; it is in the fill prices, so that
    `before = after + fees + slippage + financing`.
    """
    stats = result.stats
    after = stats["final_equity"] - result.inputs.account.cash
    slippage = float(result.trades["slippage_paid"].sum())
    paid = {"fees": stats["fees_paid"], "slippage": slippage, "financing": stats["financing_paid"]}
    return {"before": after + sum(paid.values()), **paid, "after": after}


def costs_figure(result: Result) -> go.Figure:
    """Draw the way from profit before costs to profit after them."""
    found, quote = costs(result), quote_of(result)
    names = ["before costs", "fees", "slippage", "after costs"]
    values = [found["before"], -found["fees"], -found["slippage"], found["after"]]
    if found["financing"]:
        names.insert(3, "borrow and funding")
        values.insert(3, -found["financing"])
    drawn = go.Figure(
        go.Waterfall(
            x=names, y=values, measure=["absolute", *["relative"] * (len(names) - 2), "total"],
            text=[f"{value + 0.0:+,.0f}" for value in values], textposition="outside", cliponaxis=False, showlegend=False,
            increasing={"marker": {"color": theme.PROFIT}}, decreasing={"marker": {"color": theme.LOSS}},
            totals={"marker": {"color": theme.BLUE}}, connector={"line": {"color": theme.SOFT, "width": 1}},
            hovertemplate="%{x}: %{y:+,.2f} " + quote + "<extra></extra>",
        )
    )  # fmt: skip
    theme.style(drawn, "What trading cost", label=result.label, caption=_costs_text(result, found), height=380)
    drawn.update_yaxes(title_text=f"profit ({quote})", zeroline=True, zerolinewidth=1.5)
    return theme.when_narrow(drawn.update_xaxes(showgrid=False, ticks=""), layout={"xaxis": {"tickangle": -90}})


def _costs_text(result: Result, found: dict[str, float]) -> str:
    paid, cash = found["fees"] + found["slippage"] + found["financing"], result.inputs.account.cash
    value = float(result.orders["value"].sum())
    per_order = f", {10_000 * paid / value:.1f} basis points of all that was traded" if value else ""
    if found["before"] > 0:
        eaten = f"Costs took {100 * paid / found['before']:,.0f} % of the profit before them."
    else:
        eaten = "There was no profit before costs."
    return (
        f"{eaten} In all {paid:,.2f} {quote_of(result)}, {100 * paid / cash:,.1f} % of the starting cash{per_order}. Slippage "
        "is what fills were worse than the price they met."
    )


def turnover(result: Result) -> pd.DataFrame:
    """Return by month (UTC): `traded` and `fees` (quote), `turnover` (times the mean equity of the month), number of `orders`."""
    orders, filled = result.orders, result.outcome.orders
    inside = filled["time"] > result.inputs.market["opened"][filled["row"]]  # stamped with its bar's close
    mean = pd.Series(result.equity.to_numpy()).groupby(_months(result.inputs.closes - 1)).mean()
    by_month = orders.groupby(_months(filled["time"] - inside)).agg(
        traded=("value", "sum"), orders=("value", "size"), fees=("fee", "sum")
    )
    every = pd.date_range(mean.index[0], mean.index[-1], freq="MS")
    table = by_month.reindex(every).fillna(0.0)
    own = mean.reindex(every).ffill()
    table["turnover"] = (table["traded"] / own).where(own > 0, 0.0)
    return table[["traded", "turnover", "orders", "fees"]].rename_axis(index="month")


def _months(times_ms: "NDArray[np.int64]") -> pd.DatetimeIndex:
    """Return the first day of each time's month."""
    return pd.DatetimeIndex(times_ms.astype("datetime64[ms]").astype("datetime64[M]").astype("datetime64[s]"))


def turnover_figure(result: Result) -> go.Figure:
    """Draw how much was traded each month, as a multiple of equity, and the fees that it cost."""
    table, quote = turnover(result), quote_of(result)
    months = [f"{month:%Y-%m}" for month in pd.DatetimeIndex(table.index)]
    drawn = make_subplots(rows=2, shared_xaxes=True, row_heights=[0.6, 0.4], vertical_spacing=0.08)
    drawn.add_bar(x=months, y=table["turnover"].to_numpy(), marker={"color": theme.BLUE}, showlegend=False, name="turnover",
                  customdata=table["orders"].to_numpy(), row=1, col=1,
                  hovertemplate="%{x}: %{y:,.1f} times equity in %{customdata:,.0f} orders<extra></extra>")  # fmt: skip
    drawn.add_bar(x=months, y=table["fees"].to_numpy(), marker={"color": theme.ORANGE}, showlegend=False, name="fees",
                  hovertemplate="%{x}: %{y:,.2f} " + quote + "<extra></extra>", row=2, col=1)  # fmt: skip
    stats = result.stats
    caption = (
        f"{counted(len(result.orders), 'order')}; on average {table['turnover'].mean():,.1f} times the equity of a month, "
        f"{merit('turnover', stats['turnover'])} times the starting cash in all. In the market "
        f"{merit('exposure_time_pct', stats['exposure_time_pct'])} of the time."
    )
    theme.style(drawn, "Turnover by month", label=result.label, caption=caption, height=420)
    drawn.update_yaxes(title_text="traded (times equity)", rangemode="tozero", row=1, col=1)
    drawn.update_yaxes(title_text=f"fees ({quote})", rangemode="tozero", row=2, col=1)
    drawn.update_xaxes(type="category", row=1, col=1)
    many = {"nticks": 12} if np.size(months) > 12 else {}
    drawn.update_xaxes(title_text="month (UTC)", type="category", row=2, col=1, **many)
    return theme.when_narrow(drawn, layout={"xaxis2": {"tickangle": -90}})
