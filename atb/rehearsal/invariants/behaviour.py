"""I7 to I10: intents before orders, an end to every doubt, rates and waits, halts and epochs, and the same decisions again."""

from collections import deque
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from atb.domain.orders import CLIENT_ID_PREFIX
from atb.live.journal.session_rows import Row, SessionRows
from atb.rehearsal.context import Terms
from atb.rehearsal.ledger import Entry, OurName, Replay
from atb.times import MINUTE_MS

_HALT_GRACE_MS = 1_000
_PAUSE, _CANCEL, _FLATTEN = 1, 2, 3
_OPEN_ROWS = {"live", "partially_filled"}


def unannounced(replay: Replay, books: SessionRows) -> list[str]:
    """Find requests for orders that were not in the books, as to be sent, when they arrived."""
    found, rows = [], {row["client_id"]: row for row in books.intents}
    for entry, names in replay.placed():
        for name in names:
            row = rows.get(name)
            if row is None:
                found.append(f"{name} was asked for at {entry['ms']} without an intent")
            elif row["state"] == "withheld":
                found.append(f"{name} was asked for at {entry['ms']}, and had been withheld: {row['refusal']}")
            elif _comparable(replay, entry) and (row["placed_ms"] or 0) > entry["ms"]:
                found.append(f"{name} was asked for at {entry['ms']}, its intent is of {row['placed_ms']}")
    return found


def _comparable(replay: Replay, entry: Entry) -> bool:
    """Tell whether the books' times are the ledger's: they are until the exchange's clock first jumps."""
    return replay.skewed_ms is None or int(entry["ms"]) < replay.skewed_ms


def nobodys(replay: Replay, terms: Terms) -> list[str]:
    """Find orders in our name that belong to no slot: they would escape every other check."""
    return [f"{name} belongs to no slot" for name in replay.by_name if not _owned(name, terms)]


def _owned(client_id: str, terms: Terms) -> bool:
    name = OurName.read(client_id)
    return name is not None and terms.of(name.slot) is not None


def unresolved(replay: Replay, books: SessionRows) -> list[str]:
    """Find orders whose end nobody knows, and those that are open in the books or at the exchange only."""
    found = []
    for row in books.intents:
        name, lives = row["client_id"], replay.by_name.get(row["client_id"], [])
        there = any(life.open for life in lives)
        if row["state"] == "sent":
            found.append(f"{name} is unresolved")
        elif (row["state"] in _OPEN_ROWS) != there:
            last = lives[-1].state if lives else "unknown"
            found.append(f"{name} is {row['state']} in the books and {last} at the exchange")
        elif lives and row["filled"] != max(life.filled for life in lives):
            found.append(f"{name} has {row['filled']} filled in the books, {lives[-1].filled} at the exchange")
    names = {row["client_id"] for row in books.intents}
    lost = [life for life in replay.lives.values() if life.open and life.client_id.startswith(CLIENT_ID_PREFIX)]
    return found + [f"{life.client_id} is open at the exchange only" for life in lost if life.client_id not in names]


def missing_bars(books: SessionRows, terms: Terms) -> list[str]:
    """Find bars that were passed over, between the first and the last decided ones or at the end, and bars decided twice."""
    found = []
    for number, slot in enumerate(terms.slots):
        times = [row["bar_ms"] for row in books.decisions if row["slot"] == number]
        gaps = [(one, other) for one, other in pairwise(times) if other - one != slot.bar_ms]
        found += [f"{slot.prefix}: bars between {one} and {other} are not decided" for one, other in gaps]
        until = _until_ms(slot.bar_ms, terms)
        closed = times[-1] + slot.bar_ms if times else None
        if until is not None and (closed is None or closed + slot.bar_ms <= until):
            found.append(f"{slot.prefix}: trading ended at {until}, the last bar that was decided closed at {closed}")
    return found


def _until_ms(bar_ms: int, terms: Terms) -> int | None:
    """Return until when a slot's bars must be decided, None where nothing is demanded.

    Where the kill switch closed everything, the runner ended itself; what it could not decide before then (it was dead, or the
    bar had only just closed) it need not.
    """
    begins = [begin for begin, _, level in terms.halts if level >= _FLATTEN]
    if terms.until_ms is None or not begins or min(begins) > terms.until_ms:
        return terms.until_ms
    halted = min(begins) - bar_ms
    return min([halted, *(begin for begin, end in terms.deaths if begin < halted <= end)])


