"""A step: everything that one moment of trading led to; the journal writes all of it in one transaction, or nothing.

A moment is the close of bars, or an answer, an execution or a notice between two closes. Paper and live write the same steps; only
a live one has orders that are `sent` and messages of a venue.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Literal

import numpy as np

from atb.domain import Fill, Order

IntentState = Literal[
    "planned",  # on paper: waits for the next bar
    "sent",  # committed; the request may have been sent, its answer may be lost
    "live",
    "partially_filled",
    "filled",
    "cancelled",
    "rejected",
    "expired",
    "absent",  # given up: no trace of it at the venue; one that comes after all is taken back
    "withheld",  # never sent: halted, or a breaker tripped
]
# Prefix of the trade id of a write-off: a position that is gone from the account, booked as sold; no venue made it.
WRITTEN_OFF = "written-off-"
# The same for dust: quantity 0, since nothing is sold; it leaves the position and stays on the account.
SET_ASIDE = "dust-"
NOT_TRADED = (WRITTEN_OFF, SET_ASIDE)
OPEN_STATES: tuple[IntentState, ...] = ("planned", "sent", "live", "partially_filled")


@dataclass(frozen=True)
class Working:
    """An order that is open, or is sent once this step is committed.

    Parameters
    ----------
    slot
        Number of the slot it belongs to.
    bar_ms
        Open (epoch milliseconds) of the bar that it was decided at.
    list_id
        Client id of the order list it is part of.
    sent_ms
        Exchange time of its request, 0 on paper; the bound on late execution counts from it, so that it is later where the window
        was wider, or where a process that died may still have been sending.
    placed_ms
        Exchange time of its commit, before which nothing of it can have happened; 0 is `sent_ms`.
    exchange_id, filled
        The venue's id and the executed quantity (base), for an order that a restart found in the journal.
    """

    order: Order
    bar_ms: int
    slot: int = 0
    state: IntentState = "planned"
    list_id: str | None = None
    sent_ms: int = 0
    exchange_id: str | None = None
    filled: Decimal = Decimal(0)
    placed_ms: int = 0


@dataclass(frozen=True)
class Change:
    """A change of an order that is in the journal; None leaves a column as it is."""

    state: IntentState
    refusal: str | None = None
    exchange_id: str | None = None
    filled: Decimal | None = None
    sent_ms: int | None = None


@dataclass(frozen=True)
class Execution:
    """A fill with its order, its number in the session (from 0) and the kernel's reason code in words."""

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
    """An entry of the audit trail: its kind, plain values without secrets, and a severity."""

    kind: str
    detail: dict[str, Any] = field(default_factory=dict)
    severity: Literal["info", "warning", "error"] = "info"


@dataclass(frozen=True)
class OrderEvent:
    """A message of the venue about an order, verbatim but for secrets; never changed once written."""

    client_id: str
    kind: Literal["answer", "report", "stream"]
    detail: dict[str, Any]
    time_ms: int


@dataclass
class Step:
    """One moment of trading.

    Parameters
    ----------
    time_ms
        Exchange time: at a close, that of the bars decided on.
    decided
        Decisions, one per slot whose bar closed.
    bar_ms
        Open of the shortest bar that closed; None between closes. Equity is written for it.
    placed, changes
        New orders, and changes of earlier ones by client id.
    fills, trades
        Executions, and the TRADE records of the round trips they closed, numbered from 1.
    equity, cash
        At the close, in the quote currency; unused between closes.
    state
        The kernel state afterwards as JSON values, None if it did not change.
    cursors
        Id of the newest execution by symbol, foreign ones included; those of `fills` need not be listed.
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
    order_events: list[OrderEvent] = field(default_factory=list)


@dataclass(frozen=True)
class Withheld:
    """An order that must not be sent, and why: `halted`, or the breaker that tripped (see `atb.live.journal.breakers`)."""

    client_id: str
    reason: str


# Writes a step in one transaction and says which of its orders must not be sent.
Commit = Callable[[Step], Awaitable[tuple[Withheld, ...]]]
