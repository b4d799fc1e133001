"""Refitted models: each bar by the newest fit that was known when it opened."""

import dataclasses

import numpy as np
import pytest

from atb.engine.kernel_input import prepare
from atb.engine.policy import AccountPolicy
from atb.engine.slot import Slot
from atb.errors import InputError
from atb.features.regimes import Hysteresis, Refitted
from atb.strategies import make_strategy
from atb.validation.windows import check_windows
from tests.bars import bars_of
from tests.features.regimes.fitted import HMM, HOUR_MS, JUMP, changing_market, fit_of

BARS, _ = changing_market(600, 1)
FIRST_MS = int(BARS.index[0].timestamp() * 1_000)
OTHER = dataclasses.replace(HMM, means=((0.0, -2.5), (0.0, -1.0)))


def known(row: int) -> int:
    """The open of a row."""
    return FIRST_MS + row * HOUR_MS


TWO = Refitted((fit_of(HMM, known(100)), fit_of(OTHER, known(350))))


def test_each_bar_belongs_to_the_newest_fit_known_at_its_open():
    found = TWO.compute(BARS).to_numpy()
    old, new = HMM.compute(BARS).to_numpy(), OTHER.compute(BARS).to_numpy()
    assert np.isnan(found[:100]).all()
    assert found[100:350].tobytes() == old[100:350].tobytes()
    assert found[350:].tobytes() == new[350:].tobytes()
    assert (old[350:] != new[350:]).any()


def test_a_later_fit_changes_nothing_before_it():
    one = Refitted(TWO.fits[:1]).compute(BARS).to_numpy()
    assert one[:350].tobytes() == TWO.compute(BARS).to_numpy()[:350].tobytes()


def test_hysteresis_is_laid_over_the_labels_of_all_fits():
    rule = Hysteresis(confirmations=3, dwell=10, memory=60)
    settled = Refitted(TWO.fits, rule)
    assert settled.warmup == HMM.warmup + rule.warmup
    found, raw = settled.compute(BARS), TWO.compute(BARS)["regime"].to_numpy()
    regime, age = rule.settle(raw.copy(), 2)
    np.testing.assert_array_equal(found["regime"], regime)
    np.testing.assert_array_equal(found["age"], age)
    assert (regime[settled.warmup :] != raw[settled.warmup :]).any()


def test_it_is_a_predictor_of_regimes():
    assert TWO.predict(BARS).tobytes() == TWO.compute(BARS)["regime"].to_numpy().tobytes()
    assert (TWO.name, TWO.labels) == ("gaussian_hmm", ("calm", "volatile"))


def test_a_strategy_that_reads_it_as_its_model_decides_alike_in_a_runner():
    bars = bars_of(BARS)
    slot = Slot(make_strategy("ml_basic"), bars, predictor=TWO)
    assert slot.warmup == HMM.warmup
    (one,) = check_windows(prepare((slot,), AccountPolicy(), bars.frame.index[200]), most=40)
    assert one.report.equal, str(one.report)
    assert set(one.values[:, -1]) == {0.0, 1.0}


@pytest.mark.parametrize("rows", [0, 1, 40])
def test_too_few_bars_have_no_regime(rows):
    for method in (TWO, Refitted(TWO.fits, Hysteresis()), HMM, JUMP):
        found = method.compute(BARS.iloc[:rows])
        assert len(found) == rows
        assert found.isna().all(axis=None)


def test_any_other_number_gives_another_fingerprint():
    others = [
        Refitted(TWO.fits[:1]),
        Refitted(TWO.fits, Hysteresis()),
        Refitted((TWO.fits[0], fit_of(OTHER, known(351)))),
        Refitted((fit_of(OTHER, known(100)), TWO.fits[1])),
    ]
    assert len({model.fingerprint for model in (TWO, *others)}) == 5
    assert Refitted(TWO.fits).fingerprint == TWO.fingerprint


@pytest.mark.parametrize(
    ("fits", "said"),
    [((), "needs a fit"), ((fit_of(HMM, known(9)), fit_of(JUMP, known(10))), "not of one method"),
     ((fit_of(HMM, known(9)), fit_of(dataclasses.replace(HMM, memory=61), known(10))), "not of one method"),
     ((fit_of(HMM, known(10)), fit_of(HMM, known(9))), "order of time"),
     ((fit_of(HMM, known(10)), fit_of(HMM, known(10))), "order of time")],
)  # fmt: skip
def test_fits_that_do_not_follow_each_other_are_refused(fits, said):
    with pytest.raises(InputError, match=said):
        Refitted(fits)
