"""Chooses the way of each request that changes an account: the WebSocket API while it is open, otherwise REST at once.

A request has one set of parameters, one classification and one entry in the outbox, whichever way it goes, and it goes one way
only: what was handed to the connection and got no answer is unknown, like a lost HTTP response, and is never sent again by REST.
Look-ups always go by REST, so that an order whose answer the connection lost is looked for on another way.

ccxt's own order methods for the WebSocket API are not used: `watch` lets an order wait for the connection and sends it when that
opens, waits for the answer without a time-out, and reports what never left, what was lost and what was refused by the same
classes of exceptions, without the status; and it has no order lists. Its signature, addresses, proxy and session are used.
"""

from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Any

from atb.venues.broker.connection import Access
from atb.venues.broker.order_socket import OrderSocket
from atb.venues.broker.rate_limit import RateLimiter

# Names in the WebSocket API, and the methods of ccxt that send the same request by REST.
_BY_REST = {
    "order.place": "private_post_order",
    "order.test": "private_post_order_test",
    "order.cancel": "private_delete_order",
    "order.cancelReplace": "private_post_order_cancelreplace",
    "orderList.place.oco": "private_post_orderlist_oco",
    "orderList.place.opo": "private_post_orderlist_opo",
    "orderList.place.opoco": "private_post_orderlist_opoco",
    "orderList.cancel": "private_delete_orderlist",
}


class OrderEntry:
    """The requests of one account that place, replace, cancel or test orders.

    Parameters
    ----------
    exchange
        ccxt's exchange.
    socket
        The connection to the WebSocket API; None sends everything by REST.
    """

    def __init__(self, exchange: Any, socket: OrderSocket | None) -> None:
        self._exchange, self._socket = exchange, socket

    @classmethod
    def of(cls, access: Access, exchange: Any, *, limiter: RateLimiter, now_ms: Callable[[], int]) -> "OrderEntry":
        """Return the entry of an account, by the way that its access names; `now_ms` is exchange time."""
        if access.order_entry == "rest":
            return cls(exchange, None)
        return cls(exchange, OrderSocket(exchange, limiter, now_ms, timeout_s=access.timeout_s, proxy=access.proxy))

    @property
    def is_open(self) -> bool:
        """Whether the next request goes over the WebSocket API."""
        return self._socket is not None and self._socket.is_open

    def request(self, operation: str, values: Mapping[str, str]) -> Callable[[], Awaitable[Any]]:
        """Return a function that sends a request, for `transport.send_request`.

        Parameters
        ----------
        operation
            Its name in the WebSocket API, such as `order.place`.
        values
            Its parameters, without key, timestamp and signature.
        """
        return partial(self._send, operation, dict(values))

    async def open(self) -> None:
        """Begin to keep the connection open, and wait for its first attempt."""
        if self._socket is not None:
            await self._socket.start()

    async def close(self) -> None:
        """Close the connection."""
        if self._socket is not None:
            await self._socket.stop()

    async def _send(self, operation: str, values: dict[str, str]) -> Any:
        if self._socket is not None and self._socket.is_open:
            return await self._socket.send(operation, values)
        return await getattr(self._exchange, _BY_REST[operation])(values)
