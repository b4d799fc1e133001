"""The life of orders: placed, matched, filled, expired, cancelled; no other code does any of this to an order."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from decimal import Decimal
from itertools import takewhile
from typing import Any

from atb.venues.simulator import refusals
from atb.venues.simulator.accounts import Account
from atb.venues.simulator.announcements import Announcements
from atb.venues.simulator.book import OrderBook
from atb.venues.simulator.configuration import ExchangeConfig
from atb.venues.simulator.contingent_orders import ContingentOrders, Finish, Start, Step
from atb.venues.simulator.events import BalanceUpdate, Event, ExecutionType, MarketTrade
from atb.venues.simulator.faults import Strike, never
from atb.venues.simulator.fees import Fees
from atb.venues.simulator.matching import (
    exchange_price,
    is_marketable,
    is_passed,
    precedence,
    price_met_in_bar,
    rounded_down,
    walk_book,
    would_trigger,
)
from atb.venues.simulator.orders import STOPS, ZERO, Order, OrderList, Trade
from atb.venues.simulator.pretrade import check_price, check_rules, required_balance
from atb.venues.simulator.settlement import Settlement
from atb.venues.simulator.tape import AFTER_RANGE, Tape

OUT_OF_RANGE = "EXECUTION_RULE_PRICE_RANGE_EXCEEDED"
AT_MARKET = frozenset(("MARKET", "STOP_LOSS", "TAKE_PROFIT"))


class Trading:
    """One account's orders on all symbols.

    Parameters
    ----------
    config
        Costs, filters and the depth of the book.
    tapes
        The price of every symbol.
    account
        The balances.
    announce
        Called with every event, in order.
    now
        Exchange time in epoch milliseconds.
    strike
        Called with a kind of fault in the matching engine and the order at hand; returns the fault's details if one strikes.
    """

    def __init__(
        self,
        config: ExchangeConfig,
        tapes: Mapping[str, Tape],
        account: Account,
        *,
        announce: Callable[[Event], None],
        now: Callable[[], int],
        strike: Strike = never,
    ) -> None:
        self.config, self.tapes, self.account = config, tapes, account
        self.book, self.fees = OrderBook(), Fees(config.execution, config.fee_in, exact=config.exact_fees)
        self.announcements, self.now = Announcements(self.book, account, publish=announce, now=now), now
        self.settlement = Settlement(account, tapes, config=config, fees=self.fees)
        self._strike = strike
        self._contingent = ContingentOrders(
            self.book, account, tapes, announcements=self.announcements, config=config, fees=self.fees, strike=strike
        )
        self._room: dict[str, Decimal] = {}  # volume that this bar's resting orders may still take, by symbol
        self._opened: dict[str, Any] = {}  # the last bar of each symbol whose open was matched

    # --- placing

    def place(self, draft: Order) -> Order:
        """Check an order, accept it, and let it meet the market.

        Raises
        ------
        Refusal
            If it is not accepted: nothing has changed then.
        """
        self.match_open(draft.symbol)
        self.check(draft)
        self._accept(draft, locked=self._required_balance(draft)[1] if draft.type != "MARKET" else ZERO)
        self._match_new(draft)
        self.announcements.balances()
        return draft

    def place_list(self, kind: str, drafts: Sequence[Order], client_id: str) -> OrderList:
        """Check and accept a list: an OCO's pair, or a working order followed by its pending legs.

        Raises
        ------
        Refusal
            If any of its orders is not accepted: nothing has changed then.
        """
        self.match_open(drafts[0].symbol)
        working, pending = (drafts, ()) if kind == "OCO" else (drafts[:1], drafts[1:])
        self.tapes[drafts[0].symbol].capabilities.check_list(kind)
        self.book.check_client_ids(drafts, client_id)
        for draft in working:
            self._check_terms(draft, paired=kind == "OCO")
        self._contingent.check_pending(pending)
        asset, amount = self._contingent.required_balance(working)
        self.account.require(asset, amount)
        orders = self._contingent.add(kind, drafts, client_id)
        for k, draft in enumerate(drafts):
            self._accept(draft, locked=amount if k == 0 else ZERO, pending=k >= len(working))
        self._contingent.announce_list(orders)
        for draft in self._contingent.in_order(working):
            self._match_new(draft)
        self.announcements.balances()
        return orders

    def check(self, draft: Order) -> None:
        """Refuse an order that the exchange would not accept.

        Raises
        ------
        Refusal
            With Binance's code for the first reason.
        """
        self._check_terms(draft)
        self.book.check_client_ids([draft])
        self.account.require(*self._required_balance(draft))

    def check_rules(self, draft: Order) -> None:
        """Refuse an order that its symbol does not allow, or that breaks a filter.

        Raises
        ------
        Refusal
            With Binance's code for the first reason.
        """
        beside, tape = self.book.open_in(draft.symbol), self.tapes[draft.symbol]
        check_rules(draft, tape, self.config.filters, open_orders=beside, now_ms=self.now())

    def _check_terms(self, draft: Order, *, paired: bool = False) -> None:
        tape = self.tapes[draft.symbol]
        if not tape.open:
            raise refusals.market_closed()
        self.check_rules(draft)
        check_price(draft, tape, paired=paired)

    def _required_balance(self, draft: Order) -> tuple[str, Decimal]:
        return required_balance(draft, self.tapes[draft.symbol], self.fees)

    def _accept(self, order: Order, *, locked: Decimal, pending: bool = False) -> None:
        """Add a checked order to the book, or as a leg that waits for its working order."""
        now = self.now()
        order.id, order.time_ms, order.update_ms = self.book.new_id(), now, now
        order.status = "PENDING_NEW" if pending else "NEW"
        self.book.add(order)
        if pending:
            self.announcements.order(order, "NEW")
        else:
            self._start(order, locked=locked)

    def _start(self, order: Order, *, locked: Decimal = ZERO) -> None:
        """Set aside what an order needs, and announce it as new."""
        order.status, order.update_ms = "NEW", self.now()
        if order.type not in STOPS:
            order.working_ms = self.now()
        self.settlement.set_aside(order, locked)
        self.announcements.order(order, "NEW")

    def _take_steps(self, steps: Iterable[Step]) -> None:
        """Take the steps that contingent orders yield, one at a time."""
        for step in steps:
            if isinstance(step, Finish):
                self._finish(step.order, step.status, reason=step.reason)
            elif isinstance(step, Start):
                self._start(step.order)
            else:
                self._match_new(step.order, step.inside)

    # --- meeting the market

    def _match_new(self, order: Order, inside: int | None = None) -> None:
        """Match a new order against the last price, or after the range moment against the bar.

        Parameters
        ----------
        order
            An order on the book.
        inside
            How its entry filled in this bar, for a leg that its working order has just placed; None for a single order.
        """
        tape = self.tapes[order.symbol]
        if not tape.open or not order.open:
            return
        takes = order.type == "MARKET" or order.tif in {"IOC", "FOK"}
        if tape.phase == AFTER_RANGE and order.sells and not takes:
            met = price_met_in_bar(order, tape, inside=tape.entered if inside is None else inside)
            if not math.isnan(met):
                self._execute(order, met)
        elif order.is_stop:
            if would_trigger(order, tape.price):
                self._execute(order, tape.price)
        elif order.type == "MARKET" or (order.type == "LIMIT" and is_marketable(order, tape.price)):
            self._take(order, tape.price)
        elif takes:
            self._finish(order, "EXPIRED")

    def match_bar(self, tape: Tape) -> None:
        """Match resting orders against the tape's bar: sells first, then buys, as the kernel does."""
        symbol = tape.symbol
        if not self.book.has_open(symbol) or tape.halted:
            return
        self.match_open(symbol)
        working = [order for order in self.book.open_in(symbol) if order.status != "PENDING_NEW"]
        resting = [order for order in working if not self._passed_at_open(order, tape)]
        met = [(order, price_met_in_bar(order, tape, inside=0)) for order in resting if order.sells]
        found = [(order, price) for order, price in met if not math.isnan(price)]
        for order, price in sorted(found, key=lambda pair: precedence(pair[0], pair[1], tape)):
            if order.open:
                self._execute(order, price)
        for order in resting:
            price = math.nan if order.sells or not order.open else price_met_in_bar(order, tape, inside=0)
            if not math.isnan(price):
                at_open = price == float(tape.bar["open"]) or is_passed(order, tape)
                order.inside = tape.entered = 0 if at_open else 1 if order.is_stop else 2
                tape.entered_at = float(tape.bar["open"]) if at_open else price
                self._execute(order, price)
        self.announcements.balances()

    def match_open(self, symbol: str) -> None:
        """Match the limit sells that rested when a symbol's bar opened beyond them: takers reached them on the way to the open.

        Done once for each bar, before the first request of it that could change them. A buy that is withdrawn at a bar's close is
        taken to be gone before the next open, as in a backtest; one that stays is matched with the bar's range.
        """
        tape = self.tapes[symbol]
        if tape.bar is None or not tape.open or self._opened.get(symbol) is tape.bar:
            return
        self._opened[symbol] = tape.bar
        if self.config.book.share is not None:
            share = Decimal(str(self.config.book.share * float(tape.bar["volume"])))
            self._room[symbol] = tape.rules.floor_quantity(share)
        for order in self.book.open_in(symbol):
            if order.open and self._passed_at_open(order, tape):
                self._execute(order, price_met_in_bar(order, tape, inside=0))
        self.announcements.balances()

    def _passed_at_open(self, order: Order, tape: Tape) -> bool:
        """Return True for a limit sell that rested when the bar opened at its price or a better one."""
        rested = order.sells and order.status != "PENDING_NEW" and order.working_ms < int(tape.bar["opened"])
        return rested and is_passed(order, tape)

    def _execute(self, order: Order, met: float) -> None:
        """Execute an order at the price it reached: stops as taker, limits as maker."""
        if not order.is_stop:
            self._make(order, exchange_price(met))
            return
        order.triggered, order.working_ms = True, self.now()
        self._take_steps(self._contingent.on_execution(order))
        if self._strike("expire_stop", order) is not None:
            self._finish(order, "EXPIRED", expiry=OUT_OF_RANGE)
        elif order.type in AT_MARKET or is_marketable(order, met):
            self._take(order, met)
        else:
            self.announcements.order(order, "NEW")

    def _make(self, order: Order, price: Decimal) -> None:
        """Fill a resting limit order at a price, as far as the liquidity goes."""
        room = self._room.get(order.symbol) if self.config.book.share is not None else None
        quantity = min(amount for amount in (order.rest, self.config.book.max_execution, room) if amount is not None)
        quantity = self._struck_part(order, quantity)
        if quantity <= 0:
            return
        if room is not None:
            self._room[order.symbol] = room - quantity
        self._fill(order, quantity, price, maker=True)

    def _struck_part(self, order: Order, quantity: Decimal) -> Decimal:
        """Return how much of a quantity is executed now where a fault lets an order with a limit be met in part."""
        rules = self.tapes[order.symbol].rules
        if not order.price or quantity <= rules.lot or (detail := self._strike("partial", order)) is None:
            return quantity
        share = rules.floor_quantity(quantity * Decimal(str(detail.get("share", 0.5))))
        return min(max(share, rules.lot), quantity - rules.lot)

    def _take(self, order: Order, met: float) -> None:
        """Fill a taker order against the book; a rest that may not rest on the book expires."""
        tape, at_market = self.tapes[order.symbol], order.type in AT_MARKET
        most = self._struck_part(order, order.rest)
        found = list(walk_book(order, met, tape, book=self.config.book, most=most))
        if order.tif == "FOK" and sum(quantity for quantity, _ in found) < order.rest:
            found = []
        allowed = list(takewhile(lambda part: tape.capabilities.executes_at(part[1]), found))
        for quantity, price in allowed:
            if not self.settlement.can_pay(order, quantity, price):
                break
            self._fill(order, quantity, price, maker=False)
        expiry = OUT_OF_RANGE if len(allowed) < len(found) else ""
        if order.open and (expiry or at_market or order.tif in {"IOC", "FOK"}):
            self._finish(order, "EXPIRED", expiry=expiry)

    def _fill(self, order: Order, quantity: Decimal, price: Decimal, *, maker: bool) -> None:
        """Fill a part of an order: balances, order, trade and list change together."""
        self._take_steps(self._contingent.on_execution(order))
        tape, value = self.tapes[order.symbol], rounded_down(quantity * price)
        pair = tape.rules.symbol
        free = self.account.free(pair.base)
        commission, asset = self.settlement.settle(order, quantity, value, maker=maker)
        order.filled, order.spent, order.update_ms = order.filled + quantity, order.spent + value, self.now()
        in_base = self._contingent.commission_of_received(order, commission if asset == pair.base else ZERO, free)
        order.commission += in_base
        order.status = "PARTIALLY_FILLED" if order.rest else "FILLED"
        trade = Trade(
            tape.new_trade(), order.id, order.list_id, order.symbol, order.side, price, quantity, commission,
            asset, self.now(), maker,
        )  # fmt: skip
        self.book.trades.append(trade)
        order.trades.append(trade)
        if order.status == "FILLED":
            self.settlement.release(order)
            self.book.mark_closed(order)
        self.announcements.order(order, "TRADE", trade)
        self.announcements.publish(
            MarketTrade(self.now(), order.symbol, trade.id, price, quantity, maker != order.sells)
        )
        self._take_steps(self._contingent.after_fill(order, quantity, in_base))

    # --- ending

    def cancel(self, order: Order, client_id: str = "") -> None:
        """Cancel an order, and with it the list it belongs to.

        Raises
        ------
        Refusal
            If it is not open.
        """
        self.match_open(order.symbol)
        if not order.open:
            raise refusals.unknown_order()
        self.tapes[order.symbol].capabilities.check_cancel()
        if order.list_id >= 0:
            self.cancel_list(self.book.lists[order.list_id], client_id)
        else:
            self._finish(order, "CANCELED", client_id=client_id)
        self.announcements.balances()

    def cancel_list(self, orders: OrderList, client_id: str = "") -> None:
        """Cancel the open orders of a list; a cancelled working order takes its pending legs with it.

        Raises
        ------
        Refusal
            If the symbol is closed for cancellations, or none is open.
        """
        self.match_open(orders.symbol)
        if not orders.open:
            raise refusals.unknown_order()
        self.tapes[orders.symbol].capabilities.check_cancel()
        for order in self.book.members(orders):
            if order.open:
                self._finish(order, "CANCELED", client_id=client_id)
        self.announcements.balances()

    def _finish(
        self, order: Order, status: ExecutionType, *, client_id: str = "", reason: str = "NONE", expiry: str = ""
    ) -> None:
        """End an order that is open: CANCELED, EXPIRED or REJECTED."""
        self.settlement.release(order)
        order.status, order.update_ms, order.expiry_reason = status, self.now(), expiry
        self.book.mark_closed(order)
        self.announcements.order(order, status, client_id=client_id, reason=reason)
        self._take_steps(self._contingent.after_end(order))

    # --- money

    def transfer(self, asset: str, amount: Decimal) -> None:
        """Deposit an amount, or withdraw it if negative."""
        if amount < 0:
            self.account.require(asset, -amount)
        self.account.add(asset, amount)
        self.announcements.publish(BalanceUpdate(self.now(), asset, amount))
        self.announcements.balances()
