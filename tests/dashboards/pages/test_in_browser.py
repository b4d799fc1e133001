"""The pages in a headless browser: every one at every width and in both colours, and the live monitor while a runner trades."""

import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from atb.config import load_settings
from atb.dashboards.access.users import add_user
from atb.dashboards.page import Source
from atb.db import open_database
from atb.live.journal.kill_switch import clear_halt, set_halt
from atb.live.journal.overview import trades
from tests.dashboards.conftest import PASSWORD
from tests.dashboards.pages.worlds import MANIFEST, OTHER_RUN, RUN, one
from tests.dashboards.test_in_browser import Window
from tests.live.conftest import sqlite_desk
from tests.live.desk import first_open, warm_result
from tests.notebooks.conftest import browser
from tests.page_layout import complaints
from tests.rehearsal.ledger import START
from tests.timeouts import PATIENCE_S

__all__ = ["browser", "sqlite_desk"]
pytestmark = [pytest.mark.slow, pytest.mark.browser]
SPEED = "2400"  # a bar of an hour every 1.5 seconds
SHOWN_S, STALE_S = 2.0, 5.0  # from the database to the page, and from a dead runner to the word
TRIES = 3  # the best of them counts: a busy machine delays some, and never hastens one


@contextmanager
def served(root: Path) -> Iterator[str]:
    """Serve the dashboards over a data folder."""
    atb = Path(sys.executable).with_name("atb")
    command = [atb, "--root", root, "dashboards", "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=root) as process:
        try:
            assert process.stdout is not None
            yield process.stdout.readline().split()[1].rstrip("/")
        finally:
            process.terminate()


@contextmanager
def signed_in(browser, link: str, **options) -> Iterator[Window]:
    opened = Window(browser, link, **options)
    opened.sign_in("viewer")
    opened.page.wait_for_selector("main h1")
    yield opened
    opened.context.close()
    assert (opened.errors, opened.foreign) == ([], [])


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, str]]:
    """A data folder with everything a page can show."""
    root = tmp_path_factory.mktemp("pages")
    settings = load_settings(data={"root": root}, database={"url": f"sqlite:///{root}/atb.db"})
    database = open_database(settings.database.url)
    known = one(Source(database, settings, START))
    add_user(database, "viewer", "viewer", password=PASSWORD, by="a test")
    database.close()
    return root, known


def test_every_page_can_be_read_at_every_width_and_in_both_colours(browser, world):
    root, known = world
    paths = (
        "/live", "/backtests", f"/backtests?chosen={RUN},{OTHER_RUN}", "/predictions", "/batches", f"/batches?batch={'b' * 64}",
        "/data", "/manifests", f"/manifests?sha256={MANIFEST}", "/audit", f"/trade?id={known['trade']}", f"/run?id={RUN}",
        f"/compare?runs={RUN},{OTHER_RUN}", "/trade?id=nothing",
    )  # fmt: skip
    found = {}
    with served(root) as link:
        for width in (1400, 390):
            for scheme in ("light", "dark"):
                look = {"viewport": {"width": width, "height": 900}, "color_scheme": scheme}
                with signed_in(browser, link, **look) as window:
                    for path in paths:
                        window.show(path)
                        window.page.wait_for_selector("main h1")
                        window.page.get_by_text("The files are being read").wait_for(state="hidden")
                        found[path, width, scheme] = complaints(window.page, width=width, scheme=scheme)
    assert {where: faults for where, faults in found.items() if faults} == {}


def test_from_a_trade_to_its_cause_its_manifest_its_run_and_its_notebook_by_clicks(browser, world, tmp_path):
    root, known = world
    with served(root) as link, signed_in(browser, link) as window:
        page = window.page
        page.click("text=why 0")
        page.wait_for_selector(f"h1:has-text('Trade {known['trade']}')")
        page.click("dl >> text=btc-usdt")
        page.wait_for_selector("h1:has-text('Manifest btc-usdt')")
        page.get_by_text("rehearsal", exact=True).wait_for()
        page.click(f"dl >> text={RUN}")
        page.wait_for_selector(f"h1:has-text('Run {RUN}')")
        page.wait_for_selector(".js-plotly-plot")
        with page.expect_download() as download:
            page.click("text=Executed notebook")
        assert download.value.suggested_filename == f"{RUN}-03_backtest.ipynb"
        page.click("text=Tear sheet")
        page.wait_for_url("**/report.html")
        assert page.title() == "ran", "its own script runs"
        assert (
            page.evaluate("() => { try { return document.cookie } catch (refused) { return refused.name } }")
            == "SecurityError"
        )


def test_what_a_runner_does_is_on_the_page_at_once_and_its_death_too(browser, sqlite_desk):
    database = open_database(sqlite_desk.url)
    add_user(database, "viewer", "viewer", password=PASSWORD, by="a test")
    result = warm_result(sqlite_desk.stock(1_500, 1))
    path, arguments = sqlite_desk.promote(result), ["--from", first_open(result), "--speed", SPEED]
    runner = sqlite_desk.start(path, *arguments)
    delays: dict[str, list[float]] = {"trade": [], "halt": [], "resume": [], "stopped": [], "killed": []}
    try:
        with (
            served(sqlite_desk.root) as link,
            signed_in(browser, link, viewport={"width": 1400, "height": 900}) as window,
        ):
            until(lambda: trades(database), runner)
            window.page.get_by_role("link", name=re.compile("^why ")).first.wait_for()
            for _ in range(TRIES):
                seen = len(trades(database))
                until(lambda seen=seen: len(trades(database)) > seen, runner)
                newest = trades(database, limit=1)[0]["trade"].rpartition("/")[2]
                delays["trade"].append(appears(window, f"why {newest}"))
                set_halt(database, "paper", "pause", reason="looked odd", source="a test")
                delays["halt"].append(appears(window, "Halted (pause): looked odd."))
                clear_halt(database, "paper", source="a test", reason="looked at")
                delays["resume"].append(appears(window, "Halted (pause)", state="hidden"))
                runner.send_signal(signal.SIGSTOP)
                delays["stopped"].append(appears(window, "Stale since"))
                runner.send_signal(signal.SIGCONT)
                appears(window, "Stale since", state="hidden")
                runner.kill()
                runner.communicate()
                delays["killed"].append(appears(window, "Stale since"))
                window.page.get_by_text("no process holds the account").wait_for()
                runner = sqlite_desk.start(path, *arguments)
                appears(window, "Stale since", state="hidden")
    finally:
        runner.kill()
        runner.communicate()
        database.close()
    print({what: [f"{each:.2f} s" for each in found] for what, found in delays.items()})  # noqa: T201 - what was measured
    best = {what: min(found) for what, found in delays.items()}
    assert max(best[what] for what in ("trade", "halt", "resume")) < SHOWN_S
    assert max(best[what] for what in ("stopped", "killed")) < STALE_S


def appears(window: Window, said: str, *, state: str = "visible") -> float:
    """Wait for a text and return the seconds it took."""
    began = time.monotonic()
    window.page.get_by_text(said).first.wait_for(state=state, timeout=PATIENCE_S * 1_000)
    return time.monotonic() - began


def until(happened, process) -> None:
    ends = time.monotonic() + PATIENCE_S
    while not happened():
        assert process.poll() is None, process.communicate()[1]
        assert time.monotonic() < ends
        time.sleep(0.02)
