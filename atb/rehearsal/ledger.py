"""An exchange's ledger, read back: every order's life, the trades, the requests, and what stood in the way of the runner."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from functools import cached_property
from itertools import accumulate
from typing import Any

from atb.domain.orders import CLIENT_ID_PREFIX

Entry = Mapping[str, Any]
Span = tuple[int, int]

OPEN = frozenset(("NEW", "PARTIALLY_FILLED", "PENDING_NEW"))
_NAMES = (
    "newClientOrderId",
    "aboveClientOrderId",
    "belowClientOrderId",
    "workingClientOrderId",
    "pendingClientOrderId",
    "pendingAboveClientOrderId",
    "pendingBelowClientOrderId",
)
# What a fault may do to a request: these leave its sender in doubt, or unheard.
_UNHEARD = ("rate_limit", "ban", "error", "reset", "held")
_IN_DOUBT = ("lost", "held_after", "error_after", "truncated", "late")
_ON_STREAMS = ("drop", "gap", "half_open", "reorder")
_STRIKING = frozenset((*_UNHEARD, *_IN_DOUBT, *_ON_STREAMS))


@dataclass(frozen=True)
class OurName:
    """A client id of ours, taken apart: `slot` names strategy and account, then the bar, the role's letter, the attempt."""

    slot: str
    bar: str
    letter: str
    attempt: int

    @classmethod
    def read(cls, client_id: str) -> "OurName | None":
        """Return the parts of a client id, None where it is not one of ours."""
        parts = client_id.rsplit("-", 2)
        if not client_id.startswith(CLIENT_ID_PREFIX) or len(parts) != 3 or not parts[2][1:].isdigit():
            return None
        return cls(parts[0], parts[1], parts[2][0], int(parts[2][1:]))


@dataclass
class Life:
    """One order as the exchange kept it.

    Parameters
    ----------
    states
        The states it went through, in order.
    fills
        Filled quantity after each change, in base.
    stop_price
        Where it is triggered, 0 where it has no such price.
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
        """Whether it may still trade."""
        return self.state in OPEN

    @property
    def rest(self) -> Decimal:
        """What is still to be executed, in base."""
        return self.quantity - self.filled

    @property
    def name(self) -> OurName | None:
        """Its client id taken apart, None for a stranger's."""
        return OurName.read(self.client_id)


class Lives:
    """The orders of an exchange at one point of its ledger; feed it one entry after another."""

    def __init__(self) -> None:
        self.by_id: dict[int, Life] = {}

    def take(self, entry: Entry) -> Life | None:
        """Take an entry in; return the order that it changed, None where it changed none."""
        if entry["kind"] not in {"order", "trade"}:
            return None
        life = self.by_id.get(int(entry["order_id"]))
        if life is None:
            names = ("client_id", "symbol", "side", "type", "list_id")
            said = {name: entry[name] for name in names}
            stop_price = Decimal(entry.get("stop_price", 0))
            life = Life(int(entry["order_id"]), **said, quantity=Decimal(entry["quantity"]), stop_price=stop_price)
            self.by_id[life.order_id] = life
        elif entry["kind"] == "order":
            life.quantity = Decimal(entry["quantity"])
            life.stop_price = Decimal(entry.get("stop_price", 0))
        life.states.append(entry["status"])
        life.fills.append(Decimal(entry["filled"]))
        return life

    def open(self) -> list[Life]:
        """Return the orders that may still trade."""
        return [life for life in self.by_id.values() if life.open]


