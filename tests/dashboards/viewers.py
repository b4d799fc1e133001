"""Twenty viewers beside a runner at 60 times real time: its time from a closed bar to the journal, with and without them.

Run by hand, on a machine that does nothing else: `python -m tests.dashboards.viewers`. It prints; other work moves both numbers.
"""

import re
import statistics
import sys
import threading
import time
from contextlib import contextmanager
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory

import pandas as pd
import requests
from sqlalchemy import select

from atb.dashboards.access.users import add_user
from atb.dashboards.gate import POLL
from atb.data.catalogue.writing import save_bars
from atb.db import Database, open_database
from atb.db.tables import DecisionRow
from tests.bars import START, bars_of, random_walk
from tests.dashboards.conftest import PASSWORD
from tests.live.desk import Desk, first_open, warm_result

VIEWERS, POLL_S, SPEED, RUN_S = 20, 1.0, 60.0, 90.0


def main() -> None:
    """Measure and print."""
    for count in (0, VIEWERS):
        with TemporaryDirectory() as folder:
            times, answers = measured(Path(folder), count)
        middle = (
            f"median {statistics.median(times):.1f} ms, largest {max(times):.1f} ms"
            if times
            else "no bar was decided on"
        )
        seen = f"; {len(answers)} answers, median {1_000 * statistics.median(answers):.1f} ms" if answers else ""
        sys.stdout.write(f"{count} viewers: {len(times)} decisions, bar to journal {middle}{seen}\n")


def measured(root: Path, count: int) -> tuple[list[float], list[float]]:
    """Return what each bar took beyond the pace, in milliseconds, and the seconds of every answer to a viewer."""
    desk = Desk(root, f"sqlite:///{root}/atb.db")
    database = open_database(desk.url)
    add_user(database, "viewer", "viewer", password=PASSWORD, by="a measurement")
    frame = random_walk(3_000, 1)
    frame.index = pd.date_range(START, periods=len(frame), freq="1min", tz="UTC", name="timestamp")
    bars = bars_of(frame, "BTC/USDT", "1m")
    save_bars(bars, root=desk.bars_root, source="a seeded walk")
    result = warm_result(bars)
    runner = desk.start(desk.promote(result), "--from", first_open(result), "--speed", f"{SPEED:g}")
    answers: list[float] = []
    try:
        with watched(root, count, answers):
            time.sleep(RUN_S)
        return beyond_the_pace(database), answers
    finally:
        runner.terminate()
        runner.communicate()
        database.close()


def beyond_the_pace(database: Database) -> list[float]:
    """Return for each bar the time from its close to its decision in the journal, in milliseconds.

    The runner's clock waits for the next bar from the moment it has written the last one, so what a bar takes is what lies between
    two rows beyond the pace.
    """
    query = select(DecisionRow.created_at).order_by(DecisionRow.bar_ms)
    with database.session(read_only=True) as session:
        written = [moment.timestamp() for moment in session.scalars(query)]
    return [1_000 * (after - before - 60 / SPEED) for before, after in pairwise(written)]


@contextmanager
def watched(root: Path, count: int, answers: list[float]):
    """Let viewers look at the live monitor for the length of a block."""
    from tests.dashboards.pages.test_in_browser import served

    if not count:
        yield
        return
    over = threading.Event()
    with served(root) as link:
        given = (link, sign_in(link), over, answers)
        threads = [threading.Thread(target=look, args=given, daemon=True) for _ in range(count)]
        for thread in threads:
            thread.start()
            time.sleep(POLL_S / count)
        yield
        over.set()
        for thread in threads:
            thread.join(10)


def sign_in(link: str) -> requests.Session:
    """Return the login that all viewers share: so many at once would be refused."""
    browser = requests.Session()
    token = re.search(r'name="csrf_token" value="([^"]+)"', browser.get(f"{link}/login").text)[1]
    browser.post(
        f"{link}/login", data={"csrf_token": token, "name": "viewer", "password": PASSWORD}, headers={"Referer": link}
    )
    browser.get(link, headers={"Accept": "text/html"})
    return browser


def look(link: str, signed_in: requests.Session, over: threading.Event, answers: list[float]) -> None:
    """Ask for the live monitor every second, as a page does."""
    browser = requests.Session()
    browser.cookies.update(signed_in.cookies)
    shown, body = None, wanted()
    while not over.wait(POLL_S):
        body["state"][0]["value"] = shown
        began = time.monotonic()
        answer = browser.post(
            f"{link}/_dash-update-component", json=body, headers={"X-CSRFToken": browser.cookies.get("_csrf_token", "")}
        )
        answers.append(time.monotonic() - began)
        if answer.ok and answer.content:
            shown = answer.json().get("response", {}).get("shown", {}).get("data", shown)


def wanted() -> dict:
    """Return what a page sends every second."""
    names = [("page", "children"), ("age", "children"), ("bar", "children"), ("who", "children"), ("shown", "data")]
    return {
        "output": ".." + "...".join(f"{part}.{name}" for part, name in names) + "..",
        "outputs": [{"id": part, "property": name} for part, name in names],
        "inputs": [
            {"id": "place", "property": "pathname", "value": "/live"},
            {"id": "place", "property": "search", "value": ""},
            {"id": "tick", "property": "n_intervals", "value": int(datetime.now(UTC).timestamp())},
            {"id": "look", "property": "data", "value": {"dark": False, "narrow": False}},
        ],
        "state": [{"id": "shown", "property": "data", "value": None}],
        "changedPropIds": POLL,
    }


if __name__ == "__main__":
    main()
