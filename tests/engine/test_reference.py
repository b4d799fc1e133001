"""The kernel against an independent reference, and against golden traces that must never change unnoticed."""

import json
from pathlib import Path

import pytest

from atb.backtest import run
from tests.engine.reference import Reference
from tests.problems import random_slots

GOLDEN = Path(__file__).with_name("golden.json")
SEEDS = (3, 8, 17)


def trace(seed: int, bars: int) -> list[tuple]:
    """Return the kernel's orders of a random problem in the reference's terms."""
    from atb.engine.codes import ROLES

    slots, account = random_slots(seed, bars)
    return [
        (
            int(order["slot"]),
            ROLES[int(order["role"])],
            int(order["side"]),
            *(float(order[name]) for name in ("quantity", "price", "fee")),
            int(order["time"]),
            bool(order["ambiguous"]),
        )
        for order in run(slots, account=account).outcome.orders
    ]


@pytest.mark.parametrize("seed", range(40))
def test_the_kernel_trades_what_the_plain_reference_trades(seed):
    slots, account = random_slots(seed)
    expected = Reference(slots, account).run()
    found = trace(seed, 150)
    assert len(found) == len(expected)
    for ours, theirs in zip(found, expected, strict=True):
        assert ours[:3] == theirs[:3]
        assert ours[3:6] == pytest.approx(theirs[3:6], rel=1e-9)
        assert ours[6:] == theirs[6:]


@pytest.mark.parametrize("seed", SEEDS)
def test_golden_traces_do_not_change(seed):
    """A change here is a change of the rules: say so in the changelog before the file is written anew."""
    golden = json.loads(GOLDEN.read_text(encoding="utf-8"))[str(seed)]
    assert [list(order) for order in trace(seed, 60)] == golden
    assert golden
