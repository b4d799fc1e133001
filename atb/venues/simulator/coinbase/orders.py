"""The account through Coinbase's endpoints: its orders, fills, balances and fees, kept by the exchange that both skins share."""

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
    """The account as Coinbase shows it."""

    def __init__(self, exchange: "Exchange") -> None:
        self._exchange = exchange

    def create(self, asked: CoinbaseRequest) -> dict[str, Any]:
        """Place an order; a client id that was used before gives the order it was used for, and places nothing."""
        terms = asked.body
        draft = self._draft(terms)
        known = next((one for one in self._newest() if one.client_id == draft.client_id), None)
        if known is None:
            try:
                known = self._place(draft, terms["order_configuration"])
            except Refusal as refusal:
                return failure(refusal, terms["order_configuration"])
        told = {
            "order_id": formats.order_id(known.id),
            "product_id": terms["product_id"],
            "side": known.side,
            "client_order_id": known.client_id,
            "attached_order_id": "",
        }
        return {"success": True, "success_response": told, "order_configuration": terms["order_configuration"]}

    def cancel(self, asked: CoinbaseRequest) -> dict[str, Any]:
        """Withdraw orders; each has an outcome of its own."""
        return {"results": [self._cancel(str(name)) for name in asked.body.get("order_ids", [])]}

    def one(self, asked: CoinbaseRequest) -> dict[str, Any]:
        """Return one order by its id."""
        order = self._find(asked.names["order"])
        if order is None:
            raise CoinbaseError(404, "unknown", "order with this orderID was not found")
        return {"order": self._told(order)}

    def listed(self, asked: CoinbaseRequest) -> dict[str, Any]:
        """Return orders, newest first, by product, status, side and time of creation, a page at a time."""
        query = asked.query
        status, side = set(query.getall("order_status", [])), query.get("order_side")
        first, last = _time(query, "start_date"), _time(query, "end_date")
        found = [
            told
            for one, told in ((one, self._told(one)) for one in self._newest())
            if told["product_id"] in _products(query, told["product_id"])
            and (not status or told["status"] in status)
            and side in (None, one.side)
            and (first is None or first <= one.time_ms)
            and (last is None or one.time_ms < last)
        ]
        page, cursor = _page(found, query, most=1_000)
        return {"orders": page, "sequence": "0", "has_next": bool(cursor), "cursor": cursor}

    def fills(self, asked: CoinbaseRequest) -> dict[str, Any]:
        """Return executions, newest first, by product, order and time, a page at a time."""
        query = asked.query
        wanted = set(query.getall("order_id", []) + query.getall("order_ids", []))
        first, last = _time(query, "start_sequence_timestamp"), _time(query, "end_sequence_timestamp")
        found = [
            told
            for trade in reversed(self._exchange.trading.book.trades)
            for told in (formats.fill(trade, self._product(trade.symbol), self._shown_id(trade.order_id)),)
            if told["product_id"] in _products(query, told["product_id"])
            and (not wanted or told["order_id"] in wanted)
            and (first is None or first <= trade.time_ms)
            and (last is None or trade.time_ms < last)
        ]
        page, cursor = _page(found, query, most=250)
        return {"fills": page, "cursor": cursor}

    def accounts(self, _asked: CoinbaseRequest) -> dict[str, Any]:
        """Return what the account has of each asset."""
        account = self._exchange.account
        rows = [
            formats.account(name, free=account.free(name), locked=account.locked(name), fiat=name in _FIAT)
            for name in account.assets()
        ]
        return {"accounts": rows, "has_next": False, "cursor": "", "size": len(rows)}

    def old_accounts(self, _asked: CoinbaseRequest) -> dict[str, Any]:
        """Return what the account has of each asset as version 2 tells it."""
        account = self._exchange.account
        rows = [
            formats.old_account(name, total=account.free(name) + account.locked(name), fiat=name in _FIAT)
            for name in account.assets()
        ]
        return {"pagination": {"next_uri": None, "limit": 250, "order": "desc"}, "data": rows}

    def fees(self, _asked: CoinbaseRequest) -> dict[str, Any]:
        """Return the account's fee rates."""
        costs = self._exchange.config.execution
        maker = costs.fee if costs.maker_fee is None else costs.maker_fee
        tier = {"pricing_tier": "Simulated", "taker_fee_rate": str(costs.fee), "maker_fee_rate": str(maker)}
        return {"total_volume": 0, "total_fees": 0, "fee_tier": tier}

    def permissions(self, asked: CoinbaseRequest) -> dict[str, Any]:
        """Return what the key that asks may do."""
        key = asked.key
        may = {"can_view": True, "can_trade": bool(key and key.trade), "can_transfer": bool(key and key.withdraw)}
        return may | {"portfolio_uuid": "", "portfolio_type": "DEFAULT"}

    def _draft(self, asked: dict[str, Any]) -> Order:
        """Return what is asked for as an order of the exchange.

        Raises
        ------
        Declined
            If a part is missing or makes no sense.
        """
        product, side, client_id = (str(asked.get(name, "")) for name in ("product_id", "side", "client_order_id"))
        symbols = {formats.product_id(rules): name for name, rules in self._exchange.market.instruments.items()}
        if product not in symbols:
            raise invalid(f"invalid product_id {product!r}")
        if side not in ("BUY", "SELL"):
            raise invalid("side is BUY or SELL")
        if not 0 < len(client_id) <= 128:
            raise invalid("client_order_id is required, and of at most 128 characters")
        kind, terms = _configuration(asked)
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

    def _place(self, draft: Order, asked: dict[str, Any]) -> Order:
        """Place an order; a bracket is a target and a stop of which one cancels the other, shown as one order.

        Raises
        ------
        Refusal
            If it is not taken.
        """
        trading, terms = self._exchange.trading, asked.get("trigger_bracket_gtc")
        if terms is None:
            return trading.place(draft)
        stop = replace(draft, type="STOP_LOSS", price=ZERO, stop_price=_number(terms, "stop_trigger_price"))
        stop.client_id, stop.trades = draft.client_id + _STOP_LEG, []
        if (draft.price <= stop.stop_price) == draft.sells:
            raise invalid("the limit price lies on the far side of the stop's trigger price")
        trading.place_list("OCO", [stop, draft], draft.client_id)
        return draft

    def _stop_of(self, order: Order) -> Order | None:
        """Return the stop of an order that is a bracket."""
        if order.list_id < 0:
            return None
        book = self._exchange.trading.book
        members = book.members(book.lists[order.list_id])
        return next((one for one in members if one.client_id == order.client_id + _STOP_LEG), None)

    def _shown_id(self, number: int) -> str:
        """Return the id under which an order is shown: a bracket's stop has its target's."""
        book = self._exchange.trading.book
        order = book.orders[number]
        if order.client_id.endswith(_STOP_LEG):
            name = order.client_id.removesuffix(_STOP_LEG)
            number = next(one.id for one in book.members(book.lists[order.list_id]) if one.client_id == name)
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
        return (one for one in reversed(orders) if not one.client_id.endswith(_STOP_LEG))

    def _product(self, symbol: str) -> str:
        return formats.product_id(self._exchange.market.instruments[symbol])

    def _told(self, order: Order) -> dict[str, Any]:
        return formats.order(order, self._product(order.symbol), stop=self._stop_of(order))


def _configuration(asked: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    given = asked.get("order_configuration")
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
    """Return the products asked for; all, where none is."""
    return query.getall("product_ids", []) + query.getall("product_id", []) or [otherwise]


def _time(query: "MultiMapping[str]", name: str) -> int | None:
    """Return a time of a query in epoch milliseconds."""
    if name not in query:
        return None
    try:
        return round(datetime.fromisoformat(query[name]).timestamp() * 1_000)
    except ValueError as error:
        raise invalid(f"{name} is a time in RFC 3339") from error


def _page(rows: list[dict[str, Any]], query: "MultiMapping[str]", *, most: int) -> tuple[list[dict[str, Any]], str]:
    """Return one page, and where the next one begins: empty at the end."""
    try:
        first, limit = int(query.get("cursor") or 0), min(most, int(query.get("limit") or most))
    except ValueError as error:
        raise invalid("limit and cursor are numbers") from error
    return rows[first : first + limit], str(first + limit) if first + limit < len(rows) else ""
