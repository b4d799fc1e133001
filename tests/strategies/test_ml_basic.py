"""MlBasic on predictions made by hand."""

import numpy as np
import pytest

from atb.domain import Signals
from atb.errors import InputError
from atb.strategies import make_strategy
from atb.strategies.ml_basic import MlBasic
from tests.bars import ramp

NAN = np.nan


def signals(*odds: float, strategy: MlBasic | None = None) -> Signals:
    return (strategy or MlBasic()).signals(ramp(up=len(odds)).assign(prediction=list(odds)))


def test_is_long_from_enter_up_flat_from_leave_down_and_holds_between():
    side = signals(0.60, 0.55, 0.5499, 0.5001, 0.50, 0.40).side
    np.testing.assert_array_equal(side, [1, 1, NAN, NAN, 0, 0])


def test_has_no_opinion_without_a_prediction():
    made = signals(NAN, 0.9, NAN)
    np.testing.assert_array_equal(made.side, [NAN, 1, NAN])
    np.testing.assert_array_equal(made.confidence == 0, [True, False, True])


def test_confidence_is_the_distance_from_an_even_chance():
    np.testing.assert_allclose(signals(0.5, 0.75, 0.25, 1.0, 0.0).confidence, [0, 0.5, 0.5, 1, 1])


def test_its_thresholds_are_parameters():
    side = signals(0.65, 0.45, 0.35, strategy=MlBasic(enter=0.6, leave=0.4)).side
    np.testing.assert_array_equal(side, [1, NAN, 0])


def test_reads_nothing_but_the_prediction():
    bars = ramp(up=3)
    assert MlBasic().features(bars).shape == (3, 0)
    assert MlBasic().predicts


@pytest.mark.parametrize(("enter", "leave"), [(0.5, 0.5), (0.4, 0.6), (1.0, 0.5), (0.6, 0.0), (55.0, 50.0)])
def test_refuses_thresholds_without_room(enter, leave):
    with pytest.raises(InputError, match="need 0 < leave < enter < 1"):
        make_strategy("ml_basic", enter=enter, leave=leave)
