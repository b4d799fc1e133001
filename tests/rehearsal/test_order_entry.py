"""Orders over the WebSocket API whose connection is cut, silent or late: nothing is lost, and nothing is sent twice."""

import random
from contextlib import contextmanager
from dataclasses import replace
from unittest.mock import patch

import pytest

from atb.engine.policy import ExecutionModel, RiskPolicy
from atb.rehearsal.judge import Judgement
from atb.venues.broker.order_entry import _BY_REST, OrderEntry
from atb.venues.simulator.faults import Fault
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
    assert "ws" in ways(played.ledger)


@pytest.mark.parametrize("seed", range(2))
def test_a_connection_that_breaks_violates_nothing(seed, tmp_path):
    check_websocket(seed, f"sqlite:///{tmp_path / 'atb.db'}", tmp_path, silent=1)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(100, 140))
def test_many_schedules_over_the_websocket_api_violate_nothing(seed, tmp_path):
    check_websocket(seed, f"sqlite:///{tmp_path / 'atb.db'}", tmp_path, silent=4)


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
    return play(made, f"sqlite:///{root / 'atb.db'}", root).judgement


def test_finds_an_order_that_was_sent_both_ways(tmp_path):
    with sent_again_by_rest():
        found = judged(tmp_path, "both")
    assert not found.clean
    assert judged(tmp_path, "one").clean
