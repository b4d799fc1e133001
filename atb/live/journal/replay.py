"""A session's rows go through the kernel again: every decided bar and every execution, in the order in which they were written.

Executions are taken as they came; what follows from them is computed, not read. So this tells where a position and its stop have to
stand after each row, and does not prove why an entry was made or how large it was. Rehearsal's judge holds the exchange's ledger
beside it.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from itertools import groupby
from typing import Literal

import numpy as np

from atb.domain import Bars, Fill
from atb.domain.input_series import InputSeries
from atb.engine import records
from atb.engine.codes import REASON_CODES, REFUSALS
from atb.engine.columns import Columns, SignalColumns
from atb.engine.prepare import columns
from atb.engine.slot import Slot
from atb.engine.state import execution_record, market_records
from atb.live.journal.handed_inputs import handed_inputs
from atb.live.journal.session_rows import Row, SessionRows
from atb.live.journal.step import SET_ASIDE
from atb.live.plan import Plan
from atb.live.portfolio import Portfolio


@dataclass(frozen=True)
class Applied:
    """Rows that went through the kernel together.

    Parameters
    ----------
    kind
        The decisions of one close, or one execution.
    rows
        They, as they were written.
    time_ms
        When they took effect: the close, or the execution's time.
    """

    kind: Literal["decisions", "execution"]
    rows: tuple[Row, ...]
    time_ms: int


class SessionReplay:
    """The kernel's state of a portfolio, led by a session's rows.

    Parameters
    ----------
    rows
        What the session wrote.
    portfolio
        What it traded.
    series
        By slot, the bars with their warm-up, all that were decided among them.
    """

    def __init__(self, rows: SessionRows, portfolio: Portfolio, series: Sequence[Bars]) -> None:
        self._rows, self._portfolio, self.state = rows, portfolio, portfolio.fresh_state()
        self._intents = {row["client_id"]: row for row in rows.intents}
        # What is still to be filled, base. A filled order ends at what it filled: a venue may have made the leg of a list smaller.
        self._leaves = {
            name: row["filled"] if row["state"] == "filled" else row["quantity"] for name, row in self._intents.items()
        }
        self._columns = [
            columns_as_decided(_slot(plan, bars), {row["bar_ms"]: row for row in rows.decisions if row["slot"] == slot})
            for slot, (plan, bars) in enumerate(zip(portfolio.plans, series, strict=True))
        ]
        self._at = [{int(opened): row for row, opened in enumerate(part.market["opened"])} for part in self._columns]

    def run(self) -> Iterator[Applied]:
        """Apply the rows one after another; after each, `state` is what the runner's had to be."""
        for applied in in_written_order(self._rows):
            if applied.kind == "decisions":
                self._decide(applied.rows)
            else:
                self._execute(applied.rows[0])
            yield applied

    def _decide(self, decisions: Sequence[Row]) -> None:
        """Decide on bars that closed together; an entry that was barred is dropped, as the runner dropped it.

        A decision that asks for an entry was made when none rested: one that was decided earlier had been dropped since.
        """
        for row in decisions:
            if _asks_for_entry(row):
                self.state.drop_entry(row["slot"])
        slots = [row["slot"] for row in decisions]
        rows = np.full(len(self._portfolio.plans), -1, np.int64)
        rows[slots] = np.arange(len(slots))
        signals = [self._columns[row["slot"]].signals[self._at[row["slot"]][row["bar_ms"]]] for row in decisions]
        bars = market_records([row["bar"] for row in decisions])
        self.state.decide(bars, np.array(signals, records.SIGNAL), rows)
        self.state.take_refusals()
        for row in decisions:
            if was_barred(row) and not _asks_for_entry(row):
                self.state.drop_entry(row["slot"])

    def _execute(self, row: Row) -> None:
        """Apply an execution; what an exit's last one leaves unsellable is set aside first."""
        slot, fill = row["slot"], self._fill(row)
        intent = self._intents.get(fill.client_id)  # None where a position was written off: nothing was sent
        if intent is not None:
            self._leaves[fill.client_id] -= fill.quantity
            self.state.set_aside_dust(slot, fill, role=row["role"], leaves=self._leaves[fill.client_id])
        kind = intent["type"] if intent else "market"
        reason = REASON_CODES.get(row["reason"], 0)
        record = execution_record(fill, slot=slot, number=row["fill_no"], role=row["role"], kind=kind, reason=reason)
        (self.state.close_dust if fill.trade_id.startswith(SET_ASIDE) else self.state.apply)(record)

    def _fill(self, row: Row) -> Fill:
        symbol = self._portfolio.plans[row["slot"]].symbol
        return Fill(
            row["trade_id"], row["client_id"], symbol, row["side"], row["price"], row["quantity"], row["fee"], row["fee_asset"],
            row["fee_value"] or Decimal(0), row["time_ms"],
        )  # fmt: skip


