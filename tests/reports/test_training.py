"""The training figures: what they show, and that they leave their tables alone."""

import pandas as pd

from atb.reports.training import calibration_figure, decile_figure

CALIBRATION = pd.DataFrame({"predicted": [0.4, 0.6], "observed": [0.45, 0.55], "rows": [10, 11]})
DECILES = pd.DataFrame({"forward_return": [-0.001, 0.002], "error": [0.0005, 0.0005], "rows": [10, 10]}, index=[1, 2])


def test_calibration_shows_the_model_beside_the_line_of_a_true_one():
    before = CALIBRATION.copy()
    figure = calibration_figure(CALIBRATION, title="BTC/USDT 1h · SYNTHETIC data")
    truth, model = figure.data
    assert list(truth.x) == list(truth.y) == [0.4, 0.6]
    assert list(model.y) == [0.45, 0.55]
    assert "BTC/USDT 1h · SYNTHETIC data" in figure.layout.title.text
    pd.testing.assert_frame_equal(CALIBRATION, before)


def test_deciles_are_in_basis_points_with_their_error():
    before = DECILES.copy()
    figure = decile_figure(DECILES, horizon=12, title="title")
    (bars,) = figure.data
    assert list(bars.y) == [-10.0, 20.0]
    assert list(bars.error_y.array) == [5.0, 5.0]
    assert "12 bars" in figure.layout.yaxis.title.text
    pd.testing.assert_frame_equal(DECILES, before)
