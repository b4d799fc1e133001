"""Figures of regimes: what must be visible in each."""

import numpy as np
import pandas as pd
import pytest

from atb.features.regimes import GaussianHmm, JumpModel, TimeframeAgreement, TrendVolatility
from atb.features.regimes.hidden_markov import STATES
from atb.reports.regimes import COLOURS, dwell_figure, effect_figure, regimes_figure
from atb.reports.theme import DARK, ORANGE, SKY
from atb.validation.regime_effect import regime_effect
from tests.bars import bars_of, random_walk

RULES = TrendVolatility(slope_window=12, rank_window=40, dwell=5, memory=40)
BARS = bars_of(random_walk(9_000, 1))
REGIME = RULES.compute(BARS.frame)["regime"]


@pytest.fixture(scope="module")
def effect():
    return regime_effect(BARS, REGIME, RULES.labels)


def test_the_price_is_drawn_in_the_colour_of_each_regime():
    figure = regimes_figure(BARS, REGIME, RULES.labels)
    assert [trace.name for trace in figure.data] == ["no regime", *RULES.labels]
    assert len({trace.line.color for trace in figure.data[1:]}) == 6
    assert figure.layout.yaxis.type == "log"
    assert BARS.label in figure.layout.title.text
    assert "one bar of 3 is drawn" in figure.layout.annotations[0].text.replace("<br>", " ")


def test_each_point_belongs_to_the_regime_known_there():
    bars, regime = bars_of(BARS.frame.iloc[:800]), REGIME.iloc[:800]
    figure = regimes_figure(bars, regime, RULES.labels)
    drawn = {trace.name: ~np.isnan(np.asarray(trace.y, dtype=float)) for trace in figure.data}
    for name, shown in drawn.items():
        mine = (regime.isna() if name == "no regime" else regime == RULES.labels.index(name)).to_numpy()
        assert shown[mine].all()
        others = shown & ~mine
        assert others.sum() <= np.count_nonzero(np.diff(mine.astype(int)) == -1)


def test_dwell_and_changes_are_drawn(effect):
    figure = dwell_figure(effect)
    boxes = [trace for trace in figure.data if trace.type == "box"]
    assert {box.name: len(box.x) for box in boxes} == {name: len(lengths) for name, lengths in effect.dwells.items()}
    (bars,) = [trace for trace in figure.data if trace.type == "bar"]
    assert list(bars.x) == ["2024", "2025"]
    assert f"{effect.switches_per_year:.0f} over all" in figure.layout.annotations[0].text.replace("<br>", " ")


def test_what_followed_is_drawn_with_its_intervals_and_the_verdict(effect):
    figure = effect_figure(effect)
    returns, sizes = figure.data
    assert list(returns.x) == list(RULES.labels)
    low = np.asarray(returns.y) - np.asarray(returns.error_y.arrayminus)
    assert low == pytest.approx(effect.table["return_pct_low"].to_numpy())
    assert np.asarray(sizes.y) == pytest.approx(effect.table["volatility_pct"].to_numpy())
    assert effect.verdict in figure.layout.annotations[0].text.replace("<br>", " ")


def test_figures_leave_what_they_draw_alone(effect):
    regime, table, frame = REGIME.copy(), effect.table.copy(), BARS.frame.copy()
    regimes_figure(BARS, REGIME, RULES.labels), dwell_figure(effect), effect_figure(effect)
    pd.testing.assert_series_equal(REGIME, regime)
    pd.testing.assert_frame_equal(effect.table, table)
    pd.testing.assert_frame_equal(BARS.frame, frame)


def test_every_label_has_a_colour_that_has_one_in_the_dark():
    labels = [
        *TrendVolatility.labels,
        *TimeframeAgreement.labels,
        *JumpModel.labels,
        *(name for names in STATES.values() for name in names),
    ]
    assert set(labels) <= COLOURS.keys()
    assert {COLOURS[label] for label in labels} <= DARK.keys() | {ORANGE, SKY}
    assert GaussianHmm.name not in COLOURS


def test_labels_of_your_own_are_drawn_too():
    regime = pd.Series(np.arange(len(BARS)) // 50 % 2.0, BARS.frame.index)
    assert len({trace.line.color for trace in regimes_figure(BARS, regime, ("mine", "yours")).data}) == 2
