"""The kill switch: levels latch, the highest counts, a file needs no database, and giving it back is a deliberate act."""

import json
import os
import threading

import pytest

from atb.db.tables import EventRow
from atb.errors import HaltError, InputError
from atb.live.journal import kill_switch
from atb.live.journal.kill_switch import (
    NO_HALT,
    Halt,
    KillSwitch,
    Level,
    clear_halt,
    effective_halt,
    halted,
    halts,
    read_halt_file,
    remove_halt_file,
    set_halt,
    write_halt_file,
)
from tests.live.journal.test_journal import rows
from tests.rehearsal.ledger import Plans, StillClock, close, open_journal, working
from tests.timeouts import PATIENCE_S, wait_until


def test_nothing_is_halted_at_first(database, tmp_path):
    assert not halted(database, "paper")
    assert not KillSwitch(tmp_path).read()
    assert not KillSwitch().read()
    assert effective_halt() == NO_HALT


def test_a_halt_holds_for_its_account_and_rises_but_never_falls(database):
    assert set_halt(database, "paper", "cancel", reason="news", source="cli").level == Level.CANCEL
    assert set_halt(database, "paper", Level.PAUSE, reason="lunch", source="notebook").reason == "news"
    assert not halted(database, "other")
    set_halt(database, "paper", "flatten", reason="out", source="cli")
    halt = halted(database, "paper")
    assert (halt.name, halt.reason, halt.source) == ("flatten", "out", "cli")
    assert halt.since is not None
    assert [halt.level for halt in halts(database, "paper")] == [Level.FLATTEN, Level.CANCEL]


def test_an_unknown_level_is_refused_with_the_nearest(database):
    with pytest.raises(InputError, match="Did you mean 'flatten'"):
        set_halt(database, "paper", "flaten", reason="", source="cli")
    with pytest.raises(InputError):
        Level.parse("none")


def test_resuming_lifts_the_halt_of_one_account_and_is_on_record(database):
    open_journal(database)
    for account in ("paper", "other"):
        set_halt(database, account, "pause", reason="lunch", source="cli")
    assert clear_halt(database, "paper", source="ann", reason="back").reason == "lunch"
    assert not halted(database, "paper")
    assert halted(database, "other")
    events = [(event.kind, event.session_id) for event in rows(database, EventRow)]
    assert events == [("started", f"paper-{'c' * 16}"), ("halted", f"paper-{'c' * 16}"), ("halted", None),
                    ("resumed", f"paper-{'c' * 16}")]  # fmt: skip
    assert rows(database, EventRow)[-1].detail == {
        "account": "paper",
        "level": "none",
        "reason": "back",
        "source": "ann",
    }
    with pytest.raises(InputError, match="not halted"):
        clear_halt(database, "paper", source="ann")
    set_halt(database, "paper", "pause", reason="again", source="cli")
    assert halted(database, "paper").reason == "again"


def test_resuming_is_refused_while_the_file_is_there(database, tmp_path):
    set_halt(database, "paper", "pause", reason="lunch", source="cli")
    (tmp_path / "HALT").touch()
    with pytest.raises(HaltError, match=r"still there.*HALT.*Delete it"):
        clear_halt(database, "paper", source="cli", root=tmp_path)
    assert halted(database, "paper")
    remove_halt_file(tmp_path)
    remove_halt_file(tmp_path)
    clear_halt(database, "paper", source="cli", root=tmp_path)


def test_flatten_is_lifted_only_when_the_book_is_flat(database):
    journal = open_journal(database)
    held = close(0).state | {"slots": [{"quantity": 0.0}, {"quantity": -0.25}]}
    journal.commit(close(0, state=held))
    set_halt(database, "paper", "flatten", reason="out", source="cli")
    with pytest.raises(HaltError, match="still holds"):
        clear_halt(database, "paper", source="cli")
    journal.commit(close(1))
    assert clear_halt(database, "paper", source="cli").level == Level.FLATTEN


def test_an_account_that_holds_something_may_resume_from_less_than_flatten(database):
    held = close(0).state | {"slots": [{"quantity": 1.0}]}
    open_journal(database, portfolio=Plans()).commit(close(0, state=held))
    set_halt(database, "paper", "cancel", reason="news", source="cli")
    clear_halt(database, "paper", source="cli")


def test_an_older_session_of_the_account_does_not_keep_it_from_resuming(database):
    old = open_journal(database)
    old.commit(close(0, state=close(0).state | {"slots": [{"quantity": 1.0}]}))
    newer = open_journal(database, portfolio=Plans(key="f" * 64), clock=StillClock(close(0).time_ms + 60_000))
    newer.commit(close(0))
    set_halt(database, "paper", "flatten", reason="out", source="cli")
    clear_halt(database, "paper", source="cli")


@pytest.mark.parametrize(
    ("text", "level", "reason"),
    [
        ("flatten exchange hacked", Level.FLATTEN, "exchange hacked"),
        ("cancel\nnews at nine\n", Level.CANCEL, "news at nine"),
        ("Pause: lunch", Level.PAUSE, "lunch"),
        ("cancel", Level.CANCEL, "the file HALT says so"),
        ("", Level.PAUSE, "the file HALT is there"),
        ("please stop", Level.PAUSE, "please stop"),
        ("\x00\xff", Level.PAUSE, "\x00\xff"),
    ],
)
def test_a_file_of_any_text_is_at_least_a_pause(tmp_path, text, level, reason):
    (tmp_path / "HALT").write_text(text, encoding="utf-8")
    found = read_halt_file(tmp_path)
    assert (found.level, found.reason, found.source) == (level, reason, "file")


