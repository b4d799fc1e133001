"""Putting a runner together: lease, journal, feed, book, desk and loop, for paper and for an exchange.

To start is to recover. The journal says where the session stands, the feed begins after the last bar that was decided on, and at
an exchange every order that was out is asked for before anything is decided.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from atb.domain import Symbol, Timer
from atb.domain.venue import Hint
from atb.errors import DatabaseLostError, InputError
from atb.live.context import RunnerContext, VenueContext, Window
from atb.live.execution.blotter import Blotter
from atb.live.execution.book import Book
from atb.live.execution.desk import Desk, ExchangeTrading, PaperTrading
from atb.live.execution.desk_state import DeskMemory
from atb.live.execution.exchange_desk import ExchangeDesk, Trade
from atb.live.execution.execution_reports import Hearing
from atb.live.execution.orders import OrderMaker
from atb.live.execution.paper_desk import PaperDesk
from atb.live.execution.reconciliation import Synchroniser
from atb.live.feed.candles import CandleFeed
from atb.live.feed.replay import Feed, first_traded, replay_feed
from atb.live.feed.timer import ReplayTimer, SystemTimer, VenueTimer
from atb.live.journal.lease import held_lease
from atb.live.loop import Loop, Summary
from atb.live.portfolio import Portfolio
from atb.live.session import Session, book_of, makers_of, opened, shadow_of
from atb.monitoring import get_logger
from atb.threads import Call
from atb.times import at_ms

_log = get_logger(__name__)
_FRESH_S = 0.1
_LARGEST_OFFSET_S = 5  # of the venue's clock to ours, before someone should look at ours
_LOOK_S = 1.0  # real time between two looks at the kill switch in a replay that is not as fast as it can be


async def trade_paper(
    portfolio: Portfolio, office: RunnerContext, *, bars_root: Path, window: Window, speed: float | None = None
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
    with held_lease(office.database, office.account, SystemTimer()) as lease, office.page():
        there, before = office.place(portfolio, alone=False)
        begun = there.trade_from_ms if there is not None and window.since is None else None
        trade_from_ms = begun if begun is not None else first_traded(portfolio, bars_root, window.since)
        last_bars = {slot: place.last_bar_ms for slot, place in enumerate(there.slots)} if there else None
        until = _until(portfolio, last_bars, window)
        feed = replay_feed(portfolio, bars_root, trade_from_ms=trade_from_ms, last_bars=last_bars, until=until)
        told = {"speed": speed, **asdict(window)}
        with opened(
            portfolio, office, lease, trade_from_ms=trade_from_ms, told=told, threads=False, before=before
        ) as session:
            book = book_of(portfolio, feed.histories(), session)
            makers = makers_of(portfolio, session)
            desk = PaperDesk(book, makers=makers, working=session.resumed.working)
            timer = ReplayTimer(feed.next_ms() or 0, speed)
            for name in ("streams", "clock"):
                office.watch.vitals.tell(name, good=True, found="stored bars need none")
            trading = PaperTrading(desk, session.writer.commit)
            tick_ms = None if speed is None else max(1, int(_LOOK_S * 1_000 * speed))
            return await _loop(trading, feed, timer, office=office, session=session, tick_ms=tick_ms).run()


async def trade_candles(portfolio: Portfolio, office: RunnerContext, exchange: VenueContext) -> Summary:
    """Trade a portfolio on paper over a venue's candles as they close; nothing but candles is asked for.

    Raises
    ------
    LeaseError, DataError, HaltError
        As `trade_paper`.
    VenueError
        If the venue cannot be reached at the start.
    """
    async with _at_exchange(portfolio, office, exchange, alone=False) as (session, feed, book):
        desk = PaperDesk(book, makers=makers_of(portfolio, session), working=session.resumed.working)
        return await _venue_loop(
            PaperTrading(desk, session.writer.commit), feed, exchange, office=office, session=session
        ).run()


async def trade_exchange(portfolio: Portfolio, office: RunnerContext, exchange: VenueContext) -> Summary:
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
    async with _at_exchange(portfolio, office, exchange, alone=True) as (session, feed, book):
        desk = _exchange_desk(
            book, exchange, session, makers=makers_of(portfolio, session), sending=office.watch.sending
        )
        synchroniser = Synchroniser(
            exchange.broker,
            desk.hearing,
            tolerance=exchange.tolerance,
            accepting=exchange.accept,
        )
        office.watch.barred = lambda: desk.memory.quarantine
        office.watch.drift = lambda: synchroniser.drift
        trading = ExchangeTrading(desk, session.writer.commit, synchroniser=synchroniser, every_ms=exchange.compare_ms)
        _warn(portfolio)
        while not session.journal.lease.fresh(SystemTimer().now_ms()):  # the holder before may still be sending
            await asyncio.sleep(_FRESH_S)
        return await _venue_loop(trading, feed, exchange, office=office, session=session).run()


# --- parts --------------------------------------------------------------------------------------------------------------


@asynccontextmanager
async def _at_exchange(
    portfolio: Portfolio, office: RunnerContext, exchange: VenueContext, *, alone: bool
) -> AsyncIterator[tuple[Session, CandleFeed, Book]]:
    """Open a session under its lease, with the venue's candles and the book they continue."""
    with held_lease(office.database, office.account, SystemTimer()) as lease, office.page():
        await exchange.broker.open(portfolio.symbols)
        there, before = office.place(portfolio, alone=alone)
        trade_from_ms = _first_candle(portfolio, exchange) if there is None else there.trade_from_ms
        with opened(
            portfolio, office, lease, trade_from_ms=trade_from_ms, told={}, threads=True, before=before
        ) as session:
            feed = CandleFeed(exchange.broker, portfolio, until_ms=exchange.until_ms)
            await feed.open(session.trade_from_ms, session.last_bars)
            book = book_of(portfolio, feed.histories(), session)
            exchange.broker.listen(_hear(office))
            exchange.broker.observe(office.watch.asked)
            office.watch.silences = exchange.broker.silences
            _tell_clock(office, exchange)
            yield session, feed, book


