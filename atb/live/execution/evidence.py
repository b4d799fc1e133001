"""Evidence about an order whose answer is unknown: when it counts as one that the venue never had.

"Not found" is one witness, and a weak one. Binance serves orders from "Memory => Database" and bounds neither how far that lags
behind its matching engine nor when the engine executes a request that was accepted inside its window. So an order is *absent* only
if its window is over and nothing speaks for it, and an entry only once it has left no trace for a stated time of asking again and
again (`DeskTiming.silence_ms`). The witnesses, in the order in which they are asked:

1. the order itself, by its client id;
2. its list, by the list's client id, and every other order of it: a venue takes a list whole or not at all, so one leg that it
   knows, in whatever state, proves the others, and a leg that is live proves that the entry was filled;
3. the open orders, and executions that no order of ours owns: each names its order, and that order gives our client id back;
4. balances: more base or less quote than the books have speaks for a buy, less base for a sale, and base that is locked beyond
   what the listed orders lock for a stop that rests.

**An entry** that leaves no trace is given up and not sent again in its bar. If it comes after all it is ours, with its stop.

**A sale** (exit, stop, target) is asked about in the same order, but is planned anew as soon as its window is over and nothing
speaks for it, since the position may be bare. It cannot sell twice where the account has too little for two: the venue refuses the
second. Where it has enough (coins of its owner, another slot's position), an exit at the market is not repeated in its bar: the
stop goes back first, and the next close decides again. A stop is repeated at once, for two that rest have sold nothing: the
surplus one is cancelled when it shows. An exit that replaces its stop in one request needs no such care: a stop that still rests
is the best witness that the request did nothing, and covers the position meanwhile.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

from atb.domain import Order
from atb.domain.venue import OrderReport
from atb.live.execution.blotter import Outstanding
from atb.live.execution.timing import DeskTiming
from atb.live.journal.step import Working

Witness = Literal["order", "list", "execution", "balance"]
Verdict = Literal["waits", "absent"]
_LOOKS = 3  # an entry is asked for at least so often, also by a process that starts long after the request


@dataclass(frozen=True)
class Evidence:
    """The evidence about an order whose answer is unknown and that its own look-up did not find.

    Parameters
    ----------
    entry
        Whether it is an entry, or waits for one in its list; else it is a sale.
    asked_ms, over_ms
        Exchange time of asking, and from when on the request can no longer be accepted.
    looks
        How often it was asked for after that.
    witnesses
        The witnesses that speak for it.
    """

    entry: bool
    asked_ms: int
    over_ms: int
    looks: int = 1
    witnesses: frozenset[Witness] = frozenset()


def verdict(evidence: Evidence, timing: DeskTiming) -> Verdict:
    """Return whether an order is to be waited for, or counts as one that the venue never had."""
    beyond_ms = evidence.asked_ms - evidence.over_ms
    if beyond_ms <= 0 or evidence.witnesses & {"list", "execution"}:
        return "waits"
    if evidence.witnesses:
        longest = timing.balance_ms if evidence.entry else timing.silence_ms
        return "waits" if beyond_ms <= longest else "absent"
    if evidence.entry and (beyond_ms <= timing.silence_ms or evidence.looks < _LOOKS):
        return "waits"
    return "absent"


def moved(order: Order, *, base: Decimal, quote: Decimal, locked: Decimal) -> bool:
    """Return whether balances speak for an order.

    Parameters
    ----------
    base, quote
        How far the account moved against the books since they were last compared; 0 within the tolerance.
    locked
        Base that is locked beyond what the listed orders lock; 0 within the tolerance.
    """
    return base > 0 or quote < 0 if order.side == "buy" else base < 0 or locked > 0


def sells_twice(order: Order, held: Decimal) -> bool:
    """Return whether a sale could be executed twice: it sells at once, and the account has enough base for two."""
    return order.role == "exit" and order.type == "market" and held >= 2 * order.quantity


def is_newer(report: OrderReport, kept: Working) -> bool:
    """Return whether a report says more than the journal: of an order given up, of more executions, or that it was filled."""
    met = report.state == "filled" and kept.state != "filled"
    return kept.state == "absent" or met or report.filled > kept.filled


def note_update(outstanding: Outstanding, at_ms: int) -> None:
    """Note an update that may tell of an order: where its answer was lost, it is looked up at once."""
    outstanding.updated_ms, outstanding.next_look_ms = at_ms, 0


def trace(orders: Iterable[Outstanding], at_ms: int) -> None:
    """Note that the venue has orders, since it knows another of their list or the list: it takes a list whole."""
    for outstanding in orders:
        if not outstanding.traced:
            outstanding.traced = True
            note_update(outstanding, at_ms)


def next_look_ms(asked_ms: int, over_ms: int, timing: DeskTiming, *, updated_ms: int = 0) -> int:
    """Return when to ask again: within the window at a steady pace, right after it, and then ever more slowly.

    The pauses begin anew with an update that may tell of the order: it may have left a position bare.
    """
    if asked_ms <= over_ms:
        return min(over_ms + 1, asked_ms + timing.look_ms)
    waited_ms = asked_ms - max(over_ms, updated_ms)
    return asked_ms + min(max(waited_ms // 4, timing.look_ms), timing.longest_look_ms)
