"""I3: stops rest where the policy wants them.

The session's rows go through the kernel again (`atb.live.journal.replay`), which tells after each where the stop of every slot has
to rest; what rested at the exchange, by its ledger, is compared with that.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

import numpy as np

from atb.decimals import exact
from atb.domain import Bars
from atb.live.journal.replay import SessionReplay
from atb.live.journal.session_rows import SessionRows
from atb.live.portfolio import Portfolio
from atb.rehearsal.context import JudgeContext, SlotContext
from atb.rehearsal.invariants.protection import RESTS, STOPS, longest_unexcused_ms, obstructions
from atb.rehearsal.ledger import LedgerOrder, LedgerOrders, LedgerReading, Span
from atb.times import HOUR_MS

Wanted = list[tuple[int, Decimal | None]]  # from when (exchange time) which price, None without a position or a stop


# --- what is wanted -----------------------------------------------------------------------------------------------------


def wanted_stops(books: SessionRows, portfolio: Portfolio, series: Sequence[Bars]) -> list[Wanted]:
    """Return by slot where its stop had to rest, from when on.

    Parameters
    ----------
    series
        By slot, the bars with their warm-up, all that were decided among them.
    """
    replayed = SessionReplay(books, portfolio, series)
    found: list[Wanted] = [[] for _ in portfolio.plans]
    now = 0
    for applied in replayed.run():
        now = max(now, applied.time_ms)
        for slot, prices in enumerate(found):
            price = _stop_of(replayed.state.slot(slot))
            if not prices or prices[-1][1] != price:
                prices.append((now, price))
    return found


def _stop_of(record: np.void) -> Decimal | None:
    """Return where a slot's stop has to rest, None without a position or a stop."""
    rests = record["quantity"] != 0.0 and not np.isnan(record["stop"])
    return exact(record["stop"]) if rests else None


# --- what rests ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Misplaced:
    """A time in which a stop rested at another price than the policy's; `longest_ms` is what nothing excuses."""

    slot: str
    span: Span
    wanted: Decimal
    resting: tuple[Decimal, ...]
    longest_ms: int

    def __str__(self) -> str:
        """Return one line."""
        there = ", ".join(map(str, self.resting))
        where = f"{self.slot} had a stop at {there}, wanted at {self.wanted}"
        return f"{where}, for {self.longest_ms} ms from {self.span[0]} to {self.span[1]}"


def altered(ledger: LedgerReading, books: SessionRows) -> list[str]:
    """Find orders whose stop price at the exchange is not the one of their intent."""
    wanted = {row["client_id"]: row["stop_price"] for row in books.intents if row["stop_price"] is not None}
    return [
        f"{name} rests with a stop at {order.stop_price}, its intent's is {wanted[name]}"
        for name, orders in ledger.by_client_id.items()
        for order in orders
        if name in wanted and order.type in STOPS and order.stop_price != wanted[name]
    ]


def misplaced_times(ledger: LedgerReading, context: JudgeContext, wanted: Sequence[Wanted]) -> Iterator[Misplaced]:
    """Give every time in which a stop rested at another price than the one that is wanted, at the exchange's resolution."""
    resting = _resting(ledger)
    for slot, prices in zip(context.slots, wanted, strict=True):
        yield from _of_slot(slot, dict(prices), resting.get(slot.prefix, {}), ledger=ledger, context=context)


def _resting(ledger: LedgerReading) -> dict[str, dict[int, tuple[Decimal, ...]]]:
    """Return by slot the prices of the stops that rest, after each moment that changed them."""
    orders, found = LedgerOrders(), dict[str, dict[int, tuple[Decimal, ...]]]()
    ours: dict[str, dict[int, LedgerOrder]] = {}
    for entry in ledger.entries:
        order = orders.apply(entry)
        if order is None or order.name is None or order.name.letter != "s" or order.type not in STOPS:
            continue
        there = ours.setdefault(order.name.slot, {})
        there[order.order_id] = order
        if not order.open:
            del there[order.order_id]
        prices = tuple(sorted(order.stop_price for order in there.values() if order.state in RESTS))
        found.setdefault(order.name.slot, {})[int(entry["ms"])] = prices
    return found


def _of_slot(
    slot: SlotContext, wanted: Mapping[int, Decimal | None], resting: Mapping[int, tuple[Decimal, ...]], *,
    ledger: LedgerReading, context: JudgeContext,
) -> Iterator[Misplaced]:  # fmt: skip
    since: tuple[int, Decimal, tuple[Decimal, ...]] | None = None
    price, there = None, tuple[Decimal, ...]()
    for now in sorted({*wanted, *resting, ledger.end_ms}):
        price, there = wanted.get(now, price), resting.get(now, there)
        wrong = tuple(stop for stop in there if price is not None and abs(stop - price) > slot.tick)
        if wrong and price is not None and since is None:
            since = now, price, wrong
        elif since is not None and (not wrong or now == ledger.end_ms):
            span = (since[0], now)
            yield Misplaced(slot.prefix, span, since[1], since[2], _longest(slot, span, ledger, context=context))
            since = None


def _longest(slot: SlotContext, span: Span, ledger: LedgerReading, *, context: JudgeContext) -> int:
    """Return the longest part in which the stop could have been moved: a runner lived, and could know of bar and order.

    Where a symbol allows no cancel-replace an old stop stays; that it is allowed again is seen at a close, an hour later at most.
    """
    fixed = [
        (begin, end + HOUR_MS + slot.bar_ms) for begin, end in ledger.changed_spans(slot.joined, "cancelReplaceAllowed")
    ]
    deaths = [death for death in context.deaths if death[1] >= span[0]]
    excuses = [*deaths, *fixed, *ledger.fault_spans("freeze", slot.joined), *obstructions(slot, span[0], ledger)]
    return max(0, longest_unexcused_ms(span, excuses) - ledger.largest_skew_ms)
