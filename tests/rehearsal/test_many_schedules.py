"""Five hundred schedules, as in `test_schedules.py`: a file of their own, which one worker of several plays alone."""

import time

import pytest

from tests.rehearsal.harness import check, say

ALL = range(500)


@pytest.mark.slow
@pytest.mark.timeout(7_200)
def test_five_hundred_schedules_violate_nothing(tmp_path, capsys):
    began, wrong = time.monotonic(), []
    for done, seed in enumerate(ALL, 1):
        root = tmp_path / str(seed)
        root.mkdir()
        try:
            check(seed, f"sqlite:///{root / 'atb.db'}", root)
        except AssertionError as error:
            wrong.append(str(error))
        if done % 25 == 0:
            say(capsys, f"{done} schedules, {len(wrong)} wrong, {time.monotonic() - began:.0f} s")
    assert not wrong, "\n\n".join(wrong)
