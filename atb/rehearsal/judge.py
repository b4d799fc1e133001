"""The judge of a run: ten invariants, from the exchange's ledger and the account's database and nothing else.

The runner's own word counts for nothing here, and none of its code is used but the names of its orders. Each invariant is
checked in full; a run passes where none is violated.

I1 every execution is in the books as the exchange has it, and the balances follow from them. I2 one entry per slot and bar, one
open per slot. I3 every position is covered by a stop at the exchange, at the price that follows from bars and executions. I4
nothing is sold that is not held, nor another slot's. I5 orders only go forward, and the books show no state that the exchange
never had. I6 cash, positions and fees recomputed are the equity that was written. I7 no order without an intent that was
committed before it. I8 after the last fault everything is resolved, and no bar is missing. I9 rates, waits, the kill switch and
epochs are respected. I10 the same run decides the same.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from atb.domain import Bars
from atb.live.journal.session_rows import Row, SessionRows, decision_log, read_session
from atb.live.portfolio import Portfolio
from atb.rehearsal.context import Terms, slot_terms
from atb.rehearsal.invariants import accounting, behaviour, order_life, stop_prices
from atb.rehearsal.invariants.protection import naked_times
from atb.rehearsal.ledger import Entry, Replay, Span

INVARIANTS = {
    "I1": "executions and balances agree",
    "I2": "one entry per slot and bar",
    "I3": "positions are covered by stops",
    "I4": "nothing is sold that is not held",
    "I5": "orders only go forward",
    "I6": "equity follows from the executions",
    "I7": "intents come before orders",
    "I8": "everything is resolved",
    "I9": "rates, waits, halts and epochs are respected",
    "I10": "the same run decides the same",
}
Reading = dict[str, tuple[str, Any]]


@dataclass
class Judgement:
    """What was found.

    Parameters
    ----------
    violations
        By invariant, what violates it in words; empty lists where it holds.
    checked
        By invariant, how many things were looked at.
    facts
        Counts, and the longest times that a position was not covered.
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
        """Take in the decisions of a run and of its repetition, as `decision_log` returns them."""
        self.violations["I10"] += behaviour.differences(decisions, again)
        self.checked["I10"] += len(decisions)

    def include(self, other: "Judgement", name: str) -> None:
        """Take in the judgement of another stage of the same rehearsal; its violations are told with its name."""
        for invariant, found in other.violations.items():
            self.violations[invariant] += [f"{name}: {words}" for words in found]
            self.checked[invariant] += other.checked[invariant]

    def to_json(self) -> dict[str, dict[str, Any]]:
        """Return by invariant whether it held, how many things were checked, and what violates it."""
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
    """Judge a finished run of a portfolio, after a quiet time at its end.

    Parameters
    ----------
    ledger
        Everything that the exchange saw and did.
    url
        Of the database; its newest session is judged.
    portfolio
        What traded.
    series
        By slot, the bars that were traded with their warm-up: where stops have to rest is computed from them. Without them only
        that they rest is judged.
    deaths
        When no runner lived, exchange time.
    options
        Further fields of `Terms`.
    """
    from atb.db import open_database

    database = open_database(url)
    try:
        books = read_session(database)
    finally:
        database.close()
    slots = slot_terms(portfolio, books.session_id)
    quote = portfolio.symbols[0].quote
    terms = {"balances": {quote: books.cash}, "deaths": tuple(deaths), **options}
    wanted = stop_prices.wanted_stops(books, portfolio, series) if series else None
    return examine(ledger, books, Terms(slots, **terms), wanted=wanted)


def examine(
    ledger: Sequence[Entry],
    books: SessionRows,
    terms: Terms,
    *,
    readings: Sequence[Reading] = (),
    again: Sequence[Row] | None = None,
    wanted: Sequence[stop_prices.Wanted] | None = None,
) -> Judgement:
    """Judge a run by its ledger and its books.

    Parameters
    ----------
    ledger, books
        What the exchange says, and what the database says.
    terms
        The rules of the run.
    readings
        State and filled quantity of every order as the database had them earlier, oldest first.
    again
        Decisions of a second run of the same, or of a replay.
    wanted
        By slot where stops have to rest, as `stop_prices.wanted_stops` computes it; None judges only that they rest.
    """
    replay, judgement = Replay(ledger), Judgement()
    found = judgement.violations
    naked = list(naked_times(replay, terms))
    found["I1"] += accounting.executions(replay, books) + accounting.balances(replay, books, terms)
    found["I2"] += order_life.entries(replay)
    found["I3"] += [str(one) for one in naked if one.longest_ms > terms.naked_ms]
    found["I3"] += stop_prices.altered(replay, books)
    misplaced = list(stop_prices.misplaced_times(replay, terms, wanted)) if wanted is not None else []
    found["I3"] += [str(one) for one in misplaced if one.longest_ms > terms.naked_ms]
    found["I4"] += order_life.sales(replay, terms)
    found["I5"] += order_life.states(replay, books) + order_life.backwards(readings, books)
    found["I6"] += accounting.equity(books)
    found["I7"] += behaviour.unannounced(replay, books) + behaviour.nobodys(replay, terms)
    found["I8"] += behaviour.unresolved(replay, books) + behaviour.missing_bars(books, terms)
    found["I9"] += behaviour.rates(replay, terms) + behaviour.waits(replay, terms)
    found["I9"] += behaviour.halts(replay, terms) + behaviour.epochs(books)
    found["I10"] += [] if again is None else behaviour.differences(decision_log(books), again)
    judgement.checked = _checked(replay, books, 0 if again is None else len(again))
    judgement.facts = {
        **behaviour.counts(replay, books, terms),
        "longest_uncovered_ms": max((one.longest_ms for one in naked), default=0),
        "longest_misplaced_ms": max((one.longest_ms for one in misplaced), default=0),
        "longest_uncovered_while_dead_ms": max((_dead(one.span, terms) for one in naked), default=0),
    }
    return judgement


def _checked(replay: Replay, books: SessionRows, decisions: int) -> dict[str, int]:
    """Return how many things each invariant was checked on."""
    ours = [life for lives in replay.by_name.values() for life in lives]
    intents, requests = len(books.intents), len(replay.kind("request"))
    entries = sum(life.name is not None and life.name.letter == "e" for life in ours)
    covers = len(books.fills) + sum(life.name is not None and life.name.letter == "s" for life in ours)
    sales = sum(life.side == "SELL" for life in ours)
    asked = sum(len(names) for _, names in replay.placed())
    found = (len(books.fills), entries, covers, sales, intents, len(books.equity), asked, intents, requests)
    return dict(zip(INVARIANTS, (*found, decisions), strict=True))


def _dead(span: Span, terms: Terms) -> int:
    """Return how much of a time nobody lived."""
    return sum(max(0, min(end, span[1]) - max(begin, span[0])) for begin, end in terms.deaths)
