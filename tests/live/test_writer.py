"""Writing through a database that goes away: once, in order, patiently, and never without an end."""

import asyncio
from threading import Event, Timer
from time import monotonic
from types import SimpleNamespace

import pytest
from sqlalchemy import create_engine, make_url

from atb.config import load_settings
from atb.db import open_database
from atb.errors import DatabaseLostError
from atb.live.execution.desk import PaperTrading
from atb.live.journal.kill_switch import Level
from atb.live.journal.step import Step, Withheld
from atb.live.runner import _lookup
from atb.live.wiring import patience
from atb.live.writer import Writer
from tests.live.desk import first_open, read_journal, warm_result
from tests.live.test_outage import away
from tests.live.test_runner import assert_equal_to_backtest
from tests.rehearsal.ledger import open_journal
from tests.timeouts import PATIENCE_S, wait_until

LOST = DatabaseLostError("The journal cannot be written")


class Moody:
    """A journal whose database is away for the given numbers of attempts."""

    def __init__(self, *away: int) -> None:
        self.away, self.written, self.beats = list(away), [], 0

    def _may_fail(self):
        if self.away and self.away[0] > 0:
            self.away[0] -= 1
            raise LOST
        if self.away:
            self.away.pop(0)

    def commit(self, step):
        self._may_fail()
        self.written.append(step)
        return (Withheld(f"order at {step.time_ms}", "halted"),)

    def heartbeat(self):
        self._may_fail()
        self.beats += 1


def writer_of(journal, *, grace_s=30.0, level=Level.NONE, threads=True):
    return Writer(journal, grace_s=grace_s, level=lambda: level, threads=threads)


@pytest.mark.parametrize("threads", [True, False])
def test_a_step_is_written_once_when_the_database_is_back(threads):
    journal = Moody(2)
    writer = writer_of(journal, threads=threads)
    step = Step(1)
    began = monotonic()
    assert asyncio.run(writer.commit(step)) == (Withheld("order at 1", "halted"),)
    assert (journal.written, writer.behind) == ([step], 0)
    assert monotonic() - began >= 0.5  # it waited twice


def test_a_database_that_stays_away_is_an_error_when_the_grace_is_over():
    journal = Moody(10**6)
    writer = writer_of(journal, grace_s=0.4)
    with pytest.raises(DatabaseLostError) as lost:
        asyncio.run(writer.commit(Step(1)))
    assert (lost.value.exit_code, journal.written, writer.behind) == (5, [], 1)


class Hangs(Moody):
    """A journal whose database neither answers nor fails, until it is let go."""

    def __init__(self):
        super().__init__()
        self.answers, self.calls = Event(), 0

    def commit(self, step):
        self.calls += 1
        assert self.answers.wait(PATIENCE_S)
        return super().commit(step)


@pytest.fixture
def soon(monkeypatch):
    monkeypatch.setattr("atb.live.writer._SOONEST_S", 0.05)


@pytest.mark.usefixtures("soon")
def test_a_database_that_hangs_is_an_error_when_the_grace_is_over_and_is_asked_once():
    """No error ever came, so that the loop waited without an end."""
    journal = Hangs()
    writer = writer_of(journal, grace_s=0.6)
    with pytest.raises(DatabaseLostError, match="has not answered") as lost:
        asyncio.run(writer.commit(Step(1)))
    assert (lost.value.exit_code, journal.calls, writer.behind, writer.hangs) == (5, 1, 1, True)
    journal.answers.set()


@pytest.mark.usefixtures("soon")
@pytest.mark.parametrize("act", ["beat", "end"])
def test_neither_a_heartbeat_nor_the_end_waits_for_it(act):
    journal = Hangs()
    writer = writer_of(journal, grace_s=0.0)

    async def live():
        with pytest.raises(DatabaseLostError):
            await writer.commit(Step(1))
        with pytest.raises(DatabaseLostError):
            await (writer.beat() if act == "beat" else writer.end("stopped", {}))

    asyncio.run(live())
    assert journal.calls == 1
    journal.answers.set()


def test_under_the_kill_switch_steps_are_kept_while_it_hangs_and_each_is_written_once_with_its_own_answer(monkeypatch):
    journal = Hangs()
    writer = writer_of(journal, grace_s=0.0, level=Level.FLATTEN)
    steps = [Step(1), Step(2), Step(3)]

    async def live():
        monkeypatch.setattr("atb.live.writer._SOONEST_S", 0.05)
        assert [await writer.commit(step) for step in steps[:2]] == [(), ()]
        assert (journal.calls, writer.behind, writer.hangs) == (1, 2, True)
        monkeypatch.setattr("atb.live.writer._SOONEST_S", PATIENCE_S)
        journal.answers.set()
        return await writer.commit(steps[2])

    assert asyncio.run(live()) == (Withheld("order at 3", "halted"),)
    assert (journal.written, writer.behind, writer.hangs) == (steps, 0, False)


@pytest.mark.usefixtures("soon")
def test_whether_an_execution_is_known_is_not_waited_for_without_an_end():
    """It is asked between two requests to the exchange, by the loop itself."""
    journal = Hangs()
    writer = writer_of(journal, grace_s=0.0)

    def known():
        return _lookup(SimpleNamespace(writer=writer), lambda: journal.answers.wait(PATIENCE_S), False)

    with pytest.raises(DatabaseLostError, match="has not answered"):
        known()
    with pytest.raises(DatabaseLostError):
        asyncio.run(writer.commit(Step(1)))
    assert not known()  # only the kill switch trades then
    journal.answers.set()
    wait_until(lambda: not writer.hangs)
    assert known()


