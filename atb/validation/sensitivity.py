"""Sensitivity of a result to its costs and to its start."""

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from atb.backtest import run
from atb.engine.policy import AccountPolicy, ExecutionModel
from atb.engine.slot import Slot

if TYPE_CHECKING:
    import pandas as pd


def cost_table(
    slot: Slot,
    start: "pd.Timestamp",
    *,
    fees: Sequence[float],
    slippages: Sequence[float],
    account: AccountPolicy | None = None,
) -> "pd.DataFrame":
    """Return the total return (%) for each fee (rows) and slippage (columns), both as fractions of value."""
    import pandas as pd

    rows = {
        fee: [_total(replace(slot, execution=_costs(slot, fee, slippage)), start, account) for slippage in slippages]
        for fee in fees
    }
    table = pd.DataFrame.from_dict(rows, orient="index", columns=[f"{slippage:.3%}" for slippage in slippages])
    table.index = pd.Index([f"{fee:.3%}" for fee in fees], name="fee")
    return table.rename_axis(columns="slippage")


def shift_table(
    slot: Slot, start: "pd.Timestamp", *, days: Sequence[int], account: AccountPolicy | None = None
) -> "pd.DataFrame":
    """Return the figures of starts some days later: total return (%), that of holding over the same bars, Sharpe, trades."""
    import pandas as pd

    rows = {}
    for shift in days:
        result = run(slot, account=account, start=start + pd.Timedelta(days=shift))
        rows[shift] = {
            "total return (%)": result.stats["total_return_pct"],
            "holding (%)": result.baselines["hold"]["total_return_pct"],
            "Sharpe": result.stats["sharpe"],
            "trades": int(result.stats["n_trades"]),
        }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis(index="days later")


def _costs(slot: Slot, fee: float, slippage: float) -> ExecutionModel:
    """Return the slot's costs with another taker fee and slippage; a maker fee of its own keeps its ratio to the taker's."""
    was = slot.execution
    maker = was.maker_fee
    if maker is not None and was.fee > 0:
        maker = maker / was.fee * fee
    return replace(was, fee=fee, maker_fee=maker, slippage=slippage)


def _total(slot: Slot, start: "pd.Timestamp", account: AccountPolicy | None) -> float:
    return run(slot, account=account, start=start).stats["total_return_pct"]
