"""Orders over the WebSocket API whose connection is cut, silent or late: nothing is lost, and nothing is sent twice."""

import json
import random
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import patch

import pytest

from atb.config import load_settings
from atb.engine.policy import ExecutionModel, RiskPolicy
from atb.rehearsal.invariants.behaviour import requests_within_retry_after
from atb.rehearsal.judge import Judgement
from atb.rehearsal.ledger import LedgerReading
from atb.rehearsal.run import rehearse
from atb.venues.broker.order_entry import _BY_REST, OrderEntry
from atb.venues.simulator.faults import Fault
from tests.database import lay_sqlite
from tests.live.desk import warm_result
from tests.rehearsal import harness
from tests.rehearsal.harness import play
from tests.rehearsal.schedules import HOUR, QUIET, WARM, Schedule, draw, market, plan_of

# Cuts are quick; whoever waits for a silent connection waits in real time.
_CUTS = (
    ("drop", "orders"),
    ("lost", "changes"),
    ("reset", "changes"),
    ("truncated", "changes"),
    ("duplicate", "orders"),
)
_SILENT = (
    ("half_open", "orders"),
    ("gap", "orders"),
    ("delay", "orders"),
    ("late", "changes"),
    ("held_after", "changes"),
)


def over_websocket(seed: int, *, silent: int) -> Schedule:
    """Return the market of a seed, with cuts of the connection for orders all along and some silences."""
    calm, rng = draw(seed, hard=False), random.Random(seed)
    drawn = [rng.choice(_CUTS) for _ in range(10)] + [rng.choice(_SILENT) for _ in range(silent)]
    end = calm.start_ms + (calm.count - QUIET) * HOUR
    faults = [
        Fault(
            kind, path, at_ms=rng.randrange(calm.start_ms, end), detail={"delay_ms": rng.choice((500, 2_500, 20_000))}
        )
        for kind, path in drawn
    ]
    crashes = tuple((rng.randint(1, 60), rng.choice((0, 2_000, 30_000))) for _ in range(rng.choice((0, 1, 2))))
    return replace(calm, faults=tuple(faults), crashes=crashes, order_entry="websocket")


def ways(ledger) -> set[str]:
    """Return the ways by which the account was changed."""
    return {row["via"] for row in ledger if row["kind"] == "request" and row["method"] != "GET"}


def check_websocket(seed: int, url: str, root, *, silent: int) -> None:
    """Play a seed over the WebSocket API."""
    played = play(over_websocket(seed, silent=silent), url, root)
    assert not played.broken, f"seed {seed}: the exchange itself broke: {played.broken}"
    assert played.judgement.clean, f"seed {seed} (died at {played.died_at}):\n{played.judgement}"
    # Where silences are waited for, a busy machine may not connect within the time-out.
    assert silent or "ws" in ways(played.ledger)


@pytest.fixture
def patient(monkeypatch):
    """Let no request time out because the machine is busy."""
    monkeypatch.setattr(harness, "_TIMEOUT_S", 60.0)


@pytest.mark.usefixtures("patient")
@pytest.mark.parametrize("seed", range(2))
def test_a_connection_that_breaks_violates_nothing(seed, tmp_path):
    check_websocket(seed, lay_sqlite(tmp_path / "atb.db"), tmp_path, silent=0)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(100, 140))
def test_many_schedules_over_the_websocket_api_violate_nothing(seed, tmp_path):
    check_websocket(seed, lay_sqlite(tmp_path / "atb.db"), tmp_path, silent=4)


@pytest.mark.slow
@pytest.mark.parametrize("level", ["none", "standard"])
def test_a_rehearsal_over_the_websocket_api_equals_its_backtest(sqlite_desk, monkeypatch, level):
    monkeypatch.setenv("ATB__DATA__ROOT", str(sqlite_desk.root))
    monkeypatch.setenv("ATB__DATABASE__URL", sqlite_desk.url)
    monkeypatch.setenv("ATB__EXCHANGE__ORDER_ENTRY", "websocket")
    policy = RiskPolicy(fraction=0.9, stop_loss=0.02, take_profit=0.04, reenter=True)
    costs = ExecutionModel(fee=0.001, fee_in_base=True)
    result = warm_result(sqlite_desk.stock(400), policy=policy, execution=costs)
    found = rehearse([sqlite_desk.promote(result)], load_settings(), days=6, level=level, seed=5)
    assert found.passed, (str(found.judgement), found.exits, found.with_faults)
    lines = [json.loads(line) for line in (Path(found.folder) / "calm" / "ledger.jsonl").read_text().splitlines()]
    assert "ws" in ways(lines)


# --- what the judge finds -----------------------------------------------------------------------------------------------


async def _send_both_ways(self: OrderEntry, operation: str, values: dict[str, str]) -> object:
    """Send by REST what the connection lost."""
    if self.is_open:
        try:
            return await self._socket.send(operation, values)
        except Exception:  # the fault that is forged
            pass
    return await getattr(self._exchange, _BY_REST[operation])(values)


@contextmanager
def sent_again_by_rest():
    """Trade with an entry that trusts REST to repeat what the connection lost."""
    with patch.object(OrderEntry, "_send", _send_both_ways):
        yield


def judged(tmp_path, name: str) -> Judgement:
    """Play a slot without stops whose first orders lose their answers."""
    costs = ExecutionModel(fee=0.001, maker_fee=0.0005)
    bars = market("BTC/USDT", WARM + 32, 3)
    slot = plan_of("p0", bars, RiskPolicy(fraction=0.3), execution=costs, fast=2, slow=5)
    faults = tuple(Fault("drop", "order.place", times=2, after=2 * number) for number in range(2))
    made = Schedule(3, (slot,), (bars,), 30, costs, faults=faults, order_entry="websocket")
    root = tmp_path / name
    root.mkdir()
    return play(made, lay_sqlite(root / "atb.db"), root).judgement


@pytest.mark.usefixtures("patient")
def test_finds_an_order_that_was_sent_both_ways(tmp_path):
    with sent_again_by_rest():
        found = judged(tmp_path, "both")
    assert not found.clean
    assert judged(tmp_path, "one").clean


@pytest.mark.parametrize(
    ("path", "later_ms", "found"), [("/api/v3/ping", 3, 0), ("/api/v3/ping", 1_500, 1), ("/api/v3/account", 3, 1)]
)
def test_what_was_on_its_way_when_a_ping_was_refused_is_not_held_against_the_runner(path, later_ms, found):
    request = {"kind": "request", "method": "GET", "client_id": ""}
    ledger = [
        {**request, "ms": 10, "real_ms": 0, "id": 1, "path": path},
        {"kind": "answer", "ms": 10, "real_ms": 0, "id": 1, "status": 418, "retry_after_s": 19},
        {**request, "ms": 10, "real_ms": later_ms, "id": 2, "path": "/api/v3/openOrders"},
    ]
    assert len(requests_within_retry_after(LedgerReading(ledger), SimpleNamespace(deaths=()))) == found
