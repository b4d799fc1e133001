"""Why a trade was made: from the round trip back to fills, orders, decisions, bars, predictions, manifest, run and notebook."""

from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from atb.db import Database
from atb.db.tables import (
    DecisionRow,
    FillRow,
    HandoverRow,
    IntentRow,
    PromotionRow,
    RunRow,
    SessionRow,
    SlotRow,
    TradeRow,
)
from atb.errors import InputError
from atb.live.journal.overview import exact_text, intent_json, moment_text, trade_json

Json = dict[str, Any]
_DIGITS = 10  # of a number that a database takes


def explain_trade(database: Database, trade_id: str) -> Json:
    """Return everything in the database about a round trip, as plain JSON values.

    Parameters
    ----------
    trade_id
        `SESSION/NUMBER`, as `trades` gives it.

    Returns
    -------
    dict
        `trade`, `fills`, `orders` and `decisions` (with their bars and predictions) oldest first, `session`, `slot`,
        `manifest_sha256` (of the manifest that traded then), `promotion`, `run` and `notebook`; None for what is missing: a
        run may have been recorded in another database.

    Raises
    ------
    InputError
        If there is no such trade.
    """
    session_id, _, number = trade_id.rpartition("/")
    with database.session(read_only=True) as session:
        known = number.isascii() and number.isdecimal() and len(number) < _DIGITS
        trade = session.get(TradeRow, (session_id, int(number))) if known else None
        if trade is None:
            raise InputError("No such trade", found=trade_id, todo="`atb trades` lists them: SESSION/NUMBER")
        return _explained(session, trade)


def _explained(session: Session, trade: TradeRow) -> Json:
    of_trade = FillRow.session_id == trade.session_id, FillRow.trade_no == trade.trade_no
    fills = session.scalars(select(FillRow).where(*of_trade).order_by(FillRow.fill_no)).all()
    names = list(dict.fromkeys(fill.client_id for fill in fills))
    orders = session.scalars(select(IntentRow).where(IntentRow.client_id.in_(names)).order_by(IntentRow.bar_ms)).all()
    bars = {order.bar_ms for order in orders}
    of_slot = DecisionRow.session_id == trade.session_id, DecisionRow.slot == trade.slot
    query = select(DecisionRow).where(*of_slot, DecisionRow.bar_ms.in_(bars)).order_by(DecisionRow.bar_ms)
    first_bar_ms = min(bars, default=trade.entry_ms)
    return {
        "trade": trade_json(trade),
        "fills": [_fill(fill) for fill in fills],
        "orders": [intent_json(order) for order in orders],
        "decisions": [_decision(row) for row in session.scalars(query)],
        **_origin(session, trade, first_bar_ms),
    }


def _fill(row: FillRow) -> Json:
    money = ("price", "quantity", "fee", "fee_value")
    names = ("trade_id", "fill_no", "client_id", "side", "role", "reason", "fee_asset")
    return {
        **{name: getattr(row, name) for name in names},
        **{name: exact_text(getattr(row, name)) for name in money},
        "time": moment_text(row.time_ms),
    }


def _decision(row: DecisionRow) -> Json:
    names = ("side", "prediction", "confidence", "bar", "intents", "refusal")
    return {"time": moment_text(row.bar_ms), **{name: getattr(row, name) for name in names}}


def _origin(session: Session, trade: TradeRow, bar_ms: int) -> Json:
    """Return session and slot, and the manifest, promotion, run and notebook behind a bar's decision."""
    home = session.get_one(SessionRow, trade.session_id)
    slot = session.get(SlotRow, (trade.session_id, trade.slot))
    manifest = _manifest(session, trade, bar_ms) or (slot.manifest_sha256 if slot else None)
    promotion = session.get(PromotionRow, manifest) if manifest else None
    run = session.get(RunRow, promotion.run_id) if promotion and promotion.run_id else None
    return {
        "session": {"session": home.session_id, "account": home.account, "mode": home.mode, "versions": home.versions},
        "slot": slot and {"slot": slot.slot, "strategy": trade.strategy, "symbol": slot.symbol, "timeframe": slot.timeframe},
        "manifest_sha256": manifest,
        "promotion": promotion and {name: getattr(promotion, name) for name in ("name", "mode", "path", "run_id", "verdict")},
        "run": run and {name: getattr(run, name) for name in ("run_id", "status", "path", "commit", "dirty", "kernel_hash")},
        "notebook": run.notebook if run else None,
    }  # fmt: skip


def _manifest(session: Session, trade: TradeRow, bar_ms: int) -> str | None:
    """Return the manifest that the first hand-over after a bar replaced, None if there was none since."""
    query = (
        select(HandoverRow.from_manifest_sha256)
        .where(
            HandoverRow.session_id == trade.session_id,
            HandoverRow.slot == trade.slot,
            HandoverRow.kind != "shadowed",
            HandoverRow.from_bar_ms > bar_ms,
        )
        .order_by(HandoverRow.from_bar_ms, HandoverRow.id)
        .limit(1)
    )
    return session.scalars(query).one_or_none()
