"""Binance's order requests: place, check, query, cancel and replace orders and order lists."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from atb.venues.simulator import answers, refusals
from atb.venues.simulator.orders import Order, OrderList
from atb.venues.simulator.refusals import Refusal
from atb.venues.simulator.requests import (
    ParameterNames,
    Params,
    choice,
    client_id_of,
    integer,
    read_order,
    read_pair,
    read_working_order,
    required_text,
    tape_of,
)

if TYPE_CHECKING:
    from atb.venues.simulator.exchange import Exchange

Body = dict[str, Any]

_SHOWN: dict[str, Callable[[Order], Body]] = {
    "ACK": answers.ack_body,
    "RESULT": answers.result_body,
    "FULL": answers.full_body,
}


def place(exchange: "Exchange", params: Params) -> Body:
    """Place an order."""
    draft = read_order(exchange, params)
    shown = _response_type(params, "FULL" if draft.type in {"MARKET", "LIMIT"} else "ACK")
    return _SHOWN[shown](exchange.trading.place(draft))


def _response_type(params: Params, default: str) -> str:
    value = params.get("newOrderRespType") or default
    if value not in _SHOWN:
        raise refusals.illegal_parameter("newOrderRespType", "ACK|RESULT|FULL")
    return value


def check(exchange: "Exchange", params: Params) -> Body:
    """Check an order without placing it."""
    exchange.trading.check(read_order(exchange, params))
    return {}


def _found(exchange: "Exchange", params: Params, *, order_id: str, client_id: str) -> Order | None:
    symbol = tape_of(exchange, params).symbol
    number, name = integer(params, order_id), params.get(client_id)
    if number is None and not name:
        raise refusals.Refusal(-1102, f"Param '{client_id}' or '{order_id}' must be sent, but both were empty/null!")
    return exchange.book.find(symbol, order_id=number, client_id=name)


def look_up(exchange: "Exchange", params: Params) -> Body:
    """Return one order."""
    order = _found(exchange, params, order_id="orderId", client_id="origClientOrderId")
    if order is None:
        raise refusals.no_such_order()
    ended = order.status in {"CANCELED", "EXPIRED"} and not order.filled
    if ended and order.update_ms < exchange.now_ms() - exchange.config.archive_ms:
        raise refusals.archived()
    return answers.query_body(order)


def cancel(exchange: "Exchange", params: Params) -> Body:
    """Cancel an order, and the list it belongs to."""
    return _cancel(exchange, params, _found(exchange, params, order_id="orderId", client_id="origClientOrderId"))


def _cancel(exchange: "Exchange", params: Params, order: Order | None, *, name: str = "newClientOrderId") -> Body:
    client_id = client_id_of(exchange, params, name)
    if order is None:
        raise refusals.unknown_order()
    _check_restrictions(params, order)
    exchange.trading.cancel(order, client_id)
    return answers.cancel_body(order, client_id)


def _check_restrictions(params: Params, order: Order) -> None:
    """Refuse to cancel an order that is not in the state that the request names."""
    wanted = params.get("cancelRestrictions")
    states = {"ONLY_NEW": "NEW", "ONLY_PARTIALLY_FILLED": "PARTIALLY_FILLED"}
    if wanted and wanted not in states:
        raise Refusal(-1145, "Invalid cancelRestrictions")
    if wanted and order.open and order.status != states[wanted]:
        raise refusals.cancel_refused("Order was not canceled due to cancel restrictions.")


def cancel_open(exchange: "Exchange", params: Params) -> list[Body]:
    """Cancel every open order of a symbol."""
    symbol = tape_of(exchange, params).symbol
    exchange.trading.match_open(symbol)
    found = exchange.trading.book.open_in(symbol)
    if not found:
        raise refusals.unknown_order()
    bodies: dict[str, Body] = {}
    for order in found:
        key = f"list {order.list_id}" if order.list_id >= 0 else f"order {order.id}"
        if order.open:
            client_id = exchange.trading.book.new_client_id()
            exchange.trading.cancel(order, client_id)
            bodies[key] = answers.cancel_body(order, client_id)
        if order.list_id >= 0:
            bodies[key] = answers.list_report_body(exchange, exchange.trading.book.lists[order.list_id])
    return list(bodies.values())


def replace(exchange: "Exchange", params: Params) -> Body:
    """Cancel an order, or by a leg its whole list, and place another order in one request."""
    modes = ("STOP_ON_FAILURE", "ALLOW_FAILURE")
    stops = choice(params, "cancelReplaceMode", modes) == "STOP_ON_FAILURE"
    draft = read_order(exchange, params)
    tape_of(exchange, params).capabilities.check_cancel_replace()
    # Filters are checked before the cancellation; what the matching engine checks, after it.
    exchange.trading.check_rules(draft)
    answer: Body = {"cancelResult": "FAILURE", "newOrderResult": "NOT_ATTEMPTED"}
    try:
        old = _found(exchange, params, order_id="cancelOrderId", client_id="cancelOrigClientOrderId")
        answer["cancelResponse"] = _cancel(exchange, params, old, name="cancelNewClientOrderId")
        answer["cancelResult"] = "SUCCESS"
    except Refusal as refusal:
        answer["cancelResponse"] = refusal.body()
        if stops:
            answer["newOrderResponse"] = None
            raise Refusal(-2022, "Order cancel-replace failed.", data=answer) from None
    try:
        answer["newOrderResponse"] = answers.full_body(exchange.trading.place(draft))
        answer["newOrderResult"] = "SUCCESS"
    except Refusal as refusal:
        answer |= {"newOrderResponse": refusal.body(), "newOrderResult": "FAILURE"}
    if "FAILURE" not in answer.values():
        return answer
    if "SUCCESS" in answer.values():
        raise Refusal(-2021, "Order cancel-replace partially failed.", status=409, data=answer)
    raise Refusal(-2022, "Order cancel-replace failed.", data=answer)


def open_orders(exchange: "Exchange", params: Params) -> list[Body]:
    """Return the open orders of a symbol, or all of them."""
    book = exchange.book
    found = book.open_in(tape_of(exchange, params).symbol) if params.get("symbol") else book.open_orders()
    return [answers.query_body(order) for order in found]


def all_orders(exchange: "Exchange", params: Params) -> list[Body]:
    """Return a symbol's orders, open or not."""
    symbol, first = tape_of(exchange, params).symbol, integer(params, "orderId")
    start, end, limit = (integer(params, name) for name in ("startTime", "endTime", "limit"))
    found = [
        order
        for order in exchange.book.orders.values()
        if order.symbol == symbol
        and (first is None or order.id >= first)
        and (start is None or order.time_ms >= start)
        and (end is None or order.time_ms <= end)
    ]
    most = min(500 if limit is None else limit, 1_000)
    part = found[:most] if first is not None or start is not None else found[-most:]
    return [answers.query_body(order) for order in part]


