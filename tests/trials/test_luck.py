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
