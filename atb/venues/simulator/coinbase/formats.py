"""Coinbase Advanced's answers: products, candles, orders, fills and accounts in its field names and number formats."""

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
    """Return the exchange's number of an order or trade as the UUID that Coinbase has instead."""
    return str(UUID(int=number))


def order_number(text: str) -> int | None:
    """Return the number behind a UUID, None if it is none."""
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
    """Return an order's `order_configuration`: what was asked for, under the name of its kind."""
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


def order(one: Order, product: str, *, stop: Order | None = None) -> dict[str, Any]:
    """Return one order; fees are in quote, as Coinbase takes them. A bracket tells of its stop what that executed."""
    asked, shown_id = configuration(one, stop), order_id(one.id)
    if stop is not None and stop.trades:
        one = replace(stop, client_id=one.client_id)
    fees = sum((in_quote(trade) for trade in one.trades), Decimal(0))
    return {
        "order_id": shown_id,
        "product_id": product,
        "user_id": _USER,
        "order_configuration": asked,
        "side": one.side,
        "client_order_id": one.client_id,
        "status": _STATUS[one.status],
        "time_in_force": "IMMEDIATE_OR_CANCEL" if one.type == "MARKET" else "GOOD_UNTIL_CANCELLED",
        "created_time": iso(one.time_ms),
        "completion_percentage": plain(100 * one.filled / one.quantity) if one.quantity else "0",
        "filled_size": plain(one.filled),
        "average_filled_price": plain(one.spent / one.filled) if one.filled else "0",
        "fee": "",
        "number_of_fills": str(len(one.trades)),
        "filled_value": plain(one.spent),
        "pending_cancel": False,
        "size_in_quote": bool(one.quote_quantity),
        "total_fees": plain(fees),
        "size_inclusive_of_fees": False,
        "total_value_after_fees": plain(one.spent - fees if one.sells else one.spent + fees),
        "trigger_status": _trigger(one),
        "order_type": _TYPES[next(iter(asked))],
        "reject_reason": "REJECT_REASON_UNSPECIFIED",
        "settled": not one.open,
        "product_type": "SPOT",
        "reject_message": "",
        "cancel_message": "",
        "order_placement_source": "RETAIL_ADVANCED",
        "outstanding_hold_amount": plain(one.locked),
        "is_liquidation": False,
        "last_fill_time": iso(one.trades[-1].time_ms) if one.trades else None,
        "edit_history": [],
    }


def fill(trade: Trade, product: str, order: str) -> dict[str, Any]:
    """Return one execution of the order that is shown under the id `order`."""
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
    """Return what the account has of one asset."""
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


def old_account(asset: str, *, total: Decimal, fiat: bool) -> dict[str, Any]:
    """Return what the account has of one asset as version 2 tells it: without what is on hold."""
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
    """Return a trade's fee in quote, whatever it was taken in."""
    base_paid = trade.symbol.startswith(trade.commission_asset)
    return trade.commission * trade.price if base_paid else trade.commission


def plain(value: Decimal) -> str:
    """Return a number as Coinbase prints it: as short as it is exact, without an exponent."""
    return f"{value.normalize():f}" if value else "0"


def iso(time_ms: int) -> str:
    """Return a time as Coinbase writes it."""
    return datetime.fromtimestamp(time_ms / 1_000, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _trigger(one: Order) -> str:
    if not one.stop_price:
        return "INVALID_ORDER_TYPE"
    return "STOP_TRIGGERED" if one.triggered else "STOP_PENDING"
