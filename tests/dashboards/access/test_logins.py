"""Logins: ended by time, by hand and by a change of the user; believed while the database is away."""

from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import update

from atb.dashboards.access import logins as module
from atb.dashboards.access.ended import FOLDER
from atb.dashboards.access.login_rows import Client, listed, revoke
from atb.dashboards.access.logins import LIMITS, Logins
from atb.dashboards.access.users import remove_user, set_password, set_role
from atb.dashboards.link import DatabaseLink
from atb.db.access import LoginRow
from atb.errors import DatabaseLostError, InputError, SetupError
from tests.dashboards.conftest import PASSWORD
from tests.dashboards.test_doors import trail

HERE = Client("127.0.0.1", "a test")


@pytest.fixture(autouse=True)
def _asked_each_time(monkeypatch):
    monkeypatch.setattr(module, "CHECKED_S", 0.0)


@pytest.fixture
def logins(site) -> Logins:
    return site.logins


def moved(database, **values):
    with database.session() as session:
        session.execute(update(LoginRow).values(**values))


def test_a_login_has_its_user_s_role_and_ends_in_time(logins):
    token = logins.begin("viewer", PASSWORD, HERE)
    found = logins.find(token, by_person=True)
    assert (found.user, found.role, found.stored) == ("viewer", "viewer", True)
    assert found.ends_at - found.created_at == LIMITS["viewer"].absolute


@pytest.mark.parametrize(
    "values",
    [
        {"ends_at": datetime.now(UTC) - timedelta(seconds=1)},
        {"revoked_at": datetime.now(UTC)},
    ],
)
def test_a_login_that_is_over_or_revoked_is_refused(site, database, values):
    token = site.logins.begin("viewer", PASSWORD, HERE)
    moved(database, **values)
    assert site.logins.find(token, by_person=True) is None
    assert Logins(site.link).find(token, by_person=True) is None


def test_a_login_without_use_ends_whatever_a_page_asks_by_itself(site, database, monkeypatch):
    tokens = {role: site.logins.begin(role, PASSWORD, HERE) for role in ("viewer", "operator")}
    monkeypatch.setattr(module, "SEEN_S", 0.0)
    moved(database, seen_at=datetime.now(UTC) - timedelta(minutes=29))
    anew = Logins(site.link)
    assert anew.find(tokens["operator"], by_person=False)
    moved(database, seen_at=datetime.now(UTC) - timedelta(minutes=31))
    anew = Logins(site.link)
    assert anew.find(tokens["operator"], by_person=False) is None
    assert anew.find(tokens["viewer"], by_person=False), "a viewer's page may stay on a wall"
    assert listed(database, "viewer")[0]["seen"] > listed(database, "operator")[0]["seen"]


def test_a_person_s_use_keeps_it_alive(site, database, monkeypatch):
    token = site.logins.begin("operator", PASSWORD, HERE)
    moved(database, seen_at=datetime.now(UTC) - timedelta(minutes=29))
    anew = Logins(site.link)
    assert anew.find(token, by_person=True)
    moved_to = datetime.fromisoformat(listed(database, "operator")[0]["seen"])
    assert datetime.now(UTC) - moved_to < timedelta(minutes=1)


def test_a_restart_keeps_logins(site):
    token = site.logins.begin("admin", PASSWORD, HERE)
    assert Logins(site.link).find(token, by_person=True).user == "admin"


