"""A site over a database with one session, and browsers without a screen: one for each role, and one that is not signed in."""

import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from argon2 import PasswordHasher
from flask import Flask
from flask.testing import FlaskClient

from atb.checks import Check
from atb.config import Settings, load_settings
from atb.dashboards.access import passwords
from atb.dashboards.access.users import add_user
from atb.dashboards.link import DatabaseLink
from atb.dashboards.server import make_server
from atb.dashboards.site import Site
from atb.db import Database, open_database
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

    def ask(self, body):
        """Send the body of a callback, as a page's script does."""
        self.get("/")
        token = self.client.get_cookie("_csrf_token_80")
        assert token is not None
        return self.client.post("/_dash-update-component", json=body, headers={"X-CSRFToken": token.decoded_value})

    def sign_in(self, name: str, password: str = PASSWORD, wanted: str = ""):
        return self.post("/login", page="/login", name=name, password=password, next=wanted)


@pytest.fixture(scope="session")
def _cheap_hashes() -> Iterator[None]:
    """Hash passwords in a millisecond: the library's own strength is not ours to test."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(passwords, "HASHER", PasswordHasher(time_cost=1, memory_cost=8, parallelism=1))
        passwords._stand_in_hash.cache_clear()
        yield
    passwords._stand_in_hash.cache_clear()


@dataclass
class Desk:
    """One folder, and one server over it, for all tests of a process: to make a server takes a third of a second."""

    root: Path
    filled: bytes
    site: Site
    server: Flask

    def put(self, content: bytes) -> None:
        """Put another database in the place of the present one, and forget all that was made meanwhile."""
        for path in self.root.iterdir():
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        (self.root / "atb.db").write_bytes(content)
        self.site.logins._known.clear()
        self.site.logins._refused.clear()
        self.site.snapshots._kept.clear()
        self.site.link._failed = None
        for limiter in self.server.extensions["limiter"]:
            limiter.reset()


@pytest.fixture(scope="session")
def desk(_cheap_hashes: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    """A desk; in its database a user of each role, and one session of the account `paper`."""
    root = tmp_path_factory.mktemp("dashboards")
    settings = load_settings(data={"root": root}, database={"url": f"sqlite:///{root}/atb.db"})
    database = open_database(settings.database.url)
    open_journal(database).commit(close(0))
    for role in ROLES:
        add_user(database, role, role, password=PASSWORD, by="a test")
    with database.engine.begin() as connection:
        connection.exec_driver_sql("DELETE FROM event")
    database.close()
    filled = (root / "atb.db").read_bytes()
    link = DatabaseLink(lambda: open_database(settings.database.url, patience_s=1.0), patience_s=2.0, rest_s=0.05)
    site = Site(settings, link, b"x" * 32, checks=lambda: [Check("python", "ok", "3"), Check("disk", "error", "full")])
    yield Desk(root, filled, site, make_server(site))
    link.close()


@pytest.fixture
def settings(desk) -> Settings:
    """The settings of a desk whose database is empty."""
    desk.put(migrated_sqlite())
    return desk.site.settings


@pytest.fixture
def site(desk, settings) -> Site:
    """A site with a user of each role, and one session of the account `paper`."""
    desk.put(desk.filled)
    return desk.site


@pytest.fixture
def database(settings, site) -> Iterator[Database]:
    """The site's database, opened a second time as another process does."""
    opened = open_database(settings.database.url)
    yield opened
    opened.close()


@pytest.fixture
def server(desk, site) -> Flask:
    return desk.server


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


@pytest.fixture
def admin(signed_in) -> Browser:
    return signed_in("admin")
