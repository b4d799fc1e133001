"""A session's journal as data frames for figures: equity, executions, and orders with the time that each was open."""

from typing import Any

import pandas as pd
from sqlalchemy import select

from atb.db import Database
from atb.db.tables import OPEN_STATES, EquityRow, FillRow, IntentRow


def equity_table(database: Database, session_id: str) -> "pd.Series[float]":
    """Return equity (quote) at each bar's close, indexed by the bar's open."""
    query = select(EquityRow.bar_ms, EquityRow.equity).where(EquityRow.session_id == session_id)
    with database.session(read_only=True) as session:
        rows = session.execute(query.order_by(EquityRow.bar_ms)).all()
    index = pd.to_datetime([row.bar_ms for row in rows], unit="ms", utc=True).rename("timestamp")
    return pd.Series([float(row.equity) for row in rows], index=index, name="equity", dtype=float)


def fills_table(database: Database, session_id: str) -> pd.DataFrame:
    """Return executions, oldest first: `time`, `client_id`, `slot`, `side`, `role`, `reason`, `price`, `quantity`."""
    query = select(FillRow).where(FillRow.session_id == session_id).order_by(FillRow.fill_no)
    with database.session(read_only=True) as session:
        rows = session.scalars(query).all()
        values = {
            name: [getattr(row, name) for row in rows] for name in ("client_id", "slot", "side", "role", "reason")
        }
        amounts = {name: [float(getattr(row, name)) for row in rows] for name in ("price", "quantity")}
        return pd.DataFrame({"time": _times([row.time_ms for row in rows]), **values, **amounts})


def orders_table(database: Database, session_id: str, fills: pd.DataFrame) -> pd.DataFrame:
    """Return orders, oldest first: `placed` and `ended` (exchange time), `client_id`, `slot`, `role`, `state`, `price`, `why`.

    Parameters
    ----------
    fills
        Of the same session, as `fills_table` gives them.
    """
    query = select(IntentRow).where(IntentRow.session_id == session_id).order_by(IntentRow.placed_ms, IntentRow.bar_ms)
    with database.session(read_only=True) as session:
        rows = session.scalars(query).all()
        values = {name: [getattr(row, name) for row in rows] for name in ("client_id", "slot", "role", "state")}
        price = [float(row.stop_price or row.price or "nan") for row in rows]
        why = [" ".join(filter(None, (row.reason or row.role, row.refusal))) for row in rows]
        placed = _times([row.placed_ms if row.placed_ms is not None else row.bar_ms for row in rows])
    orders = pd.DataFrame({"placed": placed, **values, "price": price, "why": why})
    return orders.assign(ended=_ends(orders, fills))


def slot_tables(history: dict[str, Any]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the fills and orders of `watch.slot_history` as `fills_table` and `orders_table` give them, of slot 0."""
    fills = pd.DataFrame(
        history["fills"], columns=["time_ms", "client_id", "slot", "side", "role", "reason", "price", "quantity"]
    )
    fills = fills.assign(time=_times(list(fills.pop("time_ms"))), slot=0)
    rows = history["orders"]
    orders = pd.DataFrame({
        "placed": pd.DatetimeIndex(pd.to_datetime([row["placed"] or row["bar"] for row in rows], utc=True)),
        **{name: [row[name] for row in rows] for name in ("client_id", "role", "state")},
        "slot": 0,
        "price": [float(row["stop_price"] or row["price"] or "nan") for row in rows],
        "why": [" ".join(filter(None, (row["reason"] or row["role"], row["refusal"]))) for row in rows],
    })  # fmt: skip
    return fills, orders.assign(ended=_ends(orders, fills))


def _ends(orders: pd.DataFrame, fills: pd.DataFrame) -> pd.DatetimeIndex:
    """Return when each order ended: at its last fill, else at its slot's next closing fill or next order of the same role.

    The journal has only the machine's time of a change of state, not the exchange's. NaT for an open order.
    """
    last = fills.groupby("client_id")["time"].max().to_dict()
    found = [_end(orders.loc[row], orders, fills, last=last) for row in orders.index]
    return pd.DatetimeIndex(pd.to_datetime(pd.Series(found, dtype=object), utc=True))


def _end(order: Any, orders: pd.DataFrame, fills: pd.DataFrame, *, last: dict[Any, Any]) -> Any:
    if order["state"] in OPEN_STATES:
        return None
    if order["client_id"] in last:
        return last[order["client_id"]]
    of_slot, same_slot = fills["slot"] == order["slot"], orders["slot"] == order["slot"]
    closing = fills["time"][of_slot & (fills["role"] != "entry") & (fills["time"] >= order["placed"])]
    after = orders["placed"][same_slot & (orders["role"] == order["role"]) & (orders["placed"] > order["placed"])]
    return min([*closing.head(1), *after.head(1)], default=order["placed"])


def _times(epoch_ms: list[int]) -> pd.DatetimeIndex:
    return pd.DatetimeIndex(pd.to_datetime(epoch_ms, unit="ms", utc=True))
