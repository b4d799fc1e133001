"""Binance Spot's answers as our values: orders, executions, balances, bars; anything malformed is refused."""

from collections.abc import Callable, Iterable
from decimal import Decimal
from typing import Any, Literal

from atb.domain.orders import Fill
from atb.domain.symbol import Symbol
from atb.domain.venue import Balance, OrderReport, OrderState
from atb.venues.broker.rules import number

Malformed = (KeyError, TypeError, ValueError, ArithmeticError, IndexError, AttributeError)
"""What reading an answer raises where it does not have the shape it must have."""

_STATES: dict[str, OrderState] = {
    "NEW": "new",
    "PENDING_NEW": "pending",
    "PARTIALLY_FILLED": "partially_filled",
    "PENDING_CANCEL": "new",
    "FILLED": "filled",
    "CANCELED": "cancelled",
    "REJECTED": "rejected",
    "EXPIRED": "expired",
    "EXPIRED_IN_MATCH": "expired",
}
_NO_LIST = -1
Price = Callable[[str, str], Decimal | None]
"""Tells what an asset is worth in quote, given the trade whose fee was paid in it; None where it has no price."""


def order_report(symbol: Symbol, row: dict[str, Any], lists: dict[int, str]) -> OrderReport:
    """Read one order.

    Parameters
    ----------
    row
        An order as the REST interface tells it. The answer to a cancellation names the order by `origClientOrderId`; its
        `clientOrderId` is the cancellation's own.
    lists
        Client ids of lists by the venue's number; a list that is not in it keeps its number.
    """
    listed = int(row.get("orderListId", _NO_LIST))
    return OrderReport(
        client_id=str(row.get("origClientOrderId") or row["clientOrderId"]),
        exchange_id=str(row["orderId"]),
        symbol=symbol,
        side=_side(row["side"]),
        type=_type(str(row["type"]), str(row.get("timeInForce", ""))),
        state=_STATES[str(row["status"])],
        # A leg that waits for what its entry receives has no quantity yet, and Binance leaves the field out.
        quantity=number(row.get("origQty", "0") if row["status"] == "PENDING_NEW" else row["origQty"]),
        filled=number(row["executedQty"]),
        price=_positive(row.get("price")),
        stop_price=_positive(row.get("stopPrice")),
        list_id=None if listed == _NO_LIST else lists.get(listed, str(listed)),
        time_ms=int(row.get("updateTime") or row.get("transactTime") or row.get("time") or 0),
    )


def orders_in(body: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the orders of an answer to one order or to a list of them."""
    return list(body["orderReports"]) if "orderReports" in body else [body]


def executions(symbol: Symbol, order: dict[str, Any], price: Price) -> tuple[Fill, ...]:
    """Read the executions that came with the answer to an order."""
    found = order.get("fills") or ()
    time_ms = int(order.get("transactTime") or order.get("updateTime") or 0)
    shared = {
        "side": order["side"],
        "orderId": order["orderId"],
        "clientOrderId": order["clientOrderId"],
        "time": time_ms,
    }
    return tuple(execution(symbol, one | shared | {"id": one["tradeId"]}, price) for one in found)


def execution(symbol: Symbol, row: dict[str, Any], price: Price) -> Fill:
    """Read one execution of `myTrades`; without a price of the fee's asset its value is 0, and `price` has said so."""
    paid, asset = number(row["commission"]), str(row["commissionAsset"])
    at = number(row["price"])
    if asset == symbol.quote:
        value = paid
    else:
        rate = at if asset == symbol.base else price(asset, str(row["id"])) if paid else None
        value = paid * rate if rate is not None else Decimal(0)
    side = row["side"] if "side" in row else "BUY" if row["isBuyer"] else "SELL"
    return Fill(
        trade_id=str(row["id"]),
        client_id=str(row.get("clientOrderId", "")),
        symbol=symbol,
        side=_side(side),
        price=at,
        quantity=number(row["qty"]),
        fee=paid,
        fee_asset=asset,
        fee_value=number(value),
        time_ms=int(row["time"]),
        order_id=str(row["orderId"]),
    )


def fee_assets(rows: Iterable[dict[str, Any]], symbol: Symbol) -> set[str]:
    """Return the assets of fees that are paid in neither of the symbol's own."""
    return {str(row["commissionAsset"]) for row in rows if Decimal(row["commission"])} - {symbol.base, symbol.quote}


def balances_in(body: dict[str, Any]) -> dict[str, Balance]:
    """Read what an account has; assets it has nothing of are left out."""
    found = {str(one["asset"]): Balance(number(one["free"]), number(one["locked"])) for one in body["balances"]}
    return {asset: balance for asset, balance in found.items() if balance.total}


def _type(kind: str, in_force: str) -> Literal["market", "limit", "stop"]:
    """Return our word for an order's type; a limit order that must be filled at once is one at market with a worst price."""
    if kind == "MARKET" or (kind == "LIMIT" and in_force in {"IOC", "FOK"}):
        return "market"
    return "stop" if kind.startswith("STOP_LOSS") else "limit"


def _side(text: str) -> Literal["buy", "sell"]:
    sides: dict[str, Literal["buy", "sell"]] = {"BUY": "buy", "SELL": "sell"}
    return sides[str(text).upper()]


def _positive(text: Any) -> Decimal | None:
    value = number(text) if text is not None else None
    return value or None
