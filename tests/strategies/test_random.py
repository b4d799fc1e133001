"""Random: its draws belong to seed and time, wherever a history begins."""

import numpy as np
import pytest

from atb.errors import InputError
from atb.strategies import make_strategy
from tests.bars import random_walk
from tests.strategies.paths import sides


def test_draws_belong_to_the_time_and_not_to_the_history():
    bars, strategy = random_walk(500), make_strategy("random", hours=7)
    assert (sides(strategy, bars)[123:] == sides(strategy, bars.iloc[123:])).all()


def test_blocks_last_their_hours_and_their_share_is_about_right():
    found = sides(make_strategy("random", hours=24, share=0.3), random_walk(24 * 400))
    blocks = found.reshape(-1, 24)
    assert (blocks == blocks[:, :1]).all()
    assert 0.22 < found.mean() < 0.38


def test_seeds_give_other_times():
    bars = random_walk(2_000)
    assert len({sides(make_strategy("random", seed=seed), bars).tobytes() for seed in range(5)}) == 5
    assert not np.isnan(sides(make_strategy("random"), bars)).any()


@pytest.mark.parametrize("wrong", [{"seed": -1}, {"hours": 0}, {"share": 1.5}])
def test_what_cannot_be_drawn_is_refused(wrong):
    with pytest.raises(InputError, match="random needs"):
        make_strategy("random", **wrong)


def test_a_block_may_be_longer_than_any_history():
    for hours in (10**8, 2**63 - 1):
        assert len(set(sides(make_strategy("random", hours=hours), random_walk(50)))) == 1
