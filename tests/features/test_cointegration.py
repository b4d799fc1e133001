"""Cointegration against published values, by its own false alarms, and bit by bit wherever a history begins."""

import numpy as np
import pytest

from atb.errors import InputError
from atb.features.cointegration import critical_value, engle_granger, rolling_pair


def worked_case():
    """Return the data of the case that statsmodels checks against Stata's `egranger`."""
    rng = np.random.RandomState(123)
    unit = rng.randn(200).cumsum()
    y = rng.randn(200, 4)
    y[:, :2] += unit[:, None]
    y += [1, 0, 0.5, 0]
    return np.round(y, 4)


def walks(seed, n=200):
    rng = np.random.default_rng(seed)
    return rng.normal(0, 1, (2, n)).cumsum(axis=1)


def test_the_statistic_is_the_published_one():
    y = worked_case()
    assert engle_granger(y[:, 0], y[:, 1], lags=4) == pytest.approx(-5.760696844656, abs=1e-9)


@pytest.mark.parametrize(
    ("percent", "at_199", "at_infinity"),
    [(1, -3.952321293, -3.89644), (5, -3.367006314, -3.33613), (10, -3.065831248, -3.04445)],
)
def test_critical_values_are_mackinnons_for_two_series(percent, at_199, at_infinity):
    assert critical_value(percent, 199) == pytest.approx(at_199, abs=1e-9)
    assert critical_value(percent, 10**9) == pytest.approx(at_infinity, abs=1e-6)


def test_unrelated_walks_pass_as_often_as_the_level_says():
    found = np.array([engle_granger(*walks(seed)) for seed in range(1_000)])
    assert (found < critical_value(5, 199)).mean() == pytest.approx(0.05, abs=0.02)
    assert (
        found < -2.86
    ).mean() > 0.10  # the values for a series as it stands call twice as many unrelated walks a pair


def test_one_series_in_other_units_is_no_pair():
    y, _ = walks(0)
    assert engle_granger(y, 3 * y + 7) == -np.inf
    assert np.isnan(rolling_pair(y, 3 * y + 7, 50)).all()


def test_a_series_that_stands_still_says_nothing():
    y, _ = walks(0)
    assert np.isnan(rolling_pair(y, np.ones(200), 50)).all()
    assert np.isnan(rolling_pair(np.ones(200), y, 50).statistic).all()


@pytest.mark.parametrize("lags", [0, 1, 3])
def test_rolling_columns_are_the_whole_test_of_the_rows_before(lags):
    y, x = walks(1)
    found = rolling_pair(y, x, 60, lags=lags)
    assert np.isnan(found.statistic[:60]).all()
    for row in (60, 123, 199):
        part = slice(row - 60, row)
        slope, level = np.polyfit(x[part], y[part], 1)
        residual = y[part] - level - slope * x[part]
        assert found.statistic[row] == pytest.approx(engle_granger(y[part], x[part], lags=lags), rel=1e-12)
        assert found.hedge[row] == pytest.approx(slope, rel=1e-9)
        assert found.score[row] == pytest.approx((y[row] - level - slope * x[row]) / residual.std(ddof=2), rel=1e-9)


def test_lagged_changes_are_regressed_out_as_by_least_squares():
    y, x = walks(2)
    slope, level = np.polyfit(x, y, 1)
    residual = y - level - slope * x
    change, lags = np.diff(residual), 2
    design = np.column_stack([residual[lags:-1], change[1:-1], change[:-2]])
    coefficients, squares, *_ = np.linalg.lstsq(design, change[lags:], rcond=None)
    variance = squares[0] / (len(design) - 3) * np.linalg.inv(design.T @ design)[0, 0]
    assert engle_granger(y, x, lags=lags) == pytest.approx(coefficients[0] / np.sqrt(variance), rel=1e-9)


@pytest.mark.parametrize("window", [30, 101, 480])
def test_a_value_has_the_same_bits_however_many_rows_are_computed_with_it(window):
    y, x = walks(3, 1_300)
    whole = rolling_pair(y, x, window, lags=1)
    for row in range(window, 1_300, 97):
        for before in (0, 1, 2, 65):
            begin = max(0, row - window - before)
            part = rolling_pair(y[begin : row + 1], x[begin : row + 1], window, lags=1)
            assert [column[-1:].tobytes() for column in part] == [column[row : row + 1].tobytes() for column in whole]


def test_a_missing_value_is_missing_in_every_window_that_has_it():
    y, x = walks(4)
    y[100] = np.nan
    found = rolling_pair(y, x, 50)
    assert np.isnan(found.score[100:151]).all()
    assert np.isfinite(found.score[151:]).all()
    assert np.isfinite(found.score[50:100]).all()


@pytest.mark.parametrize(("window", "lags"), [(9, 0), (13, 2), (50, -1)])
def test_a_window_too_short_for_the_test_is_refused(window, lags):
    with pytest.raises(InputError, match="10 rows more than twice as many"):
        rolling_pair(*walks(0), window, lags=lags)


def test_another_level_is_refused():
    with pytest.raises(InputError, match="1, 5 and 10 percent"):
        critical_value(3, 199)
