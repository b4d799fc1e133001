"""I7 to I10: intents before orders, nothing unresolved, limits, halts, quarantine and epochs respected, decisions repeatable."""

from collections import Counter, deque
from collections.abc import Iterator, Sequence
from datetime import datetime
from itertools import pairwise
from typing import Any

from atb.domain.orders import CLIENT_ID_PREFIX
from atb.live.journal.session_rows import Row, SessionRows
from atb.rehearsal.context import JudgeContext
from atb.rehearsal.ledger import ClientIdParts, Entry, LedgerReading
from atb.times import MINUTE_MS

_HALT_GRACE_MS = 1_000
_PING = "/api/v3/ping"
_READ_MS = 1_000  # real time until a runner has read a refusal for certain
_PAUSE, _CANCEL, _FLATTEN = 1, 2, 3
_TOO_SMALL = frozenset(
    ("-1013", "local:notional", "local:lot_size")
)  # by a filter of the exchange, or its rule known here
_REFUSALS = 5  # in a row, more than a runner needs to see that something cannot be sold
_OPEN_STATES = {"live", "partially_filled"}
_UNRECORDED = "unrecorded_order"
_UNTIL_ACCEPTED = frozenset(("missing", "stranger_order", "stranger_trade", _UNRECORDED))
_DRIFT, _SOLD_TOO_MUCH, _ACCEPTED = "drift", "sold_too_much", "accepted"


def requests_without_intent(ledger: LedgerReading, journal: SessionRows) -> list[str]:
    """Find orders that were requested without an intent committed before the request."""
    found, rows = [], {row["client_id"]: row for row in journal.intents}
    for entry, names in ledger.order_requests():
        for name in names:
            row = rows.get(name)
            if row is None:
                found.append(f"{name} was requested at {entry['ms']} without an intent")
            elif row["state"] == "withheld":
                found.append(f"{name} was requested at {entry['ms']} although it had been withheld: {row['refusal']}")
            elif _comparable(ledger, entry) and (row["placed_ms"] or 0) > entry["ms"]:
                found.append(f"{name} was requested at {entry['ms']}, before its intent of {row['placed_ms']}")
    return found


def _comparable(ledger: LedgerReading, entry: Entry) -> bool:
    """True if the journal's times can be compared with the ledger's: until the exchange's clock first jumps."""
    return ledger.first_skew_ms is None or int(entry["ms"]) < ledger.first_skew_ms


def unowned_orders(ledger: LedgerReading, context: JudgeContext) -> list[str]:
    """Find orders with our client ids that belong to no slot: no other check would see them."""
    return [f"{name} belongs to no slot" for name in ledger.by_client_id if not _owned(name, context)]


def _owned(client_id: str, context: JudgeContext) -> bool:
    name = ClientIdParts.parse(client_id)
    return name is not None and context.slot(name.slot) is not None


def unresolved_orders(ledger: LedgerReading, journal: SessionRows) -> list[str]:
    """Find orders whose outcome is unknown, and orders that are open only in the journal or only at the exchange."""
    found = []
    for row in journal.intents:
        name, orders = row["client_id"], ledger.by_client_id.get(row["client_id"], [])
        open_there = any(order.open for order in orders)
        if row["state"] == "sent":
            found.append(f"{name} is unresolved")
        elif (row["state"] in _OPEN_STATES) != open_there:
            last = orders[-1].state if orders else "unknown"
            found.append(f"{name} is {row['state']} in the journal and {last} at the exchange")
        elif orders and row["filled"] != max(order.filled for order in orders):
            found.append(f"{name} has {row['filled']} filled in the journal, {orders[-1].filled} at the exchange")
    names = {row["client_id"] for row in journal.intents}
    at_exchange = [
        order for order in ledger.orders.values() if order.open and order.client_id.startswith(CLIENT_ID_PREFIX)
    ]
    return found + [
        f"{order.client_id} is open at the exchange only" for order in at_exchange if order.client_id not in names
    ]


def sales_refused_for_ever(ledger: LedgerReading, journal: SessionRows, context: JudgeContext) -> list[str]:
    """Find slots whose exits and stops are refused as too small, again and again: what cannot be sold is dust."""
    in_a_row, most = Counter[str](), Counter[str]()
    for row in sorted(journal.intents, key=lambda row: int(row["placed_ms"] or 0)):
        name = ClientIdParts.parse(row["client_id"])
        slot = context.slot(name.slot) if name is not None else None
        if name is None or slot is None or name.letter == "e":
            continue
        closed = any(begin <= int(row["placed_ms"] or 0) <= end for begin, end in ledger.refusal_spans(slot.joined))
        small = row["state"] == "rejected" and row["refusal"] in _TOO_SMALL and not closed
        in_a_row[name.slot] = in_a_row[name.slot] + 1 if small else 0
        most[name.slot] = max(most[name.slot], in_a_row[name.slot])
    return [
        f"{slot} asked {count} times in a row to sell too little" for slot, count in most.items() if count > _REFUSALS
    ]


