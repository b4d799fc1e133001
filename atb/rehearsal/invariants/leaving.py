"""I3: a position is sold as if its stop had been met only where the price has met it.

A stop that cannot rest since the price has passed it is replaced by a sale at the market, under the stop's role and reason. Such a
sale above the wanted stop needs evidence in ledger or journal, since the position was bought: the exchange said that a stop would
trigger at once, a stop triggered (and expired unfilled), a bar closed at or below it, or protection was refused again and again for
something else than prices. Words about prices alone ("the relationship of the prices", "would immediately match") say that a pair's
target may be passed, and nothing of the stop.
"""

from collections.abc import Iterator, Sequence
from decimal import Decimal

from atb.decimals import exact
from atb.live.journal.session_rows import SessionRows
from atb.rehearsal.context import JudgeContext, SlotContext
from atb.rehearsal.invariants.protection import STOPS
from atb.rehearsal.invariants.stop_prices import Wanted
from atb.rehearsal.ledger import ClientIdParts, Entry, LedgerReading

_PASSED = "would trigger immediately"
_OF_PRICES = ("relationship of the prices", "would immediately match")
_REFUSALS = 3  # of its protection, that a runner has to bear before it may rather close the position


def sold_above_stop(
    ledger: LedgerReading, journal: SessionRows, context: JudgeContext, *, wanted: Sequence[Wanted]
) -> list[str]:
    """Find sales at the market in the stop's role, above the stop, without evidence that the price had met it.

    Parameters
    ----------
    wanted
        By slot, the stop prices that `stop_prices.wanted_stops` computed.
    """
    return [
        words
        for number, (slot, prices) in enumerate(zip(context.slots, wanted, strict=True))
        for words in _of_slot(slot, prices, number, ledger=ledger, journal=journal)
    ]


def _of_slot(
    slot: SlotContext, prices: Wanted, number: int, *, ledger: LedgerReading, journal: SessionRows
) -> Iterator[str]:
    bought_ms = 0
    for entry in ledger.trades:
        name = ClientIdParts.parse(entry["client_id"])
        if name is None or name.slot != slot.prefix:
            continue
        bought_ms = int(entry["ms"]) if entry["side"] == "BUY" else bought_ms
        stop = _stop_at(prices, int(entry["ms"]))
        early = name.letter == "s" and entry["type"] == "MARKET" and stop is not None
        if stop is None or not early or Decimal(entry["price"]) <= stop + slot.tick:
            continue
        span = bought_ms, int(entry["ms"])
        closed_below = any(
            exact(row["bar"]["close"]) <= stop
            for row in journal.decisions
            if row["slot"] == number and "close" in row["bar"] and span[0] <= row["bar_ms"] + slot.bar_ms <= span[1]
        )
        if not closed_below and not _was_met(slot, span, ledger):
            yield (
                f"{entry['client_id']} sold at {entry['price']} as if the stop at {stop} had been met, at {entry['ms']}"
            )


def _stop_at(prices: Wanted, at_ms: int) -> Decimal | None:
    """Return the last wanted stop up to a time."""
    return next((price for time_ms, price in reversed(prices) if time_ms <= at_ms and price is not None), None)


def _was_met(slot: SlotContext, span: tuple[int, int], ledger: LedgerReading) -> bool:
    """Return whether the exchange's entries of a span show that a stop was met, or could not be kept for other reasons."""
    within = [entry for entry in ledger.entries if span[0] <= int(entry["ms"]) <= span[1]]
    triggered = any(
        entry["kind"] == "order" and entry["type"] in STOPS and entry["status"] == "EXPIRED" and _is_of(slot, entry)
        for entry in within
    )
    asked = {entry["id"] for entry in within if entry["kind"] == "request" and _protects(slot, entry)}
    refused = [
        str(entry.get("msg", "")).lower()
        for entry in within
        if entry["kind"] == "answer" and entry["id"] in asked and entry["code"]
    ]
    others = [words for words in refused if not any(known in words for known in _OF_PRICES)]
    return triggered or any(_PASSED in words for words in refused) or len(others) > _REFUSALS


def _is_of(slot: SlotContext, entry: Entry) -> bool:
    name = ClientIdParts.parse(entry["client_id"])
    return name is not None and name.slot == slot.prefix


def _protects(slot: SlotContext, request: Entry) -> bool:
    """Return whether a request places a stop or a target of a slot."""
    names = [ClientIdParts.parse(str(value)) for value in request["params"].values()]
    return any(name is not None and name.slot == slot.prefix and name.letter in {"s", "t"} for name in names)
