"""Directed kills: a process dies in every gap between two requests of a run, each kind of gap once.

A gap's kind is what was asked last, what is asked next, and of which orders; a run without faults takes the same course every
time, so that a gap is found again by its number.
"""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from atb.engine.policy import ExecutionModel, RiskPolicy
from tests.database import lay_sqlite
from tests.rehearsal.harness import HarnessRun, Play
from tests.rehearsal.schedules import WARM, Schedule, market, plan_of

SHAPES: dict[str, dict[str, Any]] = {
    "stop": {"stop_loss": 0.015},
    "pair": {"stop_loss": 0.02, "take_profit": 0.04},
    "ladder": {"stop_loss": 0.02, "take_profit": 0.05, "ladder": ((0.01, 0.3), (0.02, 0.3))},
    "trailing": {"stop_loss": 0.03, "trailing_stop": 0.015, "trailing_after": 0.004, "break_even": 0.005},
    "trailing pair": {"stop_loss": 0.03, "take_profit": 0.05, "trailing_stop": 0.012},
    "limit": {"stop_loss": 0.02, "take_profit": 0.03, "entry": "limit", "entry_offset": 0.002, "entry_bars": 3,
              "reenter": True},
    "near pair": {"stop_loss": 0.03, "take_profit": 0.006, "reenter": True},
    "stop entry": {"stop_loss": 0.02, "entry": "stop", "entry_offset": 0.002, "entry_bars": 3, "reenter": True},
    "scale-in": {"stop_loss": 0.03, "take_profit": 0.06, "scale_in": 0.005, "scale_share": 0.5, "reenter": True},
}  # fmt: skip
DEAD_MS = 90_000  # longer than any gap may be bare, shorter than a bar


def calm_schedule(shape: str, seed: int, *, count: int = 20, fee_in: str = "base", fraction: float = 0.9) -> Schedule:
    """Return a market and a policy of this shape, and nothing that goes wrong."""
    execution = ExecutionModel(fee=0.001, maker_fee=0.0005, slippage=0.0005, fee_in_base=fee_in == "base")
    bars = market("BTC/USDT", WARM + count + 2, seed)
    policy = RiskPolicy(fraction=fraction, **SHAPES[shape])
    plan = plan_of(shape, bars, policy, execution=execution, fast=2, slow=5)
    return Schedule(seed, (plan,), (bars,), count, execution, fee_in)


def gaps_of(schedule: Schedule, root: Path) -> dict[str, int]:
    """Play a schedule undisturbed, and return by kind of gap the number of the door at which it is met first."""
    run = played(schedule, root)
    requests = [(number, door) for number, door in enumerate(run.doors, 1) if door and door.split()[1] in _REQUESTS]
    found: dict[str, int] = {}
    before = "start"
    for number, door in requests:
        asked = door.partition(" ")[2]
        if door.startswith("before"):
            found.setdefault(f"{before} | {asked}", number)
            before = asked
        else:  # answered, and the answer is not written down
            found.setdefault(f"{asked} |", number)
    return {kind: number for kind, number in found.items() if _matters(kind)}


_REQUESTS = frozenset(("place", "cancel", "replace", "find", "open_orders", "trades"))
_CHANGES = ("place", "cancel", "replace")


def _matters(kind: str) -> bool:
    """Return whether a gap touches a request that changes something; between two reads nothing can be lost."""
    return any(f"{word} " in f"{kind} " for word in _CHANGES)


def directed(schedule: Schedule, gaps: dict[str, int], root: Path) -> Iterator[tuple[str, HarnessRun]]:
    """Play a schedule once for each gap, with a process that dies in it; yield the gap's kind and how it went."""
    for number, (kind, door) in enumerate(gaps.items()):
        yield kind, played(replace(schedule, crashes=((door, DEAD_MS),)), root / f"{number}")


def played(schedule: Schedule, root: Path) -> HarnessRun:
    """Play a schedule in a folder of its own."""
    root.mkdir(parents=True, exist_ok=True)
    return Play(schedule, lay_sqlite(root / "atb.db"), root).run()
