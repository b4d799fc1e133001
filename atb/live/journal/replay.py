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
from atb.engine import records
from atb.engine.codes import REASON_CODES
from atb.engine.columns import Columns
from atb.engine.prepare import columns
from atb.engine.slot import Slot
from atb.engine.state import execution_record, market_records
from atb.live.journal.session_rows import Row, SessionRows
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
            columns_as_decided(
                plan.slot(bars), {row["bar_ms"]: row["bar"] for row in rows.decisions if row["slot"] == slot}
            )
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
        """Decide on bars that closed together; an entry that was barred is dropped, as the runner dropped it."""
        slots = [row["slot"] for row in decisions]
        rows = np.full(len(self._portfolio.plans), -1, np.int64)
        rows[slots] = np.arange(len(slots))
        signals = [self._columns[row["slot"]].signals[self._at[row["slot"]][row["bar_ms"]]] for row in decisions]
        bars = market_records([row["bar"] for row in decisions])
        self.state.decide(bars, np.array(signals, records.SIGNAL), rows)
        self.state.take_refusals()
        for row in decisions:
            if row["refusal"] and not any(intent["role"] == "entry" for intent in row["intents"]):
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
        self.state.apply(
            execution_record(fill, slot=slot, number=row["fill_no"], role=row["role"], kind=kind, reason=reason)
        )

    def _fill(self, row: Row) -> Fill:
        symbol = self._portfolio.plans[row["slot"]].symbol
        return Fill(
            row["trade_id"], row["client_id"], symbol, row["side"], row["price"], row["quantity"], row["fee"], row["fee_asset"],
            row["fee_value"] or Decimal(0), row["time_ms"],
        )  # fmt: skip


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


def columns_as_decided(slot: Slot, bars: Mapping[int, Mapping[str, float]]) -> Columns:
    """Return a slot's columns over the bars as the runner had them (open to values): a candle may have been revised since."""
    frame = slot.bars.frame.copy()
    places = {int(opened): row for row, opened in enumerate(slot.bars.opened_ms)}
    for opened, values in bars.items():
        for name in ("open", "high", "low", "close", "volume"):
            frame.loc[frame.index[places[opened]], name] = values[name]
    return columns(replace(slot, bars=Bars(slot.bars.symbol, slot.bars.timeframe, frame, slot.bars.venue)))
