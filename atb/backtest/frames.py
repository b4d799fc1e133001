"""The kernel's records as tables that people read, and their files: CSV, which every spreadsheet opens, Parquet for long tables."""

import io
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from atb.engine import codes, records
from atb.engine.kernel_input import KernelInput
from atb.engine.records import Records
from atb.files import make_public_folder, write_public

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pandas as pd

_MOST_REASONS = 1_000
MOST_CELLS = 200_000  # of a table that is written as CSV: a million closes are 45 MB of text, and 6 MB of Parquet
EPSILON = 1e-9  # a quantity this far below one lot is rounding, not a holding


def _time(milliseconds: Any) -> "pd.DatetimeIndex":
    import pandas as pd

    return pd.DatetimeIndex(pd.to_datetime(np.asarray(milliseconds, dtype=np.int64), unit="ms", utc=True))


def _names(values: NDArray[np.int64], table: dict[int, str]) -> list[str]:
    return [table[int(value)] for value in values]


def _slot_columns(slots: NDArray[np.int64], inputs: KernelInput) -> dict[str, list[str]]:
    return {
        "symbol": [str(inputs.slots[s].bars.symbol) for s in slots],
        "strategy": [inputs.slots[s].strategy.name for s in slots],
    }


def orders_frame(orders: Records, inputs: KernelInput) -> "pd.DataFrame":
    """Return one row per filled order, oldest first.

    `time` is the fill's (the bar's open for what fills at the open, its close for what fills inside the bar); `bar` is the open of
    the bar it filled in; `trade_id` the row of `trades_frame` it belongs to. `quantity` in base, `price` in quote; `value` and
    `fee` in quote, `fee_base` in base where the fee was paid in it. `kind` is how it met the market: a limit entry that took the
    open is `market`. `other` is where an ambiguous fill could have been instead.
    """
    import pandas as pd

    columns: dict[str, Any] = {
        "order_id": orders["id"],
        "trade_id": trade_rows(orders, inputs),
        "time": _time(orders["time"]),
        "bar": _time(inputs.market["opened"][orders["row"]]),
        **_slot_columns(orders["slot"], inputs),
        "side": _names(orders["side"], codes.SIDES),
        "kind": _names(orders["kind"], codes.KINDS),
        "role": _names(orders["role"], codes.ROLES),
        "reason": _names(orders["reason"], codes.REASONS),
        "quantity": orders["quantity"],
        "price": orders["price"],
        "reference": orders["reference"],
        "value": orders["quantity"] * orders["price"],
        "fee": orders["fee"],
        "fee_base": orders["fee_base"],
        "ambiguous": orders["ambiguous"].astype(bool),
        "other": orders["other"],
    }
    return pd.DataFrame(columns)


def trade_rows(orders: Records, inputs: KernelInput) -> NDArray[np.int64]:
    """Return for each order the row of its round trip in `trades_frame`.

    A round trip ends with the fill that leaves nothing of the position; every order since the one before belongs to it. The
    closed ones are numbered as they ended, over all slots; the open ones follow in slot order.
    """
    found = np.zeros(len(orders), dtype=np.int64)
    ends = np.zeros(len(orders), dtype=bool)
    for s in range(len(inputs.slots)):
        own = np.flatnonzero(orders["slot"] == s)
        ends[own] = _flat_after(orders[own], inputs.parameters[s])
    number = np.cumsum(ends) - 1
    following = int(ends.sum())
    for s in range(len(inputs.slots)):
        own = np.flatnonzero(orders["slot"] == s)
        last = own[ends[own]]
        closed = np.searchsorted(last, own) < len(last)
        found[own[closed]] = number[last[np.searchsorted(last, own[closed])]]
        found[own[~closed]] = following
        following += int(not closed.all())
    return found


def _flat_after(orders: Records, parameter: Any) -> NDArray[np.bool_]:
    """Return True for each order after which the slot holds less than a lot: fees in base leave dust."""
    return np.asarray(np.abs(np.cumsum(_moved(orders))) < parameter["lot"] * (1 - EPSILON), dtype=bool)


def _moved(orders: Records) -> NDArray[np.float64]:
    """Return each order's change of the base held, fees in base deducted."""
    return np.asarray(orders["side"] * orders["quantity"] - orders["fee_base"], dtype=np.float64)


