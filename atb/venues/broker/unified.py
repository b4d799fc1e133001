"""The broker for any other exchange of ccxt, through its unified methods; features that ccxt does not declare are not used."""

from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from functools import partial
from typing import Any

from atb.domain.orders import Fill, Order
from atb.domain.ports import Clock
from atb.domain.published import Precision, needs_price
from atb.domain.symbol import Symbol
from atb.domain.timeframe import Timeframe
from atb.domain.venue import Answer, Balance, Commissions, OrderList, OrderReport, OrderState, Permissions
from atb.errors import VenueError
from atb.venues.broker.connection import Access
from atb.venues.broker.outcomes import Classifier, classify_coinbase, classify_kraken, classify_unlisted
from atb.venues.broker.rules import TradingRules, number, plain, unified_rules
from atb.venues.broker.transport import Reply
from atb.venues.broker.venue import Request, Venue, is_protective

CLASSIFIERS: dict[str, Classifier] = {"coinbase": classify_coinbase, "kraken": classify_kraken}
_WORST_STOP = Decimal("0.05")
"""Distance from trigger to limit, as a fraction, of a stop that becomes a limit order; wide, so that a gap rarely skips it."""
_STATES: dict[str, OrderState] = {
    "open": "new", "closed": "filled", "canceled": "cancelled", "cancelled": "cancelled", "expired": "expired",
    "rejected": "rejected",
}  # fmt: skip
_FIRST_BAR_PAGE = 300  # the smallest page of the exchanges in the table of capabilities


