"""The loop: it stops between two steps, obeys the kill switch, keeps its lease while it waits, and wakes at its bell."""

import asyncio
import signal
import threading

import pytest
from sqlalchemy import select

from atb.db import open_database
from atb.db.tables import LeaseRow
from atb.errors import HaltError
from atb.live import loop
from atb.live.bell import Bell
from atb.live.execution.desk import PaperTrading
from atb.live.journal.kill_switch import KillSwitch, Level, clear_halt, halted, set_halt, write_halt_file
from atb.live.runner import RunnerContext, Window, trade_paper
from tests.live.desk import first_open, read_journal, warm_result
from tests.live.fake_broker import BTC
from tests.live.test_runner import assert_equal_to_backtest

AT = 30  # the bar before which something happens


@pytest.fixture
def before_bar(monkeypatch):
    """Have something happen before the close of a bar."""

    def arrange(act, bar=AT):
        closes, trade = [], PaperTrading.on_moment

        async def disturbed(self, moment, level):
            closes.extend(moment.closing)
            if moment.closing and len(closes) == bar:
                act()
            await trade(self, moment, level)

        monkeypatch.setattr(PaperTrading, "on_moment", disturbed)

    return arrange


@pytest.fixture
def promoted(sqlite_desk):
    result = warm_result(sqlite_desk.stock(120, 5))
    return sqlite_desk, sqlite_desk.promote(result), result


def in_database(desk, act, *arguments, **named):
    database = open_database(desk.url)
    try:
        return act(database, *arguments, **named)
    finally:
        database.close()


def entries_after(journal, bar):
    placed = sorted({row["bar_ms"] for row in journal["decision"]})[bar]
    return [row for row in journal["intent"] if row["role"] == "entry" and row["bar_ms"] >= placed]


def test_a_stop_ends_between_two_steps_and_the_next_start_goes_on(promoted, before_bar):
    desk, path, result = promoted
    bell = Bell()
    before_bar(bell.stop)
    summary = desk.trade(path, since=first_open(result), bell=bell)
    journal = read_journal(desk.url)
    assert (summary.status, summary.bars, len(journal["decision"])) == ("stopped", AT, AT)
    assert journal["session"][0]["status"] == "stopped"
    assert desk.trade(path).bars == len(result.index) - AT
    assert_equal_to_backtest(read_journal(desk.url), result)


def test_a_stop_that_comes_before_the_first_bar_trades_nothing(promoted):
    desk, path, result = promoted
    bell = Bell()
    bell.stop()
    assert desk.trade(path, since=first_open(result), bell=bell).bars == 0


@pytest.mark.parametrize("level", ["pause", "cancel"])
def test_a_halt_of_the_database_bars_entries_until_it_is_lifted(promoted, level):
    desk, path, result = promoted
    in_database(desk, set_halt, "paper", level, reason="a test", source="somebody")
    cut = result.index[AT].isoformat()
    assert desk.trade(path, since=first_open(result), until=cut).status == "finished"
    journal = read_journal(desk.url)
    assert journal["intent"] == []
    refused = [row["refusal"] for row in journal["decision"]]
    assert (len(refused), "halted" in refused, set(refused) <= {"halted", None}) == (AT, True, True)
    in_database(desk, clear_halt, "paper", source="somebody")
    desk.trade(path)
    assert read_journal(desk.url)["fill"]


def test_a_pause_while_it_runs_leaves_what_is_held_to_its_exits(promoted, before_bar):
    desk, path, result = promoted
    switch = KillSwitch()
    before_bar(lambda: switch.signal(Level.PAUSE, "a test"))
    desk.trade(path, since=first_open(result), switch=switch)
    journal = read_journal(desk.url)
    assert entries_after(journal, AT) == []
    assert "halted" in {row["refusal"] for row in journal["decision"]}
    assert in_database(desk, halted, "paper").level == Level.PAUSE  # latched, and in force at the next start


