"""A process dies in every gap between two requests, once for each shape of policy: nothing is bare through its death."""

import pytest

from tests.rehearsal.directed import SHAPES, calm_schedule, directed, gaps_of

SEEDS = {"ladder": 3, "limit": 3, "trailing": 3}


def violations(shape, tmp_path, *, every: int = 1) -> dict[str, str]:
    """Return by gap what was violated; `every` skips gaps."""
    schedule = calm_schedule(shape, SEEDS.get(shape, 3))
    gaps = gaps_of(schedule, tmp_path / "calm")
    assert gaps, "a run without requests proves nothing"
    wanted = dict(list(gaps.items())[::every])
    found = {}
    for kind, run in directed(schedule, wanted, tmp_path):
        assert not run.broken, run.broken
        assert run.died_at, f"no process died in the gap {kind}"
        if not run.judgement.clean or not run.summary.startswith("finished"):
            found[kind] = f"{run.summary}: {run.judgement}"
    return found


def test_a_death_in_a_gap_leaves_nothing_bare(tmp_path):
    assert violations("trailing", tmp_path, every=5) == {}


@pytest.mark.slow
@pytest.mark.timeout(3_600)
@pytest.mark.parametrize("shape", SHAPES)
def test_a_death_in_any_gap_between_two_requests_leaves_nothing_bare(shape, tmp_path):
    assert violations(shape, tmp_path) == {}