def was_barred(row: Row) -> bool:
    """Return whether a decision's entry was barred by the runner; what the kernel itself refused or cut is in its state."""
    return bool({*(row["refusal"] or "").split(", ")} - {"", *REFUSALS.values()})


def _asks_for_entry(row: Row) -> bool:
    return any(intent["role"] == "entry" for intent in row["intents"])


def in_written_order(rows: SessionRows) -> Iterator[Applied]:
    """Give decisions of one close together, and executions one by one, as they were written."""
    written = [("decisions", row) for row in rows.decisions] + [("execution", row) for row in rows.fills]
    written.sort(key=lambda pair: (pair[1]["created_at"], pair[1].get("fill_no", -1)))

    def together(pair: tuple[str, Row]) -> tuple[str, int]:
        kind, row = pair
        return kind, row["bar"]["closed"] if kind == "decisions" else row["fill_no"]

    for (kind, _), group in groupby(written, together):
        parts = tuple(row for _, row in group)
        if kind == "decisions":
            yield Applied("decisions", parts, int(parts[0]["bar"]["closed"]))
        else:
            yield Applied("execution", parts, int(parts[0]["time_ms"]))


def _slot(plan: Plan, bars: Bars) -> Slot:
    """Return a plan's slot whose inputs have no rows yet: the journal has them."""
    return plan.slot(bars, {name: InputSeries.empty(one) for name, one in plan.inputs.items()})


def columns_as_decided(slot: Slot, decided: Mapping[int, Row]) -> Columns:
    """Return a slot's columns over the bars and inputs as the runner had them.

    A candle may have been revised since, and a row of an input may have come late: a decision that was made without it is computed
    without it.

    Parameters
    ----------
    slot
        With its bars and their warm-up.
    decided
        Rows of decisions by the open of their bar, with `bar` and `inputs`; all of the slot's where it reads inputs.
    """
    bars = slot.bars
    frame = bars.frame.copy()
    places = {int(opened): row for row, opened in enumerate(bars.opened_ms)}
    for opened, row in decided.items():
        for name in ("open", "high", "low", "close", "volume"):
            frame.loc[frame.index[places[opened]], name] = row["bar"][name]
    seen = Bars(bars.symbol, bars.timeframe, frame, bars.venue)
    if not slot.declared:
        return columns(replace(slot, bars=seen))
    inputs = handed_inputs(slot.declared, decided.values())
    found = columns(replace(slot, bars=seen, inputs=inputs))
    late = {places[opened]: row["inputs"] for opened, row in decided.items() if _came_late(inputs, row)}
    if not late:
        return found
    signals = found.signals.copy()
    for at, record in late.items():
        known = {name: rows.part(0, _count_up_to(rows, record[name]["newest_ms"])) for name, rows in inputs.items()}
        signals[at] = columns(replace(slot, bars=seen.rows(0, at + 1), inputs=known)).signals[-1]
    return replace(found, signal_columns=SignalColumns(np.ascontiguousarray(signals["side"]), signals))


def _came_late(inputs: Mapping[str, InputSeries], row: Row) -> bool:
    """Return whether a decision was made without a row that was known at its close."""
    return any(
        int(np.searchsorted(rows.known_ms, row["bar"]["closed"], side="right"))
        != _count_up_to(rows, row["inputs"][name]["newest_ms"])
        for name, rows in inputs.items()
    )


def _count_up_to(rows: InputSeries, stated_ms: int | None) -> int:
    return 0 if stated_ms is None else int(np.searchsorted(rows.stated_ms, stated_ms, side="right"))
