"""I2, I4 and I5: how orders came, went and stood to each other at the exchange, and what the books say of it."""

from collections import Counter
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from atb.live.journal.session_rows import SessionRows
from atb.rehearsal.context import SlotTerms, Terms
from atb.rehearsal.ledger import Life, Lives, OurName, Replay

# By the books' state, the states that the exchange must have shown at some time; none where it never had the order.
_SHOWN = {
    "live": {"NEW", "PENDING_NEW"},
    "partially_filled": {"PARTIALLY_FILLED", "FILLED", "CANCELED", "EXPIRED"},
    "filled": {"FILLED"},
    "cancelled": {"CANCELED", "EXPIRED"},
    "expired": {"EXPIRED", "CANCELED"},
    "rejected": {"REJECTED"},
}
_NEVER_THERE = {"absent", "rejected", "withheld", "planned"}
_RANK = {"planned": 0, "sent": 0, "live": 1, "partially_filled": 2}
_END = 3


def entries(replay: Replay) -> list[str]:
    """Find a second entry, executed or open, of one slot and bar, and a second open one of a slot."""
    lives, found = Lives(), dict[str, None]()
    ours: dict[str, dict[int, tuple[OurName, Life]]] = {}
    for entry in replay.entries:
        life = lives.take(entry)
        name = life.name if life is not None else None
        if life is None or name is None or name.letter != "e":
            continue
        same = ours.setdefault(name.slot, {})
        same[life.order_id] = (name, life)
        open_now = [one.client_id for _, one in same.values() if one.open]
        if len(open_now) > 1:
            found[f"{name.slot} has {len(open_now)} open entries: {', '.join(sorted(open_now))}"] = None
        counted = [one for of, one in same.values() if of.bar == name.bar and (one.open or one.filled)]
        if len(counted) > 1:
            names = ", ".join(sorted(f"{one.client_id} (order {one.order_id})" for one in counted))
            found[f"{name.slot} entered more than once in bar {name.bar}: {names}"] = None
    return list(found)


def sales(replay: Replay, terms: Terms) -> list[str]:
    """Find sales of what a slot does not hold, done or resting, and balances below 0."""
    lives, found = Lives(), dict[str, None]()
    held: Counter[str] = Counter()
    resting: dict[str, dict[int, Life]] = {}
    for entry in replay.entries:
        if entry["kind"] == "balance":
            below = [asset for asset, parts in entry["balances"].items() if min(map(Decimal, parts)) < 0]
            found |= {f"the balance of {asset} is below 0 at {entry['ms']}": None for asset in below}
        life = lives.take(entry)
        slot = terms.of(life.name.slot) if life is not None and life.name is not None else None
        if life is None or slot is None:
            continue
        if entry["kind"] == "trade":
            held[slot.prefix] += _moved(entry, slot)  # type: ignore[assignment] # a Counter of decimals
        if life.side == "SELL":
            resting.setdefault(slot.prefix, {})[life.order_id] = life
        found |= dict.fromkeys(_too_much(slot, Decimal(held[slot.prefix]), resting.get(slot.prefix, {})))
    return list(found)


def _moved(entry: Mapping[str, Any], slot: SlotTerms) -> Decimal:
    sign = 1 if entry["side"] == "BUY" else -1
    fee = Decimal(entry["commission"]) if entry["commission_asset"] == slot.base else Decimal(0)
    return sign * Decimal(entry["quantity"]) - fee


def _too_much(slot: SlotTerms, held: Decimal, orders: dict[int, Life]) -> list[str]:
    """Compare what a slot holds with what it sells; the orders of a pair sell the same."""
    for gone in [key for key, life in orders.items() if not life.open]:
        del orders[gone]
    largest: dict[int, Decimal] = {}
    for key, life in orders.items():
        if life.state != "PENDING_NEW":
            group = life.list_id if life.list_id >= 0 else -1 - key
            largest[group] = max(largest.get(group, Decimal(0)), life.rest)
    resting = sum(largest.values(), Decimal(0))
    if held < 0:
        return [f"{slot.prefix} sold {-held} more than it held"]
    return [f"{slot.prefix} holds {held} and rests {resting} to be sold"] if resting > held else []


def states(replay: Replay, books: SessionRows) -> list[str]:
    """Compare each order's state in the books with those it went through at the exchange, and look for steps backwards there."""
    found = []
    for row in books.intents:
        name, state, lives = row["client_id"], row["state"], replay.by_name.get(row["client_id"], [])
        if not lives:
            if state not in _NEVER_THERE | {"sent"}:
                found.append(f"{name} is {state} in the books; the exchange never had it")
            continue
        shown = {one for life in lives for one in life.states}
        if state != "sent" and not shown & _SHOWN.get(state, set()):
            found.append(f"{name} is {state} in the books; at the exchange it was {', '.join(sorted(shown))}")
        elif row["filled"] > max(life.filled for life in lives):
            found.append(f"{name} has {row['filled']} filled in the books, {lives[-1].filled} at the exchange")
    return found


def backwards(readings: Sequence[Mapping[str, tuple[str, Any]]], books: SessionRows) -> list[str]:
    """Find orders that went back between two readings of the books, or whose filled quantity fell."""
    found, before = [], dict[str, tuple[str, Any]]()
    for reading in (*readings, books.states):
        for name, (state, filled) in reading.items():
            was, had = before.get(name, (state, filled))
            reopened = _RANK.get(state, _END) < _RANK.get(was, _END)
            changed = was not in _RANK and state not in {was, "filled"}
            if reopened or changed or filled < had:
                found.append(f"{name} was {was} with {had} filled, then {state} with {filled}")
        before |= reading
    return found
