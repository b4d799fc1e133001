"""The dashboards over PostgreSQL: every table browsed, a halt latched, and a role that may only read suffices for viewers."""

import pytest
from sqlalchemy import make_url, text

from atb.config import load_settings
from atb.dashboards.access.users import add_user
from atb.dashboards.link import DatabaseLink
from atb.dashboards.server import make_server
from atb.dashboards.site import Site
from atb.db import open_database, open_to_read
from atb.live.journal.kill_switch import halted
from tests.dashboards.admin.test_tables import NAMES, add_events, add_fill, exported
from tests.dashboards.conftest import PASSWORD, ROLES, Browser
from tests.dashboards.test_control import send
from tests.database import empty_postgresql, postgres
from tests.rehearsal.ledger import close, open_journal

__all__ = ["postgres"]
pytestmark = pytest.mark.slow


@pytest.fixture
def url(postgres, _cheap_hashes):
    """A database with one session, and a user of each role."""
    with empty_postgresql(postgres) as made:
        database = open_database(made)
        open_journal(database).commit(close(0))
        add_fill(database)
        add_events(database, 5)
        for role in ROLES:
            add_user(database, role, role, password=PASSWORD, by="a test")
        database.close()
        yield made


def site_over(url, tmp_path, **options):
    read_only = options.get("read_only", False)
    opener = open_to_read if read_only else open_database
    settings = load_settings(data={"root": tmp_path}, database={"url": url})
    return Site(settings, DatabaseLink(lambda: opener(url)), b"x" * 32, **options)


def test_every_table_is_browsed_and_a_halt_is_latched(url, tmp_path):
    site = site_over(url, tmp_path)
    admin = Browser(make_server(site).test_client())
    assert admin.sign_in("admin").status_code == 303
    for name in NAMES:
        assert (name, admin.get(f"/admin/{name}/?search=a%20b").status_code) == (name, 200)
        exported(admin, name)
    assert len(exported(admin, "fill", "?flt0_time_ms_from=2000-01-01&search=entry")) == 1
    assert len(exported(admin, "event", "?search=noted&flt0_kind_equals=noted")) == 5
    assert "paper" in send(admin, "halt", level="cancel", account="paper", reason="x", typed="cancel")
    assert site.link.ask(lambda database: halted(database, "paper")).name == "cancel"
    site.link.close()


def test_a_role_that_may_only_read_suffices_for_viewers(url, tmp_path):
    database = open_database(url)
    with database.session() as session:
        session.execute(text("CREATE ROLE atb_viewer LOGIN PASSWORD 'x'"))
        session.execute(text("GRANT SELECT ON ALL TABLES IN SCHEMA public TO atb_viewer"))
    try:
        reader = make_url(url).set(username="atb_viewer", password="x").render_as_string(hide_password=False)
        site = site_over(reader, tmp_path, read_only=True)
        server = make_server(site)
        browser = Browser(server.test_client())
        assert browser.sign_in("admin").status_code == 303
        assert browser.get("/").status_code == 200
        assert browser.get("/me").status_code == 200
        assert browser.get("/control").status_code == browser.get("/admin/").status_code == 403
        assert Browser(server.test_client()).sign_in("admin", "wrong").status_code == 401
        site.link.close()
    finally:
        with database.session() as session:
            session.execute(text("DROP OWNED BY atb_viewer"))
            session.execute(text("DROP ROLE atb_viewer"))
        database.close()
