"""The dashboards in a headless browser: login, refusals, control by keyboard, admin, every width and both colours."""

import csv
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from atb.dashboards.access.users import add_user
from atb.db import open_database
from atb.live.journal.kill_switch import halted, read_halt_file
from tests.dashboards.admin.test_tables import add_events, add_fill
from tests.dashboards.conftest import PASSWORD, ROLES
from tests.notebooks.conftest import browser
from tests.page_layout import complaints
from tests.rehearsal.ledger import close, open_journal

__all__ = ["browser"]
pytestmark = [pytest.mark.slow, pytest.mark.browser]
WAIT_MS = 60_000  # for what must appear, on a busy machine
PAGES = ("/", "/control", "/me", "/admin/", "/admin/event/", "/admin/fill/", "/admin/health/", "/admin/market-data/")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder with one session, and a user of each role."""
    root = tmp_path_factory.mktemp("dashboards")
    database = open_database(f"sqlite:///{root}/atb.db")
    open_journal(database).commit(close(0))
    add_fill(database, client_id="=cmd|'/c calc'!A1")
    add_events(database, 120)
    for role in ROLES:
        add_user(database, role, role, password=PASSWORD, by="a test")
    database.close()
    return root


@pytest.fixture(scope="module")
def link(place: Path) -> Iterator[str]:
    """The address of a served site."""
    atb = Path(sys.executable).with_name("atb")
    command = [atb, "--root", place, "dashboards", "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=place) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert "Dashboards: http://127.0.0.1:" in line, line
        yield line.split()[1].rstrip("/")
        process.terminate()


class Window:
    """A page of a browser with a person before it: what it complained of and asked for is kept."""

    def __init__(self, browser, link: str, **options) -> None:
        self.link = link
        self.context = browser.new_context(**options)
        self.context.set_default_timeout(WAIT_MS)
        self.page = self.context.new_page()
        self.errors: list[str] = []
        self.foreign: list[str] = []
        self.page.on("console", lambda said: said.type == "error" and self.errors.append(said.text))
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.on("request", lambda asked: self._outside(asked.url))

    def _outside(self, url: str) -> None:
        if not url.startswith((self.link, "data:", "blob:")):
            self.foreign.append(url)

    def sign_in(self, name: str, password: str = PASSWORD, path: str = "/") -> None:
        self.page.goto(self.link + path)
        self.page.fill("[name=name]", name)
        self.page.fill("[name=password]", password)
        self.page.keyboard.press("Enter")

    def show(self, path: str) -> None:
        """Go to a page and wait until it is drawn."""
        self.page.goto("about:blank")  # a page that refreshes itself may be on its way
        self.page.goto(self.link + path)
        if path == "/":
            self.page.wait_for_selector("main h1")


@pytest.fixture
def window(browser, link) -> Iterator[Window]:
    opened = Window(browser, link, viewport={"width": 1400, "height": 900})
    yield opened
    opened.context.close()
    assert opened.foreign == [], "no request to another host"


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1400, 390])
def test_every_page_can_be_read_at_every_width_and_in_both_colours(browser, link, width, scheme):
    opened = Window(browser, link, viewport={"width": width, "height": 900}, color_scheme=scheme)
    opened.show("/login")
    found = {"/login": complaints(opened.page, width=width, scheme=scheme)}
    opened.sign_in("admin")
    opened.page.wait_for_selector("main h1")
    for path in PAGES:
        opened.show(path)
        found[path] = complaints(opened.page, width=width, scheme=scheme)
    opened.context.close()
    assert {path: faults for path, faults in found.items() if faults} == {}
    assert opened.foreign == []
    assert opened.errors == []


def test_a_wrong_password_is_refused_and_a_right_one_leads_where_was_asked(window):
    window.sign_in("viewer", "wrong", "/live?x=1")
    window.page.get_by_text("Name or password is wrong.").wait_for()
    window.page.fill("[name=name]", "viewer")
    window.page.fill("[name=password]", PASSWORD)
    window.page.click("text=Sign in")
    window.page.wait_for_url("**/live?x=1")
    window.page.get_by_text("paper", exact=True).first.wait_for()
    assert window.page.title() == "Live · atb"
    assert "All times are UTC." in window.page.inner_text("#age")
    assert [error for error in window.errors if "401" not in error] == []


def test_a_viewer_sees_no_way_to_what_is_not_for_viewers_and_is_refused_there(window):
    window.sign_in("viewer")
    window.page.get_by_text("viewer (viewer)").wait_for()
    assert window.page.get_by_text("Control").count() == window.page.get_by_text("Admin").count() == 0
    for path in ("/control", "/admin/", "/admin/fill/export/csv/"):
        assert window.page.goto(window.link + path).status == 403


def test_a_page_that_is_signed_out_elsewhere_says_so_within_seconds(window, place):
    window.sign_in("operator")
    window.page.wait_for_selector("main h1")
    atb = Path(sys.executable).with_name("atb")
    subprocess.run([atb, "--root", place, "users", "revoke", "operator"], check=True, cwd=place, capture_output=True)
    window.page.get_by_text("You are signed out").wait_for()
    window.page.click("text=Sign in")
    window.page.wait_for_url("**/login?next=%2F")


def test_a_halt_and_a_resume_by_keyboard_alone(window, place):
    """Tab and type only: no mouse, whatever has the focus is what the next key reaches."""
    database = open_database(f"sqlite:///{place}/atb.db")
    window.sign_in("operator", path="/control")
    window.page.wait_for_selector("h1:has-text('Control')")
    press = window.page.keyboard.press
    window.page.keyboard.press("Tab")
    window.page.get_by_text("Skip to the page").wait_for()
    press("Enter")
    for _ in range(20):
        press("Tab")
        if window.page.evaluate("document.activeElement.name") == "level":
            break
    press("ArrowDown")  # to the second level
    for name, keys in (("account", "paper"), ("reason", "odd fills"), ("file", ""), ("typed", "cancel")):
        press("Tab")
        assert window.page.evaluate("document.activeElement.name") == name
        window.page.keyboard.type(keys)
    press("Enter")
    window.page.get_by_text("cancel, written to the database: paper.").wait_for()
    found = halted(database, "paper")
    assert (found.name, found.reason) == ("cancel", "odd fills")
    assert found.source.startswith("operator at the dashboards")
    window.page.focus("form[action='/control/resume'] [name=reason]")
    window.page.keyboard.type("looked at")
    press("Tab")
    press("Tab")
    window.page.keyboard.type("resume")
    press("Enter")
    window.page.get_by_text("paper may trade again; it was: cancel.").wait_for()
    assert not halted(database, "paper")
    assert not read_halt_file(place)
    database.close()
    assert window.errors == []


def test_the_admin_filters_searches_and_exports(window, tmp_path):
    window.sign_in("admin", path="/admin/event/")
    window.page.fill("[name=search]", "user_added")
    window.page.keyboard.press("Enter")
    window.page.wait_for_url("**search=user_added**")
    assert window.page.locator(".model-list tbody tr, .model-list > tr").count() == len(ROLES)
    window.show("/admin/event/")
    window.page.click("text=Add Filter")
    window.page.locator(".dropdown-menu >> text=kind").first.click()
    window.page.locator("input.filter-val").first.fill("noted")
    window.page.click("text=Apply")
    window.page.wait_for_url(re.compile(r"flt\d+_kind_contains=noted"))
    window.show("/admin/fill/")
    with window.page.expect_download() as download:
        window.page.get_by_role("link", name="Export").click()
    download.value.save_as(tmp_path / "fill.csv")
    (row,) = csv.DictReader((tmp_path / "fill.csv").read_text(encoding="utf-8").splitlines())
    assert row["client_id"] == "'=cmd|'/c calc'!A1"
    assert window.errors == []


def test_a_form_without_its_token_is_refused(window):
    window.sign_in("admin")
    window.page.wait_for_selector("main h1")
    status = "async path => (await fetch(path, {method: 'POST', body: new URLSearchParams({level: 'pause'})})).status"
    for path in ("/control/halt", "/logout", "/admin/fill/delete/", "/_dash-update-component"):
        assert window.page.evaluate(status, path) == 400


def test_a_server_that_is_gone_is_said_on_the_page_within_seconds(browser, place):
    atb = Path(sys.executable).with_name("atb")
    command = [atb, "--root", place, "dashboards", "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=place) as process:
        assert process.stdout is not None
        opened = Window(browser, process.stdout.readline().split()[1].rstrip("/"))
        opened.sign_in("viewer")
        opened.page.wait_for_selector("main h1")
        process.kill()
        opened.page.get_by_text("Stale since").wait_for(timeout=WAIT_MS)
    opened.context.close()
