"""Twenty viewers beside a runner at 60 times real time: its time from a closed bar to its first request, with and without them.

Run by hand, on a machine that does nothing else: `python -m tests.dashboards.viewers`. It prints; other work moves both numbers.
"""

import re
import statistics
import sys
import threading
import time
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from socket import socket
from tempfile import TemporaryDirectory
from urllib.request import urlopen

import requests

from atb.dashboards.access.users import add_user
from atb.db import open_database
from tests.dashboards.conftest import PASSWORD
from tests.live.desk import Desk, first_open, warm_result

VIEWERS, POLL_S, SPEED, RUN_S = 20, 1.0, 60.0, 90.0
_NEVER = {"changedPropIds": ["tick.n_intervals"]}


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
    """Return the times from bar to request, in milliseconds, and the seconds of every answer to a viewer."""
    desk = Desk(root, f"sqlite:///{root}/atb.db")
    database = open_database(desk.url)
    add_user(database, "viewer", "viewer", password=PASSWORD, by="a measurement")
    result = warm_result(desk.stock(3_000, 1, timeframe="1m"))
    answers: list[float] = []
    with socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    runner = desk.start(
        desk.promote(result),
        "--from",
        first_open(result),
        "--speed",
        f"{SPEED:g}",
        env={"ATB__LIVE__HEALTH_PORT": str(port)},
    )
    try:
        with watched(root, count, answers):
            time.sleep(RUN_S)
        page = urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10).read().decode()
    finally:
        runner.terminate()
        runner.communicate()
        database.close()
    return buckets(page), answers


def buckets(page: str) -> list[float]:
    """Return the upper edge of the bucket of each request, in milliseconds."""
    found, before = [], 0
    for edge, total in re.findall(r'atb_decision_to_request_seconds_bucket\{le="([\d.]+)"\} ([\d.]+)', page):
        found += [1_000 * float(edge)] * (int(float(total)) - before)
        before = int(float(total))
    return found


@contextmanager
def watched(root: Path, count: int, answers: list[float]):
    """Let viewers look at the live monitor for the length of a block."""
    from tests.dashboards.pages.test_in_browser import served

    if not count:
        yield
        return
    over = threading.Event()
    with served(root) as link:
        threads = [threading.Thread(target=look, args=(link, over, answers), daemon=True) for _ in range(count)]
        for thread in threads:
            thread.start()
            time.sleep(POLL_S / count)
        yield
        over.set()
        for thread in threads:
            thread.join(10)


def look(link: str, over: threading.Event, answers: list[float]) -> None:
    """Sign in and ask for the live monitor every second, as a page does."""
    browser = requests.Session()
    token = re.search(r'name="csrf_token" value="([^"]+)"', browser.get(f"{link}/login").text)[1]
    browser.post(
        f"{link}/login", data={"csrf_token": token, "name": "viewer", "password": PASSWORD}, headers={"Referer": link}
    )
    browser.get(link, headers={"Accept": "text/html"})
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
    } | _NEVER


if __name__ == "__main__":
    main()
