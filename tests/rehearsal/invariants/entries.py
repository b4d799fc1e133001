"""Entries of the exchange's ledger and rows of the journal, made by hand: one slot that trades BTC/USDT by hourly bars."""

from decimal import Decimal
from typing import Any

from atb.live.journal.session_rows import SessionRows
from atb.rehearsal.context import JudgeContext, SlotContext
from atb.rehearsal.ledger import LedgerReading

HOUR = 3_600_000
SLOT = SlotContext("atb-main", "BTC/USDT", HOUR, Decimal("0.001"), Decimal(10), needs_stop=True)
ENTRY, STOP, EXIT = "atb-main-100-e0", "atb-main-100-s0", "atb-main-101-x0"


def context(**changes: Any) -> JudgeContext:
    return JudgeContext((SLOT,), {"USDT": Decimal(1_000), "BTC": Decimal(0)}, **changes)


def ledger(*entries: dict[str, Any]) -> LedgerReading:
    return LedgerReading(entries)


def placed(ms: int, order_id: int, client_id: str, *, quantity: str = "1", **changes: Any) -> dict[str, Any]:
    """Return the entry of an order's change; by default it is a market order to buy that is new."""
    values = {"side": "BUY", "type": "MARKET", "list_id": -1, "status": "NEW", "filled": "0", "symbol": "BTCUSDT"}
    return (
        {"kind": "order", "ms": ms, "order_id": order_id, "client_id": client_id, "quantity": quantity}
        | values
        | changes
    )


def stop(ms: int, order_id: int = 2, client_id: str = STOP, **changes: Any) -> dict[str, Any]:
    """Return the entry of a stop that rests."""
    return placed(ms, order_id, client_id, **{"side": "SELL", "type": "STOP_LOSS", "stop_price": "95"} | changes)


def trade(
    ms: int, order_id: int, client_id: str, *, side: str = "BUY", quantity: str = "1", **changes: Any
) -> dict[str, Any]:
    """Return the entry of an execution at 100, with a fee of 0.1 in quote."""
    values = {
        "trade_id": order_id,
        "price": "100",
        "commission": "0.1",
        "commission_asset": "USDT",
        "list_id": -1,
        "status": "FILLED",
        "filled": quantity,
    }
    names = {"client_id": client_id, "symbol": "BTCUSDT", "side": side, "type": "MARKET", "quantity": quantity}
    return {"kind": "trade", "ms": ms, "order_id": order_id} | names | values | changes


def request(ms: int, *client_ids: str, number: int = 1) -> dict[str, Any]:
    """Return the entry of a request that places orders."""
    names = dict(zip(("newClientOrderId", "workingClientOrderId"), client_ids, strict=False))
    return {"kind": "request", "ms": ms, "id": number, "method": "POST", "path": "/api/v3/order", "params": names}


def fill(number: int, client_id: str, *, side: str = "buy", quantity: str = "1", **changes: Any) -> dict[str, Any]:
    """Return the journal's row of the execution that `trade` puts into the ledger."""
    values = {"fill_no": number, "slot": 0, "symbol": "BTC/USDT", "client_id": client_id, "trade_id": str(number)}
    money = {"price": Decimal(100), "fee": Decimal("0.1"), "fee_asset": "USDT", "fee_value": Decimal("0.1")}
    return values | money | {"side": side, "quantity": Decimal(quantity), "created_at": number} | changes


def intent(client_id: str, state: str = "filled", filled: str = "1", **changes: Any) -> dict[str, Any]:
    """Return the journal's row of an order."""
    values = {"epoch": 1, "placed_ms": 0, "refusal": None, "stop_price": None}
    return {"client_id": client_id, "state": state, "filled": Decimal(filled)} | values | changes


def late(*entries: dict[str, Any]) -> LedgerReading:
    """Return a ledger of a position under a stop, in which the engine executes the second stop that was sent at 10 s."""
    second = "atb-main-100-s1"
    asked = request(2, second, number=7)
    came = {"kind": "late", "ms": 10_000, "id": 7, "status": 200, "code": 0}
    return ledger(placed(1, 1, ENTRY), trade(1, 1, ENTRY), asked, stop(3), stop(10_000, 4, second), came, *entries)


def journal(
    *, intents: Any = (), fills: Any = (), decisions: Any = (), equity: Any = (), cash: int = 1_000
) -> SessionRows:
    return SessionRows("s", Decimal(cash), {0: "BTC/USDT"}, list(intents), list(fills), list(decisions), list(equity))
