"""The account's answers: orders, lists, trades and balances in Binance's field names, every amount with eight decimals."""

from collections.abc import Iterable
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from atb.venues.simulator.orders import STOPS, Order, OrderList, Trade

if TYPE_CHECKING:
    from atb.venues.simulator.exchange import Exchange

Body = dict[str, Any]


def eight_decimals(amount: Decimal | float) -> str:
    """Return an amount as Binance prints it."""
    return f"{amount:.8f}"


def at_least_eight_decimals(amount: Decimal) -> str:
    """Return a commission as Binance prints it, with further decimals where it was not cut to eight."""
    exponent = amount.as_tuple().exponent
    return f"{amount:f}" if isinstance(exponent, int) and exponent < -8 else eight_decimals(amount)


def ack_body(order: Order) -> Body:
    """Return the answer ACK to a new order."""
    return {
        "symbol": order.symbol,
        "orderId": order.id,
        "orderListId": order.list_id,
        "clientOrderId": order.client_id,
        "transactTime": order.update_ms,
    }


def result_body(order: Order) -> Body:
    """Return the answer RESULT to a new order, which is also a list's report on a member."""
    body = ack_body(order) | _state(order)
    if order.status == "PENDING_NEW" and not order.quantity:
        del body["origQty"]
    return body


def full_body(order: Order) -> Body:
    """Return the answer FULL to a new order."""
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
    return body | {"workingTime": order.working_ms, "selfTradePreventionMode": "NONE"}


def query_body(order: Order) -> Body:
    """Return the answer to a question about an order."""
    names = {
        "symbol": order.symbol, "orderId": order.id, "orderListId": order.list_id, "clientOrderId": order.client_id,
    }  # fmt: skip
    times = {
        "icebergQty": "0.00000000", "time": order.time_ms, "updateTime": order.update_ms,
        "isWorking": order.working, "workingTime": order.working_ms,
    }  # fmt: skip
    return names | _state(order) | {"stopPrice": eight_decimals(order.stop_price)} | times


def cancel_body(order: Order, client_id: str) -> Body:
    """Return the answer to a cancellation, which has a client id of its own."""
    return (
        {"symbol": order.symbol, "origClientOrderId": order.client_id}
        | result_body(order)
        | {"clientOrderId": client_id}
    )


def list_body(exchange: "Exchange", orders: OrderList) -> Body:
    """Return a list; a triggered one names its pending orders first, as Binance does."""
    members = exchange.trading.book.members(orders)
    shown = members if orders.kind == "OCO" else members[::-1]
    return {
        "orderListId": orders.id,
        "contingencyType": orders.contingency,
        "listStatusType": orders.status_type,
        "listOrderStatus": orders.order_status,
        "listClientOrderId": orders.client_id,
        "transactionTime": orders.time_ms,
        "symbol": orders.symbol,
        "orders": [{"symbol": one.symbol, "orderId": one.id, "clientOrderId": one.client_id} for one in shown],
    }


def list_report_body(exchange: "Exchange", orders: OrderList) -> Body:
    """Return a list with a report on each of its orders."""
    members = exchange.trading.book.members(orders)
    shown = members if orders.kind == "OCO" else members[::-1]
    return list_body(exchange, orders) | {"orderReports": [result_body(one) for one in shown]}


def trade_body(one: Trade) -> Body:
    """Return one of the account's trades."""
    return {
        "symbol": one.symbol,
        "id": one.id,
        "orderId": one.order_id,
        "orderListId": one.list_id,
        "price": eight_decimals(one.price),
        "qty": eight_decimals(one.quantity),
        "quoteQty": eight_decimals(one.value),
        "commission": at_least_eight_decimals(one.commission),
        "commissionAsset": one.commission_asset,
        "time": one.time_ms,
        "isBuyer": one.side == "BUY",
        "isMaker": one.maker,
        "isBestMatch": True,
    }


def balances_body(exchange: "Exchange", assets: Iterable[str]) -> list[Body]:
    """Return balances as the account's answer lists them."""
    account = exchange.account
    return [
        {"asset": asset, "free": eight_decimals(account.free(asset)), "locked": eight_decimals(account.locked(asset))}
        for asset in assets
    ]
