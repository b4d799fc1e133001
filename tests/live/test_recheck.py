"""The check of what is promoted while it trades: whatever keeps it from passing pauses entries, and ends nothing."""

import asyncio
from importlib.metadata import PackageNotFoundError

import pytest

from atb.errors import PromotionError
from atb.live.halt import Level, Switch
from atb.live.recheck import SOURCE, Recheck


@pytest.mark.parametrize(
    ("problem", "said"),
    [
        (PromotionError("A source file changed"), "A source file changed"),
        (PermissionError(13, "Permission denied"), "Permission denied"),
        (PackageNotFoundError("ccxt"), "PackageNotFoundError"),
        (MemoryError(), "MemoryError"),
    ],
)
def test_a_check_that_does_not_pass_pauses_and_raises_nothing(tmp_path, problem, said):
    def check():
        raise problem

    switch = Switch(tmp_path)
    asyncio.run(Recheck(check, every_s=0).look(switch))
    state = switch.read()
    assert (state.level, state.source) == (Level.PAUSE, SOURCE)
    assert said in state.reason


def test_a_check_that_passes_pauses_nothing(tmp_path):
    switch = Switch(tmp_path)
    asyncio.run(Recheck(lambda: None, every_s=0).look(switch))
    assert switch.read().level == Level.NONE
