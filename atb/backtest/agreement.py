"""Where a screen and the kernel agree trade by trade, and what sets them apart elsewhere."""

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from atb.backtest.signal_frame import same_times
from atb.errors import InputError

if TYPE_CHECKING:
    import vectorbt as vbt

    from atb.backtest.result import Result

TOLERANCE = 1e-9  # of prices, relative
TICKS = 3  # that roundings to ticks may take from an exit: at the entry, of the stop that is measured from it, and at the fill


def side_by_side(portfolio: "vbt.Portfolio", column: int, result: "Result") -> pd.DataFrame:
    """Return round trips of the kernel and of one column of a portfolio, matched by the bar they were entered in.

    Columns: `entry_bar`, `side`, then `entry_price`, `quantity`, `exit_bar`, `exit_price` of the kernel and, with `_screen`
    behind, of the screen; `exit_reason` (the kernel's) and `difference`, empty where bars and prices are the same but for the
    kernel's rounding to ticks. Sizes follow from the trades before: they are shown, not judged. Bars are named by their opens.

    Raises
    ------
    InputError
        If the result has several slots or other bars.
    """
    index = portfolio.wrapper.index
    if len(result.slots) != 1 or not same_times(result.index, index):
        raise InputError("A screen is compared with a result of one slot on the same bars", found=result.label)
    keys = ["entry_bar", "side"]
    table = _kernel(result).merge(_screen(portfolio, column), on=keys, how="outer", suffixes=("", "_screen"))
    table["exit_reason"] = table["exit_reason"].astype(object).where(table["entry_price"].notna(), "")
    rounding = TICKS * float(result.slots[0].rules.tick)
    return table.drop(columns="passed").assign(
        difference=[_difference(row, rounding) for row in table.to_dict("records")]
    )


def _kernel(result: "Result") -> pd.DataFrame:
    orders, trades = result.orders, result.trades
    entered = orders["role"] == "entry"
    if entered.sum() != len(trades) or (~entered).sum() > len(trades):
        raise InputError(
            "The kernel's trades have several entries or exits each; a screen's have one", found=result.label
        )
    exits = np.full(len(trades), np.datetime64("NaT", "us"))
    left = orders[~entered]
    exits[: len(left)] = left["bar"].dt.tz_localize(None).to_numpy("datetime64[us]")
    passed = np.zeros(len(trades), dtype=bool)  # whether a bar opened beyond the target that closed the trade
    passed[: len(left)] = (left["role"] == "target") & (left["time"] == left["bar"])
    closed = trades["status"] == "closed"
    return pd.DataFrame(
        {
            "entry_bar": orders.loc[entered, "bar"].to_numpy(),
            "side": trades["side"].to_numpy(),
            "entry_price": trades["entry_price"].to_numpy(),
            "quantity": trades["quantity"].to_numpy(),
            "exit_bar": exits,
            "exit_price": trades["exit_price"].where(closed).to_numpy(),
            "exit_reason": trades["exit_reason"].to_numpy(),
            "passed": passed,
        }
    ).pipe(_in_utc)


def _screen(portfolio: "vbt.Portfolio", column: int) -> pd.DataFrame:
    records = portfolio.positions.values
    own = records[records["col"] == column]
    index, closed = portfolio.wrapper.index.tz_convert("UTC").tz_localize(None), own["status"] == 1
    return pd.DataFrame(
        {
            "entry_bar": index[own["entry_idx"]],
            "side": np.where(own["direction"] == 0, "long", "short"),
            "entry_price": own["entry_price"],
            "quantity": own["size"],
            "exit_bar": index[own["exit_idx"]].where(closed),
            "exit_price": np.where(closed, own["exit_price"], np.nan),
        }
    ).pipe(_in_utc)


def _in_utc(table: pd.DataFrame) -> pd.DataFrame:
    for name in ("entry_bar", "exit_bar"):
        table[name] = pd.to_datetime(table[name], utc=True).dt.as_unit("ms")
    return table


def _difference(row: dict[Any, Any], rounding: float) -> str:
    """Return how a round trip of one side differs from the other's, as far as a single trade shows it."""
    if np.isnan(row["entry_price"]) or np.isnan(row["entry_price_screen"]):
        return f"only the {'screen' if np.isnan(row['entry_price']) else 'kernel'} entered"
    both_open = pd.isna(row["exit_bar"]) and pd.isna(row["exit_bar_screen"])
    same_bar = both_open or row["exit_bar"] == row["exit_bar_screen"]
    protected = row["exit_reason"] in {"stop_loss", "take_profit"}
    causes = {
        "": same_bar and all(_close(row, name, rounding) for name in ("entry_price", "exit_price")),
        f"the kernel's {row['exit_reason']} was touched in the entry bar": protected
        and row["exit_bar"] == row["entry_bar"],
        "the open passed the target: the screen got it, the kernel the target's price": same_bar and row["passed"],
        "the screen's target paid slippage": same_bar and row["exit_reason"] == "take_profit",
        "the kernel left at the open, the screen at a stop or target in that bar": same_bar and not protected,
    }
    return next((text for text, true in causes.items() if true), "other bars or prices")


def _close(row: dict[Any, Any], name: str, rounding: float) -> bool:
    ours, theirs = row[name], row[f"{name}_screen"]
    return bool(np.isclose(ours, theirs, rtol=TOLERANCE, atol=rounding, equal_nan=True))
