"""The runner's loop: wait, look, decide, write; one coroutine, one thing at a time.

Streams and signals only wake it. What happened is then looked up: bars in the feed, executions at the venue, the kill switch in its
file and the journal.
"""

from collections.abc import Collection
from dataclasses import dataclass, field
from time import monotonic, time_ns

from atb.domain import Symbol, Timer
from atb.errors import HaltError
from atb.live.bell import Bell
from atb.live.execution.desk import Desk
from atb.live.feed.market import Feed, Moment
from atb.live.journal.journal import Journal
from atb.live.journal.kill_switch import KillSwitch, Level, effective_halt
from atb.live.journal.step import Step
from atb.live.recheck import Recheck
from atb.live.shadow import Shadow
from atb.live.telemetry import Telemetry
from atb.live.writer import Writer
from atb.monitoring import get_logger
from atb.times import at_ms, short

_log = get_logger(__name__)
_LAST_LOOKS_MS, _LOOK_MS = 10_000, 100  # exchange time
_HEARTBEAT_S = 1.0  # the journal's kill switch is read with each
_FAR_MS = 2**53


@dataclass(frozen=True, slots=True)
class Summary:
    """How a runner ended: `stopped`, `finished` or `halted`, with the session's figures (equity in the quote currency)."""

    session_id: str
    status: str
    bars: int
    trades: int
    equity: float
    last_bar: str | None

    def __str__(self) -> str:
        """Return one line."""
        where = f" up to the bar of {self.last_bar}" if self.last_bar else ""
        return f"{self.status}: {self.bars} bars{where}, {self.trades} trades, equity {self.equity:,.2f}"


