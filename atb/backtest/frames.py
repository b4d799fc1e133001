"""The kernel's records as tables that people and exports read."""

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from atb.engine import codes, records
from atb.engine.prepare import Problem

if TYPE_CHECKING:
    import pandas as pd

Records = NDArray[np.void]


def _time(milliseconds: Any) -> "pd.DatetimeIndex":
    import pandas as pd

    return pd.DatetimeIndex(pd.to_datetime(np.asarray(milliseconds, dtype=np.int64), unit="ms", utc=True))


def _names(values: NDArray[np.int64], table: dict[int, str]) -> list[str]:
    return [table[int(value)] for value in values]


def _slot_columns(slots: NDArray[np.int64], problem: Problem) -> dict[str, list[str]]:
    return {
        "symbol": [str(problem.slots[s].bars.symbol) for s in slots],
        "strategy": [problem.slots[s].strategy.name for s in slots],
    }


def orders_frame(orders: Records, problem: Problem) -> "pd.DataFrame":
    """Return one row per filled order, oldest first.

    `time` is the fill's (the bar's open for orders at the open, its close for stops and targets inside the bar); `bar` is the
    open of the bar it filled in; `quantity` in base, `price` in quote, `value` and `fee` in quote.
    """
    import pandas as pd

    return pd.DataFrame(
        {
            "order_id": orders["id"],
            "time": _time(orders["time"]),
            "bar": _time(problem.market["opened"][orders["row"]]),
            **_slot_columns(orders["slot"], problem),
            "side": _names(orders["side"], codes.SIDES),
            "role": _names(orders["role"], codes.ROLES),
            "reason": _names(orders["reason"], codes.REASONS),
            "quantity": orders["quantity"],
            "price": orders["price"],
            "value": orders["quantity"] * orders["price"],
            "fee": orders["fee"],
            "ambiguous": orders["ambiguous"].astype(bool),
        }
    )


def trades_frame(trades: Records, slots: Records, problem: Problem) -> "pd.DataFrame":
    """Return one row per round trip in the order they closed, then the open ones, marked at their last close.

    `pnl` and `fees` in quote, `pnl` net of fees; `pnl_pct`, `mfe_pct` and `mae_pct` in percent of the entry value.
    """
    import pandas as pd

    rows = np.concatenate([trades, _open_trades(slots, problem, trades.dtype)])
    entry_value = rows["quantity"] * rows["entry_price"]
    closed = np.arange(len(rows)) < len(trades)
    frame = pd.DataFrame(
        {
            "trade_id": np.arange(len(rows)),
            **_slot_columns(rows["slot"], problem),
            "side": _names(rows["side"], codes.DIRECTIONS),
            "entry_time": _time(rows["entry_time"]),
            "entry_price": rows["entry_price"],
            "exit_time": _time(rows["exit_time"]),
            "exit_price": rows["exit_price"],
            "quantity": rows["quantity"],
            "stake_amount": entry_value,
            "fees_paid": rows["fees"],
            "pnl": rows["pnl"],
            "pnl_pct": 100 * rows["pnl"] / entry_value,
            "mfe_pct": 100 * rows["mfe"],
            "mae_pct": 100 * rows["mae"],
            "bars_held": rows["bars_held"],
            "exit_reason": [codes.REASONS[int(code)] if code else "" for code in rows["reason"]],
            "status": np.where(closed, "closed", "open"),
        }
    )
    frame["duration"] = frame["exit_time"] - frame["entry_time"]
    return frame


def _open_trades(slots: Records, problem: Problem, dtype: "np.dtype[np.void]") -> Records:
    held = [s for s in range(len(slots)) if slots[s]["quantity"] != 0]
    rows = np.zeros(len(held), dtype)
    for row, s in zip(rows, held, strict=True):
        slot, side = slots[s], int(np.sign(slots[s]["quantity"]))
        last = problem.offsets[s + 1] if s + 1 < len(slots) else len(problem.market)
        best, worst = (slot["highest"], slot["lowest"])[::side]
        values = {
            "slot": s,
            "side": side,
            "quantity": slot["opened_quantity"],
            "entry_time": slot["entry_time"],
            "entry_price": slot["entry_price"],
            "exit_time": problem.market["closed"][last - 1],
            "exit_price": slot["mark"],
            "fees": slot["fees"],
            "pnl": slot["realised"] + (slot["mark"] - slot["entry_price"]) * slot["quantity"] - slot["fees"],
            "mfe": max(0.0, side * (best / slot["entry_price"] - 1)),
            "mae": max(0.0, side * (1 - worst / slot["entry_price"])),
            "bars_held": slot["bars_held"],
        }
        for name, value in values.items():
            row[name] = value
    return rows


def refusals_frame(refusals: Records, problem: Problem) -> "pd.DataFrame":
    """Return one row per refused or shrunk intent: when, which slot, and why."""
    import pandas as pd

    return pd.DataFrame(
        {
            "time": _time(refusals["time"]),
            **_slot_columns(refusals["slot"], problem),
            "reason": _names(refusals["reason"], codes.REFUSALS),
        }
    )


def folded_ms(orders: Records, problem: Problem) -> NDArray[np.int64]:
    """Return when the account felt each order: just after its bar's open, or at its bar's close for stops and targets."""
    at_open = np.isin(orders["role"], (records.ENTRY, records.EXIT))
    market = problem.market[orders["row"]]
    return np.asarray(np.where(at_open, market["opened"] + 1, market["closed"]), dtype=np.int64)


def positions_frame(orders: Records, problem: Problem, index: "pd.DatetimeIndex") -> "pd.DataFrame":
    """Return the signed quantity held by each slot after each bar's close; columns are slot numbers."""
    import pandas as pd

    closes = problem.events[(problem.closing >= 0).any(axis=1)]
    when = folded_ms(orders, problem)
    columns = {}
    for s in range(len(problem.slots)):
        own = orders["slot"] == s
        held = np.concatenate([[0.0], np.cumsum((orders["side"] * orders["quantity"])[own])])
        columns[s] = held[np.searchsorted(when[own], closes, side="right")]
    return pd.DataFrame(columns, index=index)
