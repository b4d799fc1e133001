"""The table of requests: path, name in the WebSocket API, weight, and the function that runs it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from atb.venues.simulator import account_calls as account
from atb.venues.simulator import market_calls as market
from atb.venues.simulator import order_calls as order
from atb.venues.simulator.requests import Params

if TYPE_CHECKING:
    from atb.venues.simulator.exchange import Exchange

Call = Callable[["Exchange", Params], Any]


@dataclass(frozen=True, slots=True)
class Route:
    """One request.

    Parameters
    ----------
    act
        The function that runs it.
    weight
        Its request weight; `weight_all` if it names no symbol.
    signed
        Whether it needs a key and a signature.
    orders
        Number of orders that it places.
    operation
        Its name in the WebSocket API, empty if it has none.
    """

    act: Call
    weight: int = 1
    weight_all: int | None = None
    signed: bool = False
    orders: int = 0
    operation: str = ""

    def cost(self, params: Params) -> int:
        """Return the request's weight."""
        if self.weight_all is not None and not params.get("symbol"):
            return self.weight_all
        return self.weight


def _trades(weight: int, act: Call, operation: str = "", *, orders: int = 0, weight_all: int | None = None) -> Route:
    return Route(act, weight, weight_all, signed=True, orders=orders, operation=operation)


ROUTES: dict[tuple[str, str], Route] = {
    ("GET", "/api/v3/ping"): Route(market.ping, 1, operation="ping"),
    ("GET", "/api/v3/time"): Route(market.time, 1, operation="time"),
    ("GET", "/api/v3/exchangeInfo"): Route(market.exchange_info, 20, operation="exchangeInfo"),
    ("GET", "/api/v3/klines"): Route(market.klines, 2, operation="klines"),
    ("GET", "/api/v3/uiKlines"): Route(market.klines, 2, operation="uiKlines"),
    ("GET", "/api/v3/ticker/price"): Route(market.ticker_price, 2, 4, operation="ticker.price"),
    ("GET", "/api/v3/ticker/bookTicker"): Route(market.book_ticker, 2, 4, operation="ticker.book"),
    ("GET", "/api/v3/ticker/24hr"): Route(market.ticker_24hr, 2, 80, operation="ticker.24hr"),
    ("GET", "/api/v3/depth"): Route(market.depth, 5, operation="depth"),
    ("GET", "/api/v3/trades"): Route(market.trades, 25, operation="trades.recent"),
    ("GET", "/api/v3/aggTrades"): Route(market.aggregated_trades, 4, operation="trades.aggregate"),
    ("GET", "/api/v3/avgPrice"): Route(market.average_price, 2, operation="avgPrice"),
    ("GET", "/api/v3/referencePrice"): Route(market.reference_price, 2, operation="referencePrice"),
    ("GET", "/api/v3/executionRules"): Route(market.execution_rules, 2, 40, operation="executionRules"),
    ("GET", "/api/v3/account"): _trades(20, account.account, "account.status"),
    ("GET", "/api/v3/account/commission"): _trades(20, account.commission, "account.commission"),
    ("GET", "/api/v3/myTrades"): _trades(20, account.my_trades, "myTrades"),
    ("GET", "/api/v3/rateLimit/order"): _trades(40, account.order_limits, "account.rateLimits.orders"),
    ("POST", "/api/v3/order"): _trades(1, order.place, "order.place", orders=1),
    ("POST", "/api/v3/order/test"): _trades(1, order.check, "order.test"),
    ("GET", "/api/v3/order"): _trades(4, order.look_up, "order.status"),
    ("DELETE", "/api/v3/order"): _trades(1, order.cancel, "order.cancel"),
    ("POST", "/api/v3/order/cancelReplace"): _trades(1, order.replace, "order.cancelReplace", orders=1),
    ("GET", "/api/v3/openOrders"): _trades(6, order.open_orders, "openOrders.status", weight_all=80),
    ("DELETE", "/api/v3/openOrders"): _trades(1, order.cancel_open, "openOrders.cancelAll"),
    ("GET", "/api/v3/allOrders"): _trades(20, order.all_orders, "allOrders"),
    ("POST", "/api/v3/order/oco"): _trades(1, order.place_old_oco, orders=2),
    ("POST", "/api/v3/orderList/oco"): _trades(1, order.place_oco, "orderList.place.oco", orders=2),
    ("POST", "/api/v3/orderList/oto"): _trades(1, order.place_oto, "orderList.place.oto", orders=2),
    ("POST", "/api/v3/orderList/otoco"): _trades(1, order.place_otoco, "orderList.place.otoco", orders=3),
    ("POST", "/api/v3/orderList/opo"): _trades(1, order.place_opo, "orderList.place.opo", orders=2),
    ("POST", "/api/v3/orderList/opoco"): _trades(1, order.place_opoco, "orderList.place.opoco", orders=3),
    ("GET", "/api/v3/orderList"): _trades(4, order.look_up_list, "orderList.status"),
    ("DELETE", "/api/v3/orderList"): _trades(1, order.cancel_list, "orderList.cancel"),
    ("GET", "/api/v3/openOrderList"): _trades(6, order.open_lists, "openOrderLists.status"),
    ("GET", "/api/v3/allOrderList"): _trades(20, order.all_lists, "allOrderLists"),
    ("GET", "/sapi/v1/account/apiRestrictions"): _trades(1, account.restrictions),
    ("GET", "/sapi/v1/system/status"): Route(market.system_status),
}
OPERATIONS: dict[str, tuple[str, str]] = {route.operation: place for place, route in ROUTES.items() if route.operation}
