"""Users: added, changed and removed with a row of the audit trail each; the last admin stays."""

import pytest
from sqlalchemy import select

from atb.dashboards.access import users
from atb.dashboards.access.passwords import LONGEST, is_right
from atb.db import open_database
from atb.db.tables import EventRow
from atb.errors import InputError


@pytest.fixture
def database(settings):
    opened = open_database(settings.database.url)
    yield opened
    opened.close()


def test_the_first_admin_gets_a_password_once(database):
    password = users.first_admin(database)
    (admin,) = users.all_users(database)
    assert (admin.name, admin.role) == ("admin", "admin")
    assert is_right(password, admin.password_hash)
    assert len(password) >= 24
    assert admin.password_hash.startswith("$argon2id$")
    assert users.first_admin(database) is None


def test_every_change_is_in_the_audit_trail_without_the_password(database):
    users.add_user(database, "kim", "viewer", password="a long password", by="root")
    users.set_role(database, "kim", "operator", by="root")
    changed = users.set_password(database, "kim", by="root")
    users.remove_user(database, "kim", by="root")
    with database.session(read_only=True) as session:
        rows = session.scalars(select(EventRow).order_by(EventRow.id)).all()
    assert [row.kind for row in rows] == ["user_added", "role_changed", "password_changed", "user_removed"]
    assert {row.detail["by"] for row in rows} == {"root"}
    assert not any(word in str(row.detail) for row in rows for word in ("a long password", changed, "argon2"))


def test_a_change_of_role_is_a_change_of_the_user_by_which_logins_without_the_database_end(database):
    users.add_user(database, "kim", "viewer", by="root")
    (before,) = users.all_users(database)
    users.set_role(database, "kim", "operator", by="root")
    (after,) = users.all_users(database)
    assert after.changed_at > before.changed_at


@pytest.mark.parametrize("name", ["", " kim", "kim!", "-kim", "k" * 65, "käm", "a/b", "kim\n"])
def test_a_malformed_name_is_refused(database, name):
    with pytest.raises(InputError, match="A user's name"):
        users.add_user(database, name, "viewer", by="root")


def test_bad_input_is_one_clear_error_and_changes_nothing(database):
    users.add_user(database, "kim", "admin", by="root")
    before = users.all_users(database)
    for refused, match in (
        (lambda: users.add_user(database, "kim", "viewer", by="x"), "already"),
        (lambda: users.add_user(database, "lee", "operater", by="x"), "Did you mean 'operator'"),
        (lambda: users.add_user(database, "lee", "viewer", password="short", by="x"), "12 to 256"),
        (lambda: users.add_user(database, "lee", "viewer", password="x" * (LONGEST + 1), by="x"), "12 to 256"),
        (lambda: users.set_role(database, "kin", "viewer", by="x"), "Did you mean 'kim'"),
        (lambda: users.set_role(database, "kim", "viewer", by="x"), "last admin"),
        (lambda: users.remove_user(database, "kim", by="x"), "last admin"),
        (lambda: users.set_password(database, "kim", password="short", by="x"), "12 to 256"),
    ):
        with pytest.raises(InputError, match=match) as caught:
            refused()
        assert "short" not in str(caught.value.found)
    assert users.all_users(database) == before
