"""Begins a session in the journal: a free id, its first rows, and the values that the journal keeps from then on."""

from itertools import count
from typing import Any

from sqlalchemy import Connection, insert

from atb.db.tables import KernelStateRow, SessionRow
from atb.decimals import exact
from atb.live.journal import sql
from atb.live.journal.recovery import TradedPortfolio, Written
from atb.promotion.provenance import installed_versions


def free_id(connection: Connection, stem: str) -> str:
    """Return an unused session id: a session handed over to another portfolio keeps the id it began with."""
    taken = set(connection.scalars(sql.SESSION_IDS, {"like": stem}))
    return next(name for number in count(1) if (name := stem if number == 1 else f"{stem}-{number}") not in taken)


def insert_session(
    connection: Connection, session_id: str, portfolio: TradedPortfolio, *, account: str, trade_from_ms: int, config: dict[str, Any]
) -> None:  # fmt: skip
    """Insert a session and the kernel's fresh state; `trade_from_ms` is the open of the first bar to trade."""
    state = portfolio.fresh_state().to_json()
    row = {
        "session_id": session_id,
        "account": account,
        **portfolio.identity(),
        "cash": exact(portfolio.account.cash),
        "trade_from_ms": trade_from_ms,
        "status": "running",
        "versions": installed_versions(),
        "config": config,
    }
    connection.execute(insert(SessionRow), [row])
    saved = {"session_id": session_id, "bar_ms": 0, "schema": state["schema"], "payload": state}
    connection.execute(insert(KernelStateRow), [saved])


def read_written(connection: Connection, session_id: str, portfolio: TradedPortfolio) -> Written:
    """Read once, from a session's rows, what the journal keeps track of itself from then on."""
    session = {"of": session_id}
    equity = connection.scalar(sql.LAST_EQUITY, session)
    bars = {slot: connection.scalar(sql.LAST_BAR, {**session, "in_slot": slot}) for slot in range(len(portfolio.plans))}
    return Written(
        step_no=connection.scalar(sql.STEP_NO, session) or 0,
        event_no=connection.scalar(sql.LAST_EVENT, session) or 0,
        equity=exact(portfolio.account.cash) if equity is None else equity,
        closes={slot: bar["close"] for slot, bar in bars.items() if bar and "close" in bar},
    )
