"""Opening a session: its place in the journal, its book as it was left, and who makes its orders."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from atb.domain import Bars
from atb.live.adoption import PreviousSession, Successor, hand_over
from atb.live.context import RunnerContext
from atb.live.execution.book import Book
from atb.live.execution.orders import ClientIds, OrderMaker
from atb.live.feed.history import History
from atb.live.feed.timer import SystemTimer
from atb.live.journal.journal import Journal
from atb.live.journal.lease import Lease
from atb.live.journal.recovery import Resumed
from atb.live.portfolio import Portfolio
from atb.live.shadow import Shadow
from atb.live.step_log import StepLog
from atb.live.writer import Writer


@dataclass(frozen=True)
class Session:
    """A session that was opened: its lease and journal, where it stands, and who writes."""

    journal: Journal
    resumed: Resumed
    trade_from_ms: int
    writer: Writer
    before: PreviousSession | None = None

    @property
    def last_bars(self) -> dict[int, int | None]:
        """By slot, the last bar that was decided on."""
        return {slot: place.last_bar_ms for slot, place in enumerate(self.resumed.slots)}


@contextmanager
def opened(
    portfolio: Portfolio,
    office: RunnerContext,
    lease: Lease,
    *,
    trade_from_ms: int,
    told: dict[str, Any],
    threads: bool,
    before: PreviousSession | None,
) -> Iterator[Session]:
    """Open the session in the journal, or the one that is taken over, with who writes its steps."""
    traded = portfolio if before is None else Successor(portfolio, before.key)
    journal = Journal(
        office.database, lease, SystemTimer(), portfolio=traded, breakers=office.breakers, switch=office.switch
    )
    office.watch.teller = StepLog(portfolio.plans, lease.epoch)
    resumed = journal.begin(trade_from_ms, {**told, **office.config})
    writer = Writer(
        journal, grace_s=office.grace_s, level=lambda: office.switch.read().level, threads=threads, watch=office.watch
    )
    yield Session(journal, resumed, trade_from_ms, writer, before)


def book_of(portfolio: Portfolio, histories: dict[int, Bars], session: Session) -> Book:
    """Return the book as the session left it, under the rules of the portfolio; a take-over is written here, once."""
    resumed, state = session.resumed, portfolio.fresh_state()
    if resumed.state is not None:
        state.load_json({name: value for name, value in resumed.state.items() if name != "desk"})
    book = Book(portfolio, {slot: History(bars) for slot, bars in histories.items()}, state)
    if session.before is not None:
        hand_over(session.journal, portfolio, resumed, before=session.before, book=book)
    return book


def shadow_of(office: RunnerContext, histories: dict[int, Bars], session: Session) -> Shadow | None:
    """Return what is watched beside the session, begun on the bars known, None where nothing is."""
    if office.shadow is None:
        return None
    shadow = Shadow(office.shadow, makers_of(office.shadow, session), session.writer.commit)
    shadow.begin(histories)
    return shadow


def makers_of(portfolio: Portfolio, session: Session) -> dict[int, OrderMaker]:
    """Return who makes each slot's orders; no other session, of this account or another, has an order of the same name."""
    made = {}
    for slot, plan in enumerate(portfolio.plans):
        name = plan.strategy.name
        ids = ClientIds(name, (session.journal.session_id, plan.manifest.content_sha256, name, str(plan.symbol)))
        known = session.resumed.attempts.items()
        attempts = {(bar, role): count for (of, bar, role), count in known if of == slot}
        # Lists have no intents of their own: each holds a stop, so counting those leaves no name to be used twice.
        attempts |= {(bar, "list"): count for (bar, role), count in attempts.items() if role == "stop"}
        made[slot] = OrderMaker(ids, plan.symbol, attempts)
    return made
