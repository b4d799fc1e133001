"""Momentum: in after a rise, out when it is gone, and what is held is held between."""

import numpy as np
import pytest

from atb.errors import InputError
from atb.strategies import make_strategy
from tests.strategies.paths import bars_along, sides


def test_enters_at_the_rise_leaves_when_it_is_gone_and_holds_between():
    strategy = make_strategy("momentum", window=2, enter=0.1, leave=0.0)
    found = sides(strategy, bars_along([100, 100, 105, 111, 112, 111, 111]))
    assert np.isnan(found[[0, 1, 2]]).all()  # no window, then 5 %: neither
    assert found[3] == 1.0  # 11 %
    assert np.isnan(found[4])  # 6.7 %: held
    assert found[5] == pytest.approx(0.0) or np.isnan(found[5])
    assert found[6] == 0.0  # below where it was


@pytest.mark.parametrize("wrong", [{"window": 0}, {"enter": 0.0, "leave": 0.0}, {"leave": -1.0}])
def test_thresholds_without_room_are_refused(wrong):
    with pytest.raises(InputError, match="leave below enter"):
        make_strategy("momentum", **wrong)
