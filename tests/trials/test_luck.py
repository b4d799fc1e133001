"""What luck reaches by trying: published values, and how many of many trials are independent."""

import numpy as np
import pytest

from atb.trials.luck import APART, correlations, effective_number, expected_maximum, lucky_sharpe
from tests.seeds import seeds


@pytest.mark.parametrize(
    ("trials", "value"),
    [(2, 0.519755), (3, 0.852804), (5, 1.192594), (10, 1.574598), (45, 2.235640), (100, 2.530603), (1_000, 3.255122)],
)
def test_the_expected_maximum_has_its_published_values(trials, value):
    assert expected_maximum(trials) == pytest.approx(value, abs=1e-6)


def test_one_trial_or_none_has_no_luck():
    assert expected_maximum(0) == expected_maximum(1) == 0.0
    assert lucky_sharpe(np.array([1.5]), 1) == 0.0
    assert lucky_sharpe(np.array([1.5, np.nan]), 2) == 0.0


def test_the_lucky_ratio_is_that_of_the_deflated_sharpe_ratio_paper():
    # 100 trials, variance of the annual ratios 1/2: 0.1132 for a day of 250 a year.
    values = np.array([-1.0, 1.0])
    sharpes = np.repeat(values, 50)
    sharpes = sharpes / sharpes.std(ddof=1) * np.sqrt(0.5)
    assert lucky_sharpe(sharpes, 100) / np.sqrt(250) == pytest.approx(0.113172, abs=1e-6)


@pytest.mark.parametrize("seed", seeds(3))
def test_the_groups_are_those_of_average_linkage(seed):
    from sklearn.cluster import AgglomerativeClustering  # only here: a second of import in every worker

    rng = np.random.default_rng(seed)
    roots = rng.normal(0, 1, (6, 400))
    returns = roots[rng.integers(0, 6, 40)] + rng.normal(0, 1, (40, 400)) * rng.uniform(0.3, 1.5, (40, 1))
    theirs = AgglomerativeClustering(None, metric="precomputed", linkage="average", distance_threshold=APART)
    labels = theirs.fit_predict(1.0 - correlations(returns))
    assert effective_number(returns) == labels.max() + 1 > 6


def test_equal_trials_are_one_and_noise_is_many():
    rng = np.random.default_rng(7)
    noise = rng.normal(0, 1, (30, 500))
    assert effective_number(np.repeat(noise[:1], 30, axis=0)) == 1
    assert effective_number(noise) == 30
    assert effective_number(np.vstack([np.zeros((5, 500)), noise[:2]])) == 3


def test_trials_outside_the_sample_form_new_groups_as_often_as_those_inside_stand_alone():
    rng = np.random.default_rng(7)
    noise = rng.normal(0, 1, (20, 500))
    assert effective_number(noise, 1_000) == 1_000
    assert effective_number(np.repeat(noise[:4], 5, axis=0), 1_000) == 4
    assert effective_number(np.zeros((0, 0)), 12) == 12


def test_trials_of_other_lengths_are_made_alike_and_of_one_length_nothing_changes():
    rng = np.random.default_rng(11)
    sharpes = rng.normal(0, 1.0, 400)
    plain = lucky_sharpe(sharpes, 400)
    assert lucky_sharpe(sharpes, 400, years=np.full(400, 3.0), period=3.0) == pytest.approx(plain)
    years = rng.choice([0.25, 4.0], 400)
    noise = rng.normal(0, 1.0, 400) / np.sqrt(years)  # as ratios of trials without skill scatter
    for period in (0.25, 1.0, 4.0):
        assert lucky_sharpe(noise, 400, years=years, period=period) == pytest.approx(
            expected_maximum(400) / np.sqrt(period), rel=0.1
        )


def test_trials_are_compared_on_the_days_that_both_have():
    rng = np.random.default_rng(3)
    long = rng.normal(0, 1, 400)
    short, other = np.full(400, np.nan), np.full(400, np.nan)
    short[300:] = long[300:] + rng.normal(0, 0.1, 100)
    other[:100] = rng.normal(0, 1, 100)
    returns = np.vstack([long, short, other])
    found = correlations(returns)
    assert found[0, 1] == pytest.approx(np.corrcoef(long[300:], short[300:])[0, 1])
    assert found[0, 2] == pytest.approx(np.corrcoef(long[:100], other[:100])[0, 1])
    assert found[1, 2] == 0.0  # no day in common
    assert effective_number(returns) == 2
    few = np.full((2, 40), np.nan)
    few[0, :25] = few[1, 15:] = rng.normal(0, 1, 25)
    few[1, 15:25] = few[0, 15:25]
    assert correlations(few)[0, 1] == 0.0  # ten days say nothing
