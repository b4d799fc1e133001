"""Opening a session: its place in the journal, its book as it was left, and the order factories of its slots."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from atb.live.context import RunnerContext
from atb.live.execution.book import Book
from atb.live.execution.orders import ClientIds, OrderMaker
from atb.live.feed.market import Feed, History
from atb.live.feed.timer import SystemTimer
from atb.live.journal.handover import PreviousSession, locate_session
from atb.live.journal.journal import Journal
from atb.live.journal.lease import Lease, held_lease
from atb.live.journal.recovery import ResumePoint
from atb.live.portfolio import Portfolio
from atb.live.shadow import Shadow
from atb.live.step_log import StepLog
from atb.live.writer import Writer


@dataclass(frozen=True)
class Session:
    """An open session: its journal, where it stands, and what commits its steps."""

    journal: Journal
    resumed: ResumePoint
    writer: Writer
    previous: PreviousSession | None = None

    @property
    def last_bars(self) -> dict[int, int | None]:
        """By slot, the open of the last bar that was decided on."""
        return self.resumed.last_bars


@dataclass(frozen=True)
class HeldAccount:
    """An account held for a portfolio, and where its session stands before it is opened.

    Parameters
    ----------
    lease
        Held for as long as the session lasts.
    found
        The session to continue; None begins one.
    previous
        The session that is taken over, None where none is.
    """

    portfolio: Portfolio
    context: RunnerContext
    lease: Lease
    found: ResumePoint | None
    previous: PreviousSession | None

    def open_session(self, trade_from_ms: int, *, threads: bool, config: dict[str, Any] | None = None) -> Session:
        """Open the session in the journal, with what writes its steps.

        Parameters
        ----------
        trade_from_ms
            Open of the first bar to trade.
        threads
            Whether to write in a thread, so that streams are read meanwhile.
        config
            Stored with the session, beside that of the context and the limits that the runner keeps.
        """
        context, portfolio = self.context, self.portfolio
        journal = Journal(
            context.database, self.lease, SystemTimer(), portfolio=portfolio, breakers=context.breakers,
            switch=context.switch,
        )  # fmt: skip
        context.telemetry.step_log = StepLog(portfolio.plans, self.lease.epoch)
        resumed = journal.begin(trade_from_ms, {**(config or {}), **context.config, **_limits(context)}, self.found)
        writer = Writer(
            journal,
            grace_s=context.grace_s,
            level=lambda: context.switch.read().level,
            threads=threads,
            telemetry=context.telemetry,
        )
        return Session(journal, resumed, writer, self.previous)


def _limits(context: RunnerContext) -> dict[str, Any]:
    """Return the limits of this start beside those of the manifests, as plain values."""
    return {"limits": {"breakers": context.breakers.to_json(), "max_loss": context.max_loss}}


@contextmanager
def hold_account(portfolio: Portfolio, context: RunnerContext, *, exclusive: bool) -> Iterator[HeldAccount]:
    """Hold the account for the length of a block, and find where the portfolio's session stands.

    `exclusive` says that an account has one session at a time, as at an exchange.

    Raises
    ------
    LeaseError
        If another runner holds the account.
    InputError
        As `locate_session`.
    """
    with held_lease(context.database, context.account, SystemTimer()) as lease, context.health_page():
        found, previous = locate_session(
            context.database, context.account, portfolio, adopt=context.adopt, exclusive=exclusive,
            sent_after_ms=lease.quiet_until_ms,
        )  # fmt: skip
        yield HeldAccount(portfolio, context, lease, found, previous)


def book_of(portfolio: Portfolio, feed: Feed, session: Session) -> Book:
    """Return the book as the session left it, under the portfolio's rules; a hand-over is written here, once."""
    resumed, state = session.resumed, portfolio.fresh_state()
    saved = dict(resumed.state or {})
    desk = {"desk": saved.pop("desk")} if "desk" in saved else {}
    if saved:
        state.load_json(saved)
    if session.previous is not None:
        current = state.to_json()
        passed = session.previous.slots_passed(portfolio, resumed, current)
        session.journal.hand_over(passed, portfolio, {**current, **desk})
    histories = {slot: History(bars) for slot, bars in feed.histories().items()}
    return Book(portfolio, histories, state, inputs=feed.input_histories())


def shadow_of(context: RunnerContext, feed: Feed, session: Session) -> Shadow | None:
    """Return the session's shadow, warmed up on the known bars; None without one."""
    if context.shadow is None:
        return None
    shadow = Shadow(context.shadow, makers_of(context.shadow, session), session.writer.commit)
    shadow.begin(feed.histories(), feed.input_histories())
    return shadow


def makers_of(portfolio: Portfolio, session: Session) -> dict[int, OrderMaker]:
    """Return the order factory of each slot; its client ids are unique across sessions and accounts."""
    makers = {}
    for number, plan in enumerate(portfolio.plans):
        name = plan.strategy.name
        ids = ClientIds(name, (session.journal.session_id, plan.manifest.content_sha256, name, str(plan.symbol)))
        known = session.resumed.attempts.items()
        attempts = {(bar, role): count for (slot, bar, role), count in known if slot == number}
        # Lists have no intents of their own; each contains a stop, so the stops' attempts keep list ids unique.
        attempts |= {(bar, "list"): count for (bar, role), count in attempts.items() if role == "stop"}
        makers[number] = OrderMaker(ids, plan.symbol, attempts)
    return makers
