"""The broker for Binance Spot: own request parameters and raw responses, over ccxt's signatures and connections."""

import json
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from atb.domain.orders import Order
from atb.domain.ports import Clock
from atb.domain.symbol import Symbol
from atb.domain.venue import Answer, OrderList
from atb.errors import InputError
from atb.venues.broker import reports
from atb.venues.broker.binance_reads import BinanceReads
from atb.venues.broker.capabilities import binance_capabilities
from atb.venues.broker.connection import Access
from atb.venues.broker.order_entry import OrderEntry
from atb.venues.broker.outcomes import SKEWED, Purpose
from atb.venues.broker.rules import TradingRules, binance_rules, plain
from atb.venues.broker.transport import Reply
from atb.venues.broker.venue import Request, is_protective, orders_of

WIDE_WINDOW_MS = 10_000  # of protective requests that keep missing the usual one
_MOST_MISSED = 2
_ANSWER = {"newOrderRespType": "FULL"}
Parameters = dict[str, str]


class BinanceBroker(BinanceReads):
    """A `Broker` at Binance Spot.

    Parameters
    ----------
    access
        Where the account is, and its key.
    clock
        The runner's clock.
    """

    def __init__(self, access: Access, clock: Clock) -> None:
        super().__init__(access, clock)
        self._missed = 0  # windows missed by protective requests, one after the other
        self._entry = OrderEntry.of(access, self._exchange, limiter=self.rate_limiter, now_ms=self.now_ms)

    async def open(self, symbols: Sequence[Symbol]) -> None:
        """Measure the venue's clock and load its limits and the rules of `symbols`.

        Raises
        ------
        InputError
            If it does not trade one of them.
        VenueError
            If the request fails.
        """
        await self._measure()
        info = await self._load_markets(symbols, self._read_market)
        self._parse(lambda: self.rate_limiter.set_limits(info.body["rateLimits"]))
        await self._entry.open()

    async def close(self) -> None:
        """Close every connection."""
        await self._entry.close()
        await super().close()

    async def refresh(self, symbols: Sequence[Symbol]) -> None:
        """Ask again for the rules of symbols, for what they allow, and for their status.

        Raises
        ------
        VenueError
            If the request fails.
        """
        names = {self._rules_of(symbol).venue_symbol: symbol for symbol in symbols}
        values = {"symbols": json.dumps(list(names), separators=(",", ":"))}
        call = partial(self._exchange.public_get_exchangeinfo, values)
        reply = await self._read(Request(call, weight=20, protective=True))
        for info in self._parse(lambda: list(reply.body["symbols"])):
            if (symbol := names.get(str(info.get("symbol")))) is not None:
                self._parse(partial(self._learn, symbol, info))

    async def place(self, order: Order | OrderList) -> Answer:
        """Send an order or an order list once; nothing is ever resent automatically."""
        orders = orders_of(order)
        legs = orders if not isinstance(order, OrderList) or order.kind == "oco" else orders[:1]
        if refused := self._refusal(legs) or self._refused_prices(orders[len(legs) :]):
            return refused
        symbol = orders[0].symbol
        name = self._rules_of(symbol).venue_symbol
        if isinstance(order, OrderList):
            method, values = f"orderList.place.{order.kind}", list_parameters(order, name)
        else:
            method, values = "order.place", order_parameters(order, name)
        read = partial(self._read_placed, order, symbol)
        protective = all(map(is_protective, orders))
        return await self._submit("place", method, values, read=read, orders=len(orders), protective=protective)

    async def cancel(self, order: Order | OrderList) -> Answer:
        """Cancel an order or a whole list; `rejected` with code -2011 means that no such order is open.

        Cancelling an order of a list cancels the whole list. Where a kept-alive connection is reset, aiohttp sends the DELETE a
        second time by itself: that cancels nothing else, for the name is this order's alone, and is answered -2011 if the first
        one was executed.
        """
        symbol = orders_of(order)[0].symbol
        values = {"symbol": self._rules_of(symbol).venue_symbol}
        if isinstance(order, OrderList):
            method, values = "orderList.cancel", values | {"listClientOrderId": order.client_id}
        else:
            method, values = "order.cancel", values | {"origClientOrderId": order.client_id}
        return await self._submit("cancel", method, values, read=partial(self._read_reports, symbol))

    async def replace(self, old: Order, new: Order) -> Answer:
        """Cancel `old` and place `new` in one request; if `old` is part of a list, the whole list is cancelled.

        `rejected` with a report of `old` as cancelled means that `old` is gone and the venue refused `new`.
        """
        if refused := self._refusal((new,)):
            return refused
        values = order_parameters(new, self._rules_of(new.symbol).venue_symbol)
        values |= {"cancelReplaceMode": "STOP_ON_FAILURE", "cancelOrigClientOrderId": old.client_id}
        read, protective = partial(self._read_replaced, new), is_protective(new)
        return await self._submit("replace", "order.cancelReplace", values, read=read, orders=1, protective=protective)

    async def _submit(
        self, purpose: Purpose, method: str, values: Parameters, *,
        read: Callable[[Reply], Awaitable[Answer]], orders: int = 0, protective: bool = True,
    ) -> Answer:  # fmt: skip
        """Make a request that changes something.

        One that protects a position gets a wider window after the usual one was missed again and again (a clock that lags, or a
        slow network), unless the usual one is as wide. The answer's `sent_ms` is later by the difference, so that the bound on
        late execution, which is counted from it, covers the wider window.
        """
        usual_ms = self._access.recv_window_ms
        wide = protective and self._missed >= _MOST_MISSED and usual_ms < WIDE_WINDOW_MS
        call = self._entry.request(method, values | ({"recvWindow": str(WIDE_WINDOW_MS)} if wide else {}))
        answer = await self._command(Request(call, orders=orders, protective=protective), purpose, read)
        if answer.code == SKEWED:
            self._missed += protective
        elif protective and answer.outcome != "unknown" and not _unjudged(answer):
            self._missed = 0
        return replace(answer, sent_ms=answer.sent_ms + WIDE_WINDOW_MS - usual_ms) if wide else answer

    async def check(self, order: Order) -> Answer:
        """Let the venue validate an order without placing it."""
        if refused := self._refusal((order,)):
            return refused
        values = order_parameters(order, self._rules_of(order.symbol).venue_symbol)
        call = self._entry.request("order.test", values)
        return await self._command(Request(call), "check", lambda _: Answer("done"))

    def _refused_prices(self, pending: Iterable[Order]) -> Answer | None:
        """Check the prices of pending legs; their quantity is known only when the entry is filled."""
        for order in pending:
            rules = self._rules_of(order.symbol)
            for price in (order.price, order.stop_price):
                if price is not None and (reason := rules.price.refuses(price)):
                    return Answer("rejected", "local:price_filter", f"{order.symbol}: {reason}", sent_ms=self.now_ms())
        return None

    async def _read_placed(self, order: Order | OrderList, symbol: Symbol, reply: Reply) -> Answer:
        """Read the response to an order or a list; it must name our client id."""
        if reply.status != 200:
            return Answer("unknown")
        key = "listClientOrderId" if isinstance(order, OrderList) else "clientOrderId"
        if reply.body[key] != order.client_id:
            raise KeyError(key)
        if isinstance(order, OrderList):
            self._lists[int(reply.body["orderListId"])] = order.client_id
        return await self._answer_with(symbol, reports.orders_in(reply.body))

    async def _read_reports(self, symbol: Symbol, reply: Reply) -> Answer:
        if reply.status != 200:
            return Answer("unknown")
        return await self._answer_with(symbol, reports.orders_in(reply.body))

    async def _read_replaced(self, new: Order, reply: Reply) -> Answer:
        """Read both parts of the response, of the cancellation and of the new order."""
        both = reply.body if reply.status == 200 else (reply.body or {}).get("data") or {}
        if reply.status == 200 and both["newOrderResponse"]["clientOrderId"] != new.client_id:
            raise KeyError("clientOrderId")
        halves = [both.get(name) or {} for name in ("cancelResponse", "newOrderResponse")]
        rows = [row for half in halves if "code" not in half and half for row in reports.orders_in(half)]
        return await self._answer_with(new.symbol, rows)

    async def _answer_with(self, symbol: Symbol, rows: list[dict[str, Any]]) -> Answer:
        """Return an answer with the reports and fills of orders in a response."""
        fills = [fill for row in rows for fill in row.get("fills") or ()]
        await self._learn_rates(reports.fee_assets(fills, symbol), symbol)
        found = self._remember(symbol, rows)
        price = partial(self._rate, symbol)
        return Answer(
            "done",
            reports=found,
            fills=tuple(fill for row in rows for fill in reports.executions(symbol, row, price)),
        )

    async def _read_market(self, symbol: Symbol, market: dict[str, Any]) -> TradingRules:
        self._learn(symbol, market["info"])
        return self._rules[symbol]

    def _learn(self, symbol: Symbol, info: dict[str, Any]) -> None:
        """Take in the rules of a symbol and what it allows."""
        self._rules[symbol] = binance_rules(symbol, info)
        self._allowed[symbol] = binance_capabilities(self.capabilities, info)

    def _is_market_stream(self, address: str) -> bool:
        return "/ws-api/" not in address


def _unjudged(answer: Answer) -> bool:
    """Return whether a refusal says nothing about the window: the request never left, or there were too many."""
    return answer.code.startswith("local:") or answer.retry_after_ms > 0


def order_parameters(order: Order, venue_symbol: str) -> Parameters:
    """Return the parameters of one order: exact numbers as text, under our client id."""
    values = {"symbol": venue_symbol, "side": order.side.upper(), "newClientOrderId": order.client_id}
    return values | {"quantity": plain(order.quantity)} | _terms(order) | _ANSWER


def list_parameters(orders: OrderList, venue_symbol: str) -> Parameters:
    """Return the parameters of a list of orders, every leg under our client id.

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
