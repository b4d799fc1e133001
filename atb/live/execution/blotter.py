"""The orders that are out at a venue, as far as it has told: states only go forward, whatever order the news comes in."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from decimal import Decimal

from atb.domain import Fill, Order
from atb.domain.venue import OrderReport
from atb.live.journal.step import Change, IntentState, Working

RANK: dict[IntentState, int] = {"sent": 0, "live": 1, "partially_filled": 2}  # all others are ends
_STATES: dict[str, IntentState] = {
    "pending": "live",
    "new": "live",
    "partially_filled": "partially_filled",
    "filled": "filled",
    "cancelled": "cancelled",
    "rejected": "rejected",
    "expired": "expired",
}


@dataclass
class Outstanding:
    """One order: where it stands, and whether its answer was lost.

    Parameters
    ----------
    filled
        Executed in base, by the executions that were folded; never more than the order's quantity.
    said
        Executed in base by the venue's own word, which may run ahead of the executions it lists.
    unknown
        Whether the request's answer was lost: it may have been executed, or may still be.
    """

    order: Order
    slot: int
    bar_ms: int
    state: IntentState = "sent"
    list_id: str | None = None
    sent_ms: int = 0
    exchange_id: str | None = None
    filled: Decimal = Decimal(0)
    said: Decimal = Decimal(0)
    unknown: bool = False
    cancelling: bool = False

    @property
    def left(self) -> Decimal:
        """What is still to be executed, in base."""
        return self.order.quantity - self.filled

    @property
    def ended(self) -> bool:
        """Whether nothing more can come of it."""
        return self.state not in RANK

    def hear(self, report: OrderReport) -> bool:
        """Take the venue's word for the order; tell whether it is news."""
        before = (self.state, self.exchange_id, self.said)
        self.exchange_id = report.exchange_id or self.exchange_id
        self.said = max(self.said, report.filled)
        if self.list_id is not None and 0 < report.quantity < self.order.quantity:
            # What waits for its entry sells what that one received: less than it bought, where the fee is paid in base.
            self.order = replace(self.order, quantity=report.quantity)
        self._advance(_STATES[report.state])
        return before != (self.state, self.exchange_id, self.said)

    def execute(self, quantity: Decimal) -> None:
        """Count an execution that was folded."""
        self.filled += quantity
        self.said = max(self.said, self.filled)
        self._advance("filled" if self.filled >= self.order.quantity else "partially_filled")

    def end(self, state: IntentState) -> None:
        """Write down how it ended."""
        self._advance(state)

    def change(self, refusal: str | None = None) -> Change:
        """Return the journal's row of this order as it stands."""
        return Change(self.state, refusal, self.exchange_id, self.filled, self.sent_ms)

    def _advance(self, state: IntentState) -> None:
        """Move on; an order that ended stays so, unless it turns out to be filled."""
        if state == "filled" and self.filled < self.order.quantity:
            state = "partially_filled"  # executed by the venue's word, but not all executions were seen yet
        if state == "filled" or (not self.ended and RANK.get(state, 9) >= RANK[self.state]):
            self.state = state

    @property
    def owed(self) -> bool:
        """Whether the venue executed more than the executions seen so far."""
        return self.said > self.filled

    @property
    def unsettled(self) -> bool:
        """Whether its answer, or an execution of it, is missing."""
        return self.owed or (self.unknown and not self.ended)


class Blotter:
    """Outstanding orders by client id; those that ended are kept until their executions are complete, then forgotten."""

    def __init__(self, working: Iterable[Working] = ()) -> None:
        self._orders: dict[str, Outstanding] = {}
        for one in working:
            self.add(one, unknown=one.state == "sent")

    def __iter__(self) -> Iterator[Outstanding]:
        """Go through them in the order in which they were sent."""
        return iter(list(self._orders.values()))

    def add(self, one: Working, *, unknown: bool = False) -> Outstanding:
        """Take an order that is about to be sent, or was when this process began."""
        made = Outstanding(
            one.order,
            one.slot,
            one.bar_ms,
            one.state,
            one.list_id,
            one.sent_ms,
            one.exchange_id,
            one.filled,
            one.filled,
        )
        made.unknown = unknown
        self._orders[one.order.client_id] = made
        return made

    def get(self, client_id: str) -> Outstanding | None:
        """Return an order by its client id."""
        return self._orders.get(client_id)

    def of_fill(self, fill: Fill) -> Outstanding | None:
        """Return the order that an execution belongs to, by client id or by the venue's id, None for a stranger's."""
        if fill.client_id:
            return self._orders.get(fill.client_id)
        return next((one for one in self if one.exchange_id and one.exchange_id == fill.order_id), None)

    def forget(self) -> None:
        """Drop the orders of which nothing more can come."""
        self._orders = {name: one for name, one in self._orders.items() if not one.ended or one.owed}

    def open(self, slot: int, *roles: str) -> list[Outstanding]:
        """Return a slot's orders that have not ended, of the given roles or all."""
        return [one for one in self if one.slot == slot and not one.ended and (not roles or one.order.role in roles)]

    def unknown(self, slot: int | None = None) -> list[Outstanding]:
        """Return the orders whose answers were lost, of a slot or of all."""
        return [one for one in self if one.unknown and not one.ended and slot in {None, one.slot}]

    def together(self, one: Outstanding) -> list[Outstanding]:
        """Return the order with those that are in the same list."""
        if one.list_id is None:
            return [one]
        return [other for other in self if other.list_id == one.list_id]
