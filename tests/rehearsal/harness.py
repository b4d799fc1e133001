"""A schedule played: the real runner, ccxt, the simulated exchange and a database, and three doors that are watched.

What leaves to the exchange and what comes back passes a `FragileBroker`, each step that is committed a `FragileWriter`, and each
transaction a `FragileJournal`; at the first two a process may die (`Crash`), at the third the database may be away.
"""

import asyncio
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any
from unittest.mock import patch

from atb.db import Database, open_database
from atb.errors import DatabaseLostError, HaltError, InputError, VenueError
from atb.live import writer as live_writer
from atb.live.bell import Bell
from atb.live.feed.timer import SteppedTimer
from atb.live.journal.breakers import Breakers
from atb.live.journal.journal import Journal
from atb.live.journal.kill_switch import KillSwitch, Level, clear_halt, write_halt_file
from atb.live.journal.session_rows import SessionRows, read_session
from atb.live.portfolio import Portfolio
from atb.live.runner import RunnerContext, VenueContext, trade_exchange
from atb.live.writer import Writer
from atb.rehearsal.context import JudgeContext, slot_contexts
from atb.rehearsal.invariants.stop_prices import wanted_stops
from atb.rehearsal.judge import Judgement, examine
from atb.rehearsal.ledger import DIED
from atb.venues.broker import Access, connect
from atb.venues.simulator.configuration import ExchangeConfig
from atb.venues.simulator.faults import Fault
from atb.venues.simulator.server import Running, running_exchange
from tests.rehearsal.schedules import QUIET, WINDOW_MS, Schedule, draw

ACCOUNT = "main"
_TIMEOUT_S = 2.0
_LIVES = 60


class Crash(BaseException):
    """The process is gone: nothing that follows in its code happens."""


# --- doors --------------------------------------------------------------------------------------------------------------


@dataclass
class Doors:
    """Where a process may die or the database may be away, counted."""

    crash_at: int | str | None = None
    losses: dict[int, str] = field(default_factory=dict)
    crossed: int = 0
    transactions: int = 0
    lost: int = 0
    died_at: str = ""
    passed: list[str] = field(default_factory=list)  # empty where no process may die any more
    open: bool = True

    def cross(self, door: str, about: str = "") -> None:
        """Pass a door, or die there; `about` tells alike doors apart."""
        self.crossed += 1
        self.passed.append(f"{door} {about}".strip() if self.open else "")
        if self.crash_at in {self.crossed, door, self.passed[-1]}:
            self.died_at = door
            raise Crash(door)


class FragileBroker:
    """A broker whose process may die before each request leaves, and after each answer arrives."""

    _DOORS = frozenset(
        (
            "place",
            "cancel",
            "replace",
            "find",
            "find_by_id",
            "find_list",
            "open_orders",
            "all_orders",
            "trades",
            "balances",
        )
    )

    def __init__(self, broker: Any, doors: Doors) -> None:
        self._broker, self._doors = broker, doors

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._broker, name)
        if name not in self._DOORS:
            return found

        async def through(*given: Any, **named: Any) -> Any:
            roles = _roles(given)
            self._doors.cross(f"before {name}", roles)
            answer = await found(*given, **named)
            self._doors.cross(f"after {name}", roles)
            return answer

        return through


def _roles(given: tuple[Any, ...]) -> str:
    """Return the roles of the orders that a request is about, such as `entry+stop`."""
    orders = [order for one in given for order in (getattr(one, "orders", None) or [one]) if hasattr(order, "role")]
    return "+".join(order.role for order in orders)


@contextmanager
def fragile(doors: Doors) -> Iterator[None]:
    """Let a process die before and after each commit, and the database go away before or after what some transactions commit."""
    commit, transaction = Writer.commit, Journal._transaction

    async def fragile_commit(self: Writer, step: Any) -> Any:
        doors.cross("before commit")
        withheld = await commit(self, step)
        doors.cross("after commit")
        return withheld

    @contextmanager
    def fragile_transaction(self: Journal) -> Iterator[Any]:
        doors.transactions += 1
        fate = doors.losses.pop(doors.transactions, None)
        doors.lost += fate is not None
        if fate == "before":
            raise DatabaseLostError("The database went away before it was asked")
        with transaction(self) as connection:
            yield connection
        if fate == "after":
            raise DatabaseLostError("The database went away after it was asked")

    with (
        patch.object(Writer, "commit", fragile_commit),
        patch.object(Journal, "_transaction", fragile_transaction),
        patch.object(live_writer, "_RETRY_S", 0.001),
    ):
        yield


