"""A forged exchange: an HTTP server on loopback that answers with whatever a test puts into its mouth."""

import asyncio
import functools
import inspect
import json
import socket
import struct
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from urllib.parse import parse_qsl

from aiohttp import web

from atb.domain import Order, Symbol
from atb.venues.broker import Access, connect

NOW = 1_735_689_600_000
BTC = Symbol.parse("BTC/USDT")
KEY, SECRET = "canary-key-4711", "canary-secret-0815"


class StandingClock:
    """A clock that a test moves."""

    def __init__(self, now_ms=NOW):
        self.time = now_ms

    def now_ms(self):
        return self.time


@dataclass
class Forgery:
    """One answer: a body as JSON or text; `break_` says how the connection fails instead (`hold`, `reset`, `cut`)."""

    body: object = field(default_factory=dict)
    status: int = 200
    headers: dict = field(default_factory=dict)
    break_: str = ""


class Forged:
    """Answers by (method, last part of the path); a list is used up, its last answer stays."""

    def __init__(self):
        self.answers = {
            ("GET", "exchangeInfo"): [Forgery(exchange_info())],
            ("GET", "time"): [Forgery({"serverTime": NOW})],
        }
        self.seen = []

    def say(self, method, name, *answers):
        self.answers[method, name] = list(answers)

    def asked(self, method, name):
        """Return the parameters of every request to a path."""
        return [values for verb, path, values in self.seen if (verb, path) == (method, name)]

    async def handle(self, request):
        name = request.path.rpartition("/")[2]
        text = request.query_string or (await request.read()).decode()
        values = json.loads(text) if text.startswith("{") else dict(parse_qsl(text))
        self.seen.append((request.method, name, values))
        queue = self.answers[request.method, name]
        answer = queue.pop(0) if len(queue) > 1 else queue[0]
        answer = answer(values) if callable(answer) else answer
        text = answer.body if isinstance(answer.body, str) else json.dumps(answer.body)
        if answer.break_ == "hold":
            await asyncio.sleep(30)
        if answer.break_ == "reset":
            linger = struct.pack("ii", 1, 0)
            request.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            request.transport.abort()
        if answer.break_ == "cut":
            response = web.StreamResponse(status=answer.status, headers={"Content-Length": str(len(text))})
            await response.prepare(request)
            await response.write(text[: len(text) // 2].encode())
            request.transport.close()
            return response
        return web.Response(text=text, status=answer.status, headers=answer.headers, content_type="application/json")


@asynccontextmanager
async def forged_exchange():
    """Run a forged exchange and yield it with its address in `url`."""
    forged = Forged()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", forged.handle)
    runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    forged.url = f"http://127.0.0.1:{site._server.sockets[0].getsockname()[1]}"
    try:
        yield forged
    finally:
        await runner.cleanup()


@asynccontextmanager
async def binance(clock=None, *, symbols=(BTC,), **access):
    """Yield a broker of Binance that is open at a forged exchange, and the exchange."""
    async with forged_exchange() as forged:
        settings = {"timeout_s": 5.0} | access
        broker = connect(
            Access("binance", KEY, SECRET, base_url=forged.url, **settings),
            clock if clock is not None else StandingClock(),
        )
        try:
            await broker.open(symbols)
            yield broker, forged
        finally:
            await broker.close()


def in_loop(test):
    """Run an asynchronous test in a loop of its own."""

    @functools.wraps(test)
    def run(*arguments, **named):
        return asyncio.run(test(*arguments, **named))

    run.__signature__ = inspect.signature(test)
    return run


def an_order(role="entry", kind="market", side=None, **values):
    """Return an order of 0.01 BTC."""
    terms = {"limit": {"price": Decimal("50000.00")}, "stop": {"stop_price": Decimal("45000.00")}}.get(kind, {})
    known = {"client_id": f"atb-test-{role[0]}0", "quantity": Decimal("0.01")} | terms | values
    return Order(symbol=BTC, side=side or ("buy" if role == "entry" else "sell"), role=role, type=kind, **known)


def order_row(order, **values):
    """Return an order as Binance tells it."""
    kind = {"market": "MARKET", "limit": "LIMIT", "stop": "STOP_LOSS"}[order.type]
    return {
        "symbol": "BTCUSDT",
        "orderId": 11,
        "orderListId": -1,
        "clientOrderId": order.client_id,
        "transactTime": NOW,
        "price": str(order.price or "0.00000000"),
        "stopPrice": str(order.stop_price or "0.00000000"),
        "origQty": f"{order.quantity:.8f}",
        "executedQty": "0.00000000",
        "status": "NEW",
        "type": kind,
        "side": order.side.upper(),
        "fills": [],
    } | values


def exchange_info(**rules):
    """Return Binance's rules of BTCUSDT."""
    filters = [
        {"filterType": "PRICE_FILTER", "minPrice": "0.01000000", "maxPrice": "1000000.00000000", "tickSize": "0.01000000"},
        {"filterType": "LOT_SIZE", "minQty": "0.00001000", "maxQty": "9000.00000000", "stepSize": "0.00001000"},
        {"filterType": "MARKET_LOT_SIZE", "minQty": "0.00000000", "maxQty": "100.00000000", "stepSize": "0.00000000"},
        {
            "filterType": "PERCENT_PRICE_BY_SIDE", "bidMultiplierUp": "5", "bidMultiplierDown": "0.2",
            "askMultiplierUp": "5", "askMultiplierDown": "0.2", "avgPriceMins": 5,
        },
        {
            "filterType": "NOTIONAL", "minNotional": "5.00000000", "applyMinToMarket": True,
            "maxNotional": "9000000.00000000", "applyMaxToMarket": False, "avgPriceMins": 5,
        },
    ]  # fmt: skip
    symbol = {
        "symbol": "BTCUSDT", "status": "TRADING", "baseAsset": "BTC", "baseAssetPrecision": 8, "quoteAsset": "USDT",
        "quotePrecision": 8, "quoteAssetPrecision": 8, "orderTypes": ["LIMIT", "MARKET"], "isSpotTradingAllowed": True,
        "isMarginTradingAllowed": False, "filters": filters, "permissions": [], "permissionSets": [["SPOT"]],
    }  # fmt: skip
    limits = [
        {"rateLimitType": "REQUEST_WEIGHT", "interval": "MINUTE", "intervalNum": 1, "limit": 6000},
        {"rateLimitType": "ORDERS", "interval": "SECOND", "intervalNum": 10, "limit": 100},
        {"rateLimitType": "ORDERS", "interval": "DAY", "intervalNum": 1, "limit": 200000},
    ]
    return {"timezone": "UTC", "serverTime": NOW, "rateLimits": limits, "symbols": [symbol]} | rules
