"""Fits of regime models: of the past alone, the same for the same bars, states in a fixed order, on a grid of times."""

import dataclasses
from functools import cache

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from atb.domain import Bars
from atb.errors import InputError
from atb.features.regimes import Hysteresis, Refitted, TrendVolatility
from atb.prediction.regime_fitting import fit_gaussian_hmm, fit_jump_model, fit_once, make_regime, refit
from tests.bars import bars_of, frame_of
from tests.features.regimes.fitted import changing_market
from tests.seeds import examples

DAY_MS = 86_400_000
FITS = {
    "gaussian_hmm": lambda bars: fit_gaussian_hmm(bars, window=6, memory=40),
    "jump_model": lambda bars: fit_jump_model(bars, penalty=5.0, fast=8, slow=20, memory=40),
}


@cache
def market(n: int = 1_500) -> Bars:
    return bars_of(changing_market(n, 11)[0])


@cache
def scheduled(method: str, cut: int = 1_500) -> Refitted:
    return refit(market().rows(0, cut), FITS[method], every="10d", span="20d", hysteresis=Hysteresis(2, 4, 30))


@pytest.fixture(params=FITS)
def method(request) -> str:
    return request.param


def test_the_hidden_markov_model_finds_the_states_of_a_market_made_of_two():
    bars, state = changing_market(2_400, 3)
    model = FITS["gaussian_hmm"](bars_of(bars).rows(0, 1_200))
    later = bars.iloc[1_200:]
    regime = model.compute(later)["regime"].to_numpy()
    assert np.mean(regime[model.warmup :] == state[1_200 + model.warmup :]) > 0.85


@pytest.mark.parametrize("states", [2, 3])
def test_states_are_in_order_of_volatility(states):
    for seed in range(3):
        model = fit_gaussian_hmm(bars_of(changing_market(800, seed)[0]), states=states, window=6, memory=40)
        ranges = [mean[1] for mean in model.means]
        assert ranges == sorted(ranges)


def test_the_bull_state_has_the_better_returns():
    for seed in range(3):
        model = FITS["jump_model"](bars_of(changing_market(800, seed)[0]))
        assert model.centres[0][2] < model.centres[1][2]


def test_start_is_what_the_transition_leaves_as_it_is():
    model = FITS["gaussian_hmm"](market())
    assert np.array(model.start) @ np.array(model.transition) == pytest.approx(model.start, abs=1e-9)


def test_the_same_bars_give_the_same_model(method):
    assert FITS[method](market()) == FITS[method](market())


def test_a_schedule_fits_on_the_span_before_each_of_its_times(method):
    made = scheduled(method)
    bars = market()
    assert len(made.fits) == 4
    for fit in made.fits:
        assert fit.known_ms % (10 * DAY_MS) == 0
        part = bars.slice(*(moment_of(moment) for moment in (fit.known_ms - 20 * DAY_MS, fit.known_ms)))
        assert (fit.bars, fit.fingerprint) == (len(part), part.fingerprint)
        assert fit.first_open_ms == part.opened_ms[0]
        assert part.closed_ms[-1] <= fit.known_ms
        assert fit.model == FITS[method](part)


def moment_of(milliseconds: int) -> pd.Timestamp:
    return pd.Timestamp(milliseconds, unit="ms", tz="UTC")


@given(st.integers(800, 1_499), st.sampled_from(list(FITS)))
@examples(6)
def test_a_history_cut_anywhere_is_fitted_and_labelled_as_before(cut, name):
    """Fits and labels of all times before the cut: nothing that came later is in them."""
    whole, past = scheduled(name), refit(market().rows(0, cut), FITS[name], every="10d", span="20d",
                                         hysteresis=Hysteresis(2, 4, 30))  # fmt: skip
    assert past.fits == whole.fits[: len(past.fits)]
    before, after = past.compute(market().frame.iloc[:cut]), whole.compute(market().frame)
    assert before.to_numpy().tobytes() == after.iloc[:cut].to_numpy().tobytes()
    assert before["regime"].notna().any()


def test_a_history_that_begins_later_has_the_same_fits(method):
    late = refit(market().rows(230, 1_500), FITS[method], every="10d", span="20d")
    assert late.fits == scheduled(method).fits[-len(late.fits) :]
    assert len(late.fits) == 3


def test_one_fit_counts_from_the_end_of_its_bars(method):
    once = fit_once(market().rows(0, 1_000), FITS[method])
    regime = once.compute(market().frame)["regime"].to_numpy()
    assert np.isnan(regime[:1_000]).all()
    assert np.isfinite(regime[1_000:]).all()


def test_no_fit_can_be_made_of_too_little(method):
    with pytest.raises(InputError, match="Too few bars"):
        FITS[method](market().rows(0, 60))
    with pytest.raises(InputError, match="No time of the schedule"):
        refit(market(), FITS[method], span="90d")
    with pytest.raises(InputError, match="Not a duration"):
        refit(market(), FITS[method], every="soon")


def test_bars_that_never_vary_have_no_regimes(method):
    with pytest.raises(InputError, match="never varies"):
        FITS[method](bars_of(frame_of(np.full(900, 5.0))))


def test_a_hole_in_the_bars_is_fitted_around(method):
    whole = market()
    holed = dataclasses.replace(whole, frame=whole.frame.drop(whole.frame.index[500:560]))
    made = refit(holed, FITS[method], every="10d", span="20d")
    assert [fit.known_ms for fit in made.fits] == [fit.known_ms for fit in scheduled(method).fits]


@pytest.mark.parametrize("states", [1, 4])
def test_other_numbers_of_states_are_refused(states):
    with pytest.raises(InputError, match="2 or 3 states"):
        fit_gaussian_hmm(market(), states=states)


def test_a_method_is_made_by_its_name():
    rules = Hysteresis(2, 6, 40)
    assert make_regime("trend_volatility", market(), hysteresis=rules) == TrendVolatility(
        confirmations=2, dwell=6, memory=40
    )
    for name in FITS:
        made = make_regime(name, market(), hysteresis=rules, every="20d", span="30d")
        assert (made.name, made.hysteresis) == (name, rules)
    with pytest.raises(InputError, match="gaussian_hmm"):
        make_regime("gausian_hmm", market())
