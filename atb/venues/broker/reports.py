"""Reads Binance Spot's responses into domain values: orders, fills and balances; malformed ones raise `Malformed`."""

from collections.abc import Callable, Iterable
from decimal import Decimal
from typing import Any, Literal

from atb.domain.orders import Fill, Order
from atb.domain.symbol import Symbol
from atb.domain.venue import Balance, Commissions, OrderReport, OrderState
from atb.venues.broker.rules import number

Malformed = (KeyError, TypeError, ValueError, ArithmeticError, IndexError, AttributeError)
"""Exceptions that reading a malformed response raises."""

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
"""Price of a fee asset in quote, given the asset and the trade id; None if it has no price."""


def order_report(symbol: Symbol, row: dict[str, Any], lists: dict[int, str]) -> OrderReport:
    """Read one order.

    Parameters
    ----------
    row
        An order of the REST API. The response to a cancellation names the order in `origClientOrderId`; its `clientOrderId`
        belongs to the cancellation.
    lists
        Client ids of lists by the venue's list id; a list that is not in it keeps its id.
    """
    listed = int(row.get("orderListId", _NO_LIST))
    return OrderReport(
        client_id=str(row.get("origClientOrderId") or row["clientOrderId"]),
        exchange_id=str(row["orderId"]),
        symbol=symbol,
        side=_side(row["side"]),
        type=_type(str(row["type"]), str(row.get("timeInForce", ""))),
        state=_STATES[str(row["status"])],
        # A pending leg of an OPO has no quantity yet, and Binance leaves the field out.
        quantity=number(row.get("origQty", "0") if row["status"] == "PENDING_NEW" else row["origQty"]),
        filled=number(row["executedQty"]),
        price=_positive(row.get("price")),
        stop_price=_positive(row.get("stopPrice")),
        list_id=None if listed == _NO_LIST else lists.get(listed, str(listed)),
        time_ms=int(row.get("updateTime") or row.get("transactTime") or row.get("time") or 0),
    )


def archived(order: Order) -> OrderReport:
    """Return the report of an order that the venue has archived: it ended long ago, and nothing of it was executed."""
    return OrderReport(
        client_id=order.client_id, exchange_id="", symbol=order.symbol, side=order.side, type=order.type, state="cancelled",
        quantity=order.quantity, filled=Decimal(0), price=order.price, stop_price=order.stop_price,
    )  # fmt: skip


def orders_in(body: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the orders in the response to an order or an order list."""
    return list(body["orderReports"]) if "orderReports" in body else [body]


def executions(symbol: Symbol, order: dict[str, Any], price: Price) -> tuple[Fill, ...]:
    """Read the fills in the response to an order."""
    found = order.get("fills") or ()
    time_ms = int(order.get("transactTime") or order.get("updateTime") or 0)
    shared = {
        "side": order["side"],
        "orderId": order["orderId"],
        "clientOrderId": order["clientOrderId"],
        "time": time_ms,
    }
    return tuple(execution(symbol, fill | shared | {"id": fill["tradeId"]}, price) for fill in found)


def execution(symbol: Symbol, row: dict[str, Any], price: Price) -> Fill:
    """Read one fill of `myTrades`; if the fee's asset has no price, the fee value is 0 and `price` has logged it."""
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
    """Return the fee assets that are neither base nor quote of the symbol."""
    return {str(row["commissionAsset"]) for row in rows if Decimal(row["commission"])} - {symbol.base, symbol.quote}


def commissions_in(body: dict[str, Any]) -> Commissions:
    """Read the account's commission rates in a symbol: standard, special and tax, of the dearer side.

    The discount of the third asset is a factor of the standard rate alone.
    """

    def rates(kind: str, factor: Decimal = Decimal(1)) -> tuple[Decimal, Decimal]:
        part = body.get(kind) or {}
        side = max(number(part.get("buyer", 0)), number(part.get("seller", 0)))
        return (number(part.get("taker", 0)) + side) * factor, (number(part.get("maker", 0)) + side) * factor

    def total(factor: Decimal) -> tuple[Decimal, Decimal]:
        parts = (rates("standardCommission", factor), rates("specialCommission"), rates("taxCommission"))
        return sum((taker for taker, _ in parts), Decimal(0)), sum((maker for _, maker in parts), Decimal(0))

    cheaper = body.get("discount") or {}
    if not (cheaper.get("enabledForAccount") and cheaper.get("enabledForSymbol")):
        return Commissions(*total(Decimal(1)))
    return Commissions(*total(Decimal(1)), str(cheaper["discountAsset"]), *total(number(cheaper["discount"])))


def balances_in(body: dict[str, Any]) -> dict[str, Balance]:
    """Read the account's balances; zero balances are left out."""
    found = {str(row["asset"]): Balance(number(row["free"]), number(row["locked"])) for row in body["balances"]}
    return {asset: balance for asset, balance in found.items() if balance.total}


def _type(kind: str, in_force: str) -> Literal["market", "limit", "stop"]:
    """Return the domain's order type; an IOC or FOK limit order is a market order with a worst price."""
    if kind == "MARKET" or (kind == "LIMIT" and in_force in {"IOC", "FOK"}):
        return "market"
    return "stop" if kind.startswith("STOP_LOSS") else "limit"


def _side(text: str) -> Literal["buy", "sell"]:
    sides: dict[str, Literal["buy", "sell"]] = {"BUY": "buy", "SELL": "sell"}
    return sides[str(text).upper()]


def _positive(text: Any) -> Decimal | None:
    value = number(text) if text is not None else None
    return value or None
