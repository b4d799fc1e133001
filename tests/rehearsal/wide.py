"""Wide schedules: every entry kind with every exit and both ways to pay fees, and all that the simulated exchange can do wrong."""

import random
from dataclasses import replace
from itertools import product
from typing import Any

from atb.engine.policy import ExecutionModel, RiskPolicy
from atb.venues.simulator.schedules import schedule as draw_faults
from tests.rehearsal.schedules import HOUR, QUIET, WARM, Schedule, market, plan_of

ENTRIES: dict[str, dict[str, Any]] = {
    "market": {},
    "limit": {"entry": "limit", "entry_offset": 0.002, "entry_bars": 3},
    "stop": {"entry": "stop", "entry_offset": 0.002, "entry_bars": 3},
    "scale-in": {"scale_in": 0.005, "scale_share": 0.5},
}
EXITS: dict[str, dict[str, Any]] = {
    "stop": {"stop_loss": 0.02},
    "pair": {"stop_loss": 0.02, "take_profit": 0.04},
    "ladder": {"stop_loss": 0.02, "take_profit": 0.05, "ladder": ((0.01, 0.3), (0.02, 0.3))},
    "trailing": {"stop_loss": 0.03, "trailing_stop": 0.015, "trailing_after": 0.004, "break_even": 0.005},
    "trailing pair": {"stop_loss": 0.03, "take_profit": 0.05, "trailing_stop": 0.012},
    "time": {"stop_atr": 2.0, "atr_window": 5, "max_bars": 8},
}
FEES = ("base", "bnb")
SHAPES = tuple(product(ENTRIES, EXITS, FEES))
_MIXES = ("doubt", "doubt", "standard", "everything")
_DEAD_MS = (0, 0, 400, 2_000, 20_000, 600_000, 3 * HOUR)


def shape_of(seed: int) -> tuple[str, str, str]:
    """Return the entry, the exit and the fees of a seed; seeds in a row go through all of them."""
    return SHAPES[seed % len(SHAPES)]


def draw_wide(seed: int) -> Schedule:
    """Draw a schedule of the seed's shape; equal seeds give equal schedules."""
    entry, leaving, fee_in = shape_of(seed)
    rng = random.Random(f"wide {seed}")
    count = rng.randint(20, 32)
    execution = ExecutionModel(
        fee=0.001, maker_fee=0.0005, slippage=rng.choice((0.0, 0.0005)), fee_in_base=fee_in == "base"
    )
    bars = market("BTC/USDT", WARM + count + 2, seed)
    policy = RiskPolicy(fraction=0.9, reenter=True, **ENTRIES[entry], **EXITS[leaving])
    plan = plan_of("wide", bars, policy, execution=execution, fast=2, slow=rng.randint(4, 6))
    made = Schedule(seed, (plan,), (bars,), count, execution, fee_in)
    opens = [made.start_ms + hour * HOUR for hour in range(count - QUIET - 3)]
    mix = rng.choice(_MIXES)
    faults = draw_faults(opens, seed=seed, symbols=("BTCUSDT",), count=rng.randint(2, 10), mix=mix)
    crashes = tuple((rng.randint(1, 70), rng.choice(_DEAD_MS)) for _ in range(rng.choice((0, 1, 1, 2, 4))))
    losses = tuple((rng.randint(3, 120), rng.choice(("before", "after"))) for _ in range(rng.choice((0, 0, 1, 2))))
    return replace(made, faults=tuple(faults), crashes=crashes, losses=losses)
