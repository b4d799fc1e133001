"""What one moment of trading led to, as one value: the journal writes all of it in one transaction, or nothing.

A moment is the close of bars, or an answer, an execution or a notice that came between two closes. Paper and live write the
same steps; only a live one has orders that are `sent` and answers of a venue.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Literal

import numpy as np

from atb.domain import Fill, Order

IntentState = Literal[
    "planned",  # paper: waits for the next bar
    "sent",  # committed; the request may have left, and its answer may be lost
    "live",
    "partially_filled",
    "filled",
    "cancelled",
    "rejected",
    "expired",
    "absent",  # the venue never had it, and proved it
    "withheld",  # never sent: halted, or a breaker tripped
]
# Begins the id of an execution that no venue made: what somebody else took, booked as sold.
WRITTEN_OFF = "written-off-"
OPEN_STATES: tuple[IntentState, ...] = ("planned", "sent", "live", "partially_filled")


@dataclass(frozen=True)
class Working:
    """An order that is out, or goes out once this step is committed.

    Parameters
    ----------
    slot
        Number of the slot it belongs to.
    bar_ms
        Open (epoch milliseconds) of the bar that it was made in.
    list_id
        Client id of the order list it is part of.
    sent_ms
        Exchange time of its request, 0 for paper: the late-execution bound counts from it.
    exchange_id, filled
        The venue's name for it and what was executed (base), where a restart found the order in the journal.
    """

    order: Order
    bar_ms: int
    slot: int = 0
    state: IntentState = "planned"
    list_id: str | None = None
    sent_ms: int = 0
    exchange_id: str | None = None
    filled: Decimal = Decimal(0)


@dataclass(frozen=True)
class Change:
    """What became of an order that is in the journal; None leaves a column as it is."""

    state: IntentState
    refusal: str | None = None
    exchange_id: str | None = None
    filled: Decimal | None = None
    sent_ms: int | None = None


@dataclass(frozen=True)
class Execution:
    """A fill with the order it belongs to, its number in the session (from 0) and the kernel's word for why."""

    fill: Fill
    order: Order
    number: int
    reason: str
    slot: int = 0


@dataclass(frozen=True)
class Decided:
    """One slot's decision at the close of its bar: the columns of the journal's row."""

    slot: int
    bar_ms: int
    values: dict[str, Any]


@dataclass(frozen=True)
class Notice:
    """An entry of the audit trail: `info`, `warning` or `error`, what it is about, and plain values without secrets."""

    kind: str
    detail: dict[str, Any] = field(default_factory=dict)
    severity: Literal["info", "warning", "error"] = "info"


@dataclass(frozen=True)
class Heard:
    """What a venue said about an order, word for word but for secrets: appended to, never changed."""

    client_id: str
    kind: Literal["answer", "report", "stream"]
    detail: dict[str, Any]
    time_ms: int


@dataclass
class Step:
    """One moment.

    Parameters
    ----------
    time_ms
        When it was, exchange time: the close of the bars that were decided on, for one.
    decided
        Decisions, one per slot whose bar closed.
    bar_ms
        Open of the shortest bar that closed; None between closes. Equity is written for it.
    placed, changes
        New intents, and what became of old ones (client id to change).
    fills, trades
        Executions, and TRADE records of the round trips they closed with their number from 1.
    equity, cash
        At the close, in the quote currency; of no meaning between closes.
    state
        The kernel's state afterwards as JSON values, None where it did not change.
    cursors
        Symbol to the id of the newest execution seen there, a stranger's too; those of `fills` need not be named.
    """

    time_ms: int
    bar_ms: int | None = None
    decided: list[Decided] = field(default_factory=list)
    placed: list[Working] = field(default_factory=list)
    changes: dict[str, Change] = field(default_factory=dict)
    fills: list[Execution] = field(default_factory=list)
    trades: list[tuple[int, np.void]] = field(default_factory=list)
    equity: float = 0.0
    cash: float = 0.0
    state: dict[str, Any] | None = None
    notices: list[Notice] = field(default_factory=list)
    cursors: dict[str, str] = field(default_factory=dict)
    heard: list[Heard] = field(default_factory=list)


@dataclass(frozen=True)
class Withheld:
    """An order that may not be sent, and why: `halted`, or the breaker that tripped (see `atb.live.journal.breakers`)."""

    client_id: str
    reason: str


# Writes a step in one transaction and says which of its orders must not be sent.
Commit = Callable[[Step], Awaitable[tuple[Withheld, ...]]]
