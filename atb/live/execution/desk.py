"""The two desks behind one protocol: paper and exchange. The loop hands each a moment of the market; each writes its steps."""

from collections.abc import Collection
from typing import Protocol

from atb.domain import Symbol
from atb.errors import InputError, VenueError
from atb.live.execution.book import Book
from atb.live.execution.exchange_desk import ExchangeDesk
from atb.live.execution.paper_desk import PaperDesk
from atb.live.execution.reconciliation import Reconciler
from atb.live.feed.market import Moment
from atb.live.journal.kill_switch import Level
from atb.live.journal.step import Commit, Notice, Step
from atb.monitoring import get_logger

_log = get_logger(__name__)
_AGAIN_MS = 1_000
_REREAD_MS = 5_000
_KEY = "Check exchange.api_key, exchange.api_secret and the permissions of the key"


class Desk(Protocol):
    """Interface of a desk, as the loop uses it."""

    @property
    def book(self) -> Book:
        """Market and state so far."""
        ...

    @property
    def reconciled(self) -> bool:
        """Whether account and books were compared since this process started."""
        ...

    @property
    def unsettled(self) -> bool:
        """Whether an answer or an execution is missing."""
        ...

    async def start(self) -> None:
        """Recover: nothing is decided before it."""
        ...

    async def on_moment(self, moment: Moment, level: Level) -> None:
        """Trade a moment under the kill switch's level, and write the steps."""
        ...

    async def look(self, updated: Collection[Symbol | None] | None = None) -> None:
        """Fetch what happened between two closes; `updated` has the symbols that streams named (None: any), None where none did."""
        ...

    async def obey(self, level: Level) -> None:
        """Apply a level of the kill switch at once."""
        ...

    def due_ms(self) -> int | None:
        """Return when `look` is due next (exchange time, ms), None if never."""
        ...

    async def verify(self) -> bool:
        """Return whether nothing is held and no order is open, by the books and by the venue."""
        ...

    def bare(self) -> set[Symbol]:
        """Return the symbols with a position that no resting stop covers."""
        ...


class PaperTrading:
    """Paper: nothing happens between two moments.

    Parameters
    ----------
    desk, commit
        What trades, and the writer of its steps.
    """

    reconciled, unsettled = True, False

    def __init__(self, desk: PaperDesk, commit: Commit) -> None:
        self._desk, self._commit = desk, commit

    @property
    def book(self) -> Book:
        """Market and state so far."""
        return self._desk.book

    async def start(self) -> None:
        """No recovery needed: paper steps are atomic."""

    async def on_moment(self, moment: Moment, level: Level) -> None:
        """Trade a moment: decisions are written, and so pass the breakers, before any of them is filled."""
        if moment.closing:
            self._desk.drop(await self._commit(self._desk.on_close(moment, level=level)))
        if moment.opening and (opened := self._desk.on_open(moment)) is not None:
            await self._commit(opened)

    async def look(self, updated: Collection[Symbol | None] | None = None) -> None:
        """Nothing happens between two moments."""

    async def obey(self, level: Level) -> None:
        """The next moment applies the level: paper has no market in between."""

    def due_ms(self) -> int | None:
        """Return None."""
        return None

    async def verify(self) -> bool:
        """Return whether nothing is held and no order is open; on paper the books are all there is."""
        return self._desk.clear

    def bare(self) -> set[Symbol]:
        """Return none: on paper a stop is the kernel's own."""
        return set()


class ExchangeTrading:
    """An exchange: the account is compared with the books on a schedule, and the kill switch acts at once.

    Parameters
    ----------
    desk, commit
        What trades, and the writer of its steps.
    reconciler, every_ms
        What compares the account, and the pause between comparisons (exchange time).
    """

    def __init__(self, desk: ExchangeDesk, commit: Commit, *, reconciler: Reconciler, every_ms: int) -> None:
        self._desk, self._commit = desk, commit
        self._reconciler, self._every_ms = reconciler, every_ms
        self._compared_ms = 0
        self._silent = False
        self.reconciled = False
        desk.may_enter = lambda: self.reconciled

    @property
    def book(self) -> Book:
        """Market and state so far."""
        return self._desk.book

    @property
    def unsettled(self) -> bool:
        """Whether an answer or an execution is missing."""
        return any(outstanding.unsettled for outstanding in self._desk.blotter)

    async def start(self) -> None:
        """Resolve the orders of the last process, make the venue equal to the book, reconcile the account.

        Raises
        ------
        InputError
            If the venue rejects the key or its signature: waiting does not help.
        """
        await self._desk.look()
        if await self._compare(starting=True):
            await self._desk.settle()

    async def on_moment(self, moment: Moment, level: Level) -> None:
        """Trade a moment; under a halt, or before the first reconciliation, its entries are dropped."""
        reconciled = self.reconciled or await self._compare()
        await self._desk.on_moment(moment, barred="halted" if level else None if reconciled else "not_reconciled")

    async def look(self, updated: Collection[Symbol | None] | None = None) -> None:
        """Fetch lost answers and executions, and reconcile the account when due."""
        traded = self.book.portfolio.symbols
        of = None if updated is None else [symbol for symbol in traded if symbol in updated or None in updated]
        await self._desk.look(of)
        if self._desk.reports.doubt or self._desk.broker.now_ms() >= self._compared_ms + self._every_ms:
            await self._compare()

    async def obey(self, level: Level) -> None:
        """Drop entries, cancel those that rest, or close everything."""
        self._desk.stop_entries(keep_resting=level < Level.CANCEL)
        if level >= Level.FLATTEN:
            self._desk.flatten()
        await self._desk.settle()

    def due_ms(self) -> int | None:
        """Return when to look next."""
        looks = self._desk.due_ms()
        compare = self._compared_ms + self._every_ms
        return compare if looks is None else min(looks, compare)

    async def verify(self) -> bool:
        """Return whether nothing is held and no order is open, by the books and by the venue, asked now."""
        if not (self._desk.clear and await self._compare() and not self._reconciler.ours_open):
            return False
        await self._desk.write_off()
        return True

    def bare(self) -> set[Symbol]:
        """Return the symbols with a position that no resting stop covers."""
        return self._desk.bare()

    async def _compare(self, *, starting: bool = False) -> bool:
        """Reconcile; return whether the venue answered and no answer or execution was missing."""
        done, desk = False, self._desk
        self._compared_ms = now = desk.broker.now_ms()
        doubted = desk.reports.take_doubt()
        step = Step(now)
        try:
            done = await self._reconciler.compare(step, desk.look)
            self._silent, self.reconciled = False, self.reconciled or done
        except VenueError as error:
            if starting and error.unauthorised:
                raise InputError("The exchange does not accept the key", found=error.found, todo=_KEY) from error
            if not self._silent:  # noted once, not at every attempt
                step.notices.append(Notice("not_compared", {"error": str(error)}, "warning"))
            self._silent = True
        if not done and (doubted or self._reconciler.disagree_ms is not None):
            self._compared_ms = now - self._every_ms + (_AGAIN_MS if doubted else _REREAD_MS)
        desk.tell_stuck(step)
        if step.notices or step.fills:
            await desk.write(step)
        return done
