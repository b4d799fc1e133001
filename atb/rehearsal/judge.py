"""The judge of a run: ten invariants, checked on nothing but the exchange's ledger and the account's journal.

The judge does not trust the runner and uses none of its code but the form of its client ids. Every invariant is checked in full;
a run passes if none is violated.

I1 every execution is in the journal as the exchange has it, the balances follow from them, and no fee is one that no exchange
takes. I2 one entry per slot and bar, one open entry per slot. I3 every position is covered by a stop at the exchange, at the
price that follows from bars and executions, and is sold as if that had been met only where the price has met it. I4 no slot sells
more than it holds. I5 order states only go forward, and the journal shows no state that the exchange never had. I6 the journalled
equity equals cash, positions and fees recomputed. I7 every order has an intent that was committed before it. I8 after the last
fault everything is resolved, and no bar is missing. I9 order rates, Retry-After, the kill switch, quarantine and lease epochs are
respected. I10 the same run again decides the same.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from atb.domain import Bars
from atb.live.journal.session_rows import Row, SessionRows, decision_log, read_session
from atb.live.portfolio import Portfolio
from atb.rehearsal.context import JudgeContext, slot_contexts
from atb.rehearsal.invariants import accounting, behaviour, leaving, order_life, stop_prices
from atb.rehearsal.invariants.protection import uncovered_spans
from atb.rehearsal.ledger import Entry, LedgerReading, Span

INVARIANTS = {
    "I1": "executions and balances agree",
    "I2": "one entry per slot and bar",
    "I3": "positions are covered by stops",
    "I4": "nothing is sold that is not held",
    "I5": "orders only go forward",
    "I6": "equity follows from the executions",
    "I7": "intents come before orders",
    "I8": "everything is resolved",
    "I9": "rates, waits, halts, quarantine and epochs are respected",
    "I10": "the same run decides the same",
}
Reading = dict[str, tuple[str, Any]]


@dataclass
class Judgement:
    """The verdict on a run, by invariant.

    Parameters
    ----------
    violations
        By invariant, one sentence per violation; an empty list if it holds.
    checked
        By invariant, how many things were checked.
    facts
        Counts, and the longest times without a proper stop, in milliseconds.
    """

    violations: dict[str, list[str]] = field(default_factory=lambda: {name: [] for name in INVARIANTS})
    checked: dict[str, int] = field(default_factory=lambda: dict.fromkeys(INVARIANTS, 0))
    facts: dict[str, Any] = field(default_factory=dict)

    @property
    def clean(self) -> bool:
        """Whether every invariant holds."""
        return not any(self.violations.values())

    @property
    def violated(self) -> tuple[str, ...]:
        """The invariants that do not hold."""
        return tuple(name for name, found in self.violations.items() if found)

    def repeated(self, decisions: Sequence[Row], again: Sequence[Row]) -> None:
        """Add I10: the decisions of a run and of its repetition, as `decision_log` returns them."""
        self.violations["I10"] += behaviour.differences(decisions, again)
        self.checked["I10"] += len(decisions)

    def include(self, other: "Judgement", name: str) -> None:
        """Add the judgement of another stage of the same rehearsal; its violations get the stage's name."""
        for invariant, found in other.violations.items():
            self.violations[invariant] += [f"{name}: {words}" for words in found]
            self.checked[invariant] += other.checked[invariant]

    def to_json(self) -> dict[str, dict[str, Any]]:
        """Return by invariant whether it held, how many things were checked, and its violations."""
        return {
            name: {"held": not found, "checked": self.checked[name], "violations": found}
            for name, found in self.violations.items()
        }

    def __str__(self) -> str:
        """Return one line per violation."""
        return "\n".join(f"{name}: {words}" for name, found in self.violations.items() for words in found) or "none"


def judge(
    ledger: Sequence[Entry],
    url: str,
    portfolio: Portfolio,
    *,
    series: Sequence[Bars] = (),
    deaths: Sequence[Span] = (),
    **options: Any,
) -> Judgement:
    """Judge a finished run of a portfolio that ended with some bars without faults.

    Parameters
    ----------
    ledger
        All entries of the exchange's ledger.
    url
        Database; its newest session is judged.
    portfolio
        The traded portfolio.
    series
        By slot, the traded bars with their warm-up, from which the stop prices are computed. Without them only the presence of
        stops is checked.
    deaths
        When no runner process was alive, exchange time.
    options
        Further fields of `JudgeContext`.
    """
    from atb.db import open_database

    database = open_database(url)
    try:
        journal = read_session(database)
    finally:
        database.close()
    slots = slot_contexts(portfolio, journal.session_id)
    quote = portfolio.symbols[0].quote
    context = {"balances": {quote: journal.cash}, "deaths": tuple(deaths), **options}
    wanted = stop_prices.wanted_stops(journal, portfolio, series) if series else None
    return examine(ledger, journal, JudgeContext(slots, **context), wanted=wanted)


