"""Response bodies for candles and exchange information, in Binance's field names with numbers as text."""

from collections.abc import Iterable
from typing import Any

from atb.domain import Instrument
from atb.venues.simulator.answers import eight_decimals
from atb.venues.simulator.configuration import Filters
from atb.venues.simulator.market import Candle
from atb.venues.simulator.tape import Tape

INTERVALS = frozenset(
    ("1s", "1m", "3m", "5m", "15m", "30m", "1h", "2h", "4h", "6h", "8h", "12h", "1d", "3d", "1w", "1M")
)


def kline(candle: Candle) -> list[Any]:
    """Return one candle as Binance's list of twelve values."""
    quote = candle.volume * (candle.open + candle.close) / 2
    prices = [eight_decimals(value) for value in (candle.open, candle.high, candle.low, candle.close, candle.volume)]
    trades = int(candle.volume > 0)
    taker = [eight_decimals(candle.volume / 2), eight_decimals(quote / 2)]
    return [candle.open_ms, *prices, candle.close_ms, eight_decimals(quote), trades, *taker, "0"]


def exchange_info(
    tapes: Iterable[Tape], now_ms: int, *, filters: Filters, rate_limits: list[dict[str, object]]
) -> dict[str, Any]:
    """Return the body of `exchangeInfo`."""
    return {
        "timezone": "UTC",
        "serverTime": now_ms,
        "rateLimits": rate_limits,
        "exchangeFilters": [],
        "symbols": [_symbol(tape, filters) for tape in tapes],
    }


def _symbol(tape: Tape, filters: Filters) -> dict[str, Any]:
    rules, able = tape.rules, tape.capabilities.to_json()
    own = ("ocoAllowed", "otoAllowed", "opoAllowed", "quoteOrderQtyMarketAllowed", "cancelReplaceAllowed")
    others = ("icebergAllowed", "allowTrailingStop", "amendAllowed", "isSpotTradingAllowed")
    return {
        "symbol": rules.symbol.joined,
        "status": tape.status,
        "baseAsset": rules.symbol.base,
        "baseAssetPrecision": 8,
        "quoteAsset": rules.symbol.quote,
        "quotePrecision": 8,
        "quoteAssetPrecision": 8,
        "baseCommissionPrecision": 8,
        "quoteCommissionPrecision": 8,
        "orderTypes": able["orderTypes"],
        **{name: able[name] for name in own},
        **dict.fromkeys(others, True),
        "isMarginTradingAllowed": False,
        "filters": _filters(rules, filters),
        "permissions": [],
        "permissionSets": [["SPOT"]],
        "defaultSelfTradePreventionMode": "EXPIRE_MAKER",
        "allowedSelfTradePreventionModes": ["EXPIRE_TAKER", "EXPIRE_MAKER", "EXPIRE_BOTH"],
    }


def _filters(rules: Instrument, filters: Filters) -> list[dict[str, Any]]:
    tick, lot, least = (eight_decimals(value) for value in (rules.tick, rules.lot, rules.min_quantity))
    price = {"minPrice": tick, "maxPrice": "1000000.00000000", "tickSize": tick}
    quantity = {"minQty": least, "maxQty": eight_decimals(filters.max_quantity), "stepSize": lot}
    at_market = {
        "minQty": eight_decimals(0),
        "maxQty": eight_decimals(filters.max_market_quantity),
        "stepSize": eight_decimals(0),
    }
    average = {"avgPriceMins": filters.average_minutes}
    up, down = f"{filters.price_up:f}", f"{filters.price_down:f}"
    band = {"bidMultiplierUp": up, "bidMultiplierDown": down, "askMultiplierUp": up, "askMultiplierDown": down}
    notional = {"minNotional": eight_decimals(rules.min_notional), "applyMinToMarket": True}
    notional |= {"maxNotional": eight_decimals(filters.max_notional), "applyMaxToMarket": False}
    return [
        {"filterType": "PRICE_FILTER"} | price,
        {"filterType": "LOT_SIZE"} | quantity,
        {"filterType": "MARKET_LOT_SIZE"} | at_market,
        {"filterType": "PERCENT_PRICE_BY_SIDE"} | band | average,
        {"filterType": "NOTIONAL"} | notional | average,
        {"filterType": "MAX_NUM_ORDERS", "maxNumOrders": filters.max_orders},
        {"filterType": "MAX_NUM_ALGO_ORDERS", "maxNumAlgoOrders": filters.max_algo_orders},
    ]
