"""Contingent orders: one cancels the other (OCO), one triggers the other (OTO), one pays for the other (OPO).

The rules here change lists and what is set aside for them. What happens to single orders they only say, as steps; the exchange's
`Trading` takes each step before it asks for the next.
"""

import copy
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

from atb.venues.simulator import refusals
from atb.venues.simulator.accounts import Account
from atb.venues.simulator.announcements import Announcements
from atb.venues.simulator.book import OrderBook
from atb.venues.simulator.configuration import ExchangeConfig
from atb.venues.simulator.events import ExecutionType, ListStatus
from atb.venues.simulator.faults import Strike, never
from atb.venues.simulator.fees import BNB, Fees
from atb.venues.simulator.filters import check_quantity
from atb.venues.simulator.matching import is_late
from atb.venues.simulator.orders import PAIRS, PAYS, ZERO, Order, OrderList
from atb.venues.simulator.pretrade import paying_asset, required_balance
from atb.venues.simulator.tape import Tape


@dataclass(frozen=True, slots=True)
class Finish:
    """An open order ends, with this status and this reason."""

    order: Order
    status: ExecutionType
    reason: str = "NONE"


@dataclass(frozen=True, slots=True)
class Start:
    """A pending order is placed on the book."""

    order: Order


@dataclass(frozen=True, slots=True)
class Match:
    """An order that was just placed meets the market; `inside` says how its working order met the bar."""

    order: Order
    inside: int


Step = Finish | Start | Match


