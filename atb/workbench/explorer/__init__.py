"""The explorer: data, strategy, parameters and rules as widgets; figure and key figures follow every move.

    from atb.workbench import explore

    explore("sma_cross", symbol="BTC/USDT", timeframe="1h", days=365, params={"fast": 10})

Every move is a backtest of its own, the one that `03_backtest` would make of the same values, and a trial in the ledger. What is
kept is that notebook executed with these values, so it equals a batch run, and nothing of the notebook at hand goes into it.
"""

from typing import Any

from atb.workbench.explorer.exploring import Explorer

__all__ = ["Explorer", "explore"]


def explore(
    strategy: str = "sma_cross",
    *,
    symbol: str | None = None,
    timeframe: str | None = None,
    days: int = 365,
    params: dict[str, Any] | None = None,
    **rules: Any,
) -> Explorer:
    """Return the explorer of a strategy; the last line of a cell shows it.

    Parameters
    ----------
    strategy
        A registered one, by name.
    symbol, timeframe
        What to trade; by default the first stored series. An empty catalogue gets the synthetic market.
    days
        Days to trade, back from the last stored bar.
    params
        Parameters of the strategy to begin with; the rest have their defaults.
    rules
        Rules to begin with, by name, such as `stop_loss=0.02` or `trailing_stop=0.03`.

    Raises
    ------
    InputError
        If there is no such strategy, series, parameter or rule, or one of them refuses its value.
    """
    return Explorer(strategy, symbol=symbol, timeframe=timeframe, days=days, params=params or {}, rules=rules)
