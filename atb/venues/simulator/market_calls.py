"""Binance's public market requests, which need no key."""

from decimal import Decimal
from typing import TYPE_CHECKING, Any

from atb.times import DAY_MS
from atb.venues.simulator import formats, refusals
from atb.venues.simulator.answers import eight_decimals
from atb.venues.simulator.fees import BNB
from atb.venues.simulator.market import Candle
from atb.venues.simulator.matching import exchange_price
from atb.venues.simulator.requests import Params, integer, required_text, tape_of
from atb.venues.simulator.tape import Tape

if TYPE_CHECKING:
    from atb.venues.simulator.exchange import Exchange

Body = dict[str, Any]

_MAX_KLINES = 1_000
_LEVELS = 20  # of the order book, if its depth is not limited


def ping(_exchange: "Exchange", _params: Params) -> Body:
    """Return an empty body."""
    return {}


def time(exchange: "Exchange", _params: Params) -> Body:
    """Return the exchange's time."""
    return {"serverTime": exchange.server_ms()}


def exchange_info(exchange: "Exchange", params: Params) -> Body:
    """Return the trading rules of the requested symbols, or of all."""
    tapes = _requested_tapes(exchange, params)
    rows = exchange.usage.rate_limits()
    return formats.exchange_info(tapes, exchange.server_ms(), filters=exchange.config.filters, rate_limits=rows)


def _requested_tapes(exchange: "Exchange", params: Params) -> list[Tape]:
    """Return the symbols that a request names in `symbol` or `symbols`; all if it names none."""
    if params.get("symbol"):
        return [tape_of(exchange, params)]
    if params.get("symbols"):
        names = [name.strip(' "') for name in params["symbols"].strip("[]").split(",")]
        return [tape_of(exchange, {"symbol": name}) for name in names]
    return list(exchange.tapes.values())


def klines(exchange: "Exchange", params: Params) -> list[list[Any]]:
    """Return candles, the open one last."""
    symbol, interval = required_text(params, "symbol"), required_text(params, "interval")
    if symbol not in exchange.market.instruments:
        raise refusals.bad_symbol()
    if interval not in formats.INTERVALS:
        raise refusals.bad_interval()
    limit, start, end = (integer(params, name) for name in ("limit", "startTime", "endTime"))
    bars = exchange.market.find(symbol, interval)
    if bars is None:
        return []
    count = min(500 if limit is None else limit, _MAX_KLINES)
    found = exchange.market.candles(bars, start_ms=start, end_ms=end, limit=count, ahead_ms=exchange.skew_ms)
    return [formats.kline(candle) for candle in found]


def _single_or_all(params: Params, rows: list[Body]) -> Body | list[Body]:
    return rows[0] if params.get("symbol") else rows


def ticker_price(exchange: "Exchange", params: Params) -> Body | list[Body]:
    """Return last prices; where fees are paid in BNB also that of BNB, which needs no bars."""
    if exchange.config.fee_in == "bnb" and str(params.get("symbol", "")).startswith(BNB):
        quotes = {tape.rules.symbol.quote for tape in exchange.tapes.values()}
        if params["symbol"] not in exchange.tapes and params["symbol"].removeprefix(BNB) in quotes:
            return {"symbol": params["symbol"], "price": eight_decimals(exchange.config.bnb_price)}
    rows = [{"symbol": tape.symbol, "price": eight_decimals(tape.price)} for tape in _requested_tapes(exchange, params)]
    return _single_or_all(params, rows)


def book_ticker(exchange: "Exchange", params: Params) -> Body | list[Body]:
    """Return the best bid and ask."""
    return _single_or_all(params, [_best(exchange, tape) for tape in _requested_tapes(exchange, params)])


def _best(exchange: "Exchange", tape: Tape) -> Body:
    (bid, bid_size), (ask, ask_size) = levels(exchange, tape, 1)[0]
    return {
        "symbol": tape.symbol, "bidPrice": eight_decimals(bid), "bidQty": eight_decimals(bid_size), "askPrice": eight_decimals(ask),
        "askQty": eight_decimals(ask_size),
    }  # fmt: skip


def levels(
    exchange: "Exchange", tape: Tape, count: int
) -> list[tuple[tuple[Decimal, Decimal], tuple[Decimal, Decimal]]]:
    """Return `count` levels of the book as ((bid, quantity), (ask, quantity)); the best bid is the last price."""
    book, bid, tick = exchange.config.book, exchange_price(tape.price), tape.rules.tick
    size, step = book.level or tape.rules.lot * 1_000_000, book.step * tick
    return [((max(bid - k * step, tick), size), (bid + tick + k * step, size)) for k in range(count)]


