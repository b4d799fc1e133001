"""Binance Spot's answers: numbers as text, its field names, its filters and its error codes."""

from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from atb.domain import Instrument
from atb.venues.simulator.market import Candle

INTERVALS = frozenset(
    ("1s", "1m", "3m", "5m", "15m", "30m", "1h", "2h", "4h", "6h", "8h", "12h", "1d", "3d", "1w", "1M")
)
_ORDER_TYPES = ("LIMIT", "LIMIT_MAKER", "MARKET", "STOP_LOSS", "STOP_LOSS_LIMIT", "TAKE_PROFIT", "TAKE_PROFIT_LIMIT")


@dataclass(eq=False)
class Refusal(Exception):  # noqa: N818 - an answer of the exchange, not a fault of this program
    """An error answer: HTTP status, Binance's code and message."""

    code: int
    message: str
    status: int = 400

    def body(self) -> dict[str, Any]:
        """Return the JSON body."""
        return {"code": self.code, "msg": self.message}


def bad_symbol() -> Refusal:
    """Return the refusal of a symbol that is not traded."""
    return Refusal(-1121, "Invalid symbol.")


def bad_interval() -> Refusal:
    """Return the refusal of an unknown interval."""
    return Refusal(-1120, "Invalid interval.")


def too_many_requests() -> Refusal:
    """Return the refusal of a client that asks too often."""
    return Refusal(-1003, "Too much request weight used; please use WebSocket Streams.", status=429)


def missing_parameter(name: str) -> Refusal:
    """Return the refusal of a request without a mandatory parameter."""
    return Refusal(-1102, f"Mandatory parameter '{name}' was not sent, was empty/null, or malformed.")


def illegal_parameter(name: str) -> Refusal:
    """Return the refusal of a parameter that is no number."""
    return Refusal(-1100, f"Illegal characters found in parameter '{name}'; legal range is '^[0-9]{{1,20}}$'.")


def kline(candle: Candle) -> list[Any]:
    """Return one candle as Binance's list of twelve."""
    quote = candle.volume * (candle.open + candle.close) / 2
    prices = [_eight(value) for value in (candle.open, candle.high, candle.low, candle.close, candle.volume)]
    trades = int(candle.volume > 0)
    taker = [_eight(candle.volume / 2), _eight(quote / 2)]
    return [candle.open_ms, *prices, candle.close_ms, _eight(quote), trades, *taker, "0"]


def exchange_info(instruments: list[Instrument], now_ms: int) -> dict[str, Any]:
    """Return the body of `exchangeInfo`."""
    limits = [
        {"rateLimitType": "REQUEST_WEIGHT", "interval": "MINUTE", "intervalNum": 1, "limit": 6000},
        {"rateLimitType": "ORDERS", "interval": "SECOND", "intervalNum": 10, "limit": 100},
        {"rateLimitType": "ORDERS", "interval": "DAY", "intervalNum": 1, "limit": 200000},
    ]
    return {
        "timezone": "UTC",
        "serverTime": now_ms,
        "rateLimits": limits,
        "exchangeFilters": [],
        "symbols": [_symbol(one) for one in instruments],
    }


def _symbol(rules: Instrument) -> dict[str, Any]:
    return {
        "symbol": rules.symbol.joined,
        "status": "TRADING",
        "baseAsset": rules.symbol.base,
        "baseAssetPrecision": 8,
        "quoteAsset": rules.symbol.quote,
        "quotePrecision": 8,
        "quoteAssetPrecision": 8,
        "baseCommissionPrecision": 8,
        "quoteCommissionPrecision": 8,
        "orderTypes": list(_ORDER_TYPES),
        "icebergAllowed": True,
        "ocoAllowed": True,
        "otoAllowed": True,
        "quoteOrderQtyMarketAllowed": True,
        "allowTrailingStop": True,
        "cancelReplaceAllowed": True,
        "isSpotTradingAllowed": True,
        "isMarginTradingAllowed": False,
        "filters": _filters(rules),
        "permissions": [],
        "permissionSets": [["SPOT"]],
        "defaultSelfTradePreventionMode": "EXPIRE_MAKER",
        "allowedSelfTradePreventionModes": ["EXPIRE_TAKER", "EXPIRE_MAKER", "EXPIRE_BOTH"],
    }


def _filters(rules: Instrument) -> list[dict[str, Any]]:
    tick, lot, least = (_plain(value) for value in (rules.tick, rules.lot, rules.min_quantity))
    notional = {"minNotional": _plain(rules.min_notional), "applyMinToMarket": True, "maxNotional": "9000000.00000000"}
    return [
        {"filterType": "PRICE_FILTER", "minPrice": tick, "maxPrice": "1000000.00000000", "tickSize": tick},
        {"filterType": "LOT_SIZE", "minQty": least, "maxQty": "9000.00000000", "stepSize": lot},
        {"filterType": "NOTIONAL", **notional, "applyMaxToMarket": False, "avgPriceMins": 5},
    ]


def _plain(value: Decimal) -> str:
    return f"{value:.8f}"


def _eight(value: float) -> str:
    return f"{value:.8f}"