class ContingentOrders:
    """The rules that tie the orders of a list together.

    A pair (OCO, or the pending legs of OTOCO and OPOCO) shares what is set aside: it stands on the first leg and goes to the one
    that executes first, while the other expires. Pending legs are placed when the working order is wholly filled; in an OPO they
    sell what it received net of commission, in whole lots.

    Parameters
    ----------
    book, account, tapes
        The exchange's orders, balances and prices.
    announcements
        Where each change of a list is announced.
    config, fees
        The exchange's rules.
    strike
        Returns the details of a fault that strikes an order.
    """

    def __init__(
        self,
        book: OrderBook,
        account: Account,
        tapes: Mapping[str, Tape],
        *,
        announcements: Announcements,
        config: ExchangeConfig,
        fees: Fees,
        strike: Strike = never,
    ) -> None:
        self._book, self._account, self._tapes = book, account, tapes
        self._announcements, self._now = announcements, announcements.now
        self._filters, self._from_free = config.filters, config.opo_commission == "free"
        self._fees, self._strike = fees, strike

    def check_pending(self, pending: Sequence[Order]) -> None:
        """Refuse pending legs whose prices or quantities break a rule; whether they trigger is seen when they are placed.

        Raises
        ------
        Refusal
            "Filter failure" and the filter's name.
        """
        for draft in pending:
            rules = self._tapes[draft.symbol].rules
            self._tapes[draft.symbol].capabilities.check_type(draft.type)
            for value in (draft.price, draft.stop_price):
                if value % rules.tick:
                    raise refusals.filter_failure("PRICE_FILTER")
            if draft.quantity:
                check_quantity(draft, rules, self._filters, price=draft.price or draft.stop_price)

    def required_balance(self, legs: Sequence[Order]) -> tuple[str, Decimal]:
        """Return the asset and the amount that orders need of which only one will execute."""
        needs = [required_balance(leg, self._tapes[leg.symbol], self._fees) for leg in legs]
        return max(needs, key=lambda need: need[1])

    def add(self, kind: str, drafts: Sequence[Order], client_id: str) -> OrderList:
        """Add a list of checked orders to the book; the orders themselves are accepted next, in this order."""
        list_id, first = len(self._book.lists), self._book.new_id()
        for draft in drafts:
            draft.list_id = list_id
        ids = tuple(range(first, first + len(drafts)))
        orders = OrderList(list_id, client_id, drafts[0].symbol, kind, ids, self._now())
        self._book.add_list(orders)
        return orders

    def in_order(self, legs: Sequence[Order]) -> Sequence[Order]:
        """Return legs in the order in which they meet the bar they are placed in: the stop first, or as the model says.

        A stop on the wrong side of the market comes before either.
        """
        tape = self._tapes[legs[0].symbol]
        target_first = bool(tape.par["target_first"])
        return sorted(legs, key=lambda leg: (not is_late(leg, tape), leg.is_stop == target_first))

    def on_execution(self, order: Order) -> Iterator[Finish]:
        """Give an order that starts to execute what was set aside for its pair; the other leg expires."""
        for other in self._open_siblings(order):
            order.locked, other.locked = order.locked + other.locked, ZERO
            yield Finish(other, "EXPIRED")

    def commission_of_received(self, order: Order, commission: Decimal, free: Decimal) -> Decimal:
        """Return how much of a fill's commission in base is taken from what the order received.

        For the working order of an OPO Binance takes it from the free balance instead (`free`, before the fill), where that is
        enough and the asset is not BNB: its pending legs then sell all that was received.
        """
        orders, base = self._list_of(order), self._tapes[order.symbol].rules.symbol.base
        pays = orders is not None and orders.kind in PAYS and not order.sells
        if order.sells or (pays and self._from_free and base != BNB and free >= commission):
            return ZERO
        return commission

    def after_fill(self, order: Order, quantity: Decimal, commission: Decimal) -> Iterator[Step]:
        """Continue an order's list after a fill: set aside what was received, place what was pending.

        Parameters
        ----------
        quantity, commission
            What the fill executed, and what was taken from it, both in base.
        """
        orders = self._list_of(order)
        if orders is None:
            return
        working = order.id == orders.orders[0] and orders.kind != "OCO"
        legs = self._book.members(orders)[1:] if working else ()
        if legs and orders.kind in PAYS:
            received = quantity - commission
            self._account.lock(self._paying_asset(legs[0]), received)
            legs[0].locked += received
        if legs and order.status == "FILLED":
            yield from self._place_pending(orders, legs, order)
        self._close_if_done(orders)

    def after_end(self, order: Order) -> Iterator[Finish]:
        """Continue an order's list after it ended without being filled: its pending legs end too."""
        orders = self._list_of(order)
        if orders is None:
            return
        if orders.kind != "OCO" and order.id == orders.orders[0] and order.status != "FILLED":
            for leg in self._book.members(orders)[1:]:
                if leg.open:
                    yield Finish(leg, "CANCELED" if order.status == "CANCELED" else "EXPIRED")
        self._close_if_done(orders)

    def announce_list(self, orders: OrderList) -> None:
        """Announce a list as it is now."""
        members = tuple(copy.copy(order) for order in self._book.members(orders))
        present = copy.copy(orders)
        self._book.keep_list(self._now(), present)
        self._announcements.publish(ListStatus(self._now(), present, members))

    def _place_pending(self, orders: OrderList, legs: Sequence[Order], working: Order) -> Iterator[Step]:
        """Place the pending legs of a list whose working order is filled; reject them if they cannot be paid."""
        reason = self._fund_pending(orders, legs, working)
        if self._strike("reject_legs", legs[0]) is not None:
            reason = "UNKNOWN"
        if reason:
            for leg in legs:
                yield Finish(leg, "REJECTED", reason)
            return
        for leg in legs:
            yield Start(leg)
        orders.status_type = "UPDATED"
        self.announce_list(orders)
        for leg in self.in_order(legs):
            yield Match(leg, working.inside)

    def _fund_pending(self, orders: OrderList, legs: Sequence[Order], working: Order) -> str:
        """Give pending legs their quantity and set aside what they need; return why they are rejected, or nothing."""
        first = legs[0]
        if orders.kind in PAYS:
            rules = self._tapes[first.symbol].rules
            quantity = rules.floor_quantity(working.filled - working.commission)
            for leg in legs:
                leg.quantity = quantity
            self._account.unlock(self._paying_asset(first), first.locked - quantity)
            first.locked = quantity
            return self._broken_filter(legs)
        asset, amount = self.required_balance(legs)
        if self._account.free(asset) < amount:
            return "INSUFFICIENT_BALANCES"
        self._account.lock(asset, amount)
        first.locked += amount
        return ""

    def _broken_filter(self, legs: Sequence[Order]) -> str:
        """Return the filter that a leg's quantity breaks, or nothing: an OPO's is known only when its working order is filled."""
        try:
            for leg in legs:
                tape = self._tapes[leg.symbol]
                check_quantity(leg, tape.rules, self._filters, price=Decimal(repr(tape.price)))
        except refusals.Refusal as refusal:
            return refusal.message
        return ""

    def _open_siblings(self, order: Order) -> list[Order]:
        """Return the other legs of an order's pair that are open."""
        orders = self._list_of(order)
        if orders is None or orders.kind not in PAIRS:
            return []
        members = self._book.members(orders)
        pair = members if orders.kind == "OCO" else members[1:]
        if order.id not in {leg.id for leg in pair}:
            return []
        return [leg for leg in pair if leg.id != order.id and leg.open]

    def _paying_asset(self, order: Order) -> str:
        return paying_asset(order, self._tapes[order.symbol])

    def _list_of(self, order: Order) -> OrderList | None:
        return self._book.lists[order.list_id] if order.list_id >= 0 else None

    def _close_if_done(self, orders: OrderList) -> None:
        if orders.open and not any(order.open for order in self._book.members(orders)):
            orders.status_type, orders.order_status = "ALL_DONE", "ALL_DONE"
            self.announce_list(orders)