class UnifiedBroker(Venue):
    """A `Broker` at any exchange of ccxt.

    It has no order lists and no replacement in one request; an order is found by listing orders and matching our id.
    `capabilities.missing()` lists the consequences.
    """

    _bar_page_size = _FIRST_BAR_PAGE

    def __init__(self, access: Access, clock: Clock) -> None:
        super().__init__(access, clock, classify=CLASSIFIERS.get(access.id, classify_unlisted))
        self._seen: dict[str, int] = {}
        # ccxt then returns numbers as the text that the exchange sent.
        self._exchange.number = str

    def _after_page(self, timeframe: Timeframe, start_ms: int, page: list[list[Any]]) -> int | None:
        """Return the start of the next page of bars: many venues page by time, and leave out bars without a trade."""
        if page:
            return timeframe.next_ms(int(page[-1][0]))
        return start_ms + self._bar_page_size * timeframe.seconds * 1_000

    async def open(self, symbols: Sequence[Symbol]) -> None:
        """Measure the venue's clock and load the rules of `symbols`.

        Raises
        ------
        InputError
            If it does not trade one of them.
        DataError
            If it publishes neither a price step nor a last price of one of them.
        VenueError
            If the request fails.
        """
        await self._measure()
        await self._load_markets(symbols, self._read_rules)

    async def _read_rules(self, symbol: Symbol, market: dict[str, Any]) -> TradingRules:
        """Return the rules of a market; its last price is requested only if a step depends on it."""
        from ccxt import SIGNIFICANT_DIGITS, TICK_SIZE

        known: dict[int, Precision] = {TICK_SIZE: "tick_size", SIGNIFICANT_DIGITS: "significant_digits"}
        mode = known.get(self._exchange.precisionMode, "decimal_places")
        if not needs_price(market, mode):
            return unified_rules(symbol, market, mode=mode)
        ticker = (await self._read(Request(partial(self._exchange.fetch_ticker, str(symbol))))).value
        last = number(ticker["last"]) if ticker.get("last") else None
        return unified_rules(symbol, market, mode=mode, last=last)

    async def place(self, order: Order | OrderList) -> Answer:
        """Send an order once; order lists are refused as unsupported."""
        if isinstance(order, OrderList):
            return self._unsupported("a list of orders")
        if order.type == "stop" and not self.capabilities.stops:
            return self._unsupported("a stop that rests")
        if refused := self._refusal((order,)):
            return refused
        request = Request(self._creation(order), orders=1, protective=is_protective(order))
        return await self._command(request, "place", partial(self._read_placed, order))

    async def cancel(self, order: Order | OrderList) -> Answer:
        """Cancel an order; `rejected` means that the venue lists no such open order."""
        if isinstance(order, OrderList):
            return self._unsupported("a list of orders")
        try:
            listed = await self.open_orders(order.symbol)
        except VenueError as error:
            return Answer("unknown", "unlisted", str(error), retry_after_ms=error.retry_after_ms, sent_ms=self.now_ms())
        found = next((report for report in listed if report.client_id == order.client_id), None)
        if found is None:
            return Answer("rejected", "local:not_open", "the venue lists no such open order", sent_ms=self.now_ms())
        call = self._cancellation(found.exchange_id, order)
        return await self._command(Request(call, protective=True), "cancel", lambda _: Answer("done"))

    async def replace(self, old: Order, new: Order) -> Answer:  # noqa: ARG002 - the port's signature
        """Refuse as unsupported: the venue cannot cancel and place in one request."""
        return self._unsupported("a replacement in one request")

    async def check(self, order: Order) -> Answer:
        """Let the venue validate an order without placing it, if it supports that."""
        if not self.capabilities.checks:
            return self._unsupported("judging an order without placing it")
        if refused := self._refusal((order,)):
            return refused
        return await self._command(Request(self._trial(order)), "check", lambda _: Answer("done"))

    async def find(self, order: Order) -> OrderReport | None:
        """Find one of our orders in the venue's lists; None if no list has its id.

        Raises
        ------
        VenueError
            If the request fails, or the venue does not list closed orders.
        """
        hint = self._search_hint(order)
        return await self._search(order.symbol, lambda report: report.client_id == order.client_id, hint)

    async def find_by_id(self, symbol: Symbol, exchange_id: str) -> OrderReport | None:
        """Find any order of the account in the venue's lists by the venue's id; None if no list has it.

        Raises
        ------
        VenueError
            If the request fails, or the venue does not list closed orders.
        """
        return await self._search(symbol, lambda report: report.exchange_id == exchange_id)

    async def find_list(self, symbol: Symbol, list_id: str) -> Mapping[str, str] | None:  # noqa: ARG002 - the port's signature
        """Return None: there are no order lists."""
        return None

    async def all_orders(self, symbol: Symbol, *, since_ms: int) -> Sequence[OrderReport]:
        """Return the account's orders in a symbol that were placed or changed at `since_ms` or later, in any state.

        Raises
        ------
        VenueError
            If the request fails, or the venue does not list closed orders.
        """
        found: dict[str, OrderReport] = {}
        for listing in ("fetch_open_orders", self._history()):
            found |= {report.exchange_id: report for report in await self._list_orders(listing, symbol)}
        return [report for report in found.values() if report.time_ms >= since_ms]

    async def _search(
        self, symbol: Symbol, wanted: Callable[[OrderReport], bool], hint: dict[str, str] | None = None
    ) -> OrderReport | None:
        """Return the first order in the venue's lists that is wanted."""
        for listing in ("fetch_open_orders", self._history()):
            for report in await self._list_orders(listing, symbol, hint):
                if wanted(report):
                    return report
        return None

    async def open_orders(self, symbol: Symbol) -> Sequence[OrderReport]:
        """Return every open order of the account in a symbol, including orders placed by others.

        Raises
        ------
        VenueError
            If the request fails.
        """
        await self._measure_if_old()
        return await self._list_orders("fetch_open_orders", symbol)

    async def trades(self, symbol: Symbol, *, after: str | None, since_ms: int) -> Sequence[Fill]:
        """Return executions oldest first: those after trade id `after`, or if that is None those from `since_ms`.

        Raises
        ------
        VenueError
            If the request fails.
        """
        start = self._seen.get(after, since_ms) if after is not None else since_ms
        reply = await self._read(Request(partial(self._exchange.fetch_my_trades, str(symbol), start), weight=20))
        rows = sorted(reply.value, key=lambda row: (int(row["timestamp"]), str(row["id"])))
        found = [self._fill(symbol, row) for row in rows]
        self._seen = {fill.trade_id: fill.time_ms for fill in found} or self._seen
        ids = [fill.trade_id for fill in found]
        return found[ids.index(after) + 1 :] if after in ids else found

    async def balances(self) -> dict[str, Balance]:
        """Return the account's balances by asset.

        Raises
        ------
        VenueError
            If the request fails.
        """
        value = (await self._read(Request(self._exchange.fetch_balance, weight=20))).value
        free, total = value.get("free") or {}, value.get("total") or {}
        found = {asset: _balance(free.get(asset), total[asset]) for asset in total}
        return {asset: balance for asset, balance in found.items() if balance.total}

    async def permissions(self) -> Permissions:
        """Raise `VenueError`: ccxt has no unified method for a key's permissions."""
        todo = "Check the key on the exchange's website: trading allowed, withdrawals not"
        raise VenueError(f"{self._access.id} does not report a key's permissions", todo=todo)

    async def commissions(self, symbol: Symbol) -> Commissions | None:
        """Return None: ccxt's unified rates are those of the venue's price list, not the account's."""
        self._rules_of(symbol)
        return None

    def _creation(self, order: Order) -> Callable[[], Any]:
        """Return the call that creates an order."""
        return self._create(order, {})

    def _trial(self, order: Order) -> Callable[[], Any]:
        """Return the call that lets the venue validate an order."""
        return self._create(order, {"validate": True})

    def _cancellation(self, exchange_id: str, order: Order) -> Callable[[], Any]:
        """Return the call that cancels an order by the venue's id."""
        return partial(self._exchange.cancel_order, exchange_id, str(order.symbol))

    def _create(self, order: Order, extra: dict[str, Any]) -> Callable[[], Any]:
        """Return ccxt's call with every number as exact text."""
        name = self.capabilities.client_id_parameter
        # ccxt itself turns the unified name into Kraken's.
        params: dict[str, Any] = {"clientOrderId" if name == "cl_ord_id" else name: order.client_id} | extra
        if self._access.id == "kraken" and (bound := self.capabilities.late_bound_ms):
            params["deadline"] = self._exchange.iso8601(self.now_ms() + bound)
        kind, price = ("market" if order.type == "market" and order.price is None else "limit"), order.price
        if order.type == "market" and order.price is not None:
            params["timeInForce"] = "IOC"
        if order.type == "stop" and order.stop_price is not None:
            params["stopLossPrice"] = plain(order.stop_price)
            at_market = self.capabilities.stops_at_market
            kind, price = ("market", None) if at_market else ("limit", self._limit_behind_stop(order))
        amount, limit = plain(order.quantity), plain(price) if price is not None else None
        return partial(self._exchange.create_order, str(order.symbol), kind, order.side, amount, limit, params)

    def _limit_behind_stop(self, order: Order) -> Decimal:
        """Return the limit price of a stop that becomes a limit order."""
        share = 1 - _WORST_STOP if order.side == "sell" else 1 + _WORST_STOP
        return self.instrument(order.symbol).round_price((order.stop_price or Decimal(0)) * share)

    def _read_placed(self, order: Order, reply: Reply) -> Answer:
        """Read ccxt's result, which at many exchanges holds little more than the venue's order id."""
        if reply.value is None:
            return Answer("unknown")
        return Answer("done", reports=(new_report(order, str(reply.value["id"]), reply.sent_ms),))

    def _history(self) -> str:
        names = {
            "fetchOrders": "fetch_orders",
            "fetchCanceledAndClosedOrders": "fetch_canceled_and_closed_orders",
            "fetchClosedOrders": "fetch_closed_orders",
        }
        for name, method in names.items():
            if self._exchange.has.get(name):
                return method
        raise VenueError(f"{self._access.id} does not list closed orders")

    def _search_hint(self, order: Order) -> dict[str, str]:
        """Return parameters that filter a list by our id, if the venue supports that."""
        return {"clientOrderId": order.client_id} if self._access.id == "kraken" else {}

    async def _list_orders(
        self, listing: str, symbol: Symbol, where: dict[str, str] | None = None
    ) -> list[OrderReport]:
        call = partial(getattr(self._exchange, listing), str(symbol), None, None, where or {})
        return [_report(symbol, row) for row in (await self._read(Request(call, weight=6))).value]

    def _fill(self, symbol: Symbol, row: dict[str, Any]) -> Fill:
        fee = row.get("fee") or {}
        price, paid, asset = _number(row["price"]), _number(fee.get("cost")), str(fee.get("currency") or symbol.quote)
        rate = {symbol.quote: Decimal(1), symbol.base: price}.get(asset)
        if rate is None and paid:
            self._note_unpriced(asset, symbol.quote, str(row["id"]))
        return Fill(
            trade_id=str(row["id"]),
            client_id="",
            symbol=symbol,
            side="buy" if row["side"] == "buy" else "sell",
            price=price,
            quantity=_number(row["amount"]),
            fee=paid,
            fee_asset=asset,
            fee_value=paid * (rate or Decimal(0)),
            time_ms=int(row["timestamp"]),
            order_id=str(row.get("order") or ""),
        )

    def _unsupported(self, what: str) -> Answer:
        return Answer("rejected", "local:unsupported", f"{self._access.id} lacks {what}", sent_ms=self.now_ms())


