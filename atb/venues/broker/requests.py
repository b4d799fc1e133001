"""Request parameters of orders and order lists at Binance Spot: exact numbers as text, every leg with our client id."""

from typing import Any

from atb.domain.orders import Order
from atb.domain.venue import OrderList
from atb.errors import InputError
from atb.venues.broker.rules import plain

_ANSWER = {"newOrderRespType": "FULL"}
Parameters = dict[str, str]


def order_parameters(order: Order, venue_symbol: str) -> Parameters:
    """Return the parameters of one order."""
    values = {"symbol": venue_symbol, "side": order.side.upper(), "newClientOrderId": order.client_id}
    return values | {"quantity": plain(order.quantity)} | _terms(order) | _ANSWER


def list_parameters(orders: OrderList, venue_symbol: str) -> Parameters:
    """Return the parameters of a list of orders.

    Raises
    ------
    InputError
        If the orders do not form a list of this kind.
    """
    values = {"symbol": venue_symbol, "listClientOrderId": orders.client_id} | _ANSWER
    if orders.kind == "oco":
        return values | _pair(orders, orders.orders, "")
    entry, *pending = orders.orders
    if entry.price is None:
        raise InputError("The first order of such a list needs its price, or its worst one", found=entry.type)
    values |= _leg(entry, "working") | {"workingQuantity": plain(entry.quantity), "workingSide": entry.side.upper()}
    if orders.kind == "opoco":
        return values | _pair(orders, tuple(pending), "pending")
    if len(pending) != 1:
        raise InputError("An OPO list is an entry and its stop", found=[order.role for order in orders.orders])
    return values | _leg(pending[0], "pending") | {"pendingSide": pending[0].side.upper()}


def replacement_parameters(old: Order, new: Order, venue_symbol: str) -> Parameters:
    """Return the parameters that cancel `old` and place `new`; nothing is placed where the cancellation fails."""
    values = {"cancelReplaceMode": "STOP_ON_FAILURE", "cancelOrigClientOrderId": old.client_id}
    return order_parameters(new, venue_symbol) | values


def _terms(order: Order) -> Parameters:
    """Return type and prices.

    A stop sells at any price (STOP_LOSS). A market order with a worst price is a limit order whose rest expires (IOC).
    """
    if order.type == "market" and order.price is None:
        return {"type": "MARKET"}
    if order.type == "stop":
        return {"type": "STOP_LOSS", "stopPrice": plain(_required(order.stop_price))}
    in_force = "IOC" if order.type == "market" else "GTC"
    return {"type": "LIMIT", "timeInForce": in_force, "price": plain(_required(order.price))}


def _leg(order: Order, prefix: str) -> Parameters:
    """Return type, prices and id of one leg under the leg's prefix; in a pair with a stop, a target is a LIMIT_MAKER."""
    maker = order.role == "target"
    terms = {"type": "LIMIT_MAKER", "price": plain(_required(order.price))} if maker else _terms(order)
    terms = terms | {"clientOrderId": order.client_id}
    return {prefix + name[0].upper() + name[1:] if prefix else name: value for name, value in terms.items()}


def _pair(orders: OrderList, pair: tuple[Order, ...], prefix: str) -> Parameters:
    """Return a stop and a target: the higher of the two is `above`."""
    by_role = {order.role: order for order in pair}
    if len(pair) != 2 or set(by_role) != {"stop", "target"}:
        raise InputError("A pair is a stop and a target", found=[order.role for order in orders.orders])
    stop, target = by_role["stop"], by_role["target"]
    above, below = (target, stop) if _required(target.price) > _required(stop.stop_price) else (stop, target)
    values = _leg(above, f"{prefix}Above" if prefix else "above") | _leg(below, f"{prefix}Below" if prefix else "below")
    if prefix:
        return values | {"pendingSide": stop.side.upper()}
    if stop.quantity != target.quantity or stop.side != target.side:
        raise InputError("An OCO's stop and target are for one quantity", found=f"{stop.quantity}, {target.quantity}")
    return values | {"side": stop.side.upper(), "quantity": plain(stop.quantity)}


def _required(price: Any) -> Any:
    if price is None:
        raise InputError("A limit or stop order needs its price")
    return price
