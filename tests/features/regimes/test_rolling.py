"""Rolling statistics against numpy's, and to the last bit against their own window."""

import numpy as np
import pytest

from atb.features.regimes.rolling import percentile, regression, relative_range, z_score
from tests.bars import random_walk

X = np.log(random_walk(400, seed=2)["close"].to_numpy())


@pytest.mark.parametrize("n", [3, 4, 30, 51])
def test_the_regression_is_the_least_squares_line(n):
    slope, fit = regression(X, n)
    for t in range(n - 1, len(X), 23):
        window = X[t - n + 1 : t + 1]
        assert slope[t] == pytest.approx(np.polyfit(np.arange(n), window, 1)[0], rel=1e-8, abs=1e-14)
        assert fit[t] == pytest.approx(np.corrcoef(np.arange(n), window)[0, 1] ** 2, rel=1e-8, abs=1e-11)
    assert np.isnan(slope[: n - 1]).all()


def test_prices_that_stand_still_have_no_slope_and_no_fit():
    slope, fit = regression(np.full(50, np.log(0.7)), 20)
    assert (slope[19:] == 0).all()
    assert (fit[19:] == 0).all()


def test_a_straight_line_fits_entirely():
    slope, fit = regression(np.arange(50) * 0.01, 20)
    assert slope[19:] == pytest.approx(0.01)
    assert fit[19:] == pytest.approx(1.0)


def test_the_percentile_is_the_share_of_the_past_below():
    x = np.array([3.0, 1.0, 2.0, 5.0, 5.0, 4.0])
    assert percentile(x, 4)[3:].tolist() == [1.0, 2 / 3, 1 / 3]
    assert percentile(np.full(9, 2.0), 4)[3:].tolist() == [0.0] * 6


def test_the_percentile_waits_for_missing_values():
    assert np.isnan(percentile(np.r_[[np.nan] * 3, np.arange(9.0)], 4)[:6]).all()
    assert np.isnan(percentile(np.full(9, np.nan), 4)).all()


def test_the_z_score_is_the_distance_in_deviations():
    n = 40
    scores = z_score(X, n)
    for t in range(n - 1, len(X), 31):
        window = X[t - n + 1 : t + 1]
        assert scores[t] == pytest.approx((X[t] - window.mean()) / window.std(), rel=1e-8)
    assert (z_score(np.full(90, 0.1), n)[n - 1 :] == 0).all()


def test_the_range_is_the_mean_true_range_over_the_close():
    bars = random_walk(60, seed=8)
    high, low, close = (bars[name].to_numpy() for name in ("high", "low", "close"))
    true = [max(high[t] - low[t], abs(high[t] - close[t - 1]), abs(low[t] - close[t - 1])) for t in range(1, 60)]
    assert relative_range(high, low, close, n=14)[-1] == pytest.approx(np.mean(true[-14:]) / close[-1])


STATISTICS = {
    "slope": lambda x: regression(x, 30)[0],
    "fit": lambda x: regression(x, 30)[1],
    "percentile": lambda x: percentile(x, 30),
    "z_score": lambda x: z_score(x, 30),
}


@pytest.mark.parametrize("statistic", STATISTICS.values(), ids=STATISTICS)
def test_a_window_gives_the_same_bits_whatever_came_before_it(statistic):
    still = X.copy()
    still[150:300] = still[150]
    whole = statistic(still)
    for t in range(29, len(still), 3):
        assert statistic(still[t - 29 : t + 1])[-1].tobytes() == whole[t].tobytes()


@pytest.mark.parametrize("length", [0, 1, 29])
def test_too_short_a_history_gives_nothing(length):
    for column in (*regression(X[:length], 30), percentile(X[:length], 30), z_score(X[:length], 30)):
        assert len(column) == length
        assert np.isnan(column).all()