# --- lists


def _place_list(exchange: "Exchange", params: Params, kind: str, *, drafts: list[Order]) -> Body:
    name = client_id_of(exchange, params, "listClientOrderId")
    return answers.placed_list_body(exchange, exchange.trading.place_list(kind, drafts, name))


def place_oco(exchange: "Exchange", params: Params) -> Body:
    """Place two orders, one of which cancels the other."""
    return _place_list(exchange, params, "OCO", drafts=read_pair(exchange, params))


def place_old_oco(exchange: "Exchange", params: Params) -> Body:
    """Place an OCO by the older request: `price` for the limit, `stopPrice` and perhaps `stopLimitPrice` for the stop."""
    sells = choice(params, "side", ("BUY", "SELL")) == "SELL"
    limit, stop = ("above", "below") if sells else ("below", "above")
    limited = params.get("stopLimitPrice")
    given = {name: params[name] for name in ("symbol", "side", "quantity", "listClientOrderId") if name in params}
    given |= {f"{limit}Type": "LIMIT_MAKER", f"{limit}Price": required_text(params, "price")}
    given |= {f"{stop}Type": "STOP_LOSS_LIMIT" if limited else "STOP_LOSS"}
    given[f"{stop}StopPrice"] = required_text(params, "stopPrice")
    if limited:
        given[f"{stop}Price"] = limited
        given[f"{stop}TimeInForce"] = params.get("stopLimitTimeInForce", "GTC")
    for end, name in ((limit, "limitClientOrderId"), (stop, "stopClientOrderId")):
        given |= {f"{end}ClientOrderId": params[name]} if params.get(name) else {}
    return place_oco(exchange, given)