def missing_bars(journal: SessionRows, context: JudgeContext) -> list[str]:
    """Find bars without a decision, between the first and the last decided bar or at the end, and bars decided twice."""
    found = []
    for number, slot in enumerate(context.slots):
        times = [row["bar_ms"] for row in journal.decisions if row["slot"] == number]
        gaps = [(earlier, later) for earlier, later in pairwise(times) if later - earlier != slot.bar_ms]
        found += [f"{slot.prefix}: bars between {earlier} and {later} are not decided" for earlier, later in gaps]
        until = _required_until_ms(slot.bar_ms, context)
        closed = times[-1] + slot.bar_ms if times else None
        if until is not None and (closed is None or closed + slot.bar_ms <= until):
            found.append(f"{slot.prefix}: trading ended at {until}, but the last decided bar closed at {closed}")
    return found


def _required_until_ms(bar_ms: int, context: JudgeContext) -> int | None:
    """Return the time up to which a slot's bars must be decided; None if that is not required.

    A kill switch at flatten ends the runner: bars that closed just before it, or while the runner was down, need no decision.
    """
    begins = [begin for begin, _, level in context.halts if level >= _FLATTEN]
    if context.until_ms is None or not begins or min(begins) > context.until_ms:
        return context.until_ms
    last_closed = min(begins) - bar_ms
    return min([last_closed, *(begin for begin, end in context.deaths if begin < last_closed <= end)])


def order_rates(ledger: LedgerReading, context: JudgeContext) -> list[str]:
    """Find the first minute with an order beyond its limit: entries and exits have one, stops and targets have none."""
    recent: deque[int] = deque()
    for entry, names in ledger.order_requests():
        recent.extend([int(entry["ms"])] * len(names))
        while recent[0] <= int(entry["ms"]) - MINUTE_MS:
            recent.popleft()
        letters = {name.letter for name in map(ClientIdParts.parse, names) if name is not None}
        allowed = context.orders_per_minute if "e" in letters else context.last_resort
        if letters & {"e", "x"} and len(recent) > allowed:
            return [f"{len(recent)} orders in the minute before {entry['ms']}, allowed are {allowed}"]
    return []


def requests_within_retry_after(ledger: LedgerReading, context: JudgeContext) -> list[str]:
    """Find requests within a Retry-After.

    A process that was started since then cannot know of it, nor can requests that were on their way beside the ping of a
    connection that is being opened, when that ping was refused: what was handed to the network cannot be taken back. That is
    measured by our clock, which a virtual one does not stop, and for no other request.
    """
    found, until, since, read_ms = [], 0, 0, 0
    pings = {entry.get("id") for entry in ledger.entries if entry.get("path") == _PING}
    for entry in ledger.entries:
        now = int(entry["ms"])
        unknown = ledger.real_ms(entry) < read_ms or any(since <= end <= now for _, end in context.deaths)
        if entry["kind"] == "request" and now < until and not unknown:
            found.append(f"{entry['method']} {entry['path']} at {now}, asked to wait until {until}")
        if entry["kind"] == "answer" and entry.get("retry_after_s"):
            until, since = max(until, now + 1_000 * int(entry["retry_after_s"])), now
            read_ms = ledger.real_ms(entry) + _READ_MS if entry.get("id") in pings else read_ms
    return found


def halt_violations(ledger: LedgerReading, context: JudgeContext) -> list[str]:
    """Find entries that were requested or left resting, and orders left open, against the kill switch."""
    found = []
    for begin, end, level in context.halts:
        for entry, names in ledger.order_requests():
            entries = [name for name in names if (read := ClientIdParts.parse(name)) is not None and read.letter == "e"]
            if entries and begin + _HALT_GRACE_MS < int(entry["ms"]) < end:
                found.append(f"{', '.join(entries)} was requested at {entry['ms']}, halted since {begin}")
        if level >= _CANCEL and end >= ledger.end_ms:
            resting = [
                order for order in ledger.orders.values() if order.open and order.name and order.name.letter == "e"
            ]
            found += [f"{order.client_id} still rests; the kill switch cancels entries" for order in resting]
        if level >= _FLATTEN and end >= ledger.end_ms:
            found += [f"{name} still rests; the kill switch closes everything" for name in _still_open(ledger)]
    return found


