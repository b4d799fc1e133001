"""The exchange's ledger, read back: orders with their history, trades, requests, and what kept the runner from acting."""

from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from functools import cached_property
from itertools import accumulate
from typing import Any

from atb.domain.orders import CLIENT_ID_PREFIX

Entry = Mapping[str, Any]
Span = tuple[int, int]

DIED = "died"  # note of the mark that a harness makes when a runner's process is gone
OPEN = frozenset(("NEW", "PARTIALLY_FILLED", "PENDING_NEW"))
_CLIENT_ID_PARAMETERS = (
    "newClientOrderId",
    "aboveClientOrderId",
    "belowClientOrderId",
    "workingClientOrderId",
    "pendingClientOrderId",
    "pendingAboveClientOrderId",
    "pendingBelowClientOrderId",
)
# Faults by their effect: the request is not executed, its outcome is unknown to the sender, or a stream misses events.
_NOT_EXECUTED = ("rate_limit", "ban", "error", "refuse", "reset", "held")
_OUTCOME_UNKNOWN = ("lost", "held_after", "error_after", "truncated", "late", "late_engine")
_ON_STREAMS = ("drop", "gap", "half_open", "reorder")
_ON_REQUESTS_OR_STREAMS = frozenset((*_NOT_EXECUTED, *_OUTCOME_UNKNOWN, *_ON_STREAMS))


@dataclass(frozen=True)
class ClientIdParts:
    """The parts of one of our client ids: prefix of the slot (strategy and session), bar, letter of the role, attempt."""

    slot: str
    bar: str
    letter: str
    attempt: int

    @classmethod
    def parse(cls, client_id: str) -> "ClientIdParts | None":
        """Return the parts of a client id, None if it is not one of ours."""
        parts = client_id.rsplit("-", 2)
        if not client_id.startswith(CLIENT_ID_PREFIX) or len(parts) != 3 or not parts[2][1:].isdigit():
            return None
        return cls(parts[0], parts[1], parts[2][0], int(parts[2][1:]))


@dataclass
class LedgerOrder:
    """One order with its history at the exchange.

    Parameters
    ----------
    states
        Its statuses, oldest first.
    fills
        Filled quantity after each change, in base.
    stop_price
        Trigger price, 0 without one.
    """

    order_id: int
    client_id: str
    symbol: str
    side: str
    type: str
    list_id: int
    quantity: Decimal
    states: list[str] = field(default_factory=list)
    fills: list[Decimal] = field(default_factory=list)
    stop_price: Decimal = Decimal(0)

    @property
    def state(self) -> str:
        """The newest state."""
        return self.states[-1]

    @property
    def filled(self) -> Decimal:
        """Executed quantity, in base."""
        return self.fills[-1]

    @property
    def open(self) -> bool:
        """Whether it can still be filled."""
        return self.state in OPEN

    @property
    def rest(self) -> Decimal:
        """Quantity not filled yet, in base (FIX: LeavesQty)."""
        return self.quantity - self.filled

    @property
    def name(self) -> ClientIdParts | None:
        """The parts of its client id, None if the order is not ours."""
        return ClientIdParts.parse(self.client_id)


class LedgerOrders:
    """All orders up to one point of a ledger; fed one entry at a time."""

    def __init__(self) -> None:
        self.by_id: dict[int, LedgerOrder] = {}

    def apply(self, entry: Entry) -> LedgerOrder | None:
        """Apply an entry; return the order it changed, None if it changed none."""
        if entry["kind"] not in {"order", "trade"}:
            return None
        order = self.by_id.get(int(entry["order_id"]))
        if order is None:
            names = ("client_id", "symbol", "side", "type", "list_id")
            values = {name: entry[name] for name in names}
            stop_price = Decimal(entry.get("stop_price", 0))
            order = LedgerOrder(
                int(entry["order_id"]), **values, quantity=Decimal(entry["quantity"]), stop_price=stop_price
            )
            self.by_id[order.order_id] = order
        elif entry["kind"] == "order":
            order.quantity = Decimal(entry["quantity"])
            order.stop_price = Decimal(entry.get("stop_price", 0))
        order.states.append(entry["status"])
        order.fills.append(Decimal(entry["filled"]))
        return order

    def open(self) -> list[LedgerOrder]:
        """Return the orders that can still be filled."""
        return [order for order in self.by_id.values() if order.open]


