"""What tests draw at random: the same in the quick suite; ten times as much and anew in `make test-all`, by a printed seed."""

import os
import random
from pathlib import Path
from typing import Any

import hypothesis
import pytest

REPOSITORY = Path(__file__).resolve().parents[1]
CHOSEN = os.environ.get("ATB_TEST_SEED", "")
SEED = int(CHOSEN) if CHOSEN else None
TIMES = 1 if SEED is None else 10


def examples(count: int) -> hypothesis.settings:
    """Return the setting of a property that wants another number of examples than 100."""
    return hypothesis.settings(max_examples=count * TIMES)


def seeds(count: int, *, quick: int | None = None) -> list[Any]:
    """Return the numbers below `count`, those from `quick` on marked as slow; with a seed, nine times as many others after them."""
    first = list(range(count if quick is None else quick))
    slow = [pytest.param(seed, marks=pytest.mark.slow) for seed in range(len(first), count)]
    drawn = [] if SEED is None else random.Random(SEED).sample(range(10_000, 10_000_000), count * (TIMES - 1))
    return [*first, *slow, *drawn]


def load_profile() -> None:
    """Choose how Hypothesis draws; nothing depends on how fast the machine is."""
    same = {"deadline": None, "suppress_health_check": [hypothesis.HealthCheck.too_slow]}
    hypothesis.settings.register_profile("quick", derandomize=True, **same)
    hypothesis.settings.register_profile("random", max_examples=100 * TIMES, print_blob=True, database=None, **same)
    hypothesis.settings.load_profile("quick" if SEED is None else "random")