@dataclass
class Loop:
    """A desk on its feed.

    Parameters
    ----------
    desk, feed, timer
        Trading, bars and time.
    writer, journal
        Commit the steps; the session's journal.
    switch
        The kill switch outside the database.
    bell
        Wakes and stops the loop.
    tick_ms
        Longest wait in exchange time between two looks at the kill switch; None where waiting takes no real time.
    telemetry
        Receives the state after each turn.
    floor
        Equity (quote) below which everything is closed.
    shadow
        A promotion watched on the same bars.
    recheck
        Verifies the promotions again while they trade.
    """

    desk: Desk
    feed: Feed
    timer: Timer
    writer: Writer
    journal: Journal
    switch: KillSwitch
    bell: Bell
    tick_ms: int | None = None
    telemetry: Telemetry = field(default_factory=Telemetry)
    floor: float = 0.0
    shadow: Shadow | None = None
    recheck: Recheck | None = None
    bars: int = 0
    last_ms: int | None = None
    _obeyed: Level = Level.NONE
    _beat: float = field(default_factory=monotonic)

    async def run(self) -> Summary:
        """Trade until the bars end, or until a signal or the kill switch ends it.

        Raises
        ------
        HaltError
            If the kill switch is at flatten and everything is closed.
        """
        with self.bell.connected():
            await self.desk.start()
            while not self.bell.stopping:
                await self._obey()
                if (due := self._due_ms()) is None:
                    return await self._end("finished")
                updated = self.bell.take(await self.timer.wait_until(due, self.bell.wake))
                if not self.bell.stopping:
                    await self._turn(updated)
                    await self._recheck()
                    self._show()
            return await self._end("stopped")

    async def _turn(self, updated: Collection[Symbol | None] | None) -> None:
        """Do what is due: look for executions, trade the bars that closed, renew the lease; `updated`: None if nothing woke it."""
        now, looks = self.timer.now_ms(), self.desk.due_ms()
        if updated is not None or (looks is not None and looks <= now):
            await self.desk.look(updated)
        coming = self.feed.next_ms()
        if coming is not None and coming <= self.timer.now_ms():
            moment = await self.feed.take()
            if self.feed.notices:
                await self.writer.commit(Step(self.timer.now_ms(), notices=self.feed.notices[:]))
                self.feed.notices.clear()
            if moment is not None:
                await self._trade(moment)
        if updated is not None or monotonic() - self._beat > _HEARTBEAT_S:
            await self.writer.beat()
            self._beat = monotonic()

    async def _trade(self, moment: Moment) -> None:
        """Trade the bars that closed; raise the kill switch if equity falls below the floor."""
        self.telemetry.closed()
        await self.desk.on_moment(moment, self._level())
        self._count(moment)
        if self.shadow is not None:
            await self.shadow.on_moment(moment)
        if self.desk.book.equity < self.floor:
            reason = f"equity {self.desk.book.equity:.2f} is below {self.floor:.2f}"
            self.switch.signal(Level.FLATTEN, reason, source="largest loss")

    async def _recheck(self) -> None:
        """Start the check of the promotions when it is due, and take its result; nothing waits for it."""
        if self.recheck is not None and (notices := self.recheck.look(self.switch)):
            await self.writer.commit(Step(self.timer.now_ms(), notices=notices))

    def _due_ms(self) -> int | None:
        """Return when something is due next, epoch milliseconds; None at the end of the feed."""
        coming, looks = self.feed.next_ms(), self.desk.due_ms()
        if coming is None:
            return None
        tick = _FAR_MS if self.tick_ms is None else self.timer.now_ms() + self.tick_ms
        return min(coming, tick, _FAR_MS if looks is None else looks)

    def _level(self) -> Level:
        return max(self.journal.halt.level, self.switch.read().level)

    async def _obey(self) -> None:
        """Act at once on a raised level of the kill switch; end when everything is closed and the venue confirms it."""
        level = self._level()
        if level > self._obeyed:
            halt = effective_halt(self.journal.halt, self.switch.read())
            _log.warning("halted", level_wanted=level.word, reason=halt.reason, source=halt.source)
        elif level < self._obeyed:
            _log.info("less is forbidden", level_wanted=level.word, before=self._obeyed.word)
        if level > self._obeyed or level >= Level.FLATTEN:
            await self.desk.obey(level)
        self._obeyed = level
        if level >= Level.FLATTEN and self.writer.behind:  # steps taken without a database are written before the end
            await self.writer.beat()
        if level >= Level.FLATTEN and not self.writer.behind and await self.desk.verify():
            await self._end("halted")
            raise HaltError(
                f"Account {self.journal.lease.account} is flat and halted", todo="Look why, then atb resume"
            )

    def _show(self) -> None:
        last = None if self.last_ms is None else short(at_ms(self.last_ms))
        facts = {
            "session": self.journal.session_id,
            "bars": self.bars,
            "last_bar": last,
            "trades": self.desk.book.trades,
        }
        held = self.journal.lease
        now = time_ns() // 1_000_000
        self.telemetry.vitals.tell("reconciled", good=self.desk.reconciled)
        self.telemetry.unprotected(self.desk.bare(), self.timer.now_ms())
        self.telemetry.turn_ended(
            self.desk.book,
            facts,
            behind=self.writer.behind,
            lease_fresh=held.fresh(now),
            epoch=held.epoch,
            level=self._level(),
        )

    def _count(self, moment: Moment) -> None:
        if moment.closing:
            self.bars += len(moment.closing)
            self.last_ms = self.last_ms if moment.late else moment.bar_ms

    async def _wait_for_answers(self) -> None:
        """Look for lost answers and executions for a few more seconds; the next start resolves the rest."""
        until = self.timer.now_ms() + _LAST_LOOKS_MS
        while self.desk.unsettled and (now := self.timer.now_ms()) < until:
            due = self.desk.due_ms()
            await self.timer.wait_until(min(until, max(now + _LOOK_MS, due or 0)), self.bell.wake)
            self.bell.wake.clear()
            await self.desk.look()

    async def _end(self, status: str) -> Summary:
        """Wait for pending answers, and write how the session ended."""
        await self._wait_for_answers()
        last = None if self.last_ms is None else short(at_ms(self.last_ms))
        book = self.desk.book
        summary = Summary(self.journal.session_id, status, self.bars, book.trades, book.equity, last)
        names = ("status", "bars", "trades", "equity", "last_bar")
        await self.writer.end(status, {name: getattr(summary, name) for name in names})
        return summary
