"""python-binance as the session's client: its addresses are class attributes, so a subclass points it elsewhere."""

from decimal import Decimal
from typing import Any

from binance import AsyncClient, BinanceSocketManager

from tests.venues.fidelity.session import VENUE_SYMBOL, OrderState, Traded


def subclass(url: str) -> type[AsyncClient]:
    """Return the client with every address it may use replaced: spot, margin, futures, options, WebSocket API."""
    base = url.replace("http", "ws", 1)
    rest = {name: f"{url}/nowhere" for name in vars(AsyncClient.__mro__[1]) if name.endswith("_URL")}
    here = {"API_URL": f"{url}/api", "MARGIN_API_URL": f"{url}/sapi", "WS_API_URL": f"{base}/ws-api/v3"}
    return type("LocalClient", (AsyncClient,), rest | here)


def sockets(client: AsyncClient, url: str | None = None) -> BinanceSocketManager:
    """Return the client's market streams; with `url` from there."""
    if url is not None:
        local = type("LocalSockets", (BinanceSocketManager,), {"STREAM_URL": url.replace("http", "ws", 1) + "/"})
        return local(client)
    return BinanceSocketManager(client)


class PythonBinance:
    """The session's names over python-binance's methods."""

    lists = frozenset(("oco", "oto", "otoco"))  # it has no method for OPO and OPOCO

    def __init__(self, client: AsyncClient) -> None:
        self.client = client

    async def rules(self) -> tuple[Decimal, Decimal]:
        filters = {row["filterType"]: row for row in (await self.client.get_symbol_info(VENUE_SYMBOL))["filters"]}
        return Decimal(filters["PRICE_FILTER"]["tickSize"]), Decimal(filters["LOT_SIZE"]["stepSize"])

    async def candles(self, limit: int) -> list[list[float]]:
        rows = await self.client.get_klines(symbol=VENUE_SYMBOL, interval="1h", limit=limit)
        return [[row[0], *map(float, row[1:6])] for row in rows]

    async def last_price(self) -> Decimal:
        return Decimal((await self.client.get_ticker(symbol=VENUE_SYMBOL))["lastPrice"])

    async def best(self) -> tuple[Decimal, Decimal]:
        book = await self.client.get_order_book(symbol=VENUE_SYMBOL, limit=5)
        return Decimal(book["bids"][0][0]), Decimal(book["asks"][0][0])

    async def balance(self, asset: str) -> tuple[Decimal, Decimal]:
        balance = await self.client.get_asset_balance(asset=asset)
        return Decimal(balance["free"]), Decimal(balance["locked"])

    async def place(self, client_id: str, side: str, **order: str) -> OrderState:
        if order["type"] == "LIMIT":
            order["timeInForce"] = "GTC"
        answer = await self.client.create_order(symbol=VENUE_SYMBOL, side=side, newClientOrderId=client_id, **order)
        # Binance answers stop orders with an acknowledgement unless asked for more.
        return state_of(answer) if "status" in answer else await self.order(client_id)

    async def order(self, client_id: str) -> OrderState:
        return state_of(await self.client.get_order(symbol=VENUE_SYMBOL, origClientOrderId=client_id))

    async def open_orders(self) -> list[str]:
        return [order["clientOrderId"] for order in await self.client.get_open_orders(symbol=VENUE_SYMBOL)]

    async def cancel(self, client_id: str) -> OrderState:
        answer = await self.client.cancel_order(symbol=VENUE_SYMBOL, origClientOrderId=client_id)
        return state_of(answer | {"clientOrderId": answer["origClientOrderId"]})

    async def replace(self, old_id: str, new_id: str, **order: str) -> str:
        names = {"cancelOrigClientOrderId": old_id, "newClientOrderId": new_id}
        terms = {"symbol": VENUE_SYMBOL, "cancelReplaceMode": "STOP_ON_FAILURE", **names, **order}
        return (await self.client.cancel_replace_order(**terms))["newOrderResponse"]["clientOrderId"]

    async def trades(self) -> list[Traded]:
        rows = await self.client.get_my_trades(symbol=VENUE_SYMBOL)
        return [
            Traded(
                str(row["orderId"]),
                *(Decimal(row[name]) for name in ("qty", "price", "commission")),
                row["commissionAsset"],
            )
            for row in rows
        ]

    async def place_list(self, kind: str, **parameters: str) -> None:
        answer = await getattr(self.client, f"v3_post_order_list_{kind}")(**parameters)
        assert answer["listClientOrderId"] == parameters["listClientOrderId"]

    async def cancel_list(self, list_id: str) -> None:
        await self.client.v3_delete_order_list(symbol=VENUE_SYMBOL, listClientOrderId=list_id)


class PythonBinanceListener:
    """The account stream of its user socket."""

    def __init__(self, client: AsyncClient) -> None:
        self.client = client
        self.events: list[dict[str, Any]] = []

    async def read(self, socket: Any) -> None:
        while True:
            self.events.append(await socket.recv())

    def statuses(self, client_id: str) -> list[str]:
        reports = [event for event in self.events if event["e"] == "executionReport"]
        return [event["X"] for event in reports if client_id in (event["c"], event["C"])]

    def free(self, asset: str) -> Decimal | None:
        rows = [row for event in self.events if event["e"] == "outboundAccountPosition" for row in event["B"]]
        mine = [row for row in rows if row["a"] == asset]
        return Decimal(mine[-1]["f"]) if mine else None


def state_of(order: dict[str, Any]) -> OrderState:
    return OrderState(order["clientOrderId"], str(order["orderId"]), order["status"], Decimal(order["executedQty"]))