class LedgerReading:
    """A whole ledger, with its orders, trades, requests and faults.

    Parameters
    ----------
    ledger
        All of the exchange's entries, in order.
    """

    def __init__(self, ledger: Sequence[Entry]) -> None:
        self.entries = ledger

    def entries_of(self, *kinds: str) -> list[Entry]:
        """Return the entries of some kinds."""
        return [entry for entry in self.entries if entry["kind"] in kinds]

    @cached_property
    def orders(self) -> dict[int, LedgerOrder]:
        """Every order by the exchange's order id."""
        orders = LedgerOrders()
        for entry in self.entries:
            orders.apply(entry)
        return orders.by_id

    @cached_property
    def by_client_id(self) -> dict[str, list[LedgerOrder]]:
        """Our orders by client id; more than one order means that the id was used twice."""
        found: dict[str, list[LedgerOrder]] = {}
        for order in self.orders.values():
            if order.client_id.startswith(CLIENT_ID_PREFIX):
                found.setdefault(order.client_id, []).append(order)
        return found

    @cached_property
    def trades(self) -> list[Entry]:
        """Every execution on the account."""
        return self.entries_of("trade")

    @property
    def end_ms(self) -> int:
        """Exchange time of the last entry."""
        return int(self.entries[-1]["ms"]) if self.entries else 0

    @staticmethod
    def real_ms(entry: Entry) -> int:
        """Return when an entry was written by our clock, in milliseconds since the ledger began."""
        return int(entry.get("real_ms", 0))

    def real_span(self, span: Span) -> Span:
        """Return a span of exchange time by our clock: from the first entry at its begin to the first one at its end."""
        times = [int(entry["ms"]) for entry in self.entries]
        first, last = (min(bisect_left(times, at), len(times) - 1) for at in span)
        return self.real_ms(self.entries[first]), self.real_ms(self.entries[last])

    @cached_property
    def real_deaths(self) -> list[Span]:
        """When no process was alive by our clock: from each death to the first request of the next process."""
        found: list[Span] = []
        died: int | None = None
        for entry in self.entries:
            if self.is_death(entry):
                died = self.real_ms(entry) if died is None else died
            elif entry["kind"] == "request" and died is not None:
                found.append((died, self.real_ms(entry)))
                died = None
        return found if died is None else [*found, (died, self.real_ms(self.entries[-1]))]

    @staticmethod
    def is_death(entry: Entry) -> bool:
        """Return whether an entry is the mark of a runner's death."""
        return bool(entry["kind"] == "mark" and entry.get("note") == DIED)

    @staticmethod
    def hinders(entry: Entry) -> bool:
        """Return whether an entry is a fault that hit a request or a stream."""
        return bool(entry["kind"] == "fault" and entry["fault"] in _ON_REQUESTS_OR_STREAMS)

    def order_requests(self) -> Iterable[tuple[Entry, list[str]]]:
        """Yield every request that placed orders of ours, with their client ids."""
        for entry in self.entries_of("request"):
            if entry["method"] == "POST" and not entry["path"].endswith("/test"):
                names = [entry["params"].get(name, "") for name in _CLIENT_ID_PARAMETERS]
                ours = [name for name in names if name.startswith(CLIENT_ID_PREFIX)]
                if ours:
                    yield entry, ours

    @cached_property
    def first_skew_ms(self) -> int | None:
        """When the exchange's clock first jumped, None if never; from then on its time differs from the ledger's."""
        return next((int(entry["ms"]) for entry in self.entries_of("fault") if entry["fault"] == "skew"), None)

    @cached_property
    def largest_skew_ms(self) -> int:
        """Largest difference between the exchange's clock and the ledger's time."""
        jumps = [int(entry["detail"]["ms"]) for entry in self.entries_of("fault") if entry["fault"] == "skew"]
        return max((abs(skew) for skew in accumulate(jumps)), default=0)

    def fault_times_ms(self) -> list[int]:
        """Return when a fault hit a request or a stream."""
        return [int(entry["ms"]) for entry in self.entries if self.hinders(entry)]

    def lags(self) -> list[Span]:
        """Return the spans for which a read showed less than had happened: from the read back by its lag, up to the read."""
        reads = [entry for entry in self.entries_of("fault") if entry["fault"] == "lag"]
        return [(int(entry["ms"]) - int(entry.get("lag_ms", 0)), int(entry["ms"])) for entry in reads]

    def stops_cancelled_by_others(self) -> list[int]:
        """Return when a protective order was cancelled from outside."""
        return [int(entry["ms"]) for entry in self.entries_of("fault") if entry["fault"] == "cancel_stop"]

    @cached_property
    def late_orders(self) -> dict[str, int]:
        """Orders of ours that the engine executed long after their request was accepted: client id to time of execution."""
        names = {entry["id"]: ours for entry, ours in self.order_requests()}
        return {name: int(entry["ms"]) for entry in self.entries_of("late") for name in names.get(entry["id"], ())}

    @cached_property
    def late_cancels(self) -> dict[int, int]:
        """Cancels of ours that were executed late: time of execution to time of sending."""
        sent = {
            entry["id"]: int(entry["ms"])
            for entry in self.entries_of("request")
            if entry["method"] == "DELETE" or entry["path"].endswith("cancelReplace")
        }
        return {int(entry["ms"]): sent[entry["id"]] for entry in self.entries_of("late") if entry["id"] in sent}

    def refusal_spans(self, symbol: str) -> list[Span]:
        """Return when the exchange refused orders of a symbol: maintenance, trading halts, Retry-After."""
        waits = [
            (int(entry["ms"]), int(entry["ms"]) + 1_000 * int(entry["retry_after_s"]))
            for entry in self.entries_of("answer")
            if entry.get("retry_after_s")
        ]
        return sorted([*waits, *self.fault_spans("maintenance"), *self.closed_spans(symbol)])

    def closed_spans(self, symbol: str) -> list[Span]:
        """Return when a symbol's market took no orders."""
        return [*self.fault_spans("halt", symbol), *self.changed_spans(symbol, "status")]

    def changed_spans(self, symbol: str, *names: str) -> list[Span]:
        """Return when a symbol allowed something else than usual, by the names of `exchangeInfo`."""
        spans, begun = [], list[tuple[int, Any]]()
        for entry in self.entries_of("fault"):
            detail = entry.get("detail") or {}
            if entry["fault"] != "symbol" or detail.get("symbol") != symbol or not set(names) & set(detail):
                continue
            if "ended" not in entry:
                begun.append((int(entry["ms"]), detail))
            elif (first := next((one for one in begun if one[1] == detail), None)) is not None:
                begun.remove(first)
                spans.append((first[0], int(entry["ms"])))
        return sorted([*spans, *((at, self.end_ms) for at, _ in begun)])

    def fault_spans(self, fault: str, symbol: str | None = None) -> list[Span]:
        """Return the spans of a lasting fault: `maintenance`, or `halt` and `freeze` of a symbol (such as BTCUSDT)."""
        spans, begun = [], None
        for entry in self.entries_of("fault"):
            affected = entry.get("ended", (entry.get("detail") or {}).get("symbol"))
            if entry["fault"] != fault or symbol not in {None, affected}:
                continue
            if "ended" not in entry:
                begun = int(entry["ms"]) if begun is None else begun
            elif begun is not None:
                spans.append((begun, int(entry["ms"])))
                begun = None
        return spans if begun is None else [*spans, (begun, self.end_ms)]


def net(trades: Iterable[Entry], base: str) -> Decimal:
    """Return the net quantity of a base asset: bought less sold, less fees paid in it."""
    held = Decimal(0)
    for trade in trades:
        quantity = Decimal(trade["quantity"])
        held += quantity if trade["side"] == "BUY" else -quantity
        if trade["commission_asset"] == base:
            held -= Decimal(trade["commission"])
    return held
