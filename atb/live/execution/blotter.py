"""The orders that are open at a venue: states only go forward, in whatever order reports arrive."""

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from decimal import Decimal

from atb.domain import Fill, Order, Symbol
from atb.domain.venue import OrderReport
from atb.live.journal.step import Change, IntentState, Working

RANK: dict[IntentState, int] = {"sent": 0, "live": 1, "partially_filled": 2}  # all others are ends
_FINISHED = 1_000  # names of orders that ended: more than end while a read may lag
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
    """One order: its state, its fills, and whether the answer to its request was lost.

    Parameters
    ----------
    filled
        Filled quantity (base) by the executions that were applied; never more than the order's quantity.
    reported
        Filled quantity (base) by the venue's order report, which may be ahead of the executions it lists.
    unknown
        Whether the answer to the request was lost: it may have been executed, or may still be.
    placed_ms
        Exchange time before which nothing of it can have happened; `sent_ms` may be later than its execution.
    next_look_ms
        Exchange time from which the venue is to be asked for an order whose answer was lost.
    updated_ms
        Exchange time of the last update that may tell of it; from then the pauses between look-ups grow anew.
    traced
        Whether the venue knows another order of its list, or the list: then it has this one too.
    was_listed
        Whether a sweep has found it among the open orders.
    not_open_ms
        Exchange time at which the venue refused to cancel it as not open, though its look-up shows it open; 0 where it did not.
    looks
        How often it was looked for after its window was over.
    waits
        Whether a notice said that the order is waited for beyond its window.
    unseen
        Whether it is known from the journal alone: what the venue's last answer said of it may have died with a process.
    presumed
        Whether no report has said how it ended: that it was cancelled, or never there, is what the evidence leaves.
    given_up
        Whether it was taken for one that the venue never had, and came after all.
    beside_another
        Whether another entry of the slot was open when it came: in the journal it stays absent until it ends.
    pending
        Whether the venue last showed it as waiting for the first order of its list; its quantity is not known then.
    end_unknown
        Whether it executed more than was known when it counted as over: the venue is asked how it ended.
    """

    order: Order
    slot: int
    bar_ms: int
    state: IntentState = "sent"
    list_id: str | None = None
    sent_ms: int = 0
    exchange_id: str | None = None
    filled: Decimal = Decimal(0)
    reported: Decimal = Decimal(0)
    unknown: bool = False
    next_look_ms: int = 0
    updated_ms: int = 0
    cancelling: bool = False
    traced: bool = False
    was_listed: bool = False
    not_open_ms: int = 0
    looks: int = 0
    waits: bool = False
    unseen: bool = False
    presumed: bool = False
    given_up: bool = False
    beside_another: bool = False
    pending: bool = False
    end_unknown: bool = False
    placed_ms: int = 0

    @property
    def client_id(self) -> str:
        """The order's client id."""
        return self.order.client_id

    @property
    def role(self) -> str:
        """Role of the order: entry, exit, stop or target."""
        return self.order.role

    @property
    def leaves_quantity(self) -> Decimal:
        """The quantity that is still to be filled, in base."""
        return self.order.quantity - self.filled

    @property
    def ended(self) -> bool:
        """Whether it can have no further fills."""
        return self.state not in RANK

    def update(self, report: OrderReport) -> bool:
        """Take in an order report; return whether anything changed."""
        before = (self.state, self.exchange_id, self.reported)
        self.exchange_id = report.exchange_id or self.exchange_id
        self.reported = max(self.reported, report.filled)
        if self.list_id is not None and 0 < report.quantity < self.order.quantity:
            # A stop or target that waits for its entry sells what the entry received: less than it bought, with fees in base.
            self.order = replace(self.order, quantity=report.quantity)
        self.pending, self.unseen = report.state == "pending", False
        self._advance(_STATES[report.state])
        self.end_unknown = self.end_unknown and (_STATES[report.state] in RANK or report.filled < self.filled)
        return before != (self.state, self.exchange_id, self.reported)

    def execute(self, quantity: Decimal) -> None:
        """Count an execution that was applied."""
        self.filled += quantity
        more = self.filled > self.reported
        self.reported = max(self.reported, self.filled)
        self._advance("filled" if self.filled >= self.order.quantity else "partially_filled")
        self.end_unknown = self.ended and self.state != "filled" and (more or self.end_unknown)

    def mark_unknown(self, sent_ms: int = 0) -> None:
        """Note that the answer to a request about it was lost, which left at `sent_ms`; it is looked up at once."""
        self.unknown, self.next_look_ms, self.looks = True, 0, 0
        self.sent_ms = max(self.sent_ms, sent_ms)

    def end(self, state: IntentState) -> None:
        """Set the state in which it ended."""
        self._advance(state)

    def change(self, refusal: str | None = None) -> Change:
        """Return the journal's row of this order."""
        state = "absent" if self.beside_another and not self.ended else self.state
        return Change(state, refusal, self.exchange_id, self.filled, self.sent_ms)

    def _advance(self, state: IntentState) -> None:
        """Go to a state; one that ended stays so, unless it turns out to be filled, or to be there after all."""
        if state == "filled" and self.filled < self.order.quantity:
            state = "partially_filled"  # filled by its report, but not all executions have come yet
        if state == "filled" or self.state == "absent" or (not self.ended and RANK.get(state, 9) >= RANK[self.state]):
            self.state = state

    @property
    def owed(self) -> bool:
        """Whether executions are missing: the report says more than was applied."""
        return self.reported > self.filled

    @property
    def is_failed_entry(self) -> bool:
        """Whether it is an entry of the present intent that ended unfilled, and not because we cancelled it."""
        failed = self.role == "entry" and self.ended and self.state != "filled"
        return failed and not (self.owed or self.cancelling or self.given_up)

    @property
    def unsettled(self) -> bool:
        """Whether an answer or an execution is missing, or the first read that shows it."""
        return self.owed or ((self.unknown or self.unseen) and not self.ended)