def new_report(order: Order, exchange_id: str, time_ms: int) -> OrderReport:
    """Return the report of an order that a venue has just accepted."""
    return OrderReport(
        client_id=order.client_id,
        exchange_id=exchange_id,
        symbol=order.symbol,
        side=order.side,
        type=order.type,
        state="new",
        quantity=order.quantity,
        filled=Decimal(0),
        price=order.price,
        stop_price=order.stop_price,
        time_ms=time_ms,
    )


def _report(symbol: Symbol, row: dict[str, Any]) -> OrderReport:
    info = row.get("info") or {}
    filled, quantity = _number(row.get("filled")), _number(row.get("amount"))
    state = _STATES.get(str(row.get("status")), "new")
    stop = row.get("triggerPrice") or row.get("stopPrice") or row.get("stopLossPrice")
    kind = str(row.get("type") or "limit")
    return OrderReport(
        client_id=str(row.get("clientOrderId") or info.get("client_order_id") or info.get("cl_ord_id") or ""),
        exchange_id=str(row["id"]),
        symbol=symbol,
        side="buy" if row.get("side") == "buy" else "sell",
        type="stop" if stop else "market" if kind == "market" else "limit",
        state="partially_filled" if state == "new" and filled else state,
        quantity=quantity,
        filled=filled,
        price=(_number(row.get("price")) or None) if kind != "market" else None,
        stop_price=_number(stop) or None,
        time_ms=int(row.get("lastUpdateTimestamp") or row.get("timestamp") or 0),
    )


def _balance(free: Any, total: Any) -> Balance:
    available = _number(free)
    return Balance(available, _number(total) - available)


def _number(value: Any) -> Decimal:
    return number(value) if value is not None else Decimal(0)
