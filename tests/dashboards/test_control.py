"""Control: the verbs of the command line, confirmed by their word, by the database or without it."""

import sqlite3
import threading

import pytest

from atb.dashboards import control
from atb.live.journal import verbs
from atb.live.journal.kill_switch import Level, halted, read_halt_file, write_halt_file
from tests.dashboards.test_doors import trail
from tests.timeouts import PATIENCE_S


@pytest.fixture
def operator(signed_in):
    return signed_in("operator")


def send(browser, verb, **fields):
    """Send a form and return the page that follows."""
    done = browser.post(f"/control/{verb}", page="/control", **fields)
    assert (done.status_code, done.location) == (303, "/control")
    return browser.get("/control").text


@pytest.mark.parametrize("word", ["pause", "cancel", "flatten"])
def test_a_halt_is_latched_with_who_and_why(operator, database, settings, word):
    page = send(operator, "halt", level=word, account="paper", reason="odd fills", typed=f" {word.upper()} ")
    assert f"{word}, written to the database: paper." in page
    found = halted(database, "paper")
    assert (found.name, found.reason) == (word, "odd fills")
    assert found.source == "operator at the dashboards (127.0.0.1)"
    ((_, _, detail),) = trail(settings, "halted")
    assert detail == {"account": "paper", "level": word, "reason": "odd fills", "source": found.source}
    assert read_halt_file(settings.data.root).level == Level.NONE


def test_without_an_account_every_one_is_halted_and_the_file_is_written_if_wanted(operator, database, settings):
    page = send(operator, "halt", level="cancel", account="", reason="all of it", typed="cancel", file="yes")
    assert halted(database, "paper").level == Level.CANCEL
    assert read_halt_file(settings.data.root).level == Level.CANCEL
    assert "by the file" in page
    assert "The file HALT is there" in page


def test_an_account_that_is_not_there_says_that_the_file_halts_all_the_same(operator, settings):
    page = send(operator, "halt", level="pause", account="papr", reason="x", typed="pause", file="yes")
    assert "is halted by the file" in page
    assert "papr" in page
    assert read_halt_file(settings.data.root).level == Level.PAUSE


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"typed": "flaten"}, "The word was not typed"),
        ({"typed": ""}, "The word was not typed"),
        ({"typed": "pause"}, "The word was not typed"),
        ({"reason": "  "}, "Say why"),
        ({"level": "none", "typed": "none"}, "Not a level"),
        ({"level": ""}, "Not a level"),
        ({"account": "papr"}, "No such account"),
    ],
)
def test_what_is_not_confirmed_or_unclear_changes_nothing(operator, database, settings, fields, text):
    page = send(
        operator, "halt", **({"level": "flatten", "account": "paper", "reason": "x", "typed": "flatten"} | fields)
    )
    assert text in page
    assert not halted(database, "paper")
    assert read_halt_file(settings.data.root).level == Level.NONE


def test_a_resume_lifts_it_and_says_what_it_was(operator, database):
    send(operator, "halt", level="pause", account="paper", reason="x", typed="pause")
    assert "The word was not typed" in send(operator, "resume", account="paper", reason="y", typed="yes")
    assert halted(database, "paper")
    assert "paper may trade again; it was: pause." in send(operator, "resume", account="", reason="y", typed="resume")
    assert not halted(database, "paper")
    assert "No account is halted" in send(operator, "resume", account="", reason="y", typed="resume")


def test_the_file_must_go_before_an_account_resumes(operator, database, settings):
    send(operator, "halt", level="pause", account="paper", reason="x", typed="pause", file="yes")
    assert "still there" in send(operator, "resume", account="paper", reason="y", typed="resume")
    assert "is deleted" in send(operator, "resume", account="paper", reason="y", typed="resume", file="yes")
    assert not halted(database, "paper")


def test_a_stronger_halt_stays_and_is_shown(operator):
    send(operator, "halt", level="flatten", account="paper", reason="x", typed="flatten")
    assert "An earlier and stronger halt stays: paper: flatten." in send(
        operator, "halt", level="pause", account="paper", reason="y", typed="pause"
    )


def test_without_the_database_the_file_halts_and_the_page_says_so(operator, site, settings, monkeypatch):
    """Somebody holds SQLite's write lock and never lets go."""
    monkeypatch.setattr(control, "PATIENCE_S", 0.5)
    token = operator.token("/control")
    blocker = sqlite3.connect(settings.data.root / "atb.db", isolation_level=None)
    blocker.execute("BEGIN EXCLUSIVE")
    try:
        done = operator.client.post(
            "/control/halt",
            data={"csrf_token": token, "level": "flatten", "account": "", "reason": "stuck", "typed": "flatten"},
        )
        assert done.status_code == 303
        page = operator.get("/control").text
    finally:
        blocker.execute("ROLLBACK")
        blocker.close()
    assert "The database was not reached" in page
    assert "flatten for every runner over this data folder, by the file" in page
    found = read_halt_file(settings.data.root)
    assert (found.level, "stuck (operator at the dashboards" in found.reason) == (Level.FLATTEN, True)


def test_a_resume_is_given_up_where_the_database_does_not_answer_and_lifts_nothing_later(
    operator, site, database, monkeypatch
):
    send(operator, "halt", level="pause", account="paper", reason="x", typed="pause")
    monkeypatch.setattr(control, "PATIENCE_S", 0.2)
    reading, go, plain = threading.Event(), threading.Event(), verbs.known_account

    def hang(*asked):
        reading.set()
        assert go.wait(PATIENCE_S)
        return plain(*asked)

    monkeypatch.setattr(verbs, "known_account", hang)
    page = send(operator, "resume", account="paper", reason="y", typed="resume")
    assert "It is not known whether anything was resumed. The database did not answer within 0.2 s" in page
    assert reading.is_set()
    go.set()
    abandoned = [thread for thread in threading.enumerate() if thread.name == "kill switch"]
    for thread in abandoned:
        thread.join(PATIENCE_S)
    assert halted(database, "paper").level == Level.PAUSE, "who asked was told that it failed"


def test_the_page_shows_a_file_s_halt_and_works_on_a_telephone_without_scripts(operator, settings):
    write_halt_file(settings.data.root, Level.PAUSE, "<b>by hand</b>")
    page = operator.get("/control").text
    assert "pause for every runner over this data folder (&lt;b&gt;by hand&lt;/b&gt;)" in page
    assert "<script" not in page
    assert 'name="viewport"' in page


def test_a_viewer_is_refused_and_that_is_in_the_audit_trail(signed_in, settings):
    viewer = signed_in("viewer")
    refused = viewer.get("/control")
    assert refused.status_code == 403
    assert "Your role does not allow this." in refused.text
    ((_, severity, detail),) = trail(settings, "access_refused")
    assert (severity, detail["user"], detail["path"]) == ("warning", "viewer", "/control")