CHANGES = {
    "another role": lambda database: set_role(database, "operator", "viewer", by="a test"),
    "another password": lambda database: set_password(database, "operator", by="a test"),
    "removal": lambda database: remove_user(database, "operator", by="a test"),
    "revocation of the user": lambda database: revoke(database, "operator", by="a test"),
    "revocation of the login": lambda database: revoke(database, listed(database, "operator")[0]["login"], by="a test"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_from_another_process_ends_the_login(logins, database, change):
    token = logins.begin("operator", PASSWORD, HERE)
    assert logins.find(token, by_person=True)
    CHANGES[change](database)
    assert logins.find(token, by_person=True) is None
    assert listed(database, "operator") == []


def test_what_is_not_in_force_cannot_be_revoked(logins, database):
    logins.begin("operator", PASSWORD, HERE)
    for which in ("viewer", "", "0", "%", "0" * 12):
        with pytest.raises(InputError, match="No login in force"):
            revoke(database, which, by="a test")
    assert len(listed(database)) == 1


@contextmanager
def away(site, monkeypatch):
    """Take the database away for the length of a block."""

    def lost(_question):
        raise DatabaseLostError("gone")

    with monkeypatch.context() as patch:
        patch.setattr(DatabaseLink, "ask", lambda _self, question: lost(question))
        yield


def test_who_is_signed_in_stays_so_while_the_database_is_away(site, monkeypatch):
    token = site.logins.begin("operator", PASSWORD, HERE)
    with away(site, monkeypatch):
        assert site.logins.find(token, by_person=True).role == "operator"
        assert site.logins.find("made up", by_person=True) is None


def test_who_is_known_may_sign_in_while_the_database_is_away(site, database, monkeypatch):
    logins = site.logins
    with away(site, monkeypatch):
        assert logins.begin("operator", "wrong", HERE) is None
        token = logins.begin("operator", PASSWORD, HERE)
        assert logins.find(token, by_person=True).stored is False
    assert logins.find(token, by_person=True).user == "operator", "it goes on when the database is back"
    set_password(database, "operator", by="a test")
    assert logins.find(token, by_person=True) is None, "and ends with a change of the user"


def test_who_signs_out_while_the_database_is_away_is_out_for_good(site, database, settings, monkeypatch):
    tokens = [site.logins.begin(role, PASSWORD, HERE) for role in ("operator", "viewer")]
    with away(site, monkeypatch):
        site.logins.end(tokens[0], HERE)
        assert site.logins.find(tokens[0], by_person=True) is None
    restarted = Logins(site.link, ended=settings.keys_root / FOLDER)
    assert restarted.find(tokens[0], by_person=True) is None
    assert len(listed(database)) == 2, "the database does not know it yet"
    assert restarted.find(tokens[1], by_person=True), "any look hands it over"
    assert [row["user"] for row in listed(database)] == ["viewer"]
    assert not list((settings.keys_root / FOLDER).iterdir())
    assert [detail for _, _, detail in trail(settings, "logout")] == [{"user": "operator", "address": "127.0.0.1"}]
    assert restarted.find(tokens[0], by_person=True) is None


def test_a_server_that_writes_nothing_remembers_who_signed_out_itself(site, settings):
    token = site.logins.begin("operator", PASSWORD, HERE)
    reading = Logins(site.link, read_only=True, ended=settings.keys_root / FOLDER)
    assert reading.find(token, by_person=True)
    reading.end(token, HERE)
    assert reading.find(token, by_person=True) is None
    assert not (settings.keys_root / FOLDER).exists()


def test_a_strange_file_among_ended_logins_does_no_harm(site, settings):
    folder = settings.keys_root / FOLDER
    folder.mkdir(parents=True)
    for name, content in (("README", "x"), ("0" * 64, "not JSON"), ("1" * 64, "[]"), ("2" * 64, "{}")):
        (folder / name).write_text(content, encoding="utf-8")
    token = site.logins.begin("operator", PASSWORD, HERE)
    assert site.logins.find(token, by_person=True)
    assert len(list(folder.iterdir())) == 4


def test_where_nothing_may_be_written_everybody_is_a_viewer(site, database):
    logins = Logins(site.link, read_only=True)
    token = logins.begin("admin", PASSWORD, HERE)
    assert logins.find(token, by_person=True).role == "viewer"
    assert listed(database) == []


def test_a_database_that_cannot_be_opened_is_the_caller_s_error():
    def refuse():
        raise SetupError("no database")

    with pytest.raises(SetupError, match="no database"):
        DatabaseLink(refuse)
