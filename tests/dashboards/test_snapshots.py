"""Snapshots: one reading for all viewers, none while it is young, the last one while the database is away."""

import threading
from dataclasses import replace

import pandas as pd
import pytest
from dash import html

from atb.dashboards.link import DatabaseLink
from atb.dashboards.page import Look, Page
from atb.dashboards.snapshots import KEPT, WAITING, Snapshots
from atb.db import open_database
from atb.errors import DatabaseLostError, InputError, SetupError
from tests.database import migrated_sqlite
from tests.timeouts import PATIENCE_S


class Opened:
    """A database that answers as a test says."""

    unwritable, there = "", True

    def close(self) -> None:
        pass


def page(read, every_s=1_000.0):
    return Page(
        "/x", "X", lambda _source, query: read(query), lambda content, look: html.P(str(content)), every_s=every_s
    )


@pytest.fixture
def link():
    return DatabaseLink(Opened, patience_s=PATIENCE_S, rest_s=0.0)


def test_twenty_viewers_at_once_cost_one_reading(link):
    began, go, calls = threading.Barrier(21), threading.Event(), []

    def read(_query):
        calls.append(1)
        go.wait(PATIENCE_S)
        return len(calls)

    snapshots, found = Snapshots(link, lambda database: database), []
    shown = page(read)

    def look():
        began.wait(PATIENCE_S)
        found.append(snapshots.of(shown, ()).content)

    threads = [threading.Thread(target=look) for _ in range(20)]
    for thread in threads:
        thread.start()
    began.wait(PATIENCE_S)
    go.set()
    for thread in threads:
        thread.join(PATIENCE_S)
    assert (found, snapshots.readings) == ([1] * 20, 1)


def test_a_slow_reading_keeps_no_one_waiting_who_can_be_shown_the_last(link):
    began, go, answers = threading.Event(), threading.Event(), iter([1, 2])

    def read(_query):
        answer = next(answers)
        if answer == 2:
            began.set()
            go.wait(PATIENCE_S)
        return answer

    snapshots, shown = Snapshots(link, lambda database: database), page(read, every_s=0.0)
    assert snapshots.of(shown, ()).content == 1
    slow = threading.Thread(target=lambda: snapshots.of(shown, ()))
    slow.start()
    assert began.wait(PATIENCE_S)
    assert snapshots.of(shown, ()).content == 1, "at once"
    go.set()
    slow.join(PATIENCE_S)
    assert snapshots._entry(shown, ()).snapshot.content == 2


def test_what_is_old_is_read_again_and_equal_contents_have_one_version(link):
    snapshots = Snapshots(link, lambda database: database)
    values = iter([1, 1, 2])
    shown = page(lambda _query: next(values), every_s=0.0)
    one, same, other = (snapshots.of(shown, ()) for _ in range(3))
    assert one.version == same.version != other.version
    assert snapshots.readings == 3


def test_each_query_of_a_page_has_its_own_and_their_number_is_bounded(link):
    snapshots = Snapshots(link, lambda database: database)
    shown = page(dict)
    assert snapshots.of(shown, (("run", "a"),)).content == {"run": "a"}
    for number in range(KEPT * 2):
        snapshots.of(shown, (("run", str(number)),))
    assert len(snapshots._kept) == KEPT


def test_a_long_table_that_differs_in_its_middle_is_another_version(link):
    snapshots = Snapshots(link, lambda database: database)
    frames = [pd.DataFrame({"x": range(10_000)}), pd.DataFrame({"x": [*range(5_000), -1, *range(5_001, 10_000)]})]
    values = iter(frames)
    shown = page(lambda _query: {"frame": next(values)}, every_s=0.0)
    assert snapshots.of(shown, ()).version != snapshots.of(shown, ()).version


def test_the_last_reading_stays_while_the_database_is_away(link):
    snapshots = Snapshots(link, lambda database: database)
    answers = iter([1, SetupError("away"), 3])

    def read(_query):
        answer = next(answers)
        if isinstance(answer, Exception):
            raise answer
        return answer

    shown = page(read, every_s=0.0)
    first, lost, back = (snapshots.of(shown, ()) for _ in range(3))
    assert (first.content, first.problem) == (1, "")
    assert (lost.content, lost.read_at) == (1, first.read_at)
    assert "away" in lost.problem
    assert (back.content, back.problem) == (3, "")
    assert len({first.version, lost.version, back.version}) == 3


def test_a_refusal_of_the_page_is_shown_alone(link):
    def refuse(_query):
        raise InputError("There is no such run", found="x")

    found = Snapshots(link, lambda database: database).of(page(refuse), ())
    assert (found.content, found.read_at) == (None, None)
    assert "There is no such run" in found.problem


