"""The recheck of promotions: whatever keeps it from passing pauses entries, ends nothing, and blocks no one."""

import subprocess
import sys
import threading
from importlib.metadata import PackageNotFoundError

import pytest

from atb.db import open_database
from atb.db.tables import EventRow
from atb.errors import PromotionError
from atb.live.journal.kill_switch import KillSwitch, Level, halted
from atb.live.recheck import SOURCE, Recheck
from tests.live.desk import first_open, read_journal, warm_result
from tests.live.exchange_harness import table_of
from tests.live.test_runner import assert_equal_to_backtest
from tests.timeouts import PATIENCE_S, wait_until


class Check:
    """A check that returns on demand, on a disk that hangs until then."""

    def __init__(self, problem=None):
        self.problem, self.began, self.now = problem, 0, 0.0
        self.disk = threading.Event()

    def __call__(self):
        self.began += 1
        assert self.disk.wait(PATIENCE_S)
        if self.problem is not None:
            raise self.problem

    def recheck(self, every_s=100.0, late_s=10.0):
        return Recheck(self, every_s, late_s, clock=lambda: self.now)


def looked(recheck, switch):
    """Look until the check that is under way has come back; return what went on record."""
    recheck.look(switch)
    wait_until(lambda: recheck._call is None or recheck._call.done)
    return [notice.kind for notice in recheck.look(switch)]


@pytest.mark.parametrize(
    ("problem", "reason"),
    [
        (PromotionError("A source file changed"), "A source file changed"),
        (PermissionError(13, "Permission denied"), "Permission denied"),
        (PackageNotFoundError("ccxt"), "PackageNotFoundError"),
        (MemoryError(), "MemoryError"),
    ],
)
def test_a_check_that_does_not_pass_pauses_and_raises_nothing(tmp_path, problem, reason):
    check, switch = Check(problem), KillSwitch(tmp_path)
    check.disk.set()
    assert looked(check.recheck(every_s=0.0), switch) == []
    state = switch.read()
    assert (state.level, state.source) == (Level.PAUSE, SOURCE)
    assert reason in state.reason
    assert switch.lasting().level == Level.PAUSE


def test_a_check_that_passes_pauses_nothing(tmp_path):
    check, switch = Check(), KillSwitch(tmp_path)
    check.disk.set()
    assert looked(check.recheck(every_s=0.0), switch) == []
    assert (check.began, switch.read().level) == (1, Level.NONE)


def test_a_check_that_hangs_is_not_waited_for_pauses_when_it_is_late_and_never_runs_twice(tmp_path):
    check, switch = Check(), KillSwitch(tmp_path)
    recheck = check.recheck()
    assert (recheck.look(switch), check.began) == ([], 0)
    check.now = 100.0
    assert recheck.look(switch) == []
    check.now = 109.0
    assert (recheck.look(switch), switch.read().level) == ([], Level.NONE)
    check.now = 500.0
    kinds = [notice.kind for _ in range(3) for notice in recheck.look(switch)]
    assert (kinds, check.began) == (["recheck_late"], 1)
    assert (switch.read().level, switch.lasting().level) == (Level.PAUSE, Level.NONE)
    assert "has not come back for 10 s" in switch.read().reason
    check.disk.set()
    assert looked(recheck, switch) == ["recheck_back"]
    assert (switch.read().level, check.began) == (Level.NONE, 1)
    check.now = 599.0
    assert (recheck.look(switch), check.began) == ([], 1)
    check.now = 600.0
    recheck.look(switch)
    wait_until(lambda: check.began == 2)


def test_a_late_check_that_comes_back_with_a_fault_leaves_a_pause_that_latches(tmp_path):
    check, switch = Check(PromotionError("A source file changed")), KillSwitch(tmp_path)
    recheck = check.recheck(every_s=0.0)
    recheck.look(switch)
    check.now = 20.0
    recheck.look(switch)
    check.disk.set()
    assert looked(recheck, switch) == ["recheck_back"]
    assert switch.lasting().reason == "A source file changed"


def test_lateness_lifts_no_other_pause(tmp_path):
    check, switch = Check(), KillSwitch(tmp_path)
    recheck = check.recheck(every_s=0.0)
    recheck.look(switch)
    check.now = 20.0
    recheck.look(switch)
    switch.signal(Level.PAUSE, "SIGUSR1")
    check.disk.set()
    assert looked(recheck, switch) == ["recheck_back"]
    assert switch.read().reason == "SIGUSR1"


def test_trading_goes_on_beside_a_check_that_hangs_and_nothing_is_latched(sqlite_desk):
    """The loop waited for it, and so did exits and the looking after stops."""
    result = warm_result(sqlite_desk.stock(60, 1))
    path, check = sqlite_desk.promote(result), Check()
    try:
        summary = sqlite_desk.trade(path, since=first_open(result), recheck=Recheck(check, 0.0, PATIENCE_S))
    finally:
        check.disk.set()
    assert (summary.status, check.began) == ("finished", 1)
    assert_equal_to_backtest(read_journal(sqlite_desk.url), result)


def test_while_a_check_is_late_entries_are_refused_and_both_ends_are_on_record(sqlite_desk):
    result = warm_result(sqlite_desk.stock(300, 1))
    path, check = sqlite_desk.promote(result), Check()

    class Turning(Recheck):
        turns = 0

        def look(self, switch):
            self.turns += 1
            check.now = 30.0 if self.turns >= 60 else 0.0  # late from here on
            if self.turns == 150:
                check.disk.set()
                wait_until(lambda: self._call is None or self._call.done)
            return super().look(switch)

    sqlite_desk.trade(path, since=first_open(result), recheck=Turning(check, 0.0, 10.0, clock=lambda: check.now))
    database = open_database(sqlite_desk.url)
    kinds = [event.kind for event in table_of(database, EventRow)]
    assert not halted(database, "paper")
    database.close()
    assert [kinds.count(kind) for kind in ("recheck_late", "recheck_back", "halted")] == [1, 1, 0]
    refused = [row["refusal"] for row in read_journal(sqlite_desk.url)["decision"]]
    first, last = refused.index("halted"), len(refused) - refused[::-1].index("halted")
    assert 50 <= first < last <= 160
    assert set(refused) == {None, "halted"}


def test_a_process_ends_while_a_check_hangs():
    code = (
        "import threading\nfrom atb.threads import Call\n"
        "call = Call(threading.Event().wait, 'hangs')\nprint('ended', call.wait(0.1))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=PATIENCE_S)
    assert done.stdout == "ended False\n"
