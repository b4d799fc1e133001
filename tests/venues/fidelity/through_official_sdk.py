"""Binance's own client, binance-sdk-spot, as the session's client; its typed models read every answer."""

import re
import ssl
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from tests.venues.fidelity.session import VENUE_SYMBOL, OrderState, Traded

if TYPE_CHECKING:
    from binance_sdk_spot.spot import Spot

NUMBERS = {"quantity", "price", "stop_price"}


def make(credentials: dict[str, str], *, url: str | None = None, proxy_port: int = 0, ca: str = "") -> "Spot":
    """Return the client; with `url` its base paths are replaced, otherwise they stay those of production."""
    # Imported only here: it takes a second, which each process that collects the tests would pay.
    from binance_common.configuration import (
        ConfigurationRestAPI,
        ConfigurationWebSocketAPI,
        ConfigurationWebSocketStreams,
    )
    from binance_sdk_spot.spot import Spot

    keys = {"api_key": credentials["apiKey"], "api_secret": credentials["secret"]}
    way: dict[str, Any] = {}
    rest, sockets, streams = {}, {}, {}
    if url is not None:
        base = url.replace("http", "ws", 1)
        rest, sockets, streams = (
            {"base_path": url},
            {"stream_url": f"{base}/ws-api/v3"},
            {"stream_url": f"{base}/stream"},
        )
    else:
        way = {"proxy": {"protocol": "http", "host": "127.0.0.1", "port": proxy_port}}
        way["https_agent"] = ssl.create_default_context(cafile=ca)
    return Spot(
        ConfigurationRestAPI(**keys, **rest, **way, timeout=5_000, retries=0),
        ConfigurationWebSocketAPI(**keys, **sockets, **way),
        ConfigurationWebSocketStreams(**streams, **way),
    )


class OfficialSdk:
    """The session's names over the SDK's REST methods."""

    lists = frozenset(("oco", "oto", "otoco", "opo", "opoco"))

    def __init__(self, client: "Spot") -> None:
        self.rest = client.rest_api

    async def rules(self) -> tuple[Decimal, Decimal]:
        (rules,) = self.rest.exchange_info(symbol=VENUE_SYMBOL).data().symbols
        filters = {plain(each).filter_type: plain(each) for each in rules.filters}
        return Decimal(filters["PRICE_FILTER"].tick_size), Decimal(filters["LOT_SIZE"].step_size)

    async def candles(self, limit: int) -> list[list[float]]:
        rows = self.rest.klines(VENUE_SYMBOL, "1h", limit=limit).data()
        return [[int(plain(row[0])), *(float(plain(value)) for value in row[1:6])] for row in rows]

    async def last_price(self) -> Decimal:
        return Decimal(plain(self.rest.ticker24hr(symbol=VENUE_SYMBOL).data()).last_price)

    async def best(self) -> tuple[Decimal, Decimal]:
        book = self.rest.depth(VENUE_SYMBOL, limit=5).data()
        return Decimal(plain(book.bids[0][0])), Decimal(plain(book.asks[0][0]))

    async def balance(self, asset: str) -> tuple[Decimal, Decimal]:
        rows = {row.asset: row for row in self.rest.get_account().data().balances}
        return Decimal(rows[asset].free), Decimal(rows[asset].locked)

    async def place(self, client_id: str, side: str, **order: str) -> OrderState:
        values = {snake(name): value for name, value in order.items()}
        values = {name: float(value) if name in NUMBERS else value for name, value in values.items()}
        if values["type"] == "LIMIT":
            values["time_in_force"] = "GTC"
        answer = self.rest.new_order(VENUE_SYMBOL, side, **values, new_client_order_id=client_id, recv_window=5000)
        # Binance answers stop orders with an acknowledgement unless asked for more.
        return state_of(answer.data()) if plain(answer.data()).status else await self.order(client_id)

    async def order(self, client_id: str) -> OrderState:
        return state_of(self.rest.get_order(VENUE_SYMBOL, orig_client_order_id=client_id).data())

    async def open_orders(self) -> list[str]:
        return [order.client_order_id for order in self.rest.get_open_orders(symbol=VENUE_SYMBOL).data()]

    async def cancel(self, client_id: str) -> OrderState:
        answer = self.rest.delete_order(VENUE_SYMBOL, orig_client_order_id=client_id).data()
        return OrderState(
            answer.orig_client_order_id, str(answer.order_id), answer.status, Decimal(answer.executed_qty)
        )

    async def replace(self, old_id: str, new_id: str, **order: str) -> str:
        names = {"cancel_orig_client_order_id": old_id, "new_client_order_id": new_id}
        values = {snake(name): as_number(name, value) for name, value in order.items()}
        terms = {"symbol": VENUE_SYMBOL, "cancel_replace_mode": "STOP_ON_FAILURE", **names, **values}
        answer = self.rest.order_cancel_replace(**terms).data()
        assert (answer.cancel_result, answer.new_order_result) == ("SUCCESS", "SUCCESS")
        return plain(answer.new_order_response).client_order_id

    async def trades(self) -> list[Traded]:
        return [
            Traded(str(row.order_id), *map(Decimal, (row.qty, row.price, row.commission)), row.commission_asset)
            for row in self.rest.my_trades(VENUE_SYMBOL).data()
        ]

    async def place_list(self, kind: str, **parameters: str) -> None:
        values = {snake(name): as_number(name, value) for name, value in parameters.items()}
        answer = getattr(self.rest, f"order_list_{kind}")(**values).data()
        assert answer.list_client_order_id == parameters["listClientOrderId"]
        assert len(answer.orders) == len(answer.order_reports) == (3 if kind.endswith("oco") and kind != "oco" else 2)

    async def cancel_list(self, list_id: str) -> None:
        answer = self.rest.delete_order_list(VENUE_SYMBOL, list_client_order_id=list_id).data()
        assert answer.list_order_status == "ALL_DONE"


class SdkListener:
    """The account stream of the SDK's WebSocket API, read by its typed events."""

    def __init__(self, client: "Spot") -> None:
        self.api = client.websocket_api
        self.events: list[Any] = []
        self._stream: Any = None

    async def __aenter__(self) -> "SdkListener":
        await self.api.create_connection()
        answer = await self.api.user_data_stream_subscribe_signature()
        self._stream = answer.stream
        self._stream.on("message", lambda event: self.events.append(event.actual_instance))
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stream.unsubscribe()
        await self.api.close_connection()

    def named(self, name: str) -> list[Any]:
        return [event for event in self.events if type(event).__name__ == name]

    def statuses(self, client_id: str) -> list[str]:
        return [event.X for event in self.named("ExecutionReport") if client_id in (event.c, event.C)]

    def free(self, asset: str) -> Decimal | None:
        rows = [row for event in self.named("OutboundAccountPosition") for row in event.B if row.a == asset]
        return Decimal(rows[-1].f) if rows else None


def snake(name: str) -> str:
    """Return `newClientOrderId` as `new_client_order_id`."""
    return re.sub(r"(?=[A-Z])", "_", name).lower()


def as_number(name: str, value: str) -> str | float:
    return float(value) if name.endswith(("Price", "Quantity", "quantity")) else value


def plain(value: Any) -> Any:
    """Return the model inside a one-of model of the SDK."""
    return getattr(value, "actual_instance", value)


def state_of(order: Any) -> OrderState:
    order = plain(order)
    return OrderState(order.client_order_id, str(order.order_id), order.status, Decimal(order.executed_qty))
