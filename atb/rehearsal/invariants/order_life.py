"""I2, I4 and I5: duplicate entries, sales beyond what is held, and order states that do not match the exchange's."""

from collections import Counter
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from atb.live.journal.session_rows import SessionRows
from atb.rehearsal.context import JudgeContext, SlotContext
from atb.rehearsal.ledger import ClientIdParts, LedgerOrder, LedgerOrders, LedgerReading

# By state in the journal: the exchange's states of which the order must have shown one.
_EXCHANGE_STATES = {
    "live": {"NEW", "PENDING_NEW"},
    "partially_filled": {"PARTIALLY_FILLED", "FILLED", "CANCELED", "EXPIRED"},
    "filled": {"FILLED"},
    "cancelled": {"CANCELED", "EXPIRED"},
    "expired": {"EXPIRED", "CANCELED"},
    "rejected": {"REJECTED"},
}
_NEVER_AT_EXCHANGE = {"absent", "rejected", "withheld", "planned"}
_RANK = {"planned": 0, "sent": 0, "live": 1, "partially_filled": 2}
_ENDED = 3


def duplicate_entries(ledger: LedgerReading) -> list[str]:
    """Find slots with two entries (filled or open) in one bar, or with two open entries; parts of one limit entry are one."""
    orders, found = LedgerOrders(), dict[str, None]()
    ours: dict[str, dict[int, tuple[ClientIdParts, LedgerOrder]]] = {}
    for entry in ledger.entries:
        order = orders.apply(entry)
        name = order.name if order is not None else None
        if order is None or name is None or name.letter != "e":
            continue
        same = ours.setdefault(name.slot, {})
        same[order.order_id] = (name, order)
        open_now = [other.client_id for _, other in same.values() if other.open]
        if len(open_now) > 1:
            found[f"{name.slot} has {len(open_now)} open entries: {', '.join(sorted(open_now))}"] = None
        counted = [other for parts, other in same.values() if parts.bar == name.bar and (other.open or other.filled)]
        if len(counted) > 1 and not _is_rest(counted):
            names = ", ".join(sorted(f"{other.client_id} (order {other.order_id})" for other in counted))
            found[f"{name.slot} entered more than once in bar {name.bar}: {names}"] = None
    return list(found)


def _is_rest(orders: Sequence[LedgerOrder]) -> bool:
    """Return whether the last of some entries is what was left of a limit entry that was met in part and cancelled.

    What a list's first order has received is locked for its legs until it is filled (Binance's page on OPO); only cancelling the
    list frees it, to be protected. Together they must not be more than what was first sent.
    """
    first, *_, last = sorted(orders, key=lambda order: order.order_id)
    before = [order for order in orders if order is not last]
    given_up = all(order.type == "LIMIT" and order.state == "CANCELED" for order in before)
    return given_up and sum((order.filled for order in before), last.quantity) <= first.quantity


def sales_beyond_holdings(ledger: LedgerReading, context: JudgeContext) -> list[str]:
    """Find sales, filled or resting, of more than a slot holds, and balances below 0.

    Nothing documented bounds when Binance's engine executes a request that it accepted in time (-1007, "execution status
    unknown"), so a runner that asked in vain may have sent a second stop or exit, so as not to be bare, when the first one is
    executed after all. For as long as a position may be uncovered that order may then rest beside the other, by its quantity and
    no more. What was sold beyond the holding has no excuse but the fee of an entry that brought its stop: where the account has
    other coins of the base, Binance takes the fee from those, and the stop sells all that was bought.
    """
    orders, found = LedgerOrders(), dict[str, None]()
    held, fees = Counter[str](), dict[str, Decimal]()
    resting, sold = dict[str, dict[int, LedgerOrder]](), dict[str, dict[int, LedgerOrder]]()
    for entry in ledger.entries:
        if entry["kind"] == "balance":
            below = [asset for asset, parts in entry["balances"].items() if min(map(Decimal, parts)) < 0]
            found |= {f"the balance of {asset} is below 0 at {entry['ms']}": None for asset in below}
        order = orders.apply(entry)
        slot = context.slot(order.name.slot) if order is not None and order.name is not None else None
        if order is None or slot is None:
            continue
        if entry["kind"] == "trade":
            held[slot.prefix] += _position_change(entry, slot)  # type: ignore[assignment] # a Counter of decimals
            has, before = Decimal(held[slot.prefix]), fees.get(slot.prefix, Decimal(0))
            fees[slot.prefix] = _fees_of_lists(entry, slot, before=before, held=has)
        if order.side == "SELL":
            resting.setdefault(slot.prefix, {})[order.order_id] = order
            sold.setdefault(slot.prefix, {})[order.order_id] = order
        has, ours = Decimal(held[slot.prefix]) + fees.get(slot.prefix, Decimal(0)), resting.get(slot.prefix, {})
        late = {
            name: at for name, at in ledger.late_orders.items() if 0 <= entry["ms"] - at <= context.max_uncovered_ms
        }
        beside = sum((one.quantity for one in sold.get(slot.prefix, {}).values() if one.client_id in late), Decimal(0))
        found |= dict.fromkeys(_oversold(slot, has, ours, beside=beside))
    for slot in context.slots:
        has = Decimal(held[slot.prefix]) + fees.get(slot.prefix, Decimal(0))
        found |= dict.fromkeys(_oversold(slot, has, resting.get(slot.prefix, {})))
    return list(found)


