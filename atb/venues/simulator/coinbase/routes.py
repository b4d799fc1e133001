"""Coinbase Advanced's routes and the gateway behind them: token, faults, endpoint and ledger."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from aiohttp import web

from atb.venues.simulator.coinbase.market_data import MarketEndpoints
from atb.venues.simulator.coinbase.orders import AccountEndpoints
from atb.venues.simulator.coinbase.requests import CoinbaseError, CoinbaseRequest
from atb.venues.simulator.coinbase.tokens import Unauthorized, authorize
from atb.venues.simulator.faults import DELAYED, EXECUTED, Fault
from atb.venues.simulator.gateway import ApiReply
from atb.venues.simulator.server import deliver

if TYPE_CHECKING:
    from atb.venues.simulator.exchange import Exchange
    from atb.venues.simulator.server import Server

_V3 = "/api/v3/brokerage"
_Act = Callable[[CoinbaseRequest], Any]


@dataclass(frozen=True, slots=True)
class Endpoint:
    """The function behind an endpoint, whether it needs a token, and whether the key must be allowed to trade."""

    act: _Act
    signed: bool = False
    trades: bool = False


def add_routes(app: web.Application, server: "Server") -> None:
    """Serve Coinbase Advanced on its own paths, which do not collide with Binance's."""
    gateway = CoinbaseGateway(server.exchange)
    for (method, path), endpoint in endpoints(server.exchange).items():
        app.router.add_route(method, path, gateway.serving(endpoint))


def endpoints(exchange: "Exchange") -> dict[tuple[str, str], Endpoint]:
    """Return every endpoint by method and path."""
    offers, orders = MarketEndpoints(exchange), AccountEndpoints(exchange)
    market: dict[str, _Act] = {
        "/products": offers.products,
        "/products/{product}": offers.product,
        "/products/{product}/candles": offers.candles,
        "/products/{product}/ticker": offers.ticker,
        "/product_book": offers.book,
    }
    public = {f"{_V3}/market{path}": act for path, act in market.items()} | {
        f"{_V3}/time": offers.time,
        "/v2/time": offers.time_v2,
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
        "/orders/historical/{order}": orders.order,
    }
    changes: dict[str, _Act] = {"/orders": orders.create, "/orders/batch_cancel": orders.cancel}
    return (
        {("GET", path): Endpoint(act) for path, act in public.items()}
        | {("GET", _V3 + path): Endpoint(act, signed=True) for path, act in (market | account).items()}
        | {("GET", "/v2/accounts"): Endpoint(orders.accounts_v2, signed=True)}
        | {("POST", _V3 + path): Endpoint(act, signed=True, trades=True) for path, act in changes.items()}
    )


class CoinbaseGateway:
    """Handles Coinbase's requests."""

    def __init__(self, exchange: "Exchange") -> None:
        self._exchange = exchange
        self._count = 0

    def serving(self, endpoint: Endpoint) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        """Return the HTTP handler of an endpoint."""

        async def serve(request: web.Request) -> web.StreamResponse:
            parsed = await CoinbaseRequest.read(request)
            return await deliver(request, self.handle(parsed, endpoint))

        return serve

    def handle(self, request: CoinbaseRequest, endpoint: Endpoint) -> ApiReply:
        """Handle a request and return its reply, or what a fault makes of it."""
        exchange = self._exchange
        exchange.catch_up()
        self._count += 1
        number = f"coinbase-{self._count}"
        values = {"id": number, "method": request.method, "path": request.path, "client_id": request.client_id}
        exchange.note("request", values | {"via": "coinbase", "params": dict(request.query) | request.body})
        fault = exchange.fault_injector.request_fault(request.path, f"{request.method} {request.path}")
        reply = (
            self._execute_or_refuse(request, endpoint) if fault is None else self._apply_fault(fault, request, endpoint)
        )
        exchange.note("answer", {"id": number, "status": reply.status, "code": 0, "fate": reply.fate})
        return reply

    def _execute_or_refuse(self, request: CoinbaseRequest, endpoint: Endpoint) -> ApiReply:
        """Run a request that no fault strikes."""
        try:
            return ApiReply(200, endpoint.act(self._allowed(request, endpoint)))
        except Unauthorized:
            return ApiReply(401, "Unauthorized\n")
        except CoinbaseError as declined:
            return ApiReply(declined.status, declined.body)

    def _allowed(self, request: CoinbaseRequest, endpoint: Endpoint) -> CoinbaseRequest:
        """Return a request with the key that signed it, if the endpoint needs one.

        Raises
        ------
        Unauthorized, CoinbaseError
            If the token is invalid, or its key may not trade.
        """
        if not endpoint.signed:
            return request
        wanted, exchange = f"{request.method} {request.host}{request.path}", self._exchange
        key = authorize(request.authorization, wanted, exchange.config.keys, now_ms=exchange.server_ms())
        if endpoint.trades and not key.trade:
            raise CoinbaseError(403, "PERMISSION_DENIED", "Missing required scopes")
        return request.signed_by(key)

    def _apply_fault(self, fault: Fault, request: CoinbaseRequest, endpoint: Endpoint) -> ApiReply:
        """Handle a request that a fault strikes."""
        if fault.kind in DELAYED:
            due = self._exchange.now_ms() + int(fault.detail.get("delay_ms", 1_000))

            def execute() -> None:
                self._execute_or_refuse(request, endpoint)

            self._exchange.plan(due, execute)
            return ApiReply(0, None, fate="hold")
        reply = self._execute_or_refuse(request, endpoint) if fault.kind in EXECUTED else ApiReply(0, None)
        if fault.kind in {"error", "error_after"}:
            return ApiReply(int(fault.detail.get("status", 503)), "Service Unavailable")
        if fault.kind in {"rate_limit", "ban"}:
            errors = [{"id": "rate_limit_exceeded", "message": "Too many requests"}]
            return ApiReply(429, {"errors": errors}, {"Retry-After": str(fault.retry_after_s)})
        if fault.kind == "truncated":
            return ApiReply(reply.status, reply.body, fate="truncate")
        return ApiReply(0, None, fate="reset" if fault.kind in {"reset", "lost"} else "hold")
