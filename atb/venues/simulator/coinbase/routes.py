"""Where Coinbase Advanced's endpoints are, who may ask them, and what faults make of a request."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from aiohttp import web

from atb.venues.simulator.coinbase.market_data import Offers
from atb.venues.simulator.coinbase.orders import Orders
from atb.venues.simulator.coinbase.requests import Asked, Declined
from atb.venues.simulator.coinbase.tokens import Unauthorized, authorize
from atb.venues.simulator.faults import DELAYED, EXECUTED, Fault
from atb.venues.simulator.gateway import Reply
from atb.venues.simulator.server import deliver

if TYPE_CHECKING:
    from atb.venues.simulator.exchange import Exchange
    from atb.venues.simulator.server import Server

_V3 = "/api/v3/brokerage"
_Act = Callable[[Asked], Any]


@dataclass(frozen=True, slots=True)
class Endpoint:
    """What an endpoint does, whether it needs a token, and whether its key must be allowed to trade."""

    act: _Act
    signed: bool = False
    trades: bool = False


def add_routes(app: web.Application, server: "Server") -> None:
    """Serve Coinbase Advanced on its own paths, which collide with none of Binance's."""
    skin = Skin(server.exchange)
    for (method, path), endpoint in endpoints(server.exchange).items():
        app.router.add_route(method, path, skin.serving(endpoint))


def endpoints(exchange: "Exchange") -> dict[tuple[str, str], Endpoint]:
    """Return every endpoint by method and path."""
    offers, orders = Offers(exchange), Orders(exchange)
    market: dict[str, _Act] = {
        "/products": offers.products,
        "/products/{product}": offers.product,
        "/products/{product}/candles": offers.candles,
        "/products/{product}/ticker": offers.ticker,
        "/product_book": offers.book,
    }
    everyone = {f"{_V3}/market{path}": act for path, act in market.items()} | {
        f"{_V3}/time": offers.time,
        "/v2/time": offers.old_time,
        "/v2/currencies": offers.currencies,
        "/v2/currencies/crypto": offers.crypto,
        "/v2/exchange-rates": offers.rates,
    }
    account: dict[str, _Act] = {
        "/transaction_summary": orders.fees,
        "/key_permissions": orders.permissions,
        "/accounts": orders.accounts,
        "/orders/historical/batch": orders.listed,
        "/orders/historical/fills": orders.fills,
        "/orders/historical/{order}": orders.one,
    }
    changes: dict[str, _Act] = {"/orders": orders.create, "/orders/batch_cancel": orders.cancel}
    return (
        {("GET", path): Endpoint(act) for path, act in everyone.items()}
        | {("GET", _V3 + path): Endpoint(act, signed=True) for path, act in (market | account).items()}
        | {("GET", "/v2/accounts"): Endpoint(orders.old_accounts, signed=True)}
        | {("POST", _V3 + path): Endpoint(act, signed=True, trades=True) for path, act in changes.items()}
    )


class Skin:
    """Answers Coinbase's requests: token, faults, the endpoint, and the ledger that both skins write."""

    def __init__(self, exchange: "Exchange") -> None:
        self._exchange = exchange
        self._count = 0

    def serving(self, endpoint: Endpoint) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        """Return what serves an endpoint."""

        async def serve(request: web.Request) -> web.StreamResponse:
            asked = await Asked.of(request)
            return await deliver(request, self.answer(asked, endpoint))

        return serve

    def answer(self, asked: Asked, endpoint: Endpoint) -> Reply:
        """Do what a request asks and return its answer, or what a fault makes of it."""
        exchange = self._exchange
        exchange.catch_up()
        self._count += 1
        number = f"coinbase-{self._count}"
        values = {"id": number, "method": asked.method, "path": asked.path, "client_id": asked.client_id}
        exchange.note("request", values | {"via": "coinbase", "params": dict(asked.query) | asked.body})
        fault = exchange.disturbances.strike(asked.path, f"{asked.method} {asked.path}")
        reply = self._judge(asked, endpoint) if fault is None else self._struck(fault, asked, endpoint)
        exchange.note("answer", {"id": number, "status": reply.status, "code": 0, "fate": reply.fate})
        return reply

    def _judge(self, asked: Asked, endpoint: Endpoint) -> Reply:
        """Answer a request that no fault strikes."""
        try:
            return Reply(200, endpoint.act(self._allowed(asked, endpoint)))
        except Unauthorized:
            return Reply(401, "Unauthorized\n")
        except Declined as declined:
            return Reply(declined.status, declined.body)

    def _allowed(self, asked: Asked, endpoint: Endpoint) -> Asked:
        """Return a request with who asks it, where that matters.

        Raises
        ------
        Unauthorized, Declined
            If the token does not hold, or its key may not trade.
        """
        if not endpoint.signed:
            return asked
        wanted, exchange = f"{asked.method} {asked.host}{asked.path}", self._exchange
        key = authorize(asked.authorization, wanted, exchange.config.keys, now_ms=exchange.server_ms())
        if endpoint.trades and not key.trade:
            raise Declined(403, "PERMISSION_DENIED", "Missing required scopes")
        return asked.by(key)

    def _struck(self, fault: Fault, asked: Asked, endpoint: Endpoint) -> Reply:
        """Answer a request that a fault strikes."""
        if fault.kind in DELAYED:
            due = self._exchange.now_ms() + int(fault.detail.get("delay_ms", 1_000))

            def execute() -> None:
                self._judge(asked, endpoint)

            self._exchange.plan(due, execute)
            return Reply(0, None, fate="hold")
        reply = self._judge(asked, endpoint) if fault.kind in EXECUTED else Reply(0, None)
        if fault.kind in {"error", "error_after"}:
            return Reply(int(fault.detail.get("status", 503)), "Service Unavailable")
        if fault.kind in {"rate_limit", "ban"}:
            errors = [{"id": "rate_limit_exceeded", "message": "Too many requests"}]
            return Reply(429, {"errors": errors}, {"Retry-After": str(fault.retry_after_s)})
        if fault.kind == "truncated":
            return Reply(reply.status, reply.body, fate="truncate")
        return Reply(0, None, fate="reset" if fault.kind in {"reset", "lost"} else "hold")
