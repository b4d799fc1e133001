"""How much must be read to follow one bar: CONTRIBUTING's two walks are short enough, hang together, and are what really runs."""

import ast
import re
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from tests.bars import bars_of, random_walk
from tests.conftest import REPOSITORY

BACKTEST, LIVE = "Through a backtest", "To an order at the exchange"
# Files and lines that a walk may have.
BOUNDS = {BACKTEST: (12, 3_000), LIVE: (25, 6_000)}
# A runner knows a broker by the protocols of the first file alone, and an engine a strategy by those and as a part of a slot.
TIES = ("atb/domain/ports.py", "atb/engine/slot.py")
# Compiled code is not seen by a profile; that it is on the way is said by the imports.
COMPILED = {f"atb/engine/{name}.py" for name in ("kernel", "loop", "matching", "sizing")}
BESIDE_BACKTEST = {
    "settings, checked and laid out once": (
        "atb/engine/policy",
        "atb/engine/checks",
        "atb/engine/parameters",
        "atb/engine/kernel_input",
        "atb/engine/slot",
    ),
    "the market's rules, and values": (
        "atb/domain/observed",
        "atb/domain/instrument",
        "atb/domain/bars",
        "atb/domain/timeframe",
        "atb/domain/inputs",
        "atb/domain/declaration",
        "atb/domain/raised",
    ),
    "the arithmetic and the register of indicators": ("atb/features/indicators/",),
    "the records, empty before the first bar": ("atb/engine/state", "atb/engine/records"),
    "what is made of the outcome": ("atb/backtest/result",),
    "what is remembered of it": (
        "atb/backtest/recording",
        "atb/backtest/baselines",
        "atb/backtest/metrics",
        "atb/backtest/span",
        "atb/trials/",
        "atb/trial_folder",
        "atb/domain/symbol",
        "atb/config/",
        "atb/files",
    ),
}
BESIDE_LIVE = {
    "clocks, threads, waiting": ("venues/broker/clock", "live/feed/timer", "live/bell", "threads", "times"),
    "what is watched and logged": ("live/telemetry", "live/step_log", "monitoring/", "redaction/"),
    "what a strategy reads beside its bars": ("live/feed/inputs", "live/execution/known_inputs", "domain/raised"),
    "set up at the start": (
        "live/runner",
        "live/plan",
        "live/portfolio",
        "live/session",
        "live/journal/beginning",
        "live/wiring",
        "engine/policy",
        "engine/slot",
    ),
    "values and rules": (
        "domain/bars",
        "domain/symbol",
        "domain/timeframe",
        "domain/instrument",
        "domain/orders",
        "domain/inputs",
        "domain/declaration",
        "decimals",
    ),
    "the arithmetic and the register of indicators": ("features/indicators/",),
    "what may stop it": (
        "live/execution/pacing",
        "live/execution/stuck",
        "live/journal/kill_switch",
        "live/journal/lease",
        "live/recheck",
        "live/journal/breakers",
        "venues/broker/rules",
    ),
    "what the venue said before, and answers": (
        "live/execution/order_status",
        "live/execution/execution_reports",
        "live/execution/desk_state",
        "live/execution/evidence",
        "live/execution/symbol_terms",
        "live/execution/refusals",
        "venues/broker/binance_reads",
        "venues/broker/capabilities",
        "venues/broker/outcomes",
        "venues/broker/reports",
        "venues/broker/streams",
        "venues/broker/rate_limit",
    ),
    "database plumbing": ("db/", "live/journal/sql"),
    "what changes the state between bars": ("engine/adjust",),
    "what rests for a position once it is there": ("live/execution/protection",),
    "an order by the WebSocket API instead": ("venues/broker/order_entry", "venues/broker/order_socket"),
    "book, account and venue, handed to the planner": ("live/execution/slot_planners",),
    "the exchange, in the same process": ("venues/simulator/", "serving", "bench/", "sources"),
}


def walk(name: str) -> list[str]:
    """Return the files of a walk of CONTRIBUTING, in order."""
    text = (REPOSITORY / "CONTRIBUTING.md").read_text(encoding="utf-8")
    part = text[text.index(f"**{name}**") :]
    table = re.search(r"^\|(?:.*\n)+?(?!\|)", part, re.MULTILINE)
    assert table is not None
    return re.findall(r"^\| \[`([^`]+)`\]\(\1\) \| \S.*\|$", table[0], re.MULTILINE)


def lines_of(file: str) -> int:
    return len((REPOSITORY / file).read_text(encoding="utf-8").splitlines())