def _one_pending(exchange: "Exchange", params: Params, *, sized: bool) -> list[Order]:
    names = ParameterNames("pending", "pendingSide", "pendingQuantity", "pendingClientOrderId")
    return [read_working_order(exchange, params), read_order(exchange, params, names, sized=sized)]


def place_oto(exchange: "Exchange", params: Params) -> Body:
    """Place an order that triggers another."""
    return _place_list(exchange, params, "OTO", drafts=_one_pending(exchange, params, sized=True))


def place_otoco(exchange: "Exchange", params: Params) -> Body:
    """Place an order that triggers a pair."""
    drafts = [read_working_order(exchange, params), *read_pair(exchange, params, "pending")]
    return _place_list(exchange, params, "OTOCO", drafts=drafts)


def place_opo(exchange: "Exchange", params: Params) -> Body:
    """Place an order that pays for another."""
    return _place_list(exchange, params, "OPO", drafts=_paying(_one_pending(exchange, params, sized=False)))


def place_opoco(exchange: "Exchange", params: Params) -> Body:
    """Place an order that pays for a pair."""
    drafts = [read_working_order(exchange, params), *read_pair(exchange, params, "pending", sized=False)]
    return _place_list(exchange, params, "OPOCO", drafts=_paying(drafts))


def _paying(drafts: list[Order]) -> list[Order]:
    if drafts[0].sells or not all(draft.sells for draft in drafts[1:]):
        raise refusals.bad_enum("side")
    return drafts


def _found_list(exchange: "Exchange", params: Params, client_id: str) -> OrderList | None:
    number, name = integer(params, "orderListId"), params.get(client_id)
    if number is None and not name:
        raise refusals.Refusal(-1102, f"Param '{client_id}' or 'orderListId' must be sent, but both were empty/null!")
    return exchange.book.find_list(list_id=number, client_id=name)


def look_up_list(exchange: "Exchange", params: Params) -> Body:
    """Return one list."""
    orders = _found_list(exchange, params, "origClientOrderId")
    if orders is None:
        raise refusals.no_such_list()
    return answers.list_body(exchange, orders)


def cancel_list(exchange: "Exchange", params: Params) -> Body:
    """Cancel a whole list."""
    symbol, orders = tape_of(exchange, params).symbol, _found_list(exchange, params, "listClientOrderId")
    if orders is None or not orders.open or orders.symbol != symbol:
        raise refusals.unknown_order()
    exchange.trading.cancel_list(orders, client_id_of(exchange, params, "newClientOrderId"))
    return answers.list_report_body(exchange, orders)


def open_lists(exchange: "Exchange", _params: Params) -> list[Body]:
    """Return every open list."""
    return [answers.list_body(exchange, orders) for orders in exchange.book.lists.values() if orders.open]


def all_lists(exchange: "Exchange", params: Params) -> list[Body]:
    """Return every list."""
    limit = integer(params, "limit")
    found = list(exchange.book.lists.values())[-min(500 if limit is None else limit, 1_000) :]
    return [answers.list_body(exchange, orders) for orders in found]