def _fees_of_lists(entry: Mapping[str, Any], slot: SlotContext, *, before: Decimal, held: Decimal) -> Decimal:
    """Return the fees in base of entries in lists that a position may be sold with; once it is sold, what is owed of them.

    Parameters
    ----------
    before, held
        Those fees before an execution, and what the slot holds after it.
    """
    if entry["side"] == "BUY":
        in_list = int(entry["list_id"]) >= 0 and entry["commission_asset"] == slot.base
        return before + (Decimal(entry["commission"]) if in_list else Decimal(0))
    return min(before, max(-held, Decimal(0))) if held < slot.lot else before


def _position_change(entry: Mapping[str, Any], slot: SlotContext) -> Decimal:
    sign = 1 if entry["side"] == "BUY" else -1
    fee = Decimal(entry["commission"]) if entry["commission_asset"] == slot.base else Decimal(0)
    return sign * Decimal(entry["quantity"]) - fee


def _oversold(
    slot: SlotContext, held: Decimal, orders: dict[int, LedgerOrder], *, beside: Decimal = Decimal(0)
) -> list[str]:
    """Compare what a slot holds with its resting sales; the two orders of an OCO pair sell the same quantity.

    `beside`: what may rest beyond it.
    """
    for gone in [key for key, order in orders.items() if not order.open]:
        del orders[gone]
    largest: dict[int, Decimal] = {}
    for key, order in orders.items():
        if order.state != "PENDING_NEW":
            group = order.list_id if order.list_id >= 0 else -1 - key
            largest[group] = max(largest.get(group, Decimal(0)), order.rest)
    resting = sum(largest.values(), Decimal(0))
    if held < 0:
        return [f"{slot.prefix} sold {-held} more than it held"]
    return [f"{slot.prefix} holds {held} and has {resting} resting to be sold"] if resting > held + beside else []


def mismatched_states(ledger: LedgerReading, journal: SessionRows) -> list[str]:
    """Compare each order's state and filled quantity in the journal with those it had at the exchange."""
    found = []
    for row in journal.intents:
        name, state, orders = row["client_id"], row["state"], ledger.by_client_id.get(row["client_id"], [])
        if not orders:
            if state not in _NEVER_AT_EXCHANGE | {"sent"}:
                found.append(f"{name} is {state} in the journal; the exchange never had it")
            continue
        shown = {seen for order in orders for seen in order.states}
        if state != "sent" and not shown & _EXCHANGE_STATES.get(state, set()):
            found.append(f"{name} is {state} in the journal; at the exchange it was {', '.join(sorted(shown))}")
        elif row["filled"] > max(order.filled for order in orders):
            found.append(f"{name} has {row['filled']} filled in the journal, {orders[-1].filled} at the exchange")
    return found


def backward_steps(readings: Sequence[Mapping[str, tuple[str, Any]]], journal: SessionRows) -> list[str]:
    """Find orders whose state went backwards between two readings of the journal, or whose filled quantity fell.

    `absent` says that an order was given up: one that comes after all goes on from there.
    """
    found, before = [], dict[str, tuple[str, Any]]()
    for reading in (*readings, journal.states):
        for name, (state, filled) in reading.items():
            was, had = before.get(name, (state, filled))
            ended = was not in _RANK and was != "absent"
            reopened = _RANK.get(state, _ENDED) < (_ENDED if ended else _RANK.get(was, 0))
            changed = ended and state not in {was, "filled"}
            if reopened or changed or filled < had:
                found.append(f"{name} was {was} with {had} filled, then {state} with {filled}")
        before |= reading
    return found
