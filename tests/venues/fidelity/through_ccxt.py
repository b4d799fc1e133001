"""ccxt as the session's client: asynchronous, with streams, and synchronous."""

import asyncio
import contextlib
import inspect
from decimal import Decimal
from typing import Any

import ccxt
import ccxt.async_support
import ccxt.pro

from tests.venues.fidelity.session import SYMBOL, VENUE_SYMBOL, OrderState, Traded

OPTIONS = {"fetchCurrencies": False, "fetchMargins": False, "fetchMarkets": {"types": ["spot"]}}
STATUS = {"open": "NEW", "closed": "FILLED", "canceled": "CANCELED", "expired": "EXPIRED", "rejected": "REJECTED"}
FLAVOURS = {"sync": ccxt.binance, "async": ccxt.async_support.binance, "pro": ccxt.pro.binance}


def make(flavour: str, credentials: dict[str, str], *, url: str | None = None, **settings: Any) -> Any:
    """Return a ccxt client; with `url` its addresses are replaced, otherwise they stay those of production."""
    client = FLAVOURS[flavour](
        {**credentials, "timeout": 5_000, "enableRateLimit": False, "options": dict(OPTIONS), **settings}
    )
    if url is not None:
        for name in ("public", "private", "v1"):
            client.urls["api"][name] = f"{url}/api/v3"
        for name in ("sapi", "sapiV2", "sapiV3", "sapiV4"):
            client.urls["api"][name] = f"{url}/sapi/v1"
        sockets = url.replace("http", "ws", 1)
        client.urls["api"]["ws"] = {"spot": f"{sockets}/stream/ws", "ws-api": {"spot": f"{sockets}/ws-api/v3"}}
    return client


@contextlib.asynccontextmanager
async def closing(client: Any):
    """Close a client however it is closed."""
    try:
        yield client
    finally:
        await answer(client.close())


async def answer(value: Any) -> Any:
    """Await what is awaitable: one adapter serves the synchronous client too."""
    return await value if inspect.isawaitable(value) else value


class Ccxt:
    """The session's names over ccxt's unified methods."""

    lists = frozenset(("oco", "oto", "otoco", "opo", "opoco"))

    def __init__(self, client: Any) -> None:
        self.client = client

    async def rules(self) -> tuple[Decimal, Decimal]:
        market = (await answer(self.client.load_markets()))[SYMBOL]
        return tuple(Decimal(str(market["precision"][name])) for name in ("price", "amount"))

    async def candles(self, limit: int) -> list[list[float]]:
        return await answer(self.client.fetch_ohlcv(SYMBOL, "1h", limit=limit))

    async def last_price(self) -> Decimal:
        return Decimal(str((await answer(self.client.fetch_ticker(SYMBOL)))["last"]))

    async def best(self) -> tuple[Decimal, Decimal]:
        book = await answer(self.client.fetch_order_book(SYMBOL, 5))
        return Decimal(str(book["bids"][0][0])), Decimal(str(book["asks"][0][0]))

    async def balance(self, asset: str) -> tuple[Decimal, Decimal]:
        balance = (await answer(self.client.fetch_balance()))[asset]
        return Decimal(str(balance["free"])), Decimal(str(balance["used"]))

    async def place(self, client_id: str, side: str, **order: str) -> OrderState:
        extra = {"clientOrderId": client_id} | ({"stopPrice": order["stopPrice"]} if "stopPrice" in order else {})
        price, kind = order.get("price"), order["type"]
        if kind in ("LIMIT", "MARKET"):
            kind = kind.lower()
        return state_of(
            await answer(self.client.create_order(SYMBOL, kind, side.lower(), order["quantity"], price, extra))
        )

    async def order(self, client_id: str) -> OrderState:
        return state_of(await answer(self.client.fetch_order(None, SYMBOL, {"clientOrderId": client_id})))

    async def open_orders(self) -> list[str]:
        return [order["clientOrderId"] for order in await answer(self.client.fetch_open_orders(SYMBOL))]

    async def cancel(self, client_id: str) -> OrderState:
        return state_of(await answer(self.client.cancel_order(None, SYMBOL, {"clientOrderId": client_id})))

    async def replace(self, old_id: str, new_id: str, **order: str) -> str:
        names = {"cancelOrigClientOrderId": old_id, "newClientOrderId": new_id}
        terms = {"symbol": VENUE_SYMBOL, "cancelReplaceMode": "STOP_ON_FAILURE", **names, **order}
        return (await answer(self.client.privatePostOrderCancelReplace(terms)))["newOrderResponse"]["clientOrderId"]

    async def trades(self) -> list[Traded]:
        rows = await answer(self.client.fetch_my_trades(SYMBOL))
        return [
            Traded(
                row["order"],
                *(Decimal(str(row[name])) for name in ("amount", "price")),
                Decimal(str(row["fee"]["cost"])),
                row["fee"]["currency"],
            )
            for row in rows
        ]

    async def place_list(self, kind: str, **parameters: str) -> None:
        await answer(getattr(self.client, f"privatePostOrderList{kind.title()}")(parameters))

    async def cancel_list(self, list_id: str) -> None:
        await answer(self.client.privateDeleteOrderList({"symbol": VENUE_SYMBOL, "listClientOrderId": list_id}))


class CcxtListener:
    """ccxt.pro's account stream: one connection, one subscription, three watches."""

    def __init__(self, client: Any) -> None:
        self.client = client
        self.seen: list[dict[str, Any]] = []
        self.balances: dict[str, Any] = {}
        self.trades: list[dict[str, Any]] = []
        self._tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> "CcxtListener":
        self._tasks = [asyncio.create_task(watch()) for watch in (self._orders, self._balance, self._trades)]
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _orders(self) -> None:
        while True:
            self.seen += [dict(order) for order in await self.client.watch_orders(SYMBOL)]

    async def _balance(self) -> None:
        while True:
            self.balances = await self.client.watch_balance()

    async def _trades(self) -> None:
        while True:
            self.trades += await self.client.watch_my_trades(SYMBOL)

    def statuses(self, client_id: str) -> list[str]:
        return [STATUS[order["status"]] for order in self.seen if order["clientOrderId"] == client_id]

    def free(self, asset: str) -> Decimal | None:
        return Decimal(str(self.balances[asset]["free"])) if asset in self.balances else None


def state_of(order: dict[str, Any]) -> OrderState:
    """Read a unified order."""
    filled = Decimal(str(order["filled"] or 0))
    return OrderState(order["clientOrderId"], order["id"], STATUS[order["status"]], filled)