def test_a_file_that_cannot_be_read_is_a_pause(tmp_path):
    (tmp_path / "HALT").mkdir()
    assert read_halt_file(tmp_path).level == Level.PAUSE


def test_a_folder_of_that_name_is_a_pause_and_is_never_deleted(tmp_path):
    (tmp_path / "HALT").mkdir()
    assert read_halt_file(tmp_path).level == Level.PAUSE
    with pytest.raises(InputError, match=r"HALT cannot be deleted.*it is a folder.*by hand"):
        remove_halt_file(tmp_path)
    assert (tmp_path / "HALT").is_dir()


def test_a_written_file_reads_back_and_a_weaker_one_does_not_replace_it(tmp_path):
    path = write_halt_file(tmp_path, Level.CANCEL, "news")
    assert write_halt_file(tmp_path, Level.PAUSE, "lunch") == path
    assert read_halt_file(tmp_path).reason == "news"
    write_halt_file(tmp_path, Level.FLATTEN, "out")
    assert read_halt_file(tmp_path).level == Level.FLATTEN
    assert list(tmp_path.glob("*HALT*")) == [path]


def test_a_folder_that_is_none_is_refused(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="cannot be written"):
        write_halt_file(tmp_path / "nowhere", Level.PAUSE, "lunch")


def test_the_higher_one_of_file_and_signal_counts_and_a_signal_never_lowers(tmp_path):
    switch = KillSwitch(tmp_path)
    switch.signal(Level.CANCEL, "SIGUSR1")
    switch.signal(Level.PAUSE, "SIGHUP")
    assert (switch.read().level, switch.read().reason) == (Level.CANCEL, "SIGUSR1")
    write_halt_file(tmp_path, Level.FLATTEN, "out")
    assert switch.read().source == "file"
    write_halt_file(tmp_path, Level.FLATTEN, "again")


def test_of_equal_levels_the_first_counts():
    one, other = Halt(Level.PAUSE, "one"), Halt(Level.PAUSE, "other")
    assert effective_halt(one, other, NO_HALT) is one
    json.dumps(one.name)


@pytest.mark.parametrize("odd", ["pipe", "folder", "link to nothing", "endless"])
def test_a_file_that_cannot_be_read_is_a_pause_and_blocks_no_caller(tmp_path, odd):
    """A pipe in its place stopped the runner for good."""
    place = tmp_path / "HALT"
    make = {"pipe": lambda: os.mkfifo(place), "folder": place.mkdir}
    make.get(odd, lambda: place.symlink_to("/dev/zero" if odd == "endless" else tmp_path / "nowhere"))()
    assert read_halt_file(tmp_path).level == (Level.NONE if odd == "link to nothing" else Level.PAUSE)


class Folder:
    """The data folder on a file system that hangs on demand."""

    def __init__(self, monkeypatch):
        self.answers, self.looks, self.now = threading.Event(), 0, 0.0
        self.answers.set()
        monkeypatch.setattr(kill_switch, "read_halt_file", self)
        monkeypatch.setattr(kill_switch, "monotonic", lambda: self.now)
        monkeypatch.setattr(kill_switch, "_MOMENT_S", 0.01)

    def __call__(self, root):
        self.looks += 1
        assert self.answers.wait(PATIENCE_S)
        return read_halt_file(root)


def test_a_folder_that_hangs_blocks_no_caller_holds_entries_after_a_while_and_lifts_that_when_it_answers(
    tmp_path, monkeypatch
):
    folder, switch = Folder(monkeypatch), KillSwitch(tmp_path)
    monkeypatch.setattr(kill_switch, "_MOMENT_S", PATIENCE_S)
    write_halt_file(tmp_path, Level.PAUSE, "lunch")
    assert switch.read().reason == "lunch"
    (tmp_path / "HALT").unlink()
    assert not switch.read()
    monkeypatch.setattr(kill_switch, "_MOMENT_S", 0.01)
    folder.answers.clear()
    assert not switch.read()
    looks, folder.now = folder.looks, 9.0
    assert not switch.read()
    folder.now = 11.0
    assert (switch.read().level, switch.lasting().level) == (Level.PAUSE, Level.NONE)
    assert "has not answered for 10 s" in switch.read().reason
    assert folder.looks == looks, "one look hangs, and no other is begun"
    switch.signal(Level.CANCEL, "SIGUSR1")
    folder.answers.set()
    wait_until(lambda: switch._reading is None or switch._reading.done)
    monkeypatch.setattr(kill_switch, "_MOMENT_S", PATIENCE_S)
    write_halt_file(tmp_path, Level.FLATTEN, "out")
    assert (switch.read().level, switch.read().reason) == (Level.FLATTEN, "out")
    (tmp_path / "HALT").unlink()
    assert switch.read().reason == "SIGUSR1"


def test_a_folder_that_is_slow_at_every_look_is_read_at_the_next_one(tmp_path, monkeypatch):
    folder, switch = Folder(monkeypatch), KillSwitch(tmp_path)
    write_halt_file(tmp_path, Level.FLATTEN, "out")
    folder.answers.clear()
    assert not switch.read()
    folder.answers.set()
    wait_until(lambda: switch._reading.done)
    folder.answers.clear()
    assert switch.read().level == Level.FLATTEN
    folder.answers.set()


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_what_hangs_pauses_and_is_not_latched(database, tmp_path):
    switch = KillSwitch(tmp_path)
    journal = open_journal(database, switch=switch)
    switch.hold("disk", "it does not answer")
    assert [order.reason for order in journal.commit(close(0, placed=[working()]))] == ["halted"]
    assert not halted(database, "paper")
    switch.release("disk")
    assert journal.commit(close(1, placed=[working(bar=1)])) == ()