def ticker_24hr(exchange: "Exchange", params: Params) -> Body | list[Body]:
    """Return the statistics of the last 24 hours."""
    return _single_or_all(params, [_day(exchange, tape) for tape in _requested_tapes(exchange, params)])


def _day(exchange: "Exchange", tape: Tape) -> Body:
    now = exchange.now_ms()
    bars = exchange.market.find(tape.symbol, tape.interval)
    found = exchange.market.candles(bars, start_ms=now - DAY_MS, end_ms=now, limit=1_500) if bars is not None else []
    candles = found or [Candle(now, now, tape.price, tape.price, tape.price, tape.price, 0.0)]
    first, volume = candles[0], sum(candle.volume for candle in candles)
    quote = sum(candle.volume * (candle.open + candle.close) / 2 for candle in candles)
    change = tape.price - first.open
    numbers = {
        "priceChange": change,
        "weightedAvgPrice": quote / volume if volume else tape.price,
        "prevClosePrice": first.open,
        "lastPrice": tape.price,
        "lastQty": float(tape.rules.lot),
        "openPrice": first.open,
        "highPrice": max(candle.high for candle in candles),
        "lowPrice": min(candle.low for candle in candles),
        "volume": volume,
        "quoteVolume": quote,
    }
    body: Body = {name: eight_decimals(value) for name, value in numbers.items()}
    body |= {"priceChangePercent": f"{100 * change / first.open:.3f}"}
    times = {"openTime": first.open_ms, "closeTime": now, "firstId": 0, "lastId": tape.trades, "count": tape.trades}
    return _best(exchange, tape) | body | times


def depth(exchange: "Exchange", params: Params) -> Body:
    """Return the order book."""
    tape, limit = tape_of(exchange, params), integer(params, "limit")
    found = levels(exchange, tape, min(100 if limit is None else limit, _LEVELS))
    return {
        "lastUpdateId": tape.updates,
        "bids": [[eight_decimals(price), eight_decimals(size)] for (price, size), _ in found],
        "asks": [[eight_decimals(price), eight_decimals(size)] for _, (price, size) in found],
    }


def trades(exchange: "Exchange", params: Params) -> list[Body]:
    """Return the last trade; the simulated market keeps only that one."""
    tape = tape_of(exchange, params)
    price, lot = exchange_price(tape.price), tape.rules.lot
    body = {
        "id": tape.trades,
        "price": eight_decimals(price),
        "qty": eight_decimals(lot),
        "quoteQty": eight_decimals(price * lot),
    }
    return [body | {"time": exchange.now_ms(), "isBuyerMaker": False, "isBestMatch": True}]


def aggregated_trades(exchange: "Exchange", params: Params) -> list[Body]:
    """Return the last trade as an aggregate."""
    tape = tape_of(exchange, params)
    body = {
        "a": tape.trades,
        "p": eight_decimals(tape.price),
        "q": eight_decimals(tape.rules.lot),
        "f": tape.trades,
        "l": tape.trades,
    }
    return [body | {"T": exchange.now_ms(), "m": False, "M": True}]


def average_price(exchange: "Exchange", params: Params) -> Body:
    """Return the average price."""
    tape, minutes = tape_of(exchange, params), exchange.config.filters.average_minutes
    average = tape.average_price(exchange.now_ms(), minutes)
    return {"mins": minutes, "price": eight_decimals(average), "closeTime": exchange.now_ms()}


def reference_price(exchange: "Exchange", params: Params) -> Body:
    """Return the reference price, which filters and the price range rule use."""
    tape = tape_of(exchange, params)
    price = tape.capabilities.reference_price
    if price is None:
        raise refusals.no_reference_price()
    return {"symbol": tape.symbol, "referencePrice": f"{price:f}", "timestamp": exchange.now_ms()}


def execution_rules(exchange: "Exchange", params: Params) -> Body:
    """Return the price range within which takers may trade."""
    rows = []
    for tape in _requested_tapes(exchange, params):
        if tape.capabilities.price_range is not None:
            down, up = (f"{part:f}" for part in tape.capabilities.price_range)
            rule = {"bidLimitMultUp": up, "bidLimitMultDown": down, "askLimitMultUp": up, "askLimitMultDown": down}
            rows.append({"symbol": tape.symbol, "rules": [{"ruleType": "PRICE_RANGE"} | rule]})
    return {"symbolRules": rows}


def system_status(exchange: "Exchange", _params: Params) -> Body:
    """Return the system status: normal or maintenance."""
    down = exchange.fault_injector.maintenance
    return {"status": int(down), "msg": "system_maintenance" if down else "normal"}
