"""Response bodies in Coinbase Advanced's field names and number formats: products, candles, orders, fills and accounts."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from atb.domain import Instrument
from atb.venues.simulator.market import Candle
from atb.venues.simulator.orders import Order, Trade

GRANULARITIES = {
    "ONE_MINUTE": "1m",
    "FIVE_MINUTE": "5m",
    "FIFTEEN_MINUTE": "15m",
    "THIRTY_MINUTE": "30m",
    "ONE_HOUR": "1h",
    "TWO_HOUR": "2h",
    "SIX_HOUR": "6h",
    "ONE_DAY": "1d",
}
_STATUS = {
    "PENDING_NEW": "PENDING",
    "NEW": "OPEN",
    "PARTIALLY_FILLED": "OPEN",
    "FILLED": "FILLED",
    "CANCELED": "CANCELLED",
    "EXPIRED": "EXPIRED",
    "REJECTED": "FAILED",
}
_TYPES = {
    "market_market_ioc": "MARKET",
    "limit_limit_gtc": "LIMIT",
    "stop_limit_stop_limit_gtc": "STOP_LIMIT",
    "trigger_bracket_gtc": "BRACKET",
}
_USER = str(UUID(int=1))


def product_id(rules: Instrument) -> str:
    """Return a symbol as Coinbase spells it: `BTC-USD`."""
    return f"{rules.symbol.base}-{rules.symbol.quote}"


def order_id(number: int) -> str:
    """Return the number of an order or trade as a UUID, which is what Coinbase has instead."""
    return str(UUID(int=number))


def order_number(text: str) -> int | None:
    """Return the number in a UUID, None if the text is no UUID."""
    try:
        return UUID(text).int
    except ValueError:
        return None


def product(rules: Instrument, price: Decimal, *, trading: bool) -> dict[str, Any]:
    """Return one product."""
    base, quote = rules.symbol.base, rules.symbol.quote
    return {
        "product_id": product_id(rules),
        "price": plain(price),
        "price_percentage_change_24h": "0",
        "volume_24h": "0",
        "volume_percentage_change_24h": "0",
        "base_increment": plain(rules.lot),
        "quote_increment": plain(rules.tick),
        "price_increment": plain(rules.tick),
        "quote_min_size": plain(rules.min_notional),
        "quote_max_size": "50000000",
        "base_min_size": plain(rules.min_quantity),
        "base_max_size": "1000000",
        "base_name": base,
        "quote_name": quote,
        "watched": False,
        "is_disabled": False,
        "new": False,
        "status": "online" if trading else "offline",
        "cancel_only": False,
        "limit_only": False,
        "post_only": False,
        "trading_disabled": not trading,
        "auction_mode": False,
        "product_type": "SPOT",
        "quote_currency_id": quote,
        "base_currency_id": base,
        "base_display_symbol": base,
        "quote_display_symbol": quote,
        "view_only": False,
        "alias": "",
        "alias_to": [],
    }


def candles(rows: Iterable[Candle]) -> dict[str, Any]:
    """Return candles, newest first, opens in epoch seconds."""
    return {
        "candles": [
            {
                "start": str(row.open_ms // 1_000),
                "low": f"{row.low:.8f}",
                "high": f"{row.high:.8f}",
                "open": f"{row.open:.8f}",
                "close": f"{row.close:.8f}",
                "volume": f"{row.volume:.8f}",
            }
            for row in reversed(list(rows))
        ]
    }


def configuration(order: Order, stop: Order | None = None) -> dict[str, Any]:
    """Return an order's `order_configuration`: its terms under the name of its kind."""
    size = {"base_size": plain(order.quantity)}
    if stop is not None:
        prices = {"limit_price": plain(order.price), "stop_trigger_price": plain(stop.stop_price)}
        return {"trigger_bracket_gtc": size | prices}
    if order.type == "MARKET":
        return {"market_market_ioc": {"quote_size": plain(order.quote_quantity)} if order.quote_quantity else size}
    if order.stop_price:
        falling = order.sells == order.type.startswith("STOP")
        direction = "STOP_DIRECTION_STOP_DOWN" if falling else "STOP_DIRECTION_STOP_UP"
        prices = {"limit_price": plain(order.price or order.stop_price), "stop_price": plain(order.stop_price)}
        return {"stop_limit_stop_limit_gtc": size | prices | {"stop_direction": direction}}
    post_only = {"post_only": order.type == "LIMIT_MAKER"}
    return {"limit_limit_gtc": size | {"limit_price": plain(order.price)} | post_only}


