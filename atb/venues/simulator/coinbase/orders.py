"""Coinbase's account endpoints: orders, fills, balances, fees and key permissions."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any

from atb.venues.simulator.coinbase import formats
from atb.venues.simulator.coinbase.requests import CoinbaseError, CoinbaseRequest, failure, invalid
from atb.venues.simulator.orders import ZERO, Order
from atb.venues.simulator.refusals import Refusal

if TYPE_CHECKING:
    from multidict import MultiMapping

    from atb.venues.simulator.exchange import Exchange

_FIAT = frozenset(("USD", "EUR", "GBP"))
_STOP_LEG = ":stop"
_LIMITS = {"limit_limit_gtc": "GTC", "sor_limit_ioc": "IOC", "limit_limit_fok": "FOK"}


class AccountEndpoints:
    """Endpoints of the account."""

    def __init__(self, exchange: "Exchange") -> None:
        self._exchange = exchange

    def create(self, request: CoinbaseRequest) -> dict[str, Any]:
        """Place an order; a client id that was used before returns the earlier order and places nothing."""
        terms = request.body
        draft = self._draft(terms)
        known = next((order for order in self._newest() if order.client_id == draft.client_id), None)
        if known is None:
            try:
                known = self._place(draft, terms["order_configuration"])
            except Refusal as refusal:
                return failure(refusal, terms["order_configuration"])
        body = {
            "order_id": formats.order_id(known.id),
            "product_id": terms["product_id"],
            "side": known.side,
            "client_order_id": known.client_id,
            "attached_order_id": "",
        }
        return {"success": True, "success_response": body, "order_configuration": terms["order_configuration"]}

    def cancel(self, request: CoinbaseRequest) -> dict[str, Any]:
        """Cancel orders; each has its own result."""
        return {"results": [self._cancel(str(name)) for name in request.body.get("order_ids", [])]}

    def order(self, request: CoinbaseRequest) -> dict[str, Any]:
        """Return one order by its id."""
        order = self._find(request.names["order"])
        if order is None:
            raise CoinbaseError(404, "unknown", "order with this orderID was not found")
        return {"order": self._order_body(order)}

    def listed(self, request: CoinbaseRequest) -> dict[str, Any]:
        """Return orders, newest first, by product, status, side and time of creation, a page at a time."""
        query = request.query
        status, side = set(query.getall("order_status", [])), query.get("order_side")
        first, last = _time(query, "start_date"), _time(query, "end_date")
        found = [
            body
            for order, body in ((order, self._order_body(order)) for order in self._newest())
            if body["product_id"] in _products(query, body["product_id"])
            and (not status or body["status"] in status)
            and side in (None, order.side)
            and (first is None or first <= order.time_ms)
            and (last is None or order.time_ms < last)
        ]
        page, cursor = _page(found, query, most=1_000)
        return {"orders": page, "sequence": "0", "has_next": bool(cursor), "cursor": cursor}

    def fills(self, request: CoinbaseRequest) -> dict[str, Any]:
        """Return executions, newest first, by product, order and time, a page at a time."""
        query = request.query
        wanted = set(query.getall("order_id", []) + query.getall("order_ids", []))
        first, last = _time(query, "start_sequence_timestamp"), _time(query, "end_sequence_timestamp")
        found = [
            body
            for trade in reversed(self._exchange.trading.book.trades)
            for body in (formats.fill(trade, self._product(trade.symbol), self._shown_id(trade.order_id)),)
            if body["product_id"] in _products(query, body["product_id"])
            and (not wanted or body["order_id"] in wanted)
            and (first is None or first <= trade.time_ms)
            and (last is None or trade.time_ms < last)
        ]
        page, cursor = _page(found, query, most=250)
        return {"fills": page, "cursor": cursor}

    def accounts(self, _request: CoinbaseRequest) -> dict[str, Any]:
        """Return the balance of each asset."""
        account = self._exchange.account
        rows = [
            formats.account(name, free=account.free(name), locked=account.locked(name), fiat=name in _FIAT)
            for name in account.assets()
        ]
        return {"accounts": rows, "has_next": False, "cursor": "", "size": len(rows)}

    def accounts_v2(self, _request: CoinbaseRequest) -> dict[str, Any]:
        """Return the balance of each asset in the format of version 2."""
        account = self._exchange.account
        rows = [
            formats.account_v2(name, total=account.free(name) + account.locked(name), fiat=name in _FIAT)
            for name in account.assets()
        ]
        return {"pagination": {"next_uri": None, "limit": 250, "order": "desc"}, "data": rows}

    def fees(self, _request: CoinbaseRequest) -> dict[str, Any]:
        """Return the account's fee rates."""
        costs = self._exchange.config.execution
        maker = costs.fee if costs.maker_fee is None else costs.maker_fee
        tier = {"pricing_tier": "Simulated", "taker_fee_rate": str(costs.fee), "maker_fee_rate": str(maker)}
        return {"total_volume": 0, "total_fees": 0, "fee_tier": tier}

    def permissions(self, request: CoinbaseRequest) -> dict[str, Any]:
        """Return the permissions of the key that signed the request."""
        key = request.key
        may = {"can_view": True, "can_trade": bool(key and key.trade), "can_transfer": bool(key and key.withdraw)}
        return may | {"portfolio_uuid": "", "portfolio_type": "DEFAULT"}

    def _draft(self, body: dict[str, Any]) -> Order:
        """Return the requested order as an order of the exchange.

        Raises
        ------
        CoinbaseError
            If a part is missing or invalid.
        """
        product, side, client_id = (str(body.get(name, "")) for name in ("product_id", "side", "client_order_id"))
        symbols = {formats.product_id(rules): name for name, rules in self._exchange.market.instruments.items()}
        if product not in symbols:
            raise invalid(f"invalid product_id {product!r}")
        if side not in ("BUY", "SELL"):
            raise invalid("side is BUY or SELL")
        if not 0 < len(client_id) <= 128:
            raise invalid("client_order_id is required, and of at most 128 characters")
        kind, terms = _order_configuration(body)
        order = Order(0, client_id, symbols[product], side, "MARKET", _number(terms, "base_size"), 0)
        if kind in _LIMITS:
            order.type = "LIMIT_MAKER" if terms.get("post_only") else "LIMIT"
            order.tif, order.price = _LIMITS[kind], _number(terms, "limit_price")
        elif kind == "stop_limit_stop_limit_gtc":
            falls = terms.get("stop_direction") == "STOP_DIRECTION_STOP_DOWN"
            order.type = "STOP_LOSS_LIMIT" if falls == (side == "SELL") else "TAKE_PROFIT_LIMIT"
            order.price, order.stop_price = _number(terms, "limit_price"), _number(terms, "stop_price")
        elif kind == "trigger_bracket_gtc":
            order.type, order.price = "LIMIT_MAKER", _number(terms, "limit_price")
        elif kind == "market_market_ioc":
            order.quote_quantity = _number(terms, "quote_size")
        else:
            raise CoinbaseError(400, "UNSUPPORTED_ORDER_CONFIGURATION", f"order_configuration {kind}")
        return order

    def _place(self, draft: Order, configuration: dict[str, Any]) -> Order:
        """Place an order; a bracket becomes an OCO of target and stop, shown as one order.

        Raises
        ------
        Refusal
            If it is not accepted.
        """
        trading, terms = self._exchange.trading, configuration.get("trigger_bracket_gtc")
        if terms is None:
            return trading.place(draft)
        stop = replace(draft, type="STOP_LOSS", price=ZERO, stop_price=_number(terms, "stop_trigger_price"))
        stop.client_id, stop.trades = draft.client_id + _STOP_LEG, []
        if (draft.price <= stop.stop_price) == draft.sells:
            raise invalid("the limit price lies on the far side of the stop's trigger price")
        trading.place_list("OCO", [stop, draft], draft.client_id)
        return draft

    def _stop_of(self, order: Order) -> Order | None:
        """Return the stop of a bracket order, None for other orders."""
        if order.list_id < 0:
            return None
        book = self._exchange.trading.book
        members = book.members(book.lists[order.list_id])
        return next((leg for leg in members if leg.client_id == order.client_id + _STOP_LEG), None)

    def _shown_id(self, number: int) -> str:
        """Return the id under which an order is shown: a bracket's stop is shown as its target."""
        book = self._exchange.trading.book
        order = book.orders[number]
        if order.client_id.endswith(_STOP_LEG):
            name = order.client_id.removesuffix(_STOP_LEG)
            number = next(leg.id for leg in book.members(book.lists[order.list_id]) if leg.client_id == name)
        return formats.order_id(number)

    def _cancel(self, name: str) -> dict[str, Any]:
        order, reason = self._find(name), "UNKNOWN_CANCEL_FAILURE_REASON"
        if order is None:
            reason = "UNKNOWN_CANCEL_ORDER"
        elif not order.open:
            reason = "INVALID_CANCEL_REQUEST"
        else:
            self._exchange.trading.cancel(order)
        return {"success": reason == "UNKNOWN_CANCEL_FAILURE_REASON", "failure_reason": reason, "order_id": name}

    def _find(self, name: str) -> Order | None:
        return self._exchange.trading.book.orders.get(formats.order_number(name) or -1)

    def _newest(self) -> Iterable[Order]:
        """Return the orders that are shown, newest first."""
        orders = self._exchange.trading.book.orders.values()
        return (order for order in reversed(orders) if not order.client_id.endswith(_STOP_LEG))

    def _product(self, symbol: str) -> str:
        return formats.product_id(self._exchange.market.instruments[symbol])

    def _order_body(self, order: Order) -> dict[str, Any]:
        return formats.order(order, self._product(order.symbol), stop=self._stop_of(order))


