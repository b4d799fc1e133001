"""The broker for Coinbase Advanced: its own order parameters, in exact text and with our client id; the rest is unified."""

from collections.abc import Callable
from functools import partial
from typing import Any

from atb.domain.orders import Order
from atb.domain.venue import Answer, Permissions
from atb.venues.broker.rules import plain
from atb.venues.broker.transport import Reply
from atb.venues.broker.unified import UnifiedBroker, new_report
from atb.venues.broker.venue import Request

_FALLS, _RISES = "STOP_DIRECTION_STOP_DOWN", "STOP_DIRECTION_STOP_UP"


class CoinbaseBroker(UnifiedBroker):
    """A `Broker` at Coinbase Advanced.

    ccxt's `create_order` replaces our client id by its own there, and turns the quantity of a market buy into an amount of
    quote, so the parameters of orders are built here.
    """

    async def permissions(self) -> Permissions:
        """Return the key's permissions.

        Raises
        ------
        VenueError
            If the request fails.
        """
        body = (await self._read(Request(self._exchange.v3PrivateGetBrokerageKeyPermissions))).body
        return Permissions(trade=bool(body.get("can_trade")), withdraw=bool(body.get("can_transfer")))

    def _creation(self, order: Order) -> Callable[[], Any]:
        return partial(
            self._exchange.v3PrivatePostBrokerageOrders, self._parameters(order) | {"client_order_id": order.client_id}
        )

    def _trial(self, order: Order) -> Callable[[], Any]:
        return partial(self._exchange.v3PrivatePostBrokerageOrdersPreview, self._parameters(order))

    def _cancellation(self, exchange_id: str, order: Order) -> Callable[[], Any]:  # noqa: ARG002 - the venue needs no symbol
        return partial(self._exchange.v3PrivatePostBrokerageOrdersBatchCancel, {"order_ids": [exchange_id]})

    def _read_placed(self, order: Order, reply: Reply) -> Answer:
        """Read the response; it must name our client id."""
        body = reply.body if isinstance(reply.body, dict) else {}
        if body.get("success") is not True:
            return Answer("unknown")
        accepted = body["success_response"]
        if accepted.get("client_order_id", order.client_id) != order.client_id:
            raise KeyError("client_order_id")
        return Answer("done", reports=(new_report(order, str(accepted["order_id"]), reply.sent_ms),))

    def _parameters(self, order: Order) -> dict[str, Any]:
        rules = self._rules_of(order.symbol)
        return {"product_id": rules.venue_symbol, "side": order.side.upper(), "order_configuration": self._terms(order)}

    def _terms(self, order: Order) -> dict[str, Any]:
        size = {"base_size": plain(order.quantity)}
        if order.type == "stop" and order.stop_price is not None:
            prices = {"limit_price": plain(self._limit_behind_stop(order)), "stop_price": plain(order.stop_price)}
            direction = {"stop_direction": _FALLS if order.side == "sell" else _RISES}
            return {"stop_limit_stop_limit_gtc": size | prices | direction}
        if order.type == "market" and order.price is not None:
            return {"sor_limit_ioc": size | {"limit_price": plain(order.price)}}
        if order.price is not None:
            return {"limit_limit_gtc": size | {"limit_price": plain(order.price), "post_only": False}}
        return {"market_market_ioc": size}