def test_a_page_of_files_is_shown_before_it_was_read_and_blocks_no_other(link, monkeypatch):
    monkeypatch.setattr("atb.dashboards.snapshots.PATIENCE_S", 0.01)
    release = threading.Event()
    snapshots = Snapshots(link, lambda database: database)
    shown = replace(page(lambda _query: release.wait(PATIENCE_S) and 1), from_files=True)
    assert snapshots.of(shown, ()).version == snapshots.of(shown, ()).version == "being read"
    assert snapshots.of(replace(page(lambda _query: 2), path="/y"), ()).content == 2, "the database is free meanwhile"
    release.set()
    while snapshots.of(shown, ()).read_at is None:
        release.wait(0.01)
    assert (snapshots.of(shown, ()).content, snapshots.readings) == (1, 2)


def test_files_that_cannot_be_read_are_one_sentence_and_are_tried_again(link):
    answers = iter([PermissionError(13, "denied"), InputError("There is no such run"), 3])

    def read(_query):
        answer = next(answers)
        if isinstance(answer, Exception):
            raise answer
        return answer

    snapshots, shown = Snapshots(link, lambda database: database), replace(page(read, every_s=0.0), from_files=True)
    found = []
    while not found or found[-1].content != 3:
        seen = snapshots.of(shown, ())
        if seen.version != "being read" and (not found or seen.version != found[-1].version):
            found.append(seen)
    assert ["denied" in found[0].problem, "no such run" in found[1].problem, found[2].problem] == [True, True, ""]


def test_only_so_many_pages_of_files_wait_to_be_read(link, monkeypatch):
    monkeypatch.setattr("atb.dashboards.snapshots.PATIENCE_S", 0.0)
    release, snapshots = threading.Event(), Snapshots(link, lambda database: database)
    shown = replace(page(lambda _query: release.wait(PATIENCE_S)), from_files=True)
    before = threading.active_count()
    for number in range(WAITING * 3):
        snapshots.of(shown, (("run", str(number)),))
    assert threading.active_count() - before <= WAITING
    release.set()


def test_equal_contents_are_drawn_once_for_each_look(link):
    values, drawn = iter([1, 1, 2]), []
    snapshots = Snapshots(link, lambda database: database)
    shown = page(lambda _query: next(values), every_s=0.0)
    for look in (Look(), Look(dark=True), Look()):
        snapshots.of(shown, ()).drawings.of(look, lambda look=look: drawn.append(look))
    assert drawn == [Look(), Look(dark=True), Look()], "the third has another content"
    again = Snapshots(link, lambda database: database)
    same = page(lambda _query: 1, every_s=0.0)
    for _ in range(3):
        again.of(same, ()).drawings.of(Look(), lambda: drawn.append("once"))
    assert drawn[3:] == ["once"]


# --- the link ---------------------------------------------------------------------------------------------------------


def test_a_database_that_hangs_is_waited_for_once():
    release = threading.Event()
    hanging = DatabaseLink(Opened, patience_s=0.05, rest_s=0.0)
    with pytest.raises(DatabaseLostError, match="did not answer within"):
        hanging.ask(lambda _database: release.wait(PATIENCE_S))
    before = threading.active_count()
    for _ in range(5):
        with pytest.raises(DatabaseLostError):
            hanging.ask(lambda _database: 1)
    assert threading.active_count() == before, "no thread is added while one hangs"
    release.set()
    while hanging._hanging is not None and not hanging._hanging.done:
        release.wait(0.01)
    assert hanging.ask(lambda _database: 1) == 1
    assert hanging.lost == ""


def test_a_database_that_fails_is_left_alone_for_a_moment():
    asked = []

    def fail(_database):
        asked.append(1)
        raise SetupError("full")

    resting = DatabaseLink(Opened, patience_s=PATIENCE_S, rest_s=1_000.0)
    for _ in range(3):
        with pytest.raises(DatabaseLostError, match="full"):
            resting.ask(fail)
    assert len(asked) == 1
    assert "full" in resting.lost


def test_bad_input_after_a_failure_says_that_the_database_is_back():
    answers = iter([SetupError("away"), InputError("There is no such run")])

    def fail(_database):
        raise next(answers)

    back = DatabaseLink(Opened, patience_s=PATIENCE_S, rest_s=0.0)
    with pytest.raises(DatabaseLostError, match="away"):
        back.ask(fail)
    with pytest.raises(InputError, match="no such run"):
        back.ask(fail)
    assert back.lost == ""


def test_a_bug_of_ours_is_no_lost_database(link):
    with pytest.raises(ZeroDivisionError):
        link.ask(lambda _database: 1 / 0)
    assert link.lost == ""


def test_a_file_that_was_replaced_is_opened_again_and_none_is_made_for_one_that_is_gone(tmp_path):
    path = tmp_path / "atb.db"
    path.write_bytes(migrated_sqlite())
    again = DatabaseLink(lambda: open_database(f"sqlite:///{path}"), patience_s=PATIENCE_S, rest_s=0.0)
    first = again.ask(lambda database: database)
    path.rename(tmp_path / "away.db")
    with pytest.raises(DatabaseLostError, match="file is gone"):
        again.ask(lambda database: database)
    assert not path.exists()
    path.write_bytes(migrated_sqlite())
    assert again.ask(lambda database: database) is not first
    assert again.lost == ""
    again.close()
