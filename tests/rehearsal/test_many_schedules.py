"""A thousand wide schedules on both databases, and five hundred as in `test_schedules.py`: none may violate an invariant.

A file of their own, which one worker of several plays alone; each piece goes through shapes of its own.
"""

import time
from contextlib import nullcontext

import pytest

from tests.database import empty_postgresql, lay_sqlite
from tests.rehearsal.harness import check, play, say
from tests.rehearsal.wide import SHAPES, draw_wide, shape_of

ALL = range(500)
WIDE, PIECES = range(1_000), 20


@pytest.mark.slow
@pytest.mark.timeout(7_200)
def test_five_hundred_schedules_violate_nothing(tmp_path, capsys):
    began, wrong = time.monotonic(), []
    for done, seed in enumerate(ALL, 1):
        root = tmp_path / str(seed)
        root.mkdir()
        try:
            check(seed, lay_sqlite(root / "atb.db"), root)
        except AssertionError as error:
            wrong.append(str(error))
        if done % 25 == 0:
            say(capsys, f"{done} schedules, {len(wrong)} wrong, {time.monotonic() - began:.0f} s")
    assert not wrong, "\n\n".join(wrong)


def wrong_with(seed, url, root) -> str:
    """Play a wide schedule; return what is wrong with it, empty where nothing is."""
    run = play(draw_wide(seed), url, root)
    ended = run.summary.startswith(("finished", "halted"))
    if not run.broken and run.judgement.clean and ended:
        return ""
    return f"seed {seed} {shape_of(seed)}, died at {run.died_at}: {run.broken} {run.summary}\n{run.judgement}"


def test_wide_schedules_go_through_every_entry_exit_and_fee():
    assert len({shape_of(seed) for seed in WIDE}) == len(SHAPES) == 48
    assert all(len({shape_of(seed) for seed in WIDE[piece::PIECES]}) >= 10 for piece in range(PIECES))


@pytest.mark.parametrize("seed", [2, 10, 34])
def test_a_wide_schedule_violates_nothing(seed, tmp_path):
    assert wrong_with(seed, lay_sqlite(tmp_path / "atb.db"), tmp_path) == ""


@pytest.mark.slow
@pytest.mark.timeout(7_200)
@pytest.mark.parametrize("piece", range(PIECES))
def test_a_thousand_wide_schedules_violate_nothing(piece, tmp_path, request):
    server, wrong = request.getfixturevalue("postgres") if piece % 2 else None, []
    for seed in WIDE[piece::PIECES]:
        root = tmp_path / str(seed)
        root.mkdir()
        with empty_postgresql(server) if server else nullcontext(lay_sqlite(root / "atb.db")) as url:
            wrong.append(wrong_with(seed, url, root))
    assert not any(wrong), "\n\n".join(filter(None, wrong))
