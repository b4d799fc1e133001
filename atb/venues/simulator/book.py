"""The account's order book: every order, list and trade, an index of the open orders, and what all of it was before."""

from bisect import bisect_right
from collections.abc import Iterable
from itertools import chain
from typing import TypeVar

from atb.venues.simulator.orders import Order, OrderList, Trade
from atb.venues.simulator.refusals import rejected

_T = TypeVar("_T")


class OrderBook:
    """The account's orders: all of them by id, the open ones by symbol, in the order in which they were placed."""

    def __init__(self) -> None:
        self.orders: dict[int, Order] = {}
        self.lists: dict[int, OrderList] = {}
        self.trades: list[Trade] = []
        self._open: dict[str, dict[int, Order]] = {}
        self._by_name: dict[str, list[Order]] = {}
        self._lists_by_name: dict[str, list[OrderList]] = {}
        self._names = 0
        self._past: dict[int, list[tuple[int, Order]]] = {}
        self._past_lists: dict[int, list[tuple[int, OrderList]]] = {}

    # --- the past

    def keep(self, now_ms: int, order: Order) -> None:
        """Keep an order's state, for those who read it late."""
        self._past.setdefault(order.id, []).append((now_ms, order))

    def keep_list(self, now_ms: int, orders: OrderList) -> None:
        """Keep a list's state, for those who read it late."""
        self._past_lists.setdefault(orders.id, []).append((now_ms, orders))

    def at(self, time_ms: int) -> "OrderBook":
        """Return the book as it was at a time, changes of that millisecond included; to be read only."""
        past = OrderBook()
        for order in (_state_at(states, time_ms) for states in self._past.values()):
            if order is not None:
                past.add(order)
                if not order.open:
                    past.mark_closed(order)
        for orders in (_state_at(states, time_ms) for states in self._past_lists.values()):
            if orders is not None:
                past.add_list(orders)
        past.trades = [trade for trade in self.trades if trade.time_ms <= time_ms]
        return past

    # --- the present

    def add(self, order: Order) -> None:
        """Add an open order."""
        self.orders[order.id] = order
        self._open.setdefault(order.symbol, {})[order.id] = order
        self._by_name.setdefault(order.client_id, []).append(order)

    def add_list(self, orders: OrderList) -> None:
        """Add an order list."""
        self.lists[orders.id] = orders
        self._lists_by_name.setdefault(orders.client_id, []).append(orders)

    def mark_closed(self, order: Order) -> None:
        """Remove an order from the open orders."""
        self._open[order.symbol].pop(order.id, None)

    def open_in(self, symbol: str) -> list[Order]:
        """Return a symbol's open orders, oldest first."""
        return list(self._open.get(symbol, {}).values())

    def open_orders(self) -> list[Order]:
        """Return every open order, by symbol and age."""
        return list(chain.from_iterable(self._open[symbol].values() for symbol in sorted(self._open)))

    def has_open(self, symbol: str) -> bool:
        """Return True if a symbol has open orders."""
        return bool(self._open.get(symbol))

    def new_id(self) -> int:
        """Return the id of the next order."""
        return len(self.orders) + 1

    def new_client_id(self) -> str:
        """Return a client id for an order that came without one."""
        self._names += 1
        return f"sim{self._names:019d}"

    def find(self, symbol: str, *, order_id: int | None = None, client_id: str | None = None) -> Order | None:
        """Return an order by id, or by client id: the open one, else the newest."""
        if order_id is not None:
            order = self.orders.get(order_id)
            named = client_id is None or (order is not None and order.client_id == client_id)
            return order if order is not None and order.symbol == symbol and named else None
        same = [order for order in self._by_name.get(client_id or "", ()) if order.symbol == symbol]
        return next((order for order in same if order.open), same[-1] if same else None)

    def find_list(self, *, list_id: int | None = None, client_id: str | None = None) -> OrderList | None:
        """Return a list by its id, or the newest with a client id."""
        if list_id is not None:
            return self.lists.get(list_id)
        same = self._lists_by_name.get(client_id or "", ())
        return same[-1] if same else None

    def members(self, orders: OrderList) -> tuple[Order, ...]:
        """Return a list's orders."""
        return tuple(self.orders[order_id] for order_id in orders.orders)

    def check_client_ids(self, drafts: Iterable[Order], list_name: str = "") -> None:
        """Refuse a client id that an open order already has, or that occurs twice.

        Raises
        ------
        Refusal
            "Duplicate order sent."
        """
        seen: set[str] = set()
        for draft in drafts:
            if draft.client_id in seen or any(order.open for order in self._by_name.get(draft.client_id, ())):
                raise rejected("Duplicate order sent.")
            seen.add(draft.client_id)
        if any(orders.open for orders in self._lists_by_name.get(list_name, ())):
            raise rejected("Duplicate order sent.")


def _state_at(states: list[tuple[int, _T]], time_ms: int) -> _T | None:
    """Return the newest state that is not younger than a time, None if there is none."""
    known = bisect_right(states, time_ms, key=lambda state: state[0])
    return states[known - 1][1] if known else None