class Replay:
    """What a ledger says.

    Parameters
    ----------
    ledger
        The exchange's entries, all of them.
    """

    def __init__(self, ledger: Sequence[Entry]) -> None:
        self.entries = ledger

    def kind(self, *kinds: str) -> list[Entry]:
        """Return the entries of some kinds."""
        return [entry for entry in self.entries if entry["kind"] in kinds]

    @cached_property
    def lives(self) -> dict[int, Life]:
        """Every order by the exchange's number."""
        lives = Lives()
        for entry in self.entries:
            lives.take(entry)
        return lives.by_id

    @cached_property
    def by_name(self) -> dict[str, list[Life]]:
        """Every order of ours by client id; more than one means that a name was used twice."""
        found: dict[str, list[Life]] = {}
        for life in self.lives.values():
            if life.client_id.startswith(CLIENT_ID_PREFIX):
                found.setdefault(life.client_id, []).append(life)
        return found

    @cached_property
    def trades(self) -> list[Entry]:
        """Every execution on the account."""
        return self.kind("trade")

    @property
    def end_ms(self) -> int:
        """Exchange time of the last entry."""
        return int(self.entries[-1]["ms"]) if self.entries else 0

    def placed(self) -> Iterable[tuple[Entry, list[str]]]:
        """Give every request that asked for orders of ours, with their client ids."""
        for entry in self.kind("request"):
            if entry["method"] == "POST" and not entry["path"].endswith("/test"):
                names = [entry["params"].get(name, "") for name in _NAMES]
                ours = [name for name in names if name.startswith(CLIENT_ID_PREFIX)]
                if ours:
                    yield entry, ours

    @cached_property
    def skewed_ms(self) -> int | None:
        """When the exchange's clock first jumped, None where it never did: its time and its ledger's differ from then on."""
        return next((int(entry["ms"]) for entry in self.kind("fault") if entry["fault"] == "skew"), None)

    @cached_property
    def largest_skew_ms(self) -> int:
        """How far the exchange's clock was ever from its ledger's."""
        jumps = [int(entry["detail"]["ms"]) for entry in self.kind("fault") if entry["fault"] == "skew"]
        return max((abs(skew) for skew in accumulate(jumps)), default=0)

    def struck_ms(self) -> list[int]:
        """Return when a fault struck a request or a stream."""
        return [int(entry["ms"]) for entry in self.kind("fault") if entry["fault"] in _STRIKING]

    def at_strangers_hands(self) -> list[int]:
        """Return when somebody else withdrew a protective order."""
        return [int(entry["ms"]) for entry in self.kind("fault") if entry["fault"] == "cancel_stop"]

    @cached_property
    def late_withdrawals(self) -> dict[int, int]:
        """When a request of ours that withdraws an order was executed late, with when it had been sent."""
        sent = {
            entry["id"]: int(entry["ms"])
            for entry in self.kind("request")
            if entry["method"] == "DELETE" or entry["path"].endswith("cancelReplace")
        }
        return {int(entry["ms"]): sent[entry["id"]] for entry in self.kind("late") if entry["id"] in sent}

    def refusing(self, symbol: str) -> list[Span]:
        """Return when the exchange took no orders of a symbol: under maintenance, while it was halted, within a Retry-After."""
        waits = [
            (int(entry["ms"]), int(entry["ms"]) + 1_000 * int(entry["retry_after_s"]))
            for entry in self.kind("answer")
            if entry.get("retry_after_s")
        ]
        return sorted([*waits, *self.lasting("maintenance"), *self.lasting("halt", symbol)])

    def lasting(self, fault: str, symbol: str | None = None) -> list[Span]:
        """Return when a fault that lasts did: `maintenance` of all, `halt` or `freeze` of a symbol as the exchange writes it."""
        spans, begun = [], None
        for entry in self.kind("fault"):
            of = entry.get("ended", (entry.get("detail") or {}).get("symbol"))
            if entry["fault"] != fault or symbol not in {None, of}:
                continue
            if "ended" not in entry:
                begun = int(entry["ms"]) if begun is None else begun
            elif begun is not None:
                spans.append((begun, int(entry["ms"])))
                begun = None
        return spans if begun is None else [*spans, (begun, self.end_ms)]


def net(trades: Iterable[Entry], base: str) -> Decimal:
    """Return what executions leave of a base asset: bought less sold, less fees that were paid in it."""
    held = Decimal(0)
    for trade in trades:
        quantity = Decimal(trade["quantity"])
        held += quantity if trade["side"] == "BUY" else -quantity
        if trade["commission_asset"] == base:
            held -= Decimal(trade["commission"])
    return held
