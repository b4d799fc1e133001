"""Events as entries of the ledger: plain values, amounts as exact text."""

from decimal import Decimal
from typing import Any

from atb.venues.simulator.events import AccountEvent, AccountPosition, BalanceUpdate, Execution
from atb.venues.simulator.orders import Order, Trade


def text(amount: Decimal) -> str:
    """Return an amount as text without an exponent."""
    return f"{amount:f}"


def entry_of(event: AccountEvent) -> tuple[str, dict[str, Any]]:
    """Return the kind and the values of an event's entry."""
    if isinstance(event, Execution):
        if event.trade is not None:
            return "trade", _trade(event.trade, event.order)
        return "order", {"execution": event.type, "reason": event.reason} | order_values(event.order)
    if isinstance(event, AccountPosition):
        rows = {asset: [text(free), text(locked)] for asset, free, locked in event.balances}
        return "balance", {"balances": rows}
    if isinstance(event, BalanceUpdate):
        return "transfer", {"asset": event.asset, "amount": text(event.amount)}
    orders = event.orders
    return "list", {
        "list_id": orders.id, "client_id": orders.client_id, "list": orders.kind, "status_type": orders.status_type,
        "status": orders.order_status, "orders": list(orders.orders),
    }  # fmt: skip


def order_values(order: Order) -> dict[str, Any]:
    """Return an order's state."""
    return {
        "order_id": order.id, "client_id": order.client_id, "list_id": order.list_id, "symbol": order.symbol,
        "side": order.side, "type": order.type, "status": order.status, "quantity": text(order.quantity),
        "filled": text(order.filled), "spent": text(order.spent), "price": text(order.price),
        "stop_price": text(order.stop_price), "time": order.time_ms,
    }  # fmt: skip


def _trade(trade: Trade, order: Order) -> dict[str, Any]:
    return {
        "trade_id": trade.id, "order_id": trade.order_id, "client_id": order.client_id, "list_id": trade.list_id,
        "symbol": trade.symbol, "side": trade.side, "type": order.type, "price": text(trade.price),
        "quantity": text(trade.quantity), "commission": text(trade.commission),
        "commission_asset": trade.commission_asset, "maker": trade.maker, "status": order.status,
        "filled": text(order.filled),
    }  # fmt: skip
