"""What the runners hold, decided and filled, read from the journal alone."""

from collections.abc import Callable
from dataclasses import dataclass
from time import time_ns
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from atb.data.moments import at_ms
from atb.db import Database
from atb.db.tables import AccountLease, EquityRow, KernelState, LiveSession, Promotion, TradeRow
from atb.monitoring.processes import Holder


def sessions(
    database: Database, *, now_ms: int | None = None, is_dead: Callable[[str], bool] | None = None
) -> list[dict[str, Any]]:
    """Return one row per session, the latest first, as plain JSON values.

    `state` is the session's own word, or `stale` where it says that it runs and nobody holds its account: its runner died.

    Parameters
    ----------
    now_ms
        The present in epoch milliseconds; the machine's clock when None.
    is_dead
        Whether a lease's holder is surely gone; asks this machine when None.
    """
    present = _Present(time_ns() // 1_000_000 if now_ms is None else now_ms, is_dead or _is_dead)
    with database.session(read_only=True) as session:
        rows = session.scalars(select(LiveSession).order_by(LiveSession.updated_at.desc(), LiveSession.session_id))
        return [_described(session, row, present) for row in rows]


@dataclass(frozen=True, slots=True)
class _Present:
    now_ms: int
    is_dead: Callable[[str], bool]

    def holds(self, lease: AccountLease | None) -> bool:
        return lease is not None and lease.until_ms > self.now_ms and not self.is_dead(lease.holder)


def _is_dead(holder: str) -> bool:
    return Holder.parse(holder).is_dead()


def _described(session: Session, row: LiveSession, present: _Present) -> dict[str, Any]:
    alive = present.holds(session.get(AccountLease, row.account))
    promotion = session.get(Promotion, row.manifest_sha256)
    return {
        "session": row.session_id,
        "account": row.account,
        "mode": row.mode,
        "strategy": row.strategy,
        "symbol": row.symbol,
        "timeframe": row.timeframe,
        "state": "stale" if row.status == "running" and not alive else row.status,
        "last_bar": None if row.last_bar_ms is None else at_ms(row.last_bar_ms).isoformat(),
        **_money(session, row),
        **_position(session, row),
        "manifest": promotion.name if promotion else None,
        "manifest_sha256": row.manifest_sha256,
        "verdict": promotion.verdict if promotion else None,
    }


def _money(session: Session, row: LiveSession) -> dict[str, Any]:
    """Return cash at the start, equity, profit and the number of closed trades; amounts as exact text in quote currency."""
    last = select(EquityRow.equity).where(EquityRow.session_id == row.session_id).order_by(EquityRow.bar_ms.desc())
    equity = session.scalars(last.limit(1)).one_or_none()
    worth = row.cash if equity is None else equity
    closed = select(func.count()).select_from(TradeRow).where(TradeRow.session_id == row.session_id)
    trades = session.scalars(closed).one()
    return {"cash": str(row.cash), "equity": str(worth), "pnl": str(worth - row.cash), "trades": trades}


def _position(session: Session, row: LiveSession) -> dict[str, Any]:
    """Return the signed quantity held, its average price and the prices that rest; None where there is none."""
    saved = session.get(KernelState, row.session_id)
    slot = saved.payload["slots"][0] if saved else {}
    held = slot.get("quantity") or 0.0
    prices = {name: slot.get(name) if held else None for name in ("entry_price", "stop", "target")}
    return {"position": held, **prices}


def journalled_trades(database: Database, account: str) -> list[tuple[float, ...]]:
    """Return an account's closed round trips, oldest first, for comparison with a backtest's.

    Each is (entry time, entry price, exit time, exit price, quantity, profit), times in epoch milliseconds, the rest as the floats
    that the exact amounts came from.
    """
    query = (
        select(TradeRow)
        .join(LiveSession, LiveSession.session_id == TradeRow.session_id)
        .where(LiveSession.account == account)
        .order_by(TradeRow.session_id, TradeRow.trade_no)
    )
    with database.session(read_only=True) as session:
        return [
            (t.entry_ms, float(t.entry_price), t.exit_ms, float(t.exit_price), float(t.quantity), float(t.pnl))
            for t in session.scalars(query)
        ]
