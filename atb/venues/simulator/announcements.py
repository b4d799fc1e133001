"""Announces what happens on the account: execution reports and balances, each kept for those who read it late."""

import copy
from collections.abc import Callable

from atb.venues.simulator.accounts import Account
from atb.venues.simulator.book import OrderBook
from atb.venues.simulator.events import AccountPosition, Event, ExecutionReport, ExecutionType
from atb.venues.simulator.orders import Order, Trade


class Announcements:
    """The account's announcements, and the time that they carry.

    Parameters
    ----------
    book, account
        Where the announced states are kept.
    publish
        Called with every event, in order.
    now
        Exchange time in epoch milliseconds.
    """

    def __init__(
        self, book: OrderBook, account: Account, *, publish: Callable[[Event], None], now: Callable[[], int]
    ) -> None:
        self._book, self._account, self.publish, self.now = book, account, publish, now

    def order(
        self,
        order: Order,
        what: ExecutionType,
        trade: Trade | None = None,
        *,
        client_id: str = "",
        reason: str = "NONE",
    ) -> None:
        """Announce an order as it is now; a cancellation has its own client id."""
        cancelled = what == "CANCELED"
        name = client_id or self._book.new_client_id() if cancelled else order.client_id
        original, present = order.client_id if cancelled else "", copy.copy(order)
        self._book.keep(self.now(), present)
        self.publish(ExecutionReport(self.now(), what, present, trade, name, original, reason))

    def balances(self) -> None:
        """Announce the balances that changed since the last announcement."""
        changed = self._account.take_changed()
        if changed:
            self._account.keep(self.now())
            rows = tuple((asset, self._account.free(asset), self._account.locked(asset)) for asset in changed)
            self.publish(AccountPosition(self.now(), rows))
