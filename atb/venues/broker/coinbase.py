"""Coinbase Advanced: its own words for an order, in exact text and with its own name for our id; the rest as anywhere."""

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

    ccxt's `create_order` there drops our id for one of its own, and turns a quantity bought at market into an amount of
    money, so orders are written here.
    """

    async def permissions(self) -> Permissions:
        """Return what the key may do.

        Raises
        ------
        VenueError
            If the venue cannot be asked.
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
        """Read the answer; it must be about our order."""
        body = reply.body if isinstance(reply.body, dict) else {}
        if body.get("success") is not True:
            return Answer("unknown")
        told = body["success_response"]
        if told.get("client_order_id", order.client_id) != order.client_id:
            raise KeyError("client_order_id")
        return Answer("done", reports=(new_report(order, str(told["order_id"]), reply.sent_ms),))

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