def examine(
    ledger: Sequence[Entry],
    journal: SessionRows,
    context: JudgeContext,
    *,
    readings: Sequence[Reading] = (),
    again: Sequence[Row] | None = None,
    wanted: Sequence[stop_prices.Wanted] | None = None,
) -> Judgement:
    """Judge a run by its ledger and its journal rows.

    Parameters
    ----------
    ledger, journal
        The exchange's entries, and the session's rows.
    context
        Slots, limits and deaths of the run.
    readings
        Earlier states and filled quantities of every order in the journal, oldest first.
    again
        Decisions of a second run of the same schedule, or of a replay.
    wanted
        By slot, the stop prices that `stop_prices.wanted_stops` computed; None checks only the presence of stops.
    """
    history, judgement = LedgerReading(ledger), Judgement()
    found = judgement.violations
    uncovered = list(uncovered_spans(history, context))
    found["I1"] += accounting.executions(history, journal) + accounting.balances(history, journal, context)
    found["I1"] += accounting.fees_that_no_exchange_takes(history, context)
    found["I2"] += order_life.duplicate_entries(history)
    found["I3"] += [str(gap) for gap in uncovered if gap.violates(context.max_uncovered_ms)]
    found["I3"] += stop_prices.altered(history, journal)
    misplaced = list(stop_prices.misplaced_times(history, context, wanted)) if wanted is not None else []
    found["I3"] += [str(gap) for gap in misplaced if gap.longest_ms > context.max_uncovered_ms]
    found["I3"] += leaving.sold_above_stop(history, journal, context, wanted=wanted) if wanted is not None else []
    found["I4"] += order_life.sales_beyond_holdings(history, context)
    found["I5"] += order_life.mismatched_states(history, journal) + order_life.backward_steps(readings, journal)
    found["I6"] += accounting.equity(journal)
    found["I7"] += behaviour.requests_without_intent(history, journal) + behaviour.unowned_orders(history, context)
    found["I8"] += behaviour.unresolved_orders(history, journal) + behaviour.missing_bars(journal, context)
    found["I8"] += behaviour.sales_refused_for_ever(history, journal, context)
    found["I9"] += behaviour.order_rates(history, context) + behaviour.requests_within_retry_after(history, context)
    found["I9"] += behaviour.halt_violations(history, context) + behaviour.stale_epochs(journal)
    found["I9"] += behaviour.entries_in_quarantine(journal) + behaviour.ours_taken_for_foreign(journal)
    found["I10"] += [] if again is None else behaviour.differences(decision_log(journal), again)
    judgement.checked = _checked(history, journal, 0 if again is None else len(again))
    judgement.facts = {
        **behaviour.counts(history, journal, context),
        "longest_uncovered_ms": max((gap.longest_ms for gap in uncovered), default=0),
        "longest_uncovered_real_ms": max((gap.longest_real_ms for gap in uncovered), default=0),
        "bare_through_death": sum(gap.death_ms is not None for gap in uncovered),
        "longest_misplaced_ms": max((gap.longest_ms for gap in misplaced), default=0),
        "longest_uncovered_while_dead_ms": max((_time_dead(gap.span, context) for gap in uncovered), default=0),
    }
    return judgement


def _checked(history: LedgerReading, journal: SessionRows, decisions: int) -> dict[str, int]:
    """Return how many things each invariant was checked on, in the order of `INVARIANTS`."""
    ours = [order for orders in history.by_client_id.values() for order in orders]
    intents, requests = len(journal.intents), len(history.entries_of("request"))
    entries = sum(order.name is not None and order.name.letter == "e" for order in ours)
    covers = len(journal.fills) + sum(order.name is not None and order.name.letter == "s" for order in ours)
    sales = sum(order.side == "SELL" for order in ours)
    requested = sum(len(names) for _, names in history.order_requests())
    found = (len(journal.fills), entries, covers, sales, intents, len(journal.equity), requested, intents, requests)
    return dict(zip(INVARIANTS, (*found, decisions), strict=True))


def _time_dead(span: Span, context: JudgeContext) -> int:
    """Return how much of a span no runner process was alive, in milliseconds."""
    return sum(max(0, min(end, span[1]) - max(begin, span[0])) for begin, end in context.deaths)
