"""The kill switch at an exchange: entries end, stops stay or everything is sold, and the venue is asked whether that is so."""

import sqlite3
import threading
from contextlib import closing
from dataclasses import replace
from decimal import Decimal

import pytest

from atb.db import open_database
from atb.domain import Bars
from atb.engine.policy import ExecutionModel, RiskPolicy
from atb.errors import DatabaseLostError, HaltError
from atb.live.bell import Bell
from atb.live.journal.kill_switch import KillSwitch, Level, clear_halt, halted, set_halt, write_halt_file
from tests.bars import bars_of, frame_of
from tests.live.exchange_harness import ACCOUNT, StopsAfter, venue
from tests.live.test_exchange import BTC, CROSS

COSTS = ExecutionModel(fee=0.001, maker_fee=0.0005)
GUARDED = RiskPolicy(fraction=0.9, stop_loss=0.1, take_profit=0.5)
FIRST = 30


def rising(n=60, *, falls_at=None) -> Bars:
    """Return a market that rises all the time: long from the first close on; or that falls from a bar on."""
    steps = [0.5] * n
    if falls_at is not None:
        steps[FIRST + falls_at :] = [-3.0] * (n - FIRST - falls_at)
    close = [100.0]
    for step in steps[1:]:
        close.append(close[-1] + step)
    return bars_of(frame_of(close, spread=0.001))


@pytest.fixture
def v(tmp_path):
    with venue(tmp_path, [(CROSS, rising(), GUARDED)], first=FIRST, count=20, execution=COSTS) as made:
        yield made


def halt(v, level, **more):
    database = open_database(v.url)
    try:
        return set_halt(database, ACCOUNT, level, reason="a test", source="somebody", **more)
    finally:
        database.close()


def latched(v):
    database = open_database(v.url)
    try:
        return halted(database, ACCOUNT).level
    finally:
        database.close()


class RaisesAfter(StopsAfter):
    """Raises the kill switch after a number of closes, by one of its ways."""

    def __init__(self, act, closes):
        super().__init__(closes=closes)
        self.act = act

    def closed(self):
        super().closed()
        if self.closes == 0:
            self.act()


def raised(v, way, level, closes=4):
    """Trade, and have the kill switch raised in some way on the way."""
    switch, bell = KillSwitch(v.root), Bell()
    acts = {
        "file": lambda: write_halt_file(v.root, level, "a test"),
        "database": lambda: halt(v, level),
        "signal": lambda: (switch.signal(level, "a test"), bell.ring()),
    }
    watch = RaisesAfter(acts[way], closes)
    return v.trade(context={"switch": switch, "bell": bell, "telemetry": watch})


def resting(v):
    return sorted(order.type for order in v.open_orders())


def assert_flat(v):
    assert v.held("BTC") == 0
    assert v.open_orders() == []
    assert v.state()["slots"][0]["quantity"] == 0.0


@pytest.mark.parametrize("way", ["file", "database", "signal"])
def test_flatten_sells_everything_asks_the_venue_and_ends(v, way):
    with pytest.raises(HaltError) as ended:
        raised(v, way, Level.FLATTEN)
    assert ended.value.exit_code == 4
    assert_flat(v)
    assert v.fills()[-1].role == "exit"
    assert v.fills()[-1].time_ms <= v.start_ms + 5 * 3_600_000, "not at the end of the bars"
    assert latched(v) == Level.FLATTEN
    sent = len(v.requests("POST"))
    with pytest.raises(HaltError, match="flat and halted"):
        v.trade(context={"switch": KillSwitch(v.root)})
    assert len(v.requests("POST")) == sent


def test_flatten_is_not_over_while_the_venue_has_an_order_of_ours(v, monkeypatch):
    """The books are flat; the venue is asked, and says otherwise until it does not."""
    from atb.live.execution.reconciliation import Reconciler

    compare, calls = Reconciler.compare, []

    async def lagging(self, step, look=None):
        done = await compare(self, step, look)
        if not self._book.flat:
            return done
        calls.append(self.ours_open)
        self.ours_open = 1 if len(calls) < 4 else 0
        return done

    monkeypatch.setattr(Reconciler, "compare", lagging)
    with pytest.raises(HaltError):
        raised(v, "file", Level.FLATTEN)
    assert len(calls) >= 4


@pytest.mark.parametrize("way", ["file", "database", "signal"])
def test_a_pause_sends_no_entry_and_leaves_stops_and_exits_alone(tmp_path, way):
    with venue(tmp_path, [(CROSS, rising(falls_at=8), GUARDED)], first=FIRST, count=20, execution=COSTS) as v:
        raised(v, way, Level.PAUSE, closes=3)
        roles = [fill.role for fill in v.fills()]
        assert roles in (["entry", "exit"], ["entry", "stop"]), "what is held is left to its stops and exits"
        assert latched(v) == Level.PAUSE


def test_a_pause_at_the_start_sends_nothing_at_all_until_it_is_lifted(v):
    halt(v, "pause")
    v.trade(bars=8)
    assert v.requests("POST") == []
    database = open_database(v.url)
    clear_halt(database, ACCOUNT, source="somebody")
    database.close()
    v.trade()
    assert [fill.role for fill in v.fills()][:1] == ["entry"]


LIMITED = replace(GUARDED, entry="limit", entry_offset=0.05, entry_bars=12)