# --- playing ------------------------------------------------------------------------------------------------------------


@dataclass
class HarnessRun:
    """How a schedule went."""

    schedule: Schedule
    judgement: Judgement
    ledger: list[dict[str, Any]]
    books: SessionRows
    lives: int
    died_at: list[str]
    summary: str
    broken: list[str]
    doors: list[str]


class Play:
    """One schedule against one database.

    Parameters
    ----------
    schedule, url, root
        What, where it is written, and a folder for the kill switch.
    """

    def __init__(self, schedule: Schedule, url: str, root: Path) -> None:
        self.schedule, self.url, self.root = schedule, url, root
        self.portfolio = Portfolio(schedule.plans)
        self.deaths: list[tuple[int, int]] = []
        self.halts: list[tuple[int, int, int]] = []
        self.readings: list[dict[str, tuple[str, Any]]] = []
        self.died_at: list[str] = []
        self.broken: list[str] = []
        self.doors = Doors(losses=dict(schedule.losses))
        self.lives, self.calm = 0, False

    def run(self) -> HarnessRun:
        """Play it to its end and judge it."""
        with self.exchange() as running, fragile(self.doors):
            running.call(lambda: running.loop.set_exception_handler(self._breaks))
            self._plan_halts(running)
            self._at(running, self.calm_ms, lambda: self._calm(running))
            summary = self._lives(running)
            ledger = running.ledger()
        return self.judged(ledger, summary)

    def judged(self, ledger: list[dict[str, Any]], summary: str = "") -> HarnessRun:
        """Judge what was played."""
        database = open_database(self.url)
        books = read_session(database)
        database.close()
        wanted = wanted_stops(books, self.portfolio, self.schedule.series)
        judgement = examine(ledger, books, self.context(books), readings=self.readings, wanted=wanted)
        return HarnessRun(
            self.schedule, judgement, ledger, books, self.lives, self.died_at, summary, self.broken, self.doors.passed
        )

    def context(self, books: SessionRows) -> JudgeContext:
        """Return what the judge is told."""
        return JudgeContext(
            slot_contexts(self.portfolio, books.session_id),
            self._balances(),
            tuple(self.deaths),
            tuple(self.halts),
            orders_per_minute=Breakers().orders_per_minute,
            last_resort=Breakers().last_resort,
            until_ms=self.schedule.until_ms,
        )

    def _breaks(self, _loop: Any, context: dict[str, Any]) -> None:
        """Keep what broke in the exchange itself: such a run proves nothing."""
        self.broken.append(repr(context.get("exception") or context["message"]))

    @property
    def calm_ms(self) -> int:
        """When nothing goes wrong any more."""
        return self.schedule.until_ms - QUIET * self.schedule.bar_ms

    def _calm(self, running: Running) -> None:
        self.doors.losses.clear()
        self.doors.crash_at, self.doors.open, self.calm = None, False, True
        for fault in running.exchange.fault_injector.faults:
            fault.times = 0

    def _balances(self) -> dict[str, Decimal]:
        return {"USDT": Decimal(10_000)} | ({"BNB": Decimal(50)} if self.schedule.fee_in == "bnb" else {})

    @contextmanager
    def exchange(self) -> Iterator[Running]:
        """Run the schedule's exchange."""
        made = self.schedule
        config = ExchangeConfig(
            tuple({str(bars.symbol): bars for bars in made.series}.values()),
            start_ms=made.start_ms,
            balances=self._balances(),
            execution=made.execution,
            fee_in=made.fee_in,  # type: ignore[arg-type]
            faults=[Fault(**vars(fault) | {"detail": dict(fault.detail)}) for fault in made.faults],
        )
        with running_exchange(config) as running:
            self.running = running
            yield running

    def _lives(self, running: Running) -> str:
        """Let one process after another live until the bars end; return how the last one ended."""
        crashes = list(self.schedule.crashes)
        while self.lives < _LIVES:
            self.lives += 1
            crash_at, dead_ms = crashes.pop(0) if crashes else (None, 30_000)
            self.doors.crash_at, self.doors.crossed = None if self.calm else crash_at, 0
            try:
                return str(asyncio.run(self.live(running)))
            except HaltError:
                return "halted"
            except Crash as crash:
                self.died_at.append(str(crash))
            except (VenueError, DatabaseLostError) as refused:
                self.died_at.append(type(refused).__name__)
            self._read()
            self._be_dead(running, dead_ms)
        return "too many lives"

    def _be_dead(self, running: Running, dead_ms: int) -> None:
        running.call(lambda: running.exchange.note("mark", {"note": DIED}))
        died = running.clock.now_ms()
        back = max(died, min(died + dead_ms, self.calm_ms)) if died < self.calm_ms else died + 1_000
        running.advance(back)
        self.deaths.append((died, back))

    def _read(self) -> None:
        """Keep what the books say now; before the first session there is nothing to read."""
        database = open_database(self.url)
        with suppress(InputError):
            self.readings.append(read_session(database).states)
        database.close()

    def _fragile(self, broker: Any) -> Any:
        """Return the broker behind its doors, deaf where the schedule says so."""
        if not self.schedule.streams:
            broker.listen = lambda _wake: None
        return FragileBroker(broker, self.doors)

    async def live(self, running: Running, *, database: Database | None = None, bell: Bell | None = None) -> Any:
        """Be one process."""
        timer = SteppedTimer(running.clock_url)
        await timer.open()
        frame_gap = self.schedule.bar_ms
        access = Access(
            "binance", "key", "secret", base_url=running.url, timeout_s=_TIMEOUT_S, frame_gap_ms=frame_gap,
            recv_window_ms=WINDOW_MS, order_entry=self.schedule.order_entry,
        )  # fmt: skip
        broker = connect(access, timer)
        opened = database or open_database(self.url)
        exchange = VenueContext(
            self._fragile(broker),
            timer,
            compare_ms=6 * self.schedule.bar_ms,
            tick_ms=None,
            until_ms=self.schedule.until_ms,
        )
        context = RunnerContext(opened, ACCOUNT, KillSwitch(self.root), bell or Bell())
        try:
            return await trade_exchange(self.portfolio, context, exchange)
        finally:
            await broker.close()
            await timer.close()
            if database is None:
                opened.close()

    # --- the kill switch

    def _plan_halts(self, running: Running) -> None:
        for begin, level, end in self.schedule.halts:
            raised = self.schedule.start_ms + begin * self.schedule.bar_ms + 17_000
            lowered = None if end is None else self.schedule.start_ms + end * self.schedule.bar_ms + 17_000
            self.halts.append((raised, lowered or 2**60, level))
            self._at(running, raised, lambda level=level: write_halt_file(self.root, Level(level), "a drill"))
            if lowered is not None:
                self._at(running, lowered, self._resume)

    def _at(self, running: Running, time_ms: int, act: Callable[[], Any]) -> None:
        """Do something at a time of the exchange, and wake whoever waits."""

        def happen() -> None:
            act()
            running.exchange.barrier.wake()

        running.call(lambda: running.exchange.plan(time_ms, happen))

    def _resume(self) -> None:
        with suppress(FileNotFoundError):
            (self.root / "HALT").unlink()
        database = open_database(self.url)
        with suppress(InputError):
            clear_halt(database, ACCOUNT, source="test", root=self.root)
        database.close()


def play(schedule: Schedule, url: str, root: Path) -> HarnessRun:
    """Play a schedule and judge it."""
    return Play(schedule, url, root).run()


def check(seed: int, url: str, root) -> None:
    """Play a seed; whatever is wrong is said with the seed."""
    played = play(draw(seed), url, root)
    assert not played.broken, f"seed {seed}: the exchange itself broke: {played.broken}"
    assert played.judgement.clean, f"seed {seed} (died at {played.died_at}):\n{played.judgement}"
    assert played.summary.startswith(("finished", "halted")), f"seed {seed}: {played.summary}"


def say(capsys, text: str) -> None:
    """Show how far a long test is."""
    with capsys.disabled():
        sys.stdout.write(f"\n  {text}")
        sys.stdout.flush()
