"""MlAdaptive: the regime moves both thresholds, and an undecided one withholds no exit."""

import numpy as np
import pandas as pd
import pytest

from atb.errors import InputError
from atb.features.regimes import PRESETS, TrendVolatility
from atb.strategies import make_strategy
from tests.bars import random_walk
from tests.strategies.paths import bars_along

NAN = np.nan


def thresholds(drift, **parameters):
    """Return the last bar's thresholds after a steady drift with some noise."""
    noise = np.random.default_rng(3).normal(0, 0.002, 700)
    bars = bars_along(1_000 * np.exp(drift * np.arange(700) + noise), spread=1.0)
    last = make_strategy("ml_adaptive", **parameters).features(bars).iloc[-1]
    return last["enter_at"], last["leave_at"]


def test_an_uptrend_lowers_both_thresholds_and_a_downtrend_raises_both():
    (up, up_leave), (none, none_leave), (down, down_leave) = (
        thresholds(drift, volatility=0.0) for drift in (0.003, 0.0, -0.003)
    )
    assert (up, none, down) == pytest.approx((0.53, 0.55, 0.57))
    assert (up_leave, none_leave, down_leave) == pytest.approx((0.48, 0.50, 0.52))


def test_high_volatility_asks_for_more_to_enter_and_changes_nothing_about_leaving():
    frame = make_strategy("ml_adaptive", trend=0.0, volatility=0.03).features(random_walk(1_200, 4))
    asked = frame.dropna()
    assert set(asked["enter_at"].round(9)) == {0.55, 0.58}
    assert set(asked["leave_at"]) == {0.5}


def test_the_same_odds_buy_in_one_regime_and_not_in_another_and_sell_in_one_alone():
    strategy = make_strategy("ml_adaptive")
    frame = pd.DataFrame({"enter_at": [0.53, 0.57, 0.53, 0.57], "leave_at": [0.48, 0.52, 0.48, 0.52]})
    odds = [0.54, 0.54, 0.51, 0.51]
    np.testing.assert_array_equal(strategy.signals(frame.assign(prediction=odds)).side, [1, NAN, NAN, 0])


def test_while_the_regime_is_undecided_nothing_is_bought_and_the_plain_threshold_sells(monkeypatch):
    def undecided(self, bars):
        return pd.DataFrame({"trend": NAN, "volatility": NAN}, index=bars.index)

    monkeypatch.setattr(TrendVolatility, "compute", undecided)
    strategy, bars = make_strategy("ml_adaptive"), random_walk(540)
    frame = bars.join(strategy.features(bars)).assign(prediction=0.9)
    assert np.isnan(strategy.signals(frame).side).all()
    side = strategy.signals(frame.assign(prediction=0.4)).side
    assert np.isnan(side[: strategy.warmup]).all()
    assert (side[strategy.warmup :] == 0).all()


def test_the_preset_chooses_the_regime():
    assert make_strategy("ml_adaptive", preset="4h").warmup == PRESETS["4h"].warmup


@pytest.mark.parametrize(
    "wrong",
    [{"leave": 0.56}, {"trend": -0.01}, {"volatility": -0.01}, {"trend": 0.5}, {"enter": 0.97}, {"preset": "1hour"}],
)
def test_thresholds_that_mean_nothing_in_some_regime_are_refused(wrong):
    with pytest.raises(InputError):
        make_strategy("ml_adaptive", **wrong)
