"""Putting a runner together: lease, journal, feed, book, desk and loop, for paper and for an exchange.

Starting is recovering. The journal says where the session stands, the feed begins after the last bar that was decided on, and at
an exchange every open order is looked up before anything is decided.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeVar

from atb.domain import Timer
from atb.domain.venue import StreamUpdate
from atb.errors import DatabaseLostError, InputError
from atb.live.context import RunnerContext, VenueContext, Window
from atb.live.execution.blotter import Blotter
from atb.live.execution.book import Book
from atb.live.execution.desk import Desk, ExchangeTrading, PaperTrading
from atb.live.execution.desk_state import DeskState
from atb.live.execution.exchange_desk import DeskParts, ExchangeDesk
from atb.live.execution.execution_reports import ExecutionReports
from atb.live.execution.paper_desk import PaperDesk
from atb.live.execution.reconciliation import Reconciler
from atb.live.feed.candles import CandleFeed
from atb.live.feed.market import Feed
from atb.live.feed.replay import first_traded, replay_feed
from atb.live.feed.timer import ReplayTimer, SystemTimer, VenueTimer
from atb.live.loop import Loop, Summary
from atb.live.portfolio import Portfolio
from atb.live.session import Session, book_of, hold_account, makers_of, shadow_of
from atb.monitoring import get_logger
from atb.threads import Call
from atb.times import at_ms

_log = get_logger(__name__)
T = TypeVar("T")
_FRESH_S = 0.1
_LARGEST_OFFSET_S = 5  # between the venue's clock and ours, beyond which ours should be checked
_LOOK_S = 1.0  # real time between two looks at the kill switch in a replay at a set speed


async def trade_paper(
    portfolio: Portfolio, context: RunnerContext, *, bars_root: Path, window: Window, speed: float | None = None
) -> Summary:
    """Trade a portfolio on paper over bars of the catalogue, from where its session stands, until they end.

    Parameters
    ----------
    bars_root
        The catalogue to replay.
    window
        Which bars.
    speed
        Seconds of market time per second; None is as fast as possible.

    Raises
    ------
    LeaseError
        If another runner holds the account, or takes it over.
    DataError
        If the catalogue lacks bars.
    HaltError
        If the kill switch closed everything.
    """
    with hold_account(portfolio, context, exclusive=False) as account:
        found = account.found
        begun = found.trade_from_ms if found is not None and window.since is None else None
        trade_from_ms = begun if begun is not None else first_traded(portfolio, bars_root, window.since)
        last_bars = found.last_bars if found else None
        until = _until(portfolio, last_bars, window)
        feed = replay_feed(portfolio, bars_root, trade_from_ms=trade_from_ms, last_bars=last_bars, until=until)
        session = account.open_session(trade_from_ms, threads=False, config={"speed": speed, **asdict(window)})
        for name in ("streams", "clock"):
            context.telemetry.vitals.tell(name, good=True, found="stored bars need none")
        tick_ms = None if speed is None else max(1, int(_LOOK_S * 1_000 * speed))
        trading = _paper_trading(book_of(portfolio, feed, session), session)
        timer = ReplayTimer(feed.next_ms() or 0, speed)
        return await _loop(trading, feed, timer, context=context, session=session, tick_ms=tick_ms).run()


async def trade_candles(portfolio: Portfolio, context: RunnerContext, venue: VenueContext) -> Summary:
    """Trade a portfolio on paper over a venue's candles as they close; nothing but candles is requested.

    Raises
    ------
    LeaseError, DataError, HaltError
        As `trade_paper`.
    VenueError
        If the venue cannot be reached at the start.
    """
    async with _venue_session(portfolio, context, venue, exclusive=False) as (session, feed, book):
        return await _venue_loop(_paper_trading(book, session), feed, venue, context=context, session=session).run()


async def trade_exchange(portfolio: Portfolio, context: RunnerContext, venue: VenueContext) -> Summary:
    """Trade a portfolio at an exchange, from where its session stands, until it is stopped.

    Raises
    ------
    LeaseError, DataError, HaltError
        As `trade_paper`.
    VenueError
        If the venue cannot be reached at the start.
    DatabaseLostError
        If the database stays away for longer than the grace; stops rest at the exchange.
    """
    async with _venue_session(portfolio, context, venue, exclusive=True) as (session, feed, book):
        desk = _exchange_desk(book, venue, session, sending=context.telemetry.sending)
        reconciler = Reconciler(venue.broker, desk.reports, tolerance=venue.tolerance, accepting=venue.accept)
        context.telemetry.barred = lambda: desk.desk_state.quarantine
        context.telemetry.stuck = lambda: desk.desk_state.stuck
        context.telemetry.drift = lambda: reconciler.drift
        trading = ExchangeTrading(desk, session.writer.commit, reconciler=reconciler, every_ms=venue.compare_ms)
        _warn_of_bare_entries(portfolio)
        while not session.journal.lease.fresh(SystemTimer().now_ms()):  # the previous holder may still be sending
            await asyncio.sleep(_FRESH_S)
        return await _venue_loop(trading, feed, venue, context=context, session=session).run()


# --- parts --------------------------------------------------------------------------------------------------------------


@asynccontextmanager
async def _venue_session(
    portfolio: Portfolio, context: RunnerContext, venue: VenueContext, *, exclusive: bool
) -> AsyncIterator[tuple[Session, CandleFeed, Book]]:
    """Open a session under its lease, with the venue's candles and the book that they continue."""
    with hold_account(portfolio, context, exclusive=exclusive) as account:
        await venue.broker.open(portfolio.read_symbols)
        found = account.found
        session = account.open_session(
            _first_candle(portfolio, venue) if found is None else found.trade_from_ms, threads=True
        )
        feed = CandleFeed(venue.broker, portfolio, until_ms=venue.until_ms, events=venue.events)
        await feed.open(session.resumed.trade_from_ms, session.last_bars)
        book = book_of(portfolio, feed, session)
        venue.broker.listen(_on_update(context))
        venue.broker.observe(context.telemetry.requested)
        context.telemetry.silences = venue.broker.silences
        _report_clock(context, venue)
        yield session, feed, book


