"""The kill switch: levels latch, the highest counts, a file needs no database, and giving it back is a deliberate act."""

import json

import pytest

from atb.db.tables import Event
from atb.errors import HaltError, InputError
from atb.live.halt import (
    NO_HALT,
    Halt,
    Level,
    Switch,
    clear_halt,
    effective_halt,
    halted,
    halts,
    read_halt_file,
    remove_halt_file,
    set_halt,
    write_halt_file,
)
from tests.live.ledger import Plans, StillClock, close, open_journal
from tests.live.test_journal import rows


def test_nothing_is_halted_at_first(database, tmp_path):
    assert not halted(database, "paper")
    assert not Switch(tmp_path).read()
    assert not Switch().read()
    assert effective_halt() == NO_HALT


def test_a_halt_holds_for_its_account_and_rises_but_never_falls(database):
    assert set_halt(database, "paper", "cancel", reason="news", source="cli").level == Level.CANCEL
    assert set_halt(database, "paper", Level.PAUSE, reason="lunch", source="notebook").reason == "news"
    assert not halted(database, "other")
    set_halt(database, "paper", "flatten", reason="out", source="cli")
    there = halted(database, "paper")
    assert (there.name, there.reason, there.source) == ("flatten", "out", "cli")
    assert there.since is not None
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
    told = [(event.kind, event.session_id) for event in rows(database, Event)]
    assert told == [("started", f"paper-{'c' * 16}"), ("halted", f"paper-{'c' * 16}"), ("halted", None),
                    ("resumed", f"paper-{'c' * 16}")]  # fmt: skip
    assert rows(database, Event)[-1].detail == {"account": "paper", "level": "none", "reason": "back", "source": "ann"}
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


def test_a_folder_of_that_name_is_a_pause_that_nobody_deletes(tmp_path):
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
    switch = Switch(tmp_path)
    switch.signal(Level.CANCEL, "SIGUSR1")
    switch.signal(Level.PAUSE, "SIGHUP")
    assert (switch.read().level, switch.read().reason) == (Level.CANCEL, "SIGUSR1")
    write_halt_file(tmp_path, Level.FLATTEN, "out")
    assert switch.read().source == "file"
    write_halt_file(tmp_path, Level.FLATTEN, "again")


def test_of_equal_levels_the_first_is_told():
    one, other = Halt(Level.PAUSE, "one"), Halt(Level.PAUSE, "other")
    assert effective_halt(one, other, NO_HALT) is one
    json.dumps(one.name)