def test_an_entry_that_is_barred_by_the_database_alone_is_withheld_and_never_filled(promoted, before_bar):
    """The decision is made before the halt is seen: the journal has the last word, also on paper."""
    desk, path, result = promoted
    entry = next(row for row in result.outcome.orders if row["role"] == 1)
    bar = next(n for n, opened in enumerate(result.index) if opened.value // 10**6 == entry["time"])
    before_bar(lambda: in_database(desk, set_halt, "paper", "pause", reason="a test", source="somebody"), bar)
    desk.trade(path, since=first_open(result))
    journal = read_journal(desk.url)
    assert [(row["state"], row["refusal"]) for row in journal["intent"]] == [("withheld", "halted")]
    assert journal["fill"] == []


def test_flatten_closes_everything_and_ends_with_an_error_of_its_own(promoted, before_bar):
    desk, path, result = promoted
    switch = KillSwitch()
    held = next(n for n in range(20, 60) if result.positions.iloc[n - 1, 0] != 0)
    before_bar(lambda: switch.signal(Level.FLATTEN, "a test"), held)
    with pytest.raises(HaltError) as refused:
        desk.trade(path, since=first_open(result), switch=switch)
    assert refused.value.exit_code == 4
    journal = read_journal(desk.url)
    assert journal["session"][0]["status"] == "halted"
    assert journal["kernel_state"][0]["payload"]["slots"][0]["quantity"] == 0.0
    assert {row["state"] for row in journal["intent"]} <= {"filled", "cancelled"}
    assert len(journal["decision"]) <= held + 2
    with pytest.raises(HaltError, match="flat and halted"):
        desk.trade(path)
    in_database(desk, clear_halt, "paper", source="somebody")
    assert desk.trade(path).status == "finished"


def test_a_file_that_says_flatten_ends_a_flat_account_at_once(promoted):
    desk, path, result = promoted
    write_halt_file(desk.root, Level.FLATTEN, "a test")
    with pytest.raises(HaltError):
        desk.trade(path, since=first_open(result), switch=KillSwitch(desk.root))
    journal = read_journal(desk.url)
    assert (journal["decision"], journal["session"][0]["status"]) == ([], "halted")


def test_flatten_where_the_bars_have_ended_is_a_halt_too(promoted):
    desk, path, result = promoted
    flat = next(n for n in range(60, 110) if result.positions.iloc[n - 1, 0] == 0 and result.positions.iloc[n, 0] == 0)
    desk.trade(path, since=first_open(result), until=result.index[flat].isoformat())
    in_database(desk, set_halt, "paper", "flatten", reason="a test", source="somebody")
    with pytest.raises(HaltError):
        desk.trade(path, until=result.index[flat].isoformat())


def slowly(desk, path, result, bell, speed=1.0):
    """Replay in real time: the first bar takes an hour."""
    database = open_database(desk.url)
    try:
        context = RunnerContext(database, "paper", bell=bell)
        window = Window(first_open(result))
        return asyncio.run(
            trade_paper(desk.portfolio(path), context, bars_root=desk.bars_root, window=window, speed=speed)
        )
    finally:
        database.close()


def test_a_slow_replay_keeps_its_lease_while_it_waits(promoted, monkeypatch):
    desk, path, result = promoted
    monkeypatch.setattr(loop, "_HEARTBEAT_S", 0.5)
    bell, until = Bell(), []

    def watch():
        with database.session(read_only=True) as session:
            until.append(session.scalars(select(LeaseRow.until_ms)).one_or_none() or 0)

    database = open_database(desk.url)
    timers = [threading.Timer(seconds, watch) for seconds in (2.0, 5.0)] + [threading.Timer(6.0, bell.stop)]
    for timer in timers:
        timer.start()
    assert slowly(desk, path, result, bell).bars == 0
    database.close()
    assert until[1] > until[0] + 1_000


@pytest.mark.parametrize("how", ["thread", "signal"])
def test_a_loop_that_sleeps_hears_its_bell(promoted, how):
    """A handler of a signal runs in the middle of the wait, and must end it."""
    desk, path, result = promoted
    bell = Bell()
    before = signal.signal(signal.SIGUSR2, lambda *_: bell.stop())
    ring = bell.stop if how == "thread" else lambda: signal.pthread_kill(threading.main_thread().ident, signal.SIGUSR2)
    try:
        timer = threading.Timer(3.0, ring)
        timer.start()
        assert slowly(desk, path, result, bell, speed=1e-6).status == "stopped"  # its first look is weeks away
    finally:
        timer.join()
        signal.signal(signal.SIGUSR2, before)


@pytest.mark.parametrize(
    ("woken", "ring", "updated"),
    [
        (False, lambda bell: None, None),
        (True, lambda bell: None, {None}),  # a simulated clock, which does not say of what
        (True, lambda bell: bell.ring(), set()),
        (True, lambda bell: bell.note_update(BTC), {BTC}),
        (True, lambda bell: (bell.note_update(BTC), bell.note_update(None)), {BTC, None}),
    ],
)
def test_a_bell_tells_once_which_symbols_had_updates(woken, ring, updated):
    bell = Bell()
    ring(bell)
    assert bell.take(woken) == updated
    assert not bell.wake.is_set()
    assert bell.take(False) is None
    assert bell.updated == set()