def _slippage(orders: Records) -> NDArray[np.float64]:
    """Return each order's slippage in quote: its price against the reference, times quantity."""
    worse: NDArray[np.float64] = orders["price"] - orders["reference"]
    return np.asarray(orders["side"] * worse * orders["quantity"], dtype=np.float64)


def trades_frame(trades: Records, orders: Records, inputs: KernelInput, *, slots: Records) -> "pd.DataFrame":
    """Return one row per round trip in the order they closed, then the open ones of `slots`, marked at their last close.

    `pnl`, `fees_paid`, `financing_paid` and `slippage_paid` in quote; `pnl` is net of all three, slippage (rounding to ticks
    included) being in the prices. `pnl_pct`, `mfe_pct` and `mae_pct` in percent of the entry value. `entries` and `exits` count
    fills; `additions` are the entries that added to a winner.
    """
    import pandas as pd

    rows = np.concatenate([trades, _open_trades(slots, inputs, trades.dtype)])
    entry_value: NDArray[np.float64] = rows["quantity"] * rows["entry_price"]
    closed = np.arange(len(rows)) < len(trades)
    entered = orders["role"] == records.ENTRY
    belongs = trade_rows(orders, inputs)
    columns: dict[str, Any] = {
        "trade_id": np.arange(len(rows)),
        **_slot_columns(rows["slot"], inputs),
        "side": _names(rows["side"], codes.DIRECTIONS),
        "entry_time": _time(rows["entry_time"]),
        "entry_price": rows["entry_price"],
        "exit_time": _time(rows["exit_time"]),
        "exit_price": rows["exit_price"],
        "quantity": rows["quantity"],
        "stake_amount": entry_value,
        "fees_paid": rows["fees"],
        "financing_paid": rows["financing"],
        "slippage_paid": np.bincount(belongs, _slippage(orders), minlength=len(rows)),
        "pnl": rows["pnl"],
        "pnl_pct": 100 * rows["pnl"] / entry_value,
        "mfe_pct": 100 * rows["mfe"],
        "mae_pct": 100 * rows["mae"],
        "bars_held": rows["bars_held"],
        "entries": np.bincount(belongs[entered], minlength=len(rows)),
        "exits": np.bincount(belongs[~entered], minlength=len(rows)),
        "additions": rows["additions"],
        "exit_reason": [codes.REASONS[int(code)] if code else "" for code in rows["reason"]],
        "status": np.where(closed, "closed", "open"),
    }
    frame = pd.DataFrame(columns)
    frame["duration"] = frame["exit_time"] - frame["entry_time"]
    return frame


def _open_trades(slots: Records, inputs: KernelInput, dtype: "np.dtype[np.void]") -> Records:
    held = [s for s in range(len(slots)) if slots[s]["quantity"] != 0]
    rows = np.zeros(len(held), dtype)
    for row, s in zip(rows, held, strict=True):
        slot, side = slots[s], int(np.sign(slots[s]["quantity"]))
        best, worst = (slot["highest"], slot["lowest"])[::side]
        values = {
            "slot": s,
            "side": side,
            "quantity": slot["opened_quantity"],
            "entry_time": slot["entry_time"],
            "entry_price": slot["entry_price"],
            "exit_time": inputs.market["closed"][inputs.parts[s].stop - 1],
            "exit_price": slot["mark"],
            "fees": slot["fees"],
            "financing": slot["financing"],
            "pnl": slot["realised"]
            + (slot["mark"] - slot["entry_price"]) * slot["quantity"]
            - slot["fees"]
            - slot["financing"],
            "mfe": max(0.0, side * (best / slot["entry_price"] - 1)),
            "mae": max(0.0, side * (1 - worst / slot["entry_price"])),
            "bars_held": slot["bars_held"],
            "additions": slot["additions"],
        }
        for name, value in values.items():
            row[name] = value
    return rows