def _still_open(ledger: LedgerReading) -> list[str]:
    return [
        order.client_id
        for order in ledger.orders.values()
        if order.open and order.client_id.startswith(CLIENT_ID_PREFIX)
    ]


def entries_in_quarantine(journal: SessionRows) -> list[str]:
    """Find entries whose intent was committed while their symbol was quarantined, by the audit trail.

    Decisions are barred at closes; an entry may also be sent between two: one that was put off, refused and tried again, or changed
    its form. Rows are compared by our clock, in which the journal stamps both: what is written later was known later.
    """
    entries = [row for row in journal.intents if row["role"] == "entry" and row["state"] != "withheld"]
    return [
        f"{row['client_id']} was placed in {symbol}, quarantined ({reason}) since {begin}"
        for symbol, reason, begin, end in _quarantines(journal)
        for row in entries
        if row["symbol"] == symbol and begin < row["created_at"] and (end is None or row["created_at"] < end)
    ]


def ours_taken_for_foreign(journal: SessionRows) -> list[str]:
    """Find orders that the journal has, of which it was noted that no journal has them: a list of open orders may lag."""
    names = {row["client_id"] for row in journal.intents}
    noted = [event["detail"] for event in journal.events if event["kind"] == _UNRECORDED]
    return [
        f"{detail['client_id']} is in the journal, and quarantined {detail['symbol']} as if it were not"
        for detail in noted
        if detail["client_id"] in names
    ]


def _quarantines(journal: SessionRows) -> Iterator[tuple[str, str, datetime, datetime | None]]:
    """Yield each quarantine: symbol, reason, begin, and end; None where it lasts. The first of several reasons counts."""
    open_now: dict[str, tuple[str, datetime]] = {}
    for event in sorted(journal.events, key=lambda event: int(event["id"])):
        kind = event["kind"]
        for symbol in _symbols_of(event, journal):
            reason, _ = open_now.get(symbol, ("", None))
            over = kind == _ACCEPTED or (reason == kind == _DRIFT and not _drifts(event))
            if over and reason:
                yield symbol, *open_now.pop(symbol), event["time"]
            elif not over and not (kind == _DRIFT and not _drifts(event)):
                open_now.setdefault(symbol, (kind, event["time"]))
    for symbol, (reason, begin) in open_now.items():
        yield symbol, reason, begin, None


def _symbols_of(event: Row, journal: SessionRows) -> list[str]:
    """Return the symbols that an entry of the audit trail quarantines or frees."""
    kind, detail, traded = event["kind"], event["detail"], list(dict.fromkeys(journal.slots.values()))
    if kind == _ACCEPTED:
        return traded
    if kind == _DRIFT:
        return [symbol for symbol in traded if symbol.partition("/")[0] == detail["asset"]]
    if kind == _SOLD_TOO_MUCH:
        return [row["symbol"] for row in journal.intents if row["client_id"] == detail["client_id"]]
    return [symbol for symbol in traded if kind in _UNTIL_ACCEPTED and symbol == detail["symbol"]]


def _drifts(event: Row) -> bool:
    return float(event["detail"]["drift"]) != 0.0


def stale_epochs(journal: SessionRows) -> list[str]:
    """Find intents that were written under an epoch that had ended."""
    return [
        f"{later['client_id']} was written under epoch {later['epoch']}, after {earlier['epoch']} had begun"
        for earlier, later in pairwise(journal.intents)
        if later["epoch"] < earlier["epoch"]
    ]


def differences(here: Sequence[Row], again: Sequence[Row]) -> list[str]:
    """Return the first decision that differs from the other run's, or a difference in number."""
    for first, second in zip(here, again, strict=False):
        if first != second:
            names = [name for name in first if first[name] != second[name]]
            where = f"slot {first['slot']}, bar {first['bar_ms']}"
            return [f"{where}: {', '.join(f'{name} {first[name]} and {second[name]}' for name in names)}"]
    return [] if len(here) == len(again) else [f"{len(here)} decisions, the other run has {len(again)}"]


def counts(ledger: LedgerReading, journal: SessionRows, context: JudgeContext) -> dict[str, Any]:
    """Return the run's counts: requests, orders, executions, bars, deaths, and faults by kind."""
    faults: dict[str, int] = {}
    for entry in ledger.entries_of("fault"):
        if "ended" not in entry:
            faults[entry["fault"]] = faults.get(entry["fault"], 0) + 1
    return {
        "requests": len(ledger.entries_of("request")),
        "orders": sum(len(orders) for orders in ledger.by_client_id.values()),
        "executions": len(journal.fills),
        "bars": len(journal.decisions),
        "deaths": len(context.deaths),
        "faults": faults,
    }
