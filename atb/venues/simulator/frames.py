"""Events as frames of Binance's WebSocket streams."""

from functools import singledispatch
from typing import Any

from atb.venues.simulator.answers import at_least_eight_decimals, eight_decimals
from atb.venues.simulator.events import (
    AccountPosition,
    BalanceUpdate,
    BookTicker,
    Event,
    ExecutionReport,
    Kline,
    ListStatus,
    MarketTrade,
)
from atb.venues.simulator.market import Candle

Frame = dict[str, Any]


def stream_of(event: Event) -> str | None:
    """Return the market stream of an event, such as `btcusdt@kline_1h`; None for events of the account."""
    if isinstance(event, Kline):
        return f"{event.symbol.lower()}@kline_{event.interval}"
    if isinstance(event, MarketTrade):
        return f"{event.symbol.lower()}@trade"
    if isinstance(event, BookTicker):
        return f"{event.symbol.lower()}@bookTicker"
    return None


def terminated(now_ms: int) -> Frame:
    """Return the event that ends a user stream."""
    return {"e": "eventStreamTerminated", "E": now_ms}


@singledispatch
def frame(event: Event) -> Frame:
    """Return the frame of an event, in Binance's names and number formats.

    Raises
    ------
    TypeError
        If no stream carries events of this kind.
    """
    raise TypeError(f"no stream carries {event!r}")


@frame.register
def _(event: ExecutionReport) -> Frame:
    order, trade = event.order, event.trade
    on_book = order.working and order.open
    return {
        "e": "executionReport",
        "E": event.time_ms,
        "s": order.symbol,
        "c": event.client_id or order.client_id,
        "S": order.side,
        "o": order.type,
        "f": order.tif,
        "q": eight_decimals(order.quantity),
        "p": eight_decimals(order.price),
        "P": eight_decimals(order.stop_price),
        "F": eight_decimals(0),
        "g": order.list_id,
        "C": event.original_id,
        "x": event.type,
        "X": order.status,
        "r": event.reason,
        "i": order.id,
        "l": eight_decimals(trade.quantity if trade else 0),
        "z": eight_decimals(order.filled),
        "L": eight_decimals(trade.price if trade else 0),
        "n": at_least_eight_decimals(trade.commission) if trade else "0",
        "N": trade.commission_asset if trade else None,
        "T": event.time_ms,
        "t": trade.id if trade else -1,
        "I": 2 * order.id + len(order.trades),
        "w": on_book and not order.is_stop,
        "m": bool(trade and trade.maker),
        "M": False,
        "O": order.time_ms,
        "Z": eight_decimals(order.spent),
        "Y": eight_decimals(trade.value if trade else 0),
        "Q": eight_decimals(order.quote_quantity),
        **({"W": order.working_ms} if order.working else {}),
        **({"eR": order.expiry_reason} if order.expiry_reason else {}),
        "V": "EXPIRE_MAKER",
    }


@frame.register
def _(event: AccountPosition) -> Frame:
    balances = [
        {"a": asset, "f": eight_decimals(free), "l": eight_decimals(locked)} for asset, free, locked in event.balances
    ]
    return {"e": "outboundAccountPosition", "E": event.time_ms, "u": event.time_ms, "B": balances}


@frame.register
def _(event: BalanceUpdate) -> Frame:
    amount = eight_decimals(event.amount)
    return {"e": "balanceUpdate", "E": event.time_ms, "a": event.asset, "d": amount, "T": event.time_ms}


@frame.register
def _(event: ListStatus) -> Frame:
    orders = event.orders
    return {
        "e": "listStatus",
        "E": event.time_ms,
        "s": orders.symbol,
        "g": orders.id,
        "c": orders.contingency,
        "l": orders.status_type,
        "L": orders.order_status,
        "r": "NONE",
        "C": orders.client_id,
        "T": event.time_ms,
        "O": [{"s": order.symbol, "i": order.id, "c": order.client_id} for order in event.members],
    }


@frame.register
def _(event: Kline) -> Frame:
    return {
        "e": "kline",
        "E": event.time_ms,
        "s": event.symbol,
        "k": _candle(event.candle, symbol=event.symbol, interval=event.interval, closed=event.closed),
    }


@frame.register
def _(event: MarketTrade) -> Frame:
    return {
        "e": "trade",
        "E": event.time_ms,
        "s": event.symbol,
        "t": event.id,
        "p": eight_decimals(event.price),
        "q": eight_decimals(event.quantity),
        "T": event.time_ms,
        "m": event.buyer_is_maker,
        "M": True,
    }


@frame.register
def _(event: BookTicker) -> Frame:
    return {
        "u": event.update_id,
        "s": event.symbol,
        "b": eight_decimals(event.bid),
        "B": eight_decimals(event.bid_quantity),
        "a": eight_decimals(event.ask),
        "A": eight_decimals(event.ask_quantity),
    }


def _candle(candle: Candle, *, symbol: str, interval: str, closed: bool) -> Frame:
    quote = candle.volume * (candle.open + candle.close) / 2
    return {
        "t": candle.open_ms,
        "T": candle.close_ms,
        "s": symbol,
        "i": interval,
        "f": 1,
        "L": 1,
        "o": eight_decimals(candle.open),
        "c": eight_decimals(candle.close),
        "h": eight_decimals(candle.high),
        "l": eight_decimals(candle.low),
        "v": eight_decimals(candle.volume),
        "n": int(candle.volume > 0),
        "x": closed,
        "q": eight_decimals(quote),
        "V": eight_decimals(candle.volume / 2),
        "Q": eight_decimals(quote / 2),
        "B": "0",
    }
