"""`atb users` and `atb dashboards` as a person types them."""

import json
import subprocess
import sys
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from argon2 import PasswordHasher
from click.testing import CliRunner

from atb.cli import main
from atb.config import load_settings
from atb.dashboards.access import passwords
from atb.dashboards.access.login_rows import Client
from atb.dashboards.access.logins import Logins
from atb.dashboards.access.passwords import is_right
from atb.dashboards.access.users import all_users
from atb.dashboards.link import DatabaseLink
from atb.db import open_database


def atb(*arguments, **options):
    return CliRunner().invoke(main, arguments, **options)


def refused(done, *texts):
    assert done.exit_code == 2, done.output
    assert done.stdout == ""
    assert "Traceback" not in done.output
    for text in texts:
        assert text in done.stderr


@pytest.fixture(autouse=True)
def _cheap_hashes(monkeypatch):
    monkeypatch.setattr(passwords, "HASHER", PasswordHasher(time_cost=1, memory_cost=8, parallelism=1))


def found():
    database = open_database(load_settings().database.url)
    try:
        return {user.name: user for user in all_users(database)}
    finally:
        database.close()


def test_a_user_is_added_with_a_password_that_is_shown_once():
    done = atb("users", "add", "kim", "--role", "operator")
    assert done.exit_code == 0, done.output
    password = done.stdout.split("password ")[1].split()[0]
    assert is_right(password, found()["kim"].password_hash)
    shown = json.loads(atb("users", "add", "lee", "--json").stdout)
    assert (shown["name"], shown["role"]) == ("lee", "viewer")
    assert is_right(shown["password"], found()["lee"].password_hash)
    listed = json.loads(atb("users", "list", "--json").stdout)
    assert [(row["name"], row["role"]) for row in listed] == [("kim", "operator"), ("lee", "viewer")]
    assert "hash" not in str(listed)
    assert datetime.fromisoformat(listed[0]["changed"]).utcoffset() == timedelta(0)


def test_role_password_and_removal():
    atb("users", "add", "kim", "--role", "admin")
    atb("users", "add", "lee")
    assert json.loads(atb("users", "role", "lee", "operator", "--json").stdout) == {"name": "lee", "role": "operator"}
    password = json.loads(atb("users", "password", "lee", "--json").stdout)["password"]
    assert is_right(password, found()["lee"].password_hash)
    assert json.loads(atb("users", "remove", "lee", "--json").stdout) == {"removed": "lee"}
    assert list(found()) == ["kim"]


def test_logins_are_listed_and_revoked():
    password = json.loads(atb("users", "add", "kim", "--json").stdout)["password"]
    link = DatabaseLink(lambda: open_database(load_settings().database.url))
    Logins(link).begin("kim", password, Client("192.0.2.7", "a test"))
    link.close()
    (row,) = json.loads(atb("users", "logins", "--json").stdout)
    assert (row["user"], row["address"]) == ("kim", "192.0.2.7")
    assert "192.0.2.7" in atb("users", "logins", "kim").stdout
    assert json.loads(atb("users", "revoke", row["login"], "--json").stdout) == {"revoked": [row["login"]]}
    assert json.loads(atb("users", "logins", "--json").stdout) == []


def test_bad_input_is_one_clear_error():
    atb("users", "add", "kim", "--role", "admin")
    refused(atb("users", "add", "kim"), "There is a user of this name already")
    refused(atb("users", "add", "lee", "--role", "boss"), "There is no such role")
    refused(atb("users", "add", "lee", "--ask"), "A password is typed at a terminal")
    refused(atb("users", "remove", "kin"), "Did you mean 'kim'?")
    refused(atb("users", "remove", "kim"), "last admin")
    refused(atb("users", "revoke", "kim"), "No login in force")
    refused(atb("users", "logins", "kin"), "There is no such user", "Did you mean 'kim'?")
    refused(atb("users", "lst"), "Did you mean 'list'?")


def test_the_dashboards_refuse_to_listen_in_the_clear_before_anything_is_made(tmp_path):
    refused(atb("dashboards", "--host", "0.0.0.0"), "Passwords would cross the network in the clear", "--behind-proxy")
    refused(atb("dashboards", "--read-only"), "No one could sign in")
    refused(atb("dashboard"), "Did you mean 'atb dashboards'?")
    assert not (tmp_path / "data" / "keys" / "dashboards.key").exists()


@pytest.mark.slow
def test_the_first_start_makes_an_admin_whose_password_is_shown_once(tmp_path):
    command = [Path(sys.executable).with_name("atb"), "dashboards", "--port", "0"]
    for first in (True, False):
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=tmp_path) as process:
            lines = [process.stdout.readline() for _ in range(3 if first else 1)]
            process.terminate()
        assert lines[-1].startswith("Dashboards: http://127.0.0.1:")
        if first:
            assert lines[0].startswith("The first user is 'admin', its password ")
            assert is_right(lines[0].split()[-1], found()["admin"].password_hash)