def _warn(portfolio: Portfolio) -> None:
    """Say loudly what preflight refuses for real money and a rehearsal shows."""
    for plan in portfolio.plans:
        if plan.policy.enters_bare:
            _log.warning(
                "an entry at a stop brings no protective stop: filled while no runner lives, the position has none",
                manifest=plan.manifest.name,
            )


def _exchange_desk(
    book: Book, exchange: VenueContext, session: Session, *, makers: dict[int, OrderMaker], sending: Callable[[], None]
) -> ExchangeDesk:
    saved = (session.resumed.state or {}).get("desk")
    memory = DeskMemory.from_json(saved) if saved else DeskMemory(exchange.broker.now_ms())
    memory.cursors = dict(session.resumed.cursors)
    memory.known = _known(session)
    hearing = Hearing(book, Blotter(session.resumed.working), memory, makers=makers)
    lease = session.journal.lease
    trade = Trade(
        exchange.broker, hearing, makers, session.writer.commit, sending, lambda: lease.fresh(SystemTimer().now_ms())
    )
    return ExchangeDesk(trade, exchange.rules)


def _known(session: Session) -> Callable[[Symbol, str], bool]:
    """Return who knows the executions of earlier processes; without a database, which only the kill switch trades on, nobody."""
    writer = session.writer

    def known(symbol: Symbol, trade_id: str) -> bool:
        if writer.hangs:
            return False
        asked = Call(lambda: session.journal.known_fill(symbol, trade_id), "journal")
        if not asked.wait(writer.silence_s):
            raise DatabaseLostError(f"The database has not answered for {writer.silence_s:g} s, and tells no error")
        try:
            return asked.result()
        except DatabaseLostError:
            return False

    return known


def _first_candle(portfolio: Portfolio, exchange: VenueContext) -> int:
    """Return the open of the first bar to trade: the one that is open now."""
    now = at_ms(exchange.broker.now_ms())
    opens = [int(plan.timeframe.floor(now.to_pydatetime()).timestamp() * 1_000) for plan in portfolio.plans]
    return min(opens)


def _venue_loop(trading: Desk, feed: Feed, exchange: VenueContext, *, office: RunnerContext, session: Session) -> Loop:
    """Return a loop by the venue's own time: a machine's clock that is ahead must not spin until a bar is closed there."""
    timer = VenueTimer(exchange.timer, exchange.broker.now_ms)
    return _loop(trading, feed, timer, office=office, session=session, tick_ms=exchange.tick_ms)


def _loop(
    trading: Desk, feed: Feed, timer: Timer, *, office: RunnerContext, session: Session, tick_ms: int | None
) -> Loop:
    journal = session.journal
    _log.info("running", session=journal.session_id)
    office.watch.plans = dict(enumerate(trading.book.portfolio.plans))
    cash = trading.book.portfolio.account.cash
    shadow = shadow_of(office, feed.histories(), session)
    floor = 0.0 if office.max_loss is None else cash - office.max_loss
    return Loop(
        trading, feed, timer, session.writer, journal, office.switch, office.bell,
        tick_ms=tick_ms, watch=office.watch, shadow=shadow, floor=floor, recheck=office.recheck,
    )  # fmt: skip


def _hear(office: RunnerContext) -> Callable[[Hint], None]:
    """Return what is done at a hint: whoever waits is woken, but for bars, which are due by the clock."""

    def hear(hint: Hint) -> None:
        if hint.kind == "gap":
            office.watch.vitals.tell("streams", hint.detail.get("state") == "up", hint.detail.get("stream", ""))
        if hint.kind != "bar":
            office.bell.ring()

    return hear


def _tell_clock(office: RunnerContext, exchange: VenueContext) -> None:
    offset = exchange.broker.now_ms() - exchange.timer.now_ms()
    if office.watch.metrics is not None:
        office.watch.metrics.clock_offset.set(offset / 1_000)
    second_ms = exchange.tick_ms or 1_000  # of ours, in the timer's time
    good = abs(offset) < _LARGEST_OFFSET_S * second_ms
    if not good:
        todo = "set this machine's clock (NTP); where this is a simulated exchange, exchange.clock"
        _log.warning("the venue's clock is not ours", ahead_seconds=offset / 1_000, todo=todo)
    office.watch.vitals.tell("clock", good, f"the venue is {offset} ms ahead")


def _until(portfolio: Portfolio, last_bars: dict[int, int | None] | None, window: Window) -> str | None:
    """Return the end of the feed; bars that were traded already are history, whatever end is asked for now."""
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


def run_paper(portfolio: Portfolio, office: RunnerContext, **options: Any) -> Summary:
    """Run `trade_paper` to its end, outside any event loop."""
    return asyncio.run(trade_paper(portfolio, office, **options))


__all__ = ["RunnerContext", "VenueContext", "Window", "run_paper", "trade_candles", "trade_exchange", "trade_paper"]