def _warn_of_bare_entries(portfolio: Portfolio) -> None:
    """Log what preflight refuses for real money and a rehearsal allows."""
    for plan in portfolio.plans:
        if plan.policy.enters_bare:
            _log.warning(
                "an entry at a stop brings no protective stop: filled while no runner lives, the position has none",
                manifest=plan.manifest.name,
            )


def _paper_trading(book: Book, session: Session) -> PaperTrading:
    makers = makers_of(book.portfolio, session)
    return PaperTrading(PaperDesk(book, makers=makers, working=session.resumed.working), session.writer.commit)


def _exchange_desk(book: Book, venue: VenueContext, session: Session, *, sending: Callable[[], None]) -> ExchangeDesk:
    saved = (session.resumed.state or {}).get("desk")
    desk_state = DeskState.from_json(saved) if saved else DeskState(venue.broker.now_ms())
    desk_state.cursors = dict(session.resumed.cursors)
    journal = session.journal
    desk_state.known = lambda symbol, trade_id: _lookup(session, lambda: journal.known_fill(symbol, trade_id), False)
    desk_state.recorded = lambda client_id: _lookup(session, lambda: journal.recorded(client_id), None)
    makers = makers_of(book.portfolio, session)
    reports = ExecutionReports(book, Blotter(session.resumed.working), desk_state, makers=makers)
    lease = journal.lease
    parts = DeskParts(
        venue.broker, reports, makers, session.writer.commit, sending, lambda: lease.fresh(SystemTimer().now_ms())
    )
    return ExchangeDesk(parts, venue.timing)


def _lookup(session: Session, read: Callable[[], T], otherwise: T) -> T:
    """Return a value read from the journal, `otherwise` while the database is down."""
    writer = session.writer
    if writer.hangs:
        return otherwise
    lookup = Call(read, "journal")
    if not lookup.wait(writer.silence_s):
        raise DatabaseLostError(f"The database has not answered for {writer.silence_s:g} s, and reports no error")
    try:
        return lookup.result()
    except DatabaseLostError:
        return otherwise


