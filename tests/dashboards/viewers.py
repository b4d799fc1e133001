"""Twenty viewers beside a runner at 60 times real time: the time from a closed bar to its first request, with and without them.

Run by hand, on a machine that does nothing else: `python -m tests.dashboards.viewers [ROUNDS]`. One session trades at the simulated
exchange, a bar of a minute each second, in a process of its own; the live monitor is served by another. In turn nobody looks, then
twenty viewers do, so that whatever else the machine does falls on both alike. What is compared is the runner's own measure
(`Telemetry.latencies`, the metric `decision_to_request_seconds`): from the moment it has a closed bar to its first request, with
decision and durable commit between. Printed are median, 99th percentile and largest of each side; bars without an order have none.
"""

import asyncio
import json
import math
import re
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

import pandas as pd
import requests

from atb.dashboards.access.users import add_user
from atb.dashboards.gate import FORM_COOKIE, POLL
from atb.db import open_database
from atb.decimals import exact
from atb.engine.policy import AccountPolicy, RiskPolicy
from atb.live.context import RunnerContext, VenueContext
from atb.live.feed.timer import SteppedTimer
from atb.live.runner import trade_exchange
from atb.live.telemetry import Telemetry
from atb.strategies import make_strategy
from atb.venues.broker import Access, connect
from atb.venues.simulator.configuration import ExchangeConfig, Key
from atb.venues.simulator.server import running_exchange
from tests.bars import START, bars_of, random_walk
from tests.dashboards.conftest import PASSWORD
from tests.live.desk import Desk, warm_result

VIEWERS, POLL_S, SPEED = 20, 1.0, 60.0
ROUNDS, ROUND_S, SETTLE_S = 6, 30.0, 2.0  # of each side in turn; what is measured while it changes is left out
BUSY = RiskPolicy(fraction=0.5, stop_loss=0.02, trailing_stop=0.001, reenter=True)  # an order at almost every bar
KEY = Key("viewers", "viewers")
BARS, WARM, SAID = 3_000, 20, "bar to request: "


def main(rounds: int) -> None:
    """Measure and print."""
    with TemporaryDirectory() as folder:
        alone, watched_, answers = measured(Path(folder), rounds)
    for name, seconds in (("no viewers", alone), (f"{VIEWERS} viewers", watched_)):
        sys.stdout.write(f"{name}: bar to request {shown(seconds)} of {len(seconds)}\n")
    sys.stdout.write(f"answers to viewers: {shown(answers)} of {len(answers)}\n")


def shown(seconds: list[float]) -> str:
    """Return the median, the 99th percentile and the largest in milliseconds."""
    if not seconds:
        return "none"
    ranked = sorted(1_000 * each for each in seconds)
    high = ranked[max(0, math.ceil(0.99 * len(ranked)) - 1)]
    return f"p50 {statistics.median(ranked):.1f} ms, p99 {high:.1f} ms, largest {ranked[-1]:.1f} ms"


def measured(root: Path, rounds: int) -> tuple[list[float], list[float], list[float]]:
    """Return what bars took without viewers and with them, and the answers to viewers; seconds."""
    from tests.dashboards.pages.test_in_browser import served

    desk, bars = Desk(root, f"sqlite:///{root}/atb.db"), minutes()
    result = warm_result(bars, strategy=make_strategy("sma_cross", fast=2, slow=3), policy=BUSY)
    path, database = desk.promote(result), open_database(desk.url)
    add_user(database, "viewer", "viewer", password=PASSWORD, by="a measurement")
    database.close()
    cash = {"USDT": exact(AccountPolicy().cash), "BNB": exact(1_000_000)}
    start_ms = int(result.index[WARM].timestamp() * 1_000)
    config = ExchangeConfig((bars,), start_ms, balances=cash, keys=(KEY,), fee_in="bnb")
    seen: list[tuple[float, float]] = []
    sides: dict[bool, list[tuple[float, float]]] = {False: [], True: []}
    answers: list[float] = []
    with (
        running_exchange(config) as running,
        runner(root, path, running.url, running.clock_url, seen=seen),
        served(root) as link,
    ):
        browser = sign_in(link)
        for number in range(2 * rounds):
            began = time.monotonic()
            with watched(link, browser, VIEWERS if number % 2 else 0, answers):
                time.sleep(ROUND_S)
            sides[bool(number % 2)].append((began + SETTLE_S, began + ROUND_S))
    alone, beside = ([took for at, took in seen if any(a <= at < b for a, b in sides[side])] for side in (False, True))
    return alone, beside, answers


