"""I3: stops rest where the policy wants them, by the engine run again over the bars and executions that the books hold.

The books keep each decided bar and each execution in the order in which they were taken in. The engine, given both, knows after
each where the stop of every slot has to be; what rests at the exchange is held beside it. This does not prove why an entry was
made or how large it was: executions are taken as they came, and only what follows from them is computed.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from itertools import groupby

import numpy as np

from atb.decimals import exact
from atb.domain import Bars
from atb.engine import records
from atb.engine.codes import KINDS, REASONS, ROLES
from atb.engine.columns import Columns
from atb.engine.matching import whole
from atb.engine.prepare import columns
from atb.engine.slot import Slot
from atb.live.journal.session_rows import Row, SessionRows
from atb.live.portfolio import Portfolio
from atb.rehearsal.context import JudgeContext, SlotContext
from atb.rehearsal.invariants.protection import RESTS, STOPS, longest_unexcused_ms, obstructions
from atb.rehearsal.ledger import Ledger, LedgerOrder, LedgerOrders, Span

Wanted = list[tuple[int, Decimal | None]]  # from when (exchange time) which price, None without a position or a stop
_CODES = {name: {word: code for code, word in table.items()} for name, table in (("role", ROLES), ("kind", KINDS))}
_REASON_CODES = {word: code for code, word in REASONS.items()}


# --- what is wanted -----------------------------------------------------------------------------------------------------


class _Engine:
    """The kernel's state of a portfolio, led by its books."""

    def __init__(self, books: SessionRows, portfolio: Portfolio, series: Sequence[Bars]) -> None:
        self._portfolio, self.state = portfolio, portfolio.fresh_state()
        self._intents = {row["client_id"]: row for row in books.intents}
        self._left = {name: row["quantity"] for name, row in self._intents.items()}
        self._columns = [
            as_seen(plan.slot(bars), {row["bar_ms"]: row["bar"] for row in books.decisions if row["slot"] == number})
            for number, (plan, bars) in enumerate(zip(portfolio.plans, series, strict=True))
        ]
        self._rows = [{int(opened): row for row, opened in enumerate(one.market["opened"])} for one in self._columns]

    def decide(self, decisions: Sequence[Row]) -> None:
        """Decide on the bars that closed together; an entry that was barred is not wanted any more."""
        count = len(self._portfolio.plans)
        bars, signals = np.zeros(count, records.MARKET), np.zeros(count, records.SIGNAL)
        rows = np.full(count, -1, np.int64)
        for one in decisions:
            slot = one["slot"]
            rows[slot] = slot
            signals[slot] = self._columns[slot].signals[self._rows[slot][one["bar_ms"]]]
            for name, value in one["bar"].items():
                bars[slot][name] = value
        self.state.decide(bars, signals, rows)
        self.state.take_refusals()
        for one in decisions:
            if one["refusal"] and not any(intent["role"] == "entry" for intent in one["intents"]):
                self.state.slots[one["slot"]]["entry"] = 0.0

    def execute(self, row: Row) -> None:
        """Fold an execution, and let go of what an exit leaves where no order could sell it."""
        slot, name = row["slot"], row["client_id"]
        intent = self._intents.get(name)  # None where a position was written off: nothing was sent
        self._left[name] = self._left.get(name, row["quantity"]) - row["quantity"]
        if row["role"] != "entry" and self._left[name] <= 0:
            self._brush(slot, float(row["quantity"]), float(row["price"]))
        in_base = row["fee_asset"] == self._portfolio.plans[slot].symbol.base
        said = {
            "slot": slot, "time": row["time_ms"], "side": 1 if row["side"] == "buy" else -1,
            "quantity": float(row["quantity"]), "price": float(row["price"]), "fee": float(row["fee_value"] or 0),
            "fee_base": float(row["fee"]) if in_base else 0.0, "role": _CODES["role"][row["role"]],
            "reason": _REASON_CODES.get(row["reason"], 0), "kind": _CODES["kind"][intent["type"] if intent else "market"],
        }  # fmt: skip
        fill = np.zeros(1, records.ORDER)
        for field, value in said.items():
            fill[0][field] = value
        self.state.apply(fill)

    def _brush(self, slot: int, quantity: float, price: float) -> None:
        record, par = self.state.slots[slot], self.state.parameters[slot]
        left = float(record["quantity"]) - quantity
        sold = left >= par["min_quantity"] and left * price >= par["min_notional"]
        if left >= 0.5 * float(par["lot"]) and not sold:
            record["quantity"] = whole(record["quantity"] - left, par)
            record["opened_quantity"] = whole(record["opened_quantity"] - left, par)
            record["dust"] += left

    def stop(self, slot: int) -> Decimal | None:
        """Return where a slot's stop has to rest now."""
        record = self.state.slots[slot]
        wants = record["quantity"] != 0.0 and not np.isnan(record["stop"])
        return exact(record["stop"]) if wants else None