class Blotter:
    """Outstanding orders by client id; an order that ended is kept until its executions are complete."""

    def __init__(self, working: Iterable[Working] = ()) -> None:
        self._orders: dict[str, Outstanding] = {}
        self._absent: dict[str, Outstanding] = {}
        self._finished: deque[str] = deque(maxlen=_FINISHED)
        for order in working:
            unknown = order.state == "sent"
            self.add(order, unknown=unknown).unseen = not unknown

    def __iter__(self) -> Iterator[Outstanding]:
        """Iterate in the order of sending."""
        return iter(list(self._orders.values()))

    def add(self, working: Working, *, unknown: bool = False) -> Outstanding:
        """Add an order that is about to be sent, or that was out when this process began."""
        made = Outstanding(
            working.order,
            working.slot,
            working.bar_ms,
            working.state,
            working.list_id,
            working.sent_ms,
            working.exchange_id,
            working.filled,
            working.filled,
        )
        made.unknown, made.placed_ms = unknown, working.placed_ms or working.sent_ms
        self._orders[working.order.client_id] = made
        return made

    def get(self, client_id: str) -> Outstanding | None:
        """Return an order by its client id."""
        return self._orders.get(client_id)

    def restore(self, client_id: str, working: Working | None) -> Outstanding | None:
        """Put back an order that came after it had been given up: one of this process, or as the journal has it."""
        made = self._absent.pop(client_id, None)
        if made is None:
            if working is None:
                return None
            made = self.add(working)
        made.given_up, made.presumed = True, False
        made.beside_another = made.role == "entry" and bool(self.open(made.slot, "entry"))
        self._orders[client_id] = made
        return made

    def given_up(self, symbol: Symbol | None = None) -> list[Outstanding]:
        """Return the orders that this process has given up and that have not come, of a symbol or of all."""
        return [one for one in self._absent.values() if symbol in {None, one.order.symbol}]

    def owner_of(self, fill: Fill) -> Outstanding | None:
        """Return the order of an execution, by client id or by the venue's id; None where it is not ours."""
        if fill.client_id:
            return self._orders.get(fill.client_id)
        return next((one for one in self if one.exchange_id and one.exchange_id == fill.order_id), None)

    def has_seen(self, client_id: str) -> bool:
        """Return whether an order is here, or was among the last that were dropped: a journal that is away cannot say it."""
        return client_id in self._orders or client_id in self._finished

    def drop_finished(self) -> None:
        """Drop orders that are known to have ended, with all their executions; those that were given up are remembered."""
        self._absent |= {
            name: one
            for name, one in self._orders.items()
            if one.state == "absent" or (one.presumed and one.state != "filled")
        }
        kept = {name: one for name, one in self._orders.items() if not one.ended or one.owed or one.end_unknown}
        self._finished.extend(name for name in self._orders if name not in kept)
        self._orders = kept

    def open(self, slot: int, *roles: str) -> list[Outstanding]:
        """Return a slot's open orders, of the given roles or all."""
        return [
            outstanding
            for outstanding in self
            if outstanding.slot == slot and not outstanding.ended and (not roles or outstanding.order.role in roles)
        ]

    def unknown(self, slot: int | None = None) -> list[Outstanding]:
        """Return open orders whose answer was lost, of a slot or of all."""
        return [
            outstanding
            for outstanding in self
            if outstanding.unknown and not outstanding.ended and slot in {None, outstanding.slot}
        ]

    def unconfirmed(self, outstanding: Outstanding) -> bool:
        """Return whether an order was last seen as pending though the entry of its list is over: the venue is to be asked first.

        The answer to a list shows pending legs as they were before anything was executed, and without the quantity that they got.
        """
        if not outstanding.pending or outstanding.ended:
            return False
        return not any(other.role == "entry" and not other.ended for other in self.same_list(outstanding))

    def same_list(self, outstanding: Outstanding) -> list[Outstanding]:
        """Return the order with the others of its order list."""
        if outstanding.list_id is None:
            return [outstanding]
        return [other for other in self if other.list_id == outstanding.list_id]