def order(order: Order, product: str, *, stop: Order | None = None) -> dict[str, Any]:
    """Return one order; fees are in quote, as at Coinbase. A bracket whose stop executed shows the stop's fills."""
    terms, shown_id = configuration(order, stop), order_id(order.id)
    if stop is not None and stop.trades:
        order = replace(stop, client_id=order.client_id)
    fees = sum((in_quote(trade) for trade in order.trades), Decimal(0))
    return {
        "order_id": shown_id,
        "product_id": product,
        "user_id": _USER,
        "order_configuration": terms,
        "side": order.side,
        "client_order_id": order.client_id,
        "status": _STATUS[order.status],
        "time_in_force": "IMMEDIATE_OR_CANCEL" if order.type == "MARKET" else "GOOD_UNTIL_CANCELLED",
        "created_time": iso(order.time_ms),
        "completion_percentage": plain(100 * order.filled / order.quantity) if order.quantity else "0",
        "filled_size": plain(order.filled),
        "average_filled_price": plain(order.spent / order.filled) if order.filled else "0",
        "fee": "",
        "number_of_fills": str(len(order.trades)),
        "filled_value": plain(order.spent),
        "pending_cancel": False,
        "size_in_quote": bool(order.quote_quantity),
        "total_fees": plain(fees),
        "size_inclusive_of_fees": False,
        "total_value_after_fees": plain(order.spent - fees if order.sells else order.spent + fees),
        "trigger_status": _trigger(order),
        "order_type": _TYPES[next(iter(terms))],
        "reject_reason": "REJECT_REASON_UNSPECIFIED",
        "settled": not order.open,
        "product_type": "SPOT",
        "reject_message": "",
        "cancel_message": "",
        "order_placement_source": "RETAIL_ADVANCED",
        "outstanding_hold_amount": plain(order.locked),
        "is_liquidation": False,
        "last_fill_time": iso(order.trades[-1].time_ms) if order.trades else None,
        "edit_history": [],
    }


def fill(trade: Trade, product: str, order: str) -> dict[str, Any]:
    """Return one fill of the order that is shown under the id `order`."""
    return {
        "entry_id": order_id(trade.id),
        "trade_id": order_id(trade.id),
        "order_id": order,
        "trade_time": iso(trade.time_ms),
        "trade_type": "FILL",
        "price": plain(trade.price),
        "size": plain(trade.quantity),
        "commission": plain(in_quote(trade)),
        "product_id": product,
        "sequence_timestamp": iso(trade.time_ms),
        "liquidity_indicator": "MAKER" if trade.maker else "TAKER",
        "size_in_quote": False,
        "user_id": _USER,
        "side": trade.side,
    }


def account_id(asset: str) -> str:
    """Return the UUID of an asset's account."""
    return str(UUID(bytes=asset.encode().ljust(16, b"\0")[:16]))


def account(asset: str, *, free: Decimal, locked: Decimal, fiat: bool) -> dict[str, Any]:
    """Return the balance of one asset."""
    return {
        "uuid": account_id(asset),
        "name": f"{asset} Wallet",
        "currency": asset,
        "available_balance": {"value": plain(free), "currency": asset},
        "default": True,
        "active": True,
        "created_at": iso(0),
        "updated_at": iso(0),
        "deleted_at": None,
        "type": "ACCOUNT_TYPE_FIAT" if fiat else "ACCOUNT_TYPE_CRYPTO",
        "ready": True,
        "hold": {"value": plain(locked), "currency": asset},
        "retail_portfolio_id": _USER,
    }


def account_v2(asset: str, *, total: Decimal, fiat: bool) -> dict[str, Any]:
    """Return the balance of one asset in the format of version 2, which shows no holds."""
    return {
        "id": account_id(asset),
        "name": f"{asset} Wallet",
        "primary": False,
        "type": "fiat" if fiat else "wallet",
        "currency": {"code": asset, "name": asset, "type": "fiat" if fiat else "crypto"},
        "balance": {"amount": plain(total), "currency": asset},
        "created_at": iso(0),
        "updated_at": iso(0),
        "resource": "account",
        "resource_path": f"/v2/accounts/{account_id(asset)}",
        "allow_deposits": True,
        "allow_withdrawals": True,
    }


def in_quote(trade: Trade) -> Decimal:
    """Return a trade's fee converted to quote."""
    base_paid = trade.symbol.startswith(trade.commission_asset)
    return trade.commission * trade.price if base_paid else trade.commission


def plain(value: Decimal) -> str:
    """Format a number as Coinbase does: exact, without trailing zeros and exponent."""
    return f"{value.normalize():f}" if value else "0"


def iso(time_ms: int) -> str:
    """Format a time as Coinbase does."""
    return datetime.fromtimestamp(time_ms / 1_000, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _trigger(order: Order) -> str:
    if not order.stop_price:
        return "INVALID_ORDER_TYPE"
    return "STOP_TRIGGERED" if order.triggered else "STOP_PENDING"