def _order_configuration(body: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    given = body.get("order_configuration")
    if not isinstance(given, dict) or len(given) != 1:
        raise invalid("order_configuration has one kind of order")
    ((kind, terms),) = given.items()
    return kind, terms


def _number(terms: dict[str, Any], name: str) -> Decimal:
    try:
        value = Decimal(terms.get(name, "0"))
    except (InvalidOperation, TypeError, ValueError) as error:
        raise invalid(f"{name} is a number as text") from error
    if not value.is_finite() or value < ZERO:
        raise invalid(f"{name} is a number as text")
    return value


def _products(query: "MultiMapping[str]", otherwise: str) -> Sequence[str]:
    """Return the requested products, or `otherwise` if the request names none."""
    return query.getall("product_ids", []) + query.getall("product_id", []) or [otherwise]


def _time(query: "MultiMapping[str]", name: str) -> int | None:
    """Return a time parameter in epoch milliseconds, None if it is not given."""
    if name not in query:
        return None
    try:
        return round(datetime.fromisoformat(query[name]).timestamp() * 1_000)
    except ValueError as error:
        raise invalid(f"{name} is a time in RFC 3339") from error


def _page(rows: list[dict[str, Any]], query: "MultiMapping[str]", *, most: int) -> tuple[list[dict[str, Any]], str]:
    """Return one page, and the cursor of the next one, empty at the end."""
    try:
        first, limit = int(query.get("cursor") or 0), min(most, int(query.get("limit") or most))
    except ValueError as error:
        raise invalid("limit and cursor are numbers") from error
    return rows[first : first + limit], str(first + limit) if first + limit < len(rows) else ""
