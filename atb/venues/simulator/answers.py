"""Response bodies for orders, lists, trades and balances, in Binance's field names with eight decimals."""

from collections.abc import Iterable
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from atb.venues.simulator.orders import PAYS, STOPS, Order, OrderList, Trade

if TYPE_CHECKING:
    from atb.venues.simulator.exchange import Exchange

Body = dict[str, Any]


def eight_decimals(amount: Decimal | float) -> str:
    """Format an amount as Binance does."""
    return f"{amount:.8f}"


def at_least_eight_decimals(amount: Decimal) -> str:
    """Format a commission: eight decimals, more only if it was not cut to eight."""
    exponent = amount.as_tuple().exponent
    return f"{amount:f}" if isinstance(exponent, int) and exponent < -8 else eight_decimals(amount)


def ack_body(order: Order) -> Body:
    """Return the ACK response to a new order."""
    return {
        "symbol": order.symbol,
        "orderId": order.id,
        "orderListId": order.list_id,
        "clientOrderId": order.client_id,
        "transactTime": order.update_ms,
    }


def result_body(order: Order) -> Body:
    """Return the RESULT response to a new order; a list reports its orders in the same form."""
    body = ack_body(order) | _state(order)
    if order.status == "PENDING_NEW" and not order.quantity:
        del body["origQty"]
    return body


def full_body(order: Order) -> Body:
    """Return the FULL response to a new order."""
    fills = [
        {
            "price": eight_decimals(trade.price),
            "qty": eight_decimals(trade.quantity),
            "commission": at_least_eight_decimals(trade.commission),
            "commissionAsset": trade.commission_asset,
            "tradeId": trade.id,
        }
        for trade in order.trades
    ]
    return result_body(order) | {"fills": fills}


def _state(order: Order) -> Body:
    body: Body = {
        "price": eight_decimals(order.price),
        "origQty": eight_decimals(order.quantity),
        "executedQty": eight_decimals(order.filled),
        "origQuoteOrderQty": eight_decimals(order.quote_quantity),
        "cummulativeQuoteQty": eight_decimals(order.spent),
        "status": order.status,
        "timeInForce": order.tif,
        "type": order.type,
        "side": order.side,
    }
    if order.type in STOPS:
        body["stopPrice"] = eight_decimals(order.stop_price)
    if order.expiry_reason:
        body["expiryReason"] = order.expiry_reason
    return body | {"workingTime": order.working_ms, "selfTradePreventionMode": "NONE"}


def query_body(order: Order) -> Body:
    """Return the response to an order query."""
    names = {
        "symbol": order.symbol, "orderId": order.id, "orderListId": order.list_id, "clientOrderId": order.client_id,
    }  # fmt: skip
    times = {
        "icebergQty": "0.00000000", "time": order.time_ms, "updateTime": order.update_ms,
        "isWorking": order.working, "workingTime": order.working_ms,
    }  # fmt: skip
    return names | _state(order) | {"stopPrice": eight_decimals(order.stop_price)} | times


def cancel_body(order: Order, client_id: str) -> Body:
    """Return the response to a cancellation, which has its own client id."""
    return (
        {"symbol": order.symbol, "origClientOrderId": order.client_id}
        | result_body(order)
        | {"clientOrderId": client_id}
    )


def list_body(exchange: "Exchange", orders: OrderList) -> Body:
    """Return an order list; of a list that triggers, the pending orders come first, as at Binance."""
    members = exchange.book.members(orders)
    shown = members if orders.kind == "OCO" else members[::-1]
    return {
        "orderListId": orders.id,
        "contingencyType": orders.contingency,
        "listStatusType": orders.status_type,
        "listOrderStatus": orders.order_status,
        "listClientOrderId": orders.client_id,
        "transactionTime": orders.time_ms,
        "symbol": orders.symbol,
        "orders": [{"symbol": order.symbol, "orderId": order.id, "clientOrderId": order.client_id} for order in shown],
    }


def list_report_body(exchange: "Exchange", orders: OrderList) -> Body:
    """Return an order list with a report on each order."""
    members = exchange.book.members(orders)
    shown = members if orders.kind == "OCO" else members[::-1]
    return list_body(exchange, orders) | {"orderReports": [result_body(order) for order in shown]}


def placed_list_body(exchange: "Exchange", orders: OrderList) -> Body:
    """Return the response to a new list: of a working order that is filled at once, the pending legs still show as pending.

    What they became, and the quantity of an OPO's, has to be queried.
    """
    body, working = list_report_body(exchange, orders), exchange.book.members(orders)[0]
    if orders.kind == "OCO" or working.status != "FILLED" or exchange.config.placement_shows == "now":
        return body
    for report in body["orderReports"]:
        if report["orderId"] != working.id:
            report |= {"status": "PENDING_NEW", "executedQty": eight_decimals(0), "workingTime": -1}
            report |= {"cummulativeQuoteQty": eight_decimals(0), "transactTime": orders.time_ms}
            for name in ("expiryReason", *(("origQty",) if orders.kind in PAYS else ())):
                report.pop(name, None)
    return body | {"listStatusType": "EXEC_STARTED", "listOrderStatus": "EXECUTING"}


def trade_body(trade: Trade) -> Body:
    """Return one trade of the account."""
    return {
        "symbol": trade.symbol,
        "id": trade.id,
        "orderId": trade.order_id,
        "orderListId": trade.list_id,
        "price": eight_decimals(trade.price),
        "qty": eight_decimals(trade.quantity),
        "quoteQty": eight_decimals(trade.value),
        "commission": at_least_eight_decimals(trade.commission),
        "commissionAsset": trade.commission_asset,
        "time": trade.time_ms,
        "isBuyer": trade.side == "BUY",
        "isMaker": trade.maker,
        "isBestMatch": True,
    }


def balances_body(exchange: "Exchange", assets: Iterable[str]) -> list[Body]:
    """Return balances as in the account response."""
    account = exchange.balances
    return [
        {"asset": asset, "free": eight_decimals(account.free(asset)), "locked": eight_decimals(account.locked(asset))}
        for asset in assets
    ]