@pytest.mark.parametrize(("level", "rests"), [(Level.PAUSE, True), (Level.CANCEL, False)])
def test_cancel_withdraws_resting_entries_and_pause_does_not(tmp_path, level, rests):
    with venue(tmp_path, [(CROSS, rising(), LIMITED)], first=FIRST, count=6, execution=COSTS) as v:
        raised(v, "signal", level, closes=2)
        assert bool(v.open_orders()) is rests
        states = {intent.state for intent in v.intents("entry")}
        assert states == ({"live"} if rests else {"cancelled"})


def test_cancel_keeps_the_stops(v):
    raised(v, "signal", Level.CANCEL)
    assert resting(v) == ["LIMIT_MAKER", "STOP_LOSS"]
    assert v.held("BTC") > 0


def test_a_loss_beyond_the_largest_closes_everything(tmp_path):
    falling = rising(falls_at=6)
    with venue(tmp_path, [(CROSS, falling, replace(GUARDED, stop_loss=0.9))], first=FIRST, count=20) as v:
        with pytest.raises(HaltError):
            v.trade(context={"max_loss": 100.0, "switch": KillSwitch(v.root)})
        assert_flat(v)
        assert latched(v) == Level.FLATTEN
        (_, exit_) = v.fills()
        assert exit_.time_ms < v.until_ms


# --- without a database -------------------------------------------------------------------------------------------------


class Loses:
    """A way to lose the database: another process's transaction holds it."""

    def __init__(self, v):
        self.path = v.root / "atb.db"
        self.other = None

    def __call__(self):
        self.other = sqlite3.connect(self.path, isolation_level=None, check_same_thread=False)
        self.other.execute("BEGIN IMMEDIATE")

    def back(self):
        with closing(self.other) as other:
            other.execute("ROLLBACK")


@pytest.fixture
def patient(v):
    return lambda: open_database(v.url, patience_s=0.05)


def test_without_a_database_nothing_is_sent_and_the_stops_stay(v, patient):
    lose, sent = Loses(v), []
    watch = RaisesAfter(lambda: (lose(), sent.append(len(v.requests("POST", "DELETE")))), 5)
    with pytest.raises(DatabaseLostError) as ended:
        v.trade(context={"telemetry": watch, "database": patient(), "grace_s": 0.3})
    lose.back()
    assert ended.value.exit_code == 5
    assert [len(v.requests("POST", "DELETE"))] == sent
    assert resting(v) == ["LIMIT_MAKER", "STOP_LOSS"]


def test_a_database_that_comes_back_within_the_grace_is_waited_for(tmp_path):
    with venue(tmp_path, [(CROSS, BTC, GUARDED)], first=200, count=20, execution=COSTS) as v:
        lose = Loses(v)
        back = threading.Timer(0.5, lose.back)
        watch = RaisesAfter(lambda: (lose(), back.start()), 9)
        assert (
            v.trade(context={"telemetry": watch, "database": open_database(v.url, patience_s=0.05)}).status
            == "finished"
        )
        back.join()
        assert v.unlike() == []


def test_a_file_that_says_flatten_sells_everything_without_a_database_and_writes_it_down_later(v, patient):
    lose, switch = Loses(v), KillSwitch(v.root)

    def both():
        lose()
        write_halt_file(v.root, Level.FLATTEN, "a test")

    sold = []

    class Back(RaisesAfter):
        """Gives the database back once everything is sold."""

        def turn_ended(self, *arguments, **named):
            super().turn_ended(*arguments, **named)
            if lose.other is not None and not sold and v.held("BTC") == 0:
                sold.append(len(v.requests("POST", "DELETE")))
                lose.back()

    with pytest.raises(HaltError):
        v.trade(context={"telemetry": Back(both, 5), "database": patient(), "switch": switch, "grace_s": 0.2})
    assert sold, "it was sold while the database was away"
    assert_flat(v)
    assert [fill.role for fill in v.fills()] == ["entry", "exit"]
    assert latched(v) == Level.FLATTEN
    assert {intent.state for intent in v.intents()} <= {"filled", "cancelled", "expired"}


def test_the_books_agree_with_the_account_after_every_kind_of_end(v):
    with pytest.raises(HaltError):
        raised(v, "signal", Level.FLATTEN)
    assert v.held("USDT") == pytest.approx(Decimal(str(v.state()["account"]["cash"])), abs=Decimal("1e-6"))


def test_no_entry_is_sent_before_account_and_books_were_compared_once(v):
    """A venue that shows no balances, because the key is wrong for one, must not be bought at; it is said once, not at each try."""
    v.fault("error", 0, "/api/v3/account", times=5)
    v.trade()
    entries = [order["ms"] for order in v.running.ledger("order") if order["client_id"].endswith("-e0")]
    tried = [entry["ms"] for entry in v.running.ledger("request") if entry["path"] == "/api/v3/account"]
    assert len(tried) > 5
    assert min(entries) >= tried[5]
    assert sum(event.kind == "not_compared" for event in v.events()) == 1
    with closing(sqlite3.connect(v.root / "atb.db")) as database:
        refused = [row[0] for row in database.execute("SELECT refusal FROM decision ORDER BY bar_ms")]
    assert refused[0] == "not_reconciled"
    assert refused[-1] is None
