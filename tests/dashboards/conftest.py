"""A site over a database with one session, and browsers without a screen: one for each role, and one that is not signed in."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from argon2 import PasswordHasher
from flask import Flask
from flask.testing import FlaskClient

from atb.checks import Check
from atb.config import load_settings
from atb.dashboards.access import passwords
from atb.dashboards.access.users import add_user
from atb.dashboards.link import DatabaseLink
from atb.dashboards.server import make_server
from atb.dashboards.site import Reach, Site
from atb.db import open_database
from tests.database import migrated_sqlite
from tests.rehearsal.ledger import close, open_journal

ROLES = ("viewer", "operator", "admin")
PASSWORD = "correct horse battery"


@dataclass
class Browser:
    """A client that keeps cookies and sends form tokens as a page's forms do."""

    client: FlaskClient

    def get(self, path: str, **options):
        return self.client.get(
            path, buffered=True, headers={"Accept": "text/html"} | options.pop("headers", {}), **options
        )

    def token(self, page: str) -> str:
        """Return the form token of a page."""
        found = re.search(r'name="csrf_token" value="([^"]+)"', self.get(page).text)
        assert found, f"no form on {page}"
        return found[1]

    def post(self, path: str, *, page: str, **fields):
        """Send a form of a page."""
        return self.client.post(path, data={"csrf_token": self.token(page)} | fields, headers={"Accept": "text/html"})

    def sign_in(self, name: str, password: str = PASSWORD, wanted: str = ""):
        return self.post("/login", page="/login", name=name, password=password, next=wanted)


@pytest.fixture(autouse=True)
def _cheap_hashes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hash passwords in a millisecond: the library's own strength is not ours to test."""
    monkeypatch.setattr(passwords, "HASHER", PasswordHasher(time_cost=1, memory_cost=8, parallelism=1))
    passwords._stand_in_hash.cache_clear()


@pytest.fixture
def settings(tmp_path):
    (tmp_path / "atb.db").write_bytes(migrated_sqlite())
    return load_settings(data={"root": tmp_path}, database={"url": f"sqlite:///{tmp_path}/atb.db"})


@pytest.fixture
def site(settings) -> Iterator[Site]:
    """A site with a user of each role, and one session of the account `paper`."""
    database = open_database(settings.database.url)
    open_journal(database).commit(close(0))
    for role in ROLES:
        add_user(database, role, role, password=PASSWORD, by="a test")
    database.close()
    link = DatabaseLink(lambda: open_database(settings.database.url, patience_s=1.0), patience_s=2.0, rest_s=0.05)
    yield Site(settings, link, b"x" * 32, checks=lambda: [Check("python", "ok", "3"), Check("disk", "error", "full")])
    link.close()


@pytest.fixture
def server(site) -> Flask:
    return make_server(site)


@pytest.fixture
def stranger(server) -> Browser:
    return Browser(server.test_client())


@pytest.fixture
def signed_in(server):
    """Return a browser in which a user of this role is signed in."""

    def enter(role: str) -> Browser:
        browser = Browser(server.test_client())
        assert browser.sign_in(role).status_code == 303
        return browser

    return enter


__all__ = ["Reach"]
