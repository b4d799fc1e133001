"""Lists of orders: one cancels the other, one triggers the other, one pays for the other."""

import copy
from collections.abc import Sequence
from decimal import Decimal
from typing import TYPE_CHECKING

from atb.venues.simulator import refusals
from atb.venues.simulator.events import ListStatus
from atb.venues.simulator.filters import check_quantity
from atb.venues.simulator.orders import ZERO, Order, OrderList

if TYPE_CHECKING:
    from atb.venues.simulator.trading import Trading

PAIRS = frozenset(("OCO", "OTOCO", "OPOCO"))
PAYS = frozenset(("OPO", "OPOCO"))


class Links:
    """What the orders of a list mean to each other.

    A pair (OCO, or the pending legs of OTOCO and OPOCO) shares what is set aside: it stands on the first leg and goes to the one
    that executes first, while the other expires. Pending legs are placed when the working order is wholly filled; in an OPO they
    sell what it received net of commission, in whole lots.
    """

    def __init__(self, trading: "Trading") -> None:
        self._trading = trading

    def place(self, kind: str, drafts: Sequence[Order], client_id: str) -> OrderList:
        """Check and take a list: an OCO's pair, or a working order followed by what is pending.

        Raises
        ------
        Refusal
            If any of its orders is not taken: nothing has changed then.
        """
        trading = self._trading
        working, pending = (drafts, ()) if kind == "OCO" else (drafts[:1], drafts[1:])
        trading.book.check_names(drafts, client_id)
        for draft in working:
            trading.check_terms(draft)
        self._check_pending(pending)
        asset, amount = max((trading.needs(draft) for draft in working), key=lambda need: need[1])
        trading.account.require(asset, amount)
        list_id = len(trading.book.lists)
        for draft in drafts:
            draft.list_id = list_id
        orders = OrderList(list_id, client_id, drafts[0].symbol, kind, (), trading.now())
        first = trading.book.new_id()
        orders.orders = tuple(range(first, first + len(drafts)))
        trading.book.add_list(orders)
        for k, draft in enumerate(drafts):
            trading.accept(draft, locked=amount if k == 0 else ZERO, pending=k >= len(working))
        self.tell(orders)
        for draft in self._in_order(working):
            trading.meet_now(draft)
        trading.tell_balances()
        return orders

    def _check_pending(self, pending: Sequence[Order]) -> None:
        """Refuse legs whose prices or quantities break the symbol's rules; whether they trigger is seen when they are placed."""
        trading = self._trading
        for draft in pending:
            rules = trading.tapes[draft.symbol].rules
            for value in (draft.price, draft.stop_price):
                if value % rules.tick:
                    raise refusals.filter_failure("PRICE_FILTER")
            if draft.quantity:
                price = draft.price or draft.stop_price
                check_quantity(draft, rules, trading.config.filters, price=price)

    def siblings(self, order: Order) -> list[Order]:
        """Return the other legs of an order's pair that are open."""
        orders = self._list_of(order)
        if orders is None or orders.kind not in PAIRS:
            return []
        pair = orders.orders if orders.kind == "OCO" else orders.orders[1:]
        book = self._trading.book
        return [book.orders[one] for one in pair if order.id in pair and one != order.id and book.orders[one].open]

    def claim(self, order: Order) -> None:
        """Give an order that starts to execute what was set aside for its pair, and let the other leg expire."""
        for other in self.siblings(order):
            order.locked, other.locked = order.locked + other.locked, ZERO
            self._trading.finish(other, "EXPIRED")

    def filled(self, order: Order, quantity: Decimal, commission: Decimal) -> None:
        """Go on with an order's list after an execution: reserve what was received, activate what was pending."""
        orders = self._list_of(order)
        if orders is None:
            return
        trading, working = self._trading, order.id == orders.orders[0] and orders.kind != "OCO"
        legs = [trading.book.orders[one] for one in orders.orders[1:]] if working else []
        if legs and orders.kind in PAYS:
            received = quantity - commission
            trading.account.lock(trading.pays_in(legs[0]), received)
            legs[0].locked += received
        if legs and order.status == "FILLED":
            self._activate(orders, legs, order)
        self._note_end(orders)

    def ended(self, order: Order) -> None:
        """Go on with an order's list after it ended otherwise than by executions: what waited for it ends too."""
        orders = self._list_of(order)
        if orders is None:
            return
        if orders.kind != "OCO" and order.id == orders.orders[0] and order.status != "FILLED":
            for leg in self._trading.book.members(orders)[1:]:
                if leg.open:
                    self._trading.finish(leg, "CANCELED" if order.status == "CANCELED" else "EXPIRED")
        self._note_end(orders)

    def _activate(self, orders: OrderList, legs: Sequence[Order], working: Order) -> None:
        """Place the pending legs of a list whose working order is filled."""
        trading = self._trading
        if not self._provide(orders, legs, working):
            for leg in legs:
                trading.finish(leg, "REJECTED", reason="INSUFFICIENT_BALANCES")
            return
        for leg in legs:
            trading.start(leg, locked=ZERO)
        orders.status_type = "UPDATED"
        self.tell(orders)
        for leg in self._in_order(legs):
            trading.meet_now(leg, working.inside)

    def _in_order(self, legs: Sequence[Order]) -> Sequence[Order]:
        """Return legs in the order in which they meet the bar they are placed in: the stop first, or as the model says."""
        target_first = bool(self._trading.tapes[legs[0].symbol].par["target_first"])
        return sorted(legs, key=lambda leg: leg.is_stop == target_first)

    def _provide(self, orders: OrderList, legs: Sequence[Order], working: Order) -> bool:
        """Give pending legs their quantity and set aside what they need; tell whether that was possible."""
        trading, first = self._trading, legs[0]
        asset = trading.pays_in(first)
        if orders.kind in PAYS:
            rules = trading.tapes[first.symbol].rules
            quantity = rules.floor_quantity(working.filled - working.commission)
            for leg in legs:
                leg.quantity = quantity
            trading.account.unlock(asset, first.locked - quantity)
            first.locked = quantity
            return quantity >= rules.min_quantity and quantity > 0
        amount = max(trading.needs(leg)[1] for leg in legs)
        if trading.account.free(asset) < amount:
            return False
        trading.account.lock(asset, amount)
        first.locked += amount
        return True

    def _list_of(self, order: Order) -> OrderList | None:
        return self._trading.book.lists[order.list_id] if order.list_id >= 0 else None

    def _note_end(self, orders: OrderList) -> None:
        if orders.open and not any(one.open for one in self._trading.book.members(orders)):
            orders.status_type, orders.order_status = "ALL_DONE", "ALL_DONE"
            self.tell(orders)

    def tell(self, orders: OrderList) -> None:
        """Announce a list as it is now."""
        members = tuple(copy.copy(one) for one in self._trading.book.members(orders))
        self._trading.announce(ListStatus(self._trading.now(), copy.copy(orders), members))