def counted(monkeypatch, thing, name):
    """Return a list that grows with each call of a method."""
    calls, original = [], getattr(thing, name)
    monkeypatch.setattr(thing, name, lambda *given: (calls.append(given), original(*given))[1])
    return calls


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
@pytest.mark.parametrize("act", ["commit", "beat", "end"])
def test_a_file_that_another_process_locks_is_waited_for_no_longer_than_the_grace(database_url, act, monkeypatch):
    settings = load_settings(live__database_grace=1.6)
    database = open_database(database_url, patience_s=patience(settings))
    writer = writer_of(open_journal(database), grace_s=settings.live.database_grace)
    tries = counted(monkeypatch, writer, "_write")
    given = {"commit": (Step(1),), "beat": (), "end": ("stopped", {})}[act]

    async def write_on():
        while True:  # a heartbeat comes again and again
            await getattr(writer, act)(*given)

    with away(database):
        began = monotonic()
        with pytest.raises(DatabaseLostError):
            asyncio.run(write_on())
        took = monotonic() - began
    database.close()
    assert took > 0.8, took
    assert len(tries) * patience(settings) <= settings.live.database_grace, "each try waits for so long"


def test_the_grace_begins_when_the_first_heartbeat_failed_and_again_after_a_success(monkeypatch):
    journal, now = Moody(1, 10**6), [0.0]

    async def sleep(seconds):
        now[0] += seconds

    monkeypatch.setattr("asyncio.sleep", sleep)
    monkeypatch.setattr("atb.live.writer.monotonic", lambda: now[0])
    writer = writer_of(journal, grace_s=0.6, threads=False)

    async def live():
        await writer.beat()
        await asyncio.sleep(0.7)
        await writer.commit(Step(1))  # it is back: what was counted is forgotten
        began = now[0]
        await writer.beat()
        await asyncio.sleep(0.2)
        with pytest.raises(DatabaseLostError):
            await writer.commit(Step(2))
        return now[0] - began

    assert 0.4 < asyncio.run(live()) < 0.65


@pytest.mark.parametrize("level", [Level.CANCEL, Level.FLATTEN])
def test_under_a_halt_of_the_file_nothing_waits_and_steps_are_written_later_in_order(level):
    journal = Moody(2)
    writer = writer_of(journal, grace_s=0.0, level=level)
    steps = [Step(1), Step(2), Step(3)]
    assert asyncio.run(writer.commit(steps[0])) == ()
    assert asyncio.run(writer.commit(steps[1])) == ()
    assert (journal.written, writer.behind) == ([], 2)
    assert asyncio.run(writer.commit(steps[2])) == (Withheld("order at 3", "halted"),)
    assert (journal.written, writer.behind) == (steps, 0)


def test_a_pause_is_no_reason_to_go_on_without_a_database():
    with pytest.raises(DatabaseLostError):
        asyncio.run(writer_of(Moody(10**6), grace_s=0.0, level=Level.PAUSE).commit(Step(1)))


def test_a_heartbeat_writes_what_is_behind():
    journal = Moody(1)
    writer, step = writer_of(journal, level=Level.CANCEL), Step(1)
    asyncio.run(writer.commit(step))
    assert writer.behind == 1
    asyncio.run(writer.beat())
    assert (journal.written, journal.beats, writer.behind) == ([step], 1, 0)


def test_a_heartbeat_is_as_patient_as_a_step():
    journal = Moody(2, 10**6)
    writer = writer_of(journal, grace_s=0.2)
    for _ in range(3):
        asyncio.run(writer.beat())
    assert journal.beats == 1

    async def beat_on():
        for _ in range(10):
            await writer.beat()
            await asyncio.sleep(0.1)

    with pytest.raises(DatabaseLostError):
        asyncio.run(beat_on())


def test_a_heartbeat_never_gives_up_under_a_halt_of_the_file():
    writer = writer_of(Moody(5), grace_s=-1.0, level=Level.FLATTEN)
    for _ in range(5):
        asyncio.run(writer.beat())


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_a_server_that_was_away_for_a_second_leaves_no_trace(desk, postgres, monkeypatch):
    """Connections are cut in the middle of a run, and no new one is let in for a second."""
    result = warm_result(desk.stock(60, 3))
    path, name = desk.promote(result), make_url(desk.url).database
    closes, trade = [], PaperTrading.on_moment

    def administer(*statements):
        engine = create_engine(postgres, isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            for statement in statements:
                connection.exec_driver_sql(statement)
        engine.dispose()

    back = Timer(1.0, administer, [f"ALTER DATABASE {name} ALLOW_CONNECTIONS true"])

    async def disturbed(self, moment, level):
        closes.extend(moment.closing)
        if moment.closing and len(closes) == 10:
            kick = f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'"
            administer(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false", kick)
            back.start()
        await trade(self, moment, level)

    monkeypatch.setattr(PaperTrading, "on_moment", disturbed)
    summary = desk.trade(path, since=first_open(result), grace_s=20.0)
    back.join()
    assert summary.status == "finished"
    assert_equal_to_backtest(read_journal(desk.url), result)