def refusals_frame(refusals: Records, inputs: KernelInput, ruined_ms: int | None = None) -> "pd.DataFrame":
    """Return one row per refused or shrunk intent: when, which slot, and why; `count` intents from `time` to `until`.

    An account that is halted for good or liquidated refuses at every bar until the end: that is one row per slot and reason, and
    after its ruin (at `ruined_ms`, epoch milliseconds) one row in all.
    """
    import pandas as pd

    order: NDArray[np.int64] = np.arange(len(refusals))
    own: NDArray[np.int64] = len(order) + refusals["slot"] * _MOST_REASONS + refusals["reason"]
    final = np.isin(refusals["reason"], (records.DRAWDOWN, records.LIQUIDATED))
    group = np.where(final, own, order)
    ruined = refusals["time"] >= (np.iinfo(np.int64).max if ruined_ms is None else ruined_ms)
    group = np.where(ruined, -1, group)
    _, first, number = np.unique(group, return_index=True, return_inverse=True)
    until = np.zeros(len(first), np.int64)
    np.maximum.at(until, number, refusals["time"])
    kept = np.argsort(first, kind="stable")
    rows = refusals[first[kept]]
    reasons = _names(rows["reason"], codes.REFUSALS)
    return pd.DataFrame(
        {
            "time": _time(rows["time"]),
            **_slot_columns(rows["slot"], inputs),
            "reason": np.where(ruined[first[kept]], "ruined", reasons) if len(rows) else reasons,
            "count": np.bincount(number, minlength=len(first))[kept],
            "until": _time(until[kept]),
        }
    )


def folded_ms(orders: Records, inputs: KernelInput) -> NDArray[np.int64]:
    """Return when each order changed equity: those met at an open just after it, all others at their bar's close.

    At the open there are market orders, and targets that it passed.
    """
    market = inputs.market[orders["row"]]
    passed = (orders["role"] == records.TARGET) & (orders["time"] == market["opened"])
    at_open = (orders["kind"] == records.AT_MARKET) | passed
    return np.asarray(np.where(at_open, market["opened"] + 1, market["closed"]), dtype=np.int64)


def held_at_closes(orders: Records, inputs: KernelInput) -> NDArray[np.bool_]:
    """Return True for each close (C,) at which any slot holds a lot or more."""
    when, held = folded_ms(orders, inputs), np.zeros(len(inputs.closes), dtype=bool)
    for s in range(len(inputs.slots)):
        own = orders["slot"] == s
        after = np.concatenate([[False], ~_flat_after(orders[own], inputs.parameters[s])])
        held |= after[np.searchsorted(when[own], inputs.closes, side="right")]
    return held


def positions_frame(orders: Records, inputs: KernelInput, index: "pd.DatetimeIndex") -> "pd.DataFrame":
    """Return the signed quantity held by each slot after each bar's close, dust of fees in base included."""
    import pandas as pd

    when = folded_ms(orders, inputs)
    columns = {}
    for s in range(len(inputs.slots)):
        own = orders["slot"] == s
        held = np.concatenate([[0.0], np.cumsum(_moved(orders[own]))])
        held[np.abs(held) < EPSILON * inputs.parameters[s]["lot"]] = 0.0
        columns[s] = held[np.searchsorted(when[own], inputs.closes, side="right")]
    return pd.DataFrame(columns, index=index)


def export_tables(tables: "Mapping[str, pd.DataFrame]", folder: Path) -> list[Path]:
    """Write tables into `folder`, and return the files: `orders.csv`, or `orders.parquet` of more than `MOST_CELLS` cells."""
    make_public_folder(folder)
    return [_write(folder / name, table) for name, table in tables.items()]


def _write(path: Path, table: "pd.DataFrame") -> Path:
    other = path.with_suffix(".parquet" if table.size <= MOST_CELLS else ".csv")
    other.unlink(missing_ok=True)  # of an earlier export into the same folder
    if table.size <= MOST_CELLS:
        file = path.with_suffix(".csv")
        write_public(file, table.to_csv(index=False, lineterminator="\n").encode())
        return file
    file = path.with_suffix(".parquet")
    write_public(file, _parquet(table))
    return file


def _parquet(table: "pd.DataFrame") -> bytes:
    """Return a table as Parquet; times and numbers that count up as their steps, which take next to nothing."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    stepped = [str(name) for name in table if table[name].dtype.kind in "iM"]
    written = pa.Table.from_pandas(table, preserve_index=False)
    texts = [name for name in written.column_names if pa.types.is_large_string(written.schema.field(name).type)
             or pa.types.is_string(written.schema.field(name).type)]  # fmt: skip
    buffer = io.BytesIO()
    pq.write_table(
        written,
        buffer,
        compression="zstd",
        use_dictionary=texts,
        column_encoding=dict.fromkeys(stepped, "DELTA_BINARY_PACKED"),
    )
    return buffer.getvalue()
