"""Reports: a result or bars in, a plotly figure or a table out; nothing is read, printed or displayed."""

from collections.abc import Callable

import plotly.graph_objects as go

from atb.backtest import Result
from atb.backtest.sweeping import Sweep
from atb.domain import Bars
from atb.reports.contributions import regime_returns_figure, symbols_figure
from atb.reports.costs import costs_figure, turnover_figure
from atb.reports.drawdowns import worst_drawdowns_figure, worst_drawdowns_table
from atb.reports.equity import equity_figure, exposure_figure, monthly_returns_figure
from atb.reports.market import bars_figure, returns_figure, volatility_figure
from atb.reports.returns import distribution_figure, rolling_sharpe_figure, yearly_returns_figure
from atb.reports.session import (
    SessionRecord,
    session_equity_figure,
    session_fills_figure,
    session_orders_figure,
)
from atb.reports.summary import bars_html, result_html, summary_table, trades_table
from atb.reports.sweep import sweep_figure
from atb.reports.trade_detail import TradeDetail, trade_detail, trade_detail_figure
from atb.reports.trade_list import TradeList
from atb.reports.trades import excursion_figure, trades_figure

REPORTS: dict[str, Callable[[Result], go.Figure]] = {
    "equity": equity_figure,
    "monthly_returns": monthly_returns_figure,
    "yearly_returns": yearly_returns_figure,
    "drawdowns": worst_drawdowns_figure,
    "rolling_sharpe": rolling_sharpe_figure,
    "distribution": distribution_figure,
    "costs": costs_figure,
    "exposure": exposure_figure,
    "turnover": turnover_figure,
    "regime_returns": regime_returns_figure,
    "symbols": symbols_figure,
    "trades": trades_figure,
    "excursions": excursion_figure,
}
"""Figures of a backtest's result; each is contract-tested."""

BAR_REPORTS: dict[str, Callable[[Bars], go.Figure]] = {
    "bars": bars_figure,
    "returns": returns_figure,
    "volatility": volatility_figure,
}
"""Figures of a series of bars; each is contract-tested."""

SESSION_REPORTS: dict[str, Callable[[SessionRecord], go.Figure]] = {
    "session_equity": session_equity_figure,
    "session_fills": session_fills_figure,
    "session_orders": session_orders_figure,
}
"""Figures of a session beside its backtest; each is contract-tested."""

SWEEP_REPORTS: dict[str, Callable[[Sweep], go.Figure]] = {"parameters": sweep_figure}
"""Figures of a sweep; each is contract-tested."""

__all__ = [
    "BAR_REPORTS",
    "REPORTS",
    "SESSION_REPORTS",
    "SWEEP_REPORTS",
    "SessionRecord",
    "TradeDetail",
    "TradeList",
    "bars_figure",
    "bars_html",
    "costs_figure",
    "distribution_figure",
    "equity_figure",
    "excursion_figure",
    "exposure_figure",
    "monthly_returns_figure",
    "regime_returns_figure",
    "result_html",
    "returns_figure",
    "rolling_sharpe_figure",
    "session_equity_figure",
    "session_fills_figure",
    "session_orders_figure",
    "summary_table",
    "sweep_figure",
    "symbols_figure",
    "trade_detail",
    "trade_detail_figure",
    "trades_figure",
    "trades_table",
    "turnover_figure",
    "volatility_figure",
    "worst_drawdowns_figure",
    "worst_drawdowns_table",
    "yearly_returns_figure",
]


def __dir__() -> list[str]:
    """Return the public names, imported or not, for completion in a notebook."""
    return sorted(__all__)