def _first_candle(portfolio: Portfolio, venue: VenueContext) -> int:
    """Return the open (epoch milliseconds) of the first bar to trade: the one that is open now."""
    now = at_ms(venue.broker.now_ms())
    opens = [int(plan.timeframe.floor(now.to_pydatetime()).timestamp() * 1_000) for plan in portfolio.plans]
    return min(opens)


def _venue_loop(trading: Desk, feed: Feed, venue: VenueContext, *, context: RunnerContext, session: Session) -> Loop:
    """Return a loop in the venue's time: with a clock ahead of it, it would spin until the venue closes the bar."""
    timer = VenueTimer(venue.timer, venue.broker.now_ms)
    return _loop(trading, feed, timer, context=context, session=session, tick_ms=venue.tick_ms)


def _loop(
    trading: Desk, feed: Feed, timer: Timer, *, context: RunnerContext, session: Session, tick_ms: int | None
) -> Loop:
    journal = session.journal
    _log.info("running", session=journal.session_id)
    context.telemetry.plans = dict(enumerate(trading.book.portfolio.plans))
    cash = trading.book.portfolio.account.cash
    shadow = shadow_of(context, feed, session)
    floor = 0.0 if context.max_loss is None else cash - context.max_loss
    return Loop(
        trading, feed, timer, session.writer, journal, context.switch, context.bell,
        tick_ms=tick_ms, telemetry=context.telemetry, shadow=shadow, floor=floor, recheck=context.recheck,
    )  # fmt: skip


def _on_update(context: RunnerContext) -> Callable[[StreamUpdate], None]:
    """Return a listener that wakes the loop at every update but a bar's: bars are due by the clock."""

    def on_update(update: StreamUpdate) -> None:
        if update.kind == "gap":
            context.telemetry.vitals.tell(
                "streams", update.detail.get("state") == "up", update.detail.get("stream", "")
            )
        if update.kind == "balance":  # whatever moves it comes as an update of its order too
            context.bell.ring()
        elif update.kind != "bar":
            context.bell.note_update(update.symbol)

    return on_update


def _report_clock(context: RunnerContext, venue: VenueContext) -> None:
    offset = venue.broker.now_ms() - venue.timer.now_ms()
    if context.telemetry.metrics is not None:
        context.telemetry.metrics.clock_offset.set(offset / 1_000)
    second_ms = venue.tick_ms or 1_000  # a second of this machine in the timer's time
    good = abs(offset) < _LARGEST_OFFSET_S * second_ms
    if not good:
        todo = "set this machine's clock (NTP); where this is a simulated exchange, exchange.clock"
        _log.warning("the venue's clock is not ours", ahead_seconds=offset / 1_000, todo=todo)
    context.telemetry.vitals.tell("clock", good, f"the venue is {offset} ms ahead")


def _until(portfolio: Portfolio, last_bars: dict[int, int | None] | None, window: Window) -> str | None:
    """Return the end of the feed; bars that were traded already stay history, whatever end is given now."""
    reached = [
        portfolio.plans[slot].timeframe.next_ms(last) for slot, last in (last_bars or {}).items() if last is not None
    ]
    if window.until is None or not reached:
        return window.until
    return max(window.until, at_ms(max(reached)).isoformat(), key=_moment_ms)


def _moment_ms(text: str) -> int:
    from atb.times import in_ms, moment

    stamp = moment(text)
    if stamp is None:
        raise InputError("Not a moment", found=text)
    return in_ms(stamp)


def run_paper(portfolio: Portfolio, context: RunnerContext, **options: Any) -> Summary:
    """Run `trade_paper` to its end, outside any event loop."""
    return asyncio.run(trade_paper(portfolio, context, **options))


__all__ = ["RunnerContext", "VenueContext", "Window", "run_paper", "trade_candles", "trade_exchange", "trade_paper"]
