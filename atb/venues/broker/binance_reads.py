"""Reads at Binance Spot: an account's orders, lists, executions, balances and permissions; prices and candles."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import partial
from typing import Any, TypeVar

from atb.domain.orders import Fill, Order
from atb.domain.ports import Clock
from atb.domain.symbol import Symbol
from atb.domain.timeframe import Timeframe
from atb.domain.venue import Balance, Commissions, OrderReport, Permissions
from atb.errors import VenueError
from atb.times import DAY_MS, MINUTE_MS
from atb.venues.broker import reports
from atb.venues.broker.connection import Access
from atb.venues.broker.outcomes import ARCHIVED_ORDER, UNKNOWN_ORDER, UnansweredError, classify_binance
from atb.venues.broker.reports import Malformed
from atb.venues.broker.rules import number
from atb.venues.broker.transport import Reply
from atb.venues.broker.venue import Request, Venue, is_protective

_PAGE = 1_000
_MAX_REMEMBERED = 10_000
_Read = TypeVar("_Read")
Where = dict[str, str]
Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Listing:
    """A list of Binance that comes in pages of rows with ascending ids.

    Parameters
    ----------
    method
        ccxt's method that asks for a page.
    id
        Name of a row's id.
    from_id
        Parameter with the id that a page begins at.
    """

    method: str
    id: str
    from_id: str


TRADES = Listing("private_get_mytrades", "id", "fromId")
ORDERS = Listing("private_get_allorders", "orderId", "orderId")


class BinanceReads(Venue):
    """The requests of a `Broker` at Binance Spot that change nothing.

    Parameters
    ----------
    access
        Where the account is, and its key.
    clock
        The runner's clock.
    """

    def __init__(self, access: Access, clock: Clock) -> None:
        super().__init__(access, clock, classify=classify_binance)
        self._lists: dict[int, str] = {}
        self._ids: dict[tuple[Symbol, str], str] = {}
        self._rates: dict[str, tuple[int, Decimal | None]] = {}

    async def find(self, order: Order) -> OrderReport | None:
        """Query one of our orders; None if the venue answers that it does not exist.

        An archived order (-2026: it ended unfilled over 90 days ago) is reported as cancelled.

        Raises
        ------
        VenueError
            If the request fails.
        """
        where = {"origClientOrderId": order.client_id}
        try:
            row = await self._order_row(order.symbol, where, protective=is_protective(order))
        except ArchivedError:
            return reports.archived(order)
        return None if row is None else self._parse(lambda: self._remember(order.symbol, (row,))[0])

    async def find_by_id(self, symbol: Symbol, exchange_id: str) -> OrderReport | None:
        """Query any order of the account by the venue's id, which an execution names; None if it does not exist.

        Raises
        ------
        VenueError
            If the request fails.
        """
        try:
            row = await self._order_row(symbol, {"orderId": exchange_id}, protective=True)
        except ArchivedError:
            return None
        return None if row is None else self._parse(lambda: self._remember(symbol, (row,))[0])

    async def find_list(self, symbol: Symbol, list_id: str) -> Mapping[str, str] | None:
        """Query one of our order lists: the venue's id of each leg by its client id; None if the list does not exist.

        Raises
        ------
        VenueError
            If the request fails.
        """
        call = partial(self._exchange.private_get_orderlist, {"origClientOrderId": list_id})
        reply = await self._read_known(Request(call, weight=4, protective=True))
        return None if reply is None else self._parse(lambda: self._remember_list(symbol, reply.body))

    async def all_orders(self, symbol: Symbol, *, since_ms: int) -> Sequence[OrderReport]:
        """Return the account's orders in a symbol that were placed at `since_ms` or later, in any state.

        Raises
        ------
        VenueError
            If the request fails.
        """
        rows = await self._rows_since(ORDERS, symbol, since_ms)
        return self._parse(lambda: self._remember(symbol, rows))

    async def open_orders(self, symbol: Symbol) -> Sequence[OrderReport]:
        """Return every open order of the account in a symbol, including orders placed by others.

        Raises
        ------
        VenueError
            If the request fails.
        """
        await self._measure_if_old()
        values = {"symbol": self._rules_of(symbol).venue_symbol}
        reply = await self._read(Request(partial(self._exchange.private_get_openorders, values), weight=6))
        return self._parse(lambda: self._remember(symbol, reply.body))

    async def trades(self, symbol: Symbol, *, after: str | None, since_ms: int) -> Sequence[Fill]:
        """Return executions oldest first: those after trade id `after`, or if that is None those from `since_ms`.

        `client_id` is filled in for orders that this broker has seen; the venue returns only its own order id.

        Raises
        ------
        VenueError
            If the request fails.
        """
        if after is not None:
            rows = await self._rows_from(TRADES, symbol, int(after) + 1)
        else:
            rows = await self._page(TRADES, symbol, {})
            if len(rows) == _PAGE and int(rows[0]["time"]) > since_ms:
                rows = await self._rows_since(TRADES, symbol, since_ms)
            rows = [row for row in rows if int(row["time"]) >= since_ms]
        await self._learn_rates(reports.fee_assets(rows, symbol), symbol)
        return self._parse(lambda: [self._fill(symbol, row) for row in rows])

    async def price(self, symbol: Symbol) -> Decimal:
        """Return the last price (quote per base).

        Raises
        ------
        VenueError
            If the request fails.
        """
        return await self._last_price(self._rules_of(symbol).venue_symbol, protective=True)

    async def balances(self) -> dict[str, Balance]:
        """Return the account's balances by asset.

        Raises
        ------
        VenueError
            If the request fails.
        """
        call = partial(self._exchange.private_get_account, {"omitZeroBalances": "true"})
        reply = await self._read(Request(call, weight=20))
        return self._parse(lambda: reports.balances_in(reply.body))

    async def permissions(self) -> Permissions:
        """Return the key's permissions.

        Raises
        ------
        VenueError
            If the request fails.
        """
        reply = await self._read(Request(self._exchange.sapi_get_account_apirestrictions))
        may = reply.body
        return self._parse(
            lambda: Permissions(
                trade=bool(may["enableSpotAndMarginTrading"]),
                withdraw=bool(may["enableWithdrawals"]),
                ip_restricted=bool(may["ipRestrict"]),
            )
        )

    async def commissions(self, symbol: Symbol) -> Commissions | None:
        """Return the account's commission rates in a symbol.

        Raises
        ------
        VenueError
            If the request fails.
        """
        values = {"symbol": self._rules_of(symbol).venue_symbol}
        reply = await self._read(Request(partial(self._exchange.private_get_account_commission, values), weight=20))
        return self._parse(lambda: reports.commissions_in(reply.body))

    async def _bar_page(self, symbol: Symbol, timeframe: Timeframe, since_ms: int) -> list[list[Any]]:
        """Return raw candles, without ccxt's paging, which would move the start."""
        values = {"symbol": self._rules_of(symbol).venue_symbol, "interval": str(timeframe)}
        values |= {"startTime": str(since_ms), "limit": str(_PAGE)}
        reply = await self._read(Request(partial(self._exchange.public_get_klines, values), weight=2))
        return self._parse(lambda: [[int(row[0]), *row[1:6]] for row in reply.body if int(row[0]) >= since_ms])

    async def _rows_from(self, listing: Listing, symbol: Symbol, first: int) -> list[Row]:
        """Return every row from an id on."""
        found: list[Row] = []
        while True:
            rows = await self._page(listing, symbol, {listing.from_id: str(first)})
            found += rows
            if len(rows) < _PAGE:
                return found
            first = int(rows[-1][listing.id]) + 1

    async def _rows_since(self, listing: Listing, symbol: Symbol, since_ms: int) -> list[Row]:
        """Return every row from a time on; the first is searched day by day, the venue's longest window."""
        start = since_ms
        while start <= self.now_ms():
            window = {"startTime": str(start), "endTime": str(start + DAY_MS - 1)}
            if rows := await self._page(listing, symbol, window):
                return await self._rows_from(listing, symbol, int(rows[0][listing.id]))
            start += DAY_MS
        return []

    async def _page(self, listing: Listing, symbol: Symbol, where: Where) -> list[Row]:
        values = {"symbol": self._rules_of(symbol).venue_symbol, "limit": str(_PAGE)} | where
        reply = await self._read(Request(partial(getattr(self._exchange, listing.method), values), weight=20))
        return self._parse(lambda: sorted(reply.body, key=lambda row: int(row[listing.id])))

    def _fill(self, symbol: Symbol, row: Row) -> Fill:
        client_id = self._ids.get((symbol, str(row["orderId"])), "")
        return reports.execution(symbol, row | {"clientOrderId": client_id}, partial(self._rate, symbol))

    async def _order_row(self, symbol: Symbol, where: Where, *, protective: bool) -> Row | None:
        """Return one order as the venue shows it, None if it does not exist."""
        values = {"symbol": self._rules_of(symbol).venue_symbol} | where
        call = partial(self._exchange.private_get_order, values)
        reply = await self._read_known(Request(call, weight=4, protective=protective))
        return None if reply is None else reply.body

    async def _read_known(self, request: Request) -> Reply | None:
        """Read what may not exist: None if the venue says that it does not."""
        try:
            return await self._read(request)
        except UnansweredError as failure:
            if failure.reply.status == 400 and failure.classified.code == UNKNOWN_ORDER:
                return None
            if failure.reply.status == 400 and failure.classified.code == ARCHIVED_ORDER:
                raise ArchivedError("The order is archived", found=failure.classified.text) from failure
            raise

    def _remember(self, symbol: Symbol, rows: Iterable[Row]) -> tuple[OrderReport, ...]:
        """Read orders, and remember the client id of each of the venue's order ids."""
        found = tuple(reports.order_report(symbol, row, self._lists) for row in rows)
        for report in found:
            self._ids.setdefault((symbol, report.exchange_id), report.client_id)
        _forget_oldest(self._ids)
        _forget_oldest(self._lists)
        return found

    def _remember_list(self, symbol: Symbol, body: Row) -> dict[str, str]:
        """Read a list's legs, and remember the client ids of list and legs."""
        self._lists[int(body["orderListId"])] = str(body["listClientOrderId"])
        legs = {str(leg["clientOrderId"]): str(leg["orderId"]) for leg in body["orders"]}
        self._ids |= {(symbol, exchange_id): client_id for client_id, exchange_id in legs.items()}
        return legs

    async def _learn_rates(self, assets: set[str], symbol: Symbol) -> None:
        """Request the prices of fee assets; a failed request leaves an asset without a price for a minute."""
        now = self.now_ms()
        for asset in assets:
            pair = asset + symbol.quote
            if now - self._rates.get(pair, (-MINUTE_MS, None))[0] < MINUTE_MS:
                continue
            try:
                self._rates[pair] = now, await self._last_price(pair)
            except VenueError:
                self._rates[pair] = now, None

    async def _last_price(self, venue_symbol: str, *, protective: bool = False) -> Decimal:
        call = partial(self._exchange.public_get_ticker_price, {"symbol": venue_symbol})
        reply = await self._read(Request(call, weight=2, protective=protective))
        return self._parse(lambda: number(reply.body["price"]))

    def _rate(self, symbol: Symbol, asset: str, trade_id: str) -> Decimal | None:
        rate = self._rates.get(asset + symbol.quote, (0, None))[1]
        if rate is None:
            self._note_unpriced(asset, symbol.quote, trade_id)
        return rate

    def _parse(self, read: Callable[[], _Read]) -> _Read:
        """Read a response with `read`.

        Raises
        ------
        VenueError
            If the response is malformed.
        """
        try:
            return read()
        except Malformed as error:
            raise VenueError("Binance's answer is malformed", found=type(error).__name__) from error


class ArchivedError(VenueError):
    """The venue has archived an order: it ended without an execution, long ago."""


def _forget_oldest(known: dict[Any, str]) -> None:
    """Drop the oldest entries: a broker runs for months, and old orders are over."""
    while len(known) > _MAX_REMEMBERED:
        del known[next(iter(known))]
