"""The hidden Markov model: filtered probabilities, and not the smoothed ones that know the future."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from atb.errors import InputError
from atb.features.regimes import GaussianHmm
from atb.features.regimes.hidden_markov import filtered
from tests.features.regimes.fitted import HMM, changing_market
from tests.seeds import examples

# The toy model of weather and what one does: states Rainy, Sunny; walk, shop, clean are seen one after the other.
START, TRANSITION = (0.6, 0.4), ((0.7, 0.3), (0.4, 0.6))
SEEN = np.array([[[0.1], [0.6]], [[0.4], [0.3]], [[0.5], [0.1]]])  # step, state, lane
FILTERED = [0.2, 0.53179191, 0.86397715]
SMOOTHED = [0.23170303, 0.62406281, 0.86397706]


def rainy(seen) -> list[float]:
    return [float(belief[0, 0]) for belief in filtered(seen, START, TRANSITION)]


def test_the_toy_model_is_filtered_and_not_smoothed():
    assert rainy(SEEN) == pytest.approx(FILTERED, abs=1e-8)
    assert rainy(SEEN)[0] != pytest.approx(SMOOTHED[0], abs=0.01)
    assert rainy(SEEN)[1] != pytest.approx(SMOOTHED[1], abs=0.01)


@pytest.mark.parametrize("steps", [1, 2])
def test_the_toy_models_past_is_not_repainted(steps):
    assert rainy(SEEN[:steps]) == rainy(SEEN)[:steps]


def test_the_last_filtered_value_is_hmmlearns_last_smoothed_one():
    """Only at the last row do the two agree: there is no later row to know."""
    from hmmlearn.hmm import GaussianHMM

    bars, _ = changing_market(400, 1)
    theirs = GaussianHMM(2, "diag")
    theirs.startprob_, theirs.transmat_ = np.array(HMM.start), np.array(HMM.transition)
    theirs.means_, theirs.covars_ = np.array(HMM.means), np.array(HMM.deviations) ** 2
    seen = HMM.scale.apply(HMM.observed(bars)[HMM.window :])
    ours = HMM.compute(bars)["p_volatile"].to_numpy()
    apart = []
    for row in range(HMM.warmup, 400, 23):
        window = seen[row - HMM.window - HMM.memory + 1 : row - HMM.window + 1]
        smoothed = theirs.predict_proba(window)[:, 1]
        assert ours[row] == pytest.approx(smoothed[-1], abs=1e-10)
        apart.append(np.abs(smoothed[:-1] - ours[row - HMM.memory + 1 : row]).max())
    assert np.nanmax(apart) > 0.3


def test_each_window_is_filtered_alone():
    bars, _ = changing_market(200, 2)
    density = HMM.densities(HMM.observed(bars)[HMM.window :])
    beliefs = HMM.beliefs(HMM.observed(bars)[HMM.window :])
    for lane in (0, 17, beliefs.shape[1] - 1):
        steps = (density[:, t : t + 1] for t in range(lane, lane + HMM.memory))
        *_, last = filtered(steps, HMM.start, HMM.transition)
        assert beliefs[:, lane].tobytes() == last[:, 0].tobytes()


@given(st.integers(0, 10_000), st.integers(130, 300))
@examples(15)
def test_probabilities_are_probabilities_whatever_the_market(seed, n):
    bars, _ = changing_market(n, seed)
    bars.iloc[-30:, bars.columns.get_loc("high")] *= 1 + (seed % 7) * 100.0
    belief = HMM.compute(bars)[["p_calm", "p_volatile"]].to_numpy()[HMM.warmup :]
    assert ((belief >= 0) & (belief <= 1)).all()
    assert belief.sum(axis=1) == pytest.approx(1.0)


def test_it_finds_the_states_of_a_market_made_of_two():
    bars, state = changing_market(1_200, 3)
    regime = HMM.compute(bars)["regime"].to_numpy()[HMM.warmup :]
    assert np.mean(regime == state[HMM.warmup :]) > 0.9


def test_a_market_that_stands_still_is_calm():
    bars, _ = changing_market(200, 4)
    bars[["open", "high", "low", "close"]] = 5.0
    assert (HMM.compute(bars)["regime"].iloc[HMM.warmup :] == 0).all()


@pytest.mark.parametrize(
    ("wrong", "said"),
    [({"start": (0.5, 0.6)}, "adds up to 1"), ({"transition": ((1.0, 0.0), (0.5, 0.5))}, "above 0"),
     ({"start": (1.0,), "transition": ((1.0,),)}, "2 or 3 states"), ({"deviations": ((1.0, 1.0), (1.0, 0.0))}, "deviation above 0"),
     ({"means": ((1.0,), (1.0,))}, "mean and a deviation"), ({"memory": 0}, "memory"), ({"window": 2.5}, "window")],
)  # fmt: skip
def test_numbers_that_are_no_model_are_refused(wrong, said):
    with pytest.raises(InputError, match=said):
        dataclasses.replace(HMM, **wrong)


def test_three_states_are_calm_normal_and_volatile():
    three = GaussianHmm(HMM.scale, (0.4, 0.3, 0.3), ((0.8, 0.1, 0.1),) * 3, ((0.0, -1.0), (0.0, 0.0), (0.0, 1.0)),
                        ((1.0, 1.0),) * 3)  # fmt: skip
    assert three.columns == ("regime", "p_calm", "p_normal", "p_volatile")