def rates(replay: Replay, terms: Terms) -> list[str]:
    """Find a minute with too many orders for an entry, or for anything but stops and targets."""
    recent: deque[int] = deque()
    for entry, names in replay.placed():
        recent.extend([int(entry["ms"])] * len(names))
        while recent[0] <= int(entry["ms"]) - MINUTE_MS:
            recent.popleft()
        letters = {name.letter for name in map(OurName.read, names) if name is not None}
        allowed = terms.orders_per_minute if "e" in letters else terms.last_resort
        if letters & {"e", "x"} and len(recent) > allowed:
            return [f"{len(recent)} orders in the minute before {entry['ms']}, allowed are {allowed}"]
    return []


def waits(replay: Replay, terms: Terms) -> list[str]:
    """Find requests within a Retry-After; a process that was started meanwhile cannot know of it."""
    found, until, told = [], 0, 0
    for entry in replay.entries:
        now = int(entry["ms"])
        if entry["kind"] == "request" and now < until and not any(told <= end <= now for _, end in terms.deaths):
            found.append(f"{entry['method']} {entry['path']} at {now}, asked to wait until {until}")
        if entry["kind"] == "answer" and entry.get("retry_after_s"):
            until, told = max(until, now + 1_000 * int(entry["retry_after_s"])), now
    return found


def halts(replay: Replay, terms: Terms) -> list[str]:
    """Find entries that were asked for, or went on resting, or positions that were kept, against the kill switch."""
    found = []
    for begin, end, level in terms.halts:
        for entry, names in replay.placed():
            entries = [name for name in names if (read := OurName.read(name)) is not None and read.letter == "e"]
            if entries and begin + _HALT_GRACE_MS < int(entry["ms"]) < end:
                found.append(f"{', '.join(entries)} was asked for at {entry['ms']}, halted since {begin}")
        if level >= _CANCEL and end >= replay.end_ms:
            resting = [life for life in replay.lives.values() if life.open and life.name and life.name.letter == "e"]
            found += [f"{life.client_id} rests, though entries were to be cancelled" for life in resting]
        if level >= _FLATTEN and end >= replay.end_ms:
            found += [f"{name} rests, though all was to be closed" for name in _still_open(replay)]
    return found


def _still_open(replay: Replay) -> list[str]:
    return [
        life.client_id for life in replay.lives.values() if life.open and life.client_id.startswith(CLIENT_ID_PREFIX)
    ]


def epochs(books: SessionRows) -> list[str]:
    """Find intents that were written under an epoch that was over."""
    return [
        f"{later['client_id']} was written under epoch {later['epoch']}, after {earlier['epoch']} had begun"
        for earlier, later in pairwise(books.intents)
        if later["epoch"] < earlier["epoch"]
    ]


def differences(here: Sequence[Row], again: Sequence[Row]) -> list[str]:
    """Return the first decision that differs from another run's."""
    for one, other in zip(here, again, strict=False):
        if one != other:
            names = [name for name in one if one[name] != other[name]]
            where = f"slot {one['slot']}, bar {one['bar_ms']}"
            return [f"{where}: {', '.join(f'{name} {one[name]} and {other[name]}' for name in names)}"]
    return [] if len(here) == len(again) else [f"{len(here)} decisions, the other run has {len(again)}"]


def counts(replay: Replay, books: SessionRows, terms: Terms) -> dict[str, Any]:
    """Return how much happened."""
    struck: dict[str, int] = {}
    for entry in replay.kind("fault"):
        if "ended" not in entry:
            struck[entry["fault"]] = struck.get(entry["fault"], 0) + 1
    return {
        "requests": len(replay.kind("request")),
        "orders": sum(len(lives) for lives in replay.by_name.values()),
        "executions": len(books.fills),
        "bars": len(books.decisions),
        "deaths": len(terms.deaths),
        "faults": struck,
    }