def as_seen(slot: Slot, bars: Mapping[int, Mapping[str, float]]) -> Columns:
    """Return a slot's columns over the bars as the runner had them (open to values): a candle may have been revised since."""
    frame = slot.bars.frame.copy()
    places = {int(opened): row for row, opened in enumerate(slot.bars.opened_ms)}
    for opened, values in bars.items():
        for name in ("open", "high", "low", "close", "volume"):
            frame.loc[frame.index[places[opened]], name] = values[name]
    return columns(replace(slot, bars=Bars(slot.bars.symbol, slot.bars.timeframe, frame, slot.bars.venue)))


def wanted_stops(books: SessionRows, portfolio: Portfolio, series: Sequence[Bars]) -> list[Wanted]:
    """Return by slot where its stop had to rest, from when on.

    Parameters
    ----------
    series
        By slot, the bars with their warm-up, all that were decided among them.
    """
    engine = _Engine(books, portfolio, series)
    found: list[Wanted] = [[] for _ in portfolio.plans]
    now = 0
    for what, rows in _in_order(books):
        if what == "decision":
            engine.decide(rows)
            now = max(now, int(rows[0]["bar"]["closed"]))
        else:
            engine.execute(rows[0])
            now = max(now, int(rows[0]["time_ms"]))
        for slot, prices in enumerate(found):
            price = engine.stop(slot)
            if not prices or prices[-1][1] != price:
                prices.append((now, price))
    return found


def _in_order(books: SessionRows) -> Iterator[tuple[str, list[Row]]]:
    """Give decisions of one close together, and executions one by one, as they were written."""
    rows = [("decision", row) for row in books.decisions] + [("execution", row) for row in books.fills]
    rows.sort(key=lambda one: (one[1]["created_at"], one[1].get("fill_no", -1)))

    def together(one: tuple[str, Row]) -> tuple[str, int]:
        return one[0], one[1]["bar"]["closed"] if one[0] == "decision" else one[1]["fill_no"]

    for (what, _), group in groupby(rows, together):
        yield what, [row for _, row in group]


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


def altered(ledger: Ledger, books: SessionRows) -> list[str]:
    """Find orders whose stop price at the exchange is not the one of their intent."""
    wanted = {row["client_id"]: row["stop_price"] for row in books.intents if row["stop_price"] is not None}
    return [
        f"{name} rests with a stop at {order.stop_price}, its intent's is {wanted[name]}"
        for name, orders in ledger.by_client_id.items()
        for order in orders
        if name in wanted and order.type in STOPS and order.stop_price != wanted[name]
    ]


def misplaced_times(ledger: Ledger, context: JudgeContext, wanted: Sequence[Wanted]) -> Iterator[Misplaced]:
    """Give every time in which a stop rested at another price than the one that is wanted, at the exchange's resolution."""
    resting = _resting(ledger)
    for slot, prices in zip(context.slots, wanted, strict=True):
        yield from _of_slot(slot, dict(prices), resting.get(slot.prefix, {}), ledger=ledger, context=context)


def _resting(ledger: Ledger) -> dict[str, dict[int, tuple[Decimal, ...]]]:
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
        prices = tuple(sorted(one.stop_price for one in there.values() if one.state in RESTS))
        found.setdefault(order.name.slot, {})[int(entry["ms"])] = prices
    return found


def _of_slot(
    slot: SlotContext, wanted: Mapping[int, Decimal | None], resting: Mapping[int, tuple[Decimal, ...]], *,
    ledger: Ledger, context: JudgeContext,
) -> Iterator[Misplaced]:  # fmt: skip
    since: tuple[int, Decimal, tuple[Decimal, ...]] | None = None
    price, there = None, tuple[Decimal, ...]()
    for now in sorted({*wanted, *resting, ledger.end_ms}):
        price, there = wanted.get(now, price), resting.get(now, there)
        wrong = tuple(one for one in there if price is not None and abs(one - price) > slot.tick)
        if wrong and price is not None and since is None:
            since = now, price, wrong
        elif since is not None and (not wrong or now == ledger.end_ms):
            span = (since[0], now)
            yield Misplaced(slot.prefix, span, since[1], since[2], _longest(slot, span, ledger, context=context))
            since = None


def _longest(slot: SlotContext, span: Span, ledger: Ledger, *, context: JudgeContext) -> int:
    """Return the longest part in which the stop could have been moved: somebody lived, and knew that the bar had closed."""
    deaths = [one for one in context.deaths if one[1] >= span[0]]
    excuses = [*deaths, *ledger.fault_spans("freeze", slot.joined), *obstructions(slot, span[0], ledger)]
    return max(0, longest_unexcused_ms(span, excuses) - ledger.largest_skew_ms)