def minutes():
    """Return bars of a minute."""
    frame = random_walk(BARS, 1)
    frame.index = pd.date_range(START, periods=len(frame), freq="1min", tz="UTC", name="timestamp")
    return bars_of(frame, "BTC/USDT", "1m")


# --- the runner, in a process of its own --------------------------------------------------------------------------------


@contextmanager
def runner(root: Path, manifest: Path, *addresses: str, seen: list[tuple[float, float]]) -> Iterator[None]:
    """Trade in another process for the length of a block; what it says is put into `seen`: when, and how long a bar took."""
    command = [sys.executable, "-m", __spec__.name if __spec__ else __name__, "--trade", root, manifest, *addresses]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        lines = process.stdout
        listening = threading.Thread(target=_hear, args=(lines, seen), daemon=True)
        listening.start()
        try:
            yield
        finally:
            process.terminate()
            listening.join(10)


def _hear(lines: Iterable[str], seen: list[tuple[float, float]]) -> None:
    """Take what the runner says of its bars; its log is on the same stream."""
    seen.extend(tuple(json.loads(line.removeprefix(SAID))) for line in lines if line.startswith(SAID))


class Saying(Telemetry):
    """Says when a bar's first request was sent, and how long that took."""

    def sending(self) -> None:
        """Say it, beside what telemetry does."""
        before = len(self.latencies)
        super().sending()
        if len(self.latencies) > before:
            sys.stdout.write(f"{SAID}{json.dumps([time.monotonic(), self.latencies[-1]])}\n")
            sys.stdout.flush()


class AtSpeed:
    """The exchange's virtual clock, on which bars come no faster than at `SPEED` times real time."""

    def __init__(self, timer: SteppedTimer) -> None:
        self._timer, self.now_ms, self.close = timer, timer.now_ms, timer.close

    async def wait_until(self, time_ms: int, wake: asyncio.Event) -> bool:
        """Wait in real time, then let the exchange's time pass."""
        left = (time_ms - self.now_ms()) / 1_000 / SPEED
        with suppress(TimeoutError):
            await asyncio.wait_for(wake.wait(), max(0.0, left))
        return True if wake.is_set() else await self._timer.wait_until(time_ms, wake)


async def trade(root: Path, manifest: Path, url: str, clock_url: str) -> None:
    """Trade at the exchange until the process is ended."""
    desk, timer = Desk(root, f"sqlite:///{root}/atb.db"), SteppedTimer(clock_url)
    await timer.open()
    broker = connect(Access("binance", KEY.name, KEY.secret, base_url=url, frame_gap_ms=60_000), timer)
    database = open_database(desk.url)
    venue = VenueContext(broker, AtSpeed(timer), compare_ms=3_600_000, tick_ms=int(SPEED * 1_000))
    await trade_exchange(desk.portfolio(manifest), RunnerContext(database, "paper", telemetry=Saying()), venue)


# --- viewers ------------------------------------------------------------------------------------------------------------


@contextmanager
def watched(link: str, signed_in: requests.Session, count: int, answers: list[float]) -> Iterator[None]:
    """Let so many viewers look at the live monitor for the length of a block."""
    over = threading.Event()
    given = (link, signed_in, over, answers)
    threads = [threading.Thread(target=look, args=given, daemon=True) for _ in range(count)]
    for thread in threads:
        thread.start()
        time.sleep(POLL_S / count)
    try:
        yield
    finally:
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
    token = next(cookie.value for cookie in browser.cookies if cookie.name.startswith(FORM_COOKIE))
    shown_, body = None, wanted()
    while not over.wait(POLL_S):
        body["state"][0]["value"] = shown_
        began = time.monotonic()
        answer = browser.post(f"{link}/_dash-update-component", json=body, headers={"X-CSRFToken": token or ""})
        answer.raise_for_status()
        answers.append(time.monotonic() - began)
        if answer.content:
            shown_ = answer.json().get("response", {}).get("shown", {}).get("data", shown_)


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
    if sys.argv[1:2] == ["--trade"]:
        asyncio.run(trade(Path(sys.argv[2]), Path(sys.argv[3]), *sys.argv[4:6]))
    else:
        main(int(sys.argv[1]) if len(sys.argv) > 1 else ROUNDS)