def handed_on(module: str, name: str) -> set[str]:
    """Return the file from which a package hands on a name, none if it is a module or the package's own."""
    package = REPOSITORY / module.replace(".", "/") / "__init__.py"
    if not package.exists():
        return set()
    nodes = [
        node for node in ast.walk(ast.parse(package.read_text(encoding="utf-8"))) if isinstance(node, ast.ImportFrom)
    ]
    return {
        f"{(node.module or '').replace('.', '/')}.py"
        for node in nodes
        if name in {alias.asname or alias.name for alias in node.names}
    }


def imported_by(file: str) -> set[str]:
    """Return the files of the package that a file imports, inside functions, for annotations and through a package too."""
    found = set()
    for node in ast.walk(ast.parse((REPOSITORY / file).read_text(encoding="utf-8"))):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        if isinstance(node, ast.ImportFrom) and node.module:
            names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
            found |= {handed for alias in node.names for handed in handed_on(node.module, alias.name)}
        found |= {f"{name.replace('.', '/')}.py" for name in names}
    return found


@pytest.mark.parametrize("name", BOUNDS)
def test_a_walk_is_short_enough(name):
    files, lines = BOUNDS[name]
    text = (REPOSITORY / "CONTRIBUTING.md").read_text(encoding="utf-8")
    assert f"**{name}**: at most {files} files and {lines:,} lines." in text
    walked = walk(name)
    assert 8 < len(walked) == len(set(walked))
    assert (len(walked) <= files, sum(map(lines_of, walked)) <= lines) == (True, True), measured(walked)


def measured(files: list[str]) -> str:
    return (
        "\n".join(f"{lines_of(file):5} {file}" for file in files)
        + f"\n{sum(map(lines_of, files)):5} {len(files)} files"
    )


@pytest.mark.parametrize("name", BOUNDS)
def test_each_file_of_a_walk_imports_or_is_imported_by_another_of_it(name):
    walked = {*walk(name), *TIES}
    ties = {file: imported_by(file) & walked for file in walked}
    reached, new = set[str](), {walk(name)[0]}
    while new:
        reached |= new
        new = {file for file in walked if ties[file] & reached or any(file in ties[name] for name in reached)} - reached
    assert walked - reached == set()


@contextmanager
def watched(begins: Callable[[], bool] = lambda: True) -> Iterator[dict[str, None]]:
    """Give the files of the package whose functions are called, in order, from when `begins` is true, in every thread."""
    seen: dict[str, None] = {}
    package = str(REPOSITORY / "atb")

    def profile(frame: FrameType, event: str, _: Any) -> None:
        if event == "call" and frame.f_code.co_filename.startswith(package) and begins():
            seen[str(Path(frame.f_code.co_filename).relative_to(REPOSITORY))] = None

    threading.setprofile(profile)
    sys.setprofile(profile)
    try:
        yield seen
    finally:
        sys.setprofile(None)
        threading.setprofile(None)


def test_a_backtest_calls_the_files_of_its_walk_and_what_is_said_to_stand_beside_it():
    from atb.backtest import run
    from atb.engine.slot import Slot
    from atb.strategies.sma_cross import SmaCross

    slot = Slot(SmaCross(fast=5, slow=20), bars_of(random_walk(300, 3)))
    run(slot)  # what is compiled or loaded once is no part of the way
    with watched() as seen:
        result = run(slot)
    assert len(result.orders) > 0
    beside = tuple(prefix for prefixes in BESIDE_BACKTEST.values() for prefix in prefixes)
    walked = walk(BACKTEST)
    assert {file for file in seen if not file.startswith(beside)} - set(walked) == set()
    assert set(walked) - set(seen) == COMPILED


@pytest.mark.slow
def test_an_order_at_an_exchange_calls_the_files_of_its_walk_and_what_is_said_to_stand_beside_it(monkeypatch):
    from atb.bench import latency
    from atb.live.feed.timer import SteppedTimer
    from atb.live.telemetry import Telemetry

    turns: list[set[str]] = []
    sent: list[int] = []
    waiting, sending = SteppedTimer.wait_until, Telemetry.sending

    async def turn(timer: SteppedTimer, *arguments: Any) -> bool:
        woken = await waiting(timer, *arguments)
        turns.append(set(seen))
        seen.clear()
        return woken

    def send(watch: Telemetry) -> None:
        sent.append(len(turns))
        sending(watch)

    monkeypatch.setattr(SteppedTimer, "wait_until", turn)
    monkeypatch.setattr(Telemetry, "sending", send)
    monkeypatch.setattr(latency, "BARS", 20)
    with watched(lambda: not sent or len(turns) <= sent[0]) as seen:
        latency.measure_latency()
    called = turns[sent[0]]
    beside = tuple(f"atb/{prefix}" for prefixes in BESIDE_LIVE.values() for prefix in prefixes)
    walked = walk(LIVE)
    assert {file for file in called if not file.startswith(beside)} - set(walked) == set()
    # A dataclass is made by code that has no file.
    assert set(walked) - called <= {*COMPILED, "atb/live/journal/step.py"}
